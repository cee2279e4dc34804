//! Sessions that go into a store and come back.

use mqtt_packet::{QoS, SubscriptionOptions, Version};
use mqtt_session::{MemoryStore, Session, SessionRecord, SessionStore, StoredSubscription};

use crate::pair::{Pair, message, persistent};

/// Puts the server's half of the session into a store, and takes it out again.
fn through_the_store(pair: &mut Pair) {
    let session = pair.server_session.take().unwrap();
    let store = MemoryStore::default();
    let record = SessionRecord {
        client_id: "client".into(),
        user_name: None,
        expires_in_secs: 60,
        subscriptions: vec![StoredSubscription {
            filter: "a/#".into(),
            options: SubscriptionOptions::new(QoS::AtLeastOnce),
            identifier: Some(7),
        }],
        in_flight: session.in_flight().collect(),
        queue: session.pending().collect(),
        awaiting_release: session.awaiting_release().collect(),
        will: None,
    };
    store.save(record).unwrap();
    let [record] = <[SessionRecord; 1]>::try_from(store.load().unwrap()).unwrap();
    assert_eq!(record.subscriptions[0].identifier, Some(7));
    pair.server_session = Some(Session::restore(record.in_flight, record.awaiting_release));
    // What waited goes back into the queue, in front of what came since.
    for delivery in record.queue {
        pair.inbox.push(delivery, pair.now);
    }
    store.remove("client").unwrap();
    assert!(store.load().unwrap().is_empty());
}

#[test]
fn a_restored_session_goes_on_where_it_stopped() {
    let mut pair = persistent(Version::V5);
    pair.client_acknowledges = false;
    pair.deliver(QoS::AtLeastOnce, "1");
    pair.deliver(QoS::ExactlyOnce, "2");
    pair.publish(QoS::ExactlyOnce, "up");
    // The PUBCOMP for the publish from the client does not come through.
    pair.run();
    pair.cut();
    through_the_store(&mut pair);
    pair.client_acknowledges = true;
    pair.connect();
    // QoS 1 comes twice, QoS 2 was handed on already and is only completed.
    assert_eq!(pair.texts_at_client(), ["1", "2", "1"]);
    assert_eq!(pair.server.held().messages, 0);
    assert_eq!(pair.texts_at_server(), ["up"]);
}

#[test]
fn received_qos_2_identifiers_survive() {
    let mut pair = persistent(Version::V5);
    pair.publish(QoS::ExactlyOnce, "once");
    // The PUBLISH goes through, and nothing of PUBREC.
    pair.bytes_left = 2 + 2 + 2 + 2 + 1 + 4;
    pair.run();
    assert_eq!(pair.texts_at_server(), ["once"]);
    through_the_store(&mut pair);
    pair.connect();
    assert_eq!(pair.texts_at_server(), ["once"]);
    assert_eq!(pair.client.held().messages, 0);
}

#[test]
fn what_waited_for_the_window_is_in_the_record() {
    let mut pair = persistent(Version::V5);
    pair.cut();
    pair.options.receive_maximum = 1;
    pair.connect();
    pair.client_acknowledges = false;
    for number in 0..3 {
        pair.deliver(QoS::AtLeastOnce, &number.to_string());
    }
    pair.run();
    pair.cut();
    let session = pair.server_session.as_ref().unwrap();
    assert_eq!((session.in_flight().count(), session.pending().count()), (1, 2));
    through_the_store(&mut pair);
    pair.client_acknowledges = true;
    pair.connect();
    assert_eq!(pair.texts_at_client(), ["0", "0", "1", "2"]);
}

#[test]
fn an_expiry_survives() {
    let mut pair = persistent(Version::V5);
    pair.client_acknowledges = false;
    let expires = pair.now.after_secs(100);
    pair.deliver_run(message("a", "x", QoS::AtLeastOnce).with_expiry(Some(expires)));
    pair.run();
    pair.cut();
    let kept = pair.server_session.as_ref().unwrap().in_flight().next().unwrap();
    assert_eq!(kept.message.unwrap().run.expires_at(), Some(expires));
}
