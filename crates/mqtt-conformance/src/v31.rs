//! Where MQTT 3.1 differs from 3.1.1.

use crate::harness::prelude::*;
use crate::shared::framing::with_flags;
use crate::shared::{
    connect, ids, order, publish, qos, retain, text, topics, unsubscribe as unsubscribing, will,
};
use crate::websocket;

const TESTS: &[Test] = &[
    test("D31-01", d31_01),
    test("D31-02", d31_02),
    test("D31-03", d31_03),
    test("D31-04", d31_04),
    test("D31-05", d31_05),
    test("D31-06", d31_06).with(Profile::Acl),
    test("D31-07", d31_07),
    test("D31-08", d31_08),
    test("D31-09", d31_09),
    test("D31-11", d31_11),
    test("D31-12", d31_12),
    test("D31-13", d31_13),
    test("D31-14", d31_14).slow(),
    test("D31-15", d31_15),
    test("D31-16", d31_16),
    test("D31-17", d31_17),
    test("D31-18", d31_18),
    test("D31-19", d31_19),
    test("D31-20", d31_20),
    test("D31-21", d31_21).slow(),
    test("D31-22", d31_22),
    test("D31-23", d31_23),
    test("D31-24", d31_24).with(Profile::Acl),
    test("D31-26", d31_26).slow(),
];

/// [D31-01] Protocol name and level: CONNECT carries name 'MQIsdp' (6 bytes) and level 3.
fn d31_01(t: &Story) -> Done {
    t.client("a")?.ping()?;
    t.connect(&Connect::new(Version::V311, t.client_id("b")))?.ping()?;
    t.refuse(&t.hello("c").protocol("MQIsdp", 4), &[1])?;
    t.refuse(&t.hello("d").protocol("MQTT", 3), &[1])
}

/// [D31-02] Bridge bit: Not in the standard; mosquitto/RSMB bridges set bit 7 of the level (0x83,
/// 0x84) to announce a bridge.
fn d31_02(t: &Story) -> Done {
    for (name, level) in [("MQIsdp", 0x83), ("MQTT", 0x84)] {
        let mut peer = t.attempt(&t.hello("bridge").protocol(name, level))?;
        match peer.event(seconds(5))? {
            Event::Packet(packet) => match packet.content {
                Content::ConnAck { code: 0, .. } => peer.ping()?,
                Content::ConnAck { code: 1 | 0x84, .. } => peer.closed(&[])?,
                _ => fail!("level {level:02X}: got {}", packet.describe()),
            },
            Event::Closed => {}
            Event::Silence => fail!("level {level:02X} is not answered"),
        }
    }
    t.client("after")?.ping()
}

/// [D31-03] Client id length: 1 to 23 characters; longer -> CONNACK 0x02.
fn d31_03(t: &Story) -> Done {
    let mut connect = t.hello("");
    connect.client_id = "x".repeat(23 - t.unique.len()).into_bytes();
    connect.client_id.extend(t.unique.bytes());
    t.connect(&connect)?.ping()?;
    connect.client_id.push(b'y');
    let mut peer = t.attempt(&connect)?;
    match peer.connack()? {
        0 => peer.ping(),
        2 => peer.closed(&[]),
        code => fail!("an id of 24 bytes is answered with {code:02X}"),
    }
}

/// [D31-04] Empty client id: Not permitted: CONNACK 0x02, whatever clean session says.
fn d31_04(t: &Story) -> Done {
    for clean in [true, false] {
        let mut connect = t.hello("");
        connect.client_id.clear();
        connect.clean = clean;
        let mut peer = t.attempt(&connect)?;
        same!(peer.next()?.raw, vec![0x20, 2, 0, 2], "the answer to an empty id");
        peer.closed(&[])?;
    }
    Ok(())
}

/// [D31-05] Session present: Byte 1 of CONNACK is reserved and unused (0).
fn d31_05(t: &Story) -> Done {
    t.durable("c")?.disconnect();
    let mut peer = t.attempt(&t.hello("c").durable())?;
    same!(peer.next()?.raw, vec![0x20, 2, 0, 0], "the CONNACK at a resume");
    peer.ping()
}

/// [D31-06] SUBACK failure: Only granted QoS 0, 1, 2; no failure code.
fn d31_06(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    let denied = format!("denied/{}", t.unique);
    peer.send(&subscribe(t.version, 1, &Props::new(), &[(&denied, 1)]));
    match peer.event(seconds(5))? {
        Event::Closed => return Ok(()),
        Event::Silence => fail!("a denied filter is not answered"),
        Event::Packet(packet) => match packet.content {
            Content::SubAck { codes, .. } => {
                let granted = codes.first().is_some_and(|code| *code < 3);
                ensure!(granted, "3.1 has no failure code: got {codes:02X?}");
            }
            _ => fail!("expected SUBACK, got {}", packet.describe()),
        },
    }
    t.client("p")?.publish(Publish::new(&denied, "never"))?;
    peer.quiet()
}

/// [D31-07] DUP on SUBSCRIBE, UNSUBSCRIBE, PUBREL: These have QoS 1 and may be re-sent with DUP
/// set (0x8A, 0xAA, 0x6A).
fn d31_07(t: &Story) -> Done {
    let topic = t.topic("dup");
    let mut peer = t.client("c")?;
    peer.send(&with_flags(&subscribe(t.version, 1, &Props::new(), &[(&topic, 1)]), 0x0A));
    peer.suback(1)?;
    peer.send(&with_flags(&unsubscribe(t.version, 2, &[&topic]), 0x0A));
    peer.unsuback(2)?;
    let id = peer.send_publish(Publish::new(&topic, "x").qos(2));
    peer.ack(5, id)?;
    peer.send(&with_flags(&acknowledgement(6, id), 0x0A));
    peer.ack(7, id).map(drop)
}

