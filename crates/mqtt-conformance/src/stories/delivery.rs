//! What arrives, and how.

use std::time::Duration;

use crate::harness::prelude::*;

use super::BOTH;

pub(super) const TESTS: &[Test] = &[
    test("S02", s02),
    test("S05", s05),
    test("S08", s08),
    test("S09", s09),
    test("S10", s10).slow(),
    test("S11", s11),
    test("S12", s12),
    test("S13", s13),
    test("S15", s15).on(BOTH),
    test("S16", s16).on(BOTH),
    test("S21", s21).with(Profile::Acl).on(BOTH),
    test("S22", s22).on(BOTH),
];

/// [S02] A client with Receive Maximum 2 gets two of five messages until it acknowledges.
fn s02(t: &Story) -> Done {
    let topic = t.topic("a");
    let mut peer = t.connect(&t.hello("c").receive_maximum(2))?;
    peer.listen(&topic, 2)?;
    for index in 0..5 {
        t.tell(Publish::new(&topic, format!("{index}")).qos(2))?;
    }
    let (first, second) = (peer.receive()?, peer.receive()?);
    peer.quiet()?;
    peer.complete(&first)?;
    let third = peer.receive()?;
    same!(third.text(), "2".to_owned(), "the third message");
    peer.complete(&second)?;
    peer.complete(&third)?;
    for index in 3..5 {
        peer.takes(&format!("{index}"))?;
    }
    peer.quiet()
}

/// [S05] No Local, Retain As Published and the three Retain Handlings, as the client asked for them.
fn s05(t: &Story) -> Done {
    let (kept, live) = (t.topic("kept"), t.topic("live"));
    t.tell(Publish::new(&kept, "kept").qos(1).retain())?;
    for (handling, first, again) in [(0x00, true, true), (0x10, true, false), (0x20, false, false)]
    {
        let mut peer = t.client(&format!("h{handling}"))?;
        for wanted in [first, again] {
            peer.listen(&kept, 1 | handling)?;
            if wanted {
                ensure!(peer.takes("kept")?.retain, "a replay without RETAIN");
            }
            peer.quiet()?;
        }
    }
    let mut peer = t.client("o")?;
    peer.listen(&live, 1 | 4)?;
    peer.say(&live, "own")?;
    peer.quiet()?;
    peer.listen(&live, 1 | 8)?;
    for retain in [true, false] {
        let publish = Publish { retain, ..Publish::new(&live, "x").qos(1) };
        t.tell(publish)?;
        same!(peer.takes("x")?.retain, retain, "RETAIN as it was published");
    }
    Ok(())
}

/// [S08] Ten messages for a group of two: each comes once, and both members have some.
fn s08(t: &Story) -> Done {
    t.client("n")?.needs(prop::SHARED_AVAILABLE, "shared subscriptions")?;
    let topic = t.topic("a");
    let mut members = [t.client("m1")?, t.client("m2")?];
    for member in &mut members {
        member.listen(&format!("$share/g{}/{topic}", t.unique), 2)?;
    }
    for index in 0..10 {
        t.tell(Publish::new(&topic, format!("{index}")).qos(index % 3))?;
    }
    let mut all = Vec::new();
    for member in &mut members {
        let got = member.collect(Duration::from_millis(500))?;
        ensure!(!got.is_empty(), "a member of the group has nothing of ten messages");
        all.extend(got.iter().map(Publish::text));
    }
    all.sort();
    same!(all, (0..10).map(|index| format!("{index}")).collect::<Vec<_>>(), "the messages of both");
    Ok(())
}

/// [S09] User properties arrive in order, with their repeats.
fn s09(t: &Story) -> Done {
    let topic = t.topic("a");
    let mut peer = t.observer("o", &topic)?;
    let props = Props::new().user("a", "2").user("c", "3").user("a", "2").user("", "");
    for qos in 0..3 {
        t.tell(Publish::new(&topic, "x").qos(qos).with(|_| props.clone()))?;
        same!(peer.takes("x")?.props, props, "the user properties");
    }
    Ok(())
}

/// [S10] Of two messages queued for an absent client the one that expired is gone, and the other has
/// less left.
fn s10(t: &Story) -> Done {
    let topic = t.topic("a");
    t.absent("c", &topic, 2)?;
    for (payload, secs) in [("short", 1), ("long", 60)] {
        let publish = Publish::new(&topic, payload).qos(1);
        t.tell(publish.with(|p| p.four(prop::MESSAGE_EXPIRY, secs)))?;
    }
    t.wait(seconds(3));
    let mut peer = t.connect(&t.hello("c").durable())?;
    let left = peer.takes("long")?.props.number(prop::MESSAGE_EXPIRY).unwrap_or(0);
    ensure!((50..=58).contains(&left), "after 3 of 60 seconds {left} are left");
    peer.quiet()
}

/// [S11] A request with Response Topic and Correlation Data, and its response.
fn s11(t: &Story) -> Done {
    let (requests, answers) = (t.topic("requests"), t.topic("answers"));
    let mut responder = t.observer("r", &requests)?;
    let mut requester = t.observer("q", &answers)?;
    let asked = Props::new().text(prop::RESPONSE_TOPIC, &answers).text(prop::CORRELATION_DATA, "7");
    requester.publish(Publish::new(&requests, "how?").qos(1).with(|_| asked.clone()))?;
    let request = responder.takes("how?")?;
    same!(request.props, asked, "the properties of the request");
    let to =
        String::from_utf8_lossy(request.props.string(prop::RESPONSE_TOPIC).unwrap_or_default());
    let answer = Publish::new(to.as_ref(), "so").qos(1);
    responder.publish(answer.with(|p| p.text(prop::CORRELATION_DATA, "7")))?;
    let got = requester.takes("so")?;
    same!(got.props.string(prop::CORRELATION_DATA), Some(&b"7"[..]), "the Correlation Data");
    Ok(())
}

