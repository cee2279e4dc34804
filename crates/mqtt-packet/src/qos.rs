//! The three levels of delivery.

use std::fmt;

/// Quality of service: how often a message may arrive (section 4.3).
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug, Default)]
#[repr(u8)]
pub enum QoS {
    /// QoS 0: not acknowledged, may be lost.
    #[default]
    AtMostOnce = 0,
    /// QoS 1: acknowledged by PUBACK, may arrive twice.
    AtLeastOnce = 1,
    /// QoS 2: acknowledged in two steps, arrives once.
    ExactlyOnce = 2,
}

impl QoS {
    /// The level with this number, or `None` for anything above 2.
    #[must_use]
    #[inline]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }

    /// The number of the level: 0, 1 or 2.
    #[must_use]
    #[inline]
    pub const fn bits(self) -> u8 {
        self as u8
    }
}

impl fmt::Display for QoS {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QoS {}", self.bits())
    }
}
