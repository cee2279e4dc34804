//! Order of delivery and of acknowledgements.

use crate::harness::prelude::*;

/// Re-sent PUBLISH packets keep their order.
pub(crate) fn of_resends(t: &Story) -> Done {
    let topic = t.topic("a");
    t.absent("c", &topic, 1)?;
    for index in 0..20 {
        t.say(&topic, &format!("{index}"))?;
    }
    let read = |peer: &mut Peer| -> Done<Vec<String>> {
        (0..20).map(|_| Ok(peer.receive()?.text())).collect()
    };
    let expected: Vec<_> = (0..20).map(|index| format!("{index}")).collect();
    for round in ["first", "re-sent", "re-sent again"] {
        let mut peer = t.connect(&t.hello("c").durable())?;
        let got = read(&mut peer)?;
        ensure!(got == expected, "{round}: expected 0 to 19, got {}", got.join(" "));
    }
    Ok(())
}

/// PUBRELs come in the order of the PUBRECs.
pub(crate) fn of_pubrels(t: &Story) -> Done {
    let topic = t.topic("a");
    let mut peer = t.observer("c", &topic)?;
    for index in 0..6 {
        t.tell(Publish::new(&topic, format!("{index}")).qos(2))?;
    }
    let ids: Vec<u16> = (0..6).map(|_| Ok(peer.receive()?.id)).collect::<Done<_>>()?;
    let mut shuffled = ids.clone();
    shuffled.reverse();
    shuffled.swap(0, 3);
    for id in &shuffled {
        peer.answer(5, *id);
    }
    let mut order = Vec::new();
    for _ in 0..6 {
        match peer.next()?.content {
            Content::Ack { kind: 6, id, .. } => order.push(id),
            other => fail!("expected PUBREL, got {other:?}"),
        }
    }
    same!(order, shuffled, "the order of the PUBRELs");
    Ok(())
}

/// Acknowledgements to a publisher come in the order of its messages.
pub(crate) fn of_acks(t: &Story, qos: u8, kind: u8) -> Done {
    let mut peer = t.client("c")?;
    let ids: Vec<u16> = (1..=15).map(|id| id * 7).collect();
    let mut bytes = Vec::new();
    for id in &ids {
        bytes.extend(Publish::new(t.topic("a"), "x").qos(qos).id(*id).bytes(t.version));
    }
    peer.send(&bytes);
    let mut order = Vec::new();
    for _ in &ids {
        match peer.next()?.content {
            Content::Ack { kind: got, id, .. } if got == kind => order.push(id),
            other => fail!("expected acknowledgements of type {kind}, got {other:?}"),
        }
    }
    same!(order, ids, "the order of the acknowledgements");
    Ok(())
}

/// Per publisher, topic and QoS, each subscriber gets the messages in the order of receipt.
pub(crate) fn of_delivery(t: &Story) -> Done {
    let topic = t.topic("ordered");
    let mut observers = [t.observer("o1", &topic)?, t.observer("o2", &topic)?];
    let mut publishers = Vec::new();
    for index in 0..4 {
        publishers.push(t.client(&format!("p{index}"))?);
    }
    let rounds = 12;
    for round in 0..rounds {
        for (index, publisher) in publishers.iter_mut().enumerate() {
            for qos in 0..3 {
                let payload = format!("{index}.{qos}.{round}");
                publisher.publish(Publish::new(&topic, payload).qos(qos))?;
            }
        }
    }
    for observer in &mut observers {
        let got: Vec<_> = observer.collect(seconds(1))?.iter().map(Publish::text).collect();
        for stream in (0..4).flat_map(|p| (0..3).map(move |qos| format!("{p}.{qos}."))) {
            let mine: Vec<_> = got.iter().filter(|each| each.starts_with(&stream)).collect();
            let expected: Vec<_> = (0..rounds).map(|round| format!("{stream}{round}")).collect();
            let same = mine.iter().copied().eq(expected.iter());
            ensure!(same, "stream {stream}: expected 0 to {}, got {mine:?}", rounds - 1);
        }
    }
    Ok(())
}
