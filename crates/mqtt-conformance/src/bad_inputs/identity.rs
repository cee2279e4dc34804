//! Group B, second half: who a client is and what is kept for it.

use crate::harness::prelude::*;
use crate::shared::connect;

use super::BOTH;

pub(super) const TESTS: &[Test] = &[
    test("B11", b11).with(Profile::Patterns).on(BOTH),
    test("B12", b12).with(Profile::Patterns).on(BOTH),
    test("B15", b15).with(Profile::Acl).on(BOTH),
    test("B16", b16).with(Profile::Password).on(BOTH),
    test("B26", b26).with(Profile::Password).on(BOTH),
    test("B27", b27).with(Profile::Password).on(BOTH),
    test("B32", b32).with(Profile::Password).on(BOTH),
    test("B33", b33).with(Profile::Abuse).on(BOTH).slow(),
    test("B34", b34).with(Profile::Abuse).on(BOTH),
    test("B40", b40).with(Profile::Password).on(BOTH),
    test("B41", b41).with(Profile::Patterns).on(BOTH),
    test("B42", b42).with(Profile::Password).on(BOTH),
];

/// [B11] Client id or user name '#', '+', 'a/+', '../x', '%c', '%u' with pattern ACLs.
fn b11(t: &Story) -> Done {
    let mut victim = t.client("victim")?;
    let secret = format!("clients/{}/secret", t.client_id("victim"));
    victim.publish(Publish::new(&secret, "secret").qos(1).retain())?;
    for id in ["#", "+", "a/+", "../x", "%c", "%u"] {
        let mut hello = t.hello("");
        hello.client_id = id.into();
        let mut peer = t.attempt(&hello)?;
        if peer.connack().unwrap_or(0xFF) != 0 {
            continue;
        }
        for filter in ["clients/#", "clients/+/#", "clients/+/secret", secret.as_str()] {
            let _ = peer.subscribe(filter, 1);
        }
        victim.publish(Publish::new(&secret, "secret").qos(1))?;
        let got = peer.collect(seconds(1)).unwrap_or_default();
        ensure!(got.is_empty(), "the client id '{id}' reads the topics of another client");
    }
    victim.publish(Publish::new(&secret, "").retain()).map(drop)
}

/// [B12] No user name while pattern ACL uses %u.
fn b12(t: &Story) -> Done {
    let mut nameless = t.attempt(&Connect::new(t.version, t.client_id("c")))?;
    if nameless.connack().unwrap_or(0xFF) != 0 {
        return Ok(());
    }
    let _ = nameless.subscribe("users/#", 1);
    t.say(&format!("users/alice/{}", t.unique), "secret")?;
    nameless.quiet()
}

/// [B15] Will to a topic the user may not write.
fn b15(t: &Story) -> Done {
    let topic = format!("denied/{}", t.unique);
    let mut observer = t.client("o")?;
    observer.subscribe(&topic, 1)?;
    let will = Will::new(&topic, "never").retain();
    let mut peer = t.attempt(&t.hello("c").will(will))?;
    let code = peer.connack().unwrap_or(0x87);
    ensure!([0, 5, 0x87].contains(&code), "a forbidden will is answered with {code:02X}");
    drop(peer);
    observer.quiet_for(seconds(1))?;
    let mut late = t.client("late")?;
    late.subscribe(&topic, 1)?;
    late.quiet()
}

/// [B16] CONNECT refused (bad password) carrying a will.
fn b16(t: &Story) -> Done {
    let topic = t.topic("will");
    let mut observer = t.observer("o", &topic)?;
    let hello = t.hello("c").password("wrong").will(Will::new(&topic, "never").retain());
    t.refuse(&hello, connect::REFUSED)?;
    observer.quiet_for(seconds(1))
}

/// [B26] Password guessing 1,000 per second; unknown versus known user.
fn b26(t: &Story) -> Done {
    let mut answers = Vec::new();
    for (user, password) in [("alice", "wrong"), ("nobody", "wrong"), ("alice", ""), ("nobody", "")]
    {
        let mut peer = t.attempt(&t.hello("c").user(user).password(password))?;
        answers.push(match peer.event(seconds(5))? {
            Event::Packet(packet) => packet.raw,
            _ => Vec::new(),
        });
    }
    let uniform = answers.windows(2).all(|pair| pair.first() == pair.last());
    ensure!(uniform, "the answers tell known users from unknown ones: {answers:02X?}");
    Ok(())
}

