//! The task of one connection: moves bytes between a transport and the core.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{BufMut, BytesMut};
use mqtt_session::{Time, time::earliest};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    sync::futures::OwnedNotified,
    time::Sleep,
};

use crate::{
    core::{cause::Cause, connection::Connection, memory::MemoryLevel},
    limits::Limits,
    net::{
        linger::Linger,
        login::{Login, login},
        read_size::{self, ReadSize},
        strangers::Stranger,
    },
    server::Shared,
};

/// One write hands at most so many chunks to the kernel.
const SLICES: usize = 64;

/// So many times in a row a task reads and writes before it lets others run.
const TURNS: usize = 8;

/// And no more once it has moved so many KiB: a tenth of a millisecond, for who waits behind it.
const MOVED_MAX_KIB: u16 = 256;

/// So many KiB are read before the memory's gate hears of it.
const REPORTED_KIB: u16 = 64;

/// While memory is used up, no more than this is read of a packet that is not complete.
const PARTIAL_MAX: usize = 64 * 1024;

/// A connection that is taken over waits so long for what its client had sent before.
const HEARING_MILLIS: u64 = 2;

/// And so much longer for that to be worked off, where it is more than a turn has room for.
const HEARD_MILLIS: u64 = 100;

/// A slow reader has to take this many bytes to count as alive.
const PROGRESS_BYTES: usize = 4096;

/// Owns the transport and the connection. Done when the connection is over and closed.
pub(crate) struct Driver<T> {
    io: T,
    connection: Connection,
    shared: Arc<Shared>,
    buf: BytesMut,
    read_size: ReadSize,
    /// The last read got all that it asked for: there is more, and what it brings goes out with it.
    more_came: bool,
    /// What was read and written since the task was polled.
    moved_kib: u16,
    /// What was read since that was reported to the memory's gate.
    read_kib: u16,
    login: Option<Login>,
    /// Needed until there is a session.
    outside: Option<Box<Outside>>,
    /// With the deadline that it is set to.
    timer: Option<(Pin<Box<Sleep>>, Time)>,
    write: WriteWatch,
    ending: Option<Box<Ending>>,
}

/// How a connection ends, step by step.
enum Ending {
    /// It is taken over, and hears until then what its client had sent before.
    Listens(Time),
    /// Everything is written, and the client has to read it and to close.
    Lingers(Linger),
}

impl Ending {
    const fn until(&self) -> Time {
        match self {
            Self::Listens(until) => *until,
            Self::Lingers(linger) => linger.until(),
        }
    }
}

/// Notices a client that does not take what it is sent.
#[derive(Default)]
struct WriteWatch {
    /// Since when bytes have waited without enough of them being taken.
    since: Option<Time>,
    taken: usize,
}

impl WriteWatch {
    fn wrote(&mut self, bytes: usize, is_empty: bool, now: Time) {
        self.taken += bytes;
        if is_empty {
            self.since = None;
            self.taken = 0;
        } else if self.taken >= PROGRESS_BYTES || self.since.is_none() {
            self.since = Some(now);
            self.taken = 0;
        }
    }
}

/// What a connection has until it is let in.
struct Outside {
    /// The server stops; a session's owner is told in its own way.
    stopping: Pin<Box<OwnedNotified>>,
    /// Its place among those that have not been let in.
    _stranger: Option<Stranger>,
}

