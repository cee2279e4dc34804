//! Every bound of the server in one place.

use mqtt_session::{InboxLimits, ServerConfig};

use crate::memory_limit::MemoryLimit;

/// The bounds of a server. Every one has a default, and says what happens at it.
#[derive(Clone, Debug)]
pub struct Limits {
    /// What is announced to clients and enforced on each connection: packet sizes, Receive Maximum,
    /// topic aliases, the connect timeout, a Keep Alive of the server's own, what is switched off.
    pub protocol: ServerConfig,
    /// The queue of each session: messages, bytes, and when publishers wait for a receiver.
    pub queue: InboxLimits,
    /// Memory that the process may use, above all single limits: half of what the machine or the cgroup
    /// has. On the way there publishers are slowed, then messages at QoS 0 for receivers that are
    /// behind are dropped, then what would take more is refused with 0x97; see
    /// [`MemoryLevel`](crate::MemoryLevel).
    pub memory_limit: MemoryLimit,
    /// Connections at once. One more is closed right after it was accepted, unless one that has not
    /// been let in can make room for it.
    pub connections_max: usize,
    /// Of these, connections that have not been let in yet. When one more comes, the oldest of the
    /// address (of IPv6, the /64) with the most of them is closed.
    pub connecting_max: usize,
    /// Sessions at once, with and without a connection. A CONNECT that would make one more is
    /// refused with 0x97 (return code 3 before 5.0).
    pub sessions_max: usize,
    /// Percent of [`Limits::sessions_max`] that are left for sessions that end with their connection.
    pub clean_session_reserve_percent: u8,
    /// Sessions of one user, with and without a connection; `None` for no limit. One more is refused as
    /// above. Clients without a verified user name are not counted.
    pub sessions_per_user_max: Option<usize>,
    /// Sessions that one address made, of IPv6 one /64; `None` for no limit, as many clients may stand
    /// behind one address. One more is refused as above. The addresses of sessions that come from a
    /// store are not known.
    pub sessions_per_address_max: Option<usize>,
    /// Whether a CONNECT that finds no room ends the session that was left longest ago and holds no
    /// messages. Otherwise it is refused.
    pub evict_sessions: bool,
    /// The longest client identifier, in bytes. A longer one is refused with 0x85 (return code 2).
    pub client_id_bytes_max: usize,
    /// The longest Session Expiry Interval, in seconds. A longer one is cut to it, and a 5.0 client
    /// is told so in CONNACK.
    pub session_expiry_max_secs: u32,
    /// Passwords that are hashed at once, each on a thread of its own. By default one fewer than the
    /// cores, and at least one, so that those who are in are served meanwhile. More logins wait for
    /// their turn, and the connect timeout stands still for them.
    pub login_threads: usize,
    /// Logins that wait for their turn. One more is refused with 0x88 (return code 3 before 5.0)
    /// after a second, without being looked at.
    pub logins_waiting_max: usize,
    /// Of these, from one address (of IPv6, from one /64); as above.
    pub logins_waiting_per_address_max: usize,
    /// Bytes of client identifiers, user names and passwords in logins that wait; as above.
    pub logins_waiting_bytes_max: usize,
    /// How long a login may wait for its turn, in milliseconds, before it is refused as above.
    pub login_wait_millis: u64,
    /// How long a verified login is remembered at least, in milliseconds, and at most twice as long;
    /// 0 for not at all. The same user name and password are let in without hashing while it
    /// is. What is kept is a keyed hash; a change of the password ends it.
    pub login_memory_millis: u64,
    /// Subscriptions of one session. One more is refused with 0x97 (0x80 before 5.0).
    pub subscriptions_per_session_max: usize,
    /// Bytes of the filters of one session; as above.
    pub filter_bytes_per_session_max: usize,
    /// Subscriptions with wildcards of one session that may match the same topic; as above. Counted
    /// are the different places of wildcards: `a/+/b` and `c/+/d` are one, `a/+/+` is another. It
    /// bounds what one message costs to match, and how many identifiers it may bring a client.
    pub overlaps_per_session_max: usize,
    /// Shared subscriptions of one session that may match the same topic; as above. Counted are
    /// groups, and in each group the different places of wildcards: each may bring the client a copy
    /// of its own of one message.
    pub shared_overlaps_per_session_max: usize,
    /// Retained messages. One more is not kept: PUBACK or PUBREC say 0x97 to a 5.0 client.
    pub retained_messages_max: usize,
    /// Bytes of all retained messages together, with 128 for each level of their topics that no other
    /// has; as above.
    pub retained_bytes_max: usize,
    /// Bytes that wait in the output of one connection before no more is taken from its queue, and
    /// twice this before no more is read from it.
    pub output_bytes_max: usize,
    /// How long a client may leave the server's bytes unread, in milliseconds, before it is closed: in
    /// this time it has to take 4 KiB of what waits. One that does is not closed for its silence while
    /// so much waits that it is not read from.
    pub write_timeout_millis: u64,
    /// How long a connection that the server has ended waits for its client to read why and to close
    /// its side, in milliseconds; then the socket is closed, and what is unread may be lost. Half a
    /// second at most for a client that was never let in, and while the server stops.
    pub linger_millis: u64,
    /// Connections that wait so at once. One more waits half a second at most.
    pub lingering_max: usize,
    /// How much of what such a client still sends is read and dropped, in bytes. After that it is not
    /// read from until its time is over.
    pub linger_bytes_max: usize,
    /// How long a stopping server waits for its connections to take what is due to them, in
    /// milliseconds. Then it waits for its store, for no longer than a second and a half.
    pub shutdown_millis: u64,
    /// Seconds between two publications of `$SYS`; 0 for none.
    pub sys_interval_secs: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            protocol: ServerConfig::default(),
            queue: InboxLimits::default(),
            memory_limit: MemoryLimit::default(),
            connections_max: 1_000_000,
            connecting_max: 4_096,
            sessions_max: 1_000_000,
            clean_session_reserve_percent: 10,
            sessions_per_user_max: None,
            sessions_per_address_max: None,
            evict_sessions: false,
            client_id_bytes_max: 65_535,
            session_expiry_max_secs: u32::MAX,
            login_threads: login_threads(),
            logins_waiting_max: 4096,
            logins_waiting_per_address_max: 1024,
            logins_waiting_bytes_max: 16 * 1024 * 1024,
            login_wait_millis: 60_000,
            login_memory_millis: 10_000,
            subscriptions_per_session_max: 1_000_000,
            filter_bytes_per_session_max: 64 * 1024 * 1024,
            overlaps_per_session_max: 256,
            shared_overlaps_per_session_max: 64,
            retained_messages_max: 10_000_000,
            retained_bytes_max: 4 * 1024 * 1024 * 1024,
            output_bytes_max: 256 * 1024,
            write_timeout_millis: 30_000,
            linger_millis: 30_000,
            lingering_max: 1_000,
            linger_bytes_max: 16 * 1024 * 1024,
            shutdown_millis: 3_000,
            sys_interval_secs: 10,
        }
    }
}

/// One fewer than the cores, and at least one.
fn login_threads() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().saturating_sub(1).max(1))
}
