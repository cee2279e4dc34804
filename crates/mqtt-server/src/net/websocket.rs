//! MQTT over WebSocket: a transport that carries the bytes of a connection in binary messages
//! [MQTT-6.0.0-1].
//!
//! The opening handshake is a part of the transport: it happens in the first reads, so that the
//! connection's deadline for CONNECT covers it as well. Nothing is buffered but the request (8 KiB
//! at most) and one control frame: payload is unmasked where it was read to, whatever frame it is
//! in, because frame borders mean nothing for MQTT [MQTT-6.0.0-2].

mod frame;
mod origin;
mod upgrade;

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(crate) use self::upgrade::Doorway;
use self::{
    frame::{Close, Control, Frames, put_close, put_data_head, put_pong},
    upgrade::Upgrade,
};

/// A read that brings no payload is followed by another, this many times; then others run.
const READS: usize = 16;

/// One write hands at most so many chunks on, after the head of the frame.
const SLICES: usize = 64;

/// So many bytes more than the largest packet a message may have: clients may put several packets
/// in one.
const MESSAGE_SLACK: u64 = 64 * 1024;

/// The server's side of a WebSocket, as bytes.
#[derive(Debug)]
pub(crate) struct WebSocket<T> {
    io: T,
    stage: Stage,
    frames: Frames,
    /// What goes out before anything else: the answer to the handshake, control frames, the head of
    /// a data frame.
    out: BytesMut,
    /// How much of the data frame whose head was written is still to come.
    promised: usize,
    /// The last ping. Only this one is answered, so a flood of them costs one frame.
    ping: Option<Bytes>,
    /// What our Close frame says.
    close_code: u16,
}

/// ```text
/// Upgrading ──accepted──> Open ──violation──> Failed ──┐
///     └──────refused─────────┼────────────────────^    ├─ shutdown ─> Closing
///                            └──Close frame──> Ended ──┘
/// ```
#[derive(Debug)]
enum Stage {
    /// The client's request is being read.
    Upgrading(Box<Upgrade>),
    Open,
    /// The client was refused, or broke the protocol; what it still sends is thrown away.
    Failed,
    /// The client closed.
    Ended,
    /// Our Close frame is on its way; what still comes is thrown away.
    Closing,
}

impl<T> WebSocket<T> {
    /// A socket on which nothing has happened yet. A message may be somewhat larger than
    /// `packet_bytes_max`; `is_loopback` says that the client is on this machine, or seems to be.
    pub(crate) fn new(
        io: T,
        doorway: Arc<Doorway>,
        packet_bytes_max: u32,
        is_loopback: bool,
    ) -> Self {
        Self {
            io,
            stage: Stage::Upgrading(Box::new(Upgrade::new(doorway, is_loopback))),
            frames: Frames::new(u64::from(packet_bytes_max) + MESSAGE_SLACK),
            out: BytesMut::new(),
            promised: 0,
            ping: None,
            close_code: Close::NORMAL,
        }
    }

    /// Takes frames; what is left at the front of `input` is payload.
    fn handle_input(&mut self, input: &mut [u8]) -> Result<usize, Close> {
        let (ping, mut closed) = (&mut self.ping, None);
        let kept = self.frames.decode(input, |control| match control {
            Control::Ping(payload) => *ping = Some(payload),
            Control::Close(code) => closed = Some(code),
        })?;
        if let Some(code) = closed {
            self.close_code = code;
            self.stage = Stage::Ended;
        }
        Ok(kept)
    }

