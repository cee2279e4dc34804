//! The tables of statements.

use std::{fs, path::Path};

use crate::failure::Failure;

/// A table: what the suite calls it, and where what it says stands.
#[derive(Debug)]
pub(super) struct Table {
    /// The title in the suite's report.
    pub(super) suite: &'static str,
    /// The heading on the page.
    pub(super) title: &'static str,
    /// The file below `crates/mqtt-conformance/data`.
    file: &'static str,
    /// The columns that say what is asked for.
    columns: &'static [&'static str],
    /// How the files of its tests begin, below `crates/mqtt-conformance/src`.
    pub(super) tests: &'static str,
    /// Whether ids of 3.1.1 are meant; 5.0 gives other statements the same ids.
    pub(super) is_v311: bool,
}

/// A statement of a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) id: String,
    /// What it asks for, in our words.
    pub(super) text: String,
}

/// Every table, in the order of the page.
pub(super) const TABLES: [Table; 6] = [
    Table {
        suite: "MQTT 3.1 differences",
        title: "MQTT 3.1, where it differs from 3.1.1",
        file: "mqtt-3.1-differences.tsv",
        columns: &["subject", "mqtt_3.1"],
        tests: "v31.rs",
        is_v311: false,
    },
    Table {
        suite: "MQTT 3.1.1",
        title: "MQTT 3.1.1",
        file: "mqtt-3.1.1-statements.tsv",
        columns: &["requirement_paraphrase"],
        tests: "v311/",
        is_v311: true,
    },
    Table {
        suite: "MQTT 5.0",
        title: "MQTT 5.0",
        file: "mqtt-5.0-statements.tsv",
        columns: &["requirement_paraphrase"],
        tests: "v5/",
        is_v311: false,
    },
    Table {
        suite: "MQTT 5.0 unnumbered",
        title: "MQTT 5.0, rules without an id",
        file: "mqtt-5.0-unnumbered-rules.tsv",
        columns: &["rule_paraphrase"],
        tests: "unnumbered/",
        is_v311: false,
    },
    Table {
        suite: "bad inputs",
        title: "Bad inputs and abuses",
        file: "bad-inputs.tsv",
        columns: &["input_or_abuse"],
        tests: "bad_inputs/",
        is_v311: false,
    },
    Table {
        suite: "stories",
        title: "Stories",
        file: "stories.tsv",
        columns: &["story"],
        tests: "stories/",
        is_v311: false,
    },
];

impl Table {
    /// The statements, in the order of the file.
    pub(super) fn read(&self, root: &Path) -> Result<Vec<Statement>, Failure> {
        let path = root.join("crates/mqtt-conformance/data").join(self.file);
        let failed = |error| Failure::new(format!("{}: {error}", path.display()));
        Ok(self.parse(&fs::read_to_string(&path).map_err(failed)?))
    }

    fn parse(&self, text: &str) -> Vec<Statement> {
        let mut lines = text.lines();
        let header: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
        let statement = |line: &str| {
            let cells: Vec<&str> = line.split('\t').collect();
            let cell = |name: &&str| {
                let at = header.iter().position(|column| column == name)?;
                cells.get(at).copied()
            };
            let parts: Vec<&str> = self.columns.iter().filter_map(cell).collect();
            Statement { id: (*cells.first().unwrap_or(&"")).to_owned(), text: parts.join(": ") }
        };
        lines.filter(|line| !line.is_empty()).map(statement).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::root;

    #[test]
    fn columns_are_found_by_name() {
        let [first, ..] = &TABLES;
        let text = "id\tsubject\tmqtt_3.1\tother\nX\tBridge\tNone\tmore\n";
        let expected = Statement { id: "X".to_owned(), text: "Bridge: None".to_owned() };
        assert_eq!(first.parse(text), [expected]);
    }

    #[test]
    fn every_table_is_read_and_says_something_about_each_id() {
        for table in &TABLES {
            let statements = table.read(&root()).unwrap();
            assert!(statements.len() > 20, "{}", table.title);
            assert!(statements.iter().all(|statement| !statement.text.is_empty()));
        }
    }
}
