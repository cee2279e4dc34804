//! Group A: framing.

use crate::harness::prelude::*;
use crate::shared::framing::{bytes_left_over, connack_codes, legal_packets, wrong_flags};

use super::{BOTH, EITHER_OR_SIZE, V311};

pub(super) const TESTS: &[Test] = &[
    test("A01", a01).on(BOTH),
    test("A02", a02).on(BOTH),
    test("A03", a03).on(BOTH).slow(),
    test("A04", a04).with(Profile::Abuse).on(BOTH),
    test("A05", a05).on(BOTH),
    test("A06", a06).on(V311),
    test("A07", a07).on(BOTH),
    test("A08", a08),
    test("A09", a09).on(BOTH),
    test("A10", a10).on(BOTH),
    test("A11", a11).on(BOTH),
    test("A12", a12).on(BOTH),
    test("A13", a13).on(BOTH),
    test("A14", a14).on(BOTH),
    test("A15", a15).on(BOTH),
    test("A16", a16).on(BOTH),
    test("A17", a17).on(BOTH),
    test("A18", a18).on(BOTH),
    test("A19", a19).on(BOTH).slow(),
    test("A20", a20).with(Profile::Abuse).on(BOTH),
    test("A21", a21).on(BOTH),
    test("A22", a22).with(Profile::Abuse).on(BOTH),
    test("A23", a23).on(BOTH).slow(),
];

/// [A01] Remaining length of 5 bytes (10 FF FF FF FF 7F), first packet and later.
fn a01(t: &Story) -> Done {
    t.offend_first(&[0x10, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F], codes_or_size(t))?;
    t.offend(&[0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F], EITHER_OR_SIZE)
}

/// [A02] Remaining length not in shortest form (C0 80 00, 30 85 80 00 ...).
fn a02(t: &Story) -> Done {
    let overlong = Body::new().raw([0x30, 0x85, 0x80, 0x00]).text("abc").bytes();
    if t.version.is_v5() {
        t.offend(&[0xC0, 0x80, 0x00], MALFORMED)?;
        return t.offend(&overlong, MALFORMED);
    }
    // The text of 3.1.1 is silent: any answer is permitted that keeps the broker sound.
    let mut peer = t.client("c")?;
    peer.send(&[0xC0, 0x80, 0x00]);
    let _ = peer.event(seconds(1))?;
    Ok(())
}

/// [A03] Before CONNECT: header claiming 256 MB (CONNECT or another type), then silence.
fn a03(t: &Story) -> Done {
    let mut waiting = Vec::new();
    for first in [0x10, 0x30, 0x82] {
        let mut peer = t.open()?;
        peer.send(&[first, 0xFF, 0xFF, 0xFF, 0x7F, 0, 4]);
        waiting.push(peer);
    }
    waiting.iter_mut().try_for_each(|peer| peer.refused_within(seconds(20), &[0x81, 0x82, 0x95]))
}

/// [A04] After CONNECT: PUBLISH header claiming more than Maximum Packet Size.
fn a04(t: &Story) -> Done {
    let announced = t.client("c")?.props.number(prop::MAXIMUM_PACKET_SIZE);
    if t.version.is_v5() && announced.is_none_or(|bytes| bytes > 0x0FFF_FFF0) {
        return Err(Stop::NotSupported("the server takes packets of any size".to_owned()));
    }
    let mut peer = t.client("c")?;
    peer.send(&[0x30, 0xFF, 0xFF, 0xFF, 0x7F, 0, 1, b'a']);
    peer.closed_within(seconds(5), &[0x95])
}

/// [A05] Packet type 0 (00 00, 0F 00, 00 01 00).
fn a05(t: &Story) -> Done {
    t.offend_each([[0x00, 0x00].as_slice(), &[0x0F, 0x00], &[0x00, 0x01, 0x00]], EITHER)
}

/// [A06] Packet type 15 sent by a 3.1/3.1.1 client.
fn a06(t: &Story) -> Done {
    t.offend_each([[0xF0, 0x00].as_slice(), &[0xF0, 0x01, 0x00]], &[])
}

