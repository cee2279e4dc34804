//! Group D: SUBSCRIBE.

use crate::harness::prelude::*;
use crate::shared::{subscribe as subscribing, text, topics, unsubscribe};

use super::{BOTH, may_end, pour};

pub(super) const TESTS: &[Test] = &[
    test("D01", d01).on(BOTH),
    test("D02", d02).on(BOTH),
    test("D03", d03).on(BOTH),
    test("D04", d04).on(BOTH),
    test("D05", d05).on(BOTH),
    test("D06", d06).with(Profile::Abuse).on(BOTH),
    test("D07", d07).on(BOTH),
    test("D08", d08).with(Profile::Acl).on(BOTH),
    test("D09", d09).on(BOTH),
    test("D10", d10).with(Profile::Acl).on(BOTH),
    test("D11", d11).with(Profile::Acl).on(BOTH),
    test("D13", d13).with(Profile::Acl).on(BOTH),
    test("D14", d14),
    test("D15", d15),
    test("D16", d16).with(Profile::Abuse).on(BOTH).slow(),
    test("D17", d17).with(Profile::Abuse).on(BOTH).slow(),
    test("D18", d18).with(Profile::Abuse).on(BOTH).slow(),
    test("D19", d19).with(Profile::Abuse).on(BOTH).slow(),
    test("D20", d20).with(Profile::Abuse).on(BOTH).slow(),
    test("D21", d21).with(Profile::Abuse).on(BOTH).slow(),
    test("D22", d22).on(BOTH),
    test("D23", d23).on(BOTH),
    test("D24", d24).on(BOTH).slow(),
    test("D25", d25).with(Profile::Abuse).on(BOTH).slow(),
    test("D26", d26).with(Profile::Abuse).slow(),
    test("D27", d27),
    test("D28", d28).on(BOTH),
];

/// [D01] No filters (82 02 00 01 / 82 03 00 01 00); UNSUBSCRIBE likewise.
fn d01(t: &Story) -> Done {
    subscribing::no_filter(t)?;
    unsubscribe::no_filter(t)
}

/// [D02] Options with reserved bits, QoS 3, Retain Handling 3.
fn d02(t: &Story) -> Done {
    let options: &[u8] =
        if t.version.is_v5() { &[0x03, 0x30, 0x40, 0x80, 0xC0] } else { &[3, 4, 8, 0x80] };
    subscribing::bad_options(t, options)
}

/// [D03] Packet id 0; id still in use.
fn d03(t: &Story) -> Done {
    crate::shared::ids::zero(t)
}

/// [D04] Empty filter; bad UTF-8; U+0000.
fn d04(t: &Story) -> Done {
    subscribing::bad_text(t)?;
    text::no_nul_in_topics(t)?;
    topics::refused_filters(t, &[""])
}

/// [D05] 'a#', 'a/#/b', '#/', '##', 'a+', '+a', 'a/+b'.
fn d05(t: &Story) -> Done {
    topics::refused_filters(t, &["a#", "a/#/b", "#/", "##", "a+", "+a", "a/+b"])
}

/// [D06] Filter of 32,767 x '+/' and topics with as many levels.
fn d06(t: &Story) -> Done {
    let filter = "+/".repeat(32_767);
    let mut peer = t.client("s")?;
    peer.send(&subscribe(t.version, 1, &Props::new(), &[(&filter, 0)]));
    may_end(&mut peer, &[0x8F, 0x81, 0x82, 0x95, 0x97])?;
    let mut publisher = t.client("p")?;
    publisher.send(&Publish::new("a/".repeat(32_767), "x").bytes(t.version));
    may_end(&mut publisher, &[0x90, 0x81, 0x82, 0x95, 0x97])
}

/// [D07] '$share', '$share/', '$share/g', '$share//t', '$share/g/', '$share/+/t', '$share/#',
/// '$SHARE/g/t'.
fn d07(t: &Story) -> Done {
    let shares =
        ["$share", "$share/", "$share/g", "$share//t", "$share/g/", "$share/+/t", "$share/#"];
    if t.version.is_v5() {
        return topics::refused_filters(t, &shares[1..]);
    }
    // For 3.1.1 these may be plain filters.
    for filter in shares {
        let mut peer = t.client("s")?;
        peer.send(&subscribe(t.version, 1, &Props::new(), &[(filter, 0)]));
        may_end(&mut peer, &[])?;
    }
    Ok(())
}

