//! What a client limits: Maximum Packet Size, Topic Alias Maximum, Receive Maximum.

use std::collections::BTreeMap;

use crate::harness::packet::Packet;
use crate::harness::prelude::*;

pub(super) const TESTS: &[Test] = &[
    test("MQTT-3.1.2-24", mqtt5_3_1_2_24),
    test("MQTT-3.1.2-25", mqtt5_3_1_2_25).slow(),
    test("MQTT-3.1.2-26", mqtt5_3_1_2_26),
    test("MQTT-3.1.2-27", mqtt5_3_1_2_27),
    test("MQTT-3.3.2-11", mqtt5_3_3_2_11),
    test("MQTT-3.3.4-9", mqtt5_3_3_4_9),
    test("MQTT-3.3.4-10", mqtt5_3_3_4_10),
    test("MQTT-4.9.0-1", mqtt5_4_9_0_1),
    test("MQTT-4.9.0-2", mqtt5_4_9_0_2),
    test("MQTT-4.9.0-3", mqtt5_4_9_0_3),
    test("MQTT-3.4.2-2", mqtt5_3_4_2_2).with(Profile::Acl),
    test("MQTT-3.4.2-3", mqtt5_3_4_2_3).with(Profile::Acl),
    test("MQTT-3.5.2-2", mqtt5_3_5_2_2).with(Profile::Acl),
    test("MQTT-3.5.2-3", mqtt5_3_5_2_3).with(Profile::Acl),
    test("MQTT-3.6.2-2", mqtt5_3_6_2_2),
    test("MQTT-3.6.2-3", mqtt5_3_6_2_3),
    test("MQTT-3.7.2-2", mqtt5_3_7_2_2),
    test("MQTT-3.7.2-3", mqtt5_3_7_2_3),
    test("MQTT-3.9.2-1", mqtt5_3_9_2_1).with(Profile::Acl),
    test("MQTT-3.9.2-2", mqtt5_3_9_2_2).with(Profile::Acl),
    test("MQTT-3.11.2-1", mqtt5_3_11_2_1),
    test("MQTT-3.11.2-2", mqtt5_3_11_2_2),
    test("MQTT-3.14.2-3", mqtt5_3_14_2_3),
    test("MQTT-3.14.2-4", mqtt5_3_14_2_4),
];

/// [MQTT-3.1.2-24] No packet larger than the client's Maximum Packet Size is sent.
fn mqtt5_3_1_2_24(t: &Story) -> Done {
    let topic = t.topic("a");
    t.tell(Publish::new(t.topic("kept"), "k".repeat(200)).qos(1).retain())?;
    let mut peer = t.connect(&t.hello("c").maximum_packet_size(64))?;
    peer.listen(&t.topic("#"), 2)?;
    for qos in 0..3 {
        t.tell(Publish::new(&topic, "x".repeat(200)).qos(qos))?;
        t.tell(Publish::new(&topic, "fits").qos(qos))?;
        peer.takes("fits")?;
    }
    peer.quiet()
}

/// [MQTT-3.1.2-25] A too large packet is dropped and treated as sent.
fn mqtt5_3_1_2_25(t: &Story) -> Done {
    let topic = t.topic("a");
    let mut peer = t.connect(&t.hello("c").maximum_packet_size(64).receive_maximum(1))?;
    peer.listen(&topic, 2)?;
    let mut publisher = t.client("p")?;
    for round in 0..50 {
        publisher.publish(Publish::new(&topic, "x".repeat(200)).qos(1 + round % 2))?;
    }
    publisher.publish(Publish::new(&topic, "fits").qos(1))?;
    peer.takes("fits")?;
    peer.quiet()
}

/// [MQTT-3.1.2-26] No alias above the client's Topic Alias Maximum.
fn mqtt5_3_1_2_26(t: &Story) -> Done {
    aliases_within(t, 2)
}

/// [MQTT-3.1.2-27] No aliases when the maximum is absent or 0.
fn mqtt5_3_1_2_27(t: &Story) -> Done {
    aliases_within(t, 0)
}

/// [MQTT-3.3.2-11] Server alias not above the client's maximum.
fn mqtt5_3_3_2_11(t: &Story) -> Done {
    aliases_within(t, 3)
}