/// [A07] Server-only packets from a client: CONNACK, SUBACK, UNSUBACK, PINGRESP, well- and
/// ill-formed.
fn a07(t: &Story) -> Done {
    let v5 = t.version.is_v5();
    let well: [&[u8]; 4] = if v5 {
        [&[0x20, 3, 0, 0, 0], &[0x90, 4, 0, 1, 0, 0], &[0xB0, 4, 0, 1, 0, 0], &[0xD0, 0]]
    } else {
        [&[0x20, 2, 0, 0], &[0x90, 3, 0, 1, 0], &[0xB0, 2, 0, 1], &[0xD0, 0]]
    };
    t.offend_each(well, EITHER)?;
    t.offend_each([[0x20, 0].as_slice(), &[0x90, 1, 0], &[0xB0, 0], &[0xD0, 1, 0]], EITHER)
}

/// [A08] CONNECT v5 followed in the same write by 29 02 00 01 E0 00 (wrong flags, server-only
/// type).
fn a08(t: &Story) -> Done {
    let mut peer = t.open()?;
    let mut bytes = t.hello("c").bytes();
    bytes.extend([0x29, 0x02, 0x00, 0x01, 0xE0, 0x00]);
    peer.send(&bytes);
    same!(peer.connack()?, 0, "the code of the CONNACK");
    peer.closed(EITHER)
}

/// [A09] Each packet type with each wrong flag nibble (16 x 15 grid).
fn a09(t: &Story) -> Done {
    wrong_flags(t)?;
    for first in (0..16).map(|flags| 0xC0 | flags).filter(|first| *first != 0xC0) {
        t.offend(&[first, 0], EITHER)?;
    }
    Ok(())
}

/// [A10] Inner length field points past the packet end, in every packet type and field.
fn a10(t: &Story) -> Done {
    let topic = t.topic("a");
    for packet in [
        Publish::new(&topic, "").bytes(t.version),
        subscribe(t.version, 1, &Props::new(), &[(&topic, 1)]),
        unsubscribe(t.version, 1, &[&topic]),
    ] {
        for length in [0x00FF, 0x7FFF, 0xFFFF] {
            let changed = with_length(&packet, &topic, length);
            t.offend(&changed, &[0x81, 0x82, 0x8F, 0x90])?;
        }
    }
    let hello = t.hello("c").will(Will::new(&topic, "payload")).user("user").password("password");
    for field in [&t.client_id("c"), topic.as_str(), "payload", "user", "password"] {
        let changed = with_length(&hello.bytes(), field, 0xFFFF);
        t.offend_first(&changed, connack_codes(t))?;
    }
    if !t.version.is_v5() {
        return Ok(());
    }
    for length in [0x20, 0x7F] {
        t.offend(&Body::new().text(&topic).u8(length).packet(0x30), MALFORMED)?;
        t.offend(&Body::new().u16(1).u8(length).text(&topic).u8(0).packet(0x82), MALFORMED)?;
        t.offend(&Body::new().u8(0).u8(length).packet(0xE0), MALFORMED)?;
        t.offend(&Body::new().u16(1).u8(0).u8(length).packet(0x40), MALFORMED)?;
    }
    Ok(())
}

/// [A11] Bytes left over behind the last field, every packet type.
fn a11(t: &Story) -> Done {
    bytes_left_over(t)
}

/// [A12] QoS 1/2 PUBLISH ending right behind the topic (no packet id), also at exactly 1,024
/// bytes.
fn a12(t: &Story) -> Done {
    for topic in [t.topic("a"), "x".repeat(1024 - 2 - 3)] {
        for qos in [1, 2] {
            let first = Publish::new("", "").qos(qos).first_byte();
            t.offend(&Body::new().text(&topic).packet(first), EITHER)?;
            t.offend(&Body::new().text(&topic).u8(0).packet(first), EITHER)?;
        }
    }
    Ok(())
}

/// [A13] PUBLISH with topic length larger than remaining length (30 07 FF FF 41..).
fn a13(t: &Story) -> Done {
    for first in [0x30, 0x32, 0x34] {
        t.offend(&[first, 0x07, 0xFF, 0xFF, 0x41, 0x41, 0x41, 0x41, 0x41], &[0x81, 0x82, 0x90])?;
    }
    Ok(())
}

