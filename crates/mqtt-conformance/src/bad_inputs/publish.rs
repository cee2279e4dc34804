//! Group C: PUBLISH.

use crate::harness::memory::{falls_below, resident_bytes};
use crate::harness::prelude::*;
use crate::shared::{ids, publish};

use super::{BOTH, flood, may_end};

pub(super) const TESTS: &[Test] = &[
    test("C01", c01).on(BOTH),
    test("C02", c02).on(BOTH),
    test("C03", c03).on(BOTH),
    test("C04", c04).with(Profile::Abuse).on(BOTH),
    test("C05", c05).with(Profile::Abuse).on(BOTH).slow(),
    test("C06", c06).on(BOTH),
    test("C07", c07).on(BOTH),
    test("C08", c08).on(BOTH),
    test("C09", c09).with(Profile::Abuse).on(BOTH).slow(),
    test("C10", c10).with(Profile::Abuse).on(BOTH).slow(),
    test("C11", c11).on(BOTH),
    test("C12", c12).with(Profile::Abuse).on(BOTH),
    test("C13", c13).on(BOTH),
    test("C14", c14),
    test("C15", c15),
    test("C16", c16).with(Profile::Abuse),
    test("C18", c18),
    test("C19", c19),
    test("C20", c20),
    test("C21", c21),
    test("C22", c22).slow(),
    test("C23", c23).with(Profile::Abuse).slow(),
    test("C24", c24).with(Profile::Abuse).on(BOTH),
    test("C27", c27).with(Profile::NoRetain).on(BOTH),
    test("C28", c28).with(Profile::SmallWindow).on(BOTH),
    test("C29", c29).with(Profile::Acl).on(BOTH),
    test("C32", c32).with(Profile::Abuse).on(BOTH).slow(),
    test("C33", c33).with(Profile::Abuse).on(BOTH).wide(),
    test("C35", c35).on(BOTH),
    test("C37", c37).with(Profile::Abuse).on(BOTH).slow(),
    test("C38", c38).on(BOTH),
];

/// [C01] Empty topic; in v5 without alias.
fn c01(t: &Story) -> Done {
    t.offend(&Publish::new("", "x").bytes(t.version), &[0x82])
}

/// [C02] Topic with '+' or '#' anywhere.
fn c02(t: &Story) -> Done {
    publish::wildcards(t)
}

/// [C03] Topic of 65,535 bytes without '/'.
fn c03(t: &Story) -> Done {
    crate::shared::topics::longest(t)
}

/// [C04] Topic of 65,535 '/'; filter likewise.
fn c04(t: &Story) -> Done {
    let deep = "/".repeat(65_535);
    let mut peer = t.client("c")?;
    peer.send(&Publish::new(&deep, "x").retain().bytes(t.version));
    may_end(&mut peer, &[0x90, 0x81, 0x82, 0x95, 0x97])?;
    let mut peer = t.client("s")?;
    peer.send(&subscribe(t.version, 1, &Props::new(), &[(&deep, 0)]));
    may_end(&mut peer, &[0x8F, 0x81, 0x82, 0x95, 0x97])?;
    t.tell(Publish::new(&deep, "").retain()).or(Ok(()))
}

/// [C05] 1,000,000 distinct 100-level topics, QoS 0, not retained.
fn c05(t: &Story) -> Done {
    // With the number a hundred levels.
    let base = "x/".repeat(99);
    t.costs_at_most(32, || {
        flood(t, t.scaled(1_000_000, 100_000), |index| Publish::new(format!("{base}{index}"), ""))
    })
}

/// [C06] Write to '$SYS/...' or other broker-owned topics by a client or a will.
fn c06(t: &Story) -> Done {
    for topic in ["$SYS/broker/version", "$SYS/forged"] {
        let mut observer = t.client("o")?;
        let _ = observer.subscribe(topic, 0);
        observer.collect(seconds(1))?;
        let mut peer = t.client("c")?;
        for qos in 0..3 {
            if peer.publish(Publish::new(topic, "forged").qos(qos)).is_err() {
                peer = t.client("c")?;
            }
        }
        let got = observer.collect(seconds(1))?;
        let forged = got.iter().any(|each| each.payload == b"forged");
        ensure!(!forged, "a client's message to '{topic}' was delivered");
    }
    Ok(())
}

