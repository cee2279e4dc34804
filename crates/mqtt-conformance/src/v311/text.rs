//! Section 1.5.3: UTF-8 encoded strings.

use crate::harness::prelude::*;
use crate::shared::text;

pub(super) const TESTS: &[Test] = &[
    test("MQTT-1.5.3-1", mqtt311_1_5_3_1),
    test("MQTT-1.5.3-2", mqtt311_1_5_3_2),
    test("MQTT-1.5.3-3", mqtt311_1_5_3_3),
];

/// [MQTT-1.5.3-1] All text fields decode as strict UTF-8 without surrogates; a peer that gets a
/// packet with bad text drops the connection.
fn mqtt311_1_5_3_1(t: &Story) -> Done {
    text::ill_formed(t)
}

/// [MQTT-1.5.3-2] No text field may hold code point zero; on receipt the connection is dropped.
fn mqtt311_1_5_3_2(t: &Story) -> Done {
    text::with_nul(t)
}

/// [MQTT-1.5.3-3] EF BB BF is a normal character and must survive untouched, also at the start of
/// a string.
fn mqtt311_1_5_3_3(t: &Story) -> Done {
    text::byte_order_mark(t)
}
