//! Section 3.3.1 and 3.3.4: flags of PUBLISH, retained messages, subscription identifiers.

use crate::harness::prelude::*;
use crate::shared::{ids, publish, retain, will};

pub(super) const TESTS: &[Test] = &[
    test("MQTT-3.3.1-1", mqtt5_3_3_1_1),
    test("MQTT-3.3.1-2", mqtt5_3_3_1_2),
    test("MQTT-3.3.1-3", mqtt5_3_3_1_3),
    test("MQTT-3.3.1-4", mqtt5_3_3_1_4),
    test("MQTT-3.3.1-5", mqtt5_3_3_1_5),
    test("MQTT-3.3.1-6", mqtt5_3_3_1_6),
    test("MQTT-3.3.1-7", mqtt5_3_3_1_7),
    test("MQTT-3.3.1-8", mqtt5_3_3_1_8),
    test("MQTT-3.3.1-9", mqtt5_3_3_1_9),
    test("MQTT-3.3.1-10", mqtt5_3_3_1_10),
    test("MQTT-3.3.1-11", mqtt5_3_3_1_11),
    test("MQTT-3.3.1-12", mqtt5_3_3_1_12),
    test("MQTT-3.3.1-13", mqtt5_3_3_1_13),
    test("MQTT-3.3.4-1", mqtt5_3_3_4_1),
    test("MQTT-3.3.4-2", mqtt5_3_3_4_2),
    test("MQTT-3.3.4-3", mqtt5_3_3_4_3),
    test("MQTT-3.3.4-4", mqtt5_3_3_4_4),
    test("MQTT-3.3.4-5", mqtt5_3_3_4_5),
    test("MQTT-3.3.4-6", mqtt5_3_3_4_6),
];

/// [MQTT-3.3.1-1] DUP 1 on re-delivery.
fn mqtt5_3_3_1_1(t: &Story) -> Done {
    ids::of_the_server(t)
}

/// [MQTT-3.3.1-2] DUP 0 at QoS 0.
fn mqtt5_3_3_1_2(t: &Story) -> Done {
    publish::dup_at_qos_0(t)
}

/// [MQTT-3.3.1-3] Outgoing DUP depends on the outgoing packet only.
fn mqtt5_3_3_1_3(t: &Story) -> Done {
    publish::dup_is_not_passed_on(t)
}

/// [MQTT-3.3.1-4] QoS 3 does not exist (Malformed Packet).
fn mqtt5_3_3_1_4(t: &Story) -> Done {
    publish::qos_3(t)
}

/// [MQTT-3.3.1-5] RETAIN 1 replaces and stores the retained message.
fn mqtt5_3_3_1_5(t: &Story) -> Done {
    retain::last_of_each_topic(t)?;
    let topic = t.topic("properties");
    let props = Props::new().text(prop::CONTENT_TYPE, "new").user("a", "1");
    for content in ["old", "new"] {
        let publish = Publish::new(&topic, content).qos(1).retain();
        t.tell(publish.with(|p| p.text(prop::CONTENT_TYPE, content).user("a", "1")))?;
    }
    same!(t.observer("late", &topic)?.takes("new")?.props, props, "the retained properties");
    Ok(())
}

/// [MQTT-3.3.1-6] Empty retained message removes the stored one; delivery as normal.
fn mqtt5_3_3_1_6(t: &Story) -> Done {
    retain::empty_deletes(t)
}

/// [MQTT-3.3.1-7] An empty message is not stored as retained.
fn mqtt5_3_3_1_7(t: &Story) -> Done {
    retain::empty_is_not_kept(t)?;
    will::empty_is_not_kept(t)
}

/// [MQTT-3.3.1-8] RETAIN 0 leaves the retained store alone.
fn mqtt5_3_3_1_8(t: &Story) -> Done {
    retain::plain_does_not_store(t)
}

/// [MQTT-3.3.1-9] Retain Handling 0: send matching retained messages at each subscribe.
fn mqtt5_3_3_1_9(t: &Story) -> Done {
    retain::again_at_each_subscribe(t)
}

/// [MQTT-3.3.1-10] Retain Handling 1: send only if the subscription is new. (Appendix B has the
/// condition inverted; the body rules.).
fn mqtt5_3_3_1_10(t: &Story) -> Done {
    let topic = retained(t)?;
    let mut peer = t.client("c")?;
    peer.listen(&topic, RETAIN_IF_NEW)?;
    peer.takes("kept")?;
    peer.listen(&topic, RETAIN_IF_NEW)?;
    peer.quiet()?;
    peer.unsubscribe(&[&topic])?;
    peer.listen(&topic, RETAIN_IF_NEW)?;
    peer.takes("kept").map(drop)
}

/// [MQTT-3.3.1-11] Retain Handling 2: never sent on subscribe.
fn mqtt5_3_3_1_11(t: &Story) -> Done {
    let topic = retained(t)?;
    let mut peer = t.client("c")?;
    peer.listen(&topic, 0x20)?;
    peer.quiet()?;
    peer.listen(&topic, 0x20)?;
    peer.quiet()?;
    // The message is there all the same.
    peer.listen(&topic, 0)?;
    peer.takes("kept").map(drop)
}

/// [MQTT-3.3.1-12] Retain As Published 0: forward with RETAIN 0.
fn mqtt5_3_3_1_12(t: &Story) -> Done {
    retain::live_copy_is_plain(t)?;
    let topic = retained(t)?;
    ensure!(t.observer("late", &topic)?.takes("kept")?.retain, "RETAIN 0 on subscribe");
    Ok(())
}

