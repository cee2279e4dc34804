//! Fixed headers and what stands behind them.

use crate::harness::prelude::*;

/// A well-formed packet of each type that a client may send after CONNECT.
pub(crate) fn legal_packets(t: &Story) -> Vec<Vec<u8>> {
    let topic = t.topic("legal");
    let mut all = vec![
        Publish::new(&topic, "x").bytes(t.version),
        Publish::new(&topic, "x").qos(1).id(10).bytes(t.version),
        acknowledgement(4, 1),
        acknowledgement(5, 1),
        acknowledgement(6, 1),
        acknowledgement(7, 1),
        subscribe(t.version, 3, &Props::new(), &[(&topic, 1)]),
        unsubscribe(t.version, 4, &[&topic]),
        vec![0xC0, 0],
        vec![0xE0, 0],
    ];
    if t.version.is_v5() {
        let bare = Props::new().text(prop::AUTH_METHOD, "none");
        all.push(Body::new().u8(0x19).raw(bare.block()).packet(0xF0));
    }
    all
}

/// The packet with these low four bits of the first byte.
pub(crate) fn with_flags(packet: &[u8], flags: u8) -> Vec<u8> {
    let mut changed = packet.to_vec();
    if let Some(first) = changed.first_mut() {
        *first = (*first & 0xF0) | flags;
    }
    changed
}

/// A wrong flag nibble of each packet type closes the connection.
pub(crate) fn wrong_flags(t: &Story) -> Done {
    for packet in legal_packets(t) {
        let first = packet.first().copied().unwrap_or(0);
        if first >> 4 == 3 {
            continue;
        }
        for flags in (0..16).filter(|flags| *flags != first & 0x0F) {
            t.offend(&with_flags(&packet, flags), EITHER)?;
        }
    }
    let connect = t.hello("f").bytes();
    (1..16).try_for_each(|flags| t.offend_first(&with_flags(&connect, flags), connack_codes(t)))
}

/// The codes that a CONNACK may have at a broken CONNECT; in 3.1.1 there is none.
pub(crate) fn connack_codes(t: &Story) -> &'static [u8] {
    if t.version.is_v5() { EITHER } else { &[] }
}

/// These first bytes in place of a packet's own close the connection.
pub(crate) fn wrong_first_bytes(t: &Story, packet: &[u8], firsts: &[u8]) -> Done {
    firsts.iter().try_for_each(|first| t.offend(&with_flags(packet, first & 0x0F), EITHER))
}

/// SUBSCRIBE with flags other than 0010.
pub(crate) fn subscribe_flags(t: &Story) -> Done {
    let packet = subscribe(t.version, 1, &Props::new(), &[(&t.topic("a"), 0)]);
    wrong_first_bytes(t, &packet, &[0x80, 0x81, 0x83, 0x8A, 0x8F])
}

/// UNSUBSCRIBE with flags other than 0010.
pub(crate) fn unsubscribe_flags(t: &Story) -> Done {
    let packet = unsubscribe(t.version, 1, &[&t.topic("a")]);
    wrong_first_bytes(t, &packet, &[0xA0, 0xA1, 0xA3, 0xAA])
}

/// PUBREL with flags other than 0010.
pub(crate) fn pubrel_flags(t: &Story) -> Done {
    wrong_first_bytes(t, &acknowledgement(6, 1), &[0x60, 0x61, 0x63, 0x6A])
}

/// DISCONNECT with flags is no DISCONNECT: the will is published.
pub(crate) fn disconnect_flags(t: &Story) -> Done {
    for (index, first) in [0xE1, 0xE2, 0xE8].into_iter().enumerate() {
        let topic = t.topic(&format!("will{index}"));
        let mut observer = t.observer("o", &topic)?;
        let hello = t.hello("c").will(Will::new(&topic, "will"));
        let mut peer = t.connect(&hello)?;
        peer.send(&[first, 0]);
        peer.closed(MALFORMED)?;
        observer.takes("will")?;
    }
    Ok(())
}

/// PINGREQ is answered, also a thousand of them in one write.
pub(crate) fn pings(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    peer.send(&[0xC0, 0]);
    same!(peer.next()?.raw, vec![0xD0, 0], "the answer to PINGREQ");
    peer.send(&[0xC0, 0].repeat(1000));
    for count in 0..1000 {
        let packet = peer.next()?;
        ensure!(packet.content == Content::PingResp, "PINGRESP {count}: got {}", packet.describe());
    }
    peer.quiet()
}

/// Server-only packets from a client, types that do not exist, and other violations.
pub(crate) fn violations(t: &Story) -> Done {
    let v5 = t.version.is_v5();
    let connack: &[u8] = if v5 { &[0x20, 3, 0, 0, 0] } else { &[0x20, 2, 0, 0] };
    let suback: &[u8] = if v5 { &[0x90, 4, 0, 1, 0, 0] } else { &[0x90, 3, 0, 1, 0] };
    let unsuback: &[u8] = if v5 { &[0xB0, 4, 0, 1, 0, 0] } else { &[0xB0, 2, 0, 1] };
    t.offend_each([connack, suback, unsuback, &[0xD0, 0], &[0x00, 0]], EITHER)?;
    t.offend_each([[0xC0, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F].as_slice()], &[0x81, 0x82, 0x95])?;
    if !v5 {
        t.offend(&[0xF0, 0], &[])?;
    }
    t.offend(&t.hello("again").bytes(), EITHER)
}

/// Bytes behind the last field.
pub(crate) fn bytes_left_over(t: &Story) -> Done {
    for packet in legal_packets(t) {
        let first = packet.first().copied().unwrap_or(0);
        let body = packet.get(2..).unwrap_or_default();
        // A PUBLISH takes all that is left as payload; acks of 5.0 go on with a reason code.
        if first >> 4 == 3 || (t.version.is_v5() && matches!(first >> 4, 4..=7 | 14)) {
            continue;
        }
        let longer = Body::new().raw(body).u8(0xFF).packet(first);
        t.offend(&longer, &[0x81, 0x82, 0x8F])?;
    }
    Ok(())
}
