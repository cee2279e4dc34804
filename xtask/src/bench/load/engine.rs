//! The event loop of a load process: one thread, every client by turns.

use std::io;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::bench::load::alarm::Alarm;
use crate::bench::load::client::Client;
use crate::bench::load::publisher::Publisher;
use crate::bench::load::throttle::Throttle;

/// One read takes at most this many bytes; the longest packet must fit.
const SCRATCH_BYTES: usize = 256 * 1024;

/// The longest time without a look at the deadline.
const POLL_MAX: Duration = Duration::from_millis(20);

/// A load that sends by the clock is awake so long before a message is due: to be woken takes time.
const AWAKE: Duration = Duration::from_micros(50);

/// The clients of a run.
#[derive(Debug)]
pub(crate) struct Engine {
    poll: Poll,
    events: Events,
    pub(crate) clients: Vec<Client>,
    scratch: Vec<u8>,
    epoch: Instant,
    /// For those who send by the clock.
    alarm: Option<Alarm>,
    throttle: Throttle,
    /// What had arrived at the last look, and when it last was more than before.
    progress: (u64, Instant),
    /// The longest time without a single arrival, while publishers were at work.
    pub(crate) stall_max: Duration,
}

impl Engine {
    /// Registers the clients. The run's clock starts at `epoch`.
    ///
    /// # Errors
    /// Where the poll refuses a socket.
    pub(crate) fn new(mut clients: Vec<Client>, epoch: Instant) -> io::Result<Self> {
        let poll = Poll::new()?;
        for (index, client) in clients.iter_mut().enumerate() {
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut client.stream, Token(index), interest)?;
        }
        let mut publishers = clients.iter().filter_map(|client| client.publisher.as_ref());
        let by_clock = publishers.any(Publisher::is_scheduled);
        let alarm = by_clock.then(|| Alarm::new(poll.registry())).transpose()?;
        let events = Events::with_capacity(clients.len().max(64));
        let mut throttle = Throttle::new(&clients);
        throttle.renew(&mut clients);
        let scratch = vec![0; SCRATCH_BYTES];
        let progress = (0, Instant::now());
        let stall_max = Duration::ZERO;
        Ok(Self { poll, events, clients, scratch, epoch, alarm, throttle, progress, stall_max })
    }

    /// Runs until `deadline`.
    ///
    /// # Errors
    /// Where the poll fails.
    pub(crate) fn run_until(&mut self, deadline: Instant) -> io::Result<()> {
        while Instant::now() < deadline {
            self.turn()?;
        }
        Ok(())
    }

    /// Stops the publishers and runs until everything has arrived, or nothing came for `quiet`,
    /// or `limit` is over. `is_complete` says whether everything has arrived. Says whether
    /// messages were still coming when the time was over.
    ///
    /// # Errors
    /// Where the poll fails.
    pub(crate) fn drain(
        &mut self,
        limit: Duration,
        quiet: Duration,
        is_complete: impl Fn(&Self) -> bool,
    ) -> io::Result<bool> {
        self.publishers_mut().for_each(Publisher::stop);
        let end = Instant::now() + limit;
        let stall_max = self.stall_max;
        self.progress.1 = Instant::now();
        while Instant::now() < end {
            self.turn()?;
            let sent = self.clients.iter().all(|client| {
                client.closed.is_some() || client.publisher.as_ref().is_none_or(Publisher::is_done)
            });
            if sent && is_complete(self) || self.progress.1.elapsed() > quiet {
                self.stall_max = stall_max;
                return Ok(false);
            }
        }
        self.stall_max = stall_max;
        Ok(true)
    }

    /// Messages that were sent so far.
    pub(crate) fn sent(&self) -> u64 {
        self.publishers().map(|publisher| publisher.sent).sum()
    }

    /// Messages that arrived so far.
    pub(crate) fn received(&self) -> u64 {
        self.clients.iter().filter_map(|client| Some(client.subscriber.as_ref()?.received)).sum()
    }

    /// The publishing halves.
    pub(crate) fn publishers(&self) -> impl Iterator<Item = &Publisher> {
        self.clients.iter().filter_map(|client| client.publisher.as_ref())
    }

    fn publishers_mut(&mut self) -> impl Iterator<Item = &mut Publisher> {
        self.clients.iter_mut().filter_map(|client| client.publisher.as_mut())
    }

    fn note_stall(&mut self) {
        let received = self.received();
        if received != self.progress.0 {
            self.stall_max = self.stall_max.max(self.progress.1.elapsed());
            self.progress = (received, Instant::now());
        }
    }

    /// How long to wait for the sockets.
    fn timeout(&self) -> io::Result<Duration> {
        if self.clients.iter().any(Client::is_ready) {
            return Ok(Duration::ZERO);
        }
        let Some(alarm) = &self.alarm else { return Ok(POLL_MAX) };
        let Some(due) = self.publishers().filter_map(Publisher::next_due).min() else {
            return Ok(POLL_MAX);
        };
        match due.saturating_sub(nanos(self.epoch.elapsed() + AWAKE)) {
            0 => Ok(Duration::ZERO),
            after => alarm.set(Duration::from_nanos(after), POLL_MAX),
        }
    }

    /// Waits for something to do, and gives every client one turn to read and one to write.
    fn turn(&mut self) -> io::Result<()> {
        let timeout = self.timeout()?;
        if let Err(error) = self.poll.poll(&mut self.events, Some(timeout))
            && error.kind() != io::ErrorKind::Interrupted
        {
            return Err(error);
        }
        for event in &self.events {
            if let Some(client) = self.clients.get_mut(event.token().0) {
                client.readable |= event.is_readable() || event.is_read_closed();
                client.writable |= event.is_writable();
            }
        }
        let clock = || nanos(self.epoch.elapsed());
        for client in &mut self.clients {
            client.read_turn(&mut self.scratch, clock);
        }
        // What has just arrived may be what a publisher waits for.
        self.throttle.renew(&mut self.clients);
        for client in &mut self.clients {
            client.write_turn(clock());
        }
        self.note_stall();
        Ok(())
    }
}

/// A duration in whole nanoseconds.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
