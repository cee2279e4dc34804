//! The tracked files: how large they are, and that they speak of no particular machine.

/// The most that a tracked file may hold.
const FILE_BYTES_MAX: usize = 600 * 1024;

/// The most lines that a Rust file may have: beyond that it holds more than one concept.
const RUST_LINES_MAX: usize = 800;

/// Where the paths of one particular machine begin. They are written in two parts, so that this
/// file does not contain them.
const MACHINE_PATHS: &[&str] = &[
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/tm", "p/"),
    concat!("/wo", "rk/"),
    concat!("/Use", "rs/"),
];

/// A file that git tracks, as it stands in the working tree.
#[derive(Debug)]
pub(super) struct TrackedFile {
    /// Relative to the root of the repository.
    pub(super) path: String,
    /// Nothing where the content is not UTF-8.
    pub(super) text: Option<String>,
    size: usize,
}

impl TrackedFile {
    /// A file of this path and content.
    pub(super) fn new(path: &str, bytes: Vec<u8>) -> Self {
        Self { path: path.to_owned(), size: bytes.len(), text: String::from_utf8(bytes).ok() }
    }

    /// Whether it is Rust source.
    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The lines of its text, counted from one.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.as_deref().unwrap_or_default().lines();
        lines.enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// The problems with the size of a file and the paths in it.
pub(super) fn check(file: &TrackedFile) -> Vec<String> {
    let path = &file.path;
    let mut problems = Vec::new();
    if file.size > FILE_BYTES_MAX {
        let kib = file.size / 1024;
        problems.push(format!("{path} has {kib} KiB, more than 600: keep it elsewhere"));
    }
    let lines = file.lines().count();
    if file.is_rust() && lines > RUST_LINES_MAX {
        problems.push(format!("{path} has {lines} lines, more than {RUST_LINES_MAX}: split it"));
    }
    for (number, line) in file.lines() {
        if let Some(start) = MACHINE_PATHS.iter().find(|start| has_path(line, start)) {
            let what = format!("a path that begins with {start} exists on one machine only");
            problems.push(format!("{path}:{number}: {what}: say it another way"));
        }
    }
    problems
}

/// Whether an absolute path that begins with `start` stands in the line.
fn has_path(line: &str, start: &str) -> bool {
    line.match_indices(start).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        // In the middle of a longer path or address it is an ordinary folder.
        before.is_none_or(|before| !before.is_alphanumeric() && !"._-~}/+#".contains(before))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> Vec<String> {
        check(&TrackedFile::new(path, text.as_bytes().to_vec()))
    }

    #[test]
    fn a_path_of_one_machine_is_found() {
        for start in MACHINE_PATHS {
            let found = problems("a.md", &format!("fine\nsee `{start}me/notes`\n"));
            let what = format!("a path that begins with {start} exists on one machine only");
            assert_eq!(found, [format!("a.md:2: {what}: say it another way")]);
        }
    }

    #[test]
    fn a_folder_of_the_same_name_is_fine() {
        let text = format!("https://example.org{}x and target{0}x", concat!("/ho", "me/"));
        assert_eq!(problems("a.md", &text), [""; 0]);
    }

    #[test]
    fn a_large_file_is_found_even_if_it_is_no_text() {
        let found = check(&TrackedFile::new("a.bin", vec![0xff; 601 * 1024]));
        assert_eq!(found, ["a.bin has 601 KiB, more than 600: keep it elsewhere"]);
    }

    #[test]
    fn a_long_rust_file_is_found() {
        assert_eq!(problems("a.rs", &"//\n".repeat(800)), [""; 0]);
        let expected = ["a.rs has 801 lines, more than 800: split it"];
        assert_eq!(problems("a.rs", &"//\n".repeat(801)), expected);
    }
}
