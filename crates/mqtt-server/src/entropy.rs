//! Numbers that nobody outside can guess.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// A number that was not given before and that tells nothing about the next: a counter under a
/// keyed hash whose key, from the operating system, never leaves the process.
pub(crate) fn unguessable() -> u128 {
    static KEYS: OnceLock<[RandomState; 2]> = OnceLock::new();
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let [high, low] = KEYS.get_or_init(|| [RandomState::new(), RandomState::new()]);
    let number = COUNTER.fetch_add(1, Ordering::Relaxed);
    u128::from(high.hash_one(number)) << 64 | u128::from(low.hash_one(number))
}

#[cfg(test)]
mod tests {
    use super::unguessable;

    #[test]
    fn numbers_differ() {
        let numbers: std::collections::HashSet<_> = (0..1000).map(|_| unguessable()).collect();
        assert_eq!(numbers.len(), 1000);
    }
}
