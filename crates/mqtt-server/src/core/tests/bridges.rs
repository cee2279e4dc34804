//! What bridges of mosquitto count on (D31-02).

use mqtt_packet::{QoS, ReasonCode, Version, Will, WillProperties};

use super::{
    client::Seen,
    hello::{Hello, hello},
    parts::Act,
    world::World,
};

const STATE: &str = "$SYS/broker/connection/bridge/state";

fn bridge(version: Version) -> Hello {
    let will = Will {
        qos: QoS::AtLeastOnce,
        retain: true,
        topic: STATE,
        payload: b"0",
        properties: WillProperties::default(),
    };
    Hello { will: Some(will), is_bridge: !version.is_v5(), ..hello(version, "bridge") }
}

#[test]
fn a_bridge_says_whether_it_is_connected() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut world = World::new();
        let watcher = world.connect(&hello(Version::V5, "watcher"));
        world.subscribe(watcher, "$SYS/#", 0);
        let client = world.connect(&bridge(version));
        assert!(world.is_open(client), "{version}");
        world.retain(client, STATE, "1");
        assert_eq!(world.texts(watcher), ["1"], "{version}");
        world.cut(client);
        assert_eq!(world.texts(watcher), ["0"], "{version}");
        let late = world.connect(&hello(Version::V5, "late"));
        world.subscribe(late, STATE, 0);
        assert_eq!(world.texts(late), ["0"], "{version}");
    }
}

#[test]
fn nobody_speaks_for_another_client_or_the_server_under_sys() {
    let mut world = World::new();
    let watcher = world.connect(&hello(Version::V5, "watcher"));
    world.subscribe(watcher, "$SYS/#", 0);
    let client = world.connect(&hello(Version::V5, "other"));
    for topic in [
        STATE,
        "$SYS/broker/connection/other",
        "$SYS/broker/connection/other/state/x",
        "$SYS/broker/connection//state",
        "$SYS/broker/other/state",
        "$SYS/broker/uptime",
        "$SYS",
    ] {
        world.publish(client, topic, "x", 0);
    }
    assert_eq!(world.texts(watcher), Vec::<String>::new());
    assert_eq!(world.broker.totals().traffic.denied, 7);
    let refused = world.connect(&Hello { id: "other bridge".into(), ..bridge(Version::V311) });
    assert!(!world.is_open(refused));
    // And the rules are asked all the same.
    world.rules.forbid(Act::Publish, STATE);
    let denied = world.connect(&bridge(Version::V5));
    let said = world.seen(denied);
    assert!(
        matches!(said[..], [Seen::ConnAck { reason: ReasonCode::NOT_AUTHORIZED, .. }, ..]),
        "{said:?}"
    );
}

#[test]
fn a_bridge_gets_no_message_back_and_retain_as_it_was_published() {
    for version in [Version::V31, Version::V311] {
        for is_bridge in [true, false] {
            let mut world = World::new();
            let client = world.connect(&Hello { is_bridge, ..bridge(version) });
            let other = world.connect(&hello(Version::V311, "other"));
            world.subscribe(client, "#", 1);
            for qos in 0..=2 {
                world.publish(client, "t", "own", qos);
            }
            world.retain(client, "kept", "own");
            world.retain(other, "kept", "foreign");
            let seen: Vec<_> =
                world.messages(client).into_iter().map(|m| (m.payload, m.retain)).collect();
            let foreign = ("foreign".to_owned(), is_bridge);
            match is_bridge {
                true => assert_eq!(seen, [foreign]),
                false => assert_eq!((seen.len(), seen.last()), (5, Some(&foreign))),
            }
        }
    }
}