/// [C07] Topic '$', '$x', '$SYS', '$share/g/t'.
fn c07(t: &Story) -> Done {
    for topic in ["$", "$x", "$SYS", "$share/g/t", "$share", "$queue/x"] {
        let mut peer = t.client("c")?;
        peer.send(&Publish::new(topic, "x").qos(1).id(1).bytes(t.version));
        may_end(&mut peer, &[0x90, 0x87, 0x82])?;
    }
    Ok(())
}

/// [C08] QoS 3; DUP on QoS 0; packet id 0 with QoS 1.
fn c08(t: &Story) -> Done {
    publish::qos_3(t)?;
    publish::dup_at_qos_0(t)?;
    ids::zero(t)
}

/// [C09] One QoS 2 id repeated 1,000,000 times without PUBREL.
fn c09(t: &Story) -> Done {
    let topic = t.topic("a");
    let mut observer = t.observer("o", &topic)?;
    let mut peer = t.client("c")?;
    let repeat = Publish::new(&topic, "once").qos(2).id(7).dup().bytes(t.version);
    t.costs_at_most(16, || {
        for _ in 0..t.scaled(10_000, 300) {
            peer.send(&repeat.repeat(100));
            for _ in 0..100 {
                peer.ack(5, 7)?;
            }
        }
        Ok(())
    })?;
    peer.release(7)?;
    observer.takes("once")?;
    observer.quiet()
}

/// [C10] 65,535 QoS 2 PUBLISH without PUBREL from each of 100 clients.
fn c10(t: &Story) -> Done {
    let mut held = Vec::new();
    // 8 KiB for the identifiers of each, and what else a client costs.
    let clients = t.scaled(100, 4);
    t.costs_at_most(16 + u64::from(clients) / 8, || {
        for index in 0..clients {
            let mut peer = t.client(&format!("c{index}"))?;
            without_pubrel(t, &mut peer)?;
            held.push(peer);
        }
        Ok(())
    })
}

/// All identifiers of one client, until the server ends it.
fn without_pubrel(t: &Story, peer: &mut Peer) -> Done {
    let ids: Vec<u16> = (1..=u16::MAX).collect();
    for ids in ids.chunks(512) {
        let bytes = ids.iter().flat_map(|id| Publish::new("f", "").qos(2).id(*id).bytes(t.version));
        if !peer.try_send(&bytes.collect::<Vec<_>>()) {
            break;
        }
        for id in ids {
            match peer.event(seconds(10))? {
                Event::Packet(packet) => match packet.content {
                    Content::Ack { kind: 5, id: answered, .. } if answered == *id => {}
                    Content::Disconnect { code: 0x80 | 0x93 | 0x97, .. } => return Ok(()),
                    _ => fail!("expected PUBREC {id}, got {}", packet.describe()),
                },
                Event::Closed => return Ok(()),
                Event::Silence => fail!("the QoS 2 message {id} is not answered"),
            }
        }
    }
    Ok(())
}

/// [C11] PUBREL for an unknown id; twice for a known one.
fn c11(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    let unknown = if t.version.is_v5() { 0x92 } else { 0 };
    same!(peer.release(4321)?, unknown, "PUBCOMP for an unknown id");
    let id = peer.send_publish(Publish::new(t.topic("a"), "x").qos(2));
    peer.ack(5, id)?;
    same!(peer.release(id)?, 0, "PUBCOMP for a known id");
    same!(peer.release(id)?, unknown, "PUBCOMP for an id that is free again");
    Ok(())
}

/// [C12] PUBACK, PUBREC, PUBCOMP for ids never sent, 1,000,000 per second.
fn c12(t: &Story) -> Done {
    for kind in [4, 5, 7] {
        let mut peer = t.client("c")?;
        let all: Vec<u8> = (1..=20_000).flat_map(|id| acknowledgement(kind, id)).collect();
        for _ in 0..50 {
            if !peer.try_send(&all) {
                break;
            }
        }
        let _ = ended(&mut peer, EITHER)?;
    }
    Ok(())
}

/// [C13] PUBACK for a QoS 2 message; PUBREC or PUBCOMP for a QoS 1 message.
fn c13(t: &Story) -> Done {
    let topic = t.topic("a");
    for (qos, wrong) in [(2, 4), (1, 5), (1, 7)] {
        let mut peer = t.observer("c", &topic)?;
        t.tell(Publish::new(&topic, "x").qos(qos))?;
        let got = peer.receive()?;
        peer.send(&acknowledgement(wrong, got.id));
        if !ended(&mut peer, EITHER)? {
            peer.ping()?;
        }
    }
    Ok(())
}

