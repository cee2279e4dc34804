//! The thread that writes the journal.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::server::Shared;

/// How long a server that stops waits for its store. The journal itself gives up a store that takes
/// nothing after a second.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// How often it looks whether the thread has ended.
const PAUSE: Duration = Duration::from_millis(2);

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

    /// Writes what is left, and ends the thread. A store that does not come to an end is left alone
    /// with its group: nothing of that was acknowledged.
    pub(crate) async fn stop(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        self.ask_to_stop();
        while self.is_running() && Instant::now() < deadline {
            tokio::time::sleep(PAUSE).await;
        }
        self.let_go();
    }

    fn ask_to_stop(&self) {
        if let (Some(journal), Some(_)) = (&self.shared.broker.journal, &self.thread) {
            journal.stop(self.shared.clock.now());
            journal.note_clock(self.shared.clock.mark());
        }
    }

    fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    fn let_go(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if !thread.is_finished() {
            tracing::error!("the store did not come to an end in time: stopped without it");
        } else if thread.join().is_err() {
            tracing::error!("the journal's thread panicked");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        self.ask_to_stop();
        while self.is_running() && Instant::now() < deadline {
            std::thread::sleep(PAUSE);
        }
        self.let_go();
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
