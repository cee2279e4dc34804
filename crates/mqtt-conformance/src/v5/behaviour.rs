//! Section 4: sessions, QoS, order, topics.

use crate::harness::prelude::*;
use crate::shared::{delivery, order, qos, session, text, topics, will};

pub(super) const TESTS: &[Test] = &[
    test("MQTT-4.1.0-1", mqtt5_4_1_0_1).slow(),
    test("MQTT-4.1.0-2", mqtt5_4_1_0_2).slow(),
    test("MQTT-4.2-1", mqtt5_4_2_1),
    test("MQTT-4.3.1-1", mqtt5_4_3_1_1).passive(),
    test("MQTT-4.3.2-1", mqtt5_4_3_2_1),
    test("MQTT-4.3.2-2", mqtt5_4_3_2_2).passive(),
    test("MQTT-4.3.2-3", mqtt5_4_3_2_3),
    test("MQTT-4.3.2-4", mqtt5_4_3_2_4),
    test("MQTT-4.3.2-5", mqtt5_4_3_2_5),
    test("MQTT-4.3.3-1", mqtt5_4_3_3_1),
    test("MQTT-4.3.3-2", mqtt5_4_3_3_2).passive(),
    test("MQTT-4.3.3-3", mqtt5_4_3_3_3),
    test("MQTT-4.3.3-4", mqtt5_4_3_3_4),
    test("MQTT-4.3.3-5", mqtt5_4_3_3_5),
    test("MQTT-4.3.3-6", mqtt5_4_3_3_6),
    test("MQTT-4.3.3-7", mqtt5_4_3_3_7).slow(),
    test("MQTT-4.3.3-8", mqtt5_4_3_3_8),
    test("MQTT-4.3.3-9", mqtt5_4_3_3_9).with(Profile::Acl),
    test("MQTT-4.3.3-10", mqtt5_4_3_3_10),
    test("MQTT-4.3.3-11", mqtt5_4_3_3_11),
    test("MQTT-4.3.3-12", mqtt5_4_3_3_12),
    test("MQTT-4.3.3-13", mqtt5_4_3_3_13).slow(),
    test("MQTT-4.4.0-1", mqtt5_4_4_0_1).slow(),
    test("MQTT-4.4.0-2", mqtt5_4_4_0_2),
    test("MQTT-4.5.0-1", mqtt5_4_5_0_1),
    test("MQTT-4.6.0-1", mqtt5_4_6_0_1),
    test("MQTT-4.6.0-5", mqtt5_4_6_0_5),
    test("MQTT-4.6.0-6", mqtt5_4_6_0_6),
    test("MQTT-4.7.0-1", mqtt5_4_7_0_1),
    test("MQTT-4.7.1-1", mqtt5_4_7_1_1),
    test("MQTT-4.7.1-2", mqtt5_4_7_1_2),
    test("MQTT-4.7.2-1", mqtt5_4_7_2_1),
    test("MQTT-4.7.3-1", mqtt5_4_7_3_1),
    test("MQTT-4.7.3-2", mqtt5_4_7_3_2),
    test("MQTT-4.7.3-3", mqtt5_4_7_3_3),
    test("MQTT-4.7.3-4", mqtt5_4_7_3_4),
];

/// [MQTT-4.1.0-1] State is kept while connected.
fn mqtt5_4_1_0_1(t: &Story) -> Done {
    session::lasts_while_connected(t)
}

/// [MQTT-4.1.0-2] State is dropped when disconnected and the expiry ran out.
fn mqtt5_4_1_0_2(t: &Story) -> Done {
    let later = t.hello("changed").resume().expiry(60);
    t.connect(&t.hello("short").resume().expiry(1))?.disconnect();
    t.connect(&t.hello("none").resume())?.disconnect();
    t.connect(&t.hello("long").resume().expiry(u32::MAX))?.disconnect();
    let mut changed = t.connect(&later)?;
    let expiry = Props::new().four(prop::SESSION_EXPIRY, 1);
    changed.send(&Body::new().u8(0).raw(expiry.block()).packet(0xE0));
    changed.closed(&[])?;
    t.wait(seconds(4));
    for (suffix, expected) in
        [("short", false), ("none", false), ("long", true), ("changed", false)]
    {
        let peer = t.connect(&t.hello(suffix).resume())?;
        same!(peer.session_present, expected, "session present of '{suffix}' after 4 s");
    }
    Ok(())
}

/// [MQTT-4.2-1] Some ordered, lossless, two-way byte stream transport is supported. (Appendix B
/// prints 4.2.0-1.).
fn mqtt5_4_2_1(t: &Story) -> Done {
    t.client("c")?.ping()
}

/// [MQTT-4.3.1-1] QoS 0 sender: QoS 0, DUP 0.
fn mqtt5_4_3_1_1(t: &Story) -> Done {
    delivery::passive(t)
}

/// [MQTT-4.3.2-1] QoS 1 sender: unused id per message.
fn mqtt5_4_3_2_1(t: &Story) -> Done {
    crate::shared::ids::of_the_server(t)
}

