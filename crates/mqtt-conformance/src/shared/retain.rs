//! Retained messages.

use crate::harness::prelude::*;

/// Stored with its QoS for later subscribers; RETAIN is 1 there.
pub(crate) fn stored_with_qos(t: &Story) -> Done {
    for qos in 0..3 {
        let topic = t.topic(&format!("qos{qos}"));
        t.tell(Publish::new(&topic, "kept").qos(qos).retain())?;
        let mut late = t.observer("late", &topic)?;
        let got = late.takes("kept")?;
        same!((got.qos, got.retain), (qos, true), "QoS and RETAIN");
        t.tell(Publish::new(&topic, "").retain())?;
    }
    Ok(())
}

/// A wildcard subscription gets the last message of each topic, once.
pub(crate) fn last_of_each_topic(t: &Story) -> Done {
    for topic in ["a", "b", "c/d"] {
        for value in ["old", "new"] {
            t.tell(Publish::new(t.topic(topic), value).qos(1).retain())?;
        }
    }
    let mut late = t.observer("late", &t.topic("#"))?;
    let all = late.collect(seconds(1))?;
    let mut topics: Vec<_> = all.iter().map(|each| each.topic.clone()).collect();
    topics.sort();
    same!(topics, ["a", "b", "c/d"].map(|name| t.topic(name).into_bytes()).to_vec(), "the topics");
    ensure!(all.iter().all(|each| each.payload == b"new"), "an old value was delivered");
    ensure!(all.iter().all(|each| each.retain), "RETAIN is 0 on a retained message");
    Ok(())
}

/// A QoS 0 retained message displaces an older one.
pub(crate) fn qos_0_displaces(t: &Story) -> Done {
    let topic = t.topic("r");
    t.tell(Publish::new(&topic, "old").qos(1).retain())?;
    t.observer("early", &topic)?.takes("old")?;
    t.tell(Publish::new(&topic, "new").retain())?;
    let got = t.observer("late", &topic)?.collect(seconds(1))?;
    ensure!(got.iter().all(|each| each.payload == b"new"), "the displaced message was delivered");
    ensure!(got.len() <= 1, "{} retained messages of one topic", got.len());
    Ok(())
}

/// An established subscription sees RETAIN 0.
pub(crate) fn live_copy_is_plain(t: &Story) -> Done {
    let topic = t.topic("r");
    let mut observer = t.observer("o", &topic)?;
    t.tell(Publish::new(&topic, "x").qos(1).retain())?;
    ensure!(!observer.takes("x")?.retain, "RETAIN is 1 for an established subscription");
    t.tell(Publish::new(&topic, "").retain())
}

/// An empty one is delivered as normal and deletes; nothing is kept.
pub(crate) fn empty_deletes(t: &Story) -> Done {
    let topic = t.topic("r");
    t.tell(Publish::new(&topic, "x").qos(1).retain())?;
    let mut observer = t.observer("o", &topic)?;
    observer.takes("x")?;
    t.tell(Publish::new(&topic, "").qos(1).retain())?;
    ensure!(!observer.takes("")?.retain, "RETAIN is 1 on the empty message of a live delivery");
    t.observer("late", &topic)?.quiet()
}

/// An empty retained message on a topic without one is not kept either.
pub(crate) fn empty_is_not_kept(t: &Story) -> Done {
    let topic = t.topic("r");
    t.tell(Publish::new(&topic, "").qos(1).retain())?;
    t.observer("late", &topic)?.quiet()
}

/// RETAIN 0 leaves the store alone.
pub(crate) fn plain_does_not_store(t: &Story) -> Done {
    let (topic, empty) = (t.topic("r"), t.topic("none"));
    t.tell(Publish::new(&topic, "kept").qos(1).retain())?;
    t.tell(Publish::new(&topic, "passing").qos(1))?;
    t.tell(Publish::new(&topic, "").qos(1))?;
    t.tell(Publish::new(&empty, "passing").qos(1))?;
    let mut late = t.observer("late", &topic)?;
    late.takes("kept")?;
    late.quiet()?;
    t.observer("later", &empty)?.quiet()
}

/// Sent again at every subscribe to the same filter.
pub(crate) fn again_at_each_subscribe(t: &Story) -> Done {
    let topic = t.topic("r");
    t.tell(Publish::new(&topic, "x").qos(1).retain())?;
    let mut peer = t.client("c")?;
    for _ in 0..3 {
        peer.listen(&topic, 1)?;
        peer.takes("x")?;
    }
    peer.quiet()
}
