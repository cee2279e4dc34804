//! The floor: what moving the bytes costs on this machine, with nothing of a broker around it.
//!
//! One thread, one epoll. It finds packet boundaries, gathers consecutive publishes of one topic,
//! and copies their bytes to every subscriber of exactly that topic. QoS 0 alone, no wildcards, no
//! retained messages, no checks. A broker cannot be cheaper; how near it comes is the question.

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

use crate::bench::load::{Frame, packet, split_frame, split_string};

const LISTENER: Token = Token(usize::MAX);

/// One read takes at most this many bytes; the longest packet must fit.
const SCRATCH_BYTES: usize = 256 * 1024;

/// Shorter runs are gathered, so that many topics with one subscriber make one write.
const RUN_BYTES_MIN: usize = 4096;

/// Nothing is read from anyone while a subscriber is behind by more than this.
const BEHIND_MAX: usize = 256 * 1024;

/// A subscriber that takes nothing for this long gets no more, and no longer slows the others.
const STUCK_AFTER: Duration = Duration::from_millis(500);

/// Relays until it is killed.
///
/// # Errors
/// Where the port is taken or the poll fails.
pub(crate) fn run(port: u16) -> Result<(), Box<dyn Error>> {
    let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    let poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut relay = Relay {
        poll,
        listener,
        peers: Vec::new(),
        free: Vec::new(),
        subscribers: HashMap::new(),
        ready: Vec::new(),
        behind: Vec::new(),
        gathered: Vec::new(),
        scratch: vec![0; SCRATCH_BYTES],
    };
    let mut events = Events::with_capacity(1024);
    loop {
        relay.turn(&mut events)?;
    }
}

struct Relay {
    poll: Poll,
    listener: TcpListener,
    /// By token; a place is used again when its connection is gone.
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    subscribers: HashMap<Vec<u8>, Vec<usize>>,
    /// Peers that may have something to read.
    ready: Vec<usize>,
    /// Peers that are behind by more than [`BEHIND_MAX`].
    behind: Vec<usize>,
    /// Peers whose outbox was begun since the last read.
    gathered: Vec<usize>,
    scratch: Vec<u8>,
}

struct Peer {
    stream: TcpStream,
    is_v5: bool,
    /// The start of a packet whose end has not come yet.
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    written: usize,
    last_progress: Instant,
    is_stuck: bool,
    topics: Vec<Vec<u8>>,
}

impl Relay {
    fn turn(&mut self, events: &mut Events) -> io::Result<()> {
        let timeout = match (self.behind.is_empty(), self.ready.is_empty()) {
            (true, true) => None,
            (true, false) => Some(Duration::ZERO),
            (false, _) => Some(STUCK_AFTER / 5),
        };
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &*events {
            if event.token() == LISTENER {
                self.accept();
                continue;
            }
            let index = event.token().0;
            if event.is_writable() {
                self.flush(index);
            }
            if event.is_readable() && !self.ready.contains(&index) {
                self.ready.push(index);
            }
        }
        self.settle_behind();
        if self.behind.is_empty() {
            self.read_ready();
        }
        Ok(())
    }

    fn accept(&mut self) {
        while let Ok((mut stream, _)) = self.listener.accept() {
            let index = self.free.pop().unwrap_or(self.peers.len());
            let interest = Interest::READABLE | Interest::WRITABLE;
            let registered = self.poll.registry().register(&mut stream, Token(index), interest);
            if stream.set_nodelay(true).is_err() || registered.is_err() {
                self.free.push(index);
                continue;
            }
            if index == self.peers.len() {
                self.peers.push(None);
            }
            if let Some(place) = self.peers.get_mut(index) {
                *place = Some(Peer::new(stream));
            }
        }
    }

    /// Everyone who is ready is read from once.
    fn read_ready(&mut self) {
        let mut scratch = std::mem::take(&mut self.scratch);
        for index in std::mem::take(&mut self.ready) {
            if self.behind.is_empty() {
                let result = self.read(index, &mut scratch);
                for receiver in std::mem::take(&mut self.gathered) {
                    self.flush(receiver);
                }
                match result {
                    Ok(true) => self.ready.push(index),
                    Ok(false) => {}
                    Err(_) => self.close(index),
                }
            } else {
                self.ready.push(index);
            }
        }
        self.scratch = scratch;
    }

