//! How many lines of the log a peer may cause: a few of each kind, and not one per packet.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::atomic::{AtomicU64, Ordering},
};

use mqtt_session::Time;
use parking_lot::Mutex;

use super::refusals::Refused;

/// The length of a window, in milliseconds.
pub(crate) const WINDOW_MILLIS: u64 = 10_000;

/// So many addresses and kinds are told apart in a window; those beyond share one allowance for each
/// kind, so that the table stays small.
const ALLOWANCES_MAX: usize = 1024;

/// What a line is about. Each kind has an allowance of its own, so that bad passwords cannot hide
/// anything else.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug)]
pub(crate) enum LineKind {
    /// A connection was refused.
    Refused(Refused),
    /// A client with a session broke the protocol.
    Violation,
    Connected,
    Disconnected,
    TakenOver,
}

impl LineKind {
    /// Lines for each address and window.
    const fn lines_max(self) -> u32 {
        match self {
            Self::Refused(_) | Self::Violation => 5,
            // Only at the level info; and a bridge or a gateway may be many clients.
            Self::Connected | Self::Disconnected | Self::TakenOver => 100,
        }
    }

    const fn is_alarm(self) -> bool {
        matches!(self, Self::Refused(_) | Self::Violation)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Refused(reason) => reason.name(),
            Self::Violation => "closed a connection",
            Self::Connected => "connected",
            Self::Disconnected => "disconnected",
            Self::TakenOver => "taken over",
        }
    }
}

/// Counts log lines by their kind and the peer's address.
#[derive(Default)]
pub(crate) struct LogLimit {
    window: Mutex<Window>,
    left_out: AtomicU64,
}

#[derive(Default)]
struct Window {
    since: Time,
    lines: HashMap<(LineKind, Option<IpAddr>), u32>,
    left_out: BTreeMap<LineKind, u64>,
}

impl LogLimit {
    /// Whether another line of this kind about `peer` may be written at `now`.
    pub(crate) fn permits(&self, kind: LineKind, peer: Option<SocketAddr>, now: Time) -> bool {
        self.say_left_out(now, WINDOW_MILLIS);
        let mut window = self.window.lock();
        let address = peer.map(|peer| network(peer.ip()));
        let is_known =
            window.lines.contains_key(&(kind, address)) || window.lines.len() < ALLOWANCES_MAX;
        let lines = window.lines.entry((kind, address.filter(|_| is_known))).or_default();
        *lines += 1;
        if *lines <= kind.lines_max() {
            return true;
        }
        *window.left_out.entry(kind).or_default() += 1;
        self.left_out.fetch_add(1, Ordering::Relaxed);
        false
    }

    /// Says how many lines were left out in the window, if it has this length by `now`.
    pub(crate) fn say_left_out(&self, now: Time, length_millis: u64) {
        for (kind, lines) in self.take_left_out(now, length_millis) {
            let what = kind.name();
            match (kind, kind.is_alarm()) {
                (LineKind::Refused(_), _) => {
                    tracing::warn!("{lines} more lines left out: refused a connection ({what})");
                }
                (_, true) => tracing::warn!("{lines} more lines left out: {what}"),
                (_, false) => tracing::info!("{lines} more lines left out: {what}"),
            }
        }
    }

    fn take_left_out(&self, now: Time, length_millis: u64) -> BTreeMap<LineKind, u64> {
        let mut window = self.window.lock();
        if now.millis_since(window.since) < length_millis {
            return BTreeMap::new();
        }
        std::mem::replace(&mut *window, Window { since: now, ..Window::default() }).left_out
    }

    /// Lines that were left out so far.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }
}

/// Who an address stands for: with IPv6 a single machine has a whole network of 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGIN: LineKind = LineKind::Refused(Refused::BadCredentials);

    #[test]
    fn a_peer_gets_a_few_lines_per_window() {
        let limit = LogLimit::default();
        let (one, two) = ("127.0.0.1:1".parse().ok(), "127.0.0.2:1".parse().ok());
        let permitted = (0..100).filter(|_| limit.permits(LOGIN, one, Time::ZERO)).count();
        assert_eq!(permitted, 5);
        assert!(limit.permits(LOGIN, two, Time::ZERO));
        assert!(limit.permits(LOGIN, one, Time::from_millis(WINDOW_MILLIS)));
    }

    #[test]
    fn one_kind_hides_no_other() {
        let limit = LogLimit::default();
        let peer = "127.0.0.1:1".parse().ok();
        (0..100).for_each(|_| _ = limit.permits(LOGIN, peer, Time::ZERO));
        for kind in [LineKind::TakenOver, LineKind::Violation, LineKind::Refused(Refused::Protocol)]
        {
            assert!(limit.permits(kind, peer, Time::ZERO), "{kind:?}");
        }
    }

    #[test]
    fn what_was_left_out_is_counted_by_kind() {
        let limit = LogLimit::default();
        for last in 0..3 {
            let peer = format!("10.0.0.{last}:1").parse().ok();
            (0..10).for_each(|_| _ = limit.permits(LOGIN, peer, Time::ZERO));
            (0..7).for_each(|_| _ = limit.permits(LineKind::Violation, peer, Time::ZERO));
        }
        assert!(limit.take_left_out(Time::ZERO, WINDOW_MILLIS).is_empty(), "its time is not over");
        let left_out = limit.take_left_out(Time::from_millis(WINDOW_MILLIS), WINDOW_MILLIS);
        assert_eq!(left_out, BTreeMap::from([(LOGIN, 15), (LineKind::Violation, 6)]));
        assert_eq!(limit.left_out(), 21);
    }

    #[test]
    fn a_network_of_one_machine_has_one_allowance() {
        let limit = LogLimit::default();
        let permitted = (0..100).filter(|number| {
            let peer = format!("[2001:db8:0:1::{number:x}]:1").parse().ok();
            limit.permits(LOGIN, peer, Time::ZERO)
        });
        assert_eq!(permitted.count(), 5);
        assert!(limit.permits(LOGIN, "[2001:db8:0:2::1]:1".parse().ok(), Time::ZERO));
        assert_eq!(network("::ffff:10.0.0.1".parse().unwrap()), IpAddr::from([10, 0, 0, 1]));
    }

    #[test]
    fn many_peers_do_not_fill_the_memory() {
        let limit = LogLimit::default();
        for number in 0..10_000_u32 {
            let address = IpAddr::from(number.to_be_bytes());
            limit.permits(LOGIN, Some(SocketAddr::new(address, 1)), Time::ZERO);
        }
        assert!(limit.window.lock().lines.len() <= ALLOWANCES_MAX + 1);
    }
}
