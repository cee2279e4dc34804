//! Text that Rust sources must not contain: unfinished code, skipped tests, clocks in pure crates.
//!
//! The patterns are written in two parts, so that this file does not contain them.

use super::files::TrackedFile;

/// A text, and what to do instead.
struct Forbidden(&'static str, &'static str);

/// Forbidden in every Rust source.
const EVERYWHERE: &[Forbidden] = &[
    Forbidden(concat!("#[ign", "ore"), "a skipped test tests nothing: mend or remove it"),
    Forbidden(concat!("to", "do!("), "finish it or open an issue"),
    Forbidden(concat!("unimple", "mented!("), "finish it or return an error"),
    Forbidden(concat!("db", "g!("), "log with tracing, or remove it"),
    Forbidden(concat!("uns", "afe {"), "there is a safe way"),
    Forbidden(concat!("uns", "afe fn "), "there is a safe way"),
    Forbidden(concat!("uns", "afe impl"), "there is a safe way"),
    Forbidden(concat!("uns", "afe extern"), "there is a safe way"),
];

/// Forbidden in the pure crates, their tests included.
const IN_PURE_CRATES: &[Forbidden] = &[
    Forbidden(concat!("thread::", "sleep"), "nothing waits in a pure crate: hand in the time"),
    Forbidden(concat!("Instant::", "now"), "time is an argument in a pure crate"),
    Forbidden(concat!("SystemTime::", "now"), "time is an argument in a pure crate"),
];

/// Where the pure crates are.
const PURE_CRATES: &[&str] =
    &["crates/mqtt-packet/", "crates/mqtt-topics/", "crates/mqtt-session/"];

/// The forbidden texts in a Rust source.
pub(super) fn check(file: &TrackedFile) -> Vec<String> {
    if !file.is_rust() {
        return Vec::new();
    }
    let is_pure = PURE_CRATES.iter().any(|folder| file.path.starts_with(folder));
    let pure = IN_PURE_CRATES.iter().filter(|_| is_pure);
    EVERYWHERE.iter().chain(pure).flat_map(|forbidden| occurrences(file, forbidden)).collect()
}

fn occurrences(file: &TrackedFile, Forbidden(text, advice): &Forbidden) -> Vec<String> {
    // A comment may speak of what the code must not do.
    let code = file.lines().filter(|(_, line)| !line.trim_start().starts_with("//"));
    let found = code.filter(|(_, line)| line.contains(text));
    found.map(|(number, _)| format!("{}:{number}: `{text}`: {advice}", file.path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> Vec<String> {
        check(&TrackedFile::new(path, text.as_bytes().to_vec()))
    }

    #[test]
    fn each_forbidden_text_is_found_in_code() {
        for Forbidden(text, advice) in EVERYWHERE {
            let found = problems("crates/a/src/lib.rs", &format!("fn f() {{\n    {text}\n}}\n"));
            assert_eq!(found, [format!("crates/a/src/lib.rs:2: `{text}`: {advice}")]);
        }
    }

    #[test]
    fn clocks_are_found_in_the_pure_crates_alone() {
        for Forbidden(text, advice) in IN_PURE_CRATES {
            assert_eq!(problems("crates/mqtt-server/src/lib.rs", text), [""; 0]);
            let path = "crates/mqtt-session/tests/it/main.rs";
            assert_eq!(problems(path, text), [format!("{path}:1: `{text}`: {advice}")]);
        }
    }

    #[test]
    fn comments_and_other_files_may_say_it() {
        for Forbidden(text, _) in EVERYWHERE {
            assert_eq!(problems("a.rs", &format!("    /// No {text} here.")), [""; 0]);
            assert_eq!(problems("a.md", text), [""; 0]);
        }
    }
}