/// [C14] Topic alias 0; alias above the maximum; alias when the maximum is 0.
fn c14(t: &Story) -> Done {
    let maximum = t.client("c")?.props.number(prop::TOPIC_ALIAS_MAXIMUM).unwrap_or(0);
    for alias in [0, u16::try_from(maximum + 1).unwrap_or(0), u16::MAX] {
        let bad = Publish::new(t.topic("a"), "x").with(|p| p.two(prop::TOPIC_ALIAS, alias));
        if u32::from(alias) > maximum || alias == 0 {
            t.offend(&bad.bytes(t.version), &[0x94])?;
        }
    }
    Ok(())
}

/// [C15] Empty topic with an alias never set on this connection (also set on an earlier one).
fn c15(t: &Story) -> Done {
    let unset = Publish::new("", "x").with(|p| p.two(prop::TOPIC_ALIAS, 1));
    t.offend(&unset.bytes(t.version), &[0x82, 0x94])
}

/// [C16] All aliases set to 65,535-byte topics.
fn c16(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    let maximum = peer.props.number(prop::TOPIC_ALIAS_MAXIMUM).unwrap_or(0);
    ensure!(maximum <= 64, "Topic Alias Maximum {maximum}: each may hold 64 KiB");
    for alias in 1..=u16::try_from(maximum).unwrap_or(0) {
        let topic = "x".repeat(65_500) + &alias.to_string();
        peer.send_publish(Publish::new(topic, "x").with(|p| p.two(prop::TOPIC_ALIAS, alias)));
    }
    may_end(&mut peer, &[0x90, 0x95, 0x97])
}

/// [C18] Publisher's alias property seen by subscribers.
fn c18(t: &Story) -> Done {
    let topic = t.topic("a");
    let mut observer = t.observer("o", &topic)?;
    let mut peer = t.client("c")?;
    if peer.props.number(prop::TOPIC_ALIAS_MAXIMUM).unwrap_or(0) == 0 {
        return Err(Stop::NotSupported("the CONNACK permits no topic alias".to_owned()));
    }
    for text in [topic.as_str(), ""] {
        peer.send_publish(Publish::new(text, "x").with(|p| p.two(prop::TOPIC_ALIAS, 1)));
        let got = observer.takes("x")?;
        ensure!(!got.props.has(prop::TOPIC_ALIAS), "the publisher's alias was passed on");
        same!(got.topic, topic.as_bytes(), "the topic");
    }
    Ok(())
}

/// [C19] Subscription Identifier in a client's PUBLISH.
fn c19(t: &Story) -> Done {
    let bad = Publish::new(t.topic("a"), "x").with(|p| p.var(prop::SUBSCRIPTION_ID, 1));
    t.offend(&bad.bytes(t.version), PROTOCOL_ERROR)
}

/// [C20] Payload Format Indicator 1 with bad UTF-8 payload; value 2.
fn c20(t: &Story) -> Done {
    let value_2 = Publish::new(t.topic("a"), "x").with(|p| p.byte(prop::PAYLOAD_FORMAT, 2));
    t.offend(&value_2.bytes(t.version), EITHER)?;
    // The same policy for messages, wills and retained messages.
    let topic = t.topic("text");
    let mut observer = t.observer("o", &topic)?;
    let format = Props::new().byte(prop::PAYLOAD_FORMAT, 1);
    let mut peer = t.client("c")?;
    let code = peer.publish(Publish::new(&topic, [0xFF]).qos(1).with(|_| format.clone()));
    let passed = !observer.collect(seconds(1))?.is_empty();
    ensure!(passed || code.is_err() || code == Ok(0x99), "neither passed on nor refused: {code:?}");
    let will = Will::new(&topic, [0xFF]).props(format);
    let mut peer = t.attempt(&t.hello("w").will(will))?;
    let _ = peer.connack();
    drop(peer);
    let will_passed = !observer.collect(seconds(1))?.is_empty();
    same!(will_passed, passed, "whether a will passes, as a message does");
    Ok(())
}

