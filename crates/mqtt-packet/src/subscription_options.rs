//! What a subscription asks for (section 3.8.3.1).

use crate::{DecodeErrorKind, QoS, Version};

/// The options of a subscription. Before 5.0 there is only the QoS.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug, Default)]
pub struct SubscriptionOptions {
    /// The highest QoS to deliver at.
    pub qos: QoS,
    /// Whether the client's own messages are held back [MQTT-3.8.3-3].
    pub no_local: bool,
    /// Whether forwarded messages keep their RETAIN flag [MQTT-3.3.1-13].
    pub retain_as_published: bool,
    /// When retained messages are sent.
    pub retain_handling: RetainHandling,
}

/// When retained messages are sent because of a SUBSCRIBE.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug, Default)]
#[repr(u8)]
pub enum RetainHandling {
    /// At every subscribe [MQTT-3.3.1-9].
    #[default]
    OnSubscribe = 0,
    /// Only if the subscription is new [MQTT-3.3.1-10].
    OnNewSubscription = 1,
    /// Not at subscribe [MQTT-3.3.1-11].
    Never = 2,
}

impl SubscriptionOptions {
    /// A subscription at this QoS that asks for nothing else.
    #[must_use]
    pub const fn new(qos: QoS) -> Self {
        Self {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::OnSubscribe,
        }
    }

    /// The options byte of this version.
    #[must_use]
    pub const fn bits(self, version: Version) -> u8 {
        if version.is_v5() {
            self.qos.bits()
                | ((self.no_local as u8) << 2)
                | ((self.retain_as_published as u8) << 3)
                | ((self.retain_handling as u8) << 4)
        } else {
            self.qos.bits()
        }
    }

    /// The options that a byte of this version stands for.
    ///
    /// # Errors
    ///
    /// Reserved bits [MQTT-3.8.3-5], QoS 3 (U5-066), retain handling 3 (U5-067); before 5.0
    /// all of them are reserved bits ([MQTT-3-8.3-4] of 3.1.1).
    pub const fn from_bits(bits: u8, version: Version) -> Result<Self, DecodeErrorKind> {
        let reserved = if version.is_v5() { 0b1100_0000 } else { 0b1111_1100 };
        if bits & reserved != 0 {
            return Err(DecodeErrorKind::ReservedSubscriptionOptions);
        }
        let Some(qos) = QoS::from_bits(bits & 0b11) else {
            return Err(if version.is_v5() {
                DecodeErrorKind::SubscriptionQosInvalid
            } else {
                DecodeErrorKind::ReservedSubscriptionOptions
            });
        };
        let retain_handling = match bits >> 4 {
            0 => RetainHandling::OnSubscribe,
            1 => RetainHandling::OnNewSubscription,
            2 => RetainHandling::Never,
            _ => return Err(DecodeErrorKind::RetainHandlingInvalid),
        };
        Ok(Self {
            qos,
            no_local: bits & 0b0100 != 0,
            retain_as_published: bits & 0b1000 != 0,
            retain_handling,
        })
    }
}

impl From<QoS> for SubscriptionOptions {
    fn from(qos: QoS) -> Self {
        Self::new(qos)
    }
}
