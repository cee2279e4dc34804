//! What the suite found on one broker.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::failure::Failure;

/// How the reason begins with which the suite leaves a statement to the tests of the client.
const OF_THE_CLIENT: &str = "binds the client";

/// The four words of the suite, and what stands for the statements that bind the client.
pub(super) const KINDS: [&str; 5] = ["pass", "fail", "not supported", "not run", "client"];

/// One test, or the reason why there is none.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(super) struct Verdict {
    pub(super) suite: String,
    pub(super) version: String,
    pub(super) id: String,
    verdict: String,
    #[serde(default)]
    reason: String,
}

impl Verdict {
    /// A verdict that was read from the page.
    pub(super) fn known(suite: &str, version: &str, id: &str, verdict: &str) -> Self {
        let [suite, version, id, verdict] = [suite, version, id, verdict].map(str::to_owned);
        Self { suite, version, id, verdict, reason: String::new() }
    }

    /// What the suite says beside the word.
    pub(super) fn reason(&self) -> &str {
        &self.reason
    }

    /// One of [`KINDS`].
    pub(super) fn kind(&self) -> &str {
        if self.reason.starts_with(OF_THE_CLIENT) { "client" } else { &self.verdict }
    }

    /// The verdict, and why where the reason is one of ours.
    pub(super) fn with_reason(&self) -> String {
        match self.kind() {
            kind @ ("not run" | "not supported") if !self.reason.is_empty() => {
                format!("{kind}: {}", self.reason)
            }
            kind => kind.to_owned(),
        }
    }
}

/// All that was found on one broker.
#[derive(Clone, Debug, Default)]
pub(super) struct Verdicts(BTreeMap<(String, String), Vec<Verdict>>);

impl Verdicts {
    /// What stands in the JSON of the suite.
    pub(super) fn parse(json: &str) -> Result<Self, Failure> {
        let rows: Vec<Verdict> = serde_json::from_str(json)
            .map_err(|error| Failure::new(format!("the report of the suite: {error}")))?;
        Ok(rows.into_iter().collect())
    }

    /// The verdicts on a statement, one per version that was spoken.
    pub(super) fn on(&self, suite: &str, id: &str) -> &[Verdict] {
        self.0.get(&(suite.to_owned(), id.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// Every verdict, by table and id.
    pub(super) fn all(&self) -> impl Iterator<Item = &Verdict> {
        self.0.values().flatten()
    }

    /// How many verdicts of a table are of this kind.
    pub(super) fn count(&self, suite: &str, kind: &str) -> usize {
        let of_suite = self.all().filter(|verdict| verdict.suite == suite);
        of_suite.filter(|verdict| verdict.kind() == kind).count()
    }
}

impl FromIterator<Verdict> for Verdicts {
    fn from_iter<I: IntoIterator<Item = Verdict>>(verdicts: I) -> Self {
        let mut map: BTreeMap<_, Vec<Verdict>> = BTreeMap::new();
        for verdict in verdicts {
            map.entry((verdict.suite.clone(), verdict.id.clone())).or_default().push(verdict);
        }
        Self(map)
    }
}

/// Several verdicts in one cell: a single word where all versions agree.
pub(super) fn cell(verdicts: &[Verdict], text: impl Fn(&Verdict) -> String) -> String {
    let texts: Vec<String> = verdicts.iter().map(&text).collect();
    match texts.as_slice() {
        [] => String::new(),
        [first, rest @ ..] if rest.iter().all(|other| other == first) => first.clone(),
        _ => {
            let each = verdicts.iter().zip(&texts);
            let each = each.map(|(verdict, text)| format!("{}: {text}", verdict.version));
            each.collect::<Vec<_>>().join(", ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_agree_share_a_word() {
        let on = |version, verdict| Verdict::known("bad inputs", version, "A01", verdict);
        let text = |verdict: &Verdict| verdict.kind().to_owned();
        assert_eq!(cell(&[on("3.1.1", "pass"), on("5.0", "pass")], text), "pass");
        let both = cell(&[on("3.1.1", "pass"), on("5.0", "fail")], text);
        assert_eq!(both, "3.1.1: pass, 5.0: fail");
    }

    #[test]
    fn what_binds_the_client_is_counted_apart() {
        let json = r#"[
            {"suite": "MQTT 5.0", "version": "5.0", "id": "X", "verdict": "not run",
             "reason": "binds the client: its own tests prove it", "millis": 0},
            {"suite": "MQTT 5.0", "version": "5.0", "id": "Y", "verdict": "not run",
             "reason": "needs a TLS listener", "millis": 0}]"#;
        let verdicts = Verdicts::parse(json).unwrap();
        assert_eq!(
            (verdicts.count("MQTT 5.0", "client"), verdicts.count("MQTT 5.0", "not run")),
            (1, 1)
        );
        let [y] = verdicts.on("MQTT 5.0", "Y") else { panic!("one verdict") };
        assert_eq!(y.with_reason(), "not run: needs a TLS listener");
    }
}