/// [A14] SUBSCRIBE ending right behind the filter (no options byte).
fn a14(t: &Story) -> Done {
    let properties: &[u8] = if t.version.is_v5() { &[0] } else { &[] };
    let cut = Body::new().u16(1).raw(properties).text(t.topic("a"));
    t.offend(&cut.clone().packet(0x82), EITHER)?;
    // The same behind a whole filter.
    t.offend(&cut.u8(0).text(t.topic("b")).packet(0x82), EITHER)
}

/// [A15] UNSUBSCRIBE with filter length past the end.
fn a15(t: &Story) -> Done {
    let properties: &[u8] = if t.version.is_v5() { &[0] } else { &[] };
    for length in [2, 0x7FFF, 0xFFFF] {
        let cut = Body::new().u16(1).raw(properties).u16(length).raw("a");
        t.offend(&cut.packet(0xA2), &[0x81, 0x82, 0x8F])?;
    }
    Ok(())
}

/// [A16] PUBACK/PUBREC/PUBREL/PUBCOMP with remaining length 0, 1 (all versions), 3+ (3.1.1).
fn a16(t: &Story) -> Done {
    for first in [0x40, 0x50, 0x62, 0x70] {
        t.offend(&[first, 0], EITHER)?;
        t.offend(&[first, 1, 0], EITHER)?;
        if !t.version.is_v5() {
            t.offend(&[first, 3, 0, 1, 0], &[])?;
            t.offend(&[first, 4, 0, 1, 0, 0], &[])?;
        }
    }
    if !t.version.is_v5() {
        return Ok(());
    }
    // A reason without properties is legal.
    let mut peer = t.client("c")?;
    let id = peer.send_publish(Publish::new(t.topic("a"), "x").qos(2));
    peer.ack(5, id)?;
    peer.send(&Body::new().u16(id).u8(0).packet(0x62));
    peer.ack(7, id).map(drop)
}

/// [A17] DISCONNECT with body (E0 01 00) from 3.1.1; E0 02 00 20 (property length past the end)
/// from v5.
fn a17(t: &Story) -> Done {
    let bad: &[u8] = if t.version.is_v5() { &[0xE0, 2, 0, 0x20] } else { &[0xE0, 1, 0] };
    let topic = t.topic("will");
    let mut observer = t.observer("o", &topic)?;
    let mut peer = t.connect(&t.hello("c").will(Will::new(&topic, "will")))?;
    peer.send(bad);
    peer.closed(MALFORMED)?;
    observer.takes("will").map(drop)
}

/// [A18] PINGREQ with body (C0 01 00).
fn a18(t: &Story) -> Done {
    t.offend_each([[0xC0, 1, 0].as_slice(), &[0xC0, 3, 0, 0, 0]], EITHER)
}

/// [A19] Every legal packet sent one byte per TCP segment, and cut at every offset.
fn a19(t: &Story) -> Done {
    let topic = t.topic("cut");
    let mut observer = t.observer("o", &topic)?;
    let mut packets = t.hello("c").bytes();
    packets.extend(subscribe(t.version, 3, &Props::new(), &[(&t.topic("other"), 1)]));
    packets.extend(Publish::new(&topic, "x").qos(1).id(4).bytes(t.version));
    packets.extend(Publish::new(&topic, "y").qos(2).id(5).bytes(t.version));
    packets.extend(acknowledgement(6, 5));
    packets.extend(unsubscribe(t.version, 6, &[&t.topic("other")]));
    packets.extend([0xC0, 0]);
    let pieces = |at: usize| {
        let (head, tail) = packets.split_at_checked(at).unwrap_or_default();
        vec![head.to_vec(), tail.to_vec()]
    };
    let bytewise: Vec<Vec<u8>> = packets.iter().map(|byte| vec![*byte]).collect();
    let cuts = (1..packets.len()).step_by(3).map(pieces);
    for pieces in cuts.chain([bytewise]) {
        let mut peer = t.open()?;
        for piece in pieces {
            peer.send(&piece);
            // The system sends each piece on its own, since there is no delay on this socket.
            std::thread::yield_now();
        }
        same!(peer.connack()?, 0, "the code of the CONNACK");
        peer.suback(3)?;
        peer.ack(4, 4)?;
        peer.ack(5, 5)?;
        peer.ack(7, 5)?;
        peer.unsuback(6)?;
        peer.until("PINGRESP", |content| *content == Content::PingResp)?;
        observer.takes("x")?;
        observer.takes("y")?;
    }
    observer.quiet()
}

