//! Protocol Errors in PUBLISH and its acknowledgements.

use crate::harness::prelude::*;

pub(super) const TESTS: &[Test] = &[
    test("U5-029", u5_029).with(Profile::MaxQos0),
    test("U5-031", u5_031).with(Profile::NoRetain),
    test("U5-033", u5_033).with(Profile::Abuse),
    test("U5-049", u5_049),
    test("U5-050", u5_050),
    test("U5-051", u5_051),
    test("U5-052", u5_052),
    test("U5-053", u5_053),
    test("U5-055", u5_055),
    test("U5-057", u5_057),
    test("U5-058", u5_058),
    test("U5-059", u5_059).with(Profile::SmallWindow),
    test("U5-060", u5_060),
    test("U5-061", u5_061),
    test("U5-062", u5_062),
    test("U5-063", u5_063),
];

/// [U5-029] PUBLISH above the announced Maximum QoS (Protocol Error, 0x9B).
fn u5_029(t: &Story) -> Done {
    for qos in [1, 2] {
        t.offend(&Publish::new(t.topic("a"), "x").qos(qos).id(1).bytes(t.version), &[0x9B])?;
    }
    Ok(())
}

/// [U5-031] PUBLISH with RETAIN although not available (Protocol Error, 0x9A).
fn u5_031(t: &Story) -> Done {
    t.offend(&Publish::new(t.topic("a"), "x").retain().bytes(t.version), &[0x9A])
}

/// [U5-033] Packet larger than the server's maximum (Protocol Error, 0x95).
fn u5_033(t: &Story) -> Done {
    let maximum = t.client("c")?.props.number(prop::MAXIMUM_PACKET_SIZE);
    let Some(maximum) = maximum.filter(|bytes| *bytes <= 16 << 20) else {
        return Err(Stop::NotSupported(
            "the CONNACK names no small Maximum Packet Size".to_owned(),
        ));
    };
    let topic = t.topic("a");
    let packet = |size: usize| {
        let header = Body::new().text(&topic).u8(0).bytes().len();
        let length_bytes = if size > 2_097_155 {
            4
        } else if size > 16_386 {
            3
        } else {
            2
        };
        let payload = vec![b'x'; size.saturating_sub(1 + length_bytes + header)];
        Publish::new(&topic, payload).bytes(t.version)
    };
    let maximum = usize::try_from(maximum).unwrap_or(0);
    let fitting = packet(maximum);
    same!(fitting.len(), maximum, "the size of the packet that fits");
    let mut peer = t.client("f")?;
    peer.send(&fitting);
    peer.ping()?;
    t.offend(&packet(maximum + 1), &[0x95])
}

/// [U5-049] Empty topic without alias (Protocol Error, 0x82).
fn u5_049(t: &Story) -> Done {
    publish(t, &Publish::new("", "x"), PROTOCOL_ERROR)
}

/// [U5-050] Payload Format 1 and payload not UTF-8: may be refused (MAY) (-, 0x99).
fn u5_050(t: &Story) -> Done {
    // The server may refuse or pass on.
    let topic = t.topic("a");
    let mut observer = t.observer("o", &topic)?;
    let bad = Publish::new(&topic, [0xFF]).qos(1).with(|p| p.byte(prop::PAYLOAD_FORMAT, 1));
    let mut peer = t.client("c")?;
    peer.send_publish(bad.id(1));
    match peer.event(seconds(5))? {
        Event::Packet(packet) => match packet.content {
            Content::Ack { code: 0 | 0x10, .. } => observer.take().map(drop),
            Content::Ack { code: 0x99, .. } => observer.quiet(),
            Content::Disconnect { code: 0x99, .. } => peer.closed(&[]),
            _ => fail!("a payload that is not text: got {}", packet.describe()),
        },
        Event::Closed => observer.quiet(),
        Event::Silence => fail!("a payload that is not text is not answered"),
    }
}

