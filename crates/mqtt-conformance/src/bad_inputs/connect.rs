//! Group B, first half: CONNECT as it is written.

use crate::harness::prelude::*;
use crate::shared::{connect, text, will};
use crate::v5::auth::{METHOD, auth, challenged};

use super::BOTH;

pub(super) const TESTS: &[Test] = &[
    test("B01", b01).on(BOTH),
    test("B02", b02).on(BOTH),
    test("B03", b03).on(BOTH),
    test("B04", b04).on(BOTH),
    test("B05", b05).on(BOTH),
    test("B06", b06).on(BOTH),
    test("B07", b07).on(BOTH),
    test("B08", b08).on(BOTH),
    test("B09", b09).on(BOTH),
    test("B10", b10).on(BOTH),
    test("B13", b13).on(BOTH),
    test("B14", b14).on(BOTH),
    test("B17", b17),
    test("B18", b18).slow(),
    test("B19", b19).with(Profile::Abuse),
    test("B20", b20),
    test("B21", b21),
    test("B22", b22),
    test("B23", b23),
    test("B24", b24).with(Profile::Scram).slow(),
    test("B25", b25).with(Profile::Abuse).on(BOTH).slow(),
    test("B28", b28).with(Profile::Password).on(BOTH),
    test("B29", b29).with(Profile::Abuse).on(BOTH).wide(),
    test("B30", b30).on(BOTH).slow(),
    test("B35", b35).on(BOTH),
    test("B36", b36).with(Profile::Abuse).on(BOTH),
    test("B39", b39).with(Profile::Abuse).on(BOTH),
    test("B43", b43).with(Profile::Password).on(BOTH),
];

/// [B01] Any other packet as the first one (PUBACK 40 02 00 01, PUBLISH, SUBSCRIBE, PINGREQ,
/// AUTH, DISCONNECT).
fn b01(t: &Story) -> Done {
    connect::comes_first(t)
}

/// [B02] Second CONNECT, same or other id, valid or malformed.
fn b02(t: &Story) -> Done {
    connect::only_once(t)?;
    let topic = t.topic("malformed");
    let mut observer = t.observer("o", &topic)?;
    let mut peer = t.connect(&t.hello("c").will(Will::new(&topic, "will")))?;
    peer.send(&[0x10, 0x03, 0x00, 0x04, b'M']);
    peer.closed(EITHER)?;
    observer.takes("will").map(drop)
}

/// [B03] Protocol name wrong, empty, lower case, 65,535 bytes; MQIsdp+4, MQTT+3.
fn b03(t: &Story) -> Done {
    let long = "M".repeat(65_535);
    for (name, level) in
        [("MQTX", t.version.level()), ("", 4), ("mqtt", 4), ("MQIsdp", 4), ("MQTT", 3), (&long, 4)]
    {
        t.refuse(&t.hello("n").protocol(name, level), &[0x01, 0x84, 0x81, 0x95])?;
    }
    Ok(())
}

/// [B04] Protocol level 0, 1, 2, 6, 127, 132, 255.
fn b04(t: &Story) -> Done {
    for level in [0, 1, 2, 6, 127, 255] {
        t.refuse(&t.hello("l").protocol("MQTT", level), &[0x01, 0x84])?;
    }
    // 0x84 is how bridges of mosquitto announce themselves: refused or accepted.
    let mut peer = t.attempt(&t.hello("l").protocol("MQTT", 132))?;
    peer.event(seconds(5)).map(drop)
}

/// [B05] Reserved connect flag set.
fn b05(t: &Story) -> Done {
    connect::flags(t, &[0x03])
}

/// [B06] Will QoS 3; will bits without Will Flag.
fn b06(t: &Story) -> Done {
    connect::will_qos_3(t)?;
    connect::will_unasked(t)
}

/// [B07] Password flag without user name flag.
fn b07(t: &Story) -> Done {
    let bare = t.hello("p").password("password");
    if !t.version.is_v5() {
        return t.refuse(&bare, &[]);
    }
    let mut peer = t.attempt(&bare)?;
    match peer.event(seconds(5))? {
        Event::Packet(packet)
            if matches!(packet.content, Content::ConnAck { code: 0x81 | 0x82, .. }) =>
        {
            fail!("a password alone is legal: got {}", packet.describe())
        }
        _ => Ok(()),
    }
}

