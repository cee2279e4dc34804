//! What a run found.

use std::fmt::Write as _;
use std::time::Duration;

use super::verdict::Verdict;

/// What a run found.
#[derive(Debug)]
pub struct Report {
    /// One row per test and version.
    pub rows: Vec<Row>,
    /// How long the run took.
    pub elapsed: Duration,
}

/// The verdict on one statement.
#[derive(Debug)]
pub struct Row {
    /// The table that the statement stands in.
    pub suite: &'static str,
    /// The protocol version that was spoken.
    pub version: &'static str,
    /// The statement's id.
    pub id: &'static str,
    /// How the test ended.
    pub(crate) verdict: Verdict,
    /// Why, in one line; empty for a pass.
    pub reason: String,
    /// How long the test took.
    pub millis: u64,
}

impl Row {
    /// `pass`, `fail`, `not supported` or `not run`.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        self.verdict.word()
    }
}

impl Report {
    /// Whether no statement was found broken.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.rows.iter().all(|row| row.verdict != Verdict::Fail)
    }

    /// A line per test, a summary line per table, and at the end the failures, where they are seen.
    /// `all`: the passes as well.
    #[must_use]
    pub fn table(&self, all: bool) -> String {
        let (failed, others): (Vec<_>, Vec<_>) =
            self.rows.iter().partition(|row| row.verdict == Verdict::Fail);
        let printed = others.into_iter().filter(|row| all || row.verdict != Verdict::Pass);
        let before: String = printed.map(Row::line).collect();
        let failures: String = failed.into_iter().map(Row::line).collect();
        before + &self.summary() + &failures
    }

    /// A line per table and one for the time.
    fn summary(&self) -> String {
        let mut text = String::new();
        let mut suites: Vec<_> = self.rows.iter().map(|row| row.suite).collect();
        suites.dedup();
        for suite in suites {
            let count = |verdict| {
                self.rows.iter().filter(|row| row.suite == suite && row.verdict == verdict).count()
            };
            let _ = writeln!(
                text,
                "{suite:<22} {:>4} pass {:>4} fail {:>4} not supported {:>4} not run",
                count(Verdict::Pass),
                count(Verdict::Fail),
                count(Verdict::NotSupported),
                count(Verdict::NotRun)
            );
        }
        let _ = writeln!(text, "{:.1} s", self.elapsed.as_secs_f64());
        text
    }

    /// The rows as a JSON array.
    #[must_use]
    pub fn json(&self) -> String {
        let rows: Vec<String> = self.rows.iter().map(Row::json).collect();
        format!("[\n{}\n]\n", rows.join(",\n"))
    }
}

impl Row {
    fn line(&self) -> String {
        let Self { id, version, verdict, reason, .. } = self;
        format!("{id:<15} {version:<6} {:<13} {reason}\n", verdict.word())
    }

    fn json(&self) -> String {
        format!(
            r#"  {{"suite": {}, "version": {}, "id": {}, "verdict": {}, "reason": {}, "millis": {}}}"#,
            quoted(self.suite),
            quoted(self.version),
            quoted(self.id),
            quoted(self.verdict.word()),
            quoted(&self.reason),
            self.millis
        )
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: &'static str, verdict: Verdict) -> Row {
        let reason = "a \"b\"\n".to_owned();
        Row { suite: "MQTT 5.0", version: "5.0", id, verdict, reason, millis: 1 }
    }

    #[test]
    fn a_single_failure_makes_the_report_unclean() {
        let mut report =
            Report { rows: vec![row("X", Verdict::Pass)], elapsed: Duration::default() };
        assert!(report.is_clean());
        report.rows.push(row("Y", Verdict::Fail));
        assert!(!report.is_clean());
        assert!(report.table(false).contains("1 pass    1 fail"));
    }

    #[test]
    fn failures_are_the_last_lines() {
        let rows =
            vec![row("X", Verdict::Fail), row("Y", Verdict::NotRun), row("Z", Verdict::Fail)];
        let text = Report { rows, elapsed: Duration::default() }.table(false);
        let ids: Vec<_> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(ids, ["Y", "MQTT", "0.0", "X", "Z"], "{text}");
    }

    #[test]
    fn json_is_escaped() {
        let json = row("X", Verdict::Fail).json();
        assert!(json.contains(r#""reason": "a \"b\"\u000a""#), "{json}");
    }
}
