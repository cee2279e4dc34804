//! The keys under which records are kept. Numbers are big-endian, so that what belongs to a session
//! is a range, and its queue is in order.

use mqtt_session::SessionNumber;
use xxhash_rust::xxh3::xxh3_128;

/// The longest text that stands in a key in full. Keys end at 65,535 bytes, and a filter alone may
/// have that many; the rest of a longer text goes into the key as a hash, and the record has it all.
const TEXT_MAX: usize = 1024;

/// Where a shared message is.
pub(crate) fn shared(number: u64) -> [u8; 8] {
    number.to_be_bytes()
}

/// Where the record of a session is.
pub(crate) fn session(session: SessionNumber) -> [u8; 8] {
    session.0.to_be_bytes()
}

/// Where an entry of a queue is, and its messages if they are kept apart.
pub(crate) fn entry(session: SessionNumber, seq: u64) -> [u8; 16] {
    let mut key = [0; 16];
    let numbers = session.0.to_be_bytes().into_iter().chain(seq.to_be_bytes());
    key.iter_mut().zip(numbers).for_each(|(to, byte)| *to = byte);
    key
}

/// Where a subscription is.
pub(crate) fn subscription(session: SessionNumber, filter: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(8 + filter.len().min(TEXT_MAX + 16));
    key.extend(session.0.to_be_bytes());
    push_text(&mut key, filter);
    key
}

/// Where the retained message of a topic is.
pub(crate) fn retained(topic: &str) -> Vec<u8> {
    // A byte in front, because a key must not be empty.
    let mut key = vec![0];
    push_text(&mut key, topic);
    key
}

/// The session of a key that begins with one.
pub(crate) fn session_of(key: &[u8]) -> Option<SessionNumber> {
    key.first_chunk().map(|bytes| SessionNumber(u64::from_be_bytes(*bytes)))
}

/// The session and the number of the key of an entry.
pub(crate) fn entry_of(key: &[u8]) -> Option<(SessionNumber, u64)> {
    let (session, seq) = key.split_first_chunk()?;
    let seq = seq.try_into().ok()?;
    Some((SessionNumber(u64::from_be_bytes(*session)), u64::from_be_bytes(seq)))
}

fn push_text(key: &mut Vec<u8>, text: &str) {
    match text.as_bytes().split_at_checked(TEXT_MAX) {
        Some((begin, rest)) if !rest.is_empty() => {
            key.extend_from_slice(begin);
            key.extend(xxh3_128(rest).to_be_bytes());
        }
        _ => key.extend_from_slice(text.as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_in_order_and_apart_from_others() {
        let keys = [(1, 255), (1, 256), (1, u64::MAX), (2, 0), (256, 1)]
            .map(|(number, seq)| entry(SessionNumber(number), seq));
        assert!(keys.is_sorted());
        assert_eq!(entry_of(&keys[1]), Some((SessionNumber(1), 256)));
        assert_eq!(session_of(&keys[4]), Some(SessionNumber(256)));
    }

    #[test]
    fn long_texts_differ_in_their_last_byte() {
        let long = "x".repeat(65_535);
        let mut other = long.clone();
        other.replace_range(65_534.., "y");
        let [one, two] = [&long, &other].map(|text| subscription(SessionNumber(1), text));
        assert_ne!(one, two);
        assert_eq!(one.len(), 8 + TEXT_MAX + 16);
    }

    #[test]
    fn what_is_no_entry_has_no_place() {
        assert_eq!(entry_of(&[0; 15]), None);
        assert_eq!(entry_of(&[0; 17]), None);
    }
}
