//! The page: totals first, then a table per standard.

use std::{collections::BTreeSet, fmt::Write as _};

use super::{
    previous::Previous,
    sources::Sources,
    tables::{Statement, TABLES, Table},
    verdicts::{Verdict, Verdicts, cell},
};
use crate::{failure::Failure, process::root};

/// How the line that names mosquitto's version begins.
pub(super) const MOSQUITTO_LINE: &str = "- mosquitto: `";

/// How the line begins that tells of the last run at the catalogue's sizes.
pub(super) const FULL_LINE: &str = "- the last run with `--full --release`: ";

/// The title of the rows about bad inputs on a broker with the defaults.
const DEFAULTS: &str = "bad inputs, defaults";

/// What stands above the tables.
const HEAD: &str = include_str!("page.md");

/// One broker and what was found on it.
#[derive(Debug)]
pub(super) struct Column {
    /// Its name and version.
    pub(super) broker: String,
    pub(super) verdicts: Verdicts,
}

/// All that the page is made of.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) ours: Column,
    pub(super) theirs: Column,
    pub(super) sources: Sources,
    /// The line about the last run at the catalogue's sizes.
    pub(super) full: String,
    /// What is kept of the page as it is.
    pub(super) previous: Previous,
}

impl Page {
    /// The text of the page; fails where a statement has neither a test nor a reason for none.
    pub(super) fn render(&self) -> Result<String, Failure> {
        let mut text = HEAD.replace("{ours}", &self.ours.broker);
        text = text.replace("{theirs}", &format!("{MOSQUITTO_LINE}{}`", self.theirs.broker));
        text = text.replace("{totals}", &self.totals());
        text = text.replace("{full}", &self.full);
        text = text.replace("{defaults}", &self.defaults());
        let mut problems = Vec::new();
        for table in &TABLES {
            let _ = write!(text, "\n## {}\n\n", table.title);
            text.push_str("| id | statement | implemented in | test | surgemq | mosquitto |\n");
            text.push_str("|---|---|---|---|---|---|\n");
            for statement in table.read(&root())? {
                match self.row(table, &statement) {
                    Ok(row) => text.push_str(&row),
                    Err(problem) => problems.push(problem),
                }
            }
        }
        if problems.is_empty() { Ok(text) } else { Err(Failure::new(problems.join("; "))) }
    }

    fn totals(&self) -> String {
        let mut text = String::new();
        for table in &TABLES {
            let ours = |kind| self.ours.verdicts.count(table.suite, kind);
            let theirs = |kind| self.theirs.verdicts.count(table.suite, kind);
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                table.title,
                ours("client"),
                ours("pass"),
                ours("fail"),
                ours("not supported"),
                ours("not run"),
                theirs("pass"),
                theirs("fail"),
                theirs("not supported"),
                theirs("not run"),
            );
        }
        text.trim_end().to_owned()
    }

    /// What the run with the defaults of `surgemq serve` found.
    fn defaults(&self) -> String {
        let of = |kind| self.ours.verdicts.count(DEFAULTS, kind);
        let ids = |fits: &dyn Fn(&Verdict) -> bool| {
            let all = self.ours.verdicts.all().filter(|verdict| verdict.suite == DEFAULTS);
            let ids: BTreeSet<_> = all.filter(|v| fits(v)).map(|v| v.id.as_str()).collect();
            ids.into_iter().collect::<Vec<_>>().join(", ")
        };
        let not_run = ids(&|verdict| verdict.kind() == "not run");
        let own = ids(&|verdict| verdict.kind() == "pass" && !verdict.reason().is_empty());
        format!(
            "{} pass, {} fail, {} not run ({not_run}: about files or the start itself). These ask for \
             options, so what they are answered is not judged here: {own}.",
            of("pass"),
            of("fail"),
            of("not run"),
        )
    }

    fn row(&self, table: &Table, statement: &Statement) -> Result<String, String> {
        let id = &statement.id;
        let ours = self.ours.verdicts.on(table.suite, id);
        let [first, ..] = ours else {
            return Err(format!("{}: {id} has neither a test nor a reason for none", table.title));
        };
        let test = self.test(table, id, first)?;
        let implemented = self.sources.implemented(id, table.is_v311);
        let implemented = self.previous.implemented(table.suite, id, implemented);
        let theirs =
            cell(self.theirs.verdicts.on(table.suite, id), |verdict| match verdict.kind() {
                "client" => "–".to_owned(),
                kind => kind.to_owned(),
            });
        Ok(format!(
            "| {id} | {} | {} | {test} | {} | {} |\n",
            escape(&statement.text),
            lines(&implemented),
            escape(&cell(ours, Verdict::with_reason)),
            escape(&theirs),
        ))
    }

    /// Where the test is: in the suite, or among those of the client.
    fn test(&self, table: &Table, id: &str, verdict: &Verdict) -> Result<String, String> {
        if verdict.kind() == "client" {
            let tests = self.sources.client_tests(id, table.is_v311);
            if tests.is_empty() {
                return Err(format!("{}: no test of the client cites {id}", table.title));
            }
            return Ok(lines(&tests));
        }
        Ok(self.sources.suite_test(table.tests, id).map_or_else(String::new, |test| escape(&test)))
    }
}

fn lines(texts: &[String]) -> String {
    texts.iter().map(|text| escape(text)).collect::<Vec<_>>().join("<br>")
}

/// A text that says in a cell of a Markdown table what it says by itself.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => escaped.push_str("&lt;"),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' => escaped.extend(['\\', letter]),
            '\n' => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// The contrary, for paths.
pub(super) fn unescape(text: &str) -> String {
    text.replace('\\', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_cell_ends_it_or_is_taken_for_markup() {
        assert_eq!(escape("a|b <c> _d_"), "a\\|b &lt;c> \\_d\\_");
        assert_eq!(unescape(&escape("a/src/b_c.rs")), "a/src/b_c.rs");
    }

    #[test]
    fn a_statement_without_verdict_is_a_problem() {
        let column = || Column { broker: "x".to_owned(), verdicts: Verdicts::default() };
        let (sources, previous) = (Sources::default(), Previous::default());
        let full = String::new();
        let page = Page { ours: column(), theirs: column(), sources, full, previous };
        let problem = page.render().unwrap_err().to_string();
        assert!(problem.contains("MQTT 3.1.1: MQTT-1.5.3-1 has neither a test"), "{problem}");
    }

    #[test]
    fn what_binds_the_client_needs_a_test_of_the_client() {
        let known = Verdict::known("MQTT 5.0", "5.0", "MQTT-2.2.1-3", "client");
        let column =
            || Column { broker: "x".to_owned(), verdicts: [known.clone()].into_iter().collect() };
        let (sources, previous) = (Sources::default(), Previous::default());
        let full = String::new();
        let page = Page { ours: column(), theirs: column(), sources, full, previous };
        let problem = page.render().unwrap_err().to_string();
        assert!(problem.contains("no test of the client cites MQTT-2.2.1-3"), "{problem}");
    }
}