/// [MQTT-3.3.1-13] Retain As Published 1: keep the publisher's bit.
fn mqtt5_3_3_1_13(t: &Story) -> Done {
    let topic = t.topic("published");
    let mut peer = t.client("c")?;
    peer.listen(&topic, 0x08 | 1)?;
    t.tell(Publish::new(&topic, "one").qos(1).retain())?;
    ensure!(peer.takes("one")?.retain, "Retain As Published 1: RETAIN 1 was not kept");
    t.tell(Publish::new(&topic, "zero").qos(1))?;
    ensure!(!peer.takes("zero")?.retain, "Retain As Published 1: RETAIN 0 became 1");
    Ok(())
}

/// [MQTT-3.3.4-1] Answer by QoS: none, PUBACK, PUBREC.
fn mqtt5_3_3_4_1(t: &Story) -> Done {
    publish::answered_by_qos(t)
}

/// [MQTT-3.3.4-2] Overlapping subscriptions: highest matching QoS is respected.
fn mqtt5_3_3_4_2(t: &Story) -> Done {
    publish::overlapping(t)
}

/// [MQTT-3.3.4-3] Subscription identifiers of overlapping subscriptions are sent.
fn mqtt5_3_3_4_3(t: &Story) -> Done {
    let copies = overlapping(t)?;
    let mut ids: Vec<_> = copies.iter().flat_map(identifiers).collect();
    ids.sort_unstable();
    same!(ids, vec![1, 200], "the subscription identifiers");
    Ok(())
}

/// [MQTT-3.3.4-4] A single copy carries the ids of all matching subscriptions.
fn mqtt5_3_3_4_4(t: &Story) -> Done {
    match overlapping(t)?.as_slice() {
        [only] => {
            let mut ids = identifiers(only);
            ids.sort_unstable();
            same!(ids, vec![1, 200], "the identifiers of the only copy");
            Ok(())
        }
        _ => Err(Stop::NotSupported("the server sends a copy per subscription".to_owned())),
    }
}

/// [MQTT-3.3.4-5] With several copies each carries the id of its subscription. A server that sends
/// a single copy for overlapping subscriptions sends several where some of them are shared.
fn mqtt5_3_3_4_5(t: &Story) -> Done {
    let copies = overlapping(t)?;
    if copies.len() > 1 {
        let bare = copies.iter().filter(|copy| identifiers(copy).is_empty()).count();
        same!((copies.len(), bare), (3, 1), "copies, and those without identifier");
        ensure!(copies.iter().all(|copy| identifiers(copy).len() < 2), "two ids in a copy");
    }
    let mut peer = t.client("c")?;
    peer.needs(prop::SHARED_AVAILABLE, "shared subscriptions")?;
    for (group, id) in [("", 1), ("one", 200), ("two", 70_000)] {
        let share = if group.is_empty() { String::new() } else { format!("$share/{group}/") };
        let filter = format!("{share}{}", t.topic("s/+"));
        let packet_id = peer.fresh_id();
        let props = Props::new().var(prop::SUBSCRIPTION_ID, id);
        peer.send(&subscribe(t.version, packet_id, &props, &[(&filter, 1)]));
        peer.suback(packet_id)?;
    }
    t.say(&t.topic("s/b"), "x")?;
    let mut ids: Vec<_> = peer.collect(seconds(1))?.iter().map(identifiers).collect();
    ids.sort();
    same!(ids, [[1], [200], [70_000]], "the identifiers of the copies");
    Ok(())
}

/// [MQTT-3.3.4-6] A client's PUBLISH has no Subscription Identifier.
fn mqtt5_3_3_4_6(t: &Story) -> Done {
    let publish = Publish::new(t.topic("a"), "x").with(|p| p.var(prop::SUBSCRIPTION_ID, 1));
    t.offend(&publish.bytes(t.version), EITHER)?;
    t.offend(&publish.qos(1).id(1).bytes(t.version), EITHER)
}

/// Retain Handling 1, QoS 1.
const RETAIN_IF_NEW: u8 = 0x10 | 1;

/// A topic with the retained message 'kept'.
fn retained(t: &Story) -> Done<String> {
    let topic = t.topic("kept");
    t.tell(Publish::new(&topic, "kept").qos(1).retain())?;
    Ok(topic)
}

/// What a client gets that subscribed three times: with id 1, with id 200, without.
fn overlapping(t: &Story) -> Done<Vec<Publish>> {
    let mut peer = t.client("c")?;
    peer.needs(prop::SUBSCRIPTION_IDS_AVAILABLE, "subscription identifiers")?;
    for (filter, id) in [("a/#", Some(1)), ("a/+", Some(200)), ("a/b", None)] {
        let props = id.map_or_else(Props::new, |id| Props::new().var(prop::SUBSCRIPTION_ID, id));
        let id = peer.fresh_id();
        peer.send(&subscribe(t.version, id, &props, &[(&t.topic(filter), 1)]));
        peer.suback(id)?;
    }
    t.say(&t.topic("a/b"), "x")?;
    let copies = peer.collect(seconds(1))?;
    ensure!(!copies.is_empty(), "no copy was delivered");
    Ok(copies)
}

/// The subscription identifiers of a message.
fn identifiers(publish: &Publish) -> Vec<usize> {
    let all = publish.props.all(prop::SUBSCRIPTION_ID);
    all.into_iter().filter_map(|v| if let Value::Var(id) = v { Some(*id) } else { None }).collect()
}
