//! The statement ids in the sources: each must exist in the tables of the standards.

use std::{collections::BTreeSet, sync::LazyLock};

use super::files::TrackedFile;

/// Every id there is, the two that the standard itself misprints included.
static KNOWN: LazyLock<BTreeSet<&str>> = LazyLock::new(|| {
    let tables = [
        include_str!("../../data/mqtt-3.1-differences.txt"),
        include_str!("../../data/mqtt-3.1.1-statements.txt"),
        include_str!("../../data/mqtt-5.0-statements.txt"),
        include_str!("../../data/mqtt-5.0-unnumbered-rules.txt"),
    ];
    tables.into_iter().flat_map(str::lines).collect()
});

/// How the ids of the tables begin; a digit follows.
const PREFIXES: &[&str] = &["MQTT-", "U5-", "D31-"];

/// The ids in a file that stand in no table.
pub(super) fn check(file: &TrackedFile) -> Vec<String> {
    // Tables of data quote misprints and drafts; sources and documents must not.
    if !file.is_rust() && !file.path.ends_with(".md") {
        return Vec::new();
    }
    let unknown = file.lines().flat_map(|(number, line)| {
        let ids = ids(line).into_iter().filter(|id| !KNOWN.contains(id));
        ids.map(move |id| (number, id))
    });
    let problem = |(number, id)| format!("{}:{number}: there is no statement {id}", file.path);
    unknown.map(problem).collect()
}

/// Everything in the line that looks like a statement id.
fn ids(line: &str) -> Vec<&str> {
    let starts = PREFIXES.iter().flat_map(|prefix| {
        line.match_indices(prefix).filter_map(|(at, _)| Some((line.get(at..)?, prefix.len())))
    });
    starts.filter_map(|(text, prefix)| id_at_start(text, prefix)).collect()
}

/// The id that `text` begins with, if a number follows the prefix and it is no version name.
fn id_at_start(text: &str, prefix: usize) -> Option<&str> {
    let number = text.get(prefix..)?;
    let is_part = |letter: char| letter.is_ascii_digit() || letter == '.' || letter == '-';
    let end = number.find(|letter| !is_part(letter)).unwrap_or(number.len());
    // "MQTT-3.1.2-11..15" names the first of several.
    let number = number.get(..end)?.split("..").next()?.trim_end_matches(['.', '-']);
    let id = text.get(..prefix + number.len())?;
    // "MQTT-5.0" and "MQTT-3.1.1" name a version, and "MQTT-3.3.1-*" a section.
    let is_version = id.starts_with("MQTT-") && !number.contains('-') && number.len() < 7;
    (!number.is_empty() && !is_version).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        check(&TrackedFile::new("a.rs", text.as_bytes().to_vec()))
    }

    /// Not written as one word, or this file would not pass its own check.
    fn id(rest: &str) -> String {
        format!("MQTT-{rest}")
    }

    #[test]
    fn an_id_that_does_not_exist_is_found() {
        let made_up = id("3.3.1-99");
        let found = problems(&format!("// fine\n// [{made_up}].\n"));
        assert_eq!(found, [format!("a.rs:2: there is no statement {made_up}")]);
    }

    #[test]
    fn ids_of_both_standards_are_known() {
        assert_eq!(problems("// [MQTT-3.3.1-4], MQTT-4.13.1-1 and (MQTT-1.5.3-1)."), [""; 0]);
    }

    #[test]
    fn the_misprints_of_the_standard_are_known_as_printed() {
        assert_eq!(problems("// [MQTT-3.1.2.7] [MQTT-3-8.3-4]"), [""; 0]);
        let corrected = id("3.1.2.77");
        assert_eq!(problems(&corrected), [format!("a.rs:1: there is no statement {corrected}")]);
    }

    #[test]
    fn names_of_versions_and_sections_are_no_ids() {
        assert_eq!(problems("MQTT-5.0, MQTT-3.1.1. MQTT-3.3.1-* MQTT-over-TCP"), [""; 0]);
    }

    #[test]
    fn rules_without_a_number_of_the_standard_are_checked_too() {
        assert_eq!(problems("U5-001 D31-01"), [""; 0]);
        let made_up = format!("U5-{}", 999);
        assert_eq!(problems(&made_up), [format!("a.rs:1: there is no statement {made_up}")]);
    }

    #[test]
    fn tables_of_data_may_quote_what_is_wrong() {
        let table = TrackedFile::new("a.tsv", id("4.2.0-1").into_bytes());
        assert_eq!(check(&table), [""; 0]);
        assert_eq!(problems(&id("4.2.0-1")).len(), 1);
    }

    #[test]
    fn of_several_ids_the_first_is_checked() {
        assert_eq!(problems("MQTT-3.1.2-11..15"), [""; 0]);
        assert_eq!(problems(&id("3.1.2-99..100")).len(), 1);
    }

    #[test]
    fn every_id_of_the_tables_is_recognised() {
        for id in KNOWN.iter() {
            assert_eq!(ids(&format!("[{id}]")), [*id]);
        }
    }
}
