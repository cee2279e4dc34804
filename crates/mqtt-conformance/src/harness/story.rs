//! What a test is given: a broker to talk to, names that nobody else uses, and common steps.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::broker::Fleet;
use super::bytes::hex;
use super::connect::Connect;
use super::control::Control;
use super::memory::{falls_below, resident_bytes};
use super::passive::Monitor;
use super::peer::Peer;
use super::profile::Profile;
use super::publish::Publish;
use super::verdict::{Done, Stop, ensure, fail};
use super::version::Version;

/// The codes of a Malformed Packet.
pub(crate) const MALFORMED: &[u8] = &[0x81];
/// The codes of a Protocol Error.
pub(crate) const PROTOCOL_ERROR: &[u8] = &[0x82];
/// Where the text does not say which of both it is.
pub(crate) const EITHER: &[u8] = &[0x81, 0x82];

/// After an abuse a broker may have this long to work off what came.
const SETTLES_IN: Duration = Duration::from_secs(10);

/// Whole seconds.
pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// One run of one test.
#[derive(Debug, Clone)]
pub(crate) struct Story {
    pub(crate) address: SocketAddr,
    pub(crate) version: Version,
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) profile: Profile,
    /// The statement under test.
    pub(crate) id: &'static str,
    /// What the broker wrote, if it was started by this run.
    pub(crate) log: Option<PathBuf>,
    /// The brokers of this run.
    pub(crate) fleet: Arc<Fleet>,
    /// The process of the broker, if it was started by this run.
    pub(crate) process: Option<u32>,
    /// A short name that is unique in this run and, nearly, among runs.
    pub(crate) unique: String,
    /// Whether the test has started a broker with options of its own.
    pub(crate) has_options: Arc<AtomicBool>,
}

impl Story {
    /// The size that the catalogue names, or a smaller one where that would take long.
    pub(crate) fn scaled(&self, named: u32, smaller: u32) -> u32 {
        if self.fleet.options().full { named } else { smaller }
    }

    /// Notes that the test starts a broker with options of its own.
    pub(crate) fn needs_options(&self) {
        self.has_options.store(true, Ordering::Relaxed);
    }

    /// Whether the sizes that the catalogue names are asked for.
    pub(crate) fn is_full(&self) -> bool {
        self.fleet.options().full
    }

    /// Does something, after which the broker is to hold no more than this above what it held before.
    pub(crate) fn costs_at_most(&self, mebibytes: u64, play: impl FnOnce() -> Done) -> Done {
        let before = self.process.and_then(resident_bytes);
        play()?;
        let Some((process, before)) = self.process.zip(before) else { return Ok(()) };
        falls_below(process, before + (mebibytes << 20))
    }

    /// Does something in several threads at once, and fails as the first of them that does.
    pub(crate) fn together(&self, workers: u32, work: impl Fn(u32) -> Done + Sync) -> Done {
        std::thread::scope(|scope| {
            let work = &work;
            let threads: Vec<_> =
                (0..workers).map(|worker| scope.spawn(move || work(worker))).collect();
            threads.into_iter().try_for_each(|thread| {
                thread.join().unwrap_or_else(|_| Err(Stop::Fail("a thread ended".to_owned())))
            })
        })
    }

    /// A client id of this test: at most 23 letters and digits.
    pub(crate) fn client_id(&self, suffix: &str) -> String {
        format!("{}{suffix}", self.unique)
    }

    /// A topic of this test alone.
    pub(crate) fn topic(&self, suffix: &str) -> String {
        format!("{}/{suffix}", self.unique)
    }

    /// A well-formed CONNECT of this test's version with a clean session, and with the credentials
    /// of alice where the profile asks for some.
    pub(crate) fn hello(&self, suffix: &str) -> Connect {
        let connect = Connect::new(self.version, self.client_id(suffix));
        match self.profile {
            Profile::Password | Profile::Patterns => connect.user("alice").password("wonderland"),
            _ => connect,
        }
    }

    /// A socket without a CONNECT.
    pub(crate) fn open(&self) -> Done<Peer> {
        Peer::open(self.address, self.version, Arc::clone(&self.monitor), self.id)
    }

    /// A socket on which CONNECT was sent.
    pub(crate) fn attempt(&self, connect: &Connect) -> Done<Peer> {
        let mut peer =
            Peer::open(self.address, connect.version, Arc::clone(&self.monitor), self.id)?;
        peer.send_connect(connect);
        Ok(peer)
    }

    /// A connection that the broker accepted.
    pub(crate) fn connect(&self, connect: &Connect) -> Done<Peer> {
        let mut peer = self.attempt(connect)?;
        let code = peer.connack()?;
        ensure!(code == 0, "expected CONNACK 00, got {code:02X}");
        Ok(peer)
    }

    /// A client with a clean session.
    pub(crate) fn client(&self, suffix: &str) -> Done<Peer> {
        self.connect(&self.hello(suffix))
    }

    /// A client whose session stays; clean before.
    pub(crate) fn durable(&self, suffix: &str) -> Done<Peer> {
        self.connect(&self.hello(suffix).durable())
    }

    /// A client with a clean session that is subscribed at QoS 2.
    pub(crate) fn observer(&self, suffix: &str, filter: &str) -> Done<Peer> {
        let mut peer = self.client(suffix)?;
        peer.listen(filter, 2)?;
        Ok(peer)
    }

