//! Where the sources and the tests speak of a statement.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::tables::TABLES;
use crate::failure::Failure;

/// The crates that are no part of the product: their sources implement nothing.
const DEVELOPMENT_ONLY: [&str; 2] = ["mqtt-conformance", "mqtt-testkit"];

/// The crates whose tests may prove what binds the client.
const CLIENT_CRATES: [&str; 3] = ["mqtt-client", "mqtt-session", "mqtt-packet"];

/// Follows an id that is meant as one of 3.1.1, where 5.0 has another statement of the same id.
const ONLY_V311: &str = " of 3.1.1";

/// An id, and whether it was marked as one of 3.1.1.
type Mention = (String, bool);

/// Where the sources and the tests speak of each statement.
#[derive(Debug, Default)]
pub(super) struct Sources {
    implemented: BTreeMap<Mention, BTreeSet<String>>,
    client_tests: BTreeMap<Mention, BTreeSet<String>>,
    /// Where the suite's tests are: id, file and function.
    suite: Vec<(String, String, String)>,
}

impl Sources {
    /// Reads every source file of the crates.
    pub(super) fn read(root: &Path) -> Result<Self, Failure> {
        let mut sources = Self::default();
        let crates = root.join("crates");
        for name in names(&crates)? {
            for (path, text) in rust_files(&crates.join(&name), "src")? {
                if name == "mqtt-conformance" {
                    sources.add_suite(path.trim_start_matches("src/"), &text);
                } else if !DEVELOPMENT_ONLY.contains(&name.as_str()) {
                    sources.add_source(&format!("{name}/{path}"), &text);
                }
            }
        }
        for name in CLIENT_CRATES {
            for (path, text) in rust_files(&crates.join(name), "tests/it")? {
                sources.add_tests(name, path.trim_start_matches("tests/it/"), &text);
            }
        }
        Ok(sources)
    }

    /// The source files that cite the statement, as paths below `crates`.
    pub(super) fn implemented(&self, id: &str, is_v311: bool) -> Vec<String> {
        places(&self.implemented, id, is_v311)
    }

    /// The test functions of the client and the crates below it that cite the statement.
    pub(super) fn client_tests(&self, id: &str, is_v311: bool) -> Vec<String> {
        places(&self.client_tests, id, is_v311)
    }

    /// The suite's test of a statement, file and function: in the files of the table, or in one that
    /// serves several tables.
    pub(super) fn suite_test(&self, prefix: &str, id: &str) -> Option<String> {
        let of_id = || self.suite.iter().filter(|(other, _, _)| other == id);
        let own = of_id().find(|(_, path, _)| path.starts_with(prefix));
        let is_shared = |path: &str| !TABLES.iter().any(|table| path.starts_with(table.tests));
        let (_, path, function) = own.or_else(|| of_id().find(|(_, path, _)| is_shared(path)))?;
        Some(format!("{path}: {function}"))
    }

    fn add_source(&mut self, path: &str, text: &str) {
        if path.contains("/tests/") || path.ends_with("/tests.rs") {
            return;
        }
        let code = text.split_once("#[cfg(test)]\nmod tests").map_or(text, |(code, _)| code);
        for mention in code.lines().flat_map(mentions) {
            self.implemented.entry(mention).or_default().insert(path.to_owned());
        }
    }

    fn add_suite(&mut self, path: &str, text: &str) {
        for (_, rest) in
            text.match_indices("test(\"").filter_map(|(at, _)| text.get(at..)?.split_once('"'))
        {
            let Some((id, rest)) = rest.split_once('"') else { continue };
            let rest = rest.trim_start_matches(',').trim_start();
            let is_name = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
            let end = rest.find(|letter| !is_name(letter)).unwrap_or(rest.len());
            let function = rest.get(..end).unwrap_or_default();
            self.suite.push((id.to_owned(), path.to_owned(), function.to_owned()));
        }
    }

    fn add_tests(&mut self, name: &str, path: &str, text: &str) {
        let module = path.trim_end_matches(".rs").replace('/', "::");
        for (function, mention) in cited(text) {
            let test = [name, ": ", &module, function.as_deref().map_or("", |_| "::")].concat();
            let test = test + function.as_deref().unwrap_or_default();
            self.client_tests.entry(mention).or_default().insert(test);
        }
    }
}

fn places(map: &BTreeMap<Mention, BTreeSet<String>>, id: &str, is_v311: bool) -> Vec<String> {
    let marks: &[bool] = if is_v311 { &[false, true] } else { &[false] };
    let found = marks.iter().filter_map(|mark| map.get(&(id.to_owned(), *mark)));
    found.flatten().cloned().collect::<BTreeSet<_>>().into_iter().collect()
}

/// The ids in a line.
fn mentions(line: &str) -> Vec<Mention> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '.' || letter == '-';
    let mut found = Vec::new();
    let mut rest = line;
    while let Some(start) = rest.find(is_part) {
        let word = rest.get(start..).unwrap_or_default();
        let end = word.find(|letter| !is_part(letter)).unwrap_or(word.len());
        let (word, after) = word.split_at(end);
        // "MQTT-3.1.2-11..15" names the first of several.
        let id = word.split("..").next().unwrap_or_default().trim_end_matches(['.', '-']);
        if looks_like_id(id) {
            let is_marked = after.trim_start_matches(']').starts_with(ONLY_V311);
            found.push((id.to_owned(), is_marked));
        }
        rest = after;
    }
    found
}

