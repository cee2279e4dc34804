//! Malformed Packets, wherever they stand.

use crate::harness::prelude::*;
use crate::shared::{connect, framing, publish, text};

pub(super) const TESTS: &[Test] = &[
    test("U5-001", u5_001),
    test("U5-002", u5_002),
    test("U5-003", u5_003),
    test("U5-004", u5_004),
    test("U5-005", u5_005),
    test("U5-006", u5_006).slow(),
    test("U5-007", u5_007),
    test("U5-008", u5_008),
    test("U5-048", u5_048),
];

/// [U5-001] Ill-formed UTF-8, surrogates or U+0000 in any packet (Malformed, 0x81).
fn u5_001(t: &Story) -> Done {
    text::ill_formed(t)?;
    text::with_nul(t)
}

/// [U5-002] Control characters U+0001-U+001F, U+007F-U+009F and non-characters may be treated as
/// malformed (free choice) (Malformed (MAY), 0x81).
fn u5_002(t: &Story) -> Done {
    // Free choice: either the text is accepted, or it is malformed.
    for character in ["\u{1}", "\u{1F}", "\u{7F}", "\u{9F}", "\u{FFFF}"] {
        let topic = t.topic(character);
        let mut peer = t.client("c")?;
        peer.send(&subscribe(t.version, 1, &Props::new(), &[(&topic, 0)]));
        peer.send_publish(Publish::new(&topic, "x"));
        if let Event::Packet(packet) = peer.event(seconds(5))? {
            match packet.content {
                Content::SubAck { .. } => {}
                Content::Disconnect { code: 0x80 | 0x81 | 0x8F | 0x90, .. } => peer.closed(&[])?,
                _ => fail!("a control character: got {}", packet.describe()),
            }
        }
    }
    Ok(())
}

/// [U5-003] Variable byte integer of more than 4 bytes (Malformed, 0x81).
fn u5_003(t: &Story) -> Done {
    t.offend(&[0x30, 0x80, 0x80, 0x80, 0x80, 0x01], &[0x81, 0x95])?;
    let length = Body::new().u16(1).raw([0x80, 0x80, 0x80, 0x80, 0x01]).text(t.topic("a")).u8(0);
    t.offend(&length.packet(0x82), MALFORMED)?;
    let five = Value::Raw(vec![0x80, 0x80, 0x80, 0x80, 0x01]);
    let id = Props::new().with(prop::SUBSCRIPTION_ID, five);
    t.offend(&subscribe(t.version, 1, &id, &[(&t.topic("a"), 0)]), MALFORMED)
}

/// [U5-004] Either half of a string pair breaks the string rules (Malformed, 0x81).
fn u5_004(t: &Story) -> Done {
    for props in [Props::new().user([0xFF], "v"), Props::new().user("n", [0xFF])] {
        t.refuse(&t.hello("c").with(|_| props.clone()), MALFORMED)?;
        t.offend(&Publish::new(t.topic("a"), "x").with(|_| props).bytes(t.version), MALFORMED)?;
    }
    Ok(())
}

/// [U5-005] Wrong fixed header flags (Malformed, 0x81).
fn u5_005(t: &Story) -> Done {
    framing::wrong_flags(t)
}

/// [U5-006] Property id not permitted for the packet type, unknown id, or value of the wrong type
/// (Malformed, 0x81).
fn u5_006(t: &Story) -> Done {
    for (name, permitted, send) in PLACES {
        for id in (0x01..=0x2A).chain([0x7F]).filter(|id| !permitted.contains(id)) {
            if let Err(Stop::Fail(reason)) = send(t, &sample(id)) {
                fail!("property {id:02X} in {name}: {reason}");
            }
        }
    }
    Ok(())
}

/// [U5-007] Reserved connect flag set (Malformed, 0x81).
fn u5_007(t: &Story) -> Done {
    connect::flags(t, &[0x03])
}

/// [U5-008] Will QoS 3 (Malformed, 0x81).
fn u5_008(t: &Story) -> Done {
    connect::will_qos_3(t)
}

/// [U5-048] PUBLISH QoS 3 (Malformed, 0x81).
fn u5_048(t: &Story) -> Done {
    publish::qos_3(t)
}

type Send = fn(&Story, &Props) -> Done;

/// Each place for properties that a client can reach, and the properties that belong there
/// (table 2-4 of the standard).
const PLACES: &[(&str, &[u8], Send)] = &[
    ("CONNECT", &[0x11, 0x15, 0x16, 0x17, 0x19, 0x21, 0x22, 0x26, 0x27], |t, props| {
        t.refuse(&t.hello("c").with(|_| props.clone()), MALFORMED)
    }),
    ("the will", &[0x01, 0x02, 0x03, 0x08, 0x09, 0x18, 0x26], |t, props| {
        let will = Will::new(t.topic("w"), "x").props(props.clone());
        t.refuse(&t.hello("c").will(will), MALFORMED)
    }),
    // A Subscription Identifier is a property of PUBLISH, though not for a client.
    ("PUBLISH", &[0x01, 0x02, 0x03, 0x08, 0x09, 0x0B, 0x23, 0x26], |t, props| {
        let publish = Publish::new(t.topic("a"), "x").with(|_| props.clone());
        t.offend(&publish.bytes(t.version), MALFORMED)
    }),
    ("PUBACK", &[0x1F, 0x26], |t, props| acknowledge(t, 0x40, props)),
    ("PUBREC", &[0x1F, 0x26], |t, props| acknowledge(t, 0x50, props)),
    ("PUBREL", &[0x1F, 0x26], |t, props| acknowledge(t, 0x62, props)),
    ("PUBCOMP", &[0x1F, 0x26], |t, props| acknowledge(t, 0x70, props)),
    ("SUBSCRIBE", &[0x0B, 0x26], |t, props| {
        t.offend(&subscribe(t.version, 1, props, &[(&t.topic("a"), 0)]), MALFORMED)
    }),
    ("UNSUBSCRIBE", &[0x26], |t, props| {
        let body = Body::new().u16(1).raw(props.block()).text(t.topic("a"));
        t.offend(&body.packet(0xA2), MALFORMED)
    }),
    // A Server Reference is a property of DISCONNECT, though not for a client.
    ("DISCONNECT", &[0x11, 0x1C, 0x1F, 0x26], |t, props| {
        t.offend(&Body::new().u8(0).raw(props.block()).packet(0xE0), MALFORMED)
    }),
];

fn acknowledge(t: &Story, first: u8, props: &Props) -> Done {
    t.offend(&Body::new().u16(9).u8(0).raw(props.block()).packet(first), MALFORMED)
}

/// The property with a value of its type; unknown ids get one byte.
fn sample(id: u8) -> Props {
    let value = match id {
        0x02 | 0x11 | 0x18 | 0x27 => Value::Four(1),
        0x13 | 0x21 | 0x22 | 0x23 => Value::Two(1),
        0x0B => Value::Var(1),
        0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1A | 0x1C | 0x1F => Value::Text(b"x".to_vec()),
        0x26 => Value::Pair(b"n".to_vec(), b"v".to_vec()),
        _ => Value::Byte(1),
    };
    Props::new().with(id, value)
}
