#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "helpers of tests may fail loudly"
)]

use bytes::Bytes;
use mqtt_packet::{PacketId, QoS, RetainHandling, SubscriptionOptions};
use mqtt_session::{
    Progress, QueuePlace, SessionNumber, Settled, StoredMessage, StoredSession, StoredSubscription,
    StoredWill, Wire,
};
use proptest::{collection::vec, option, prelude::*};

use super::*;

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

prop_compose! {
    fn message()(
        frames in vec(any::<u8>(), 0..200),
        wire in prop_oneof![Just(Wire::V3), Just(Wire::V5)],
        qos in qos(),
        retain in any::<bool>(),
        count in 1..=u32::MAX,
        largest in any::<u32>(),
        expires_at_millis in option::of(any::<u64>()),
    ) -> StoredMessage {
        let frames = Bytes::from(frames);
        StoredMessage { frames, wire, qos, retain, count, largest, expires_at_millis }
    }
}

prop_compose! {
    fn will()(
        message in message(),
        expiry_secs in option::of(any::<u32>()),
        delay_secs in any::<u32>(),
    ) -> StoredWill {
        StoredWill { message, expiry_secs, delay_secs }
    }
}

prop_compose! {
    fn session()(
        client_id in ".{0,30}",
        user_name in option::of(".{0,30}"),
        expiry_secs in any::<u32>(),
        parked_at_millis in option::of(any::<u64>()),
        will in option::of(will()),
    ) -> StoredSession {
        StoredSession {
            number: SessionNumber(5),
            client_id: client_id.into(),
            user_name: user_name.map(Into::into),
            expiry_secs,
            parked_at_millis,
            will,
        }
    }
}

prop_compose! {
    fn subscription()(
        filter in ".{0,30}",
        qos in qos(),
        [no_local, retain_as_published] in any::<[bool; 2]>(),
        retain_handling in prop_oneof![
            Just(RetainHandling::OnSubscribe),
            Just(RetainHandling::OnNewSubscription),
            Just(RetainHandling::Never),
        ],
        identifier in option::of(any::<u32>()),
    ) -> StoredSubscription {
        let options = SubscriptionOptions { qos, no_local, retain_as_published, retain_handling };
        StoredSubscription { session: SessionNumber(5), filter: filter.into(), options, identifier }
    }
}

prop_compose! {
    fn progress()(
        head in any::<u64>(),
        sent in any::<u64>(),
        settled in vec((any::<u64>(), any::<bool>()), 0..9),
    ) -> Progress {
        let settled = settled.into_iter().map(|(seq, done)| {
            (seq, if done { Settled::Done } else { Settled::Released })
        });
        Progress { head, sent, settled: settled.collect() }
    }
}

prop_compose! {
    fn place()(
        granted in qos(),
        retain in any::<bool>(),
        identifiers in option::of(vec(any::<u32>(), 0..5)),
    ) -> QueuePlace {
        let identifiers = identifiers.map(Into::into);
        QueuePlace { session: SessionNumber(5), seq: 6, granted, retain, identifiers }
    }
}

/// What `encode` makes of a value, with bytes in the buffer before.
fn record(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![0xff; 3];
    encode(&mut out);
    out
}

/// A part of a record that ends with itself is no record, and neither is one with something behind.
fn refuses_other_lengths<T>(record: &[u8], decode: impl Fn(&[u8]) -> Option<T>) {
    for len in 0..record.len() {
        assert!(decode(&record[..len]).is_none(), "{len} bytes of {record:?}");
    }
    let longer = [record, &[0]].concat();
    assert!(decode(&longer).is_none(), "{longer:?}");
}