/// [MQTT-4.3.2-2] QoS 1 sender: first PUBLISH has QoS 1, DUP 0.
fn mqtt5_4_3_2_2(t: &Story) -> Done {
    session::keeps_messages(t)?;
    t.passive_if_any("QoS 1 in a new session")
}

/// [MQTT-4.3.2-3] QoS 1 sender: unacknowledged until PUBACK.
fn mqtt5_4_3_2_3(t: &Story) -> Done {
    qos::sender_1(t)
}

/// [MQTT-4.3.2-4] QoS 1 receiver: PUBACK with the id, owning the message.
fn mqtt5_4_3_2_4(t: &Story) -> Done {
    session::resumes(t)
}

/// [MQTT-4.3.2-5] QoS 1 receiver: after PUBACK the same id is a new message.
fn mqtt5_4_3_2_5(t: &Story) -> Done {
    qos::receiver_1(t)
}

/// [MQTT-4.3.3-1] QoS 2 sender: unused id per message.
fn mqtt5_4_3_3_1(t: &Story) -> Done {
    let topic = t.topic("two");
    let mut peer = t.observer("c", &topic)?;
    for index in 0..10 {
        t.tell(Publish::new(&topic, format!("{index}")).qos(2))?;
    }
    let ids: Vec<u16> = (0..10).map(|_| Ok(peer.receive()?.id)).collect::<Done<_>>()?;
    let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
    same!(distinct.len(), 10, "distinct ids");
    Ok(())
}

/// [MQTT-4.3.3-2] QoS 2 sender: first PUBLISH has QoS 2, DUP 0.
fn mqtt5_4_3_3_2(t: &Story) -> Done {
    delivery::passive(t)
}

/// [MQTT-4.3.3-3] QoS 2 sender: unacknowledged until PUBREC.
fn mqtt5_4_3_3_3(t: &Story) -> Done {
    qos::sender_2(t)
}

/// [MQTT-4.3.3-4] QoS 2 sender: PUBREL with the id on PUBREC below 0x80 (none on an error
/// PUBREC).
fn mqtt5_4_3_3_4(t: &Story) -> Done {
    let topic = t.topic("a");
    let mut peer = t.observer("c", &topic)?;
    t.tell(Publish::new(&topic, "good").qos(2))?;
    let good = peer.receive()?;
    peer.send(&Body::new().u16(good.id).u8(0x10).packet(0x50));
    peer.ack(6, good.id)?;
    peer.answer(7, good.id);
    t.tell(Publish::new(&topic, "bad").qos(2))?;
    let bad = peer.receive()?;
    peer.answer_error(5, bad.id, 0x87);
    peer.quiet()
}

/// [MQTT-4.3.3-5] QoS 2 sender: PUBREL unacknowledged until PUBCOMP.
fn mqtt5_4_3_3_5(t: &Story) -> Done {
    qos::sender_2(t)
}

/// [MQTT-4.3.3-6] QoS 2 sender: no PUBLISH after its PUBREL.
fn mqtt5_4_3_3_6(t: &Story) -> Done {
    qos::sender_2(t)
}

/// [MQTT-4.3.3-7] QoS 2 sender: no expiry once PUBLISH was sent.
fn mqtt5_4_3_3_7(t: &Story) -> Done {
    let topic = t.topic("a");
    let mut peer = t.durable("c")?;
    peer.listen(&topic, 2)?;
    let publish =
        |text: &str| Publish::new(&topic, text).qos(2).with(|p| p.four(prop::MESSAGE_EXPIRY, 1));
    t.tell(publish("sent"))?;
    t.tell(publish("released"))?;
    let sent = peer.receive()?;
    let released = peer.receive()?;
    peer.answer(5, released.id);
    peer.ack(6, released.id)?;
    t.wait(seconds(3));
    drop(peer);
    let mut peer = t.connect(&t.hello("c").durable())?;
    peer.ack(6, released.id)?;
    peer.answer(7, released.id);
    let again = peer.receive()?;
    same!((again.id, again.dup), (sent.id, true), "id and DUP of the delivery that was begun");
    peer.complete(&again)
}

/// [MQTT-4.3.3-8] QoS 2 receiver: PUBREC with the id, owning the message.
fn mqtt5_4_3_3_8(t: &Story) -> Done {
    session::every_subscriber(t)
}

/// [MQTT-4.3.3-9] QoS 2 receiver: after PUBREC >= 0x80 the id is a new message.
fn mqtt5_4_3_3_9(t: &Story) -> Done {
    let topic = t.topic("a");
    let mut observer = t.observer("o", &topic)?;
    let mut peer = t.client("c")?;
    let denied = Publish::new(format!("denied/{}", t.unique), "never").qos(2).id(7);
    let code = peer.publish(denied)?;
    if code < 0x80 {
        return Err(Stop::NotSupported("the server takes what its rules deny".to_owned()));
    }
    peer.publish(Publish::new(&topic, "new").qos(2).id(7))?;
    observer.takes("new").map(drop)
}

/// [MQTT-4.3.3-10] QoS 2 receiver: repeats before PUBREL get PUBREC and no second delivery.
fn mqtt5_4_3_3_10(t: &Story) -> Done {
    qos::receiver_2(t)
}

