//! Group E: sessions.

use crate::harness::prelude::*;
use crate::shared::{framing, qos, retain};

use super::{BOTH, logs, pour};

pub(super) const TESTS: &[Test] = &[
    test("E01", e01).with(Profile::Abuse).on(BOTH).slow(),
    test("E02", e02).with(Profile::Abuse).on(BOTH).slow(),
    test("E04", e04),
    test("E05", e05).on(BOTH).slow(),
    test("E06", e06).with(Profile::Abuse).on(BOTH).slow(),
    test("E07", e07).slow(),
    test("E08", e08),
    test("E09", e09),
    test("E10", e10).with(Profile::Abuse).on(BOTH).slow(),
    test("E12", e12).with(Profile::Abuse).on(BOTH),
    test("E14", e14).with(Profile::Abuse).passive(),
];

/// [E01] Subscriber never acks, 100,000 messages for it.
fn e01(t: &Story) -> Done {
    let topic = t.topic("unacked");
    let mut peer = t.client("c")?;
    peer.listen(&topic, 1)?;
    let mut publisher = t.client("p")?;
    t.costs_at_most(64, || pour(&mut publisher, 100_000, &Publish::new(&topic, "x".repeat(100))))
}

/// [E02] Subscriber stops reading (zero window) under traffic.
fn e02(t: &Story) -> Done {
    let topic = t.topic("window");
    let mut stuck = t.client("s")?;
    stuck.listen(&topic, 1)?;
    let mut publisher = t.client("p")?;
    for _ in 0..1000 {
        publisher.publish(Publish::new(&topic, "x".repeat(10_000)).qos(1))?;
    }
    publisher.ping()?;
    if t.is_full() {
        // The write timeout is 30 s.
        t.wait(seconds(40));
        stuck.drained()?;
    }
    Ok(())
}

/// [E04] PUBACK/PUBREC with reason >= 0x80.
fn e04(t: &Story) -> Done {
    let topic = t.topic("errors");
    let mut peer = t.connect(&t.hello("c").durable().receive_maximum(1))?;
    peer.listen(&topic, 2)?;
    for qos in [1, 2, 1] {
        t.tell(Publish::new(&topic, "x").qos(qos))?;
        let got = peer.receive()?;
        peer.answer_error(3 + qos, got.id, 0x80);
    }
    peer.ping()?;
    drop(peer);
    t.connect(&t.hello("c").durable())?.quiet()
}

/// [E05] Resume with 10,000 queued, 100 times per second.
fn e05(t: &Story) -> Done {
    let topic = t.topic("queued");
    t.absent("c", &topic, 1)?;
    let mut publisher = t.client("p")?;
    for index in 0..10 {
        publisher.publish(Publish::new(&topic, format!("{index}")).qos(1))?;
    }
    pour(&mut publisher, 10_000, &Publish::new(&topic, "more"))?;
    for _ in 0..100 {
        let mut peer = t.connect(&t.hello("c").durable())?;
        same!(peer.receive()?.text(), "0".to_owned(), "the first message of a resume");
    }
    qos::receiver_1(t)?;
    retain::empty_is_not_kept(t)
}

/// [E06] Offline session receives 1,000,000 messages.
fn e06(t: &Story) -> Done {
    let topic = t.topic("offline");
    t.absent("c", &topic, 1)?;
    let mut publisher = t.client("p")?;
    t.costs_at_most(128, || {
        let publish = Publish::new(&topic, "x".repeat(1000));
        pour(&mut publisher, t.scaled(1_000_000, 50_000), &publish)
    })?;
    let mut peer = t.connect(&t.hello("c").durable())?;
    ensure!(peer.session_present, "the session is gone");
    peer.take()?;
    peer.disconnect();
    // What still waits for it is not to wait for ever.
    t.connect(&t.hello("c")).map(drop)
}

/// [E07] Reconnect exactly at session expiry or will delay (race), 10,000 times: either the session
/// has ended and its will was published, once, or neither.
fn e07(t: &Story) -> Done {
    (0..t.scaled(20, 2)).try_for_each(|wave| race(t, wave, t.scaled(500, 20)))
}

