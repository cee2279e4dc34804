//! Lines of any bytes.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncBufRead, AsyncBufReadExt};

use super::PAYLOAD_BYTES_MAX;

/// Cuts what it reads at line feeds. A carriage return stays: the payload is the sender's.
pub(super) struct Lines<R> {
    input: R,
    /// The beginning of a line whose end has not come yet.
    started: BytesMut,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(super) fn new(input: R) -> Self {
        Self { input, started: BytesMut::new() }
    }

    /// The next line without its line feed; `None` at the end. The last line needs none. Dropping
    /// the future loses nothing.
    ///
    /// # Errors
    /// The input cannot be read, or a line fits into no packet.
    pub(super) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let read = self.input.fill_buf().await?;
            if read.is_empty() {
                let last = self.started.split().freeze();
                return Ok(Some(last).filter(|last| !last.is_empty()));
            }
            let end = read.iter().position(|byte| *byte == b'\n');
            let part = read.get(..end.unwrap_or(read.len())).unwrap_or_default();
            self.started.extend_from_slice(part);
            let consumed = part.len() + usize::from(end.is_some());
            self.input.consume(consumed);
            if end.is_some() {
                return Ok(Some(self.started.split().freeze()));
            }
            if self.started.len() as u64 > PAYLOAD_BYTES_MAX {
                return Err(io::Error::other("a line has more bytes than fit into one message"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(text: &str, buffer: usize) -> Vec<String> {
        let input = tokio::io::BufReader::with_capacity(buffer, text.as_bytes());
        let mut lines = Lines::new(input);
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push(String::from_utf8(line.to_vec()).unwrap());
        }
        all
    }

    #[tokio::test]
    async fn lines_end_with_a_line_feed_or_the_input() {
        // As mosquitto_pub 2.0.11 does it.
        for buffer in [1, 2, 1000] {
            let got = lines("one\n\ntwo\r\nthree", buffer).await;
            assert_eq!(got, ["one", "", "two\r", "three"], "{buffer}");
            assert_eq!(lines("one\n", buffer).await, ["one"]);
            assert_eq!(lines("", buffer).await, [""; 0]);
        }
    }
}
