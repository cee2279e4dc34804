//! How to connect.

use std::{fmt, sync::Arc, time::Duration};

use mqtt_packet::Version;
use mqtt_session::{ClientConfig, ConnectOptions, WillOptions};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use crate::{
    Client, Error, SessionState, UrlError, connect,
    queue::Capacity,
    url::{Url, websocket_path},
    websocket::WebSocket,
};

/// Where to connect to, and everything that a CONNECT can say.
///
/// ```no_run
/// # async fn connect() -> Result<(), mqtt_client::Error> {
/// let client = mqtt_client::Options::new("mqtt://127.0.0.1")
///     .client_id("kitchen")
///     .clean_start(false)
///     .session_expiry_secs(3600)
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing happens until `connect` is awaited"]
pub struct Options {
    address: Result<Address, UrlError>,
    pub(crate) connect: ConnectOptions,
    pub(crate) config: ClientConfig,
    pub(crate) authentication: Option<Authentication>,
    pub(crate) capacity: Capacity,
    pub(crate) identifies: bool,
    pub(crate) resumed: Option<SessionState>,
}

/// Where the server is.
#[derive(Clone, Debug)]
struct Address {
    host: String,
    port: u16,
    /// The path of the WebSocket; `None` without one.
    websocket: Option<String>,
}

/// How challenges are answered.
pub(crate) struct Authentication {
    pub(crate) respond: Box<Respond>,
}

type Respond = dyn FnMut(&[u8]) -> Vec<u8> + Send;

/// The standard's limit is 65,535; this many messages of QoS 1 and 2 are enough to keep a
/// connection busy, and bound what a reader that is behind can cost.
const RECEIVE_MAXIMUM: u16 = 1024;

impl Options {
    /// Options for the server at `url`: `mqtt://user:password@host:port?version=5`, or `tcp://`;
    /// `ws://user:password@host:port/path` is WebSocket, at `/mqtt` without a path and at port 80
    /// without a port. User, password, port and version may be left out; a URL that cannot be used is
    /// an error of [`Options::connect`].
    ///
    /// The defaults: version 5.0, a client identifier of the server's choice, a clean start, a keep
    /// alive of 60 s, and a connect timeout of 2 s.
    pub fn new(url: impl AsRef<str>) -> Self {
        let mut connect = ConnectOptions::new(Version::V5, "");
        connect.receive_maximum = RECEIVE_MAXIMUM;
        let address = Url::parse(url.as_ref()).map(|url| {
            connect.user_name = url.user_name;
            connect.password = url.password.map(String::into_bytes);
            connect.version = url.version.unwrap_or(Version::V5);
            Address { host: url.host, port: url.port, websocket: url.websocket }
        });
        Self::with(address, connect)
    }

    /// Options for the server at `host`, a name or an address, and `port`.
    pub fn to(host: impl Into<String>, port: u16) -> Self {
        let mut connect = ConnectOptions::new(Version::V5, "");
        connect.receive_maximum = RECEIVE_MAXIMUM;
        Self::with(Ok(Address { host: host.into(), port, websocket: None }), connect)
    }

    fn with(address: Result<Address, UrlError>, connect: ConnectOptions) -> Self {
        Self {
            address,
            connect,
            config: ClientConfig { connect_timeout_millis: 2_000, ..ClientConfig::default() },
            authentication: None,
            capacity: Capacity { messages: 1024, bytes: 16 * 1024 * 1024 },
            identifies: true,
            resumed: None,
        }
    }

    /// Speaks over WebSocket, at this path of the server, such as `/mqtt` [MQTT-6.0.0-3].
    pub fn websocket(mut self, path: impl AsRef<str>) -> Self {
        self.address = self.address.and_then(|address| {
            let websocket = Some(websocket_path(path.as_ref())?);
            Ok(Address { websocket, ..address })
        });
        self
    }

    /// The protocol version.
    pub const fn version(mut self, version: Version) -> Self {
        self.connect.version = version;
        self
    }

    /// The client identifier. Without one the server chooses it; 3.1 has no such servers, so the
    /// client makes one up there.
    pub fn client_id(mut self, id: impl Into<String>) -> Self {
        self.connect.client_id = id.into();
        self
    }

    /// Whether an older session is thrown away. In 3.1 and 3.1.1 this is Clean Session: the new
    /// session then ends with the connection.
    ///
    /// With `false` the client takes on whatever session the server has, also one of an earlier
    /// process: messages for subscriptions of then go to [`Client::messages`]. In 5.0 a session
    /// outlives its connection only with [`Options::session_expiry_secs`].
    pub const fn clean_start(mut self, clean: bool) -> Self {
        self.connect.clean_start = clean;
        self
    }

    /// Goes on with the session of an earlier connection: its client identifier, no clean start,
    /// and its unfinished messages.
    ///
    /// The connection that has the session has to be over; [`Client::closed`] waits for that.
    pub fn resume(mut self, session: &SessionState) -> Self {
        session.client_id().clone_into(&mut self.connect.client_id);
        self.connect.clean_start = false;
        self.resumed = Some(session.clone());
        self
    }

    /// How long the session outlives the connection, in seconds; `u32::MAX` for ever. 5.0 only:
    /// before that it follows from [`Options::clean_start`].
    pub const fn session_expiry_secs(mut self, secs: u32) -> Self {
        self.connect.session_expiry_secs = secs;
        self
    }

    /// The longest silence towards the server, in seconds; 0 for no limit. 60 without this.
    pub const fn keep_alive_secs(mut self, secs: u16) -> Self {
        self.connect.keep_alive_secs = secs;
        self
    }

