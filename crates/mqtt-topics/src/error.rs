//! Why a string is no topic name, topic filter or shared subscription.

use thiserror::Error;

/// What is wrong with a string that should have been a topic name, a topic filter or a
/// shared subscription, and where.
///
/// Each `at` is a byte offset into the string that was handed in.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash, Error)]
#[non_exhaustive]
pub enum TopicError {
    /// Names and filters have at least one character `[MQTT-4.7.3-1]`.
    #[error("it is empty")]
    Empty,
    /// Names and filters have at most 65,535 bytes `[MQTT-4.7.3-3]`.
    #[error("it has {len} bytes, more than the 65,535 that can be encoded")]
    TooLong {
        /// The length of the string in bytes.
        len: usize,
    },
    /// Names and filters do not contain U+0000 `[MQTT-4.7.3-2]`.
    #[error("it contains U+0000 at byte {at}")]
    Nul {
        /// Where the character stands.
        at: usize,
    },
    /// A topic name contains no wildcard `[MQTT-4.7.0-1]`.
    #[error("a topic name contains a wildcard at byte {at}")]
    WildcardInName {
        /// Where the first `+` or `#` stands.
        at: usize,
    },
    /// A `#` is a whole level, and the last one `[MQTT-4.7.1-1]`.
    #[error("the '#' at byte {at} is not the whole of the last level")]
    MisplacedHash {
        /// Where the `#` stands.
        at: usize,
    },
    /// A `+` is a whole level `[MQTT-4.7.1-2]`.
    #[error("the '+' at byte {at} is not a whole level")]
    MisplacedPlus {
        /// Where the `+` stands.
        at: usize,
    },
    /// There are more levels than this program accepts. The standard sets no such limit, so
    /// there is no statement behind this one; without it, a name of 65,535 slashes costs
    /// 65,536 steps wherever it goes.
    #[error("it has more than {limit} levels")]
    TooManyLevels {
        /// The highest number of levels that is accepted.
        limit: usize,
    },
    /// `$share/` is followed by a share name of at least one character `[MQTT-4.8.2-1]`.
    #[error("the share name at byte {at} is empty")]
    EmptyShareName {
        /// Where the share name should have begun.
        at: usize,
    },
    /// A share name contains no wildcard `[MQTT-4.8.2-2]`.
    #[error("the share name contains a wildcard at byte {at}")]
    BadShareName {
        /// Where the first `+` or `#` stands.
        at: usize,
    },
    /// A share name is followed by `/` and a topic filter `[MQTT-4.8.2-2]`.
    #[error("the share name is not followed by a topic filter at byte {at}")]
    ShareWithoutFilter {
        /// Where the filter should have begun.
        at: usize,
    },
}

impl TopicError {
    /// The statement of MQTT 5.0 that is broken, such as `MQTT-4.7.3-1`. It is empty for
    /// [`TopicError::TooManyLevels`], which is a limit of this program and not of the
    /// standard.
    pub fn statement(&self) -> &'static str {
        match self {
            TopicError::Empty => "MQTT-4.7.3-1",
            TopicError::TooLong { .. } => "MQTT-4.7.3-3",
            TopicError::Nul { .. } => "MQTT-4.7.3-2",
            TopicError::WildcardInName { .. } => "MQTT-4.7.0-1",
            TopicError::MisplacedHash { .. } => "MQTT-4.7.1-1",
            TopicError::MisplacedPlus { .. } => "MQTT-4.7.1-2",
            TopicError::TooManyLevels { .. } => "",
            TopicError::EmptyShareName { .. } => "MQTT-4.8.2-1",
            TopicError::BadShareName { .. } | TopicError::ShareWithoutFilter { .. } => {
                "MQTT-4.8.2-2"
            }
        }
    }

    /// The same error in a string that has `offset` more bytes in front.
    pub(crate) fn behind(self, offset: usize) -> Self {
        match self {
            TopicError::Nul { at } => TopicError::Nul { at: at + offset },
            TopicError::WildcardInName { at } => TopicError::WildcardInName { at: at + offset },
            TopicError::MisplacedHash { at } => TopicError::MisplacedHash { at: at + offset },
            TopicError::MisplacedPlus { at } => TopicError::MisplacedPlus { at: at + offset },
            TopicError::EmptyShareName { at } => TopicError::EmptyShareName { at: at + offset },
            TopicError::BadShareName { at } => TopicError::BadShareName { at: at + offset },
            TopicError::ShareWithoutFilter { at } => {
                TopicError::ShareWithoutFilter { at: at + offset }
            }
            other @ (TopicError::Empty
            | TopicError::TooLong { .. }
            | TopicError::TooManyLevels { .. }) => other,
        }
    }
}
