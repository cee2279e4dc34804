//! The client that does nothing wrong: what it notices of the attacks.
//!
//! It publishes ten times a second at QoS 0 and at QoS 1, receives both through a session that
//! outlives its connection, pings, and now and then logs in anew from another address.

use std::{
    collections::BTreeSet,
    io,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use mqtt_packet::{PacketId, QoS, ReasonCode};

use crate::{
    broker::CONTROL,
    peer::{Heard, Hello, PATIENCE, Peer},
};

/// Where the control client is; nobody attacks from there.
const HOME: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);

/// Ten times a second.
const BEAT: Duration = Duration::from_millis(100);

/// How often somebody logs in.
const LOGIN_INTERVAL: Duration = Duration::from_secs(2);

/// What the control client has noticed.
#[derive(Default)]
pub(crate) struct Noticed {
    /// From PUBLISH to delivery, at QoS 0 and at QoS 1.
    pub(crate) deliveries: [Times; 2],
    /// From PINGREQ to PINGRESP.
    pub(crate) pings: Times,
    /// From the first byte to CONNACK.
    pub(crate) logins: Times,
    /// Logins that did not succeed.
    pub(crate) failed_logins: AtomicU64,
    /// Connections that ended.
    pub(crate) cut: AtomicU64,
    /// QoS 1 messages that the broker refused, as it may while it has no room.
    pub(crate) refused: AtomicU64,
    /// Numbers of the messages that are on their way, by QoS.
    open: [Mutex<BTreeSet<u64>>; 2],
}

/// Times that were measured.
#[derive(Default)]
pub(crate) struct Times(Mutex<Vec<Duration>>);

impl Times {
    fn note(&self, time: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(time);
    }

    /// How many there are, their 99th percentile and the longest.
    pub(crate) fn summary(&self) -> (usize, Duration, Duration) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.sort_unstable();
        let at = |place: usize| times.get(place).copied().unwrap_or_default();
        (times.len(), at(times.len() * 99 / 100), at(times.len().saturating_sub(1)))
    }
}

impl Noticed {
    /// Messages that were published and have not come back, at QoS 0 and 1.
    pub(crate) fn missing(&self) -> [usize; 2] {
        [0, 1].map(|qos| self.lock(qos).map_or(0, |open| open.len()))
    }

    fn lock(&self, qos: usize) -> Option<std::sync::MutexGuard<'_, BTreeSet<u64>>> {
        self.open.get(qos).map(|open| open.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The control client at work; it ends when it is told to.
pub(crate) struct Control {
    pub(crate) noticed: Arc<Noticed>,
    stop: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
    /// The receiver ends after the others: what is on its way is not lost.
    receiver: (Arc<AtomicBool>, thread::JoinHandle<()>),
}

/// A client with a login.
const fn hello(client_id: &str, clean: bool) -> Hello<'_> {
    let hello = if clean { Hello::clean(client_id) } else { Hello::lasting(client_id) };
    Hello { login: Some(CONTROL), ..hello }
}

/// The session that outlives its connections.
const RECEIVER: Hello<'_> = hello("control-receiver", false);

impl Control {
    /// Begins.
    ///
    /// # Errors
    /// The broker does not let the client in, although nobody attacks yet.
    pub(crate) fn start(port: u16) -> io::Result<Self> {
        let (noticed, stop) = (Arc::<Noticed>::default(), Arc::<AtomicBool>::default());
        let began = Instant::now();
        let mut receiver = subscribed(port)?;
        let mut threads = Vec::new();
        let mut spawn = |work: Box<dyn Fn() -> io::Result<()> + Send>| {
            let (noticed, stop) = (noticed.clone(), stop.clone());
            threads.push(thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    if work().is_err() && !stop.load(Ordering::Relaxed) {
                        noticed.cut.fetch_add(1, Ordering::Relaxed);
                        thread::sleep(BEAT);
                    }
                }
            }));
        };
        for qos in [0, 1] {
            let (noticed, stop) = (noticed.clone(), stop.clone());
            let number = AtomicU64::new(0);
            spawn(Box::new(move || publish(port, qos, &number, began, &noticed, &stop)));
        }
        let (seen, over) = (noticed.clone(), stop.clone());
        spawn(Box::new(move || ping(port, &seen, &over)));
        let (seen, over) = (noticed.clone(), stop.clone());
        spawn(Box::new(move || log_in(port, &seen, &over)));
        let (seen, over) = (noticed.clone(), Arc::<AtomicBool>::default());
        let receiver_stop = over.clone();
        let receiving = thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                if receive(&mut receiver, began, &seen, &over).is_err() {
                    seen.cut.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(BEAT);
                    if let Ok(again) = subscribed(port) {
                        receiver = again;
                    }
                }
            }
        });
        Ok(Self { noticed, stop, threads, receiver: (receiver_stop, receiving) })
    }

    /// Ends it.
    pub(crate) fn stop(self) -> Arc<Noticed> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().ok();
        }
        let deadline = Instant::now() + PATIENCE;
        while self.noticed.missing() != [0, 0] && Instant::now() < deadline {
            thread::sleep(BEAT);
        }
        self.receiver.0.store(true, Ordering::Relaxed);
        self.receiver.1.join().ok();
        self.noticed
    }
}

