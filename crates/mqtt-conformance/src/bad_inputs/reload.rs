//! Rights that are revoked while the broker runs: it loads its files anew on SIGHUP.

use crate::harness::prelude::*;
use crate::harness::private::{Private, Setup};

use super::BOTH;

pub(super) const TESTS: &[Test] = &[
    test("C17", c17),
    test("C26", c26).on(BOTH),
    test("C30", c30).on(BOTH),
    test("C31", c31).on(BOTH),
    test("D12", d12).on(BOTH),
    test("G02", g02),
    test("G04", g04).on(BOTH),
];

const ALL: &str = "topic readwrite #\n";
const LOADED: &str = "loaded the files anew";

/// [C17] Alias bound while permitted, used after the right was revoked; alias re-bound to a denied
/// topic.
fn c17(t: &Story) -> Done {
    let (broker, t) = start(t)?;
    let (topic, denied) = (t.topic("a"), t.topic("denied"));
    let mut observer = t.observer("o", &t.topic("#"))?;
    let mut peer = t.client("c")?;
    let aliased =
        |topic: &str| Publish::new(topic, "x").qos(1).with(|p| p.two(prop::TOPIC_ALIAS, 1));
    same!(peer.publish(aliased(&topic))?, 0, "a message that is permitted");
    observer.takes("x")?;
    deny(&broker, &topic, "write")?;
    same!(peer.publish(aliased(""))?, 0x87, "an alias of a topic whose right was revoked");
    deny(&broker, &denied, "write")?;
    same!(peer.publish(aliased(&topic))?, 0, "a topic that is permitted again");
    observer.takes("x")?;
    same!(peer.publish(aliased(&denied))?, 0x87, "an alias that is bound to a denied topic");
    same!(peer.publish(aliased(""))?, 0x87, "the alias after that");
    observer.quiet()
}

/// [C26] Retained message by a user whose right is revoked later: the policy is that it stays, as
/// who may read it is asked at each delivery, and that nobody without the right changes it.
fn c26(t: &Story) -> Done {
    let (broker, t) = start(t)?;
    let topic = t.topic("kept");
    t.tell(Publish::new(&topic, "kept").qos(1).retain())?;
    deny(&broker, &topic, "write")?;
    let mut peer = t.client("c")?;
    for payload in ["new", ""] {
        let refused = if t.version.is_v5() { 0x87 } else { 0 };
        let code = peer.publish(Publish::new(&topic, payload).qos(1).retain())?;
        same!(code, refused, "the answer to a retained message that is denied");
    }
    t.observer("late", &topic)?.takes("kept")?;
    deny(&broker, &topic, "read")?;
    let mut late = t.client("later")?;
    let _ = late.subscribe(&t.topic("+"), 1)?;
    late.quiet()
}

/// [C30] QoS 2 begun, session drops, right revoked, session resumes, PUBREL: a message is handed on
/// at PUBLISH or not at all; what begins after the right was revoked is not.
fn c30(t: &Story) -> Done {
    let (broker, t) = start(t)?;
    let topic = t.topic("two");
    let mut observer = t.observer("o", &topic)?;
    let mut peer = t.durable("c")?;
    peer.send_publish(Publish::new(&topic, "begun").qos(2).id(7));
    peer.ack(5, 7)?;
    let before = observer.collect(std::time::Duration::from_millis(500))?.len();
    drop(peer);
    deny(&broker, &topic, "write")?;
    let mut peer = t.connect(&t.hello("c").durable())?;
    peer.send_publish(Publish::new(&topic, "begun").qos(2).id(7).dup());
    peer.ack(5, 7)?;
    same!(peer.release(7)?, 0, "PUBCOMP");
    let later = peer.publish(Publish::new(&topic, "later").qos(2))?;
    same!(later, if t.version.is_v5() { 0x87 } else { 0 }, "a message that is denied");
    ensure!(before <= 1, "{before} copies of a message of QoS 2");
    observer.quiet()
}

/// [C31] QoS 1 queued for an offline session, reader's right revoked, session resumes.
fn c31(t: &Story) -> Done {
    let (broker, t) = start(t)?;
    let (topic, open) = (t.topic("queued"), t.topic("open"));
    let mut peer = t.durable("c")?;
    peer.listen(&topic, 1)?;
    peer.listen(&open, 1)?;
    peer.disconnect();
    t.say(&topic, "secret")?;
    t.say(&open, "public")?;
    deny(&broker, &topic, "read")?;
    let mut peer = t.connect(&t.hello("c").durable())?;
    peer.takes("public")?;
    peer.quiet()
}

