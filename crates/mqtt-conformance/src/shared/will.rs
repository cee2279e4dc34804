//! Wills.

use crate::harness::prelude::*;

/// A will is published at each abnormal end.
pub(crate) fn after_abnormal_ends(t: &Story) -> Done {
    after(t, "fin", drop)?;
    after(t, "rest", |mut peer| {
        // Bytes that were not read make the system answer with RST.
        peer.send(&[0xC0, 0]);
        drop(peer);
    })?;
    after(t, "error", |mut peer| {
        peer.send(&[0x00, 0x00]);
        let _ = peer.closed(&[]);
    })?;
    after(t, "half", |mut peer| {
        peer.send(&[0x30, 0x7F, 0x00]);
        drop(peer);
    })
}

/// Ends a client that has a will in some way; the will must come, once.
pub(crate) fn after(t: &Story, name: &str, end: impl FnOnce(Peer)) -> Done {
    let topic = t.topic(name);
    let mut observer = t.observer(&format!("o{name}"), &topic)?;
    end(t.connect(&t.hello(name).will(Will::new(&topic, name).qos(1)))?);
    let got = observer.takes(name)?;
    same!((got.topic.as_slice(), got.qos), (topic.as_bytes(), 1), "topic and QoS of the will");
    observer.quiet()
}

/// Published once; a later session without a will publishes nothing more.
pub(crate) fn once(t: &Story) -> Done {
    let topic = t.topic("will");
    let mut observer = t.observer("o", &topic)?;
    drop(t.connect(&t.hello("c").durable().will(Will::new(&topic, "once")))?);
    observer.takes("once")?;
    drop(t.connect(&t.hello("c").durable())?);
    drop(t.connect(&t.hello("c").durable())?);
    observer.quiet_for(seconds(1))
}

/// After DISCONNECT nothing is published, also not later.
pub(crate) fn not_after_disconnect(t: &Story) -> Done {
    let topic = t.topic("will");
    let mut observer = t.observer("o", &topic)?;
    after(t, "otherwise", drop)?;
    t.connect(&t.hello("c").will(Will::new(&topic, "never")))?.disconnect();
    t.connect(&t.hello("d").durable().will(Will::new(&topic, "never")))?.disconnect();
    drop(t.connect(&t.hello("d").durable())?);
    observer.quiet_for(seconds(1))
}

/// Without a will nothing is published at an abnormal close.
pub(crate) fn none(t: &Story) -> Done {
    let mut observer = t.observer("o", &t.topic("#"))?;
    drop(t.client("c")?);
    let mut peer = t.client("d")?;
    peer.send(&[0x00, 0x00]);
    peer.closed(&[])?;
    observer.quiet_for(seconds(1))
}

/// QoS 0, 1 and 2 are used.
pub(crate) fn each_qos(t: &Story) -> Done {
    for qos in 0..3 {
        let topic = t.topic(&format!("qos{qos}"));
        let mut observer = t.observer("o", &topic)?;
        drop(t.connect(&t.hello("c").will(Will::new(&topic, "x").qos(qos)))?);
        same!(observer.takes("x")?.qos, qos, "the QoS of the will");
    }
    Ok(())
}

/// Whether a will is retained follows Will Retain.
pub(crate) fn retained(t: &Story, retain: bool) -> Done {
    let topic = t.topic("will");
    let mut observer = t.observer("o", &topic)?;
    let will = Will::new(&topic, "will");
    let will = if retain { will.retain() } else { will };
    drop(t.connect(&t.hello("c").will(will))?);
    observer.takes("will")?;
    let mut late = t.observer("late", &topic)?;
    if !retain {
        return late.quiet();
    }
    ensure!(late.takes("will")?.retain, "RETAIN is 0 on a retained will");
    t.tell(Publish::new(&topic, "").retain())
}

/// An empty retained will is delivered but not kept.
pub(crate) fn empty_is_not_kept(t: &Story) -> Done {
    let topic = t.topic("will");
    t.tell(Publish::new(&topic, "old").retain().qos(1))?;
    let mut observer = t.observer("o", &topic)?;
    observer.takes("old")?;
    drop(t.connect(&t.hello("c").will(Will::new(&topic, "").retain()))?);
    observer.takes("")?;
    t.observer("late", &topic)?.quiet()
}

/// A will to a topic with wildcards is refused and never published.
pub(crate) fn bad_topic(t: &Story, topic: &str, codes: &[u8]) -> Done {
    let mut observer = t.observer("o", &t.topic("#"))?;
    t.refuse(&t.hello("c").will(Will::new(topic, "never")), codes)?;
    observer.quiet()
}

/// At keep-alive expiry: 1.5 times the interval, and the will.
pub(crate) fn keep_alive(t: &Story) -> Done {
    let topic = t.topic("will");
    let mut observer = t.observer("o", &topic)?;
    let mut for_ever = t.connect(&t.hello("z").keep_alive(0))?;
    let will = Will::new(&topic, "late");
    // From before the CONNECT, so that a test that is woken late never sees too short a time.
    let began = std::time::Instant::now();
    let mut peer = t.connect(&t.hello("c").keep_alive(2).will(will))?;
    peer.closed_within(seconds(20), &[0x8D])?;
    let took = began.elapsed().as_secs_f64();
    // A busy machine makes it later, never earlier.
    ensure!(
        (2.9..15.0).contains(&took),
        "keep alive 2 s: expected a close at 3 s, got {took:.1} s"
    );
    observer.takes("late")?;
    for_ever.quiet_for(seconds(2))
}
