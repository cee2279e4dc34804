//! Sessions that outlive their connection.

use crate::harness::prelude::*;

/// State is stored, messages are kept, and the client does not subscribe again.
pub(crate) fn resumes(t: &Story) -> Done {
    let topic = t.topic("kept");
    t.absent("c", &topic, 1)?;
    t.say(&topic, "meanwhile")?;
    let mut peer = t.connect(&t.hello("c").durable())?;
    ensure!(peer.session_present, "expected session present 1, got 0");
    peer.takes("meanwhile")?;
    t.say(&topic, "again")?;
    peer.takes("again")?;
    Ok(())
}

/// Messages of QoS 1 and 2 for an absent client come in their order.
pub(crate) fn keeps_messages(t: &Story) -> Done {
    let topic = t.topic("kept");
    t.absent("c", &topic, 2)?;
    for index in 0..10 {
        t.tell(Publish::new(&topic, format!("{index}")).qos(1 + index % 2))?;
    }
    let mut peer = t.connect(&t.hello("c").durable())?;
    for index in 0..10 {
        let got = peer.takes(&format!("{index}"))?;
        same!(got.qos, 1 + index % 2, "the QoS of message {index}");
        ensure!(!got.dup, "DUP on message {index}, which is sent for the first time");
    }
    peer.quiet()
}

/// A clean start throws the old session away, for good.
pub(crate) fn clean_start(t: &Story) -> Done {
    let topic = t.topic("gone");
    t.absent("c", &topic, 1)?;
    t.say(&topic, "queued")?;
    let mut peer = t.connect(&t.hello("c").durable())?;
    peer.takes("queued")?;
    peer.disconnect();
    t.say(&topic, "queued again")?;
    let mut peer = t.client("c")?;
    ensure!(!peer.session_present, "expected session present 0, got 1");
    t.say(&topic, "now")?;
    peer.quiet()?;
    peer.disconnect();
    let mut peer = t.connect(&t.hello("c").durable())?;
    ensure!(!peer.session_present, "a clean session was kept");
    peer.quiet()
}

/// The client id is the key, byte by byte.
pub(crate) fn keyed_by_id(t: &Story) -> Done {
    t.durable("k")?.disconnect();
    let other = t.connect(&t.hello("K").durable())?;
    ensure!(!other.session_present, "another client id resumes the session");
    let same = t.connect(&t.hello("k").durable())?;
    ensure!(same.session_present, "the same client id does not resume the session");
    Ok(())
}

/// A clean session is never announced as present, though one was stored.
pub(crate) fn clean_is_not_present(t: &Story) -> Done {
    t.durable("c")?.disconnect();
    let peer = t.connect(&t.hello("c").durable())?;
    ensure!(peer.session_present, "the stored session is not announced");
    peer.disconnect();
    let peer = t.client("c")?;
    ensure!(!peer.session_present, "session present is 1 at a clean session");
    Ok(())
}

/// Session present tells the truth for a fresh id, a stored session and a clean start.
pub(crate) fn present_flag(t: &Story) -> Done {
    for (connect, expected) in [
        (t.hello("c").durable(), false),
        (t.hello("c").durable(), true),
        (t.hello("c"), false),
        (t.hello("c").durable(), false),
    ] {
        let peer = t.connect(&connect)?;
        same!(peer.session_present, expected, "session present");
        peer.disconnect();
    }
    Ok(())
}

/// Survives many reconnects.
pub(crate) fn survives(t: &Story) -> Done {
    let topic = t.topic("kept");
    t.absent("c", &topic, 1)?;
    for round in 0..10 {
        let mut peer = t.connect(&t.hello("c").durable())?;
        ensure!(peer.session_present, "the session was lost in round {round}");
        t.say(&topic, &format!("{round}"))?;
        peer.takes(&format!("{round}"))?;
        peer.disconnect();
    }
    Ok(())
}

/// While connected a session stays, though it ends with the connection.
pub(crate) fn lasts_while_connected(t: &Story) -> Done {
    let topic = t.topic("live");
    let mut peer = t.observer("c", &topic)?;
    for round in 0..5 {
        t.wait(seconds(1));
        t.say(&topic, &format!("{round}"))?;
        peer.takes(&format!("{round}"))?;
    }
    Ok(())
}

/// A retained message outlives the session of its publisher.
pub(crate) fn retained_outlives(t: &Story) -> Done {
    let topic = t.topic("retained");
    t.tell(Publish::new(&topic, "stays").qos(1).retain())?;
    let mut observer = t.observer("o", &topic)?;
    observer.takes("stays")?;
    t.tell(Publish::new(&topic, "").retain())
}

/// Two connections with one id: the first ends, the second works. Also many times in a row.
pub(crate) fn takeover(t: &Story) -> Done {
    let topic = t.topic("mine");
    let mut last = t.client("c")?;
    for _ in 0..30 {
        let mut next = t.client("c")?;
        last.closed(&[0x8E])?;
        next.ping()?;
        last = next;
    }
    last.listen(&topic, 1)?;
    t.say(&topic, "second")?;
    last.takes("second")?;
    Ok(())
}

/// Every subscriber, present or absent, gets a message that the broker took.
pub(crate) fn every_subscriber(t: &Story) -> Done {
    let topic = t.topic("all");
    let mut present = t.observer("a", &topic)?;
    let mut also = t.observer("b", &topic)?;
    t.absent("c", &topic, 1)?;
    t.absent("d", &topic, 2)?;
    t.tell(Publish::new(&topic, "m").qos(2))?;
    for peer in [&mut present, &mut also] {
        peer.takes("m")?;
        peer.quiet()?;
    }
    for suffix in ["c", "d"] {
        let mut peer = t.connect(&t.hello(suffix).durable())?;
        peer.takes("m")?;
        peer.quiet()?;
    }
    Ok(())
}
