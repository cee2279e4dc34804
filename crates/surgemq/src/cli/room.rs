//! The options of `surgemq serve` for memory and sessions.

use clap::Args;
use mqtt_server::MemoryLimit;

/// The least memory that a limit may leave: less would be used up before the first client.
const MEMORY_MIN: u64 = 32 * 1024 * 1024;

/// How much memory and how many sessions there may be. What is not given stays as the server has it.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Memory and sessions")]
pub(crate) struct RoomArgs {
    /// Memory that the broker may use, in bytes (K, M and G stand for KiB, MiB and GiB) or in percent
    /// of what the machine or the cgroup has; none for no limit. On the way there publishers are
    /// slowed, then QoS 0 messages for slow receivers are dropped, then new sessions, subscriptions
    /// and connections are refused; $SYS/broker/memory tells [default: 50%]
    #[arg(long, value_name = "SIZE", value_parser = memory_limit)]
    pub(crate) memory_limit: Option<MemoryLimit>,

    /// The largest CONNECT, in bytes: with the client identifier, the will and the password. It is
    /// what a connection may hold before it is known who it is [default: 131072]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(128..=1_048_576))]
    pub(crate) max_connect_bytes: Option<u32>,

    /// The longest time that a session is kept without a connection, in seconds; it also holds for
    /// clients of 3.1.1, whose sessions are kept for ever otherwise [default: no limit]
    #[arg(long, value_name = "SECS")]
    pub(crate) max_session_expiry: Option<u32>,

    /// Percent of --max-sessions that are left for sessions that end with their connection
    /// [default: 10]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) clean_session_reserve: Option<u8>,

    /// Sessions of one user, with and without a connection [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_sessions_per_user: Option<u32>,

    /// Sessions that one address made, of IPv6 one /64 [default: no limit]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_sessions_per_address: Option<u32>,

    /// When there is no room for a session, end the one that was left longest ago and holds no
    /// messages
    #[arg(long)]
    pub(crate) evict_sessions: bool,

    /// Levels of a topic or filter [default: 200]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) max_topic_levels: Option<u16>,
}

/// A limit of memory: `512M`, `40%`, `none`.
fn memory_limit(text: &str) -> Result<MemoryLimit, String> {
    if text == "none" {
        return Ok(MemoryLimit::None);
    }
    if let Some(percent) = text.strip_suffix('%') {
        return match percent.parse() {
            Ok(percent @ 1..=100) => Ok(MemoryLimit::Percent(percent)),
            _ => Err("expected a percentage from 1% to 100%".into()),
        };
    }
    match size(text)? {
        bytes if bytes < MEMORY_MIN => {
            Err("less than 32M is used up before the first client comes".into())
        }
        bytes => Ok(MemoryLimit::Bytes(bytes)),
    }
}

/// Bytes, with K, M, G or T for powers of 1,024; a B or iB behind them says the same.
fn size(text: &str) -> Result<u64, String> {
    let expected = || "expected a size such as 512M or 4G, a percentage such as 40%, or none";
    let lower = text.to_ascii_lowercase();
    let lower = lower.strip_suffix("ib").or_else(|| lower.strip_suffix('b')).unwrap_or(&lower);
    let (number, shift) = match lower.strip_suffix(['k', 'm', 'g', 't']) {
        None => (lower, 0),
        Some(number) if lower.ends_with('k') => (number, 10),
        Some(number) if lower.ends_with('m') => (number, 20),
        Some(number) if lower.ends_with('g') => (number, 30),
        Some(number) => (number, 40),
    };
    let number: u64 = number.parse().map_err(|_| expected())?;
    number.checked_mul(1 << shift).ok_or_else(|| "more than any machine has".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_size_or_a_share() {
        for (text, expected) in [
            ("none", MemoryLimit::None),
            ("40%", MemoryLimit::Percent(40)),
            ("134217728", MemoryLimit::Bytes(128 << 20)),
            ("256M", MemoryLimit::Bytes(256 << 20)),
            ("32768k", MemoryLimit::Bytes(32 << 20)),
            ("2GiB", MemoryLimit::Bytes(2 << 30)),
            ("1tb", MemoryLimit::Bytes(1 << 40)),
        ] {
            assert_eq!(memory_limit(text), Ok(expected), "{text}");
        }
        for (text, expected) in [
            ("0%", "from 1% to 100%"),
            ("101%", "from 1% to 100%"),
            ("much", "such as 512M"),
            ("M", "such as 512M"),
            ("-1G", "such as 512M"),
            ("1M", "less than 32M"),
            ("99999999999999T", "more than any machine"),
        ] {
            assert!(memory_limit(text).unwrap_err().contains(expected), "{text}");
        }
    }
}
