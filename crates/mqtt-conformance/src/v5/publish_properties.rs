//! Section 3.3.2: topic, aliases, and the properties that are passed on.

use crate::harness::prelude::*;
use crate::shared::{publish, topics};

pub(super) const TESTS: &[Test] = &[
    test("MQTT-3.3.2-1", mqtt5_3_3_2_1),
    test("MQTT-3.3.2-2", mqtt5_3_3_2_2),
    test("MQTT-3.3.2-3", mqtt5_3_3_2_3).slow(),
    test("MQTT-3.3.2-4", mqtt5_3_3_2_4),
    test("MQTT-3.3.2-5", mqtt5_3_3_2_5).slow(),
    test("MQTT-3.3.2-6", mqtt5_3_3_2_6).slow(),
    test("MQTT-3.3.2-7", mqtt5_3_3_2_7),
    test("MQTT-3.3.2-8", mqtt5_3_3_2_8),
    test("MQTT-3.3.2-9", mqtt5_3_3_2_9),
    test("MQTT-3.3.2-12", mqtt5_3_3_2_12),
    test("MQTT-3.3.2-13", mqtt5_3_3_2_13),
    test("MQTT-3.3.2-14", mqtt5_3_3_2_14),
    test("MQTT-3.3.2-15", mqtt5_3_3_2_15),
    test("MQTT-3.3.2-16", mqtt5_3_3_2_16),
    test("MQTT-3.3.2-17", mqtt5_3_3_2_17),
    test("MQTT-3.3.2-18", mqtt5_3_3_2_18),
    test("MQTT-3.3.2-19", mqtt5_3_3_2_19),
    test("MQTT-3.3.2-20", mqtt5_3_3_2_20),
];

/// [MQTT-3.3.2-1] Topic name first and UTF-8.
fn mqtt5_3_3_2_1(t: &Story) -> Done {
    publish::bad_topic_field(t)
}

/// [MQTT-3.3.2-2] No wildcard in a topic name.
fn mqtt5_3_3_2_2(t: &Story) -> Done {
    publish::wildcards(t)
}

/// [MQTT-3.3.2-3] Delivered topic matches the filter.
fn mqtt5_3_3_2_3(t: &Story) -> Done {
    topics::against_reference(t)
}

/// [MQTT-3.3.2-4] Payload Format Indicator is forwarded unchanged.
fn mqtt5_3_3_2_4(t: &Story) -> Done {
    forwarded(t, &Props::new())?;
    forwarded(t, &Props::new().byte(prop::PAYLOAD_FORMAT, 0))?;
    forwarded(t, &Props::new().byte(prop::PAYLOAD_FORMAT, 1))
}

/// [MQTT-3.3.2-5] An expired copy whose delivery has not begun is deleted.
fn mqtt5_3_3_2_5(t: &Story) -> Done {
    let (queued, kept) = (t.topic("queued"), t.topic("kept"));
    t.absent("c", &queued, 1)?;
    let expiring = |topic: &str| Publish::new(topic, "old").qos(1).with(|p| expiry(p, 1));
    t.tell(expiring(&queued))?;
    t.tell(expiring(&kept).retain())?;
    t.say(&queued, "fresh")?;
    t.wait(seconds(3));
    let mut peer = t.connect(&t.hello("c").durable())?;
    peer.takes("fresh")?;
    peer.quiet()?;
    t.observer("late", &kept)?.quiet()
}

/// [MQTT-3.3.2-6] Expiry is forwarded less the waiting time.
fn mqtt5_3_3_2_6(t: &Story) -> Done {
    let (queued, kept) = (t.topic("queued"), t.topic("kept"));
    t.absent("c", &queued, 1)?;
    t.tell(Publish::new(&queued, "x").qos(1).with(|p| expiry(p, 10)))?;
    t.tell(Publish::new(&kept, "x").qos(1).retain().with(|p| expiry(p, 10)))?;
    t.wait(seconds(3));
    let mut peer = t.connect(&t.hello("c").durable())?;
    let mut late = t.observer("late", &kept)?;
    for (what, got) in [("queued", peer.takes("x")?), ("retained", late.takes("x")?)] {
        let left = got.props.number(prop::MESSAGE_EXPIRY);
        let fits = left.is_some_and(|secs| (5..=7).contains(&secs));
        ensure!(fits, "{what}, expiry 10 s after 3 s: expected 6 or 7, got {left:?}");
    }
    Ok(())
}

/// [MQTT-3.3.2-7] Alias mappings die with the connection.
fn mqtt5_3_3_2_7(t: &Story) -> Done {
    let mut peer = t.durable("c")?;
    aliases(&peer)?;
    let topic = t.topic("aliased");
    let mut observer = t.observer("o", &topic)?;
    peer.send_publish(Publish::new(&topic, "first").with(|p| p.two(prop::TOPIC_ALIAS, 1)));
    observer.takes("first")?;
    peer.disconnect();
    let mut peer = t.connect(&t.hello("c").durable())?;
    peer.send_publish(Publish::new("", "second").with(|p| p.two(prop::TOPIC_ALIAS, 1)));
    peer.closed(&[0x82, 0x94])?;
    observer.quiet()
}

/// [MQTT-3.3.2-8] Alias 0 is never sent.
fn mqtt5_3_3_2_8(t: &Story) -> Done {
    let publish = Publish::new(t.topic("a"), "x").with(|p| p.two(prop::TOPIC_ALIAS, 0));
    t.offend(&publish.bytes(t.version), &[0x94, 0x82])
}

