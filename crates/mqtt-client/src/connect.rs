//! From a transport to a client: CONNECT, challenges, CONNACK.

use std::{future::poll_fn, sync::Arc};

use mqtt_packet::Version;
use mqtt_session::{ClientEndpoint, ClientEvent, Connected, Session};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};

use crate::{
    Client, Error, Loss, Options, SessionState,
    connection::Connection,
    driver::{Driver, Waiting},
    options::Authentication,
    router::Router,
    session_state::Clock,
    shared::Shared,
};

/// How many messages, and how many commands, wait for the connection's task before their senders do.
const COMMANDS_MAX: usize = 64;

/// Connects over `io` and starts the task that owns it.
pub(crate) async fn handshake<T>(mut options: Options, io: T) -> Result<Client, Error>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connect = &mut options.connect;
    if connect.version == Version::V31 && connect.client_id.is_empty() {
        connect.client_id = made_up_id();
    }
    connect.check()?;
    let kept = match &options.resumed {
        Some(state) => Some(state.take().ok_or(Error::SessionInUse)?),
        None => None,
    };
    let (clock, last_mark) =
        kept.as_ref().map_or_else(|| (Clock::start(), 0), |kept| (kept.clock, kept.last_mark));
    // Whoever asks for no clean start takes on what the server has.
    let session =
        kept.map(|kept| kept.session).or_else(|| (!connect.clean_start).then(Session::default));
    let endpoint = ClientEndpoint::new(options.config, connect.clone(), session, clock.now())?;
    let state = options.resumed.unwrap_or_else(|| SessionState::new(&connect.client_id));
    let mut connection = Connection::new(io, endpoint, state, clock, last_mark);
    let timeout_millis = options.config.connect_timeout_millis;
    let connected = accepted(&mut connection, &mut options.authentication, timeout_millis).await?;
    if connection.session.client_id() != connected.client_id {
        connection.session = SessionState::new(&connected.client_id);
    }

    let connect = &options.connect;
    let shared = Arc::new(Shared::new(
        connect.version,
        connected,
        options.capacity,
        connection.session.clone(),
        !connect.clean_start,
    ));
    let (messages, published) = mpsc::channel(COMMANDS_MAX);
    let (requests, commands) = mpsc::channel(COMMANDS_MAX);
    let driver = Driver {
        connection,
        published,
        commands,
        router: Router::new(shared.clone()),
        shared: shared.clone(),
        authentication: options.authentication,
        withheld_max: u64::from(connect.receive_maximum),
        identifies: options.identifies,
        last_identifier: 0,
        waiting: Waiting::default(),
    };
    tokio::spawn(driver.run());
    Ok(Client::new(messages, requests, shared))
}

/// Waits for CONNACK.
async fn accepted<T: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<T>,
    authentication: &mut Option<Authentication>,
    timeout_millis: u64,
) -> Result<Connected, Error> {
    loop {
        let turn = poll_fn(|cx| connection.poll(cx, true, None)).await;
        let now = connection.now();
        if connection.endpoint.handle_timeout(now).is_some() {
            return Err(Error::ConnectTimeout { millis: timeout_millis });
        }
        match connection.endpoint.poll_event(now) {
            Some(ClientEvent::Connected(connected)) => return Ok(*connected),
            Some(ClientEvent::Refused(refused)) => return Err(Error::Refused(Arc::new(*refused))),
            Some(ClientEvent::Failed(violation)) => {
                return Err(Error::ConnectionLost(Loss::Violation(violation)));
            }
            Some(ClientEvent::Auth { data }) => {
                let response = authentication.as_mut().map(|method| (method.respond)(&data));
                connection.endpoint.authenticate(&response.unwrap_or_default(), now)?;
            }
            _ => turn.map_err(Error::ConnectionLost)?,
        }
    }
}

/// A client identifier of 23 characters at most, for 3.1 (D31-03, D31-04).
fn made_up_id() -> String {
    let nanos = Clock::since_epoch().as_nanos() & u128::from(u64::MAX);
    format!("s{:x}{nanos:x}", std::process::id() & 0xFFFF)
}
