//! One log line per problem, and not one per packet of an attacker.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

use mqtt_session::Time;
use parking_lot::Mutex;

/// So many lines per peer and window are written; what comes on top is not.
const LINES_MAX: u32 = 5;

/// The length of a window, in milliseconds.
const WINDOW_MILLIS: u64 = 10_000;

/// More peers than this share one allowance, so that the table stays small.
const PEERS_MAX: usize = 1024;

/// Counts log lines per peer address.
#[derive(Default)]
pub(crate) struct LogLimit {
    window: Mutex<Window>,
}

#[derive(Default)]
struct Window {
    since: Time,
    lines: HashMap<Option<IpAddr>, u32>,
}

impl LogLimit {
    /// Whether another line about `peer` may be written at `now`.
    pub(crate) fn permits(&self, peer: Option<SocketAddr>, now: Time) -> bool {
        let mut window = self.window.lock();
        if now.millis_since(window.since) >= WINDOW_MILLIS {
            *window = Window { since: now, lines: HashMap::new() };
        }
        let address = peer.map(|peer| peer.ip());
        let known = window.lines.contains_key(&address) || window.lines.len() < PEERS_MAX;
        let lines = window.lines.entry(address.filter(|_| known)).or_default();
        *lines += 1;
        *lines <= LINES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_gets_a_few_lines_per_window() {
        let limit = LogLimit::default();
        let (one, two) = ("127.0.0.1:1".parse().ok(), "127.0.0.2:1".parse().ok());
        let permitted = (0..100).filter(|_| limit.permits(one, Time::ZERO)).count();
        assert_eq!(permitted, 5);
        assert!(limit.permits(two, Time::ZERO));
        assert!(limit.permits(one, Time::from_millis(WINDOW_MILLIS)));
    }

    #[test]
    fn many_peers_do_not_fill_the_memory() {
        let limit = LogLimit::default();
        for number in 0..10_000_u32 {
            let address = IpAddr::from(number.to_be_bytes());
            limit.permits(Some(SocketAddr::new(address, 1)), Time::ZERO);
        }
        assert!(limit.window.lock().lines.len() <= PEERS_MAX + 1);
    }
}
