//! What is in the golden directories: every kind of record, with and without what is optional.

use std::sync::Arc;

use bytes::Bytes;
use mqtt_packet::{PacketId, QoS, RetainHandling, SubscriptionOptions};
use mqtt_session::{
    Change, FinishedEntry, Progress, QueuePlace, SessionNumber, Settled, StoredMessage,
    StoredSession, StoredSubscription, StoredWill, Wire,
};

/// The sessions that are there at the end.
#[allow(dead_code, reason = "the example that writes the directory does not read it")]
pub(crate) const SESSIONS: [u64; 2] = [1, 2];

/// The groups, as they are committed.
pub(crate) fn groups() -> Vec<Vec<Change>> {
    let mut groups = vec![
        sessions().map(Change::Session).to_vec(),
        subscriptions().map(Change::Subscribe).to_vec(),
        retained(),
        vec![enqueue(2, 1, large()), enqueue(3, 4, large())],
    ];
    groups.extend((1..=40).map(|seq| vec![enqueue(1, seq, small(seq))]));
    groups.push(vec![fan_out(7, 41, 1), fan_out(8, 42, 2)]);
    groups.push(vec![
        progress(),
        received(),
        Change::Unsubscribe { session: SessionNumber(1), filter: "not/any/more".into() },
        Change::Retain { topic: "forgotten".into(), message: None },
        Change::End(SessionNumber(3)),
    ]);
    groups
}

fn sessions() -> [StoredSession; 3] {
    let plain = |number, client_id: &str| StoredSession {
        number: SessionNumber(number),
        client_id: client_id.into(),
        user_name: None,
        expiry_secs: 0,
        parked_at_millis: None,
        will: None,
    };
    let will = StoredWill { message: small(99), expiry_secs: Some(9), delay_secs: 30 };
    let parked = StoredSession {
        user_name: Some("ada".into()),
        expiry_secs: u32::MAX,
        parked_at_millis: Some(1_700_000_000_123),
        will: Some(will),
        ..plain(2, "größe/7")
    };
    [plain(1, "meter"), parked, plain(3, "over")]
}

fn subscriptions() -> [StoredSubscription; 4] {
    let plain = |session, filter: &str| StoredSubscription {
        session: SessionNumber(session),
        filter: filter.into(),
        options: SubscriptionOptions::new(QoS::AtLeastOnce),
        identifier: None,
    };
    let options = SubscriptionOptions {
        qos: QoS::ExactlyOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::Never,
    };
    [
        plain(1, "a/+/b"),
        plain(1, "not/any/more"),
        StoredSubscription { options, identifier: Some(268_435_455), ..plain(2, "$share/g/#") },
        // Longer than what a key holds in full.
        plain(2, &"long/".repeat(500)),
    ]
}

fn retained() -> Vec<Change> {
    let retain = |topic: &str, message| Change::Retain { topic: topic.into(), message };
    let kept = StoredMessage { retain: true, ..small(5) };
    vec![retain("kept", Some(kept)), retain("forgotten", Some(small(6)))]
}

fn small(seq: u64) -> StoredMessage {
    let expires = seq.is_multiple_of(2);
    StoredMessage {
        frames: Bytes::from(format!("packet number {seq} ").repeat(20)),
        wire: if seq.is_multiple_of(3) { Wire::V3 } else { Wire::V5 },
        qos: if expires { QoS::ExactlyOnce } else { QoS::AtLeastOnce },
        retain: false,
        count: 1,
        largest: 400,
        expires_at_millis: expires.then_some(1_800_000_000_000 + seq),
    }
}

/// A message that is kept apart from its entry.
fn large() -> StoredMessage {
    StoredMessage { frames: Bytes::from("large ".repeat(1000)), count: 3, ..small(1) }
}

fn place(session: u64, seq: u64, identifiers: Option<Arc<[u32]>>) -> QueuePlace {
    let granted = QoS::AtLeastOnce;
    QueuePlace { session: SessionNumber(session), seq, granted, retain: seq > 41, identifiers }
}

fn enqueue(session: u64, seq: u64, message: StoredMessage) -> Change {
    Change::Enqueue { message, shared: None, places: vec![place(session, seq, None)] }
}

/// A message for three sessions.
fn fan_out(shared: u64, first: u64, others: u64) -> Change {
    let places = vec![
        place(1, first, Some([1, 70_000].into())),
        place(2, first + 3, None),
        place(3, others, None),
    ];
    Change::Enqueue { message: small(shared), shared: Some(shared), places }
}

fn progress() -> Change {
    let settled = vec![(7, Settled::Released), (9, Settled::Done)];
    Change::Progress {
        session: SessionNumber(1),
        progress: Progress { head: 3, sent: 12, settled },
        finished: [1, 2].map(|seq| FinishedEntry { seq, shared: None }).to_vec(),
    }
}

fn received() -> Change {
    let ids = [1, 300, u16::MAX].into_iter().filter_map(PacketId::new).collect();
    Change::Received { session: SessionNumber(2), ids }
}
