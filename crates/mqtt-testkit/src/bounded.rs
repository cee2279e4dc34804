//! Tests that end.

use std::{future::Future, time::Duration};

/// What `future` answers, if it does so within `secs` seconds.
///
/// # Panics
/// It does not: `what` says what was waited for.
#[track_caller]
pub fn within<T>(
    secs: u64,
    what: impl std::fmt::Display,
    future: impl Future<Output = T>,
) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        match tokio::time::timeout(Duration::from_secs(secs), future).await {
            Ok(answer) => answer,
            Err(_) => {
                // In a test this is the way to fail.
                #[expect(clippy::panic, reason = "a test that waits too long has failed")]
                {
                    panic!("{caller}: {what} took more than {secs} s")
                }
            }
        }
    }
}
