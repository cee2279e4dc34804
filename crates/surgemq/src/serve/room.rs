//! From the options for memory and sessions to the server's limits.

use mqtt_server::Limits;

use super::limits::replace;
use crate::cli::RoomArgs;

/// Sets what was given.
pub(super) fn apply(limits: &mut Limits, given: &RoomArgs) {
    replace(&mut limits.memory_limit, given.memory_limit);
    replace(&mut limits.session_expiry_max_secs, given.max_session_expiry);
    replace(&mut limits.clean_session_reserve_percent, given.clean_session_reserve);
    let number = |number: Option<u32>| number.and_then(|number| usize::try_from(number).ok());
    limits.sessions_per_user_max = number(given.max_sessions_per_user);
    limits.sessions_per_address_max = number(given.max_sessions_per_address);
    limits.evict_sessions = given.evict_sessions;
    replace(&mut limits.protocol.connect_bytes_max, given.max_connect_bytes);
    replace(&mut limits.protocol.topic_levels_max, given.max_topic_levels.map(usize::from));
}

#[cfg(test)]
mod tests {
    use mqtt_server::MemoryLimit;

    use super::*;

    #[test]
    fn what_is_given_counts() {
        let mut limits = Limits::default();
        apply(
            &mut limits,
            &RoomArgs {
                memory_limit: Some(MemoryLimit::Bytes(1 << 30)),
                max_connect_bytes: Some(1000),
                max_topic_levels: Some(5),
                max_session_expiry: Some(60),
                clean_session_reserve: Some(20),
                max_sessions_per_user: Some(6),
                max_sessions_per_address: Some(7),
                evict_sessions: true,
            },
        );
        assert_eq!(limits.memory_limit, MemoryLimit::Bytes(1 << 30));
        assert_eq!(
            (limits.protocol.connect_bytes_max, limits.protocol.topic_levels_max),
            (1000, 5)
        );
        assert_eq!(
            (limits.session_expiry_max_secs, limits.clean_session_reserve_percent),
            (60, 20)
        );
        assert_eq!(
            (limits.sessions_per_user_max, limits.sessions_per_address_max),
            (Some(6), Some(7))
        );
        assert!(limits.evict_sessions);
    }
}
