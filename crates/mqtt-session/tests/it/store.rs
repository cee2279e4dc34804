//! Sessions whose queue is kept on a disk.

use std::{collections::VecDeque, num::NonZeroU64};

use mqtt_packet::{PacketId, QoS, Version};
use mqtt_session::{Delivery, Gate, Progress, Session, Settled};

use crate::pair::{Pair, message, persistent};

/// The queue of the server's session, and the number that its next message gets.
struct Disk {
    entries: VecDeque<Delivery>,
    next: u64,
}

impl Disk {
    fn new() -> Self {
        Self { entries: VecDeque::new(), next: 1 }
    }

    fn put(&mut self, qos: QoS, text: &str) {
        self.entries.push_back(Delivery {
            run: message("a", text, qos),
            granted: QoS::ExactlyOnce,
            retain: false,
            identifiers: None,
            mark: 0,
            seq: NonZeroU64::new(self.next),
        });
        self.next += 1;
    }

    /// The server finds what the disk holds, and connects.
    fn resume(&self, pair: &mut Pair, progress: Progress) {
        let mut session = Session::default();
        session.continue_from(progress);
        pair.server_session = Some(session);
        pair.gate = Gate::Closed;
        pair.connect();
        for delivery in &self.entries {
            pair.server.deliver(delivery.clone(), pair.now);
        }
        pair.run();
    }
}

fn progress(head: u64, sent: u64, settled: &[(u64, Settled)]) -> Progress {
    Progress { head, sent, settled: settled.to_vec() }
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

/// A client that has met the server before.
fn client() -> Pair {
    let mut pair = persistent(Version::V5);
    pair.cut();
    pair
}

#[test]
fn what_was_sent_goes_out_again_as_a_duplicate_with_its_old_identifier() {
    let mut pair = client();
    let mut disk = Disk::new();
    for text in ["1", "2", "3", "4"] {
        disk.put(QoS::AtLeastOnce, text);
    }
    pair.client_acknowledges = false;
    // 1 is finished, 3 was finished before 2; 4 was never sent.
    disk.resume(&mut pair, progress(2, 4, &[(3, Settled::Done)]));
    let came: Vec<_> =
        pair.at_client.iter().map(|message| (message.dup, message.packet_id)).collect();
    assert_eq!(came, [(true, Some(2)), (false, Some(4))]);
    assert_eq!(pair.texts_at_client(), ["2", "4"]);
    assert_eq!(pair.server.held().messages, 2);
    assert_eq!(pair.server.take_progress().unwrap(), progress(2, 5, &[(3, Settled::Done)]));
}

#[test]
fn a_released_message_is_only_released_again() {
    let mut pair = client();
    let mut disk = Disk::new();
    disk.put(QoS::ExactlyOnce, "1");
    disk.put(QoS::ExactlyOnce, "2");
    disk.resume(&mut pair, progress(1, 3, &[(1, Settled::Released)]));
    assert_eq!(pair.texts_at_client(), ["2"]);
    // Both PUBRELs wait for the disk; then the client completes them.
    let gated = pair.server.take_gated();
    assert_eq!(gated[..], [0x62, 2, 0, 1, 0x62, 2, 0, 2]);
    assert_eq!(pair.server.held().messages, 2);
    pair.server.send_gated(gated);
    pair.run();
    assert_eq!(pair.server.held().messages, 0);
    assert_eq!(pair.server.take_progress().unwrap(), progress(3, 3, &[]));
}

#[test]
fn what_was_not_loaded_again_is_not_forgotten() {
    let mut pair = client();
    let settled = [(3, Settled::Done), (5, Settled::Released)];
    Disk::new().resume(&mut pair, progress(2, 7, &settled));
    pair.cut();
    let session = pair.server_session.take().unwrap();
    assert_eq!(session.progress(), progress(2, 7, &settled));
}

#[test]
fn a_message_that_expired_before_it_was_sent_leaves_its_identifier_unused() {
    let mut pair = client();
    let mut disk = Disk::new();
    for text in ["1", "2", "3"] {
        disk.put(QoS::AtLeastOnce, text);
    }
    for entry in disk.entries.iter_mut().take(2) {
        entry.run = entry.run.clone().with_expiry(Some(pair.now));
    }
    pair.client_acknowledges = false;
    // 1 was sent before, so it does not expire any more.
    disk.resume(&mut pair, progress(1, 2, &[]));
    let ids: Vec<_> = pair.at_client.iter().map(|message| message.packet_id).collect();
    assert_eq!(ids, [Some(1), Some(3)]);
    assert_eq!(pair.server.take_progress().unwrap(), progress(1, 4, &[(2, Settled::Done)]));
}

#[test]
fn received_identifiers_survive() {
    let mut pair = client();
    let mut session = Session::default();
    session.restore_received([id(1), id(64), id(65_535)]);
    let received: Vec<_> = session.awaiting_release().collect();
    assert_eq!(received, [id(1), id(64), id(65_535)]);
    pair.server_session = Some(session);
    pair.connect();
    // The client's first message has an identifier that the server knows.
    pair.publish(QoS::ExactlyOnce, "again");
    pair.run();
    assert_eq!(pair.texts_at_server(), Vec::<String>::new());
}

#[test]
fn a_change_of_what_was_received_is_told_once() {
    let mut pair = client();
    pair.gate = Gate::Closed;
    pair.connect();
    pair.publish(QoS::ExactlyOnce, "1");
    pair.run();
    assert_eq!(pair.texts_at_server(), ["1"]);
    // PUBCOMP waits for the disk.
    assert_eq!(pair.client.held().messages, 1);
    assert_eq!(pair.server.take_received(), Some(vec![]));
    assert_eq!(pair.server.take_received(), None);
    let gated = pair.server.take_gated();
    assert_eq!(gated[..], [0x70, 2, 0, 1]);
    pair.server.send_gated(gated);
    pair.run();
    assert_eq!(pair.client.held().messages, 0);
}