/// [C21] Response Topic with wildcard, empty, bad UTF-8; in a will too.
fn c21(t: &Story) -> Done {
    for topic in ["a/#", "", "+"] {
        let props = Props::new().text(prop::RESPONSE_TOPIC, topic);
        let bad = Publish::new(t.topic("a"), "x").with(|_| props.clone());
        t.offend(&bad.bytes(t.version), &[0x81, 0x82, 0x90])?;
        let hello = t.hello("w").will(Will::new(t.topic("w"), "x").props(props));
        t.refuse(&hello, &[0x81, 0x82, 0x90])?;
    }
    let props = Props::new().text(prop::RESPONSE_TOPIC, [0xFF]);
    t.offend(&Publish::new(t.topic("a"), "x").with(|_| props).bytes(t.version), MALFORMED)
}

/// [C22] Message Expiry 0, 1, 0xFFFFFFFF; retained; through a restart.
fn c22(t: &Story) -> Done {
    for (secs, kept) in [(0, false), (1, false), (u32::MAX, true)] {
        let topic = t.topic(&format!("{secs}"));
        let publish = Publish::new(&topic, "x").qos(1).retain();
        t.tell(publish.with(|p| p.four(prop::MESSAGE_EXPIRY, secs)))?;
        t.wait(seconds(3));
        let got = t.observer("late", &topic)?.collect(seconds(1))?;
        same!(!got.is_empty(), kept, "expiry {secs} s: delivered after 3 s");
    }
    Ok(())
}

/// [C23] 10,000 user properties, fan-out to 1,000 subscribers.
fn c23(t: &Story) -> Done {
    let topic = t.topic("wide");
    let mut observers = Vec::new();
    for index in 0..t.scaled(1000, 60) {
        observers.push(t.observer(&format!("o{index}"), &topic)?);
    }
    let publish =
        (0..10_000).fold(Publish::new(&topic, "x"), |p, i| p.with(|p| p.user(format!("{i}"), "v")));
    let before = t.process.and_then(resident_bytes);
    let mut peer = t.client("c")?;
    peer.send_publish(publish.qos(1).id(1));
    match peer.event(seconds(5))? {
        Event::Packet(packet) if matches!(packet.content, Content::Ack { code: 0, .. }) => {}
        Event::Packet(packet) => match packet.content {
            Content::Ack { code: 0x97 | 0x99, .. } => return Ok(()),
            Content::Disconnect { code: 0x95 | 0x97 | 0x81, .. } => return peer.closed(&[]),
            _ => fail!("10,000 user properties: got {}", packet.describe()),
        },
        Event::Closed => return Ok(()),
        Event::Silence => fail!("10,000 user properties are not answered"),
    }
    for observer in &mut observers {
        same!(observer.takes("x")?.props.0.len(), 10_000, "the user properties");
    }
    // Copies would be a hundred megabytes for a thousand.
    t.process
        .zip(before)
        .map_or(Ok(()), |(process, before)| falls_below(process, before + (64 << 20)))
}

/// [C24] Packet of exactly the maximum, and one byte more.
fn c24(t: &Story) -> Done {
    let announced = Story { version: Version::V5, ..t.clone() }.client("n")?.props;
    let maximum = announced.number(prop::MAXIMUM_PACKET_SIZE).filter(|bytes| *bytes <= 16 << 20);
    let Some(maximum) = maximum.and_then(|bytes| usize::try_from(bytes).ok()) else {
        return Err(Stop::NotSupported(
            "the CONNACK names no small Maximum Packet Size".to_owned(),
        ));
    };
    let sized = |size: usize| {
        let mut publish = Publish::new(t.topic("a"), "");
        let bare = publish.bytes(t.version).len();
        // Two or three bytes more of remaining length.
        let more = if size > 2_097_155 { 3 } else { 2 };
        publish.payload.resize(size - bare - more, b'x');
        publish.bytes(t.version)
    };
    same!(sized(maximum).len(), maximum, "the size of the packet that fits");
    let mut peer = t.client("f")?;
    peer.send(&sized(maximum));
    peer.ping()?;
    t.offend(&sized(maximum + 1), &[0x95])
}

/// [C27] RETAIN 1 with retain off; QoS above Maximum QoS.
fn c27(t: &Story) -> Done {
    t.offend(&Publish::new(t.topic("a"), "x").retain().bytes(t.version), &[0x9A])
}

