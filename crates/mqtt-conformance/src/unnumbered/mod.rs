//! The error rules of MQTT 5.0 that carry no id (U5-001 to U5-081).

mod connect;
mod malformed;
mod publish;
mod subscribe;

use crate::catalogue::OF_THE_CLIENT;
use crate::harness::test::Test;

/// Every test of this table.
pub(crate) fn tests() -> Vec<Test> {
    [malformed::TESTS, connect::TESTS, publish::TESTS, subscribe::TESTS].concat()
}

/// Rules without a test here, by reason.
pub(crate) const WAITING: &[(&str, &[&str])] = &[(
    OF_THE_CLIENT,
    &[
        "U5-012", "U5-016", "U5-026", "U5-027", "U5-028", "U5-030", "U5-032", "U5-034", "U5-035",
        "U5-036", "U5-037", "U5-039", "U5-041", "U5-043", "U5-044", "U5-045", "U5-046", "U5-047",
        "U5-054", "U5-056", "U5-068", "U5-070", "U5-074", "U5-079",
    ],
)];
