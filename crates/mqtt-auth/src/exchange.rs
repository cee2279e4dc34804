use async_trait::async_trait;

use crate::{Identity, Login, Refusal};

/// One enhanced authentication under way (MQTT 5.0 §4.12), from CONNECT or re-authentication to
/// its end. It is dropped when the client goes away.
#[async_trait]
pub trait Exchange: Send {
    /// Takes the Authentication Data of the CONNECT or AUTH packet that just came (empty if it had
    /// none) and says what to answer. Not called again after [`Step::Done`] or [`Step::Refused`].
    async fn step(&mut self, login: Login<'_>, data: &[u8]) -> Step;
}

/// What comes next in an [`Exchange`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send AUTH with reason code 0x18 and this Authentication Data, and wait for the client's
    /// [MQTT-4.12.0-2].
    Continue(Vec<u8>),
    /// The client is who it claims to be.
    Done {
        /// Who that is.
        identity: Identity,
        /// Authentication Data for the CONNACK, or for the AUTH that ends a re-authentication.
        data: Option<Vec<u8>>,
    },
    /// The client is turned away and the connection closed [MQTT-4.12.0-4].
    Refused(Refusal),
}