/// [D08] '$share/g/secret' where 'secret' is denied.
fn d08(t: &Story) -> Done {
    let denied = format!("denied/{}", t.unique);
    let mut peer = t.client("c")?;
    let _ = peer.subscribe(&format!("$share/g/{denied}"), 1);
    let mut publisher = t.client("p")?;
    let _ = publisher.publish(Publish::new(&denied, "secret").qos(1));
    peer.quiet()
}

/// [D09] '$share/g/#' and '$SYS'.
fn d09(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    if peer.subscribe(&format!("$share/g{}/#", t.unique), 0)? >= 0x80 {
        return Err(Stop::NotSupported("the server has no shared subscriptions".to_owned()));
    }
    let got = peer.collect_for(seconds(3))?;
    let leaked = got.iter().find(|each| each.topic.starts_with(b"$"));
    ensure!(leaked.is_none(), "a shared '#' took {:?}", leaked.map(|p| p.topic.clone()));
    Ok(())
}

/// [D10] First filter permitted, later ones denied, in one packet.
fn d10(t: &Story) -> Done {
    subscribing::denied_filters(t)
}

/// [D11] '#', '+', '+/+', '$SYS/#', '+/#' by a user with narrow rights.
fn d11(t: &Story) -> Done {
    let denied = format!("denied/{}", t.unique);
    let mut peer = t.client("c")?;
    for filter in ["#", "+/+", "+/#", "denied/#", "denied/+"] {
        let _ = peer.subscribe(filter, 1);
    }
    let mut publisher = t.client("p")?;
    let _ = publisher.publish(Publish::new(&denied, "secret").qos(1).retain());
    let got = peer.collect_for(seconds(2))?;
    let leaked = got.iter().any(|each| each.topic.starts_with(b"denied/"));
    ensure!(!leaked, "a message of a denied topic was delivered");
    Ok(())
}

/// [D13] Retained messages of denied topics through a permitted wildcard.
fn d13(t: &Story) -> Done {
    let denied = format!("denied/{}", t.unique);
    let mut publisher = t.client("p")?;
    let _ = publisher.publish(Publish::new(&denied, "secret").qos(1).retain());
    let mut peer = t.client("c")?;
    let _ = peer.subscribe("+/+", 1);
    let got = peer.collect_for(seconds(1))?;
    ensure!(!got.iter().any(|m| m.topic.starts_with(b"denied/")), "a denied retained message");
    Ok(())
}

/// [D14] No Local on '$share'.
fn d14(t: &Story) -> Done {
    t.client("n")?.needs(prop::SHARED_AVAILABLE, "shared subscriptions")?;
    let filter = format!("$share/g/{}", t.topic("a"));
    t.offend(&subscribe(t.version, 1, &Props::new(), &[(&filter, 4)]), PROTOCOL_ERROR)
}

/// [D15] Subscription Identifier 0; > 268,435,455; given twice.
fn d15(t: &Story) -> Done {
    let topic = t.topic("a");
    let five = Value::Raw(vec![0xFF, 0xFF, 0xFF, 0xFF, 0x01]);
    for (props, codes) in [
        (Props::new().var(prop::SUBSCRIPTION_ID, 0), PROTOCOL_ERROR),
        (Props::new().with(prop::SUBSCRIPTION_ID, five), MALFORMED),
        (Props::new().var(prop::SUBSCRIPTION_ID, 1).twice(), PROTOCOL_ERROR),
    ] {
        t.offend(&subscribe(t.version, 1, &props, &[(&topic, 0)]), codes)?;
    }
    Ok(())
}

/// [D16] 260,000 one-letter filters in a 1 MB packet; repeated identical filter.
fn d16(t: &Story) -> Done {
    let mut peer = t.client("s")?;
    let filters = vec![("x", 0); 250_000];
    peer.send(&subscribe(t.version, 1, &Props::new(), &filters));
    may_end(&mut peer, &[0x95, 0x97, 0x81])
}