/// [MQTT-3.3.2-9] Client alias not above the server's maximum.
fn mqtt5_3_3_2_9(t: &Story) -> Done {
    let maximum = t.client("c")?.props.number(prop::TOPIC_ALIAS_MAXIMUM).unwrap_or(0);
    let Some(above) = u16::try_from(maximum + 1).ok() else {
        return Err(Stop::NotSupported("every alias is permitted".to_owned()));
    };
    let publish = Publish::new(t.topic("a"), "x").with(|p| p.two(prop::TOPIC_ALIAS, above));
    t.offend(&publish.bytes(t.version), &[0x94, 0x82])
}

/// [MQTT-3.3.2-12] Server accepts all aliases 1..its maximum.
fn mqtt5_3_3_2_12(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    let maximum = aliases(&peer)?;
    let mut observer = t.observer("o", &t.topic("#"))?;
    for alias in [1, maximum] {
        for name in ["one", "two"] {
            let topic = t.topic(name);
            for text in [topic.as_str(), "", ""] {
                let publish = Publish::new(text, name).qos(1);
                peer.publish(publish.with(|p| p.two(prop::TOPIC_ALIAS, alias)))?;
                same!(observer.takes(name)?.topic, topic.as_bytes(), "topic of alias {alias}");
            }
        }
    }
    Ok(())
}

/// [MQTT-3.3.2-13] Response Topic is UTF-8.
fn mqtt5_3_3_2_13(t: &Story) -> Done {
    bad_property(t, &Props::new().text(prop::RESPONSE_TOPIC, [b'a', 0xFF]), &[0x81, 0x82, 0x90])
}

/// [MQTT-3.3.2-14] Response Topic has no wildcard.
fn mqtt5_3_3_2_14(t: &Story) -> Done {
    for topic in ["a/#", "+", "a/+/b", "#"] {
        let props = Props::new().text(prop::RESPONSE_TOPIC, topic);
        bad_property(t, &props, &[0x81, 0x82, 0x90])?;
        t.refuse(
            &t.hello("w").will(Will::new(t.topic("w"), "x").props(props)),
            &[0x81, 0x82, 0x90],
        )?;
    }
    Ok(())
}

/// [MQTT-3.3.2-15] Response Topic forwarded unchanged.
fn mqtt5_3_3_2_15(t: &Story) -> Done {
    forwarded(t, &Props::new().text(prop::RESPONSE_TOPIC, t.topic("r\u{E9}ponse")))
}

/// [MQTT-3.3.2-16] Correlation Data forwarded unchanged.
fn mqtt5_3_3_2_16(t: &Story) -> Done {
    for data in [vec![], vec![0xFF], vec![0, 1, 2, 0xFE, 0xFF], vec![7; 65_535]] {
        forwarded(t, &Props::new().text(prop::CORRELATION_DATA, data))?;
    }
    Ok(())
}

/// [MQTT-3.3.2-17] All User Properties forwarded unchanged.
fn mqtt5_3_3_2_17(t: &Story) -> Done {
    forwarded(t, &Props::new().user("a", "1").user("a", "1").user("", "").user("b", ""))?;
    forwarded(t, &Props::new().user("n".repeat(3000), "v".repeat(30_000)))
}

/// [MQTT-3.3.2-18] User Property order kept.
fn mqtt5_3_3_2_18(t: &Story) -> Done {
    let many =
        (0..20).fold(Props::new(), |p, i| p.user(format!("n{}", (i * 7) % 20), format!("{i}")));
    forwarded(t, &many)
}

/// [MQTT-3.3.2-19] Content Type is UTF-8.
fn mqtt5_3_3_2_19(t: &Story) -> Done {
    bad_property(t, &Props::new().text(prop::CONTENT_TYPE, [b'a', 0xFF]), EITHER)
}

/// [MQTT-3.3.2-20] Content Type forwarded unchanged.
fn mqtt5_3_3_2_20(t: &Story) -> Done {
    forwarded(t, &Props::new().text(prop::CONTENT_TYPE, "text/pl\u{E4}in"))?;
    forwarded(t, &Props::new().text(prop::CONTENT_TYPE, ""))
}

fn expiry(props: Props, secs: u32) -> Props {
    props.four(prop::MESSAGE_EXPIRY, secs)
}

/// The server's Topic Alias Maximum.
fn aliases(peer: &Peer) -> Done<u16> {
    let maximum = peer.props.number(prop::TOPIC_ALIAS_MAXIMUM).unwrap_or(0);
    match u16::try_from(maximum) {
        Ok(maximum) if maximum > 0 => Ok(maximum),
        _ => Err(Stop::NotSupported("the CONNACK permits no topic alias".to_owned())),
    }
}

/// These properties arrive as they were sent: live, queued and retained.
fn forwarded(t: &Story, props: &Props) -> Done {
    let topic = t.topic("forwarded");
    let mut live = t.observer("o", &topic)?;
    t.absent("q", &topic, 1)?;
    t.tell(Publish::new(&topic, "x").qos(1).retain().with(|_| props.clone()))?;
    same!(&live.takes("x")?.props, props, "live");
    let mut queued = t.connect(&t.hello("q").durable())?;
    same!(&queued.takes("x")?.props, props, "queued");
    queued.disconnect();
    // Empties the session for the next round.
    t.client("q")?.disconnect();
    same!(&t.observer("late", &topic)?.takes("x")?.props, props, "retained");
    t.tell(Publish::new(&topic, "").qos(1).retain())
}

/// A PUBLISH with these properties ends the connection.
fn bad_property(t: &Story, props: &Props, codes: &[u8]) -> Done {
    let publish = Publish::new(t.topic("a"), "x").with(|_| props.clone());
    t.offend(&publish.bytes(t.version), codes)
}
