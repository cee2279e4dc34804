//! The thread that writes the journal.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::JoinHandle,
    time::Instant,
};

use tokio::sync::oneshot;

use crate::server::Shared;

/// Writes the journal of a server with a session store, a group at a time. Dropping it writes what
/// is left.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Closed when the thread ends, however that comes.
    alive: Option<oneshot::Receiver<()>>,
}

impl Writer {
    /// Starts the thread, if there is a journal.
    ///
    /// # Errors
    /// The operating system gives us no thread.
    pub(crate) fn start(shared: &Arc<Shared>) -> io::Result<Self> {
        let shared = shared.clone();
        if shared.broker.journal.is_none() {
            return Ok(Self { shared, thread: None, alive: None });
        }
        let (lives, alive) = oneshot::channel();
        let writes = shared.clone();
        let thread = std::thread::Builder::new().name("journal".to_owned());
        let thread = thread.spawn(move || {
            let _lives: oneshot::Sender<()> = lives;
            write(&writes);
        })?;
        Ok(Self { shared, thread: Some(thread), alive: Some(alive) })
    }

    /// Waits until the thread ends by itself, which it does only when the store panics.
    pub(crate) async fn ended(&mut self) {
        match &mut self.alive {
            // It is closed, and never sent anything.
            Some(alive) => drop(alive.await),
            None => std::future::pending().await,
        }
    }

    /// Writes what is left, and ends the thread.
    pub(crate) fn stop(&mut self) {
        if let (Some(journal), Some(thread)) = (&self.shared.broker.journal, self.thread.take()) {
            journal.stop();
            journal.note_clock(self.shared.clock.mark());
            if thread.join().is_err() {
                tracing::error!("the journal's thread panicked");
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop();
    }
}

fn write(shared: &Shared) {
    let Some(journal) = &shared.broker.journal else { return };
    let until_stopped = || {
        while journal.wait(|| shared.clock.now()) {
            let start = Instant::now();
            if journal.commit(shared.clock.now()) {
                journal.meter.note(start.elapsed());
            }
        }
    };
    // Whatever a store does in the middle of a group: nobody is left to wait for it for ever.
    if catch_unwind(AssertUnwindSafe(until_stopped)).is_err() {
        tracing::error!("the session store panicked: durable messages are refused from here on");
        journal.break_down();
    }
}