/// What a step did.
enum Step {
    Progress,
    Idle,
    Over,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Driver<T> {
    /// `stranger` is the place of a connection that came through a listener.
    pub(crate) fn new(
        io: T,
        connection: Connection,
        stranger: Option<Stranger>,
        shared: Arc<Shared>,
    ) -> Self {
        let stopping = shared.stopping.clone().notified_owned();
        Self {
            io,
            connection,
            shared,
            buf: BytesMut::new(),
            read_size: ReadSize::new(),
            more_came: false,
            moved_kib: 0,
            read_kib: 0,
            login: None,
            outside: Some(Box::new(Outside { stopping: Box::pin(stopping), _stranger: stranger })),
            timer: None,
            write: WriteWatch::default(),
            ending: None,
        }
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Step {
        let now = self.shared.clock.now();
        if self.lingers() {
            return self.poll_linger(now, cx);
        }
        let mut progress = self.poll_login(now, cx);
        self.poll_deadlines(now, cx);
        self.poll_stopping(now, cx);
        self.connection.poll_arrival(Some(cx.waker()), now);
        if let Some(cause) = self.connection.take_deliveries(now, self.buf.len()) {
            self.poll_going(cause, now, cx);
        }
        let postpones = std::mem::take(&mut self.more_came) && self.connection.wants_input();
        if !postpones {
            match self.poll_write(now, cx) {
                Ok(wrote) => progress |= wrote,
                // What was read before the client left still counts.
                Err(_) if self.is_unfinished() => {}
                Err(_) => self.connection.handle_gone(now),
            }
        }
        if self.connection.is_closed() {
            if !self.connection.output().is_empty() {
                return if progress { Step::Progress } else { Step::Idle };
            }
            if !self.lingers() {
                let linger = Linger::new(self.limits(), self.connection.was_let_in(), now);
                self.ending = Some(Box::new(Ending::Lingers(linger)));
            }
            return Step::Progress;
        }
        match self.poll_read(now, cx) {
            Ok(read) => progress |= read,
            Err(error) => {
                self.transport_failed(&error, now);
                progress = true;
            }
        }
        if progress || postpones { Step::Progress } else { Step::Idle }
    }

    /// Runs the authenticator.
    fn poll_login(&mut self, now: Time, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        if let Some(job) = self.connection.poll_login() {
            self.login = Some(login(job, &self.shared));
            progress = true;
        }
        if let Some(login) = &mut self.login
            && let Poll::Ready(answer) = login.as_mut().poll(cx)
        {
            self.login = None;
            match answer {
                Some(answer) => self.connection.handle_answer(answer, now),
                None => self.connection.handle_no_answer(now),
            }
            progress = true;
        }
        progress
    }

    fn poll_stopping(&mut self, now: Time, cx: &mut Context<'_>) {
        let Some(outside) = &mut self.outside else { return };
        if self.connection.has_session() {
            self.outside = None;
        } else if outside.stopping.as_mut().poll(cx).is_ready() {
            self.outside = None;
            self.connection.handle_stopping(now);
        }
    }

    /// Ends what has taken too long. The server itself may have been kept from running, on a machine
    /// that was stopped or has too much to do: what the client has sent and taken meanwhile counts.
    fn poll_deadlines(&mut self, now: Time, cx: &mut Context<'_>) {
        let is_due = |due: Option<Time>| due.is_some_and(|due| due <= now);
        if !is_due(self.connection.poll_timeout()) && !is_due(self.write_due()) {
            return;
        }
        if self.poll_write(now, cx).is_err() {
            return self.connection.handle_gone(now);
        }
        self.read_what_came(now, cx);
        if is_due(self.connection.poll_timeout()) {
            self.connection.handle_timeout(now);
        }
        if is_due(self.write_due()) {
            self.connection.handle_stuck(now);
            self.ending = Some(Box::new(Ending::Lingers(Linger::none(now))));
        }
    }

    /// Nothing more can be read. A socket is gone then; a transport with a protocol of its own may
    /// have a reason.
    fn transport_failed(&mut self, error: &io::Error, now: Time) {
        match error.kind() {
            io::ErrorKind::InvalidData => self.connection.handle_transport_violation(error, now),
            _ => self.connection.handle_gone(now),
        }
    }

    fn lingers(&self) -> bool {
        matches!(self.ending.as_deref(), Some(Ending::Lingers(_)))
    }

    /// When a client has taken none of its output for too long.
    fn write_due(&self) -> Option<Time> {
        let stuck = self.write.since.filter(|_| !self.connection.output().is_empty());
        stuck.map(|since| since.after_millis(self.limits().write_timeout_millis))
    }

    fn poll_write(&mut self, now: Time, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut progress = false;
        while !self.connection.output().is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = self.connection.output().slices(&mut slices);
            let slices = slices.get(..filled).unwrap_or_default();
            let io = Pin::new(&mut self.io);
            let written = match slices {
                [slice] => io.poll_write(cx, slice),
                _ => io.poll_write_vectored(cx, slices),
            };
            let Poll::Ready(written) = written else {
                self.write.wrote(0, false, now);
                break;
            };
            let written = written?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            progress = true;
            self.has_moved(written);
            self.connection.advance_output(written);
            self.write.wrote(written, self.connection.output().is_empty(), now);
        }
        Ok(progress)
    }

    fn poll_read(&mut self, now: Time, cx: &mut Context<'_>) -> io::Result<bool> {
        if !self.connection.wants_input() || self.connection.is_resting() {
            return Ok(false);
        }
        // What the turn before had no time for, or what came behind a packet that had to be answered
        // first.
        let has_input = self.connection.has_input();
        if has_input || !self.buf.is_empty() {
            let before = self.buf.len();
            self.connection.handle_input(&mut self.buf, now);
            if has_input || self.buf.len() < before || self.connection.is_closed() {
                return Ok(true);
            }
        }
        let memory = &self.shared.broker.memory;
        if self.buf.len() >= PARTIAL_MAX && memory.refuses(MemoryLevel::Full) {
            self.connection.refuse_packet(now);
            return Ok(true);
        }
        let asked = memory.squeeze_buffer(self.read_size.bytes());
        self.buf.reserve(asked);
        let Poll::Ready(read) = poll_read_buf(&mut self.io, &mut self.buf, asked, cx) else {
            return Ok(false);
        };
        let read = read?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.has_read(read);
        self.more_came = self.read_size.learn(read);
        self.connection.handle_input(&mut self.buf, now);
        Ok(true)
    }

    /// Between two polls a connection has no block of what it reads: one that its receivers have
    /// written serves the next connection while it is still in the cache. The beginning of a packet
    /// is copied, unless it is long.
    fn let_block_go(&mut self) {
        if self.buf.len() <= read_size::MIN {
            self.buf = BytesMut::from(&*self.buf);
        }
    }

    fn has_moved(&mut self, bytes: usize) {
        let kib = u16::try_from(bytes.div_ceil(1024)).unwrap_or(u16::MAX);
        self.moved_kib = self.moved_kib.saturating_add(kib);
    }

    /// What was read may be held somewhere: a part of it is reported now and then.
    fn has_read(&mut self, bytes: usize) {
        self.has_moved(bytes);
        let kib = u16::try_from(bytes.div_ceil(1024)).unwrap_or(u16::MAX);
        self.read_kib = self.read_kib.saturating_add(kib);
        if self.read_kib >= REPORTED_KIB {
            let bytes = usize::from(std::mem::take(&mut self.read_kib)) * 1024;
            self.shared.broker.memory.charge(bytes);
        }
    }

    /// The connection was asked to go. What the client had sent before counts: a DISCONNECT that it
    /// sent before it connected anew, for one, says that there is no will [MQTT-3.1.2-10] and for how
    /// long the session is kept. Whoever waits here for the bytes may hear of them later than somebody
    /// else hears of the new connection, so a moment passes first.
    fn poll_going(&mut self, cause: Cause, now: Time, cx: &mut Context<'_>) {
        if cause != Cause::Revoked {
            self.read_what_came(now, cx);
        }
        let until = now.after_millis(HEARING_MILLIS);
        let until = self.ending.get_or_insert_with(|| Box::new(Ending::Listens(until))).until();
        let is_heard = (now >= until || cause != Cause::TakenOver) && !self.is_unfinished();
        let is_late = now >= until.after_millis(HEARD_MILLIS);
        if is_heard || is_late || self.connection.is_closed() {
            self.ending = None;
            self.connection.go(cause, now);
        }
    }

    /// Whether the connection has more to do than its turn had room for.
    fn is_unfinished(&self) -> bool {
        self.connection.has_input() && self.connection.wants_input()
    }

    /// Reads and works off what is there now, within the turns that a task has.
    fn read_what_came(&mut self, now: Time, cx: &mut Context<'_>) {
        for _ in 0..TURNS {
            match self.poll_read(now, cx) {
                Ok(true) if !self.connection.is_closed() => {}
                Ok(_) => return,
                Err(error) => return self.transport_failed(&error, now),
            }
        }
    }

    /// The output is written. The client is given time to read it and to close.
    fn poll_linger(&mut self, now: Time, cx: &mut Context<'_>) -> Step {
        let shutdown = Pin::new(&mut self.io).poll_shutdown(cx);
        let Some(Ending::Lingers(linger)) = self.ending.as_deref_mut() else { return Step::Over };
        let is_over = linger.poll_over(&self.shared, now, cx);
        if is_over || matches!(shutdown, Poll::Ready(Err(_))) {
            return Step::Over;
        }
        if !linger.reads() {
            return Step::Idle;
        }
        self.buf.clear();
        self.buf.reserve(read_size::MIN);
        match poll_read_buf(&mut self.io, &mut self.buf, read_size::MIN, cx) {
            Poll::Ready(Ok(0) | Err(_)) => Step::Over,
            Poll::Ready(Ok(read)) => {
                linger.dropped(read);
                self.has_moved(read);
                Step::Progress
            }
            // Nothing more comes from a client that has left.
            Poll::Pending if self.connection.has_left() && shutdown.is_ready() => Step::Over,
            Poll::Pending => Step::Idle,
        }
    }

    /// Sets the timer to the next deadline. A timer that fires too early costs less than one that
    /// is set anew for every packet, so it is only ever moved forward.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let due = earliest(self.connection.poll_timeout(), self.write_due());
        let due = earliest(due, self.ending.as_deref().map(Ending::until));
        let Some(due) = due else {
            self.timer = None;
            return Poll::Pending;
        };
        let clock = &self.shared.clock;
        let (timer, at) = self
            .timer
            .get_or_insert_with(|| (Box::pin(tokio::time::sleep_until(clock.instant(due))), due));
        if due < *at {
            timer.as_mut().reset(clock.instant(due));
            *at = due;
        }
        let fired = timer.as_mut().poll(cx);
        if fired.is_ready() {
            self.timer = None;
        }
        fired
    }

