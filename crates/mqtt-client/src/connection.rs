//! A socket and the endpoint that it feeds, by `&mut`.

use std::{
    future::{Future, poll_fn},
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use mqtt_session::{ClientEndpoint, Time};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    time::{Sleep, sleep, timeout},
};

use crate::{
    Loss, SessionState,
    session_state::{Clock, Kept},
};

/// How much is asked of the socket in one read, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// A buffer with less room than this is replaced. With more it is read into again, although messages
/// that came in it are still held: many small reads then share one buffer, not pin one each.
const READ_BYTES_MIN: usize = 4 * 1024;

/// How many chunks are handed to the socket in one write.
const WRITE_CHUNKS: usize = 64;

/// How long the last bytes, and the server's close, may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// One connection's transport and state.
#[derive(Debug)]
pub(crate) struct Connection<T> {
    io: T,
    pub(crate) endpoint: ClientEndpoint,
    clock: Clock,
    /// Where the session goes at the end.
    pub(crate) session: SessionState,
    /// The number of the last message of QoS 1 or 2.
    pub(crate) last_mark: u64,
    buf: BytesMut,
    sleep: Pin<Box<Sleep>>,
    /// Whether bytes were written that a buffering transport may still hold.
    unflushed: bool,
    /// Writing failed. Reading goes on, because the server may have said why.
    write_error: Option<io::Error>,
}

impl<T> Connection<T> {
    pub(crate) fn new(
        io: T,
        endpoint: ClientEndpoint,
        session: SessionState,
        clock: Clock,
        last_mark: u64,
    ) -> Self {
        Self {
            io,
            endpoint,
            clock,
            session,
            last_mark,
            buf: BytesMut::new(),
            sleep: Box::pin(sleep(Duration::ZERO)),
            unflushed: false,
            write_error: None,
        }
    }

    pub(crate) fn now(&self) -> Time {
        self.clock.now()
    }

    /// Gives the session back to its handle, once the connection is over.
    pub(crate) fn keep_session(&mut self) {
        self.endpoint.abandon();
        if let Some((session, _)) = self.endpoint.take_session() {
            let (clock, last_mark) = (self.clock, self.last_mark);
            self.session.put(Kept { session, clock, last_mark });
        }
    }
}

/// Also a connection that is given up, by a time-out or with its runtime, leaves its session.
impl<T> Drop for Connection<T> {
    fn drop(&mut self) {
        self.keep_session();
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Connection<T> {
    /// Moves bytes in both directions and waits for the time; ready when there is something to look
    /// at, or when the transport is gone. Reads only if `reads` is set.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        reads: bool,
        deadline: Option<Time>,
    ) -> Poll<Result<(), Loss>> {
        self.poll_write(cx);
        if reads {
            match self.poll_read(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(self.closed())),
                Poll::Ready(Ok(_)) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Loss::Io(Arc::new(error)))),
                Poll::Pending => {}
            }
        }
        match mqtt_session::time::earliest(self.endpoint.poll_timeout(), deadline) {
            Some(due) => self.poll_time(due, cx).map(Ok),
            None => Poll::Pending,
        }
    }

    fn poll_time(&mut self, due: Time, cx: &mut Context<'_>) -> Poll<()> {
        if due <= self.now() {
            return Poll::Ready(());
        }
        let instant = self.clock.instant(due);
        if self.sleep.deadline() != instant {
            self.sleep.as_mut().reset(instant);
        }
        self.sleep.as_mut().poll(cx)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.buf.capacity() - self.buf.len() < READ_BYTES_MIN {
            self.buf.reserve(READ_BYTES);
        }
        let read = {
            let Self { io, buf, .. } = self;
            pin!(io.read_buf(buf)).poll(cx)
        };
        if matches!(read, Poll::Ready(Ok(1..))) {
            let now = self.now();
            self.endpoint.handle_input(&mut self.buf, now);
        }
        read
    }

    /// The server closed. If writing failed before, that is what is told.
    fn closed(&mut self) -> Loss {
        match self.write_error.take() {
            Some(error) => Loss::Io(Arc::new(error)),
            None => Loss::Closed,
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) {
        while !self.endpoint.output().is_empty() {
            if self.write_error.is_some() {
                self.endpoint.advance_output(self.endpoint.output().len());
                return;
            }
            let mut slices = [IoSlice::new(&[]); WRITE_CHUNKS];
            let filled = self.endpoint.output().slices(&mut slices);
            let chunks = slices.get(..filled).unwrap_or_default();
            match Pin::new(&mut self.io).poll_write_vectored(cx, chunks) {
                Poll::Ready(Ok(0)) => self.write_error = Some(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => {
                    self.unflushed = true;
                    self.endpoint.advance_output(written);
                }
                Poll::Ready(Err(error)) => self.write_error = Some(error),
                Poll::Pending => return,
            }
        }
        if self.unflushed
            && let Poll::Ready(flushed) = Pin::new(&mut self.io).poll_flush(cx)
        {
            self.unflushed = false;
            self.write_error = flushed.err();
        }
    }

    /// Writes what is left, closes, and waits for the server to close too: a socket that is closed
    /// with unread bytes in it would take back the last packet [MQTT-3.14.4-2].
    pub(crate) async fn close(&mut self) {
        let closing = async {
            poll_fn(|cx| {
                self.poll_write(cx);
                let done = self.endpoint.output().is_empty() && !self.unflushed;
                if done { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            poll_fn(|cx| Pin::new(&mut self.io).poll_shutdown(cx)).await?;
            loop {
                self.buf.clear();
                self.buf.reserve(READ_BYTES);
                if self.io.read_buf(&mut self.buf).await? == 0 {
                    return Ok::<_, io::Error>(());
                }
            }
        };
        if !matches!(timeout(CLOSE_TIMEOUT, closing).await, Ok(Ok(()))) {
            tracing::debug!("the transport did not close cleanly");
        }
    }
}