/// So many clients that come back about when their sessions end.
fn race(t: &Story, wave: u32, clients: u32) -> Done {
    let mut observer = t.observer(&format!("o{wave}"), &t.topic(&format!("{wave}/+")))?;
    let hello = |index: u32| t.hello(&format!("{wave}x{index}")).resume().expiry(1);
    let mut open = Vec::new();
    for index in 0..clients {
        let will = Will::new(t.topic(&format!("{wave}/{index}")), format!("{index}")).delay(1);
        open.push(t.connect(&hello(index).will(will))?);
    }
    let began = std::time::Instant::now();
    drop(open);
    let mut ended = std::collections::BTreeSet::new();
    for index in 0..clients {
        // Spread over the moments around the end of the second.
        let due = std::time::Duration::from_micros(
            950_000 + u64::from(index) * 100_000 / u64::from(clients),
        );
        std::thread::sleep(due.saturating_sub(began.elapsed()));
        let peer = t.connect(&hello(index).clone())?;
        if !peer.session_present {
            ended.insert(format!("{index}"));
        }
        peer.disconnect();
    }
    t.wait(seconds(2));
    let wills: Vec<_> = observer.collect(seconds(1))?.iter().map(Publish::text).collect();
    let told: std::collections::BTreeSet<_> = wills.iter().cloned().collect();
    same!(wills.len(), told.len(), "wills, and those of different clients");
    same!(told, ended, "whose will came, and whose session ended");
    Ok(())
}

/// [E08] DISCONNECT raising Session Expiry from 0.
fn e08(t: &Story) -> Done {
    let topic = t.topic("will");
    let mut observer = t.observer("o", &topic)?;
    let mut peer = t.connect(&t.hello("c").will(Will::new(&topic, "will")))?;
    let expiry = Props::new().four(prop::SESSION_EXPIRY, 60);
    peer.send(&Body::new().u8(0).raw(expiry.block()).packet(0xE0));
    peer.closed(PROTOCOL_ERROR)?;
    observer.takes("will").map(drop)
}

/// [E09] DISCONNECT 0x04; server-only or unknown reason codes.
fn e09(t: &Story) -> Done {
    for code in [0x01, 0x8B, 0x8E, 0x9D] {
        t.offend(&[0xE0, 1, code], EITHER)?;
    }
    crate::shared::will::after(t, "with", |mut peer| peer.send(&[0xE0, 1, 0x04]))
}

/// [E10] More than 65,535 messages to one client without acks.
fn e10(t: &Story) -> Done {
    let topic = t.topic("unacked");
    let hello = t.hello("c");
    let hello = if t.version.is_v5() { hello.receive_maximum(u16::MAX) } else { hello };
    let mut peer = t.connect(&hello)?;
    peer.listen(&topic, 1)?;
    let mut publisher = t.client("p")?;
    pour(&mut publisher, 70_000, &Publish::new(&topic, "x"))?;
    let mut seen = std::collections::BTreeSet::new();
    while let Event::Packet(packet) = peer.event(seconds(1))? {
        if let Content::Publish(publish) = packet.content {
            ensure!(seen.insert(publish.id), "the id {} was used twice", publish.id);
        }
    }
    peer.ping()
}

/// [E12] PINGREQ flood 1,000,000/s.
fn e12(t: &Story) -> Done {
    framing::pings(t)?;
    let mut peer = t.client("flood")?;
    // The answers are not read meanwhile: the broker may stop reading or end this connection.
    for _ in 0..100 {
        if !peer.try_send(&[0xC0, 0].repeat(10_000)) {
            break;
        }
    }
    Ok(())
}

/// [E14] Exception or panic while one client's packet is handled: none happened in the whole run.
fn e14(t: &Story) -> Done {
    for log in logs(t)? {
        let panicked = log.lines().find(|line| line.contains("panicked at"));
        ensure!(panicked.is_none(), "in the log: {}", panicked.unwrap_or_default());
    }
    Ok(())
}
