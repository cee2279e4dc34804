//! The mark that every group carries: it is what tells a torn tail from damage.

use super::{RECORD_VERSION, reader::Reader};

/// What a group says of itself. It is the first record of each group in the journal, so the journal
/// can be checked without a look at anything else.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub(crate) struct GroupMark {
    /// The number of the group, counted from 1 without a gap.
    pub(crate) number: u64,
    /// A sequence number of the database from before the group: the journal's checksums do not
    /// cover its own.
    pub(crate) after: u64,
    /// The last group that was on the disk when this one was written.
    pub(crate) synced: u64,
}

impl GroupMark {
    /// The length of the record, in bytes.
    pub(crate) const LEN: usize = 25;

    /// The record.
    pub(crate) fn encode(self) -> [u8; Self::LEN] {
        let mut record = [RECORD_VERSION; Self::LEN];
        let fields = [self.number, self.after, self.synced];
        for (to, field) in
            record.iter_mut().skip(1).zip(fields.iter().flat_map(|f| f.to_be_bytes()))
        {
            *to = field;
        }
        record
    }

    /// The mark of a record.
    pub(crate) fn decode(record: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(record)?;
        let mark =
            Self { number: reader.fixed()?, after: reader.fixed()?, synced: reader.fixed()? };
        reader.end()?;
        Some(mark)
    }
}
