//! Sections 1.5 and 2: data types, fixed headers, packet identifiers, property lengths.

use crate::harness::prelude::*;
use crate::shared::{delivery, framing, ids, text};

pub(super) const TESTS: &[Test] = &[
    test("MQTT-1.5.4-1", mqtt5_1_5_4_1),
    test("MQTT-1.5.4-2", mqtt5_1_5_4_2),
    test("MQTT-1.5.4-3", mqtt5_1_5_4_3),
    test("MQTT-1.5.5-1", mqtt5_1_5_5_1),
    test("MQTT-1.5.7-1", mqtt5_1_5_7_1),
    test("MQTT-2.1.3-1", mqtt5_2_1_3_1),
    test("MQTT-2.2.1-2", mqtt5_2_2_1_2),
    test("MQTT-2.2.1-4", mqtt5_2_2_1_4),
    test("MQTT-2.2.1-5", mqtt5_2_2_1_5),
    test("MQTT-2.2.1-6", mqtt5_2_2_1_6),
    test("MQTT-2.2.2-1", mqtt5_2_2_2_1),
];

/// [MQTT-1.5.4-1] Text fields are strict UTF-8 without surrogates (else Malformed Packet, by
/// 1.5.4 prose and 4.13).
fn mqtt5_1_5_4_1(t: &Story) -> Done {
    text::ill_formed(t)
}

/// [MQTT-1.5.4-2] No U+0000 in a text field.
fn mqtt5_1_5_4_2(t: &Story) -> Done {
    text::with_nul(t)
}

/// [MQTT-1.5.4-3] EF BB BF is an ordinary character and is never stripped.
fn mqtt5_1_5_4_3(t: &Story) -> Done {
    text::byte_order_mark(t)?;
    let topic = t.topic("property");
    let mut observer = t.observer("o", &topic)?;
    let marked = "\u{FEFF}x";
    t.tell(Publish::new(&topic, "x").with(|p| p.user(marked, marked)))?;
    let expected = Props::new().user(marked, marked);
    same!(observer.takes("x")?.props, expected, "the user property");
    Ok(())
}

/// [MQTT-1.5.5-1] Variable byte integers use the shortest form.
fn mqtt5_1_5_5_1(t: &Story) -> Done {
    let overlong = Body::new().u16(1).raw([0x80, 0x00]).text(t.topic("a")).u8(0);
    t.offend(&overlong.packet(0x82), MALFORMED)?;
    let id = Props::new().with(prop::SUBSCRIPTION_ID, Value::Raw(vec![0x81, 0x00]));
    t.offend(&subscribe(t.version, 1, &id, &[(&t.topic("a"), 0)]), MALFORMED)?;
    t.offend(&[0xC0, 0x80, 0x00], MALFORMED)?;
    let body = Body::new().text(t.topic("a")).u8(0).raw("x").bytes();
    let length = u8::try_from(body.len()).unwrap_or(0) | 0x80;
    t.offend(&Body::new().raw([0x30, length, 0x80, 0x00]).raw(body).bytes(), MALFORMED)
}

/// [MQTT-1.5.7-1] Both halves of a string pair obey the string rules.
fn mqtt5_1_5_7_1(t: &Story) -> Done {
    for bad in text::ILL_FORMED {
        for props in [Props::new().user(bad, "v"), Props::new().user("n", bad)] {
            t.refuse(&t.hello("c").with(|_| props.clone()), MALFORMED)?;
            let publish = Publish::new(t.topic("a"), "x").with(|_| props.clone());
            t.offend(&publish.bytes(t.version), MALFORMED)?;
            t.offend(&subscribe(t.version, 1, &props, &[("a", 0)]), MALFORMED)?;
            t.offend(&Body::new().u8(0).raw(props.block()).packet(0xE0), MALFORMED)?;
        }
    }
    Ok(())
}

/// [MQTT-2.1.3-1] Reserved flag bits hold the fixed value (else Malformed Packet).
fn mqtt5_2_1_3_1(t: &Story) -> Done {
    framing::wrong_flags(t)
}

/// [MQTT-2.2.1-2] QoS 0 PUBLISH has no packet id.
fn mqtt5_2_2_1_2(t: &Story) -> Done {
    delivery::qos_0_has_no_id(t)
}

/// [MQTT-2.2.1-4] A server gives each new QoS>0 PUBLISH an unused non-zero id.
fn mqtt5_2_2_1_4(t: &Story) -> Done {
    ids::of_the_server(t)?;
    ids::zero(t)
}

/// [MQTT-2.2.1-5] PUBACK, PUBREC, PUBREL, PUBCOMP carry the PUBLISH's id.
fn mqtt5_2_2_1_5(t: &Story) -> Done {
    ids::acks_carry_it(t)
}

/// [MQTT-2.2.1-6] SUBACK and UNSUBACK carry the request's id.
fn mqtt5_2_2_1_6(t: &Story) -> Done {
    ids::subacks_carry_it(t)
}

/// [MQTT-2.2.2-1] No properties means an explicit property length of 0.
fn mqtt5_2_2_2_1(t: &Story) -> Done {
    let without = Body::new().u16(1).text("ab").u8(0);
    t.offend(&without.packet(0x82), EITHER)?;
    t.offend(&Body::new().u16(1).text("ab").packet(0xA2), EITHER)?;
    t.offend(&Body::new().text(t.topic("a")).packet(0x30), EITHER)
}
