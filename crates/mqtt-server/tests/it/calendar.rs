//! A calendar that is wrong, and is set: no deadline moves with it, neither while a server runs nor
//! for the next one.
//!
//! What differs is what the store was told of the clocks; how the machine ran is read where the
//! server reads it.
#![cfg(target_os = "linux")]

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use mqtt_packet::{Connect, ConnectProperties, Packet, Publish, PublishProperties, QoS, Version};
use mqtt_session::{BootMark, ClockMark, MemoryStore, SessionStore};
use rustix::time::{ClockId, clock_gettime};

use crate::harness::{Broker, Peer, builder, persistent};

const DAY_SECS: u32 = 86_400;
const DAY_MILLIS: u64 = 86_400_000;

fn calendar() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(now.as_millis()).unwrap()
}

/// The machine, so many milliseconds ago.
fn boot(ago: u64) -> BootMark {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let id = u128::from_str_radix(&id.trim().replace('-', ""), 16).unwrap();
    let time = clock_gettime(ClockId::Boottime);
    let millis = u64::try_from(time.tv_sec * 1000 + time.tv_nsec / 1_000_000).unwrap();
    BootMark { id: id.to_be_bytes(), millis: millis - ago }
}

/// A store whose time is that of a calendar that was wrong when it was made.
fn with_calendar(calendar_millis: u64) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::default());
    let boot = Some(boot(0));
    store.note_clock(ClockMark { stored_millis: calendar_millis, calendar_millis, boot });
    store
}

async fn start(store: &Arc<MemoryStore>) -> Broker {
    Broker::start(builder(|_| {}).sessions(store.clone())).await
}

fn for_a_day(client_id: &str) -> Connect<'_> {
    let mut connect = persistent(Version::V5, client_id);
    connect.properties =
        ConnectProperties { session_expiry_interval: Some(DAY_SECS), ..connect.properties };
    connect
}

async fn publish(publisher: &mut Peer, payload: &[u8], expiry_secs: u32) {
    let properties = PublishProperties {
        message_expiry_interval: Some(expiry_secs),
        ..PublishProperties::default()
    };
    let packet_id = publisher.next_id();
    let delivery = mqtt_packet::Delivery::AtLeastOnce(packet_id);
    let publish = Publish { dup: false, delivery, retain: false, topic: "t", properties, payload };
    publisher.send(&Packet::Publish(publish)).await;
    publisher.expect_next().await;
}

/// A session for a day, with messages that expire in three seconds and in a day.
async fn run_once(store: &Arc<MemoryStore>) {
    let broker = start(store).await;
    let mut subscriber = Peer::connect(&broker, &for_a_day("subscriber")).await;
    subscriber.subscribe("t", QoS::AtLeastOnce).await;
    drop(subscriber);
    broker.until_connections(0).await;
    let mut publisher = Peer::simple(&broker, Version::V5, "publisher").await;
    publish(&mut publisher, b"short", 3).await;
    publish(&mut publisher, b"long", DAY_SECS).await;
    drop(publisher);
    broker.stop().await;
}

/// What the next server has for the session: whether it is there, and its messages with what is left
/// of their intervals.
async fn found(store: &Arc<MemoryStore>) -> (bool, Vec<(String, u32)>) {
    let broker = start(store).await;
    let mut subscriber = Peer::connect(&broker, &for_a_day("subscriber")).await;
    let is_there = subscriber.session_present;
    let mut messages = Vec::new();
    while is_there && messages.last().is_none_or(|(text, _)| text != "long") {
        let raw = subscriber.expect_next().await;
        if let Packet::Publish(publish) = raw.packet() {
            let text = String::from_utf8_lossy(publish.payload).into_owned();
            messages.push((text, publish.properties.message_expiry_interval.unwrap()));
        }
    }
    broker.stop().await;
    (is_there, messages)
}

/// Changes what the store knows of the clocks, as if time had passed.
fn pass(store: &MemoryStore, change: impl FnOnce(&mut ClockMark)) {
    let mut mark = store.clock().unwrap();
    change(&mut mark);
    store.note_clock(mark);
}

fn expect_long_alone((is_there, messages): (bool, Vec<(String, u32)>), left: [u32; 2]) {
    assert!(is_there, "the session is gone");
    let [(text, secs)] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!(text, "long");
    assert!((left[0]..=left[1]).contains(secs), "{secs} s are left");
}

#[tokio::test]
async fn a_session_lives_on_when_the_calendar_is_set_from_1970_to_today() {
    let store = with_calendar(1000);
    run_once(&store).await;
    let (is_there, messages) = found(&store).await;
    assert!(is_there, "the session is gone");
    assert!(messages.iter().all(|(_, secs)| *secs <= DAY_SECS), "{messages:?}");
    assert_eq!(messages.last().unwrap().0, "long");
}

#[tokio::test]
async fn a_message_expires_by_the_time_that_passed_when_the_calendar_was_two_days_ahead() {
    let store = with_calendar(calendar() + 2 * DAY_MILLIS);
    run_once(&store).await;
    // Ten minutes without a server.
    pass(&store, |mark| mark.boot = Some(boot(600_000)));
    let day = DAY_SECS - 600;
    expect_long_alone(found(&store).await, [day - 60, day]);
}

#[tokio::test]
async fn without_a_server_the_machine_counts_and_not_the_calendar() {
    for set_by in [-40_i64, 40] {
        let store = with_calendar(calendar());
        run_once(&store).await;
        pass(&store, |mark| {
            mark.boot = Some(boot(600_000));
            let days = set_by * i64::try_from(DAY_MILLIS).unwrap();
            mark.calendar_millis = mark.calendar_millis.saturating_add_signed(days);
        });
        let day = DAY_SECS - 600;
        expect_long_alone(found(&store).await, [day - 60, day]);
    }
}

#[tokio::test]
async fn after_another_start_of_the_machine_the_calendar_counts_but_never_back() {
    // Ten minutes, in which the machine was started anew.
    let store = with_calendar(calendar());
    run_once(&store).await;
    pass(&store, |mark| {
        mark.boot = Some(BootMark { id: [1; 16], millis: 5 });
        mark.calendar_millis -= 600_000;
    });
    let day = DAY_SECS - 600;
    expect_long_alone(found(&store).await, [day - 60, day]);

    // A machine that has no clock of its own begins long ago.
    let store = with_calendar(calendar());
    run_once(&store).await;
    pass(&store, |mark| {
        mark.boot = Some(BootMark { id: [1; 16], millis: 5 });
        mark.calendar_millis += 900 * DAY_MILLIS;
    });
    let (is_there, messages) = found(&store).await;
    assert!(is_there, "the session is gone");
    assert!(messages.iter().all(|(_, secs)| *secs <= DAY_SECS), "{messages:?}");
}