/// [D31-08] Connect flag bit 0: Unused; no rule to refuse.
fn d31_08(t: &Story) -> Done {
    for flags in [0x03, 0x01] {
        t.connect(&t.hello("c").flags(flags))?.ping()?;
    }
    Ok(())
}

/// [D31-09] User name or password flag without the field: Remaining Length wins: flags set but
/// strings missing is valid and the connection goes on (without them).
fn d31_09(t: &Story) -> Done {
    for flags in [0x82, 0xC2] {
        let mut peer = t.connect(&t.hello("c").flags(flags))?;
        peer.ping()?;
    }
    Ok(())
}

/// [D31-11] Password type: UTF string.
fn d31_11(t: &Story) -> Done {
    t.connect(&t.hello("c").user("user").password([0xFF, 0x00, 0xC3]))?.ping()
}

/// [D31-12] Will message: Encoded as a UTF string in the payload, published as bytes.
fn d31_12(t: &Story) -> Done {
    let topic = t.topic("will");
    let mut observer = t.observer("o", &topic)?;
    drop(t.connect(&t.hello("c").will(Will::new(&topic, [0xFF, 0x00, 0xC3])))?);
    same!(observer.take()?.payload, vec![0xFF, 0x00, 0xC3], "the will's payload");
    Ok(())
}

/// [D31-13] String encoding: 'Modified UTF-8' of Java allowed for; no rule to close on bad UTF-8.
fn d31_13(t: &Story) -> Done {
    // 3.1 has no rule to close; but what is no text must not reach those who rely on text.
    let mut observer = t.observer("o", &t.topic("#"))?;
    for bad in text::ILL_FORMED {
        let mut peer = t.client("c")?;
        peer.send_publish(Publish::new(text::spoiled(&t.topic("p"), bad), "x"));
        let _ = peer.ping();
    }
    t.say(&t.topic("text"), "text")?;
    observer.takes("text")?;
    observer.quiet()
}

/// [D31-14] Re-sending in a live connection: Expected: after a time-out, with DUP 1.
fn d31_14(t: &Story) -> Done {
    let topic = t.topic("again");
    let mut observer = t.observer("o", &topic)?;
    let mut peer = t.client("c")?;
    let id = peer.send_publish(Publish::new(&topic, "two").qos(2));
    peer.ack(5, id)?;
    peer.send_publish(Publish::new(&topic, "two").qos(2).id(id).dup());
    peer.ack(5, id)?;
    peer.release(id)?;
    observer.takes("two")?;
    observer.quiet()?;
    qos::not_on_a_live_connection(t)
}

/// [D31-15] Message ordering: Not promised in general; promised only with one message in flight.
fn d31_15(t: &Story) -> Done {
    order::of_delivery(t)?;
    order::of_resends(&Story { unique: t.client_id("x"), ..t.clone() })
}

/// [D31-16] Packet id ('message id'): 0 is reserved as invalid; ids unique per client and
/// direction.
fn d31_16(t: &Story) -> Done {
    ids::acks_carry_it(t)?;
    ids::of_the_server(&Story { unique: t.client_id("x"), ..t.clone() })
}

/// [D31-17] Clearing a retained message: Not stated (a custom of brokers).
fn d31_17(t: &Story) -> Done {
    retain::empty_deletes(t)
}

/// [D31-18] '$' topics: Not stated.
fn d31_18(t: &Story) -> Done {
    topics::dollar(t)
}

/// [D31-19] Empty payload topic and topic length: Topic up to 64k, server may limit (32,767
/// mentioned in older text).
fn d31_19(t: &Story) -> Done {
    topics::longest(t)
}

/// [D31-20] Wildcards: Appendix rules: '#' last, '+' and '#' fill whole levels; also usable at
/// first level.
fn d31_20(t: &Story) -> Done {
    topics::multi_level(t)?;
    topics::single_level(t)
}

/// [D31-21] Server receiving CONNECT late: 'Within a reasonable time', else close.
fn d31_21(t: &Story) -> Done {
    let mut peer = t.open()?;
    match peer.event(seconds(25))? {
        Event::Closed => Ok(()),
        Event::Packet(packet) => fail!("expected a close, got {}", packet.describe()),
        Event::Silence => {
            let reason = "still open 25 s without CONNECT; no time is demanded";
            Err(Stop::NotSupported(reason.to_owned()))
        }
    }
}

/// [D31-22] Second CONNECT: Client must be disconnected.
fn d31_22(t: &Story) -> Done {
    connect::only_once(t)
}

/// [D31-23] QoS 2 receiver: Two stated variants: publish onward at PUBLISH or at PUBREL.
fn d31_23(t: &Story) -> Done {
    qos::receiver_2(t)?;
    unsubscribing::nothing_new(&Story { unique: t.client_id("x"), ..t.clone() })
}

/// [D31-24] PUBLISH refused by ACL: No negative answer: acknowledge or disconnect.
fn d31_24(t: &Story) -> Done {
    publish::denied(t)
}

/// [D31-26] Keep Alive: 1.5 x grace as in later versions; 0 switches it off; CONNACK is not
/// affected.
fn d31_26(t: &Story) -> Done {
    will::keep_alive(t)
}

/// Every test of this table.
pub(crate) fn tests() -> Vec<Test> {
    [TESTS, websocket::DIFFERENCES].concat()
}

/// Differences without a test here, by reason.
pub(crate) const WAITING: &[(&str, &[&str])] = &[("advice to users, nothing to test", &["D31-10"])];
