//! Giving memory back to the operating system.
//!
//! The allocator gives back what has been free for a moment, but looks for it only when it is asked
//! for more memory than it has at hand. A broker whose clients have left asks for nothing, and would
//! keep what they used. So a large block is asked for every now and then; nobody writes to it,
//! so it costs nothing itself.

use std::{hint::black_box, time::Duration};

/// How often.
const INTERVAL: Duration = Duration::from_secs(1);

/// Larger than what the allocator serves from what it has at hand.
const BLOCK_BYTES: usize = 4 * 1024 * 1024;

/// Lets the allocator look for memory to give back, for ever.
pub(super) async fn give_back() {
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        drop(black_box(Vec::<u8>::with_capacity(BLOCK_BYTES)));
    }
}
