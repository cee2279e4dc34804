//! Levels: what stands between the slashes of names and filters.

use crate::TopicError;

/// How many levels a name or a filter may have unless a `with_limit` constructor says
/// otherwise. `a` has one level, `a/b` two, `/` two (both empty).
///
/// The standard has no such limit. Real topics have five to ten levels; 200, which is
/// what mosquitto takes, keeps the cost of a hostile topic at 200 steps.
pub const MAX_LEVELS: usize = 200;

/// The longest string that MQTT can encode, in bytes `[MQTT-4.7.3-3]`.
pub(crate) const LEN_MAX: usize = 65_535;

/// Does this topic or first level belong to the server? `[MQTT-4.7.2-1]`
pub(crate) fn is_dollar(text: &str) -> bool {
    text.as_bytes().first() == Some(&b'$')
}

/// The first level, and what stands behind its slash. On bytes, because nothing but ASCII is
/// looked for, and checking where characters begin would cost more than the search.
pub(crate) fn split_level(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|byte| *byte == b'/') {
        Some(slash) => (text.get(..slash).unwrap_or_default(), text.get(slash + 1..)),
        None => (text, None),
    }
}

/// The checks that names and filters share, but for the characters that
/// [`has_special`] looks for.
///
/// These two run for every PUBLISH. They look at every byte and never stop early, because
/// that is what compilers turn into vector instructions.
pub(crate) fn check_size(text: &str, levels_max: usize) -> Result<(), TopicError> {
    if text.is_empty() {
        return Err(TopicError::Empty);
    }
    if text.len() > LEN_MAX {
        return Err(TopicError::TooLong { len: text.len() });
    }
    let slashes = text.bytes().filter(|byte| *byte == b'/').count();
    if slashes >= levels_max {
        return Err(TopicError::TooManyLevels { limit: levels_max });
    }
    Ok(())
}

/// Is there a U+0000, a `+` or a `#`?
pub(crate) fn has_special(text: &str) -> bool {
    text.bytes().fold(false, |seen, byte| seen | (byte == 0) | (byte == b'+') | (byte == b'#'))
}

/// There is no U+0000 `[MQTT-4.7.3-2]`.
pub(crate) fn check_nul(text: &str) -> Result<(), TopicError> {
    match text.bytes().position(|byte| byte == 0) {
        Some(at) => Err(TopicError::Nul { at }),
        None => Ok(()),
    }
}
