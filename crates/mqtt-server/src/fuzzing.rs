//! What the fuzz target `operations` plays; no part of the interface.

/// Plays the operations that the bytes stand for on a broker without I/O.
///
/// # Panics
/// If an invariant is broken: that is what the fuzzer looks for.
pub fn run(data: &[u8]) {
    crate::core::tests::operations::run(data);
}
