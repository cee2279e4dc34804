//! A bounded queue of lines, and the thread that writes them to stderr.
//!
//! `tracing-appender` has such a thread too, but it neither says that lines were lost, nor goes on
//! after a write that failed, nor waits a bounded time at the end for one that hangs.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::repeats::{Repeats, WINDOW};

/// So many bytes may wait to be written, each line counted with [`LINE_COST`]. What is said on top
/// of them is lost, and counted.
const WAITING_BYTES_MAX: usize = 512 * 1024;

/// What a line that waits takes besides its bytes.
const LINE_COST: usize = 64;

/// The longest line, in bytes; the rest is cut off.
const LINE_BYTES_MAX: usize = 8 * 1024;

/// How long until a write that failed, or that would block, is tried again while nothing new is
/// said, and how often the lines that were left out are looked at.
const RETRY: Duration = Duration::from_secs(1);

/// How long until a stderr that must not be waited for (`O_NONBLOCK`) is tried again.
const WOULD_BLOCK_RETRY: Duration = Duration::from_millis(20);

/// Takes lines without ever waiting for the one who reads them.
pub(crate) struct Sink {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    /// Woken when there is something to write.
    filled: Condvar,
    /// Woken when everything is written.
    emptied: Condvar,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    /// Of the lines in the queue and of those that are being written.
    bytes: usize,
    /// Lines that were lost and of which that was not said yet.
    lost: usize,
    is_writing: bool,
    /// Lines of one kind were left out, which will have to be said.
    left_out: bool,
}

impl Sink {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system gives us no thread, or no handle of stderr.
    pub(super) fn start(repeats: Arc<Repeats>) -> io::Result<Self> {
        // A handle of its own: whoever else writes to stderr would wait for a lock that is held
        // while a write hangs.
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let sink = Self::new();
        let shared = sink.shared.clone();
        let thread = thread::Builder::new().name("log".to_owned());
        thread.spawn(move || shared.write_to(stderr, &repeats))?;
        Ok(sink)
    }

    fn new() -> Self {
        let (queue, filled, emptied) = Default::default();
        Self { shared: Arc::new(Shared { queue, filled, emptied }) }
    }

    /// Puts a line into the queue, line break included, or counts it as lost.
    pub(super) fn push(&self, mut line: Vec<u8>) {
        if line.len() > LINE_BYTES_MAX {
            line.truncate(LINE_BYTES_MAX);
            line.extend_from_slice(b" ... (cut)\n");
        }
        let mut queue = self.shared.queue.lock();
        let bytes = queue.bytes + line.len() + LINE_COST;
        if bytes > WAITING_BYTES_MAX {
            queue.lost += 1;
            return;
        }
        queue.bytes = bytes;
        queue.lines.push_back(line);
        drop(queue);
        self.shared.filled.notify_one();
    }

    /// Lines were left out because they repeat: the thread says so when their time is over.
    pub(super) fn note_left_out(&self) {
        self.shared.queue.lock().left_out = true;
        self.shared.filled.notify_one();
    }

    /// Waits until everything is written, or has failed to be, no longer than `max`.
    pub(super) fn flush(&self, max: Duration) {
        let deadline = Instant::now() + max;
        let mut queue = self.shared.queue.lock();
        while !queue.lines.is_empty() || queue.is_writing {
            if self.shared.emptied.wait_until(&mut queue, deadline).timed_out() {
                return;
            }
        }
    }
}

impl Shared {
    /// Writes what comes, for ever.
    fn write_to(&self, mut out: impl Write, repeats: &Repeats) {
        let mut batch = Vec::new();
        // The last write ended in the middle of a line.
        let mut is_torn = false;
        loop {
            let (lines, lost) = self.next(repeats);
            batch.clear();
            if is_torn {
                batch.push(b'\n');
            }
            if lost > 0 {
                batch.extend_from_slice(note_of_loss(lost).as_bytes());
            }
            let head = batch.len();
            lines.iter().for_each(|line| batch.extend_from_slice(line));
            let written = write_all(&mut out, &batch);
            is_torn = written.is_torn(&batch, is_torn);
            let untold = if written.0 < head { lost } else { 0 };
            self.done(&lines, untold + written.lines_left(&lines, head));
        }
    }

    /// Waits for something to write: lines, and how many were lost before them.
    fn next(&self, repeats: &Repeats) -> (VecDeque<Vec<u8>>, usize) {
        let mut queue = self.queue.lock();
        loop {
            if queue.left_out {
                let (notes, more) = repeats.take_left_out(Instant::now(), WINDOW);
                queue.left_out = more;
                queue.lines.extend(notes.into_iter().map(String::into_bytes));
            }
            if !queue.lines.is_empty() {
                break;
            }
            if !queue.left_out && queue.lost == 0 {
                self.filled.wait(&mut queue);
            } else if self.filled.wait_for(&mut queue, RETRY).timed_out() && queue.lost > 0 {
                // Nothing new is said, but perhaps the loss can be told by now.
                break;
            }
        }
        queue.is_writing = true;
        (std::mem::take(&mut queue.lines), std::mem::take(&mut queue.lost))
    }

