//! What the machine itself can do at the moment: the measure of how long a broker may take.
//!
//! A bound of one second says something about the broker only where the machine has the time. So
//! two threads of the suite pass a byte to and fro over a socket while a broker is timed: they wait
//! for a processor as the broker does, and the longest of their round trips widens the bound.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A step of a test makes at most so many round trips between client and broker, each with a few
/// more changes of thread than a byte that is sent back.
const ROUND_TRIPS: u32 = 20;

/// Between two round trips.
const PAUSE: Duration = Duration::from_millis(5);

/// A round trip that does not come back at all ends after this.
const LOST: Duration = Duration::from_secs(60);

/// Measures the machine from [`Control::start`] to [`Control::slack`].
#[derive(Debug)]
pub(crate) struct Control {
    is_over: Arc<AtomicBool>,
    /// Returns the longest round trip; nothing where the machine has no socket left.
    thread: Option<JoinHandle<Duration>>,
}

impl Control {
    pub(crate) fn start() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = pair().ok().map(|(near, far)| {
            let is_over = Arc::clone(&is_over);
            std::thread::spawn(move || longest(near, far, &is_over))
        });
        Self { is_over, thread }
    }

    /// How much longer than on an idle machine a step may have taken since the start.
    pub(crate) fn slack(mut self) -> Duration {
        self.is_over.store(true, Ordering::Relaxed);
        let longest = self.thread.take().and_then(|thread| thread.join().ok());
        longest.unwrap_or_default() * ROUND_TRIPS
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// The two ends of a connection over the loopback.
fn pair() -> std::io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let near = TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    for end in [&near, &far] {
        end.set_nodelay(true)?;
        end.set_read_timeout(Some(LOST))?;
    }
    Ok((near, far))
}

/// The longest round trip of a byte until it is over; there is at least one.
fn longest(mut near: TcpStream, mut far: TcpStream, is_over: &AtomicBool) -> Duration {
    let echo = std::thread::spawn(move || {
        let mut byte = [0];
        while far.read_exact(&mut byte).is_ok() && far.write_all(&byte).is_ok() {}
    });
    let mut longest = Duration::ZERO;
    loop {
        let began = Instant::now();
        let mut byte = [0];
        let is_broken = near.write_all(&byte).is_err() || near.read_exact(&mut byte).is_err();
        longest = longest.max(began.elapsed());
        if is_broken || is_over.load(Ordering::Relaxed) {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    drop(near);
    let _ = echo.join();
    longest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_has_been_to_and_fro() {
        assert!(Control::start().slack() > Duration::ZERO);
    }
}
