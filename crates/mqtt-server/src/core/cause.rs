//! Why the server itself refuses or ends a connection: each reason with the statement behind it.
//!
//! What a client does wrong on the wire is a [`Violation`] that the endpoint finds. The rest is
//! listed here, because [`mqtt_session::ServerEndpoint`] ends no connection without a statement.

use mqtt_auth::Refusal;
use mqtt_packet::ReasonCode;
use mqtt_session::Violation;

use super::refusals::Refused;

/// Why the server refuses or ends a connection.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Cause {
    /// The client identifier is empty or too long.
    ClientId,
    /// No authenticator knows the method of the CONNECT.
    AuthMethod,
    /// The authenticator refused the client.
    Login(Refusal),
    /// The client may not publish its own will.
    Will,
    /// The client identifier belongs to somebody else.
    Identity,
    /// There are as many sessions as there may be.
    Sessions,
    /// The client's user or address has as many sessions as it may have.
    SessionQuota,
    /// The server is short of memory.
    Memory,
    /// The server is not able to serve the client.
    Unavailable,
    /// An AUTH that belongs to no exchange.
    StrayAuth,
    /// A re-authentication failed, or told of another identity.
    Renewal,
    /// The identity that the client was let in as is over.
    Revoked,
    /// Another connection of the client has the session.
    TakenOver,
    /// The server stops.
    Stopping,
    /// The session cannot be read from the store.
    Unreadable,
    /// The store did not take what the client is owed an answer for.
    NotStored(ReasonCode),
    /// A subscription identifier, but they are switched off.
    SubscriptionId,
    /// A shared subscription, but they are switched off.
    Shared,
    /// A shared subscription with No Local.
    SharedNoLocal,
    /// A filter with wildcards, but they are switched off.
    Wildcards,
    /// A filter that is none, where the version has no other answer.
    Filter,
}

impl Cause {
    /// As what a refusal for this cause is counted.
    pub(crate) const fn refused(self) -> Refused {
        match self {
            Self::ClientId => Refused::ClientId,
            Self::AuthMethod => Refused::AuthMethod,
            Self::Login(Refusal::BadCredentials) => Refused::BadCredentials,
            Self::Login(Refusal::NotAuthorized) | Self::Revoked => Refused::NotAuthorized,
            Self::Login(Refusal::Banned) => Refused::Banned,
            Self::Will => Refused::Will,
            Self::Identity => Refused::Identity,
            Self::Sessions | Self::SessionQuota => Refused::Sessions,
            Self::Memory => Refused::Memory,
            Self::Unreadable | Self::NotStored(_) => Refused::Store,
            Self::Login(Refusal::Unavailable)
            | Self::Unavailable
            | Self::Stopping
            | Self::TakenOver => Refused::Unavailable,
            _ => Refused::Protocol,
        }
    }

    /// The reason code, the statement and a few words.
    pub(crate) const fn why(self) -> Violation {
        let (reason, statement, what) = match self {
            Self::ClientId => (
                ReasonCode::CLIENT_IDENTIFIER_NOT_VALID,
                "MQTT-3.1.3-8",
                "a client identifier that is not taken",
            ),
            Self::AuthMethod => (
                ReasonCode::BAD_AUTHENTICATION_METHOD,
                "MQTT-4.12.0-1",
                "an unknown authentication method",
            ),
            Self::Login(refusal) => return refused(refusal),
            Self::Will => {
                (ReasonCode::NOT_AUTHORIZED, "MQTT-3.1.4-2", "a will that may not be published")
            }
            Self::Identity => {
                (ReasonCode::NOT_AUTHORIZED, "U5-081", "the client identifier of somebody else")
            }
            Self::Sessions => (ReasonCode::QUOTA_EXCEEDED, "MQTT-3.1.4-2", "too many sessions"),
            Self::SessionQuota => (
                ReasonCode::QUOTA_EXCEEDED,
                "MQTT-3.1.4-2",
                "too many sessions of one user or address",
            ),
            Self::Memory => {
                (ReasonCode::QUOTA_EXCEEDED, "MQTT-4.13.2-1", "the server is short of memory")
            }
            Self::Unavailable => {
                (ReasonCode::SERVER_UNAVAILABLE, "MQTT-3.1.4-2", "the server is not available")
            }
            Self::StrayAuth => {
                (ReasonCode::PROTOCOL_ERROR, "U5-075", "AUTH outside of an exchange")
            }
            Self::Renewal => {
                (ReasonCode::NOT_AUTHORIZED, "MQTT-4.12.1-2", "a re-authentication that failed")
            }
            Self::Revoked => {
                (ReasonCode::NOT_AUTHORIZED, "MQTT-4.13.2-1", "the login is not valid any more")
            }
            Self::TakenOver => {
                (ReasonCode::SESSION_TAKEN_OVER, "MQTT-3.1.4-3", "Session taken over")
            }
            Self::Stopping => {
                (ReasonCode::SERVER_SHUTTING_DOWN, "MQTT-4.13.2-1", "the server is shutting down")
            }
            Self::Unreadable => {
                (ReasonCode::UNSPECIFIED_ERROR, "MQTT-4.13.2-1", "the session cannot be read")
            }
            Self::NotStored(reason) => (reason, "MQTT-4.13.2-1", "the store took no more"),
            Self::SubscriptionId => (
                ReasonCode::SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED,
                "U5-040",
                "a subscription identifier, which is not supported",
            ),
            Self::Shared => (
                ReasonCode::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED,
                "U5-042",
                "a shared subscription, which is not supported",
            ),
            Self::SharedNoLocal => {
                (ReasonCode::PROTOCOL_ERROR, "MQTT-3.8.3-4", "a shared subscription with No Local")
            }
            Self::Wildcards => (
                ReasonCode::WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED,
                "U5-038",
                "a filter with wildcards, which are not supported",
            ),
            Self::Filter => {
                (ReasonCode::TOPIC_FILTER_INVALID, "MQTT-4.7.3-1", "what is not a topic filter")
            }
        };
        Violation::new(reason, statement, what)
    }
}

/// How a refusal of the authenticator is told, which must not tell known users from unknown ones.
const fn refused(refusal: Refusal) -> Violation {
    let (reason, what) = match refusal {
        Refusal::BadCredentials => {
            (ReasonCode::BAD_USER_NAME_OR_PASSWORD, "Bad User Name or Password")
        }
        Refusal::NotAuthorized => (ReasonCode::NOT_AUTHORIZED, "Not authorized"),
        Refusal::Banned => (ReasonCode::BANNED, "Banned"),
        Refusal::Unavailable => (ReasonCode::SERVER_UNAVAILABLE, "Server unavailable"),
    };
    Violation::new(reason, "MQTT-3.1.4-2", what)
}
