//! What the broker holds when peers would have it hold more than it may.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use crate::harness::Broker;

const MIB: usize = 1024 * 1024;

/// What the brokers of these stories may use.
const LIMIT: usize = 64 * MIB;

/// How long a single answer may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn start() -> Broker {
    Broker::start("--memory-limit 64M")
}

/// What the process holds, without pages of files.
fn held(broker: &Broker) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<usize>().unwrap() * 1024
}

/// A client of 3.1.1 that speaks in bytes.
struct Raw(TcpStream);

impl Raw {
    fn open(broker: &Broker) -> Self {
        let stream = TcpStream::connect(format!("127.0.0.1:{}", broker.port())).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    /// Connects with these flags; what CONNACK said.
    fn connect(broker: &Broker, client_id: &str, flags: u8) -> (Self, u8) {
        let mut this = Self::open(broker);
        let length = u8::try_from(12 + client_id.len()).unwrap();
        let head = [0x10, length, 0, 4, b'M', b'Q', b'T', b'T', 4, flags, 0, 0, 0, length - 12];
        this.say(&[&head[..], client_id.as_bytes()].concat());
        let connack: [u8; 4] = this.read();
        (this, connack[3])
    }

    /// A client with a session that ends with its connection.
    fn clean(broker: &Broker, client_id: &str) -> Self {
        let (this, code) = Self::connect(broker, client_id, 2);
        assert_eq!(code, 0, "{client_id}");
        this
    }

    fn say(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    fn read<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    fn subscribe(&mut self, filter: u8, qos: u8) {
        self.say(&[0x82, 6, 0, 1, 0, 1, filter, qos]);
        assert_eq!(self.read(), [0x90, 3, 0, 1, qos]);
    }

    fn ping(&mut self) {
        self.say(&[0xC0, 0]);
        assert_eq!(self.read(), [0xD0, 0]);
    }
}

/// The head of a PUBLISH with this many bytes behind its topic: 16 KiB to 2 MiB.
fn publish(first: u8, topic: u8, behind: usize) -> Vec<u8> {
    let length = 3 + behind;
    let byte = |shift: usize| u8::try_from(length >> shift & 0x7F).unwrap();
    vec![first, byte(0) | 0x80, byte(7) | 0x80, byte(14), 0, 1, topic]
}

#[test]
fn sessions_that_are_away_do_not_fill_the_memory() {
    let broker = start();
    for topic in b'a'..b'i' {
        let (mut away, code) = Raw::connect(&broker, &char::from(topic).to_string(), 0);
        assert_eq!(code, 0);
        away.subscribe(topic, 1);
        away.say(&[0xE0, 0]);
    }
    let mut bystander = Raw::clean(&broker, "bystander");
    let mut publisher = Raw::clean(&broker, "publisher");
    let mut most = 0;
    for number in 0..200 {
        let topic = b'a' + number % 8;
        publisher.say(&[publish(0x32, topic, 2 + MIB), vec![0, 1], vec![0; MIB]].concat());
        assert_eq!(publisher.read(), [0x40, 2, 0, 1]);
        bystander.ping();
        most = most.max(held(&broker));
    }
    assert!(most < LIMIT, "{most} bytes");
    assert!(most > LIMIT / 2, "{most} bytes: it is not the memory that ended it");
    // Others come in, and who comes back gets what was kept.
    Raw::clean(&broker, "fresh").ping();
    let (mut back, code) = Raw::connect(&broker, "a", 0);
    assert_eq!(code, 0);
    back.0.read_exact(&mut vec![0; MIB]).unwrap();
}

#[test]
fn large_packets_that_never_end_do_not_fill_the_memory() {
    let broker = start();
    let mut bystander = Raw::clean(&broker, "bystander");
    let mut peers = Vec::new();
    let mut most = 0;
    for number in 0..100 {
        let mut peer = Raw::open(&broker);
        peer.0.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
        let connect = [0x10, 14, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, 2, b'p', number];
        // The broker may close while this is said, or before.
        let _ = peer.0.write_all(&connect);
        let _ = peer
            .0
            .write_all(&[publish(0x30, b't', 19 * MIB / 10), vec![0; 18 * MIB / 10]].concat());
        peers.push(peer);
        bystander.ping();
        most = most.max(held(&broker));
    }
    assert!(most < LIMIT, "{most} bytes");
    drop(peers);
    // What the peers held is there for others again.
    let deadline = Instant::now() + PATIENCE;
    while Raw::connect(&broker, "lasting", 0).1 != 0 {
        assert!(Instant::now() < deadline, "lasting sessions are still refused");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn receivers_that_do_not_read_do_not_fill_the_memory() {
    let broker = start();
    let mut bystander = Raw::clean(&broker, "bystander");
    let mut receivers = Vec::new();
    for topic in 0..40 {
        let mut receiver = Raw::clean(&broker, &format!("r{topic}"));
        receiver.subscribe(b'0' + topic, 0);
        receivers.push(receiver);
    }
    let mut publisher = Raw::clean(&broker, "publisher");
    let mut most = 0;
    for number in 0..600_u32 {
        let topic = b'0' + u8::try_from(number % 40).unwrap();
        publisher.say(&[publish(0x30, topic, MIB), vec![0; MIB]].concat());
        publisher.ping();
        bystander.ping();
        most = most.max(held(&broker));
    }
    assert!(most < LIMIT, "{most} bytes");
    Raw::clean(&broker, "fresh").ping();
}
