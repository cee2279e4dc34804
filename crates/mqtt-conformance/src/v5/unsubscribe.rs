//! Sections 3.10 to 3.15: UNSUBSCRIBE, PINGREQ, DISCONNECT, AUTH.

use crate::harness::prelude::*;
use crate::shared::{connect, delivery, framing, ids, subscribe, unsubscribe};

pub(super) const TESTS: &[Test] = &[
    test("MQTT-3.10.1-1", mqtt5_3_10_1_1),
    test("MQTT-3.10.3-1", mqtt5_3_10_3_1),
    test("MQTT-3.10.3-2", mqtt5_3_10_3_2),
    test("MQTT-3.10.4-1", mqtt5_3_10_4_1),
    test("MQTT-3.10.4-2", mqtt5_3_10_4_2),
    test("MQTT-3.10.4-3", mqtt5_3_10_4_3),
    test("MQTT-3.10.4-4", mqtt5_3_10_4_4),
    test("MQTT-3.10.4-5", mqtt5_3_10_4_5),
    test("MQTT-3.10.4-6", mqtt5_3_10_4_6),
    test("MQTT-3.11.3-1", mqtt5_3_11_3_1),
    test("MQTT-3.11.3-2", mqtt5_3_11_3_2).passive(),
    test("MQTT-3.12.4-1", mqtt5_3_12_4_1),
    test("MQTT-3.14.0-1", mqtt5_3_14_0_1),
    test("MQTT-3.14.1-1", mqtt5_3_14_1_1),
    test("MQTT-3.14.2-1", mqtt5_3_14_2_1),
    test("MQTT-3.14.2-2", mqtt5_3_14_2_2).passive(),
    test("MQTT-3.14.4-1", mqtt5_3_14_4_1),
    test("MQTT-3.14.4-2", mqtt5_3_14_4_2),
    test("MQTT-3.15.1-1", mqtt5_3_15_1_1),
];

/// [MQTT-3.10.1-1] UNSUBSCRIBE flags are 0010, else malformed and close.
fn mqtt5_3_10_1_1(t: &Story) -> Done {
    framing::unsubscribe_flags(t)
}

/// [MQTT-3.10.3-1] Filters are UTF-8.
fn mqtt5_3_10_3_1(t: &Story) -> Done {
    subscribe::bad_text(t)
}

/// [MQTT-3.10.3-2] At least one filter.
fn mqtt5_3_10_3_2(t: &Story) -> Done {
    unsubscribe::no_filter(t)
}

/// [MQTT-3.10.4-1] Character-by-character comparison; exact match is deleted.
fn mqtt5_3_10_4_1(t: &Story) -> Done {
    unsubscribe::exact_match(t)?;
    let topic = t.topic("shared");
    let shared = format!("$share/g/{topic}");
    let mut peer = t.client("s")?;
    peer.needs(prop::SHARED_AVAILABLE, "shared subscriptions")?;
    peer.listen(&shared, 1)?;
    same!(peer.unsubscribe(&[&topic])?, vec![0x11], "the code for the inner filter");
    t.say(&topic, "still")?;
    peer.takes("still")?;
    same!(peer.unsubscribe(&[&shared])?, vec![0x00], "the code for the shared filter");
    t.say(&topic, "no more")?;
    peer.quiet()
}

/// [MQTT-3.10.4-2] No new messages are queued afterwards.
fn mqtt5_3_10_4_2(t: &Story) -> Done {
    unsubscribe::nothing_new(t)
}

/// [MQTT-3.10.4-3] Begun QoS 1/2 deliveries are completed.
fn mqtt5_3_10_4_3(t: &Story) -> Done {
    unsubscribe::begun_is_completed(t)
}

/// [MQTT-3.10.4-4] UNSUBACK is sent.
fn mqtt5_3_10_4_4(t: &Story) -> Done {
    ids::subacks_carry_it(t)
}

/// [MQTT-3.10.4-5] Same packet id, also if nothing was deleted (reason 0x11).
fn mqtt5_3_10_4_5(t: &Story) -> Done {
    unsubscribe::always_answered(t)
}

