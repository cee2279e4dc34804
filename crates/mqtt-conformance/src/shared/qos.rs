//! The handshakes of QoS 1 and 2, the broker in both roles.

use crate::harness::prelude::*;

/// Sender at QoS 1: unacknowledged until PUBACK, then never again.
pub(crate) fn sender_1(t: &Story) -> Done {
    let topic = t.topic("a");
    let mut peer = t.durable("c")?;
    peer.listen(&topic, 1)?;
    t.say(&topic, "m")?;
    let first = peer.receive()?;
    same!((first.qos, first.dup), (1, false), "QoS and DUP of the first sending");
    drop(peer);
    let mut peer = t.connect(&t.hello("c").durable())?;
    let again = peer.receive()?;
    same!((again.id, again.dup, again.qos), (first.id, true, 1), "id, DUP and QoS re-sent");
    same!(again.payload, b"m", "the payload");
    peer.answer(4, again.id);
    peer.ping()?;
    drop(peer);
    t.connect(&t.hello("c").durable())?.quiet()
}

/// Receiver at QoS 1: after PUBACK the same id is a new message, whatever DUP says.
pub(crate) fn receiver_1(t: &Story) -> Done {
    let topic = t.topic("a");
    let mut observer = t.observer("o", &topic)?;
    let mut peer = t.client("c")?;
    for (payload, dup) in [("first", false), ("second", true), ("third", false)] {
        let publish = Publish::new(&topic, payload).qos(1).id(7);
        peer.publish(if dup { publish.dup() } else { publish })?;
        observer.takes(payload)?;
    }
    observer.quiet()
}

/// Sender at QoS 2, stopped after each step and resumed.
pub(crate) fn sender_2(t: &Story) -> Done {
    let topic = t.topic("a");
    let resumed = || t.connect(&t.hello("c").durable());
    let mut peer = t.durable("c")?;
    peer.listen(&topic, 2)?;
    t.tell(Publish::new(&topic, "m").qos(2))?;
    let first = peer.receive()?;
    same!((first.qos, first.dup), (2, false), "QoS and DUP of the first sending");
    drop(peer);
    let mut peer = resumed()?;
    let again = peer.receive()?;
    same!((again.id, again.dup, again.qos), (first.id, true, 2), "id, DUP and QoS re-sent");
    peer.answer(5, first.id);
    peer.ack(6, first.id)?;
    drop(peer);
    let mut peer = resumed()?;
    let packet = peer.next()?;
    let released = matches!(packet.content, Content::Ack { kind: 6, id, .. } if id == first.id);
    ensure!(released, "after PUBREC: expected PUBREL {}, got {}", first.id, packet.describe());
    peer.answer(7, first.id);
    peer.quiet()?;
    drop(peer);
    resumed()?.quiet()
}

/// Receiver at QoS 2: one delivery however often it is repeated before PUBREL, also over a resume.
pub(crate) fn receiver_2(t: &Story) -> Done {
    let topic = t.topic("a");
    let mut observer = t.observer("o", &topic)?;
    let mut peer = t.durable("c")?;
    let publish = Publish::new(&topic, "once").qos(2).id(7);
    peer.send_publish(publish.clone());
    peer.ack(5, 7)?;
    for _ in 0..3 {
        peer.send_publish(publish.clone().dup());
        peer.ack(5, 7)?;
    }
    drop(peer);
    let mut peer = t.connect(&t.hello("c").durable())?;
    peer.send_publish(publish.clone().dup());
    peer.ack(5, 7)?;
    same!(peer.release(7)?, 0, "the code of the first PUBCOMP");
    let second = peer.release(7)?;
    ensure!([0, 0x92].contains(&second), "the second PUBCOMP has the code {second:02X}");
    observer.takes("once")?;
    observer.quiet()?;
    peer.publish(publish)?;
    observer.takes("once")?;
    observer.quiet()
}

/// A resume re-sends everything that is open: once, in order, with the original ids.
pub(crate) fn resends_all(t: &Story) -> Done {
    let topic = t.topic("a");
    let mut peer = t.durable("c")?;
    peer.listen(&topic, 2)?;
    for index in 0..2 {
        t.tell(Publish::new(&topic, format!("half {index}")).qos(2))?;
    }
    let mut released = Vec::new();
    for _ in 0..2 {
        let half = peer.receive()?;
        peer.answer(5, half.id);
        peer.ack(6, half.id)?;
        released.push(half.id);
    }
    let mut open = Vec::new();
    for index in 0..5 {
        t.say(&topic, &format!("open {index}"))?;
        open.push(peer.receive()?.id);
    }
    drop(peer);
    let mut peer = t.connect(&t.hello("c").durable())?;
    let (mut publishes, mut pubrels) = (Vec::new(), Vec::new());
    for _ in 0..7 {
        match peer.next()?.content {
            Content::Publish(publish) => {
                ensure!(publish.dup, "'{}' was re-sent without DUP", publish.text());
                publishes.push(publish.id);
            }
            Content::Ack { kind: 6, id, .. } => pubrels.push(id),
            other => fail!("expected PUBLISH or PUBREL, got {other:?}"),
        }
    }
    same!(publishes, open, "the ids of the re-sent PUBLISH packets");
    same!(pubrels, released, "the ids of the re-sent PUBREL packets");
    peer.quiet()
}

/// Nothing is re-sent on a live connection.
pub(crate) fn not_on_a_live_connection(t: &Story) -> Done {
    let topic = t.topic("a");
    let mut peer = t.observer("c", &topic)?;
    t.say(&topic, "one")?;
    t.tell(Publish::new(&topic, "two").qos(2))?;
    peer.receive()?;
    peer.receive()?;
    peer.quiet_for(seconds(22))
}
