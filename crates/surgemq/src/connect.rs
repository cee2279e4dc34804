//! From arguments to a connected client, and from its errors to exit codes.

use std::time::Duration;

use mqtt_client::{
    Client, DisconnectOptions, Error, Loss, Options, Publish, ReasonCode, WillOptions,
};

use crate::{
    cli::{Connection, ConnectionWill},
    failure::Failure,
    properties::{ConnectProperties, MessageProperties},
};

/// Long enough for a broker on the other side of the world that is busy.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Connects.
///
/// # Errors
/// The broker cannot be reached, or refuses. The exit code of a refusal is the code in CONNACK.
pub(crate) async fn connect(connection: &Connection) -> Result<Client, Failure> {
    let client = options(connection).connect().await.map_err(|error| match &error {
        Error::Refused(refused) if !connection.version.is_v5() => {
            Failure::with_code(error.to_string(), refused.reason.connack_v3())
        }
        error => failure(error),
    })?;
    let said = client.connected();
    let (id, session) = (&said.client_id, said.session_present);
    tracing::debug!("connected as {id:?}, session present: {session}");
    Ok(client)
}

/// Leaves in good order, if the connection is still there.
pub(crate) async fn disconnect(client: &Client, connection: &Connection) {
    let properties = &connection.properties.disconnect;
    let options = DisconnectOptions {
        session_expiry_secs: properties.session_expiry_secs,
        user_properties: properties.user.clone(),
        ..DisconnectOptions::default()
    };
    match client.disconnect_with(options).await {
        Ok(()) => tracing::debug!("disconnected"),
        // Whoever lost the connection has said so where it mattered.
        Err(error) => tracing::debug!("not disconnected: {error}"),
    }
}

/// Puts the properties of the command line into a message.
pub(crate) fn with_properties(mut publish: Publish, given: &MessageProperties) -> Publish {
    if let Some(is_utf8) = given.payload_format_indicator {
        publish = publish.payload_is_utf8(is_utf8);
    }
    if let Some(secs) = given.expiry_secs {
        publish = publish.expiry_secs(secs);
    }
    if let Some(content_type) = &given.content_type {
        publish = publish.content_type(content_type);
    }
    if let Some(topic) = &given.response_topic {
        publish = publish.response_topic(topic);
    }
    if let Some(data) = &given.correlation_data {
        publish = publish.correlation_data(data.as_slice());
    }
    given.user.iter().fold(publish, |publish, (name, value)| publish.user_property(name, value))
}

/// The failure that an error of the client is. Where the broker gave a reason, its code is the exit
/// code.
pub(crate) fn failure(error: &Error) -> Failure {
    let reason = match error {
        Error::Refused(refused) => Some(refused.reason),
        Error::PublishRefused { reason } => Some(*reason),
        Error::SubscribeRefused { reasons } => reasons.last().copied(),
        Error::ConnectionLost(loss) => reason_of(loss),
        _ => None,
    };
    with_reason(error.to_string(), reason)
}

/// The failure that the end of a connection is.
pub(crate) fn lost(loss: &Loss) -> Failure {
    with_reason(format!("the connection is over: {loss}"), reason_of(loss))
}

fn reason_of(loss: &Loss) -> Option<ReasonCode> {
    match loss {
        Loss::Server(said) => Some(said.reason),
        _ => None,
    }
}

fn with_reason(text: String, reason: Option<ReasonCode>) -> Failure {
    // A server may leave with a code that means success; for us it is a failure nevertheless.
    Failure::with_code(text, reason.filter(|reason| reason.is_error()).map_or(1, |reason| reason.0))
}

fn options(connection: &Connection) -> Options {
    let mut options = Options::to(connection.host.as_str(), connection.port)
        .version(connection.version)
        .client_id(connection.client_id.as_str())
        .clean_start(connection.clean_start)
        .keep_alive_secs(connection.keep_alive_secs)
        .connect_timeout(CONNECT_TIMEOUT)
        // There is one stream; and only identifiers that the user chose are to be printed.
        .subscription_identifiers(false);
    if let Some(path) = &connection.websocket {
        options = options.websocket(path);
    }
    if let Some(user_name) = &connection.user_name {
        options = options.user_name(user_name);
    }
    if let Some(password) = &connection.password {
        options = options.password(password.as_slice());
    }
    if let Some(will) = &connection.will {
        options = options.will(will_options(will, &connection.properties.will));
    }
    with_connect_properties(options, &connection.properties.connect)
}

fn with_connect_properties(mut options: Options, given: &ConnectProperties) -> Options {
    if let Some(secs) = given.session_expiry_secs {
        options = options.session_expiry_secs(secs);
    }
    if let Some(maximum) = given.receive_maximum {
        options = options.receive_maximum(maximum);
    }
    if let Some(bytes) = given.maximum_packet_size {
        options = options.maximum_packet_size(bytes);
    }
    if let Some(maximum) = given.topic_alias_maximum {
        options = options.topic_alias_maximum(maximum);
    }
    if let Some(request) = given.request_response_information {
        options = options.request_response_information(request);
    }
    if let Some(request) = given.request_problem_information {
        options = options.request_problem_information(request);
    }
    if let Some(method) = &given.authentication_method {
        let data = given.authentication_data.clone().unwrap_or_default();
        // The command line knows one answer; a method that asks again is not for it.
        options = options.authentication(method, data, |_| Vec::new());
    }
    given.user.iter().fold(options, |options, (name, value)| options.user_property(name, value))
}

fn will_options(will: &ConnectionWill, given: &MessageProperties) -> WillOptions {
    WillOptions {
        topic: will.topic.clone(),
        payload: will.payload.clone(),
        qos: will.qos,
        retain: will.retain,
        delay_secs: given.delay_secs,
        payload_is_utf8: given.payload_format_indicator,
        expiry_secs: given.expiry_secs,
        content_type: given.content_type.clone(),
        response_topic: given.response_topic.clone(),
        correlation_data: given.correlation_data.clone(),
        user_properties: given.user.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_the_reason_code() {
        let reasons = vec![ReasonCode::GRANTED_QOS_0, ReasonCode::NOT_AUTHORIZED];
        for (error, code) in [
            (Error::PublishRefused { reason: ReasonCode::QUOTA_EXCEEDED }, 0x97),
            (Error::SubscribeRefused { reasons }, 0x87),
            (Error::ConnectionLost(Loss::Closed), 1),
            (Error::ConnectTimeout { millis: 1 }, 1),
        ] {
            assert_eq!(failure(&error), Failure::with_code(error.to_string(), code));
        }
    }
}