/// [B08] User name, password or will flag set but field missing.
fn b08(t: &Story) -> Done {
    connect::user_missing(t)?;
    connect::password_missing(t)?;
    connect::will_missing(t)
}

/// [B09] Empty client id with CleanSession 0.
fn b09(t: &Story) -> Done {
    let mut connect = t.hello("").durable();
    connect.client_id.clear();
    if t.version.is_v5() {
        let peer = t.connect(&connect)?;
        ensure!(peer.props.has(prop::ASSIGNED_CLIENT_ID), "no id was assigned");
        return Ok(());
    }
    let mut peer = t.attempt(&connect)?;
    same!(peer.connack()?, 2, "the return code");
    peer.closed(&[])
}

/// [B10] Client id of 65,535 bytes; of 24 bytes.
fn b10(t: &Story) -> Done {
    for length in [24, 65_535] {
        let mut connect = t.hello("");
        connect.client_id.resize(length, b'x');
        let mut peer = t.attempt(&connect)?;
        match peer.event(seconds(5))? {
            Event::Closed => {}
            Event::Silence => fail!("an id of {length} bytes is not answered"),
            Event::Packet(packet) => match packet.content {
                Content::ConnAck { code: 0, .. } => peer.ping()?,
                Content::ConnAck { code: 2 | 0x85 | 0x95 | 0x97, .. } => peer.closed(&[])?,
                _ => fail!("an id of {length} bytes: got {}", packet.describe()),
            },
        }
    }
    Ok(())
}

/// [B13] Bad UTF-8 and U+0000 in client id, user name, will topic, properties.
fn b13(t: &Story) -> Done {
    text::ill_formed(t)?;
    text::with_nul(t)
}

/// [B14] Will topic empty, with wildcard, '$SYS/x', '$share/g/x', admin topics.
fn b14(t: &Story) -> Done {
    let codes: &[u8] = &[1, 2, 3, 4, 5, 0x80, 0x81, 0x82, 0x87, 0x90];
    will::bad_topic(t, "", codes)?;
    will::bad_topic(t, &t.topic("+"), codes)?;
    will::bad_topic(t, &t.topic("#"), codes)?;
    for topic in ["$SYS/broker/version", "$share/g/x"] {
        let mut observer = t.client("o")?;
        if observer.subscribe(topic, 0).is_ok_and(|code| code < 0x80) {
            observer.collect(seconds(1))?;
        }
        let mut peer = t.attempt(&t.hello("c").will(Will::new(topic, "never")))?;
        let _ = peer.event(seconds(1));
        drop(peer);
        t.wait(seconds(1));
        if let Ok(all) = observer.collect(seconds(1)) {
            let forged = all.iter().any(|each| each.payload == b"never");
            ensure!(!forged, "a client's will was published to '{topic}'");
        }
    }
    Ok(())
}

/// [B17] Will with properties of a wrong type or not permitted for a will.
fn b17(t: &Story) -> Done {
    for props in [
        Props::new().two(prop::TOPIC_ALIAS, 1),
        Props::new().four(prop::SESSION_EXPIRY, 1),
        Props::new().text(prop::REASON_STRING, "x"),
        Props::new().byte(prop::PAYLOAD_FORMAT, 2),
        Props::new().with(prop::MESSAGE_EXPIRY, Value::Byte(1)),
    ] {
        let hello = t.hello("c").will(Will::new(t.topic("w"), "x").props(props));
        t.costs_at_most(16, || {
            t.together(4, |_| (0..t.scaled(50_000, 50)).try_for_each(|_| t.refuse(&hello, EITHER)))
        })?;
    }
    Ok(())
}

/// [B18] Will delay larger than session expiry, expiry 0, delay 0xFFFFFFFF.
fn b18(t: &Story) -> Done {
    let mut observer = t.observer("o", &t.topic("#"))?;
    for (name, delay, expiry) in
        [("later", 60, 1), ("none", 60, 0), ("max", u32::MAX, 1), ("both", u32::MAX, 0)]
    {
        let will = Will::new(t.topic(name), name).delay(delay);
        drop(t.connect(&t.hello(name).expiry(expiry).will(will))?);
    }
    let mut got: Vec<_> = observer.collect_for(seconds(4))?.iter().map(Publish::text).collect();
    got.sort();
    same!(
        got,
        ["both", "later", "max", "none"].map(str::to_owned).to_vec(),
        "wills at the session's end"
    );
    Ok(())
}