    /// Reads once. Says whether there may be more.
    fn read(&mut self, index: usize, scratch: &mut [u8]) -> io::Result<bool> {
        let Some(peer) = self.peers.get_mut(index).and_then(Option::as_mut) else {
            return Ok(false);
        };
        let kept = peer.inbox.len();
        if let Some(head) = scratch.get_mut(..kept) {
            head.copy_from_slice(&peer.inbox);
        }
        let room = scratch.get_mut(kept..).unwrap_or_default();
        let wanted = room.len();
        let count = match peer.stream.read(room) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(true),
            Err(error) => return Err(error),
        };
        let bytes = scratch.get(..kept + count).unwrap_or_default();
        let rest = self.handle_all(index, bytes)?;
        if let Some(peer) = self.peers.get_mut(index).and_then(Option::as_mut) {
            peer.inbox.clear();
            peer.inbox.extend_from_slice(rest);
        }
        Ok(count == wanted)
    }

    /// Handles every whole packet, consecutive publishes of one topic as one run. Gives back the
    /// bytes of the packet that is not whole.
    fn handle_all<'a>(&mut self, index: usize, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
        let mut rest = bytes;
        let mut run = Run { topic: &[], bytes, length: 0 };
        while let Ok(Some((frame, after))) = split_frame(rest) {
            if frame.first >> 4 == 3 {
                let (topic, _) = split_string(frame.body).ok_or(ErrorKind::InvalidData)?;
                if topic != run.topic {
                    self.relay(&run);
                    run = Run { topic, bytes: rest, length: 0 };
                }
                run.length = run.bytes.len() - after.len();
            } else {
                self.relay(&run);
                run = Run { topic: &[], bytes: after, length: 0 };
                self.handle_other(index, frame)?;
            }
            rest = after;
        }
        self.relay(&run);
        Ok(rest)
    }

    fn handle_other(&mut self, index: usize, frame: Frame<'_>) -> io::Result<()> {
        let Some(peer) = self.peers.get_mut(index).and_then(Option::as_mut) else { return Ok(()) };
        match frame.first >> 4 {
            1 => {
                peer.is_v5 = frame.body.get(6) == Some(&5);
                let body: &[u8] = if peer.is_v5 { &[0, 0, 0] } else { &[0, 0] };
                self.send(index, &packet(0x20, body));
            }
            8 => {
                let answer = peer.subscribe(frame.body).ok_or(ErrorKind::InvalidData)?;
                for topic in peer.topics.iter().rev().take(answer.topics) {
                    self.subscribers.entry(topic.clone()).or_default().push(index);
                }
                self.send(index, &packet(0x90, &answer.body));
            }
            12 => self.send(index, &[0xd0, 0]),
            14 => return Err(ErrorKind::UnexpectedEof.into()),
            _ => {}
        }
        Ok(())
    }

    fn relay(&mut self, run: &Run<'_>) {
        let Some(bytes) = run.bytes.get(..run.length).filter(|bytes| !bytes.is_empty()) else {
            return;
        };
        let Some(subscribers) = self.subscribers.get_mut(run.topic).map(std::mem::take) else {
            return;
        };
        for index in &subscribers {
            self.send(*index, bytes);
        }
        if let Some(place) = self.subscribers.get_mut(run.topic) {
            *place = subscribers;
        }
    }

    /// Writes at once what the socket takes, and keeps the rest.
    fn send(&mut self, index: usize, bytes: &[u8]) {
        let Some(peer) = self.peers.get_mut(index).and_then(Option::as_mut) else { return };
        if peer.is_stuck {
            return;
        }
        let at_once = peer.outbox.is_empty() && bytes.len() >= RUN_BYTES_MIN;
        let written = if at_once { peer.write(bytes) } else { 0 };
        if peer.outbox.is_empty() && written < bytes.len() {
            self.gathered.push(index);
        }
        peer.outbox.extend_from_slice(bytes.get(written..).unwrap_or_default());
        if peer.outbox.len() - peer.written > BEHIND_MAX && !self.behind.contains(&index) {
            self.behind.push(index);
        }
    }

    fn flush(&mut self, index: usize) {
        let Some(peer) = self.peers.get_mut(index).and_then(Option::as_mut) else { return };
        if peer.outbox.is_empty() {
            return;
        }
        let outbox = std::mem::take(&mut peer.outbox);
        peer.written += peer.write(outbox.get(peer.written..).unwrap_or_default());
        peer.outbox = outbox;
        if peer.written == peer.outbox.len() {
            peer.outbox.clear();
            peer.written = 0;
            peer.is_stuck = false;
        }
    }

    /// Lets go of those who have caught up, and of those who never will.
    fn settle_behind(&mut self) {
        let peers = &mut self.peers;
        self.behind.retain(|index| {
            let Some(peer) = peers.get_mut(*index).and_then(Option::as_mut) else { return false };
            peer.is_stuck = peer.last_progress.elapsed() > STUCK_AFTER;
            !peer.is_stuck && peer.outbox.len() - peer.written > BEHIND_MAX
        });
    }

    fn close(&mut self, index: usize) {
        let Some(peer) = self.peers.get_mut(index).and_then(Option::take) else { return };
        for topic in &peer.topics {
            if let Some(subscribers) = self.subscribers.get_mut(topic) {
                subscribers.retain(|subscriber| *subscriber != index);
                if subscribers.is_empty() {
                    self.subscribers.remove(topic);
                }
            }
        }
        self.free.push(index);
    }
}

/// Consecutive publishes to one topic: the first `length` of `bytes`.
struct Run<'a> {
    topic: &'a [u8],
    bytes: &'a [u8],
    length: usize,
}

struct SubscribeAnswer {
    topics: usize,
    body: Vec<u8>,
}

impl Peer {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            is_v5: false,
            inbox: Vec::new(),
            outbox: Vec::new(),
            written: 0,
            last_progress: Instant::now(),
            is_stuck: false,
            topics: Vec::new(),
        }
    }

    /// Notes the topics, and answers with QoS 0 for each. Properties are taken to be empty, which
    /// those of the load are.
    fn subscribe(&mut self, body: &[u8]) -> Option<SubscribeAnswer> {
        let (id, mut rest) = body.split_first_chunk::<2>()?;
        let mut answer = SubscribeAnswer { topics: 0, body: id.to_vec() };
        if self.is_v5 {
            rest = rest.get(1..)?;
            answer.body.push(0);
        }
        while !rest.is_empty() {
            let (topic, after) = split_string(rest)?;
            self.topics.push(topic.to_vec());
            answer.body.push(0);
            answer.topics += 1;
            rest = after.get(1..)?;
        }
        Some(answer)
    }

    /// Writes what the socket takes. A dead socket takes nothing; its reads will tell.
    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        if written > 0 {
            self.last_progress = Instant::now();
        }
        written
    }
}
