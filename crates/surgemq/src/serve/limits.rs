//! From options to the server's limits.

use mqtt_server::Limits;

use crate::cli::LimitArgs;

/// The server's defaults, with what was given in their place.
pub(super) fn limits(given: &LimitArgs) -> Limits {
    let mut limits = Limits::default();
    let protocol = &mut limits.protocol;
    replace(&mut protocol.maximum_packet_size, given.max_packet_size);
    replace(&mut protocol.maximum_qos, given.max_qos);
    replace(&mut protocol.receive_maximum, given.receive_maximum);
    replace(&mut protocol.topic_alias_maximum, given.topic_alias_maximum);
    protocol.server_keep_alive_secs = given.server_keep_alive;
    let packet_timeout = given.packet_timeout.map(|secs| u64::from(secs) * 1000);
    replace(&mut protocol.packet_timeout_millis, packet_timeout);
    protocol.retain_available = !given.no_retain;
    protocol.wildcards_available = !given.no_wildcards;
    protocol.shared_subscriptions_available = !given.no_shared;
    protocol.subscription_identifiers_available = !given.no_subscription_ids;
    // A queue that holds less than one message of the largest size could not deliver it.
    let largest = usize::try_from(protocol.maximum_packet_size).unwrap_or(usize::MAX);
    limits.queue.bytes_max = limits.queue.bytes_max.max(largest.saturating_mul(2));
    replace(&mut limits.linger_millis, given.linger.map(|secs| u64::from(secs) * 1000));
    let lingering = given.max_lingering.and_then(|number| usize::try_from(number).ok());
    replace(&mut limits.lingering_max, lingering);
    let linger_bytes = given.max_linger_bytes.and_then(|bytes| usize::try_from(bytes).ok());
    replace(&mut limits.linger_bytes_max, linger_bytes);
    replace(&mut limits.client_id_bytes_max, given.max_client_id_bytes.map(usize::from));
    let connections = given.max_connections.and_then(|number| usize::try_from(number).ok());
    replace(&mut limits.connections_max, connections);
    let connecting = given.max_connecting.and_then(|number| usize::try_from(number).ok());
    replace(&mut limits.connecting_max, connecting);
    let sessions = given.max_sessions.and_then(|number| usize::try_from(number).ok());
    replace(&mut limits.sessions_max, sessions);
    replace(&mut limits.login_threads, given.login_threads.map(usize::from));
    let count = |number: Option<u32>| number.and_then(|number| usize::try_from(number).ok());
    replace(&mut limits.logins_waiting_max, count(given.max_waiting_logins));
    let per_address = count(given.max_waiting_logins_per_address);
    replace(&mut limits.logins_waiting_per_address_max, per_address);
    replace(&mut limits.logins_waiting_bytes_max, count(given.max_waiting_login_bytes));
    let millis = |secs: Option<u32>| secs.map(|secs| u64::from(secs) * 1000);
    replace(&mut limits.login_wait_millis, millis(given.login_wait));
    replace(&mut limits.login_memory_millis, millis(given.login_memory));
    let subscriptions = given.max_subscriptions.and_then(|number| usize::try_from(number).ok());
    replace(&mut limits.subscriptions_per_session_max, subscriptions);
    let bytes = given.max_filter_bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    replace(&mut limits.filter_bytes_per_session_max, bytes);
    let overlaps = given.max_overlaps.and_then(|number| usize::try_from(number).ok());
    replace(&mut limits.overlaps_per_session_max, overlaps);
    let shared = given.max_shared_overlaps.and_then(|number| usize::try_from(number).ok());
    replace(&mut limits.shared_overlaps_per_session_max, shared);
    let retained = given.max_retained.and_then(|number| usize::try_from(number).ok());
    replace(&mut limits.retained_messages_max, retained);
    let bytes = given.max_retained_bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    replace(&mut limits.retained_bytes_max, bytes);
    replace(&mut limits.queue.messages_max, count(given.max_queued));
    let queued = given.max_queued_bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    replace(&mut limits.queue.bytes_max, queued);
    replace(&mut limits.queue.when_full, given.queue_full);
    replace(&mut limits.queue.slow_after_millis, millis(given.slow_after));
    replace(&mut limits.queue.behind_max_millis, millis(given.behind_max));
    replace(&mut limits.sys_interval_secs, given.sys_interval);
    super::room::apply(&mut limits, &given.room);
    limits
}

