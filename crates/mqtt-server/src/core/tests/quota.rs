//! More sessions than there may be.

use mqtt_packet::{ReasonCode, Version};

use super::{
    client::Seen,
    hello::{Hello, hello, persistent},
    world::World,
};

/// What CONNACK says to a client that comes and leaves again.
fn visit(world: &mut World, hello: &Hello) -> Option<ReasonCode> {
    let client = world.connect(hello);
    let reason = world.seen(client).into_iter().find_map(|seen| match seen {
        Seen::ConnAck { reason, .. } => Some(reason),
        _ => None,
    });
    if world.is_open(client) {
        world.disconnect(client, ReasonCode::NORMAL_DISCONNECTION);
    }
    reason
}

/// Fills the server with lasting sessions: how many it took.
fn flood(world: &mut World, version: Version) -> usize {
    let taken = |number| {
        visit(world, &persistent(version, &format!("flood {number}"))) == Some(ReasonCode::SUCCESS)
    };
    (0..50).map(taken).filter(|taken| *taken).count()
}

#[test]
fn lasting_sessions_leave_a_part_for_those_that_end() {
    let mut world = World::with(|limits| limits.sessions_max = 20);
    assert_eq!(flood(&mut world, Version::V311), 18);
    let lasting = persistent(Version::V5, "lasting");
    assert_eq!(visit(&mut world, &lasting), Some(ReasonCode::QUOTA_EXCEEDED));
    let clean = [hello(Version::V311, "one"), hello(Version::V5, "two")];
    let open = clean.map(|hello| world.connect(&hello));
    assert!(open.iter().all(|client| world.is_open(*client)));
    let third = hello(Version::V311, "three");
    assert_eq!(visit(&mut world, &third), Some(ReasonCode::SERVER_UNAVAILABLE));
    // Who has a session may have it again.
    let known = persistent(Version::V311, "flood 0");
    assert_eq!(visit(&mut world, &known), Some(ReasonCode::SUCCESS));
    world.disconnect(open[0], ReasonCode::NORMAL_DISCONNECTION);
    assert_eq!(visit(&mut world, &third), Some(ReasonCode::SUCCESS));
}

#[test]
fn a_lasting_session_does_not_slip_in_through_the_part_of_the_others() {
    let mut world = World::with(|limits| limits.sessions_max = 10);
    assert_eq!(flood(&mut world, Version::V5), 9);
    // The same client identifier: first clean, and then it wants to stay.
    let clean = world.connect(&hello(Version::V5, "sly"));
    assert!(world.is_open(clean));
    let sly = persistent(Version::V5, "sly");
    assert_eq!(visit(&mut world, &sly), Some(ReasonCode::QUOTA_EXCEEDED));
}

#[test]
fn the_session_that_was_left_first_and_holds_nothing_goes_first() {
    let mut world = World::with(|limits| {
        limits.sessions_max = 4;
        limits.clean_session_reserve_percent = 0;
        limits.evict_sessions = true;
    });
    let holds = world.connect(&persistent(Version::V311, "holds"));
    world.subscribe(holds, "t", 1);
    world.disconnect(holds, ReasonCode::NORMAL_DISCONNECTION);
    for id in ["first", "second"] {
        assert_eq!(visit(&mut world, &persistent(Version::V5, id)), Some(ReasonCode::SUCCESS));
    }
    let watcher = world.connect(&hello(Version::V5, "watcher"));
    world.publish(watcher, "t", "kept", 1);
    // The first one was there again, so that the second was left before it.
    visit(&mut world, &persistent(Version::V5, "first"));
    assert_eq!(visit(&mut world, &persistent(Version::V5, "new")), Some(ReasonCode::SUCCESS));
    let first = world.connect(&persistent(Version::V5, "first"));
    assert!(world.session_present(first));
    let second = world.connect(&persistent(Version::V5, "second"));
    assert!(!world.session_present(second), "it was the one to go, and another went for it");
    let holds = world.connect(&persistent(Version::V311, "holds"));
    assert!(world.session_present(holds));
    assert_eq!(world.texts(holds), ["kept"]);
    // Everybody is connected: nobody is closed for a newcomer.
    let late = persistent(Version::V5, "late");
    assert_eq!(visit(&mut world, &late), Some(ReasonCode::QUOTA_EXCEEDED));
}

#[test]
fn sessions_on_the_disk_end_for_others_too_also_after_a_restart() {
    let limits = |limits: &mut crate::Limits| {
        limits.sessions_max = 2;
        limits.clean_session_reserve_percent = 0;
        limits.evict_sessions = true;
    };
    let mut world = World::durable_with(limits);
    visit(&mut world, &persistent(Version::V5, "old"));
    world.pass(1000);
    visit(&mut world, &persistent(Version::V5, "young"));
    world.crash();
    assert_eq!(visit(&mut world, &persistent(Version::V5, "new")), Some(ReasonCode::SUCCESS));
    let young = world.connect(&persistent(Version::V5, "young"));
    assert!(world.session_present(young));
}

#[test]
fn the_will_of_a_session_that_ends_for_another_is_published() {
    let mut world = World::with(|limits| {
        limits.sessions_max = 2;
        limits.clean_session_reserve_percent = 0;
        limits.evict_sessions = true;
    });
    let watcher = world.connect(&hello(Version::V5, "watcher"));
    world.subscribe(watcher, "will", 1);
    let leaving = persistent(Version::V5, "leaving").will_to("will", "gone", 1000);
    let leaving = world.connect(&leaving);
    world.cut(leaving);
    assert_eq!(world.texts(watcher), [""; 0]);
    assert_eq!(visit(&mut world, &persistent(Version::V5, "new")), Some(ReasonCode::SUCCESS));
    assert_eq!(world.texts(watcher), ["gone"]);
}

#[test]
fn one_user_has_so_many_sessions() {
    let mut world = World::with(|limits| limits.sessions_per_user_max = Some(2));
    let of = |user, id| persistent(Version::V5, id).user(user);
    assert_eq!(visit(&mut world, &of("alice", "a1")), Some(ReasonCode::SUCCESS));
    assert_eq!(visit(&mut world, &of("alice", "a2")), Some(ReasonCode::SUCCESS));
    assert_eq!(visit(&mut world, &of("alice", "a3")), Some(ReasonCode::QUOTA_EXCEEDED));
    assert_eq!(visit(&mut world, &of("alice", "a1")), Some(ReasonCode::SUCCESS));
    assert_eq!(visit(&mut world, &of("bob", "b1")), Some(ReasonCode::SUCCESS));
    // A session that ends makes room.
    assert_eq!(visit(&mut world, &of("alice", "a1").expiry(0).clean()), Some(ReasonCode::SUCCESS));
    assert_eq!(visit(&mut world, &of("alice", "a3")), Some(ReasonCode::SUCCESS));
}

#[test]
fn a_session_of_3_1_1_is_kept_no_longer_than_the_limit() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut world = World::with(|limits| limits.session_expiry_max_secs = 10);
        visit(&mut world, &persistent(version, "client"));
        world.pass(9_000);
        let back = world.connect(&persistent(version, "client"));
        if version != Version::V31 {
            assert!(world.session_present(back), "{version}");
        }
        world.disconnect(back, ReasonCode::NORMAL_DISCONNECTION);
        world.pass(10_000);
        assert_eq!(world.broker.registry.len(), 0, "{version}");
    }
}
