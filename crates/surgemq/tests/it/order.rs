//! What was readable first is worked off first, also on different connections.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::harness::Broker;

/// One for each topic of two letters from a to j.
const TRIES: usize = 100;

/// A connected 3.1.1 client.
fn connect(broker: &Broker, id: u8) -> TcpStream {
    let mut client =
        TcpStream::connect(format!("127.0.0.1:{}", broker.port())).expect("it listens");
    client.set_nodelay(true).expect("a socket");
    client.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket");
    client
        .write_all(&[b"\x10\x0D\0\x04MQTT\x04\x02\0\0\0\x01", &[id][..]].concat())
        .expect("the broker reads");
    assert_eq!(read(&mut client, 4), [0x20, 2, 0, 0]);
    client
}

fn read(client: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    client.read_exact(&mut bytes).expect("the broker answers");
    bytes
}

/// Whether a message that was written behind a SUBSCRIBE on another connection came before it.
fn overtakes(subscriber: &mut TcpStream, publisher: &mut TcpStream, topic: [u8; 2]) -> bool {
    let subscribe = [b"\x82\x07\0\x01\0\x02", &topic[..], &[0]].concat();
    let publish = [b"\x30\x05\0\x02", &topic[..], b"x"].concat();
    subscriber.write_all(&subscribe).expect("the broker reads");
    publisher.write_all(&publish).expect("the broker reads");
    // Answered behind the message by the one, and behind its delivery by the other.
    publisher.write_all(&[0xC0, 0]).expect("the broker reads");
    assert_eq!(read(publisher, 2), [0xD0, 0]);
    subscriber.write_all(&[0xC0, 0]).expect("the broker reads");
    assert_eq!(read(subscriber, 5), [0x90, 3, 0, 1, 0]);
    let is_overtaken = read(subscriber, 1) == [0xD0];
    read(subscriber, if is_overtaken { 1 } else { publish.len() - 1 + 2 });
    is_overtaken
}

#[test]
fn a_message_does_not_overtake_a_subscription_that_was_written_before() {
    let broker = Broker::start("--worker-threads 1");
    let (mut subscriber, mut publisher) = (connect(&broker, b's'), connect(&broker, b'p'));
    let letters = b'a'..=b'j';
    let topics = letters.clone().flat_map(|one| letters.clone().map(move |two| [one, two]));
    let overtaken =
        topics.filter(|topic| overtakes(&mut subscriber, &mut publisher, *topic)).count();
    // The kernel itself may hand one over late where it is busy.
    assert!(overtaken <= TRIES / 20, "{overtaken} of {TRIES}");
}