/// [MQTT-3.3.4-9] Server keeps within the client's Receive Maximum.
fn mqtt5_3_3_4_9(t: &Story) -> Done {
    window(t, 1)?;
    window(t, 3)?;
    errors_free_slots(t)?;
    window_after_resume(t)
}

/// [MQTT-3.3.4-10] Server does not hold back other packets when the window is full.
fn mqtt5_3_3_4_10(t: &Story) -> Done {
    others_go_on(t)
}

/// [MQTT-4.9.0-1] Initial send quota is 1..Receive Maximum.
fn mqtt5_4_9_0_1(t: &Story) -> Done {
    window(t, 2)?;
    t.refuse(&t.hello("z").receive_maximum(0), PROTOCOL_ERROR)
}

/// [MQTT-4.9.0-2] Quota falls per QoS>0 PUBLISH; at 0 none is sent.
fn mqtt5_4_9_0_2(t: &Story) -> Done {
    window(t, 1)?;
    window(t, 5)
}

/// [MQTT-4.9.0-3] Other packets go on at quota 0.
fn mqtt5_4_9_0_3(t: &Story) -> Done {
    others_go_on(t)
}

/// [MQTT-3.4.2-2] PUBACK reason string must fit the receiver's Maximum Packet Size.
fn mqtt5_3_4_2_2(t: &Story) -> Done {
    fits(t, 4, prop::REASON_STRING, |peer| denied_publish(t, peer, 1))
}

/// [MQTT-3.4.2-3] PUBACK user properties likewise.
fn mqtt5_3_4_2_3(t: &Story) -> Done {
    fits(t, 4, prop::USER_PROPERTY, |peer| denied_publish(t, peer, 1))
}

/// [MQTT-3.5.2-2] PUBREC reason string must fit.
fn mqtt5_3_5_2_2(t: &Story) -> Done {
    fits(t, 5, prop::REASON_STRING, |peer| denied_publish(t, peer, 2))
}

/// [MQTT-3.5.2-3] PUBREC user properties must fit.
fn mqtt5_3_5_2_3(t: &Story) -> Done {
    fits(t, 5, prop::USER_PROPERTY, |peer| denied_publish(t, peer, 2))
}

/// [MQTT-3.6.2-2] PUBREL reason string must fit.
fn mqtt5_3_6_2_2(t: &Story) -> Done {
    fits(t, 6, prop::REASON_STRING, |peer| peer.send(&acknowledgement(5, 999)))
}

/// [MQTT-3.6.2-3] PUBREL user properties must fit.
fn mqtt5_3_6_2_3(t: &Story) -> Done {
    fits(t, 6, prop::USER_PROPERTY, |peer| peer.send(&acknowledgement(5, 999)))
}

/// [MQTT-3.7.2-2] PUBCOMP reason string must fit.
fn mqtt5_3_7_2_2(t: &Story) -> Done {
    fits(t, 7, prop::REASON_STRING, |peer| peer.send(&acknowledgement(6, 999)))
}

/// [MQTT-3.7.2-3] PUBCOMP user properties must fit.
fn mqtt5_3_7_2_3(t: &Story) -> Done {
    fits(t, 7, prop::USER_PROPERTY, |peer| peer.send(&acknowledgement(6, 999)))
}

/// [MQTT-3.9.2-1] SUBACK reason string must fit the client's maximum.
fn mqtt5_3_9_2_1(t: &Story) -> Done {
    fits(t, 9, prop::REASON_STRING, |peer| denied_subscribe(t, peer))
}

/// [MQTT-3.9.2-2] SUBACK user properties must fit.
fn mqtt5_3_9_2_2(t: &Story) -> Done {
    fits(t, 9, prop::USER_PROPERTY, |peer| denied_subscribe(t, peer))
}

/// [MQTT-3.11.2-1] UNSUBACK reason string must fit.
fn mqtt5_3_11_2_1(t: &Story) -> Done {
    fits(t, 11, prop::REASON_STRING, |peer| peer.send(&unsubscribe(t.version, 9, &["a/#/b"])))
}