/// [MQTT-4.3.3-11] QoS 2 receiver: PUBREL gets PUBCOMP with its id.
fn mqtt5_4_3_3_11(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    let id = peer.send_publish(Publish::new(t.topic("a"), "x").qos(2));
    peer.ack(5, id)?;
    same!(peer.release(id)?, 0, "the code for a known id");
    for unknown in [id, 4321] {
        // That the id is the same is the statement; 0x92 is the better code, but not demanded.
        let code = peer.release(unknown)?;
        ensure!([0, 0x92].contains(&code), "PUBCOMP for an unknown id has the code {code:02X}");
    }
    Ok(())
}

/// [MQTT-4.3.3-12] QoS 2 receiver: after PUBCOMP the id is new.
fn mqtt5_4_3_3_12(t: &Story) -> Done {
    let topic = t.topic("a");
    let mut observer = t.observer("o", &topic)?;
    let mut peer = t.client("c")?;
    for round in ["one", "two", "three"] {
        peer.publish(Publish::new(&topic, round).qos(2).id(7))?;
        observer.takes(round)?;
    }
    observer.quiet()
}

/// [MQTT-4.3.3-13] QoS 2 receiver: the handshake goes on even if the message expired.
fn mqtt5_4_3_3_13(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    let publish = Publish::new(t.topic("a"), "x").qos(2);
    let id = peer.send_publish(publish.with(|p| p.four(prop::MESSAGE_EXPIRY, 1)));
    peer.ack(5, id)?;
    t.wait(seconds(3));
    same!(peer.release(id)?, 0, "the code of PUBCOMP");
    Ok(())
}

/// [MQTT-4.4.0-1] Resume: re-send unacked PUBLISH (QoS>0) and PUBREL with original ids; at no
/// other time.
fn mqtt5_4_4_0_1(t: &Story) -> Done {
    qos::resends_all(t)?;
    qos::not_on_a_live_connection(&Story { unique: t.client_id("x"), ..t.clone() })
}

/// [MQTT-4.4.0-2] PUBACK/PUBREC >= 0x80 ends it: no re-send.
fn mqtt5_4_4_0_2(t: &Story) -> Done {
    let topic = t.topic("a");
    let mut peer = t.durable("c")?;
    peer.listen(&topic, 2)?;
    for qos in [1, 2] {
        t.tell(Publish::new(&topic, "x").qos(qos))?;
        let got = peer.receive()?;
        peer.answer_error(3 + qos, got.id, 0x80);
    }
    peer.ping()?;
    drop(peer);
    t.connect(&t.hello("c").durable())?.quiet()
}

/// [MQTT-4.5.0-1] An owned message is added to every matching client's state.
fn mqtt5_4_5_0_1(t: &Story) -> Done {
    session::every_subscriber(t)
}

/// [MQTT-4.6.0-1] Re-sends keep the order.
fn mqtt5_4_6_0_1(t: &Story) -> Done {
    order::of_resends(t)
}

/// [MQTT-4.6.0-5] Ordered topic: per publisher, topic and QoS in order of receipt.
fn mqtt5_4_6_0_5(t: &Story) -> Done {
    order::of_delivery(t)?;
    order::of_pubrels(t)?;
    order::of_acks(t, 1, 4)?;
    order::of_acks(t, 2, 5)
}

/// [MQTT-4.6.0-6] Every topic is ordered by default for non-shared subscriptions.
fn mqtt5_4_6_0_6(t: &Story) -> Done {
    order::of_delivery(t)
}

/// [MQTT-4.7.0-1] Wildcards in filters only.
fn mqtt5_4_7_0_1(t: &Story) -> Done {
    crate::shared::publish::wildcards(t)?;
    will::bad_topic(t, &t.topic("+"), &[0x81, 0x82, 0x90])?;
    will::bad_topic(t, &t.topic("#"), &[0x81, 0x82, 0x90])
}

/// [MQTT-4.7.1-1] '#' alone or after '/', and last.
fn mqtt5_4_7_1_1(t: &Story) -> Done {
    topics::multi_level(t)
}

/// [MQTT-4.7.1-2] '+' fills a whole level.
fn mqtt5_4_7_1_2(t: &Story) -> Done {
    topics::single_level(t)
}

/// [MQTT-4.7.2-1] A leading wildcard does not match '$' topics.
fn mqtt5_4_7_2_1(t: &Story) -> Done {
    topics::dollar(t)
}

/// [MQTT-4.7.3-1] At least one character (unless a topic alias stands in for the topic).
fn mqtt5_4_7_3_1(t: &Story) -> Done {
    topics::empty(t)
}

/// [MQTT-4.7.3-2] No U+0000.
fn mqtt5_4_7_3_2(t: &Story) -> Done {
    text::no_nul_in_topics(t)
}

/// [MQTT-4.7.3-3] At most 65,535 bytes.
fn mqtt5_4_7_3_3(t: &Story) -> Done {
    topics::longest(t)
}

/// [MQTT-4.7.3-4] No normalisation when matching.
fn mqtt5_4_7_3_4(t: &Story) -> Done {
    text::no_normalisation(t)
}
