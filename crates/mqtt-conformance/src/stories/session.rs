//! Clients that go and come back.

use std::time::{Duration, Instant};

use crate::harness::prelude::*;

use super::{BOTH, told};

pub(super) const TESTS: &[Test] = &[
    test("S03", s03).slow(),
    test("S04", s04).with(Profile::ServerKeepAlive).slow(),
    test("S06", s06),
    test("S07", s07).slow(),
    test("S17", s17).on(&[Version::V311]),
    test("S18", s18).on(BOTH),
    test("S19", s19).on(BOTH).slow(),
    test("S20", s20).on(BOTH),
    test("S29", s29).on(BOTH),
];

/// [S03] A will with a delay of 2 s comes after the delay, and not if the client is back before.
fn s03(t: &Story) -> Done {
    let topic = t.topic("will");
    let mut observer = t.observer("o", &topic)?;
    let hello = t.hello("c").resume().expiry(60);
    let leaves = || -> Done<Instant> {
        drop(t.connect(&hello.clone().will(Will::new(&topic, "will").delay(2)))?);
        Ok(Instant::now())
    };
    leaves()?;
    let back = t.connect(&hello)?;
    observer.quiet_for(seconds(3))?;
    back.disconnect();
    let began = leaves()?;
    observer.until("the will", |content| matches!(content, Content::Publish(_)))?;
    let took = began.elapsed();
    ensure!(took > Duration::from_millis(1500), "a delay of 2 s took {took:?}");
    Ok(())
}

/// [S04] A Server Keep Alive is announced in CONNACK and counts: DISCONNECT 0x8D and the will follow.
fn s04(t: &Story) -> Done {
    let topic = t.topic("will");
    let hello = t.hello("c").keep_alive(120).will(Will::new(&topic, "will"));
    let mut peer = t.connect(&hello)?;
    same!(peer.props.number(prop::SERVER_KEEP_ALIVE), Some(2), "the Server Keep Alive");
    let began = Instant::now();
    told(&mut peer, 0x8D)?;
    let took = began.elapsed();
    ensure!(took > Duration::from_millis(2500), "closed after {took:?}, 1.5 times 2 s are 3 s");
    Ok(())
}

/// [S06] Assigned client identifiers differ, and one of them resumes its session.
fn s06(t: &Story) -> Done {
    let mut nameless = t.hello("").expiry(60);
    nameless.client_id = Vec::new();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let peer = t.connect(&nameless)?;
        let id = peer.props.string(prop::ASSIGNED_CLIENT_ID).unwrap_or_default().to_vec();
        ensure!(!id.is_empty() && !ids.contains(&id), "the assigned identifier {id:?}");
        ids.push(id);
        peer.disconnect();
    }
    let mut again = t.hello("").resume();
    again.client_id = ids.pop().unwrap_or_default();
    ensure!(t.connect(&again)?.session_present, "the assigned identifier resumes no session");
    Ok(())
}

/// [S07] A session lives for its expiry and no longer; DISCONNECT can shorten it to nothing.
fn s07(t: &Story) -> Done {
    let present = |secs: u32, change: Option<u32>, wait: u64| -> Done<bool> {
        let hello = t.hello(&format!("s{secs}w{wait}")).resume();
        let mut peer = t.connect(&hello.clone().expiry(secs))?;
        let props =
            change.map_or_else(Props::new, |secs| Props::new().four(prop::SESSION_EXPIRY, secs));
        peer.send(&Body::new().u8(0).raw(props.block()).packet(0xE0));
        peer.closed(&[])?;
        t.wait(seconds(wait));
        Ok(t.connect(&hello)?.session_present)
    };
    ensure!(!present(0, None, 0)?, "an expiry of 0 keeps a session");
    ensure!(present(60, None, 0)?, "an expiry of 60 s keeps no session");
    ensure!(present(u32::MAX, None, 1)?, "a session without end has ended");
    ensure!(!present(1, None, 3)?, "an expiry of 1 s keeps a session for 3 s");
    ensure!(!present(61, Some(0), 0)?, "DISCONNECT with an expiry of 0 keeps a session");
    ensure!(present(1, Some(60), 4)?, "DISCONNECT with an expiry of 60 s keeps no session");
    Ok(())
}

/// [S17] An empty client identifier needs a clean session before 5.0.
fn s17(t: &Story) -> Done {
    let mut hello = t.hello("");
    hello.client_id = Vec::new();
    let mut peer = t.attempt(&hello.clone().resume())?;
    same!(peer.connack()?, 2, "the code without a clean session");
    peer.closed(&[])?;
    t.connect(&hello)?.ping()
}

/// [S18] Messages of QoS 1 and 2 for an absent client come in order when it is back.
fn s18(t: &Story) -> Done {
    let topic = t.topic("a");
    t.absent("c", &topic, 2)?;
    let mut publisher = t.client("p")?;
    for index in 0..30 {
        publisher.publish(Publish::new(&topic, format!("{index}")).qos(1 + index % 2))?;
    }
    let mut peer = t.connect(&t.hello("c").durable())?;
    ensure!(peer.session_present, "the session is gone");
    for index in 0..30 {
        peer.takes(&format!("{index}"))?;
    }
    peer.quiet()
}

/// [S19] A silent client is closed after one and a half times its keep alive, and its will is
/// published.
fn s19(t: &Story) -> Done {
    let topic = t.topic("will");
    let mut observer = t.observer("o", &topic)?;
    let began = Instant::now();
    let mut peer = t.connect(&t.hello("c").keep_alive(2).will(Will::new(&topic, "will").qos(2)))?;
    if t.version.is_v5() {
        told(&mut peer, 0x8D)?;
    } else {
        peer.closed_within(seconds(20), &[])?;
    }
    let took = began.elapsed();
    ensure!((2500..15_000).contains(&took.as_millis()), "a keep alive of 2 s ended after {took:?}");
    same!(observer.takes("will")?.qos, 2, "the QoS of the will");
    Ok(())
}

/// [S20] What was not acknowledged comes again on the next connection, as DUP and with the same
/// identifier.
fn s20(t: &Story) -> Done {
    let topic = t.topic("a");
    let mut peer = t.durable("c")?;
    peer.listen(&topic, 2)?;
    for qos in [1, 2] {
        t.tell(Publish::new(&topic, format!("{qos}")).qos(qos))?;
    }
    let ids = [peer.receive()?.id, peer.receive()?.id];
    drop(peer);
    let mut peer = t.connect(&t.hello("c").durable())?;
    for (id, qos) in ids.into_iter().zip([1, 2]) {
        let again = peer.takes(&format!("{qos}"))?;
        same!((again.id, again.qos, again.dup), (id, qos, true), "identifier, QoS and DUP");
    }
    peer.quiet()
}

/// [S29] A DISCONNECT that is sent right before the same client connects anew counts: no will, and
/// no session where it ends it.
fn s29(t: &Story) -> Done {
    let topic = t.topic("will");
    let mut observer = t.observer("o", &topic)?;
    let (bye, hello): (&[u8], _) = if t.version.is_v5() {
        (&[0xE0, 7, 0, 5, 0x11, 0, 0, 0, 0], t.hello("c").resume().expiry(60))
    } else {
        (&[0xE0, 0], t.hello("c").resume())
    };
    let hello = hello.will(Will::new(&topic, "never"));
    for round in 0..50 {
        let mut peer = t.connect(&hello)?;
        let expected = !t.version.is_v5() && round > 0;
        same!(peer.session_present, expected, "Session Present");
        peer.send(bye);
    }
    observer.quiet()
}
