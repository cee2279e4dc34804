//! Limits and violations, and the exact codes.

use crate::harness::prelude::*;

use super::{BOTH, told};

pub(super) const TESTS: &[Test] = &[
    test("S01", s01).with(Profile::SmallWindow),
    test("S14", s14),
    test("S23", s23),
    test("S24", s24),
    test("S25", s25),
    test("S26", s26),
    test("S27", s27).with(Profile::NoRetain),
    test("S28", s28).with(Profile::Acl),
    test("S30", s30).with(Profile::Password).on(BOTH),
    test("S31", s31),
];

/// [S01] More QoS 2 messages than the server's Receive Maximum: DISCONNECT 0x93 before the close.
fn s01(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    let Some(maximum) = peer.props.number(prop::RECEIVE_MAXIMUM) else {
        return Err(Stop::NotSupported("the CONNACK names no Receive Maximum".to_owned()));
    };
    for id in 1..=u16::try_from(maximum + 1).unwrap_or(u16::MAX) {
        peer.send(&Publish::new(t.topic("a"), "x").qos(2).id(id).bytes(t.version));
    }
    told(&mut peer, 0x93)
}

/// [S14] A packet above the server's Maximum Packet Size: DISCONNECT 0x95 before the close.
fn s14(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    let limit = peer.props.number(prop::MAXIMUM_PACKET_SIZE).filter(|limit| *limit < 1 << 27);
    let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else {
        return Err(Stop::NotSupported("the CONNACK names no Maximum Packet Size".to_owned()));
    };
    let packet = Publish::new(t.topic("a"), "x".repeat(limit)).bytes(t.version);
    // The header alone tells it; what follows might meet a closed socket.
    peer.send(packet.get(..1024).unwrap_or_default());
    told(&mut peer, 0x95)
}

/// [S23] A connection that is taken over is told 0x8E.
fn s23(t: &Story) -> Done {
    let mut old = t.client("c")?;
    let mut new = t.client("c")?;
    told(&mut old, 0x8E)?;
    new.ping()
}

/// [S24] A message without subscribers is acknowledged with 0x10.
fn s24(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    for qos in [1, 2] {
        let id = peer.send_publish(Publish::new(t.topic("nobody"), "x").qos(qos));
        let code = peer.ack(3 + qos, id)?;
        if code == 0 {
            return Err(Stop::NotSupported("the server does not tell".to_owned()));
        }
        same!(code, 0x10, "the code of the acknowledgement");
    }
    Ok(())
}

/// [S25] DISCONNECT says exactly what was wrong: 0x81, 0x82, 0x94.
fn s25(t: &Story) -> Done {
    let topic = t.topic("a");
    let aliased = |alias| Publish::new(&topic, "x").with(|p| p.two(prop::TOPIC_ALIAS, alias));
    for (bytes, code) in [
        (vec![0xC1, 0], 0x81),
        (vec![0x36, 0], 0x81),
        (vec![0x82, 6, 0, 1, 0, 0, 1, b'a'], 0x81),
        (t.hello("c").bytes(), 0x82),
        (vec![0x82, 3, 0, 1, 0], 0x82),
        (Publish::new("", "x").bytes(t.version), 0x82),
        (aliased(0).bytes(t.version), 0x94),
        (aliased(u16::MAX).bytes(t.version), 0x94),
    ] {
        let mut peer = t.client("c")?;
        peer.send(&bytes);
        told(&mut peer, code).map_err(|stop| crate::harness::story::about(&bytes, stop))?;
    }
    Ok(())
}

/// [S26] CONNACK says exactly what was wrong: 0x81, 0x82, 0x84, 0x8C.
fn s26(t: &Story) -> Done {
    let hello = t.hello("c");
    for (connect, code) in [
        (hello.clone().flags(0x03), 0x81),
        (hello.clone().receive_maximum(0), 0x82),
        (hello.clone().with(|p| p.four(prop::SESSION_EXPIRY, 1)).with(Props::twice), 0x82),
        (hello.clone().protocol("MQTT", 6), 0x84),
        (hello.clone().with(|p| p.text(prop::AUTH_METHOD, "NOPE")), 0x8C),
    ] {
        let mut peer = t.attempt(&connect)?;
        let packet = peer.next()?;
        // Who does not know the version answers in the form of one that it knows.
        let old_form = packet.raw == [0x20, 2, 0, 1] && code == 0x84;
        let fits = matches!(packet.content, Content::ConnAck { code: got, .. } if got == code);
        ensure!(fits || old_form, "expected CONNACK {code:02X}, got {}", packet.describe());
    }
    Ok(())
}

/// [S27] DISCONNECT 0x9A for RETAIN where retained messages are switched off.
fn s27(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    same!(peer.props.number(prop::RETAIN_AVAILABLE), Some(0), "Retain Available");
    peer.send(&Publish::new(t.topic("a"), "x").retain().bytes(t.version));
    told(&mut peer, 0x9A)
}

/// [S28] Who asks for no words is told the code alone: DISCONNECT, PUBACK and CONNACK have no
/// properties.
fn s28(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    let denied = format!("denied/{}", t.unique);
    let id = peer.send_publish(Publish::new(&denied, "x").qos(1));
    let puback = peer.until("PUBACK", |content| matches!(content, Content::Ack { kind: 4, .. }))?;
    same!(puback.raw, Body::new().u16(id).u8(0x87).packet(0x40), "the PUBACK");
    peer.send(&[0xD0, 0]);
    let last = peer.until("DISCONNECT", |content| matches!(content, Content::Disconnect { .. }))?;
    same!(last.raw, vec![0xE0, 1, 0x82], "the DISCONNECT");
    let mut refused = t.attempt(&t.hello("r").with(|p| p.text(prop::AUTH_METHOD, "NOPE")))?;
    let connack = refused.next()?;
    same!(connack.raw, vec![0x20, 3, 0, 0x8C, 0], "the CONNACK");
    Ok(())
}

/// [S30] A wrong password is refused with 0x05 in 3.1.1, and with 0x86 in 5.0.
fn s30(t: &Story) -> Done {
    let mut peer = t.attempt(&t.hello("c").password("wrong"))?;
    let code = if t.version.is_v5() { 0x86 } else { 5 };
    same!(peer.connack()?, code, "the code of the CONNACK");
    peer.closed(&[])
}

/// [S31] A message that No Local alone holds back has a matching subscription: 0x00.
fn s31(t: &Story) -> Done {
    let topic = t.topic("own");
    let mut peer = t.client("c")?;
    peer.listen(&topic, 4)?;
    for qos in [1, 2] {
        same!(peer.publish(Publish::new(&topic, "x").qos(qos))?, 0, "the code");
    }
    peer.quiet()
}