    /// A durable session with a subscription at this QoS, left without its connection.
    pub(crate) fn absent(&self, suffix: &str, filter: &str, qos: u8) -> Done {
        let mut peer = self.durable(suffix)?;
        peer.listen(filter, qos)?;
        peer.disconnect();
        Ok(())
    }

    /// Publishes one message at QoS 1 from a client of its own.
    pub(crate) fn say(&self, topic: &str, payload: &str) -> Done {
        self.tell(Publish::new(topic, payload).qos(1))
    }

    /// Publishes one message from a client of its own; the broker has it when this returns.
    pub(crate) fn tell(&self, publish: Publish) -> Done {
        let mut peer = self.client("Say")?;
        let code = peer.publish(publish)?;
        ensure!(code < 0x80, "a permitted message was refused with {code:02X}");
        peer.ping()?;
        peer.disconnect();
        Ok(())
    }

    /// Bytes that must end the connection on which they are sent, before any CONNACK.
    pub(crate) fn offend_first(&self, bytes: &[u8], codes: &[u8]) -> Done {
        let mut peer = self.open()?;
        peer.send(bytes);
        peer.refused(codes).map_err(|stop| about(bytes, stop))
    }

    /// A CONNECT that must be refused. Without codes no CONNACK is accepted. For 3.1.1 a
    /// CONNECT that is broken gets none; for 5.0 it may get one.
    pub(crate) fn refuse(&self, connect: &Connect, codes: &[u8]) -> Done {
        let mut peer = self.attempt(connect)?;
        peer.refused(codes).map_err(|stop| about(&connect.bytes(), stop))
    }

    /// A broken CONNECT: closed, in 5.0 perhaps after a CONNACK with one of these codes.
    pub(crate) fn refuse_broken(&self, connect: &Connect, codes: &[u8]) -> Done {
        self.refuse(connect, if self.version.is_v5() { codes } else { &[] })
    }

    /// Bytes that must end an accepted connection.
    pub(crate) fn offend(&self, bytes: &[u8], codes: &[u8]) -> Done {
        let mut peer = self.client("Off")?;
        peer.send(bytes);
        peer.closed(codes).map_err(|stop| about(bytes, stop))
    }

    /// Several sequences, each of which must end its connection.
    pub(crate) fn offend_each<'a>(
        &self,
        cases: impl IntoIterator<Item = &'a [u8]>,
        codes: &[u8],
    ) -> Done {
        cases.into_iter().try_for_each(|bytes| self.offend(bytes, codes))
    }

    /// After an abuse: a fresh client goes through a round trip in less than a second. What the
    /// abuse left to do may take a moment, so it is tried until that must be over.
    pub(crate) fn is_quick(&self) -> Done {
        let began = Instant::now();
        while let Some(late) = lateness(|| self.is_alive())?.1 {
            let over = began.elapsed() > SETTLES_IN;
            ensure!(!over, "the round trip of a control client takes {late}");
        }
        Ok(())
    }

    /// Does something that takes less than a second where the machine has the time.
    pub(crate) fn in_a_second<T>(&self, what: &str, step: impl FnOnce() -> Done<T>) -> Done<T> {
        match lateness(step)? {
            (done, None) => Ok(done),
            (_, Some(late)) => fail!("{what} takes {late}"),
        }
    }

    /// A fresh client goes through a round trip: what makes every close and every silence that a
    /// test asks for worth something.
    pub(crate) fn is_alive(&self) -> Done {
        let mut peer = self.client("Ctl")?;
        if self.profile == Profile::EmptyAcl {
            return peer.ping();
        }
        // A topic that all profiles permit.
        let topic = format!("clients/{}", self.client_id("Ctl"));
        let qos = if self.profile == Profile::MaxQos0 { 0 } else { 1 };
        peer.listen(&topic, qos)?;
        peer.publish(Publish::new(&topic, "control").qos(qos))?;
        peer.takes("control").map(drop)
    }

    /// Waits, where the statement is about time.
    pub(crate) fn wait(&self, time: Duration) {
        std::thread::sleep(time);
    }

    /// What the passive checks saw under this id: fails at a violation or if nothing was seen.
    pub(crate) fn passive(&self) -> Done {
        let seen = self.monitor.seen(self.version, self.id);
        if let Some(first) = seen.violations.first() {
            fail!("{first}");
        }
        ensure!(seen.checks > 0, "no packet was sent on which this could be checked");
        Ok(())
    }

    /// As `passive`, for what a server may never send.
    pub(crate) fn passive_if_any(&self, what: &str) -> Done {
        let seen = self.monitor.seen(self.version, self.id);
        if let Some(first) = seen.violations.first() {
            fail!("{first}");
        }
        if seen.checks == 0 {
            return Err(Stop::NotSupported(format!("the server never sends {what}")));
        }
        Ok(())
    }
}

/// Does something, and returns by what it was late if it took more than a second, and more than the
/// machine explains.
fn lateness<T>(step: impl FnOnce() -> Done<T>) -> Done<(T, Option<String>)> {
    let (control, began) = (Control::start(), Instant::now());
    let done = step()?;
    let (took, slack) = (began.elapsed(), control.slack());
    let late = took > seconds(1) + slack;
    Ok((done, late.then(|| format!("{took:?}, and the machine explains {slack:?} at most"))))
}

/// Puts the bytes that were sent in front of a failure.
pub(crate) fn about(bytes: &[u8], stop: Stop) -> Stop {
    match stop {
        Stop::Fail(reason) => Stop::Fail(format!("sent {}: {reason}", hex(bytes))),
        other => other,
    }
}
