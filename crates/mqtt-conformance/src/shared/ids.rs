//! Packet identifiers.

use std::collections::BTreeSet;

use crate::harness::prelude::*;

/// SUBSCRIBE, UNSUBSCRIBE and PUBLISH with packet id 0.
pub(crate) fn zero(t: &Story) -> Done {
    let topic = t.topic("zero");
    t.offend(&Publish::new(&topic, "x").qos(1).bytes(t.version), EITHER)?;
    t.offend(&Publish::new(&topic, "x").qos(2).bytes(t.version), EITHER)?;
    t.offend(&subscribe(t.version, 0, &Props::new(), &[(&topic, 0)]), EITHER)?;
    t.offend(&unsubscribe(t.version, 0, &[&topic]), EITHER)
}

/// PUBACK, PUBREC, PUBREL and PUBCOMP carry the id of their PUBLISH.
pub(crate) fn acks_carry_it(t: &Story) -> Done {
    let topic = t.topic("ids");
    let mut peer = t.client("p")?;
    for id in [1, 0x1234, 0xFFFF] {
        peer.publish(Publish::new(&topic, "x").qos(1).id(id))?;
        peer.publish(Publish::new(&topic, "x").qos(2).id(id))?;
    }
    let mut observer = t.observer("o", &topic)?;
    peer.publish(Publish::new(&topic, "x").qos(2))?;
    let got = observer.receive()?;
    observer.answer(5, got.id);
    observer.ack(6, got.id).map(drop)
}

/// SUBACK and UNSUBACK carry the id of their request.
pub(crate) fn subacks_carry_it(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    let topic = t.topic("ids");
    for id in [1, 256, 65_535] {
        peer.send(&subscribe(t.version, id, &Props::new(), &[(&topic, 0)]));
        peer.suback(id)?;
        peer.send(&unsubscribe(t.version, id, &[&topic]));
        peer.unsuback(id)?;
    }
    Ok(())
}

/// Deliveries that are not acknowledged have ids of their own, and keep them over a resume.
pub(crate) fn of_the_server(t: &Story) -> Done {
    let (topic, count) = (t.topic("many"), 12);
    let mut peer = t.durable("c")?;
    peer.listen(&topic, 1)?;
    for index in 0..count {
        t.say(&topic, &format!("{index}"))?;
    }
    let ids = receive_ids(&mut peer, count, false)?;
    let distinct: BTreeSet<_> = ids.iter().collect();
    same!(distinct.len(), ids.len(), "distinct ids");
    ensure!(!ids.contains(&0), "a delivery has the packet id 0");
    drop(peer);
    let mut peer = t.connect(&t.hello("c").durable())?;
    same!(receive_ids(&mut peer, count, true)?, ids, "the ids after the resume");
    Ok(())
}

fn receive_ids(peer: &mut Peer, count: usize, dup: bool) -> Done<Vec<u16>> {
    let mut ids = Vec::new();
    for index in 0..count {
        let got = peer.receive()?;
        same!(got.dup, dup, "DUP of delivery {index}");
        ids.push(got.id);
    }
    Ok(ids)
}
