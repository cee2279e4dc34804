//! Giving memory back to the operating system.
//!
//! The allocator gives back what has been free for a moment, but each thread looks only at the part of
//! its memory that it frees something in. A broker whose clients have left frees nothing more, and
//! would keep what they used. So every now and then a thread frees some large blocks and takes
//! others, enough of them that no part is passed over. Nobody writes to them, so they cost no memory
//! themselves.

use std::{cell::RefCell, fs, time::Duration};

/// How often.
const INTERVAL: Duration = Duration::from_secs(1);

/// Larger than what the allocator serves from what it has at hand.
const BLOCK_BYTES: usize = 256 * 1024;

/// A thread takes no more blocks at once: a millisecond of work.
const BLOCKS_MAX: usize = 2048;

thread_local! {
    /// What this thread frees when it is its turn again.
    static HELD: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Looks for memory to give back, for ever.
pub(super) async fn give_back() {
    let workers = tokio::runtime::Handle::current().metrics().num_workers();
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        ticks.tick().await;
        let count = resident_bytes() / BLOCK_BYTES / workers;
        // Each thread that is idle takes one of these.
        for _ in 0..workers {
            tokio::spawn(async move { HELD.with_borrow_mut(|held| exchange(held, count)) });
        }
    }
}

/// Frees the blocks and takes so many others, or as many as the system has room for.
fn exchange(held: &mut Vec<Vec<u8>>, count: usize) {
    let block = || {
        let mut block = Vec::new();
        block.try_reserve_exact(BLOCK_BYTES).ok().map(|()| block)
    };
    held.clear();
    held.extend(std::iter::from_fn(block).take(count.clamp(4, BLOCKS_MAX)));
}

/// The memory of this process that is resident, where pages have 4 KiB; nothing where the system
/// does not say.
fn resident_bytes() -> usize {
    let said = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = said.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.unwrap_or(0).saturating_mul(4096)
}