/// [D12] Right revoked after subscribing (running and offline session): delivery stops within a
/// second after the change is loaded.
fn d12(t: &Story) -> Done {
    let (broker, t) = start(t)?;
    let topic = t.topic("a");
    let mut running = t.client("c")?;
    for qos in [0, 1] {
        running.listen(&topic, qos)?;
    }
    t.absent("offline", &topic, 1)?;
    let mut publisher = t.client("p")?;
    publisher.say(&topic, "before")?;
    running.takes("before")?;
    deny(&broker, &topic, "read")?;
    for qos in 0..3 {
        publisher.publish(Publish::new(&topic, "after").qos(qos))?;
    }
    running.quiet()?;
    let mut resumed = t.connect(&t.hello("offline").durable())?;
    resumed.quiet()?;
    broker.write("acl", ALL)?;
    broker.reload(LOADED)?;
    publisher.say(&topic, "again")?;
    running.takes("again")?;
    resumed.takes("again").map(drop)
}

/// [G02] Malformed lines in password or ACL files: it refuses to start; it refuses to reload, names
/// the line and keeps the old rules, whole.
fn g02(t: &Story) -> Done {
    let bad_rules = "topic read a\nnonsense\n";
    let rules = Setup::new("--allow-anonymous --acl-file {acl}").file("acl", bad_rules);
    let said = Private::refuses_to_start(t, &rules)?;
    ensure!(said.contains("line 2"), "the line is not named: {said}");
    for users in ["alice:plain text\n", ":$7$101$x$y\n", "alice\n"] {
        let setup = Setup::new("--password-file {users}").file("users", users);
        let mut other = t.clone();
        other.unique = format!("{}u{}", t.unique, users.len());
        let said = Private::refuses_to_start(&other, &setup)?;
        ensure!(said.contains("line 1"), "the line is not named: {said}");
    }
    let (broker, t) = start(&Story { unique: format!("{}r", t.unique), ..t.clone() })?;
    broker.write("acl", bad_rules)?;
    broker.reload("line 2")?;
    let mut observer = t.observer("o", &t.topic("#"))?;
    t.say(&t.topic("b"), "still")?;
    observer.takes("still").map(drop)
}

/// [G04] Reload while connections want all descriptors: some are kept for the server itself, so it
/// counts.
fn g04(t: &Story) -> Done {
    let setup = Setup::new("--allow-anonymous --acl-file {acl}").file("acl", ALL).descriptors(64);
    let broker = Private::start(t, &setup)?;
    let t = broker.story(t);
    let topic = t.topic("a");
    let mut observer = t.observer("o", &topic)?;
    let mut publisher = t.client("p")?;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(t.open()?);
    }
    t.wait(std::time::Duration::from_millis(300));
    broker.write("acl", &format!("{ALL}topic deny {topic}\n"))?;
    broker.reload(LOADED)?;
    publisher.publish(Publish::new(&topic, "never").qos(1))?;
    observer.quiet()
}

/// A broker that permits everything, until its rules are written anew.
fn start(t: &Story) -> Done<(Private, Story)> {
    let setup = Setup::new("--allow-anonymous --acl-file {acl}").file("acl", ALL);
    let broker = Private::start(t, &setup)?;
    let story = broker.story(t);
    Ok((broker, story))
}

/// From now on everything is permitted but this.
fn deny(broker: &Private, topic: &str, what: &str) -> Done {
    // A deny rule denies both, so the right that stays is given to the rest of the tree.
    let (base, name) = topic.rsplit_once('/').unwrap_or_default();
    let others = ["a", "b", "denied", "kept", "open", "queued", "two"];
    let left = if what == "write" { "read" } else { "write" };
    let mut rules = format!("topic {left} #\ntopic readwrite clients/#\n");
    for other in others.iter().filter(|other| **other != name) {
        rules += &format!("topic readwrite {base}/{other}\n");
    }
    broker.write("acl", &rules)?;
    broker.reload(LOADED)
}