/// Takes the session up, and subscribes where that was not done.
fn subscribed(port: u16) -> io::Result<Peer> {
    let (mut peer, present) = Peer::connect(port, HOME, &RECEIVER)?;
    if !present {
        peer.subscribe(&["control/#"], QoS::AtLeastOnce, None)?;
        let granted = |heard: &Heard| match heard {
            Heard::SubAck { reasons } => Some(reasons.iter().all(|reason| reason.0 < 0x80)),
            _ => None,
        };
        if !peer.wait_for(PATIENCE, granted)? {
            return Err(io::Error::other("the control client may not subscribe"));
        }
    }
    Ok(peer)
}

fn publish(
    port: u16,
    qos: usize,
    number: &AtomicU64,
    began: Instant,
    noticed: &Noticed,
    stop: &AtomicBool,
) -> io::Result<()> {
    let client_id = format!("control-publisher-{qos}");
    let (mut peer, _) = Peer::connect(port, HOME, &hello(&client_id, true))?;
    let mut next = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let id = number.fetch_add(1, Ordering::Relaxed);
        if let Some(mut open) = noticed.lock(qos) {
            open.insert(id);
        }
        let sent = Instant::now();
        let payload = format!("{id} {}", sent.duration_since(began).as_micros());
        let packet_id = PacketId::new(u16::try_from(id % 60_000).unwrap_or(0) + 1);
        let packet_id = packet_id.filter(|_| qos > 0);
        let topic = format!("control/{qos}");
        let written = peer.publish(&topic, payload.as_bytes(), packet_id, false);
        let reason = written.and_then(|()| match packet_id {
            None => Ok(ReasonCode::SUCCESS),
            Some(packet_id) => peer.wait_for(PATIENCE, |heard| match heard {
                Heard::Ack { packet_id: acked, reason } if *acked == packet_id => Some(*reason),
                _ => None,
            }),
        });
        match reason {
            Ok(ReasonCode::SUCCESS) => {}
            // Not acknowledged, so not promised.
            other => {
                if let Some(mut open) = noticed.lock(qos) {
                    open.remove(&id);
                }
                other?;
                noticed.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
        next += BEAT;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

fn receive(
    peer: &mut Peer,
    began: Instant,
    noticed: &Noticed,
    stop: &AtomicBool,
) -> io::Result<()> {
    while !stop.load(Ordering::Relaxed) {
        let Some(Heard::Publish { packet_id, topic, payload, .. }) = peer.receive(BEAT)? else {
            continue;
        };
        let now = began.elapsed();
        let text = String::from_utf8_lossy(&payload);
        let (id, sent) = text.split_once(' ').unwrap_or_default();
        let qos = usize::from(topic == "control/1");
        if let (Ok(id), Ok(sent)) = (id.parse(), sent.parse()) {
            let is_new = noticed.lock(qos).is_some_and(|mut open| open.remove(&id));
            if let Some(times) = noticed.deliveries.get(qos).filter(|_| is_new) {
                times.note(now.saturating_sub(Duration::from_micros(sent)));
            }
        }
        if let Some(packet_id) = packet_id {
            peer.puback(packet_id)?;
        }
    }
    Ok(())
}

fn ping(port: u16, noticed: &Noticed, stop: &AtomicBool) -> io::Result<()> {
    let (mut peer, _) = Peer::connect(port, HOME, &hello("control-pings", true))?;
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        peer.ping()?;
        peer.wait_for(PATIENCE, |heard| matches!(heard, Heard::Pong).then_some(()))?;
        noticed.pings.note(start.elapsed());
        thread::sleep(BEAT);
    }
    Ok(())
}

fn log_in(port: u16, noticed: &Noticed, stop: &AtomicBool) -> io::Result<()> {
    let start = Instant::now();
    match Peer::connect(port, HOME, &hello("control-login", true)) {
        Ok(_) => noticed.logins.note(start.elapsed()),
        Err(error) => {
            eprintln!("siege: a right login failed after {:?}: {error}", start.elapsed());
            noticed.failed_logins.fetch_add(1, Ordering::Relaxed);
        }
    }
    let next = start + LOGIN_INTERVAL;
    while !stop.load(Ordering::Relaxed) && Instant::now() < next {
        thread::sleep(BEAT);
    }
    Ok(())
}

/// Publishes `count` messages at QoS 1 while the control client's session is away; returns those that
/// were acknowledged.
pub(crate) fn leave_messages(port: u16, count: u64) -> io::Result<BTreeSet<u64>> {
    let (mut peer, _) = Peer::connect(port, HOME, &hello("control-last", true))?;
    let mut acknowledged = BTreeSet::new();
    for id in 0..count {
        let packet_id = PacketId::new(1);
        peer.publish("control/last", id.to_string().as_bytes(), packet_id, false)?;
        let reason = peer.wait_for(PATIENCE, |heard| match heard {
            Heard::Ack { reason, .. } => Some(*reason),
            _ => None,
        })?;
        if reason == ReasonCode::SUCCESS {
            acknowledged.insert(id);
        }
    }
    Ok(acknowledged)
}

/// Takes the session up again, and the messages of [`leave_messages`] that are there.
pub(crate) fn find_messages(port: u16, expected: usize) -> io::Result<(bool, BTreeSet<u64>)> {
    let (mut peer, present) = Peer::connect(port, HOME, &RECEIVER)?;
    let mut found = BTreeSet::new();
    let deadline = Instant::now() + PATIENCE;
    while found.len() < expected && Instant::now() < deadline {
        let Some(Heard::Publish { packet_id, topic, payload, .. }) = peer.receive(BEAT)? else {
            continue;
        };
        if topic == "control/last" {
            found.extend(String::from_utf8_lossy(&payload).parse::<u64>());
        }
        if let Some(packet_id) = packet_id {
            peer.puback(packet_id)?;
        }
    }
    Ok((present, found))
}
