//! MQTT over WebSocket, from the client's side [MQTT-6.0.0-3].

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use futures_core::Stream;
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        ClientRequestBuilder, Error, Message, error::CapacityError, protocol::WebSocketConfig,
    },
};

/// The sub-protocol of MQTT.
const PROTOCOL: &str = "mqtt";

/// A message that we send has at most this many bytes; packets may be larger, as frame borders mean
/// nothing [MQTT-6.0.0-2].
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// What a server may put into one message besides its largest packet, in bytes.
const MESSAGE_SLACK: usize = 16 * 1024 * 1024;

/// A WebSocket as bytes.
#[derive(Debug)]
pub(crate) struct WebSocket<T> {
    socket: WebSocketStream<T>,
    /// What was received and not read yet.
    rest: Bytes,
}

impl<T: AsyncRead + AsyncWrite + Unpin> WebSocket<T> {
    /// Asks the server at the other end of `io` for MQTT at `path`.
    pub(crate) async fn open(
        io: T,
        host: &str,
        port: u16,
        path: &str,
        packet_bytes_max: u32,
    ) -> io::Result<Self> {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let uri = format!("ws://{host}:{port}{path}").parse().map_err(io::Error::other)?;
        let request = ClientRequestBuilder::new(uri).with_sub_protocol(PROTOCOL);
        let packet = usize::try_from(packet_bytes_max).unwrap_or(usize::MAX);
        let message = packet.saturating_add(MESSAGE_SLACK);
        let config = WebSocketConfig::default()
            .read_buffer_size(MESSAGE_BYTES_MAX)
            .write_buffer_size(MESSAGE_BYTES_MAX)
            .max_message_size(Some(message))
            .max_frame_size(Some(message));
        let opened = client_async_with_config(request, io, Some(config)).await;
        let (socket, _) = opened.map_err(|error| match error {
            Error::Http(response) => io::Error::new(
                io::ErrorKind::ConnectionRefused,
                format!("the server answers the WebSocket handshake with {}", response.status()),
            ),
            error => io_error(error),
        })?;
        Ok(Self { socket, rest: Bytes::new() })
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        while this.rest.is_empty() {
            match ready!(Pin::new(&mut this.socket).poll_next(cx)) {
                Some(Ok(Message::Binary(bytes))) => this.rest = bytes,
                // Any other data frame ends the connection [MQTT-6.0.0-1].
                Some(Ok(Message::Text(_))) => {
                    let why = "the server sent a text frame [MQTT-6.0.0-1]";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                None
                | Some(
                    Ok(Message::Close(_)) | Err(Error::ConnectionClosed | Error::AlreadyClosed),
                ) => {
                    return Poll::Ready(Ok(()));
                }
                Some(Err(error)) => return Poll::Ready(Err(io_error(error))),
            }
        }
        let taken = this.rest.len().min(buf.remaining());
        buf.put_slice(this.rest.get(..taken).unwrap_or_default());
        this.rest.advance(taken);
        Poll::Ready(Ok(()))
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

    /// Makes one message of what fits into one.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.socket).poll_ready(cx)).map_err(io_error)?;
        let total: usize = bufs.iter().map(|buf| buf.len()).sum();
        let mut bytes = BytesMut::with_capacity(total.min(MESSAGE_BYTES_MAX));
        for buf in bufs {
            let room = MESSAGE_BYTES_MAX - bytes.len();
            bytes.extend_from_slice(buf.get(..room.min(buf.len())).unwrap_or_default());
        }
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let length = bytes.len();
        let sent = Pin::new(&mut this.socket).start_send(Message::Binary(bytes.freeze()));
        Poll::Ready(sent.map(|()| length).map_err(io_error))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx).map_err(io_error)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_close(cx).map_err(io_error)
    }
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        Error::ConnectionClosed | Error::AlreadyClosed => io::ErrorKind::BrokenPipe.into(),
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            io::Error::new(io::ErrorKind::InvalidData, "the server's message is too large")
        }
        error => io::Error::new(io::ErrorKind::InvalidData, error),
    }
}
