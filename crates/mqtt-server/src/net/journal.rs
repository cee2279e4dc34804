//! The thread that writes the journal.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::JoinHandle,
    time::Instant,
};

use crate::server::Shared;

/// Writes the journal of a server with a session store, a group at a time. Dropping it writes what
/// is left.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread, if there is a journal.
    pub(crate) fn start(shared: &Arc<Shared>) -> Self {
        let shared = shared.clone();
        let thread = shared.broker.journal.is_some().then(|| {
            let shared = shared.clone();
            std::thread::spawn(move || write(&shared))
        });
        Self { shared, thread }
    }

    /// Writes what is left, and ends the thread.
    pub(crate) fn stop(&mut self) {
        if let (Some(journal), Some(thread)) = (&self.shared.broker.journal, self.thread.take()) {
            journal.stop();
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