/// [MQTT-3.11.2-2] UNSUBACK user properties must fit.
fn mqtt5_3_11_2_2(t: &Story) -> Done {
    fits(t, 11, prop::USER_PROPERTY, |peer| peer.send(&unsubscribe(t.version, 9, &["a/#/b"])))
}

/// [MQTT-3.14.2-3] DISCONNECT reason string must fit.
fn mqtt5_3_14_2_3(t: &Story) -> Done {
    fits(t, 14, prop::REASON_STRING, |peer| peer.send(&[0x00, 0x00]))
}

/// [MQTT-3.14.2-4] DISCONNECT user properties must fit.
fn mqtt5_3_14_2_4(t: &Story) -> Done {
    fits(t, 14, prop::USER_PROPERTY, |peer| peer.send(&[0x00, 0x00]))
}

/// With this Topic Alias Maximum: aliases stay within, and each stands for the right topic.
fn aliases_within(t: &Story, maximum: u16) -> Done {
    let hello = t
        .hello("c")
        .with(|p| if maximum > 0 { p.two(prop::TOPIC_ALIAS_MAXIMUM, maximum) } else { p });
    let mut peer = t.connect(&hello)?;
    peer.listen(&t.topic("#"), 1)?;
    let mut publisher = t.client("p")?;
    let theirs = publisher.props.number(prop::TOPIC_ALIAS_MAXIMUM).unwrap_or(0) > 0;
    let mut known: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    for round in 0..30 {
        let topic = t.topic(&format!("{}", round % 10));
        let publish = Publish::new(&topic, &topic).qos(1);
        publisher
            .publish(publish.with(|p| if theirs { p.two(prop::TOPIC_ALIAS, 1) } else { p }))?;
        let got = peer.takes(&topic)?;
        let alias = got.props.number(prop::TOPIC_ALIAS);
        let within = alias.is_none_or(|alias| alias > 0 && alias <= u32::from(maximum));
        ensure!(within, "maximum {maximum}: got the alias {alias:?}");
        let resolved = match alias {
            Some(alias) if got.topic.is_empty() => known.get(&alias).cloned().unwrap_or_default(),
            Some(alias) => {
                known.insert(alias, got.topic.clone());
                got.topic
            }
            None => got.topic,
        };
        same!(resolved, topic.as_bytes(), "the topic");
    }
    Ok(())
}

/// A client with this Receive Maximum and ten messages waiting: never more are in flight.
fn window(t: &Story, maximum: u16) -> Done {
    let topic = t.topic(&format!("window{maximum}"));
    let suffix = format!("w{maximum}");
    let mut peer = t.connect(&t.hello(&suffix).receive_maximum(maximum))?;
    peer.listen(&topic, 2)?;
    for index in 0..10 {
        t.tell(Publish::new(&topic, format!("{index}")).qos(1 + index % 2))?;
    }
    let mut open: Vec<Publish> = Vec::new();
    let mut total = 0;
    while total < 10 {
        for _ in open.len()..usize::from(maximum).min(open.len() + 10 - total) {
            open.push(peer.receive()?);
            total += 1;
        }
        peer.quiet_for(std::time::Duration::from_millis(100))?;
        ensure!(peer.in_flight() <= usize::from(maximum), "{} in flight", peer.in_flight());
        let first = open.remove(0);
        peer.complete(&first)?;
    }
    for rest in open {
        peer.complete(&rest)?;
    }
    peer.quiet()
}

/// PUBACK and PUBREC with an error end a delivery and free its slot.
fn errors_free_slots(t: &Story) -> Done {
    let topic = t.topic("errors");
    let mut peer = t.connect(&t.hello("e").receive_maximum(1))?;
    peer.listen(&topic, 2)?;
    for index in 0..4 {
        t.tell(Publish::new(&topic, format!("{index}")).qos(1 + index % 2))?;
    }
    for index in 0..4 {
        let got = peer.receive()?;
        same!(got.text(), format!("{index}"), "the message");
        peer.answer_error(3 + got.qos, got.id, 0x80);
    }
    peer.quiet()
}