    fn limits(&self) -> &Limits {
        &self.shared.broker.limits
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Future for Driver<T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        this.moved_kib = 0;
        this.connection.begin_turn();
        for turn in 0..TURNS {
            let is_tired = turn > 0 && this.connection.is_tired();
            if this.moved_kib >= MOVED_MAX_KIB || is_tired {
                break;
            }
            match this.poll_turn(cx) {
                Step::Over => return Poll::Ready(()),
                Step::Progress => {}
                Step::Idle => {
                    if this.ending.is_none() && !this.connection.sleep(cx.waker()) {
                        continue;
                    }
                    if this.poll_timer(cx).is_ready() {
                        continue;
                    }
                    this.let_block_go();
                    return Poll::Pending;
                }
            }
        }
        this.more_came = false;
        this.let_block_go();
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Reads at most `max` bytes behind what is in `buf`.
fn poll_read_buf<T: AsyncRead + Unpin>(
    io: &mut T,
    buf: &mut BytesMut,
    max: usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    let mut limited = buf.limit(max);
    // The future holds nothing between two polls, so it can be made anew for each.
    let read = std::pin::pin!(io.read_buf(&mut limited));
    read.poll(cx)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_small() {
        // With what tokio adds for a task it takes 512 bytes; the next size is 640.
        assert!(
            size_of::<Driver<tokio::net::TcpStream>>() <= 408,
            "{}",
            size_of::<Driver<tokio::net::TcpStream>>()
        );
    }
}
