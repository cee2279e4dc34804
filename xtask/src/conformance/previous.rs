//! What the page says already: mosquitto's verdicts, and where a statement is implemented.
//!
//! Both are kept when the page is only checked: mosquitto need not be installed, and a new mention
//! of an id somewhere does not make the page wrong.

use std::{collections::BTreeMap, fs, io::ErrorKind, path::Path};

use super::{
    page::{Column, FULL_LINE, MOSQUITTO_LINE, unescape},
    tables::TABLES,
    verdicts::{KINDS, Verdict, Verdicts},
};
use crate::failure::Failure;

/// The cells of a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Row {
    implemented: Vec<String>,
    mosquitto: String,
}

/// What the page says already.
#[derive(Clone, Debug, Default)]
pub(super) struct Previous {
    text: String,
    /// By table and id.
    rows: BTreeMap<(&'static str, String), Row>,
}

impl Previous {
    /// The page; an empty one where there is none yet.
    pub(super) fn read(path: &Path) -> Result<Self, Failure> {
        match fs::read_to_string(path) {
            Ok(text) => Ok(Self::parse(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(Failure::new(format!("{}: {error}", path.display()))),
        }
    }

    fn parse(text: String) -> Self {
        let mut rows = BTreeMap::new();
        let mut suite = "";
        for line in text.lines() {
            if let Some(title) = line.strip_prefix("## ") {
                suite = TABLES.iter().find(|table| table.title == title).map_or("", |t| t.suite);
            }
            let cells = line.trim_start_matches("| ").trim_end_matches(" |").split(" | ");
            if let [id, _, implemented, _, _, mosquitto] = cells.collect::<Vec<_>>().as_slice() {
                let paths = implemented.split("<br>").filter(|path| !path.is_empty());
                let implemented = paths.map(unescape).collect();
                let row = Row { implemented, mosquitto: (*mosquitto).to_owned() };
                rows.insert((suite, (*id).to_owned()), row);
            }
        }
        Self { text, rows }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The line about the last run at the catalogue's sizes.
    pub(super) fn full_line(&self) -> String {
        let line = self.text.lines().find(|line| line.starts_with(FULL_LINE));
        line.map_or_else(|| format!("{FULL_LINE}none yet"), str::to_owned)
    }

    /// Mosquitto's verdicts, for the same statements and versions as ours.
    pub(super) fn mosquitto(&self, ours: &Verdicts) -> Column {
        let broker = self.text.lines().find_map(|line| line.strip_prefix(MOSQUITTO_LINE));
        let broker = broker.and_then(|rest| rest.split('`').next()).unwrap_or("mosquitto");
        let broker = broker.to_owned();
        let verdicts = ours.all().filter_map(|verdict| self.known(verdict)).collect();
        Column { broker, verdicts }
    }

    fn known(&self, ours: &Verdict) -> Option<Verdict> {
        let row = self.rows.iter().find(|((suite, id), _)| *suite == ours.suite && *id == ours.id);
        let (_, row) = row?;
        let word = word(&row.mosquitto, &ours.version)?;
        Some(Verdict::known(&ours.suite, &ours.version, &ours.id, word))
    }

    /// The files named on the page, where each of them is still right; otherwise those of today.
    pub(super) fn implemented(
        &self,
        suite: &'static str,
        id: &str,
        now: Vec<String>,
    ) -> Vec<String> {
        match self.rows.get(&(suite, id.to_owned())) {
            Some(row) if row.implemented.iter().all(|path| now.contains(path)) => {
                row.implemented.clone()
            }
            _ => now,
        }
    }
}

/// The verdict on one version in a cell of one or more.
fn word(cell: &str, version: &str) -> Option<&'static str> {
    let of_version = |part: &&str| part.split_once(": ").is_none_or(|(of, _)| of == version);
    let part = cell.split(", ").find(of_version)?;
    let word = part.split_once(": ").map_or(part, |(_, word)| word);
    KINDS.into_iter().find(|kind| *kind == word).or((word == "–").then_some("client"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Previous {
        let rows = "\
## MQTT 5.0

| U5-001 | words | a/src/a\\_b.rs<br>a/src/c.rs | v5/a.rs: f | pass | 3.1.1: pass, 5.0: not run |
";
        Previous::parse(rows.to_owned())
    }

    #[test]
    fn the_verdict_of_the_version_is_found() {
        let ours = |version| Verdict::known("MQTT 5.0", version, "U5-001", "pass");
        let known = |version| page().known(&ours(version)).map(|known| known.kind().to_owned());
        assert_eq!(known("3.1.1").as_deref(), Some("pass"));
        assert_eq!(known("5.0").as_deref(), Some("not run"));
        assert_eq!(word("fail", "5.0"), Some("fail"));
        assert_eq!(word("–", "5.0"), Some("client"));
    }

    #[test]
    fn the_name_of_mosquitto_ends_where_its_quotes_do() {
        let text = format!("{MOSQUITTO_LINE}mosquitto 2.0.11`, as the distribution has it");
        let broker = Previous::parse(text).mosquitto(&Verdicts::default()).broker;
        assert_eq!(broker, "mosquitto 2.0.11");
    }

    #[test]
    fn a_path_that_is_no_longer_right_is_replaced_and_a_new_one_alone_is_not_missed() {
        let now = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
        let kept =
            page().implemented("MQTT 5.0", "U5-001", now(&["a/src/a_b.rs", "a/src/c.rs", "new"]));
        assert_eq!(kept, ["a/src/a_b.rs", "a/src/c.rs"]);
        assert_eq!(page().implemented("MQTT 5.0", "U5-001", now(&["new"])), ["new"]);
    }
}