    /// How long connecting may take in all, from the name lookup to CONNACK; 2 s without this.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.config.connect_timeout_millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// How long the server may be silent after a PINGREQ; 10 s without this.
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.config.ping_timeout_millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// What the server publishes if the connection ends badly.
    pub fn will(mut self, will: WillOptions) -> Self {
        self.connect.will = Some(will);
        self
    }

    /// The user name.
    pub fn user_name(mut self, name: impl Into<String>) -> Self {
        self.connect.user_name = Some(name.into());
        self
    }

    /// The password. Before 5.0 it needs a user name [MQTT-3.1.2-22].
    pub fn password(mut self, password: impl Into<Vec<u8>>) -> Self {
        self.connect.password = Some(password.into());
        self
    }

    /// How many messages of QoS 1 and 2 may come unacknowledged; not 0. 1,024 without this.
    pub const fn receive_maximum(mut self, maximum: u16) -> Self {
        self.connect.receive_maximum = maximum;
        self
    }

    /// The largest packet that is read, in bytes; not 0. Without this the protocol's limit.
    pub const fn maximum_packet_size(mut self, bytes: u32) -> Self {
        self.connect.maximum_packet_size = bytes;
        self
    }

    /// The highest topic alias that the server may set; 0 without this.
    pub const fn topic_alias_maximum(mut self, maximum: u16) -> Self {
        self.connect.topic_alias_maximum = maximum;
        self
    }

    /// How many topic aliases are set towards a server that permits them; 16 without this.
    pub const fn sent_topic_aliases(mut self, maximum: u16) -> Self {
        self.config.topic_aliases_max = maximum;
        self
    }

    /// How many messages of QoS 1 and 2 are sent unacknowledged to a server that permits more;
    /// 1,024 without this.
    pub const fn send_window(mut self, messages: u16) -> Self {
        self.config.send_window_max = messages;
        self
    }

    /// Whether Response Information is asked for.
    pub const fn request_response_information(mut self, request: bool) -> Self {
        self.connect.request_response_information = request;
        self
    }

    /// Whether reasons in words are wanted on all packets; they are without this.
    pub const fn request_problem_information(mut self, request: bool) -> Self {
        self.connect.request_problem_information = request;
        self
    }

    /// Enhanced authentication: a method, the first data, and how challenges are answered, at
    /// connect and when authenticating anew.
    pub fn authentication(
        mut self,
        method: impl Into<String>,
        data: impl Into<Vec<u8>>,
        respond: impl FnMut(&[u8]) -> Vec<u8> + Send + 'static,
    ) -> Self {
        self.connect.authentication_method = Some(method.into());
        self.connect.authentication_data = Some(data.into()).filter(|data| !data.is_empty());
        self.authentication = Some(Authentication { respond: Box::new(respond) });
        self
    }

    /// Adds a name and a value for the server; 5.0 only.
    pub fn user_property(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.connect.user_properties.push((name.into(), value.into()));
        self
    }

    /// How many messages, and how many bytes of them, a stream holds for its reader; 1,024 and
    /// 16 MiB without this. A message that is larger comes through alone.
    ///
    /// Beyond that, messages of QoS 1 and 2 are not acknowledged until there is room, so that the
    /// server stops at the receive maximum, and messages of QoS 0 stop the reading for up to 2 s;
    /// then they are dropped, and counted, until the reader has caught up.
    pub const fn stream_capacity(mut self, messages: usize, bytes: usize) -> Self {
        self.capacity = Capacity { messages, bytes };
        self
    }

    /// Whether subscriptions get identifiers, so that messages for overlapping subscriptions find
    /// their streams; they do without this. A client with one stream can do without, and saves the
    /// server work for each message.
    pub const fn subscription_identifiers(mut self, identify: bool) -> Self {
        self.identifies = identify;
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// The URL, the network, a refusal, a time-out, or options that the version has no place for.
    pub async fn connect(self) -> Result<Client, Error> {
        let Address { host, port, websocket } = self.address.clone()?;
        let within = self.config.connect_timeout_millis;
        let failed =
            |source| Error::Connect { address: format!("{host}:{port}"), source: Arc::new(source) };
        let connecting = async {
            let io = TcpStream::connect((host.as_str(), port)).await.and_then(|stream| {
                // Nagle's algorithm would hold small packets back for the peer's delayed ack.
                stream.set_nodelay(true)?;
                Ok(stream)
            });
            let io = io.map_err(failed)?;
            let Some(path) = &websocket else { return connect::handshake(self, io).await };
            let packet_bytes_max = self.connect.maximum_packet_size;
            let io = WebSocket::open(io, &host, port, path, packet_bytes_max).await;
            connect::handshake(self, io.map_err(failed)?).await
        };
        within_millis(within, connecting).await
    }

    /// Connects over a transport that is open already: TLS, a Unix socket, a pipe.
    ///
    /// # Errors
    /// As [`Options::connect`]; the address is not looked at.
    pub async fn connect_with<T>(self, io: T) -> Result<Client, Error>
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        within_millis(self.config.connect_timeout_millis, connect::handshake(self, io)).await
    }
}

async fn within_millis(
    millis: u64,
    connecting: impl Future<Output = Result<Client, Error>>,
) -> Result<Client, Error> {
    let connected = timeout(Duration::from_millis(millis), connecting).await;
    connected.unwrap_or(Err(Error::ConnectTimeout { millis }))
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("address", &self.address)
            .field("connect", &self.connect)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authentication")
    }
}