    fn done(&self, lines: &VecDeque<Vec<u8>>, lost: usize) {
        let bytes: usize = lines.iter().map(|line| line.len() + LINE_COST).sum();
        let mut queue = self.queue.lock();
        // Notes about lines that were left out were not counted.
        queue.bytes = queue.bytes.saturating_sub(bytes);
        queue.lost += lost;
        queue.is_writing = false;
        self.emptied.notify_all();
    }
}

fn note_of_loss(lost: usize) -> String {
    format!("surgemq: {lost} lines of the log were lost here: they could not be written in time\n")
}

/// How many bytes a write got rid of before it failed, or all of them.
#[derive(Copy, Clone)]
struct Written(usize);

impl Written {
    /// How many of the lines are not written to their end; they stand behind `head` other bytes.
    fn lines_left(self, lines: &VecDeque<Vec<u8>>, head: usize) -> usize {
        let mut end = head;
        let whole = lines.iter().take_while(|line| {
            end += line.len();
            end <= self.0
        });
        lines.len() - whole.count()
    }

    fn is_torn(self, batch: &[u8], was_torn: bool) -> bool {
        match self.0.checked_sub(1) {
            Some(last) => batch.get(last) != Some(&b'\n'),
            None => was_torn,
        }
    }
}

/// Writes as much as can be written. A reader that does not read is waited for, as long as it
/// takes: nobody but this thread waits.
fn write_all(out: &mut impl Write, bytes: &[u8]) -> Written {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match out.write(rest) {
            Ok(0) => break,
            Ok(more) => written += more,
            Err(error) => match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => thread::sleep(WOULD_BLOCK_RETRY),
                _ => break,
            },
        }
    }
    Written(written)
}

/// What `tracing-subscriber` writes an event into: one call, one line.
pub(super) struct Line(pub(super) &'static Sink);

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(one_line(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Escapes what would make two lines of one. An escape character may come from the colours; the
/// layer that makes the line escapes those that come from elsewhere.
fn one_line(line: &[u8]) -> Vec<u8> {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    let breaks = |byte: &u8| byte.is_ascii_control() && *byte != b'\x1b';
    if !text.iter().any(breaks) {
        return line.to_vec();
    }
    let escape = |byte: &u8| match breaks(byte) {
        true => byte.escape_ascii().collect(),
        false => vec![*byte],
    };
    text.iter().flat_map(escape).chain(*b"\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `room` bytes, and then fails.
    struct Narrow {
        taken: Vec<u8>,
        room: usize,
    }

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= taken;
            self.taken.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(text: &[&str]) -> VecDeque<Vec<u8>> {
        text.iter().map(|line| line.as_bytes().to_vec()).collect()
    }

    #[test]
    fn lines_that_were_cut_off_are_counted() {
        let batch = b"one\ntwo\nthree\n";
        for (room, left, is_torn) in
            [(0, 3, false), (3, 3, true), (4, 2, false), (10, 1, true), (99, 0, false)]
        {
            let mut out = Narrow { taken: Vec::new(), room };
            let written = write_all(&mut out, batch);
            let lines = lines(&["one\n", "two\n", "three\n"]);
            assert_eq!(written.lines_left(&lines, 0), left, "{room}");
            assert_eq!(written.is_torn(batch, false), is_torn, "{room}");
        }
    }

    #[test]
    fn a_full_queue_loses_lines_and_counts_them() {
        let sink = Sink::new();
        let line = vec![b'x'; 1000];
        let fits = WAITING_BYTES_MAX / (1000 + LINE_COST);
        (0..fits + 7).for_each(|_| sink.push(line.clone()));
        let (lines, lost) = sink.shared.next(&Repeats::default());
        assert_eq!((lines.len(), lost), (fits, 7));
        sink.push(line.clone());
        sink.shared.done(&lines, 2);
        assert_eq!(sink.shared.queue.lock().lost, 3);
        sink.push(b"fits\n".to_vec());
        assert_eq!(sink.shared.next(&Repeats::default()).0, [b"fits\n".to_vec()]);
    }

    #[test]
    fn an_event_is_one_line() {
        assert_eq!(one_line(b"plain\n"), b"plain\n");
        assert_eq!(one_line(b"a\nb\rc\x1b[0m\n"), b"a\\nb\\rc\x1b[0m\n");
    }

    #[test]
    fn a_long_line_is_cut() {
        let sink = Sink::new();
        sink.push(vec![b'x'; 10 * LINE_BYTES_MAX]);
        let (lines, _) = sink.shared.next(&Repeats::default());
        assert!(lines[0].ends_with(b"x ... (cut)\n") && lines[0].len() < LINE_BYTES_MAX + 20);
    }
}
