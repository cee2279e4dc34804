//! Every statement of the tables and the test that proves it, or the reason why there is none.

use crate::harness::test::Test;
use crate::harness::version::Version;
use crate::{bad_inputs, stories, unnumbered, v5, v31, v311};

/// Why a statement that binds the client has no test here.
pub(crate) const OF_THE_CLIENT: &str = "binds the client: its own tests prove it";

/// The tables of statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Suite {
    /// The differences of MQTT 3.1.
    V31,
    /// The statements of MQTT 3.1.1.
    V311,
    /// The statements of MQTT 5.0.
    V5,
    /// The rules of MQTT 5.0 that have no id.
    Unnumbered,
    /// Bad inputs and abuses.
    BadInputs,
    /// The same on a broker with the defaults of `surgemq serve`.
    Defaults,
    /// Stories that other suites tell.
    Stories,
}

impl Suite {
    /// As it stands in the report; the order of the titles is the order of the report.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::V31 => "MQTT 3.1 differences",
            Self::V311 => "MQTT 3.1.1",
            Self::V5 => "MQTT 5.0",
            Self::Unnumbered => "MQTT 5.0 unnumbered",
            Self::BadInputs => "bad inputs",
            Self::Defaults => "bad inputs, defaults",
            Self::Stories => "stories",
        }
    }
}

/// A test with the version that it speaks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case {
    pub(crate) suite: Suite,
    pub(crate) version: Version,
    pub(crate) test: Test,
}

/// Every test, once per version.
pub(crate) fn cases() -> Vec<Case> {
    let suites: [(Suite, Version, Vec<Test>); 6] = [
        (Suite::V31, Version::V31, v31::tests()),
        (Suite::V311, Version::V311, v311::tests()),
        (Suite::V5, Version::V5, v5::tests()),
        (Suite::Unnumbered, Version::V5, unnumbered::tests()),
        (Suite::BadInputs, Version::V5, bad_inputs::tests()),
        (Suite::Stories, Version::V5, stories::tests()),
    ];
    let mut cases = Vec::new();
    for (suite, version, tests) in suites {
        for test in tests {
            let own = [version];
            let versions = if test.versions.is_empty() { &own } else { test.versions };
            cases.extend(versions.iter().map(|&version| Case { suite, version, test }));
        }
    }
    cases
}

/// Statements without a test here, with the reason.
pub(crate) fn waiting() -> Vec<(Suite, Version, &'static str, &'static str)> {
    let mut all = Vec::new();
    for (suite, version, list) in [
        (Suite::V31, Version::V31, v31::WAITING),
        (Suite::V311, Version::V311, v311::WAITING),
        (Suite::V5, Version::V5, v5::WAITING),
        (Suite::Unnumbered, Version::V5, unnumbered::WAITING),
        (Suite::BadInputs, Version::V5, bad_inputs::WAITING),
        (Suite::Stories, Version::V5, stories::WAITING),
    ] {
        for (reason, ids) in list {
            all.extend(ids.iter().map(|id| (suite, version, *id, *reason)));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const TABLES: [(Suite, &str); 6] = [
        (Suite::V31, include_str!("../data/mqtt-3.1-differences.tsv")),
        (Suite::V311, include_str!("../data/mqtt-3.1.1-statements.tsv")),
        (Suite::V5, include_str!("../data/mqtt-5.0-statements.tsv")),
        (Suite::Unnumbered, include_str!("../data/mqtt-5.0-unnumbered-rules.tsv")),
        (Suite::BadInputs, include_str!("../data/bad-inputs.tsv")),
        (Suite::Stories, include_str!("../data/stories.tsv")),
    ];

    fn table(text: &str) -> BTreeSet<&str> {
        text.lines().skip(1).filter_map(|line| line.split('\t').next()).collect()
    }

    #[test]
    fn the_tables_are_whole() {
        let counts: Vec<_> = TABLES.iter().map(|(_, text)| table(text).len()).collect();
        assert_eq!(counts, [26, 141, 251, 81, 174, 31]);
    }

    #[test]
    fn every_statement_has_a_test_or_a_reason() {
        for (suite, text) in TABLES {
            let mut known: BTreeSet<_> =
                cases().iter().filter(|c| c.suite == suite).map(|c| c.test.id).collect();
            known.extend(waiting().iter().filter(|w| w.0 == suite).map(|w| w.2));
            let missing: Vec<_> =
                table(text).into_iter().filter(|id| !known.contains(id)).collect();
            assert!(missing.is_empty(), "{}: neither test nor reason: {missing:?}", suite.title());
        }
    }

    #[test]
    fn every_test_and_every_reason_is_of_a_statement() {
        for (suite, text) in TABLES {
            let table = table(text);
            let tests = cases().into_iter().filter(|c| c.suite == suite).map(|c| c.test.id);
            let reasons = waiting().into_iter().filter(|w| w.0 == suite).map(|w| w.2);
            let unknown: Vec<_> = tests.chain(reasons).filter(|id| !table.contains(id)).collect();
            assert!(unknown.is_empty(), "{}: not in the table: {unknown:?}", suite.title());
        }
    }

    #[test]
    fn no_statement_is_listed_twice() {
        let mut seen = BTreeSet::new();
        for case in cases() {
            assert!(seen.insert((case.suite, case.version, case.test.id)), "{}", case.test.id);
        }
        for (suite, _, id, _) in waiting() {
            let tested = seen.iter().any(|(other, _, each)| *other == suite && *each == id);
            assert!(!tested, "{id} has a test and a reason for none");
        }
    }

    #[test]
    fn what_a_socket_can_test_is_not_put_off_as_a_matter_for_the_client() {
        for (suite, text) in
            TABLES.iter().filter(|(suite, _)| matches!(suite, Suite::V311 | Suite::V5))
        {
            for line in text.lines().skip(1) {
                let columns: Vec<_> = line.split('\t').collect();
                let waits = waiting()
                    .iter()
                    .any(|w| w.0 == *suite && w.2 == columns[0] && w.3.contains("client"));
                assert!(!waits || columns[6] == "client", "{}", columns[0]);
            }
        }
    }
}
