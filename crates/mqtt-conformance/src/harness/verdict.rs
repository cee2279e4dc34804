//! How a test ends.

/// Why a test stopped before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The broker broke the statement: expected and got, in one line.
    Fail(String),
    /// The broker says that it does not have the feature.
    NotSupported(String),
    /// The test needs something that was not given.
    NotRun(String),
}

/// The result of a step or of a whole test.
pub(crate) type Done<T = ()> = Result<T, Stop>;

/// The four verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// The statement holds in every case tried.
    Pass,
    /// The statement is broken.
    Fail,
    /// The broker announced that it lacks the feature.
    NotSupported,
    /// A configuration was missing.
    NotRun,
}

impl Verdict {
    /// The word that stands in the table and in the JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NotSupported => "not supported",
            Self::NotRun => "not run",
        }
    }
}

/// Fails the test unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($reason:tt)+) => {
        let holds: bool = $condition;
        if !holds {
            return Err($crate::harness::verdict::Stop::Fail(format!($($reason)+)));
        }
    };
}

/// Fails the test.
macro_rules! fail {
    ($($reason:tt)+) => {
        return Err($crate::harness::verdict::Stop::Fail(format!($($reason)+)))
    };
}

/// Fails the test unless both values are the same; names what was compared.
macro_rules! same {
    ($got:expr, $expected:expr, $($what:tt)+) => {{
        match (&$got, &$expected) {
            (got, expected) => {
                if got != expected {
                    return Err($crate::harness::verdict::Stop::Fail(format!(
                        "{}: expected {expected:02X?}, got {got:02X?}", format!($($what)+)
                    )));
                }
            }
        }
    }};
}

pub(crate) use {ensure, fail, same};