pub(super) fn replace<T>(default: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *default = given;
    }
}

#[cfg(test)]
mod tests {
    use mqtt_packet::QoS;
    use mqtt_server::QueueFull;

    use super::*;

    #[test]
    fn nothing_given_is_the_default() {
        let limits = limits(&LimitArgs::default());
        assert_eq!(format!("{limits:?}"), format!("{:?}", Limits::default()));
    }

    #[test]
    fn what_is_given_counts() {
        let limits = limits(&LimitArgs {
            max_packet_size: Some(268_435_460),
            max_qos: Some(QoS::AtLeastOnce),
            no_retain: true,
            no_wildcards: true,
            no_shared: true,
            no_subscription_ids: true,
            server_keep_alive: Some(7),
            packet_timeout: Some(13),
            linger: Some(14),
            max_lingering: Some(15),
            max_linger_bytes: Some(16),
            receive_maximum: Some(8),
            topic_alias_maximum: Some(0),
            max_client_id_bytes: Some(23),
            max_connections: Some(9),
            max_connecting: Some(8),
            max_sessions: Some(10),
            login_threads: Some(13),
            max_waiting_logins: Some(14),
            max_waiting_logins_per_address: Some(15),
            max_waiting_login_bytes: Some(16),
            login_wait: Some(17),
            login_memory: Some(0),
            max_subscriptions: Some(13),
            max_filter_bytes: Some(14),
            max_overlaps: Some(15),
            max_shared_overlaps: Some(16),
            max_retained: Some(11),
            max_retained_bytes: Some(12),
            max_queued: Some(17),
            max_queued_bytes: None,
            queue_full: Some(QueueFull::Refuse),
            slow_after: Some(18),
            behind_max: Some(19),
            sys_interval: Some(0),
            ..LimitArgs::default()
        });
        let queue = &limits.queue;
        assert_eq!((queue.messages_max, queue.when_full), (17, QueueFull::Refuse));
        assert_eq!((queue.slow_after_millis, queue.behind_max_millis), (18_000, 19_000));
        let protocol = &limits.protocol;
        assert_eq!(protocol.maximum_packet_size, 268_435_460);
        assert!(limits.queue.bytes_max > 268_435_460, "the largest message fits into a queue");
        assert_eq!(protocol.maximum_qos, QoS::AtLeastOnce);
        assert!(!protocol.retain_available && !protocol.wildcards_available);
        assert!(!protocol.shared_subscriptions_available);
        assert!(!protocol.subscription_identifiers_available);
        assert_eq!(protocol.server_keep_alive_secs, Some(7));
        assert_eq!((protocol.receive_maximum, protocol.topic_alias_maximum), (8, 0));
        assert_eq!((limits.client_id_bytes_max, limits.connections_max), (23, 9));
        assert_eq!(limits.connecting_max, 8);
        assert_eq!(limits.sessions_max, 10);
        assert_eq!((limits.login_threads, limits.logins_waiting_max), (13, 14));
        assert_eq!(limits.logins_waiting_per_address_max, 15);
        assert_eq!(limits.logins_waiting_bytes_max, 16);
        assert_eq!((limits.login_wait_millis, limits.login_memory_millis), (17_000, 0));
        assert_eq!((limits.retained_messages_max, limits.retained_bytes_max), (11, 12));
        assert_eq!(protocol.packet_timeout_millis, 13_000);
        assert_eq!((limits.linger_millis, limits.lingering_max), (14_000, 15));
        assert_eq!(limits.linger_bytes_max, 16);
        assert_eq!(limits.subscriptions_per_session_max, 13);
        assert_eq!(limits.filter_bytes_per_session_max, 14);
        assert_eq!(limits.overlaps_per_session_max, 15);
        assert_eq!(limits.shared_overlaps_per_session_max, 16);
        assert_eq!(limits.sys_interval_secs, 0);
    }
}