/// [S12] A client that takes aliases gets a topic in full once, then its alias, at each QoS.
fn s12(t: &Story) -> Done {
    let topic = t.topic("aliased");
    let mut peer = t.connect(&t.hello("c").with(|p| p.two(prop::TOPIC_ALIAS_MAXIMUM, 1)))?;
    peer.listen(&topic, 2)?;
    for qos in 0..3 {
        t.tell(Publish::new(&topic, "x").qos(qos))?;
    }
    for index in 0..3 {
        let got = peer.takes("x")?;
        if got.props.number(prop::TOPIC_ALIAS).is_none() {
            return Err(Stop::NotSupported("the server uses no aliases".to_owned()));
        }
        same!(got.props.number(prop::TOPIC_ALIAS), Some(1), "the alias");
        same!(got.topic, if index == 0 { topic.as_bytes() } else { b"" }, "the topic");
    }
    Ok(())
}

/// [S13] A client's alias is bound, used and bound anew, and means nothing on the next connection.
fn s13(t: &Story) -> Done {
    let mut observer = t.observer("o", &t.topic("+"))?;
    let mut peer = t.client("c")?;
    if peer.props.number(prop::TOPIC_ALIAS_MAXIMUM).unwrap_or(0) == 0 {
        return Err(Stop::NotSupported("the CONNACK permits no topic alias".to_owned()));
    }
    for (sent, meant) in [("one", "one"), ("", "one"), ("two", "two"), ("", "two")] {
        let topic = if sent.is_empty() { String::new() } else { t.topic(sent) };
        let publish = Publish::new(topic, meant).qos(1);
        peer.publish(publish.with(|p| p.two(prop::TOPIC_ALIAS, 1)))?;
        same!(observer.takes(meant)?.topic, t.topic(meant).into_bytes(), "the topic");
    }
    drop(peer);
    let unbound = Publish::new("", "x").with(|p| p.two(prop::TOPIC_ALIAS, 1));
    t.offend(&unbound.bytes(t.version), &[0x82, 0x94])
}

/// [S15] Topics that begin with $ come to filters that begin with $, and not to wildcards.
fn s15(t: &Story) -> Done {
    let topic = format!("$own{}/a", t.unique);
    let mut wild = t.client("w")?;
    wild.listen("+/a", 1)?;
    let mut own = t.client("o")?;
    own.listen(&format!("$own{}/+", t.unique), 1)?;
    let mut publisher = t.client("p")?;
    publisher.publish(Publish::new(&topic, "dollar").qos(1))?;
    own.takes("dollar")?;
    let got = wild.collect(Duration::from_millis(300))?;
    ensure!(!got.iter().any(|each| each.payload == b"dollar"), "a wildcard takes a topic with $");
    Ok(())
}

/// [S16] Of three subscriptions two are removed: the third delivers.
fn s16(t: &Story) -> Done {
    let topics = ["a", "b", "c"].map(|name| t.topic(name));
    let mut peer = t.client("c")?;
    for topic in &topics {
        peer.listen(topic, 2)?;
    }
    let [first, second, third] = &topics;
    peer.unsubscribe(&[first])?;
    let codes = peer.unsubscribe(&[second, "never"])?;
    let expected: &[u8] = if t.version.is_v5() { &[0x00, 0x11] } else { &[] };
    same!(codes.as_slice(), expected, "the codes of UNSUBACK");
    for topic in &topics {
        t.say(topic, "x")?;
    }
    same!(peer.takes("x")?.topic, third.as_bytes(), "the topic");
    peer.quiet()
}

/// [S21] Of two filters in a packet the denied one fails and the other delivers.
fn s21(t: &Story) -> Done {
    let (topic, denied) = (t.topic("a"), format!("denied/{}", t.unique));
    let mut peer = t.client("c")?;
    let codes = peer.subscribe_all(&Props::new(), &[(&denied, 2), (&topic, 2)])?;
    let [refused, granted] = codes.as_slice() else {
        fail!("expected two codes, got {codes:02X?}")
    };
    same!(*granted, 2, "the code of the filter that is permitted");
    if *refused < 0x80 {
        return Err(Stop::NotSupported("the server grants the filter and delivers nothing".into()));
    }
    same!(*refused, if t.version.is_v5() { 0x87 } else { 0x80 }, "the code of the denied filter");
    t.say(&topic, "x")?;
    peer.takes("x").map(drop)
}

/// [S22] Retained messages of three QoS, replayed to wildcards, removed and gone.
fn s22(t: &Story) -> Done {
    for qos in 0..3 {
        t.tell(Publish::new(t.topic(&format!("{qos}")), "kept").qos(qos).retain())?;
    }
    let mut peer = t.observer("o", &t.topic("+"))?;
    let mut got = peer.collect(Duration::from_millis(500))?;
    got.sort_by_key(|each| each.qos);
    same!(got.iter().map(|each| each.qos).collect::<Vec<_>>(), vec![0, 1, 2], "the QoS of replays");
    ensure!(got.iter().all(|each| each.retain), "a replay without RETAIN");
    for qos in 0..3 {
        t.tell(Publish::new(t.topic(&format!("{qos}")), "").qos(qos).retain())?;
    }
    t.observer("late", &t.topic("#"))?.quiet()
}
