//! UNSUBSCRIBE and UNSUBACK.

use crate::harness::prelude::*;

/// Filters are compared character by character.
pub(crate) fn exact_match(t: &Story) -> Done {
    let filter = t.topic("+");
    let mut peer = t.observer("c", &filter)?;
    for other in [t.topic("b"), t.topic("#"), t.topic("+/"), filter.to_uppercase()] {
        peer.unsubscribe(&[&other])?;
    }
    t.say(&t.topic("b"), "still")?;
    peer.takes("still")?;
    peer.unsubscribe(&[&filter])?;
    t.say(&t.topic("b"), "no more")?;
    peer.quiet()
}

/// After UNSUBACK nothing new is queued, also not for an absent client.
pub(crate) fn nothing_new(t: &Story) -> Done {
    let topic = t.topic("a");
    let mut peer = t.durable("c")?;
    peer.listen(&topic, 1)?;
    t.say(&topic, "before")?;
    peer.takes("before")?;
    peer.unsubscribe(&[&topic])?;
    t.say(&topic, "no more")?;
    peer.quiet()?;
    peer.disconnect();
    t.say(&topic, "no more")?;
    t.connect(&t.hello("c").durable())?.quiet()
}

/// Deliveries that have begun are completed, also over a resume.
pub(crate) fn begun_is_completed(t: &Story) -> Done {
    let topic = t.topic("a");
    let mut peer = t.durable("c")?;
    peer.listen(&topic, 2)?;
    t.tell(Publish::new(&topic, "two").qos(2))?;
    let two = peer.receive()?;
    t.say(&topic, "one")?;
    let one = peer.receive()?;
    peer.unsubscribe(&[&topic])?;
    peer.answer(5, two.id);
    peer.ack(6, two.id)?;
    peer.answer(7, two.id);
    peer.ping()?;
    drop(peer);
    let mut peer = t.connect(&t.hello("c").durable())?;
    let again = peer.takes("one")?;
    same!((again.id, again.dup), (one.id, true), "id and DUP of the re-sent delivery");
    peer.quiet()
}

/// Answered with its id, though the filter is unknown.
pub(crate) fn always_answered(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    for id in [5, 65_535] {
        peer.send(&unsubscribe(t.version, id, &[&t.topic("unknown")]));
        let codes = peer.unsuback(id)?;
        let expected: &[u8] = if t.version.is_v5() { &[0x11] } else { &[] };
        same!(codes, expected, "the codes of UNSUBACK {id}");
    }
    Ok(())
}

/// Many filters: one UNSUBACK, all removed.
pub(crate) fn many_filters(t: &Story) -> Done {
    let topics = ["a", "b", "c"].map(|name| t.topic(name));
    let names = topics.each_ref().map(String::as_str);
    let mut peer = t.client("c")?;
    for topic in names {
        peer.listen(topic, 1)?;
        t.say(topic, "before")?;
        peer.takes("before")?;
    }
    let codes = peer.unsubscribe(&names)?;
    same!(codes.len(), if t.version.is_v5() { 3 } else { 0 }, "the number of codes");
    for topic in names {
        t.say(topic, "no more")?;
    }
    peer.quiet()
}

/// An UNSUBSCRIBE without a filter.
pub(crate) fn no_filter(t: &Story) -> Done {
    t.offend(&unsubscribe(t.version, 1, &[]), EITHER)
}