/// [D17] 1,000,000 subscriptions by one client.
fn d17(t: &Story) -> Done {
    let mut peer = t.client("s")?;
    for round in 0..t.scaled(5010, 200) {
        let names: Vec<_> = (0..200).map(|index| t.topic(&format!("{round}/{index}"))).collect();
        let filters: Vec<_> = names.iter().map(|name| (name.as_str(), 0)).collect();
        let codes = peer.subscribe_all(&Props::new(), &filters)?;
        let fine = codes.iter().all(|code| [0, 0x80, 0x97].contains(code));
        ensure!(fine, "a code that is neither 0 nor a quota");
    }
    Ok(())
}

/// [D18] 1,000 overlapping filters by one client, publish 10,000/s.
fn d18(t: &Story) -> Done {
    let mut peer = t.client("s")?;
    let topic = t.topic("a/b/c/d/e/f/g/h/i/j");
    let levels: Vec<_> = topic.split('/').collect();
    let mut granted = 0;
    for mask in 0..1000_u32 {
        let filter: Vec<_> = levels
            .iter()
            .enumerate()
            .map(|(at, level)| if at > 0 && mask >> (at - 1) & 1 == 1 { "+" } else { level })
            .collect();
        // The server may bound how many filters of one client match one topic.
        match peer.subscribe(&filter.join("/"), 0)? {
            0 => granted += 1,
            0x97 if t.version.is_v5() => {}
            0x80 if !t.version.is_v5() => {}
            code => fail!("a filter that overlaps others is answered with {code:02X}"),
        }
    }
    t.say(&topic, "x")?;
    let copies = peer.collect(seconds(1))?.len();
    ensure!((1..=granted).contains(&copies), "{copies} copies for {granted} filters");
    drop(peer);
    // Nobody reads them: the server may slow or end this client.
    let mut publisher = t.client("p")?;
    for _ in 0..t.scaled(10_000, 1000) {
        publisher.send_publish(Publish::new(&topic, "x"));
    }
    publisher.ping_within(seconds(30))
}

/// [D19] '#' on 1,000,000 retained messages.
fn d19(t: &Story) -> Done {
    let base = t.topic("retained");
    let mut publisher = t.client("p")?;
    let count = t.scaled(1_000_000, 20_000);
    for index in 0..count {
        publisher.send_publish(Publish::new(format!("{base}/{index}"), "x").retain());
    }
    publisher.ping_within(seconds(60))?;
    let mut peer = t.client("s")?;
    peer.listen(&format!("{base}/#"), 0)?;
    t.in_a_second("the ping of another client", || t.client("o")?.ping())?;
    let got = u32::try_from(peer.collect(seconds(2))?.len()).unwrap_or(0);
    same!(got, count, "retained messages");
    for index in 0..count {
        publisher.send_publish(Publish::new(format!("{base}/{index}"), "").retain());
    }
    publisher.ping_within(seconds(60))
}

/// [D20] Same as D19 in a loop, 10 SUBSCRIBEs per second, Retain Handling 0.
fn d20(t: &Story) -> Done {
    let base = t.topic("retained");
    let mut publisher = t.client("p")?;
    let count = t.scaled(20_000, 500);
    for index in 0..count {
        publisher.send_publish(Publish::new(format!("{base}/{index}"), "x").retain());
    }
    publisher.ping_within(seconds(30))?;
    let mut peer = t.client("s")?;
    for id in 1..=50 {
        peer.send(&subscribe(t.version, id, &Props::new(), &[(&format!("{base}/#"), 0)]));
    }
    // The answers are not read: the broker may slow or end this client, nobody else.
    for index in 0..count {
        publisher.send_publish(Publish::new(format!("{base}/{index}"), "").retain());
    }
    publisher.ping_within(seconds(30))
}

/// [D21] Subscribe/unsubscribe 10,000 times per second under publish, with reconnects.
fn d21(t: &Story) -> Done {
    let topic = t.topic("flip");
    let mut publisher = t.client("p")?;
    t.costs_at_most(16, || {
        for _ in 0..t.scaled(50, 10) {
            let mut peer = t.client("s")?;
            for _ in 0..200 {
                peer.listen(&topic, 0)?;
                publisher.send_publish(Publish::new(&topic, "x"));
                peer.unsubscribe(&[&topic])?;
            }
        }
        publisher.ping()
    })
}

