//! Wakes the load when the next message is due.
//!
//! A load that spins to keep its schedule takes a core from the broker: on two cores the scheduler
//! then puts both on the same one every few milliseconds, and what is measured is its time slice.
//! The poll's own timeout counts in milliseconds, so a timer of the kernel is polled with the sockets.

use std::{io, time::Duration};

use mio::Registry;

/// Tells the poll of an alarm from those of clients.
const TOKEN: mio::Token = mio::Token(usize::MAX);

/// A timer that ends a poll.
#[derive(Debug)]
pub(crate) struct Alarm {
    #[cfg(target_os = "linux")]
    timer: std::os::fd::OwnedFd,
}

#[cfg(target_os = "linux")]
impl Alarm {
    /// Registers an alarm that is not set.
    ///
    /// # Errors
    /// Where the operating system has no timer for us.
    pub(crate) fn new(registry: &Registry) -> io::Result<Self> {
        use std::os::fd::AsRawFd;

        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};

        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
        let source = timer.as_raw_fd();
        registry.register(&mut mio::unix::SourceFd(&source), TOKEN, mio::Interest::READABLE)?;
        Ok(Self { timer })
    }

    /// Makes a poll with the timeout that it answers return when `after` is over.
    ///
    /// # Errors
    /// Where the operating system refuses the timer.
    pub(crate) fn set(&self, after: Duration, otherwise: Duration) -> io::Result<Duration> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};

        let it_value = Timespec {
            tv_sec: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: after.subsec_nanos().into(),
        };
        let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        Ok(otherwise)
    }
}

#[cfg(not(target_os = "linux"))]
impl Alarm {
    /// There is no exact timer here: the load spins.
    ///
    /// # Errors
    /// None.
    pub(crate) fn new(_: &Registry) -> io::Result<Self> {
        Ok(Self {})
    }

    /// Makes a poll return at once.
    ///
    /// # Errors
    /// None.
    pub(crate) fn set(&self, _: Duration, _: Duration) -> io::Result<Duration> {
        Ok(Duration::ZERO)
    }
}