/// [U5-051] Topic Alias twice (Protocol Error, 0x82).
fn u5_051(t: &Story) -> Done {
    twice(t, &Props::new().two(prop::TOPIC_ALIAS, 1), &[0x82, 0x94])
}

/// [U5-052] Response Topic twice (Protocol Error, 0x82).
fn u5_052(t: &Story) -> Done {
    twice(t, &Props::new().text(prop::RESPONSE_TOPIC, "r"), PROTOCOL_ERROR)
}

/// [U5-053] Correlation Data twice (Protocol Error, 0x82).
fn u5_053(t: &Story) -> Done {
    twice(t, &Props::new().text(prop::CORRELATION_DATA, "d"), PROTOCOL_ERROR)
}

/// [U5-055] Content Type twice (Protocol Error, 0x82).
fn u5_055(t: &Story) -> Done {
    twice(t, &Props::new().text(prop::CONTENT_TYPE, "c"), PROTOCOL_ERROR)
}

/// [U5-057] Alias 0 or above the maximum (Protocol Error, 0x94).
fn u5_057(t: &Story) -> Done {
    let maximum = t.client("c")?.props.number(prop::TOPIC_ALIAS_MAXIMUM).unwrap_or(0);
    let above = u16::try_from(maximum + 1).unwrap_or(0);
    for alias in [0, above] {
        let bad = Publish::new(t.topic("a"), "x").with(|p| p.two(prop::TOPIC_ALIAS, alias));
        publish(t, &bad, &[0x94])?;
    }
    Ok(())
}

/// [U5-058] Empty topic with an alias not yet set (Protocol Error, 0x82).
fn u5_058(t: &Story) -> Done {
    let unset = Publish::new("", "x").with(|p| p.two(prop::TOPIC_ALIAS, 1));
    publish(t, &unset, &[0x82, 0x94])
}

/// [U5-059] More QoS>0 PUBLISH in flight than Receive Maximum (Protocol Error, 0x93).
fn u5_059(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    let maximum = peer.props.number(prop::RECEIVE_MAXIMUM);
    let Some(maximum) = maximum.and_then(|m| u16::try_from(m).ok()) else {
        return Err(Stop::NotSupported("the CONNACK names no Receive Maximum".to_owned()));
    };
    for id in 1..=maximum {
        peer.send_publish(Publish::new(t.topic("a"), "x").qos(2).id(id));
        peer.ack(5, id)?;
    }
    peer.send_publish(Publish::new(t.topic("a"), "x").qos(2).id(maximum + 1));
    peer.closed(&[0x93])
}

/// [U5-060] PUBACK Reason String twice (Protocol Error, 0x82).
fn u5_060(t: &Story) -> Done {
    reason_twice(t, 0x40)
}

/// [U5-061] PUBREC Reason String twice (Protocol Error, 0x82).
fn u5_061(t: &Story) -> Done {
    reason_twice(t, 0x50)
}

/// [U5-062] PUBREL Reason String twice (Protocol Error, 0x82).
fn u5_062(t: &Story) -> Done {
    reason_twice(t, 0x62)
}

/// [U5-063] PUBCOMP Reason String twice (Protocol Error, 0x82).
fn u5_063(t: &Story) -> Done {
    reason_twice(t, 0x70)
}

fn publish(t: &Story, publish: &Publish, codes: &[u8]) -> Done {
    let mut observer = t.observer("o", &t.topic("#"))?;
    t.offend(&publish.bytes(t.version), codes)?;
    observer.quiet()
}

fn twice(t: &Story, props: &Props, codes: &[u8]) -> Done {
    publish(t, &Publish::new(t.topic("a"), "x").with(|_| props.clone().twice()), codes)
}

/// Two reason strings in an acknowledgement; of which id does not matter.
fn reason_twice(t: &Story, first: u8) -> Done {
    let props = Props::new().text(prop::REASON_STRING, "why").twice();
    t.offend(&Body::new().u16(1).u8(0).raw(props.block()).packet(first), PROTOCOL_ERROR)
}
