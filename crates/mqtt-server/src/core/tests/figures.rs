//! What `$SYS` counts.

use mqtt_packet::Version;

use super::{
    hello::{hello, persistent},
    world::{Id, World},
};

/// What `$SYS` says now, as a client with the right to read it sees it.
fn figure(world: &mut World, client: Id, name: &str) -> String {
    world.broker.publish_sys(world.now);
    world.run();
    let topic = format!("$SYS/broker/{name}");
    let last = world.messages(client).into_iter().rfind(|message| message.topic == topic);
    last.map(|message| message.payload).unwrap_or_else(|| panic!("no {topic}"))
}

#[test]
fn messages_of_the_server_itself_are_not_received() {
    let mut world = World::new();
    let watcher = world.connect(&hello(Version::V5, "watcher"));
    world.subscribe(watcher, "$SYS/#", 0);
    let publisher = world.connect(&hello(Version::V311, "publisher"));
    for _ in 0..3 {
        world.publish(publisher, "t", "x", 1);
    }
    for _ in 0..2 {
        assert_eq!(figure(&mut world, watcher, "messages/received"), "3");
    }
}

#[test]
fn a_client_is_connected_while_it_has_its_session() {
    let mut world = World::new();
    let watcher = world.connect(&hello(Version::V5, "watcher"));
    world.subscribe(watcher, "$SYS/#", 0);
    let client = world.connect(&persistent(Version::V311, "client"));
    world.open(&hello(Version::V311, "says nothing"));
    assert_eq!(figure(&mut world, watcher, "clients/connected"), "2");
    assert_eq!(figure(&mut world, watcher, "connections/count"), "3");
    let heir = world.connect(&persistent(Version::V311, "client"));
    assert!(!world.is_open(client));
    assert_eq!(figure(&mut world, watcher, "clients/connected"), "2");
    world.cut(heir);
    assert_eq!(figure(&mut world, watcher, "clients/connected"), "1");
    assert_eq!(figure(&mut world, watcher, "clients/total"), "2");
}