/// [B27] Existing user name, password omitted or empty.
fn b27(t: &Story) -> Done {
    let hello = Connect::new(t.version, t.client_id("c")).user("alice");
    t.refuse(&hello, connect::REFUSED)?;
    t.refuse(&hello.password(""), connect::REFUSED)
}

/// [B32] User B connects with user A's client id and resumes A's session.
fn b32(t: &Story) -> Done {
    let topic = t.topic("mine");
    t.absent("c", &topic, 1)?;
    t.say(&topic, "for alice")?;
    let bob = t.hello("c").durable().user("bob").password("builder");
    let mut peer = t.attempt(&bob)?;
    if peer.connack().unwrap_or(0x87) == 0 {
        ensure!(!peer.session_present, "bob resumes the session of alice");
        peer.quiet()?;
    }
    Ok(())
}

/// [B33] Takeover storm: two clients with one id reconnect 1,000 times per second for 60 s under
/// publish and subscribe load.
fn b33(t: &Story) -> Done {
    let topic = t.topic("storm");
    t.costs_at_most(16, || {
        t.together(2, |_| {
            for _ in 0..t.scaled(30_000, 500) {
                let mut peer = t.attempt(&t.hello("c"))?;
                let _ = peer.connack();
                peer.send(&subscribe(t.version, 1, &Props::new(), &[(&topic, 1)]));
                peer.send_publish(Publish::new(&topic, "x"));
            }
            Ok(())
        })
    })?;
    let mut last = t.client("c")?;
    last.listen(&topic, 1)?;
    t.say(&topic, "after")?;
    last.takes("after").map(drop)
}

/// [B34] Second connection with the id while the first is stuck in a write (zero window).
fn b34(t: &Story) -> Done {
    let topic = t.topic("stuck");
    let mut stuck = t.client("c")?;
    stuck.listen(&topic, 0)?;
    let mut publisher = t.client("p")?;
    for _ in 0..2000 {
        publisher.send_publish(Publish::new(&topic, "x".repeat(8000)));
    }
    publisher.ping()?;
    t.in_a_second("the takeover of a stuck connection", || t.client("c"))?.ping()
}

/// [B40] User B connects with A's client id and CleanSession/Clean Start 1: A's session is wiped
/// and A kicked.
fn b40(t: &Story) -> Done {
    let topic = t.topic("mine");
    let mut alice = t.durable("c")?;
    alice.listen(&topic, 1)?;
    let mut bob = t.attempt(&t.hello("c").user("bob").password("builder"))?;
    let code = bob.connack().unwrap_or(0x87);
    ensure!(code != 0, "bob takes the client id of alice, whose session is wiped");
    alice.ping()?;
    t.say(&topic, "still")?;
    alice.takes("still").map(drop)
}

/// [B41] Client id or user name with regex, glob or template characters ('.*', 'a or b', '${x}',
/// '(a') used in rule patterns.
fn b41(t: &Story) -> Done {
    let mut victim = t.client("victim")?;
    let secret = format!("clients/{}/secret", t.client_id("victim"));
    for id in [".*", "a or b", "${x}", "(a", "*", "?", "[a-z]", "\\", "%%"] {
        let mut hello = t.hello("");
        hello.client_id = id.into();
        let mut peer = t.attempt(&hello)?;
        if peer.connack().unwrap_or(0xFF) != 0 {
            continue;
        }
        let _ = peer.subscribe(&secret, 1);
        let _ = peer.subscribe("clients/#", 1);
        victim.publish(Publish::new(&secret, "secret").qos(1))?;
        let got = peer.collect(seconds(1)).unwrap_or_default();
        ensure!(got.is_empty(), "the client id '{id}' reads the topics of another client");
    }
    Ok(())
}

/// [B42] Refused CONNECT (bad id, bad password) 100,000 times, client keeps its socket open.
fn b42(t: &Story) -> Done {
    t.costs_at_most(32, || {
        t.together(8, |_| {
            let mut open = std::collections::VecDeque::new();
            for _ in 0..t.scaled(12_500, 20) {
                let mut peer = t.attempt(&t.hello("c").password("wrong"))?;
                peer.refused(connect::REFUSED)?;
                open.push_back(peer);
                // As many as the system has descriptors for, with all other tests beside.
                open.truncate(open.len().min(200));
            }
            Ok(())
        })
    })?;
    t.client("after")?.ping()
}