/// [A20] 50,000 small packets in one write from one client while others work.
fn a20(t: &Story) -> Done {
    let small = Publish::new("f", "").bytes(t.version);
    let mut flood = t.client("f")?;
    let mut other = t.client("o")?;
    flood.send(&small.repeat(50_000));
    for _ in 0..20 {
        t.in_a_second("a ping beside the flood", || other.ping())?;
    }
    flood.ping_within(seconds(30))
}

/// [A21] HTTP GET, TLS ClientHello, SSH banner, zeros, random bytes on the plain port.
fn a21(t: &Story) -> Done {
    let hello_tls = [0x16, 0x03, 0x01, 0x00, 0xA5, 0x01, 0x00, 0x00, 0xA1, 0x03, 0x03, 0x00];
    let noise: Vec<u8> =
        (0_u32..4096).map(|i| u8::try_from((i * 167 + 13) % 251).unwrap_or(0)).collect();
    let texts: [&[u8]; 5] = [
        b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n",
        &hello_tls,
        b"SSH-2.0-OpenSSH_9.6\r\n",
        &[0; 64],
        &noise,
    ];
    for text in texts {
        let answer = answer_to(t, text)?;
        let is_own = |answer: &[u8]| match text.first() {
            // HTTP and TLS may be answered in their own words, and then closed.
            Some(b'G') => answer.starts_with(b"HTTP/1.1 400"),
            Some(0x16) => answer.first() == Some(&0x15),
            _ => matches!(answer, [0x20, _, 0, code, ..] if connack_codes(t).contains(code)),
        };
        ensure!(answer.is_empty() || is_own(&answer), "{text:02X?} is answered with {answer:02X?}");
    }
    t.client("after")?.ping()
}

/// What the server answers to the first bytes of a connection until it closes it.
fn answer_to(t: &Story, bytes: &[u8]) -> Done<Vec<u8>> {
    use std::io::{ErrorKind, Read, Write};
    let failed = |what: &str, error: std::io::Error| Stop::Fail(format!("{what}: {error}"));
    let mut stream =
        std::net::TcpStream::connect(t.address).map_err(|error| failed("connect", error))?;
    stream.set_read_timeout(Some(seconds(20))).map_err(|error| failed("a timeout", error))?;
    // The server may have closed before everything is written.
    drop(stream.write_all(bytes));
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => {
            Err(failed("the server does not close", error))
        }
        _ => Ok(answer),
    }
}

/// [A22] RST or FIN in the middle of any packet.
fn a22(t: &Story) -> Done {
    let topic = t.topic("will");
    // At the catalogue's size it is silent for longer than a keep alive.
    let mut observer = t.connect(&t.hello("o").keep_alive(0))?;
    observer.listen(&topic, 2)?;
    for packet in legal_packets(t) {
        // A packet of two bytes cut in the middle is its first byte.
        let cut = packet.get(..packet.len().div_ceil(2)).unwrap_or_default();
        let mut peer = t.connect(&t.hello("c").will(Will::new(&topic, "will")))?;
        peer.send(cut);
        drop(peer);
        observer.takes("will")?;
    }
    let hello = t.hello("c").bytes();
    t.costs_at_most(16, || {
        for _ in 0..t.scaled(100_000, 3000) {
            let mut peer = t.open()?;
            peer.send(hello.get(..hello.len() / 2).unwrap_or_default());
        }
        Ok(())
    })?;
    observer.quiet()
}

/// [A23] TCP connection that never sends a byte.
fn a23(t: &Story) -> Done {
    t.open()?.refused_within(seconds(20), &[])
}

/// The packet with another length in front of this field.
fn with_length(packet: &[u8], field: &str, length: u16) -> Vec<u8> {
    let mut changed = packet.to_vec();
    let bytes = field.as_bytes();
    let at = packet.windows(bytes.len()).position(|window| window == bytes);
    let place = at.and_then(|at| changed.get_mut(at.saturating_sub(2)..at));
    if let Some(place) = place {
        place.copy_from_slice(&length.to_be_bytes());
    }
    changed
}

fn codes_or_size(t: &Story) -> &'static [u8] {
    if t.version.is_v5() { EITHER_OR_SIZE } else { &[] }
}
