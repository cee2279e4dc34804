//! Fields of fixed length, read one behind the other.

/// The bytes that are left to read.
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    /// Returns the next bytes; `None` where there are fewer.
    pub(crate) fn next<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    /// Returns the next eight bytes as a number, the highest first.
    pub(crate) fn number(&mut self) -> Option<u64> {
        self.next().map(u64::from_be_bytes)
    }
}
