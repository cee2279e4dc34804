//! The first twenty bytes of every payload: who sent it, which one it is, and when it was due.

/// The length of a stamp on the wire.
pub(crate) const STAMP_BYTES: usize = 20;

/// A publisher's mark on a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) stream: u32,
    /// Counts from zero within the stream.
    pub(crate) sequence: u64,
    /// Nanoseconds of the run's clock at which the message was due; zero in flat-out runs.
    pub(crate) nanos: u64,
}

impl Stamp {
    /// Reads the stamp that a payload starts with.
    #[inline]
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let (stream, rest) = payload.split_first_chunk::<4>()?;
        let (sequence, rest) = rest.split_first_chunk::<8>()?;
        let nanos = rest.first_chunk::<8>()?;
        Some(Self {
            stream: u32::from_le_bytes(*stream),
            sequence: u64::from_le_bytes(*sequence),
            nanos: u64::from_le_bytes(*nanos),
        })
    }

    /// Writes the stamp over the first bytes of `payload`, which must be long enough.
    #[inline]
    pub(crate) fn write(self, payload: &mut [u8]) {
        let mut bytes = [0; STAMP_BYTES];
        let (stream, rest) = bytes.split_at_mut(4);
        let (sequence, nanos) = rest.split_at_mut(8);
        stream.copy_from_slice(&self.stream.to_le_bytes());
        sequence.copy_from_slice(&self.sequence.to_le_bytes());
        nanos.copy_from_slice(&self.nanos.to_le_bytes());
        if let Some(head) = payload.first_chunk_mut::<STAMP_BYTES>() {
            *head = bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        let stamp = Stamp { stream: 3, sequence: 1 << 40, nanos: u64::MAX };
        let mut payload = [0; 64];
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert_eq!(Stamp::read(&payload[..19]), None);
    }
}