/// After a resume the window holds for what is re-sent too.
fn window_after_resume(t: &Story) -> Done {
    let topic = t.topic("resumed");
    let hello = t.hello("r").durable();
    let mut peer = t.connect(&hello.clone().receive_maximum(5))?;
    peer.listen(&topic, 1)?;
    for index in 0..8 {
        t.say(&topic, &format!("{index}"))?;
    }
    for _ in 0..5 {
        peer.receive()?;
    }
    drop(peer);
    let mut peer = t.connect(&hello.receive_maximum(2))?;
    for index in 0..8 {
        if index == 2 {
            peer.quiet_for(std::time::Duration::from_millis(200))?;
        }
        if index >= 2 {
            let id = peer.oldest().unwrap_or(0);
            peer.answer(4, id);
        }
        same!(peer.receive()?.text(), format!("{index}"), "the message");
    }
    Ok(())
}

/// With a full window all other packets still come at once.
fn others_go_on(t: &Story) -> Done {
    let topic = t.topic("full");
    let mut peer = t.connect(&t.hello("c").receive_maximum(1))?;
    peer.listen(&topic, 2)?;
    t.tell(Publish::new(&topic, "first").qos(2))?;
    let first = peer.receive()?;
    t.tell(Publish::new(&topic, "second").qos(2))?;
    peer.ping()?;
    peer.listen(&t.topic("other"), 0)?;
    peer.unsubscribe(&[&t.topic("other")])?;
    peer.publish(Publish::new(t.topic("own"), "x").qos(1))?;
    peer.publish(Publish::new(t.topic("own"), "x").qos(2))?;
    peer.answer(5, first.id);
    peer.ack(6, first.id)?;
    peer.quiet()?;
    peer.answer(7, first.id);
    peer.takes("second").map(drop)
}

/// Provokes a packet of this type, then again from clients with limits around its size. A server may
/// say more than it has to as long as it fits: the packet never exceeds the limit, and where it held
/// nothing of the kind it comes as soon as there is room for it.
fn fits(t: &Story, kind: u8, property: u8, provoke: impl Fn(&mut Peer)) -> Done {
    // Words are for those who ask for them.
    let words = |name| t.hello(name).with(|p| p.byte(prop::REQUEST_PROBLEM_INFO, 1));
    let mut peer = t.connect(&words("loud"))?;
    let connack = peer.connack_length;
    provoke(&mut peer);
    let Some(packet) = provoked(&mut peer, kind)? else {
        return Err(Stop::NotSupported("the server never sends such a packet".to_owned()));
    };
    ensure!(kinds(&packet, property) < 2 || property == prop::USER_PROPERTY, "it is there twice");
    let full = packet.raw.len();
    for limit in [connack, full - 1, full].map(|limit| limit.max(connack)) {
        let announced = u32::try_from(limit).unwrap_or(u32::MAX);
        let mut peer = t.attempt(&words("small").maximum_packet_size(announced))?;
        ensure!(peer.connack()? == 0, "limit {limit}: the CONNACK is a refusal");
        provoke(&mut peer);
        match provoked(&mut peer, kind)? {
            Some(packet) => {
                let length = packet.raw.len();
                ensure!(length <= limit, "limit {limit}: got {}", packet.describe());
            }
            None => {
                let bare = kinds(&packet, property) == 0 && limit >= full;
                ensure!(!bare, "limit {limit}: no packet, although it has {full} bytes");
            }
        }
    }
    Ok(())
}

/// The packet of this type, if one comes.
fn provoked(peer: &mut Peer, kind: u8) -> Done<Option<Packet>> {
    match peer.event(seconds(3))? {
        Event::Packet(packet) if packet.first() >> 4 == kind => Ok(Some(packet)),
        Event::Packet(packet) if packet.first() >> 4 != 14 => {
            fail!("expected type {kind}, got {}", packet.describe())
        }
        _ => Ok(None),
    }
}

fn kinds(packet: &Packet, property: u8) -> usize {
    packet.content.props().map_or(0, |props| props.all(property).len())
}

fn denied_publish(t: &Story, peer: &mut Peer, qos: u8) {
    let topic = format!("denied/{}", t.unique);
    peer.send_publish(Publish::new(topic, "x").qos(qos));
}

fn denied_subscribe(t: &Story, peer: &mut Peer) {
    let topic = format!("denied/{}", t.unique);
    peer.send(&subscribe(t.version, 9, &Props::new(), &[(&topic, 0)]));
}
