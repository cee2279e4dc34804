//! The runtime that commands run in.

use crate::failure::Failure;

/// Runs a future to its end. `workers` is the number of threads; `None` for one per core.
///
/// # Errors
/// The operating system gives us no threads.
pub(crate) fn block_on<F: Future>(workers: Option<usize>, future: F) -> Result<F::Output, Failure> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = workers {
        builder.worker_threads(workers);
    }
    let runtime = builder
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format!("cannot start the runtime: {error}")))?;
    let output = runtime.block_on(future);
    // A thread that still reads standard input would hold the process until the next key.
    runtime.shutdown_background();
    Ok(output)
}