/// [B19] 10,000 user properties in CONNECT (1 MB).
fn b19(t: &Story) -> Done {
    let props = (0..10_000).fold(Props::new(), |p, i| p.user(format!("name{i}"), "v".repeat(90)));
    for _ in 0..3 {
        let mut peer = t.attempt(&t.hello("c").with(|_| props.clone()))?;
        match peer.event(seconds(5))? {
            Event::Closed => {}
            Event::Silence => fail!("a CONNECT of 1 MB is not answered"),
            Event::Packet(packet) => match packet.content {
                Content::ConnAck { code: 0, .. } => peer.ping()?,
                Content::ConnAck { code: 0x80 | 0x81 | 0x95 | 0x97, .. } => peer.closed(&[])?,
                _ => fail!("a CONNECT of 1 MB: got {}", packet.describe()),
            },
        }
    }
    Ok(())
}

/// [B20] A once-only property twice; unknown property id (0x7F, 2-byte id); property of another
/// packet type.
fn b20(t: &Story) -> Done {
    t.refuse(&t.hello("c").expiry(1).with(Props::twice), PROTOCOL_ERROR)?;
    t.refuse(&t.hello("c").with(|p| p.byte(0x7F, 1)), MALFORMED)?;
    t.refuse(&t.hello("c").with(|p| p.with(0x80, Value::Raw(vec![0x01, 0x00]))), MALFORMED)?;
    t.refuse(&t.hello("c").with(|p| p.two(prop::TOPIC_ALIAS, 1)), MALFORMED)
}

/// [B21] Property length longer than the packet, or cutting a property.
fn b21(t: &Story) -> Done {
    for (length, inner) in [(0x7F, vec![]), (3, vec![0x11, 0, 0]), (4, vec![0x11, 0, 0, 0])] {
        let body = Body::new().text("MQTT").u8(5).u8(2).u16(60).u8(length).raw(inner);
        t.offend_first(&body.text(t.client_id("c")).packet(0x10), EITHER)?;
    }
    Ok(())
}

/// [B22] Receive Maximum 0; Maximum Packet Size 0; Request Problem/Response Information 2.
fn b22(t: &Story) -> Done {
    for props in [
        Props::new().two(prop::RECEIVE_MAXIMUM, 0),
        Props::new().four(prop::MAXIMUM_PACKET_SIZE, 0),
        Props::new().byte(prop::REQUEST_PROBLEM_INFO, 2),
        Props::new().byte(prop::REQUEST_RESPONSE_INFO, 2),
    ] {
        t.refuse(&t.hello("c").with(|_| props), PROTOCOL_ERROR)?;
    }
    Ok(())
}

/// [B23] Maximum Packet Size 1 to 4 (smaller than any CONNACK).
fn b23(t: &Story) -> Done {
    for limit in 1..=4 {
        let mut peer = t.attempt(&t.hello("c").maximum_packet_size(limit))?;
        peer.refused(&[]).map_err(|stop| {
            crate::harness::story::about(&[u8::try_from(limit).unwrap_or(0)], stop)
        })?;
    }
    Ok(())
}

/// [B24] Authentication Data without Method; unknown Method; AUTH ping-pong without end.
fn b24(t: &Story) -> Done {
    t.refuse(&t.hello("c").with(|p| p.text(prop::AUTH_DATA, "x")), PROTOCOL_ERROR)?;
    t.refuse(&t.hello("c").with(|p| p.text(prop::AUTH_METHOD, "NOPE")), &[0x8C, 0x87])?;
    let mut peer = match challenged(t) {
        Ok(peer) => peer,
        Err(Stop::NotSupported(_)) => return Ok(()),
        Err(other) => return Err(other),
    };
    for _ in 0..1000 {
        peer.send(&auth(0x18, METHOD, b"again"));
        match peer.event(seconds(20))? {
            Event::Packet(packet) if matches!(packet.content, Content::Auth { .. }) => {}
            _ => return Ok(()),
        }
    }
    fail!("a thousand rounds of AUTH were answered")
}