    fn fail(&mut self, close: &Close) -> io::Error {
        self.close_code = close.code;
        self.stage = Stage::Failed;
        io::Error::new(io::ErrorKind::InvalidData, close.why)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> WebSocket<T> {
    fn poll_upgrade(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Stage::Upgrading(upgrade) = &mut self.stage else { return Poll::Ready(Ok(())) };
        let answer = ready!(upgrade.poll_request(&mut self.io, cx))?;
        self.out.extend_from_slice(&answer.bytes);
        match answer.refused {
            None => {
                self.stage = Stage::Open;
                self.poll_out(cx).map_ok(|()| ())
            }
            Some(why) => {
                // Nobody is there who could read a Close frame.
                self.stage = Stage::Closing;
                Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)))
            }
        }
    }

    /// Writes what does not come from the caller.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while !self.out.is_empty() {
                let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.out))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.out.advance(written);
            }
            // No frame may stand inside another.
            match self.ping.take_if(|_| self.promised == 0) {
                Some(ping) => put_pong(&mut self.out, &ping),
                None => break,
            }
        }
        // The answer to the handshake needed room; what follows needs little.
        if self.out.capacity() > 64 {
            self.out = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Reads payload into `buf`; none is the end.
    fn poll_payload(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        for _ in 0..READS {
            ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
            let input = buf.filled_mut().get_mut(before..).unwrap_or_default();
            if input.is_empty() {
                self.stage = Stage::Ended;
                return Poll::Ready(Ok(()));
            }
            let kept = self.handle_input(input).map_err(|close| self.fail(&close));
            buf.set_filled(before + *kept.as_ref().unwrap_or(&0));
            let kept = kept?;
            if let Poll::Ready(Err(error)) = self.poll_out(cx) {
                return Poll::Ready(Err(error));
            }
            if kept > 0 || matches!(self.stage, Stage::Ended) {
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this.stage, Stage::Upgrading(_)) {
            ready!(this.poll_upgrade(cx))?;
        }
        match this.stage {
            Stage::Open => {
                // A client that does not read may still send.
                if let Poll::Ready(Err(error)) = this.poll_out(cx) {
                    return Poll::Ready(Err(error));
                }
                this.poll_payload(cx, buf)
            }
            Stage::Ended => Poll::Ready(Ok(())),
            Stage::Upgrading(_) => Poll::Pending,
            Stage::Failed | Stage::Closing => Pin::new(&mut this.io).poll_read(cx, buf),
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    /// Writes one binary message for each call, as long as the transport takes it whole.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !matches!(this.stage, Stage::Open) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if this.promised == 0 {
            ready!(this.poll_out(cx))?;
            this.promised = bufs.iter().take(SLICES).map(|buf| buf.len()).sum();
            if this.promised == 0 {
                return Poll::Ready(Ok(0));
            }
            put_data_head(&mut this.out, this.promised);
        }
        loop {
            let (slices, filled) = chunks(&this.out, bufs, this.promised);
            let slices = slices.get(..filled).unwrap_or_default();
            let written = ready!(Pin::new(&mut this.io).poll_write_vectored(cx, slices))?;
            let head = written.min(this.out.len());
            this.out.advance(head);
            let payload = written - head;
            this.promised -= payload;
            if payload > 0 || written == 0 {
                return Poll::Ready(Ok(payload));
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.promised == 0 {
            ready!(this.poll_out(cx))?;
        }
        Pin::new(&mut this.io).poll_flush(cx)
    }

    /// Says goodbye, and shuts the transport's sending side down.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.stage {
            Stage::Closing => {}
            Stage::Upgrading(_) => this.stage = Stage::Closing,
            Stage::Open | Stage::Failed | Stage::Ended => {
                // The middle of a frame is no place for another; then there is no goodbye.
                if this.promised == 0 {
                    this.ping = None;
                    put_close(&mut this.out, this.close_code);
                }
                this.stage = Stage::Closing;
            }
        }
        ready!(this.poll_out(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

/// The head, and of the caller's chunks as much as fits into the frame.
fn chunks<'a>(
    head: &'a [u8],
    bufs: &'a [IoSlice<'a>],
    payload_max: usize,
) -> ([IoSlice<'a>; SLICES + 1], usize) {
    let mut slices = [IoSlice::new(&[]); SLICES + 1];
    let (mut filled, mut left) = (0, payload_max);
    let payload = bufs.iter().take(SLICES).map_while(|buf| {
        let chunk = buf.get(..left.min(buf.len())).filter(|_| left > 0)?;
        left -= chunk.len();
        Some(chunk)
    });
    let head = Some(head).filter(|head| !head.is_empty());
    for (slice, chunk) in slices.iter_mut().zip(head.into_iter().chain(payload)) {
        *slice = IoSlice::new(chunk);
        filled += 1;
    }
    (slices, filled)
}
