//! PUBLISH: flags, topics, answers.

use super::framing::with_flags;
use crate::harness::prelude::*;

/// DUP with QoS 0 is refused.
pub(crate) fn dup_at_qos_0(t: &Story) -> Done {
    let publish = Publish::new(t.topic("a"), "x").dup().bytes(t.version);
    t.offend(&publish, EITHER)
}

/// The outgoing DUP has nothing to do with the incoming one.
pub(crate) fn dup_is_not_passed_on(t: &Story) -> Done {
    let topic = t.topic("dup");
    let mut observer = t.observer("o", &topic)?;
    for qos in [1, 2] {
        t.tell(Publish::new(&topic, "x").qos(qos).dup())?;
        ensure!(!observer.takes("x")?.dup, "DUP of the publisher was passed on at QoS {qos}");
    }
    Ok(())
}

/// QoS 3 ends the connection and is not routed.
pub(crate) fn qos_3(t: &Story) -> Done {
    let topic = t.topic("three");
    let mut observer = t.observer("o", &topic)?;
    let packet = Publish::new(&topic, "x").qos(1).id(1).bytes(t.version);
    for flags in [0x6, 0xE, 0x7] {
        t.offend(&with_flags(&packet, flags), MALFORMED)?;
    }
    observer.quiet()
}

/// A topic that is not text, or whose length goes past the end.
pub(crate) fn bad_topic_field(t: &Story) -> Done {
    let codes = &[0x81, 0x82, 0x90];
    t.offend(&Publish::new([0xFF, 0xFE], "x").bytes(t.version), codes)?;
    t.offend(&[0x30, 0x04, 0xFF, 0xFF, b'a', 0x00], codes)?;
    t.offend(&[0x30, 0x01, 0x00], codes)
}

/// Wildcards in a topic name end the connection, and nothing is routed.
pub(crate) fn wildcards(t: &Story) -> Done {
    let mut observer = t.observer("o", &t.topic("#"))?;
    for name in ["+", "#", "a/+", "a/#", "a+b", "a#"] {
        let topic = t.topic(name);
        for topic in [name, &topic] {
            t.offend(&Publish::new(topic, "x").bytes(t.version), &[0x81, 0x82, 0x90])?;
        }
    }
    observer.quiet()
}

/// The answer depends on the QoS.
pub(crate) fn answered_by_qos(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    let topic = t.topic("a");
    peer.send_publish(Publish::new(&topic, "x"));
    peer.quiet()?;
    peer.send_publish(Publish::new(&topic, "x").qos(1).id(7));
    peer.ack(4, 7)?;
    peer.send_publish(Publish::new(&topic, "x").qos(2).id(8));
    peer.ack(5, 8)?;
    peer.release(8)?;
    peer.quiet()
}

/// A PUBLISH that the rules deny: acknowledged or closed, but never delivered or retained.
pub(crate) fn denied(t: &Story) -> Done {
    for qos in 0..3 {
        let topic = format!("denied/{}/{qos}", t.unique);
        let mut observer = t.client("o")?;
        observer.subscribe(&topic, 2)?;
        let mut peer = t.client("c")?;
        let answer = peer.publish(Publish::new(&topic, "never").qos(qos).retain());
        if answer.is_err() {
            peer.closed(&[0x87])?;
        } else if let Ok(code) = answer {
            ensure!(
                [0, 0x10, 0x87].contains(&code),
                "a denied PUBLISH is answered with {code:02X}"
            );
        }
        observer.quiet()?;
        let mut late = t.client("late")?;
        late.subscribe(&topic, 2)?;
        late.quiet()?;
    }
    Ok(())
}

/// Overlapping subscriptions: at least one copy with the highest QoS, none above.
pub(crate) fn overlapping(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    peer.listen(&t.topic("#"), 0)?;
    peer.listen(&t.topic("+"), 2)?;
    peer.listen(&t.topic("a"), 1)?;
    t.tell(Publish::new(t.topic("a"), "x").qos(2))?;
    let copies = peer.collect(seconds(1))?;
    ensure!(!copies.is_empty(), "no copy was delivered");
    ensure!(copies.iter().any(|copy| copy.qos == 2), "no copy has the highest QoS, 2");
    ensure!(copies.len() <= 3, "{} copies for three subscriptions", copies.len());
    Ok(())
}
