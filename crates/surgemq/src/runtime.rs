//! The runtime that commands run in.

use std::{fmt, panic::catch_unwind};

use tokio::runtime::Builder;

use crate::failure::Failure;

/// After so many tasks a worker looks at the sockets again. A task of ours moves up to a quarter of
/// a megabyte, so with tokio's 61 a ping beside a publisher without pause waits for 100 ms.
const TASKS_BETWEEN_LOOKS: u32 = 4;

/// Runs a future to its end, on so many worker threads.
///
/// One thread works its tasks off in the order in which their sockets became readable: a PUBLISH that
/// is written behind a SUBSCRIBE on another connection does not overtake it. A worker of the runtime
/// with several threads begins with the task that was woken last, and others may take the first.
///
/// # Errors
/// The operating system gives us no threads.
pub(crate) fn block_on<F: Future>(workers: usize, future: F) -> Result<F::Output, Failure> {
    let failed = |why: &dyn fmt::Display| Failure::new(format!("cannot start the runtime: {why}"));
    let build = || {
        let mut builder = match workers {
            1 => Builder::new_current_thread(),
            _ => Builder::new_multi_thread(),
        };
        builder.worker_threads(workers).event_interval(TASKS_BETWEEN_LOOKS).enable_all().build()
    };
    // It panics where it is given no threads.
    let runtime = catch_unwind(build).map_err(|_| failed(&"there are no threads for it"))?;
    let runtime = runtime.map_err(|error| failed(&error))?;
    let output = runtime.block_on(future);
    // A thread that still reads standard input would hold the process until the next key.
    runtime.shutdown_background();
    Ok(output)
}

/// Worker threads where nobody says how many: one fewer than the cores, and at least one. The core
/// that is left does the kernel's share of the network and the thread of the journal.
pub(crate) fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| workers_for(cores.get()))
}

fn workers_for(cores: usize) -> usize {
    cores.saturating_sub(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_core_is_left_where_there_are_two() {
        assert_eq!([1, 2, 3, 64].map(workers_for), [1, 1, 2, 63]);
    }
}