/// [D22] Subscribe '$share/g/t', subscribe 't', unsubscribe one of them, repeat.
fn d22(t: &Story) -> Done {
    let topic = t.topic("t");
    let shared = format!("$share/g{}/{topic}", t.unique);
    let mut peer = t.client("c")?;
    for _ in 0..10 {
        peer.listen(&topic, 1)?;
        if peer.subscribe(&shared, 1)? >= 0x80 {
            return Err(Stop::NotSupported("the server has no shared subscriptions".to_owned()));
        }
        peer.unsubscribe(&[&topic])?;
        t.say(&topic, "shared")?;
        peer.takes("shared")?;
        peer.unsubscribe(&[&shared])?;
        peer.listen(&topic, 1)?;
        t.say(&topic, "plain")?;
        peer.takes("plain")?;
        peer.unsubscribe(&[&topic])?;
    }
    t.say(&topic, "none")?;
    peer.quiet()
}

/// [D23] Re-subscribe with lower QoS while QoS 2 messages are in flight.
fn d23(t: &Story) -> Done {
    let topic = t.topic("lower");
    let mut peer = t.observer("c", &topic)?;
    t.tell(Publish::new(&topic, "two").qos(2))?;
    let got = peer.receive()?;
    peer.listen(&topic, 0)?;
    peer.complete(&got)?;
    t.tell(Publish::new(&topic, "zero").qos(2))?;
    same!(peer.takes("zero")?.qos, 0, "the QoS after the lower subscription");
    peer.quiet()
}

/// [D24] Unsubscribe mid-flow; unsubscribe unknown; 100,000 filters.
fn d24(t: &Story) -> Done {
    unsubscribe::begun_is_completed(t)?;
    unsubscribe::always_answered(t)?;
    let mut peer = t.client("many")?;
    let filters = vec!["unknown"; 100_000];
    let id = 9;
    peer.send(&unsubscribe(t.version, id, &filters));
    may_end(&mut peer, &[0x95, 0x97])
}

/// [D25] 100,000 share names on one filter.
fn d25(t: &Story) -> Done {
    let topic = t.topic("a");
    let mut peer = t.client("s")?;
    for round in 0..t.scaled(1000, 50) {
        let names: Vec<_> =
            (0..100).map(|index| format!("$share/{round}x{index}/{topic}")).collect();
        let filters: Vec<_> = names.iter().map(|name| (name.as_str(), 0)).collect();
        let codes = peer.subscribe_all(&Props::new(), &filters)?;
        let fine = codes.iter().all(|code| [0, 0x80, 0x97, 0x9E].contains(code));
        ensure!(fine, "a code that is neither 0 nor a quota");
    }
    t.say(&topic, "x")
}

/// [D26] All members of a share group offline, 1,000,000 messages.
fn d26(t: &Story) -> Done {
    let topic = t.topic("a");
    let mut member = t.durable("m")?;
    member.listen(&format!("$share/g{}/{topic}", t.unique), 1)?;
    member.disconnect();
    let mut publisher = t.client("p")?;
    t.costs_at_most(64, || {
        pour(&mut publisher, t.scaled(1_000_000, 30_000), &Publish::new(&topic, "x"))
    })?;
    // What is queued stays with its session, which is not to grow from one telling to the next.
    t.client("m")?.disconnect();
    Ok(())
}

/// [D27] One member of a share group never acks.
fn d27(t: &Story) -> Done {
    let topic = t.topic("a");
    let shared = format!("$share/g{}/{topic}", t.unique);
    let mut lazy = t.connect(&t.hello("lazy").receive_maximum(1))?;
    let mut busy = t.client("busy")?;
    lazy.listen(&shared, 1)?;
    busy.listen(&shared, 1)?;
    for index in 0..20 {
        t.say(&topic, &format!("{index}"))?;
    }
    let got = busy.collect(seconds(1))?.len();
    ensure!(got >= 9, "the busy member of two got {got} of 20 messages");
    Ok(())
}

/// [D28] SUBSCRIBE pipelined before CONNACK.
fn d28(t: &Story) -> Done {
    crate::shared::connect::connack_first(t)
}