fn looks_like_id(word: &str) -> bool {
    let is_bad_input = || {
        let mut letters = word.chars();
        let is_group = letters.next().is_some_and(|letter| ('A'..='G').contains(&letter));
        is_group && word.len() == 3 && letters.all(|letter| letter.is_ascii_digit())
    };
    ["MQTT-", "U5-", "D31-"].iter().any(|prefix| word.starts_with(prefix)) || is_bad_input()
}

/// The ids in a file of tests with the test function that they stand in or above; none where they
/// stand at the head of the file and speak of all of it.
fn cited(text: &str) -> Vec<(Option<String>, Mention)> {
    let mut found = Vec::new();
    let mut waiting = Vec::new();
    let mut is_test = false;
    let mut end = String::new();
    let mut inside: Option<String> = None;
    for line in text.lines() {
        let code = line.trim_start();
        if code.starts_with("//!") {
            found.extend(mentions(line).into_iter().map(|mention| (None, mention)));
            continue;
        }
        is_test |= code.starts_with("#[test]") || code.starts_with("#[tokio::test");
        if let Some(name) = function(code) {
            end = format!("{}}}", " ".repeat(line.len() - code.len()));
            inside = is_test.then_some(name);
            is_test = false;
        }
        waiting.extend(mentions(line));
        if let Some(name) = &inside {
            found.extend(waiting.drain(..).map(|mention| (Some(name.clone()), mention)));
        }
        if line == end {
            inside = None;
            waiting.clear();
        }
    }
    found
}

/// The name of the function that begins in the line.
fn function(code: &str) -> Option<String> {
    let rest = code.strip_prefix("async ").unwrap_or(code).strip_prefix("fn ")?;
    let name = rest.split(['(', '<']).next()?;
    Some(name.to_owned())
}

/// Every Rust file below a folder of a crate, as a path in the crate, in order.
fn rust_files(package: &Path, folder: &str) -> Result<Vec<(String, String)>, Failure> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for name in names(&package.join(&folder))? {
            let path = format!("{folder}/{name}");
            let full = package.join(&path);
            if full.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") {
                let text = fs::read_to_string(&full).map_err(|error| unreadable(&full, &error))?;
                files.push((path, text));
            }
        }
    }
    files.sort();
    Ok(files)
}

/// What is in a folder, in order; nothing if there is none.
fn names(folder: &Path) -> Result<Vec<String>, Failure> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
        let entry = entry.map_err(|error| unreadable(folder, &error))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_may_be_marked_as_one_of_3_1_1() {
        let found = mentions("// [MQTT-3.1.3-7] of 3.1.1, U5-056; and F05 but not 0xF05.");
        let expected = [("MQTT-3.1.3-7", true), ("U5-056", false), ("F05", false)];
        assert_eq!(found, expected.map(|(id, mark)| (id.to_owned(), mark)));
    }

    #[test]
    fn a_marked_id_is_none_of_5_0() {
        let mut sources = Sources::default();
        sources.add_source("a.rs", "// [MQTT-3.1.3-7] of 3.1.1\n// [MQTT-3.1.3-7]: other\n");
        sources.add_source("b.rs", "// [MQTT-3.1.3-7] of 3.1.1\n");
        assert_eq!(sources.implemented("MQTT-3.1.3-7", true), ["a.rs", "b.rs"]);
        assert_eq!(sources.implemented("MQTT-3.1.3-7", false), ["a.rs"]);
    }

    #[test]
    fn tests_inside_a_source_implement_nothing() {
        let mut sources = Sources::default();
        sources.add_source("a.rs", "fn f() {}\n#[cfg(test)]\nmod tests {\n// U5-001\n}\n");
        assert!(sources.implemented("U5-001", false).is_empty());
    }

    #[test]
    fn an_id_belongs_to_the_test_that_it_stands_in_or_above() {
        let text = "\
// U5-001
#[test]
fn above() {
}

fn helper() {
    // U5-002
}

#[tokio::test]
async fn within() {
    // U5-003
}
";
        let mut sources = Sources::default();
        sources.add_tests("mqtt-client", "streams.rs", text);
        assert_eq!(sources.client_tests("U5-001", false), ["mqtt-client: streams::above"]);
        assert!(sources.client_tests("U5-002", false).is_empty());
        assert_eq!(sources.client_tests("U5-003", false), ["mqtt-client: streams::within"]);
    }

    #[test]
    fn a_test_of_the_suite_is_found_in_its_table() {
        let mut sources = Sources::default();
        sources.add_suite("v311/a.rs", "    test(\"X\", old::way).slow(),\n");
        sources.add_suite("v5/a.rs", "    test(\n        \"X\",\n        new,\n    ),\n");
        sources.add_suite("v5/b.rs", "    test(\"X\", new_way),\n");
        assert_eq!(sources.suite_test("v311/", "X").as_deref(), Some("v311/a.rs: old::way"));
        assert_eq!(sources.suite_test("v5/", "X").as_deref(), Some("v5/b.rs: new_way"));
        assert_eq!(sources.suite_test("v31.rs", "X"), None);
        sources.add_suite("websocket.rs", "    test(\"X\", for_all),\n");
        assert_eq!(sources.suite_test("v31.rs", "X").as_deref(), Some("websocket.rs: for_all"));
    }
}
