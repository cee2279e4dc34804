//! What is on its way to the socket.

use std::{collections::VecDeque, io::IoSlice};

use bytes::{Buf, Bytes, BytesMut};

/// Below this length bytes are copied into the tail: a copy costs less than a reference, and does
/// not keep a large read buffer alive for a few bytes.
const COPY_BELOW: usize = 2048;

/// The tail is closed at this length, so that no buffer grows without end.
const SEAL_AT: usize = 64 * 1024;

/// Encoded packets that wait for the socket: shared chunks, and a tail that encoders append to.
///
/// The owner asks for [`Output::slices`], writes them, and reports with [`Output::advance`] how
/// many bytes went out.
#[derive(Debug, Default)]
pub struct Output {
    chunks: VecDeque<Chunk>,
    chunks_len: usize,
    tail: BytesMut,
    tail_messages: u32,
}

#[derive(Debug)]
struct Chunk {
    bytes: Bytes,
    /// QoS 0 messages that count as delivered once the chunk is written.
    messages: u32,
}

impl Output {
    /// Bytes that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.chunks_len + self.tail.len()
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The buffer that encoders append whole packets to.
    #[inline]
    pub fn tail(&mut self) -> &mut BytesMut {
        if self.tail.len() >= SEAL_AT {
            self.seal();
        }
        &mut self.tail
    }

    /// Counts `messages` of QoS 0 that were just written to the tail.
    pub fn count_messages(&mut self, messages: u32) {
        self.tail_messages += messages;
    }

    /// Appends bytes that hold `messages` whole QoS 0 messages; by reference, unless they are few.
    pub fn push(&mut self, bytes: Bytes, messages: u32) {
        if bytes.len() < COPY_BELOW {
            self.tail().extend_from_slice(&bytes);
            self.tail_messages += messages;
            return;
        }
        self.seal();
        self.chunks_len += bytes.len();
        self.chunks.push_back(Chunk { bytes, messages });
    }

    /// Fills `slices` with what to write next, in order, and answers how many it filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let bytes = self.chunks.iter().map(|chunk| chunk.bytes.as_ref());
        let tail = (!self.tail.is_empty()).then_some(self.tail.as_ref());
        let mut filled = 0;
        for (slot, bytes) in slices.iter_mut().zip(bytes.chain(tail)) {
            *slot = IoSlice::new(bytes);
            filled += 1;
        }
        filled
    }

    /// Removes `written` bytes from the front and answers how many QoS 0 messages that completed.
    pub fn advance(&mut self, mut written: usize) -> u64 {
        let mut messages = 0;
        while let Some(chunk) = self.chunks.front_mut() {
            if written < chunk.bytes.len() {
                chunk.bytes.advance(written);
                self.chunks_len -= written;
                return messages;
            }
            written -= chunk.bytes.len();
            self.chunks_len -= chunk.bytes.len();
            messages += u64::from(chunk.messages);
            self.chunks.pop_front();
        }
        self.tail.advance(written.min(self.tail.len()));
        if self.tail.is_empty() {
            messages += u64::from(std::mem::take(&mut self.tail_messages));
        }
        messages
    }

    /// QoS 0 messages that wait, wholly or in part.
    #[must_use]
    pub fn messages(&self) -> u64 {
        let chunks: u64 = self.chunks.iter().map(|chunk| u64::from(chunk.messages)).sum();
        chunks + u64::from(self.tail_messages)
    }

    /// Gives unused memory back; called when the connection has nothing to do.
    pub fn shrink(&mut self) {
        if self.is_empty() {
            self.tail = BytesMut::new();
            self.chunks.shrink_to(4);
        }
    }

    fn seal(&mut self) {
        if self.tail.is_empty() {
            return;
        }
        let bytes = self.tail.split().freeze();
        self.chunks_len += bytes.len();
        self.chunks.push_back(Chunk { bytes, messages: std::mem::take(&mut self.tail_messages) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(output: &Output) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 8];
        let filled = output.slices(&mut slices);
        slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect()
    }

    #[test]
    fn order_is_kept_between_copies_and_references() {
        let mut output = Output::default();
        output.push(Bytes::from_static(b"small"), 1);
        output.push(Bytes::from(vec![b'x'; COPY_BELOW]), 2);
        output.tail().extend_from_slice(b"ack");
        let expected = [b"small".to_vec(), vec![b'x'; COPY_BELOW], b"ack".to_vec()].concat();
        assert_eq!(written(&output), expected);
        assert_eq!(output.len(), expected.len());
    }

    #[test]
    fn messages_count_when_their_last_byte_is_written() {
        let mut output = Output::default();
        output.push(Bytes::from_static(b"small"), 1);
        output.push(Bytes::from(vec![b'x'; COPY_BELOW]), 2);
        assert_eq!(output.advance(4), 0);
        assert_eq!(output.advance(1), 1);
        assert_eq!(output.advance(COPY_BELOW - 1), 0);
        assert_eq!(output.messages(), 2);
        assert_eq!(output.advance(1), 2);
        assert!(output.is_empty());
    }
}