/// [C28] More unacked QoS>0 than Receive Maximum.
fn c28(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    let announced = peer.props.number(prop::RECEIVE_MAXIMUM).unwrap_or(3);
    for id in 1..=u16::try_from(announced).unwrap_or(u16::MAX) {
        peer.send_publish(Publish::new(t.topic("a"), "x").qos(2).id(id));
        peer.ack(5, id)?;
    }
    peer.send_publish(Publish::new(t.topic("a"), "x").qos(2).id(60_000));
    if t.version.is_v5() {
        return peer.closed(&[0x93]);
    }
    // For 3.1.1 the broker may stop reading, take it or close.
    let _ = peer.event(seconds(1))?;
    Ok(())
}

/// [C29] Denied by ACL, QoS 0/1/2, retained.
fn c29(t: &Story) -> Done {
    publish::denied(t)
}

/// [C32] Line-rate publisher, one slow subscriber.
fn c32(t: &Story) -> Done {
    let topic = t.topic("slow");
    let mut slow = t.client("s")?;
    slow.listen(&topic, 0)?;
    let mut fast = t.client("f")?;
    fast.listen(&t.topic("other"), 0)?;
    let mut publisher = t.client("p")?;
    let bytes = Publish::new(&topic, "x".repeat(1000)).bytes(t.version).repeat(100);
    for round in 0..200 {
        publisher.send(&bytes);
        if round % 50 == 0 {
            t.say(&t.topic("other"), "alive")?;
            fast.takes("alive")?;
        }
    }
    fast.ping()
}

/// [C33] 100,000 wills due at once (power cut of a site).
fn c33(t: &Story) -> Done {
    let topic = t.topic("wills");
    let mut observer = t.client("o")?;
    observer.listen(&topic, 1)?;
    let mut peers = Vec::new();
    let count = t.scaled(19_000, 1000);
    for index in 0..count {
        peers.push(t.connect(
            &t.hello(&format!("w{index}")).will(Will::new(&topic, format!("{index}")).qos(1)),
        )?);
    }
    drop(peers);
    let got = u32::try_from(observer.collect(seconds(3))?.len()).unwrap_or(0);
    same!(got, count, "the wills");
    Ok(())
}

/// [C35] Control and non-character code points (U+0001, U+001B, U+FFFF) in topics.
fn c35(t: &Story) -> Done {
    for character in ["\u{1}", "\u{1B}", "\u{FFFF}", "\u{FDD0}"] {
        let topic = t.topic(character);
        let mut subscriber = t.client("s")?;
        let granted = subscriber.subscribe(&topic, 0).is_ok_and(|code| code < 0x80);
        let mut publisher = t.client("p")?;
        let taken =
            publisher.publish(Publish::new(&topic, "x").qos(1)).is_ok_and(|code| code < 0x80);
        same!(taken, granted, "PUBLISH as SUBSCRIBE with {character:?}");
        if granted {
            subscriber.takes("x")?;
        }
    }
    Ok(())
}

/// [C37] Retained empty payload on never-used topics, 1,000,000 times.
fn c37(t: &Story) -> Done {
    let base = t.topic("never");
    t.costs_at_most(32, || {
        flood(t, t.scaled(1_000_000, 100_000), |index| {
            Publish::new(format!("{base}/{index}"), "").retain()
        })
    })
}

/// [C38] RETAIN set + 1 ms apart on one topic with parallel subscribe of it.
fn c38(t: &Story) -> Done {
    let topic = t.topic("race");
    let mut publisher = t.client("p")?;
    for round in 0..40_u32 {
        publisher.publish(Publish::new(&topic, format!("{round}")).qos(1).retain())?;
        publisher.send_publish(Publish::new(&topic, format!("{}", round + 1)).qos(1).retain());
        let mut late = t.client("l")?;
        late.listen(&topic, 1)?;
        let got: u32 = late.take()?.text().parse().unwrap_or(0);
        ensure!(got >= round, "acknowledged {round}, a later subscriber gets {got}");
    }
    t.tell(Publish::new(&topic, "").qos(1).retain())
}

/// Whether the server ended the connection, if so with one of these codes.
fn ended(peer: &mut Peer, codes: &[u8]) -> Done<bool> {
    loop {
        match peer.event(std::time::Duration::from_millis(100))? {
            Event::Closed => return Ok(true),
            Event::Silence => return Ok(false),
            Event::Packet(packet) => {
                if let Content::Disconnect { code, .. } = packet.content {
                    ensure!(code == 0x80 || codes.contains(&code), "DISCONNECT with {code:02X}");
                }
            }
        }
    }
}
