//! Sections 3.4 to 3.7: PUBACK, PUBREC, PUBREL, PUBCOMP.

use crate::harness::prelude::*;
use crate::shared::framing;

pub(super) const TESTS: &[Test] = &[
    test("MQTT-3.4.2-1", mqtt5_3_4_2_1),
    test("MQTT-3.5.2-1", mqtt5_3_5_2_1),
    test("MQTT-3.6.1-1", mqtt5_3_6_1_1),
    test("MQTT-3.6.2-1", mqtt5_3_6_2_1),
    test("MQTT-3.7.2-1", mqtt5_3_7_2_1),
];

/// [MQTT-3.4.2-1] PUBACK reasons come from the table.
fn mqtt5_3_4_2_1(t: &Story) -> Done {
    let mut peer = one_delivery(t, 1)?;
    let id = peer.receive()?.id;
    peer.send(&Body::new().u16(id).u8(0x01).packet(0x40));
    peer.closed(EITHER)
}

/// [MQTT-3.5.2-1] PUBREC reasons come from the table.
fn mqtt5_3_5_2_1(t: &Story) -> Done {
    let mut peer = one_delivery(t, 2)?;
    let id = peer.receive()?.id;
    peer.send(&Body::new().u16(id).u8(0x01).packet(0x50));
    peer.closed(EITHER)
}

/// [MQTT-3.6.1-1] PUBREL flags are 0010, else malformed and close.
fn mqtt5_3_6_1_1(t: &Story) -> Done {
    framing::pubrel_flags(t)
}

/// [MQTT-3.6.2-1] PUBREL reason is 00 or 92.
fn mqtt5_3_6_2_1(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    let id = peer.send_publish(Publish::new(t.topic("a"), "x").qos(2));
    peer.ack(5, id)?;
    peer.send(&Body::new().u16(id).u8(0x10).packet(0x62));
    peer.closed(EITHER)
}

/// [MQTT-3.7.2-1] PUBCOMP reason is 00 or 92.
fn mqtt5_3_7_2_1(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    let code = peer.release(77)?;
    ensure!([0, 0x92].contains(&code), "PUBCOMP for an unknown id has the code {code:02X}");
    let mut peer = one_delivery(t, 2)?;
    let id = peer.receive()?.id;
    peer.answer(5, id);
    peer.ack(6, id)?;
    peer.send(&Body::new().u16(id).u8(0x10).packet(0x70));
    peer.closed(EITHER)
}

/// A subscriber to which one message was published at this QoS.
fn one_delivery(t: &Story, qos: u8) -> Done<Peer> {
    let topic = t.topic("delivery");
    let peer = t.observer("d", &topic)?;
    t.tell(Publish::new(&topic, "x").qos(qos))?;
    Ok(peer)
}