/// [B25] CONNECT trickled 1 byte per 5 s from 1,000 sockets (slowloris).
fn b25(t: &Story) -> Done {
    let hello = t.hello("c").bytes();
    let mut peers = Vec::new();
    for _ in 0..1000 {
        peers.push(t.open()?);
    }
    for byte in hello.iter().take(5) {
        for peer in &mut peers {
            peer.send(&[*byte]);
        }
        t.wait(seconds(4));
    }
    // By now 20 s have gone: all must be closed.
    peers.iter_mut().try_for_each(|peer| peer.refused_within(seconds(5), &[0x81, 0x82]))
}

/// [B28] Refused CONNECT with PUBLISH/SUBSCRIBE pipelined behind it.
fn b28(t: &Story) -> Done {
    connect::nothing_after_refusal(t)
}

/// [B29] Keep alive 65,535 from 20,000 idle clients (SlowITe).
fn b29(t: &Story) -> Done {
    let count = t.scaled(19_000, 1000);
    let mut peers = Vec::new();
    // 20 KiB for each.
    t.costs_at_most(u64::from(count) * 20 / 1024, || {
        for index in 0..count {
            peers.push(t.connect(&t.hello(&format!("i{index}")).keep_alive(65_535))?);
        }
        Ok(())
    })?;
    peers.iter_mut().try_for_each(Peer::ping)
}

/// [B30] Keep alive 2 s; only partial packets arrive.
fn b30(t: &Story) -> Done {
    let topic = t.topic("will");
    let mut observer = t.observer("o", &topic)?;
    let mut peer = t.connect(&t.hello("c").keep_alive(2).will(Will::new(&topic, "will")))?;
    let began = std::time::Instant::now();
    peer.send(&[0x30, 0x7F]);
    while began.elapsed() < seconds(15) {
        peer.send(&[0]);
        match peer.event(seconds(1))? {
            Event::Silence => {}
            Event::Packet(_) => break,
            Event::Closed => break,
        }
    }
    let took = began.elapsed().as_secs_f64();
    ensure!(took < 12.0, "keep alive 2 s, partial packets: open after {took:.1} s");
    observer.takes("will").map(drop)
}

/// [B35] Client id differing only in case, NFC/NFD, trailing blank, or colliding hash or file
/// name.
fn b35(t: &Story) -> Done {
    let base = t.client_id("x");
    let names = ["", "X", "\u{E9}", "e\u{301}", " ", "/", "..", "\u{FEFF}", "%2F"];
    for name in names {
        let mut connect = t.hello("").durable();
        connect.client_id = format!("{base}{name}").into_bytes();
        let peer = t.connect(&connect)?;
        ensure!(!peer.session_present, "the id '{base}{name}' resumes a session of another id");
        peer.disconnect();
    }
    Ok(())
}

/// [B36] CONNECT then immediate FIN, 100,000 times.
fn b36(t: &Story) -> Done {
    t.costs_at_most(16, || {
        for index in 0..t.scaled(100_000, 3000) {
            let mut peer = t.open()?;
            peer.send(&t.hello(&format!("{}", index % 10)).bytes());
            peer.finish();
        }
        Ok(())
    })
}

/// [B39] Client id with HTML, newline, ANSI escape, 1 MB of them in logs and dashboards.
fn b39(t: &Story) -> Done {
    for name in ["<script>alert(1)</script>", "line\nbreak", "\u{1B}[31mred", "a\tb\r"] {
        let mut connect = t.hello("");
        connect.client_id = format!("{}{name}", t.unique).into_bytes();
        let mut peer = t.attempt(&connect)?;
        let _ = peer.event(seconds(2))?;
    }
    let Some(log) = &t.log else { return Ok(()) };
    let written = std::fs::read(log).unwrap_or_default();
    let raw = format!("{}\u{1B}[31m", t.unique);
    let found = written.windows(raw.len()).any(|window| window == raw.as_bytes());
    ensure!(!found, "an escape sequence of a client id stands raw in the log");
    Ok(())
}

/// [B43] User name and/or password present but empty, on TCP, TLS, WebSocket.
fn b43(t: &Story) -> Done {
    for (user, password) in [("", ""), ("alice", ""), ("", "wonderland")] {
        let hello = Connect::new(t.version, t.client_id("c")).user(user).password(password);
        t.refuse(&hello, connect::REFUSED)?;
    }
    let hello = Connect::new(t.version, t.client_id("c")).user("");
    t.refuse(&hello, connect::REFUSED)
}
