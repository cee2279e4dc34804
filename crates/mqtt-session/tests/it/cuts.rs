//! A wire that is cut again and again, at any byte.

use mqtt_packet::{QoS, Version};
use proptest::{collection::vec, prelude::*, sample::select};

use crate::pair::{Pair, persistent};

/// Messages that both sides publish at the beginning of a connection, and after how many bytes it
/// is cut.
#[derive(Clone, Debug)]
struct Connection {
    up: Vec<QoS>,
    down: Vec<QoS>,
    bytes: usize,
}

fn connections() -> impl Strategy<Value = Vec<Connection>> {
    let qos = || select(vec![QoS::AtLeastOnce, QoS::ExactlyOnce]);
    let connection = (vec(qos(), 0..6), vec(qos(), 0..6), 1..250_usize)
        .prop_map(|(up, down, bytes)| Connection { up, down, bytes });
    vec(connection, 1..12)
}

fn versions() -> impl Strategy<Value = Version> {
    select(Version::ALL.to_vec())
}

proptest! {
    #[test]
    fn qos_2_arrives_exactly_once_and_qos_1_at_least_once_in_order(
        version in versions(),
        window in 1..4_u16,
        connections in connections(),
    ) {
        let mut story = Story::new(version, window);
        for connection in connections {
            story.connection(&connection);
        }
        story.finish();
        story.check()?;
    }
}

/// What was published, and the pair that it went through.
struct Story {
    pair: Pair,
    up: Vec<(QoS, String)>,
    down: Vec<(QoS, String)>,
}

impl Story {
    fn new(version: Version, window: u16) -> Self {
        let mut pair = persistent(version);
        pair.cut();
        pair.server_config.receive_maximum = window;
        pair.server_config.send_window_max = window;
        pair.client_config.send_window_max = window;
        Self { pair, up: Vec::new(), down: Vec::new() }
    }

    fn connection(&mut self, connection: &Connection) {
        self.pair.bytes_left = connection.bytes;
        self.pair.connect();
        self.publish(connection);
        self.pair.run();
        if self.pair.client.is_open() || self.pair.server.is_open() {
            self.pair.cut();
        }
        self.pair.assert_balanced();
    }

    fn publish(&mut self, connection: &Connection) {
        for qos in &connection.down {
            let payload = format!("down {}", self.down.len());
            self.pair.deliver(*qos, &payload);
            self.down.push((*qos, payload));
        }
        // A client publishes only while it is connected.
        if !self.pair.client.is_open() {
            return;
        }
        for qos in &connection.up {
            let payload = format!("up {}", self.up.len());
            self.pair.publish(*qos, &payload);
            self.up.push((*qos, payload));
        }
    }

    fn finish(&mut self) {
        self.pair.connect();
        self.pair.assert_balanced();
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let pair = &self.pair;
        prop_assert_eq!((pair.client_failure(), pair.server_failure()), (None, None));
        prop_assert_eq!(pair.client.held().messages, 0);
        prop_assert_eq!(pair.server.held().messages, 0);
        for (sent, got) in
            [(&self.up, pair.texts_at_server()), (&self.down, pair.texts_at_client())]
        {
            for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
                let sent: Vec<_> =
                    sent.iter().filter(|(q, _)| *q == qos).map(|(_, text)| text).collect();
                let got: Vec<_> = got.iter().filter(|text| sent.contains(text)).collect();
                if qos == QoS::ExactlyOnce {
                    prop_assert_eq!(&got, &sent);
                }
                prop_assert_eq!(first_times(&got), sent);
            }
        }
        // Each message was answered exactly once, whatever happened to the wire.
        prop_assert_eq!(pair.answered().len(), self.up.len());
        Ok(())
    }
}

fn first_times<'a>(got: &[&'a String]) -> Vec<&'a String> {
    let mut seen = Vec::new();
    for text in got {
        if !seen.contains(text) {
            seen.push(*text);
        }
    }
    seen
}