/// [MQTT-3.10.4-6] Many filters like many UNSUBSCRIBEs with one UNSUBACK.
fn mqtt5_3_10_4_6(t: &Story) -> Done {
    unsubscribe::many_filters(t)
}

/// [MQTT-3.11.3-1] Reasons in filter order.
fn mqtt5_3_11_3_1(t: &Story) -> Done {
    let [a, b] = ["a", "b"].map(|name| t.topic(name));
    let mut peer = t.client("c")?;
    peer.listen(&a, 0)?;
    peer.listen(&b, 0)?;
    same!(peer.unsubscribe(&[&a, "unknown", &b])?, vec![0x00, 0x11, 0x00], "the codes");
    same!(peer.unsubscribe(&[&a])?, vec![0x11], "the code the second time");
    Ok(())
}

/// [MQTT-3.11.3-2] UNSUBACK reasons come from the table.
fn mqtt5_3_11_3_2(t: &Story) -> Done {
    delivery::passive(t)
}

/// [MQTT-3.12.4-1] PINGREQ gets PINGRESP.
fn mqtt5_3_12_4_1(t: &Story) -> Done {
    framing::pings(t)
}

/// [MQTT-3.14.0-1] No DISCONNECT before a CONNACK below 0x80.
fn mqtt5_3_14_0_1(t: &Story) -> Done {
    connect::cut_or_longer(t)?;
    connect::flags(t, &[0x03, 0x0A, 0x1E, 0x82])?;
    t.refuse(&t.hello("v").protocol("MQTT", 6), &[0x84, 0x01])?;
    connect::comes_first(t)
}

/// [MQTT-3.14.1-1] DISCONNECT flags must be 0; else DISCONNECT 0x81.
fn mqtt5_3_14_1_1(t: &Story) -> Done {
    framing::disconnect_flags(t)
}

/// [MQTT-3.14.2-1] DISCONNECT reasons come from the table and fit the sender.
fn mqtt5_3_14_2_1(t: &Story) -> Done {
    for code in [0x01, 0x8B, 0x8E, 0x9D, 0xFF] {
        // A DISCONNECT ends the connection in any case; that this one is none shows by the will.
        let topic = t.topic(&format!("will{code}"));
        let mut observer = t.observer("o", &topic)?;
        let mut peer = t.connect(&t.hello("c").will(Will::new(&topic, "will")))?;
        peer.send(&[0xE0, 1, code]);
        peer.closed(EITHER)?;
        observer.takes("will")?;
    }
    Ok(())
}

/// [MQTT-3.14.2-2] Server's DISCONNECT has no Session Expiry Interval.
fn mqtt5_3_14_2_2(t: &Story) -> Done {
    t.offend(&[0x00, 0x00], EITHER)?;
    t.passive_if_any("DISCONNECT")
}

/// [MQTT-3.14.4-1] Nothing is sent after DISCONNECT.
fn mqtt5_3_14_4_1(t: &Story) -> Done {
    let topic = t.topic("after");
    let mut observer = t.observer("o", &topic)?;
    let mut bytes = vec![0xE0, 0x00];
    bytes.extend(Publish::new(&topic, "never").bytes(t.version));
    let mut peer = t.client("c")?;
    peer.send(&bytes);
    peer.closed(&[])?;
    observer.quiet()?;
    // And the server: nothing comes behind its own DISCONNECT.
    t.offend(&[0x00, 0x00], EITHER)?;
    t.offend(&t.hello("again").bytes(), EITHER)
}

/// [MQTT-3.14.4-2] The sender closes the connection.
fn mqtt5_3_14_4_2(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    peer.send(&t.hello("c").bytes());
    peer.closed(&[])?;
    let mut peer = t.client("d")?;
    let mut taking = t.client("d")?;
    peer.closed(&[0x8E])?;
    taking.ping()
}

/// [MQTT-3.15.1-1] AUTH flags are 0, else malformed and close.
fn mqtt5_3_15_1_1(t: &Story) -> Done {
    let method = Props::new().text(prop::AUTH_METHOD, "x");
    for first in [0xF1, 0xF2, 0xF8] {
        t.offend(&Body::new().u8(0x18).raw(method.block()).packet(first), EITHER)?;
    }
    Ok(())
}