proptest! {
    #[test]
    fn a_message_comes_back(message in message(), topic in ".{1,30}") {
        let plain = record(|out| encode_message(out, &message));
        prop_assert_eq!(decode_message(&plain), Some(message.clone()));
        let retained = record(|out| encode_retained(out, &topic, &message));
        prop_assert_eq!(decode_retained(&retained), Some((topic.into(), message)));
    }

    #[test]
    fn a_session_comes_back(session in session()) {
        let record = record(|out| encode_session(out, &session));
        prop_assert_eq!(decode_session(session.number, &record), Some(session));
        refuses_other_lengths(&record, |record| decode_session(SessionNumber(5), record));
    }

    #[test]
    fn a_subscription_comes_back(subscription in subscription()) {
        let record = record(|out| encode_subscription(out, &subscription));
        prop_assert_eq!(decode_subscription(SessionNumber(5), &record), Some(subscription));
        refuses_other_lengths(&record, |record| decode_subscription(SessionNumber(5), record));
    }

    #[test]
    fn progress_comes_back(progress in progress()) {
        let record = record(|out| encode_progress(out, &progress));
        prop_assert_eq!(decode_progress(&record), Some(progress));
        refuses_other_lengths(&record, decode_progress);
    }

    #[test]
    fn received_identifiers_come_back(ids in vec(1..=u16::MAX, 0..9)) {
        let ids: Vec<_> = ids.into_iter().filter_map(PacketId::new).collect();
        let record = record(|out| encode_received(out, &ids));
        prop_assert_eq!(decode_received(&record), Some(ids));
        refuses_other_lengths(&record, decode_received);
    }

    #[test]
    fn an_entry_comes_back(place in place(), message in message(), shared in any::<u64>()) {
        let inline = record(|out| encode_entry(out, &place, &Body::Inline(&message)));
        let entry = Entry::decode(&inline).unwrap();
        prop_assert_eq!(entry.place(place.session, place.seq), Some(place.clone()));
        prop_assert_eq!((entry.count, entry.bytes), (message.count, message.frames.len() as u64));
        prop_assert_eq!(entry.kept.inline(), Some(message.clone()));

        for (body, number) in [
            (Body::Shared(shared, &message), Some(shared)),
            (Body::Apart(&message), None),
        ] {
            let record = record(|out| encode_entry(out, &place, &body));
            let entry = Entry::decode(&record).unwrap();
            prop_assert_eq!(entry.place(place.session, place.seq), Some(place.clone()));
            prop_assert_eq!(entry.count, message.count);
            prop_assert_eq!(entry.bytes, message.frames.len() as u64);
            prop_assert_eq!(entry.shared(), number);
            prop_assert_eq!(entry.kept.inline(), None);
            refuses_other_lengths(&record, |record| Entry::decode(record).map(|_| ()));
        }
    }

    #[test]
    fn a_mark_comes_back(number in any::<u64>(), after in any::<u64>(), synced in any::<u64>()) {
        let mark = GroupMark { number, after, synced };
        prop_assert_eq!(GroupMark::decode(&mark.encode()), Some(mark));
        refuses_other_lengths(&mark.encode(), GroupMark::decode);
    }

    /// Whatever is decoded is encoded to something that decodes to the same.
    #[test]
    fn garbage_is_refused_or_means_something(mut garbage in vec(any::<u8>(), 0..60)) {
        if let Some(first) = garbage.first_mut() {
            *first = *first % 2 + 1;
        }
        let number = SessionNumber(5);
        if let Some(session) = decode_session(number, &garbage) {
            let again = record(|out| encode_session(out, &session));
            prop_assert_eq!(decode_session(number, &again), Some(session));
        }
        if let Some(message) = decode_message(&garbage) {
            let again = record(|out| encode_message(out, &message));
            prop_assert_eq!(decode_message(&again), Some(message));
        }
        if let Some(progress) = decode_progress(&garbage) {
            let again = record(|out| encode_progress(out, &progress));
            prop_assert_eq!(decode_progress(&again), Some(progress));
        }
        if let Some(subscription) = decode_subscription(number, &garbage) {
            let again = record(|out| encode_subscription(out, &subscription));
            prop_assert_eq!(decode_subscription(number, &again), Some(subscription));
        }
        if let Some(ids) = decode_received(&garbage) {
            let again = record(|out| encode_received(out, &ids));
            prop_assert_eq!(decode_received(&again), Some(ids));
        }
        if let Some(entry) = Entry::decode(&garbage) {
            let _ = (entry.place(number, 6), entry.kept.inline());
            prop_assert_ne!(entry.count, 0);
        }
    }
}

#[test]
fn another_version_is_refused() {
    let mut record = record(|out| encode_progress(out, &Progress::default()));
    assert!(decode_progress(&record).is_some());
    record[0] = 2;
    assert!(decode_progress(&record).is_none());
}

#[test]
fn a_length_that_is_claimed_takes_no_memory() {
    let huge = [1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    assert_eq!(decode_received(&huge), None);
    let too_large = [1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
    assert_eq!(decode_received(&too_large), None);
}
