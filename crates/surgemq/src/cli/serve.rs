//! `surgemq serve`.

use std::{fmt, path::PathBuf, str::FromStr};

use clap::Args;
use mqtt_packet::QoS;
use mqtt_server::{Level, QueueFull};
use mqtt_topics::TopicFilter;

use super::{room::RoomArgs, url, values};

/// What stands below the options in the help.
pub(super) const NOTES: &str = "\
The broker stops on SIGTERM and SIGINT. Sessions that outlive their connections,
their messages and retained messages are kept in --data-dir, and a message that
such a session waits for is acknowledged when it is on the disk there. On SIGHUP
it loads the files of --password-file and --acl-file anew, and ends connections
of users who are gone or have another password; a file that is not in order is
named in the log, and what was loaded before stays in force. SIGUSR1 and SIGUSR2
mean nothing. The log tells of refused clients at warn, and of all that come and
go at info; lines that repeat are left out and counted.

Without --password-file everyone may connect if every listener is on loopback;
elsewhere the broker does not start unless --allow-anonymous says so. Without
--acl-file everyone who is connected may publish and subscribe to everything.";

/// The options of `serve`.
#[derive(Clone, Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where to listen: tcp://HOST:PORT, HOST:PORT, or ws://HOST:PORT/PATH for WebSocket (without
    /// PATH at /mqtt and /); may be repeated; port 0 for any free one. 0.0.0.0 is IPv4 alone and
    /// :: (in brackets) IPv6 alone, localhost is both
    #[arg(long, value_name = "ADDRESS", default_value = "tcp://127.0.0.1:1883")]
    pub(crate) listen: Vec<ListenAddress>,

    // Not a doc comment: rustdoc would take the origin for a link.
    #[arg(
        long,
        value_name = "ORIGIN",
        help = "Let browsers in over WebSocket from pages of this origin, such as \
                https://example.org, or * for all; may be repeated [default: from pages of the host \
                and port that they connect to]"
    )]
    pub(crate) websocket_origin: Vec<String>,

    /// Take MQTT over WebSocket at this path too, such as /; may be repeated
    #[arg(long, value_name = "PATH")]
    pub(crate) websocket_path: Vec<String>,

    /// Let clients in over WebSocket that do not offer the sub-protocol mqtt
    #[arg(long)]
    pub(crate) websocket_any_protocol: bool,

    /// Let clients in that send neither user name nor password; without --password-file, all
    /// clients
    #[arg(long)]
    pub(crate) allow_anonymous: bool,

    /// Let in the users of this file, see `surgemq passwd`; nobody else should read it, and
    /// not everybody may write it
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,

    /// Permit only what this file permits; the format is mosquitto's
    #[arg(long, value_name = "FILE")]
    pub(crate) acl_file: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) storage: StorageArgs,

    /// What to log on stderr: off, error, warn, info, debug or trace; or levels for parts of the
    /// program, such as warn,mqtt_server=debug
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    pub(crate) log: String,

    /// Threads that serve connections [default: one fewer than the cores, at least one]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) worker_threads: Option<u16>,

    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

/// What is kept on a disk, and how safe it is before it is acknowledged.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Storage")]
pub(crate) struct StorageArgs {
    /// Where sessions, their messages and retained messages are kept [default: surgemq in the
    /// directory that the system has for the state of programs]
    #[arg(long, value_name = "DIR", conflicts_with = "in_memory")]
    pub(crate) data_dir: Option<PathBuf>,

    /// Keep everything in memory: sessions and retained messages end with the broker
    #[arg(long)]
    pub(crate) in_memory: bool,

    /// How safe a message is before it is acknowledged, if a session waits for it: disk (nothing is
    /// lost when the power fails), os (nothing is lost when the broker dies) or memory
    #[arg(long, value_name = "LEVEL", default_value = "disk", value_parser = values::level)]
    pub(crate) durability: Level,

    /// Another level for the topics of a filter, such as sensors/#=os; may be repeated, the first
    /// that matches decides
    #[arg(long, value_name = "FILTER=LEVEL", value_parser = values::topic_level)]
    pub(crate) durability_of: Vec<(TopicFilter, Level)>,

    /// How much a new data directory collects in memory before it is written out as a table, for
    /// tests that want many tables soon.
    #[arg(long, value_name = "BYTES", hide = true)]
    pub(crate) store_memtable: Option<u64>,
}

/// Bounds, and what is switched off. What is not given stays as the server has it.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitArgs {
    /// The largest packet, in bytes, up to 268435460, the protocol's 256 MiB [default: 16777216]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(128..=268_435_460))]
    pub(crate) max_packet_size: Option<u32>,

    /// The highest QoS that clients may publish with [default: 2]
    #[arg(long, value_name = "QOS", value_parser = values::qos)]
    pub(crate) max_qos: Option<QoS>,

    /// No retained messages
    #[arg(long)]
    pub(crate) no_retain: bool,

    /// No subscriptions with + or #
    #[arg(long)]
    pub(crate) no_wildcards: bool,

    /// No shared subscriptions
    #[arg(long)]
    pub(crate) no_shared: bool,

    /// No subscription identifiers
    #[arg(long)]
    pub(crate) no_subscription_ids: bool,

    /// A keep alive for 5.0 clients, whatever they ask for, in seconds; others cannot be told of it
    #[arg(long, value_name = "SECS")]
    pub(crate) server_keep_alive: Option<u16>,

    /// How long the next KiB of a packet may take that has begun, in seconds [default: 60]
    #[arg(long, value_name = "SECS", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) packet_timeout: Option<u16>,

    /// How long a client that was closed may take to read why, in seconds [default: 30]
    #[arg(long, value_name = "SECS")]
    pub(crate) linger: Option<u16>,

    /// Closed clients that may take so long at once; others have half a second [default: 1000]
    #[arg(long, value_name = "N")]
    pub(crate) max_lingering: Option<u32>,

    /// What such a client may still send, in bytes [default: 16777216]
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_linger_bytes: Option<u32>,

    /// QoS 1 and 2 messages that a client may have unacknowledged [default: 1024]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) receive_maximum: Option<u16>,

    /// Topic aliases that a client may use [default: 64]
    #[arg(long, value_name = "N")]
    pub(crate) topic_alias_maximum: Option<u16>,

    /// The longest client identifier, in bytes [default: 65535]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) max_client_id_bytes: Option<u16>,

    /// Connections at once [default: 1000000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_connections: Option<u32>,

    /// Connections at once that have not been let in yet; one more ends the oldest of the address
    /// with the most of them [default: 4096]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_connecting: Option<u32>,

    /// Sessions at once, with and without a connection [default: 1000000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_sessions: Option<u32>,

    /// Passwords that are hashed at once [default: one fewer than the cores, at least one]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) login_threads: Option<u16>,

    /// Logins that wait for their password to be hashed; one more is refused [default: 4096]
    #[arg(long, value_name = "N")]
    pub(crate) max_waiting_logins: Option<u32>,

    /// The same from one address, or one /64 of IPv6 [default: 1024]
    #[arg(long, value_name = "N")]
    pub(crate) max_waiting_logins_per_address: Option<u32>,

    /// Bytes of the user names and passwords that wait [default: 16777216]
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_waiting_login_bytes: Option<u32>,

    /// Seconds that a login may wait for its password to be hashed [default: 60]
    #[arg(long, value_name = "SECS")]
    pub(crate) login_wait: Option<u32>,

    /// Seconds that a login that was right is let in again without hashing; 0 for none [default: 10]
    #[arg(long, value_name = "SECS")]
    pub(crate) login_memory: Option<u32>,
    /// Subscriptions of one session [default: 1000000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_subscriptions: Option<u32>,

    /// Bytes of the filters of one session [default: 67108864]
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_filter_bytes: Option<u64>,

    /// Subscriptions with wildcards of one session that may match the same topic: different places of
    /// wildcards in its filters [default: 256]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_overlaps: Option<u32>,

    /// Shared subscriptions of one session that may match the same topic: groups, and in each the
    /// different places of wildcards [default: 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_shared_overlaps: Option<u32>,

    /// QoS 1 and 2 messages that a session may hold, queued and in flight [default: 100000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_queued: Option<u32>,

    /// Bytes that a session may hold, queued and in flight [default: 33554432, and twice the largest
    /// packet at least]
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_queued_bytes: Option<u64>,

    /// What becomes of a message for a full queue: drop-newest, drop-oldest, or refuse, which tells a
    /// 5.0 publisher 0x97 if no receiver took its message. Expired messages make room first, and
    /// publishers wait for every receiver that is connected and goes on [default: drop-newest]
    #[arg(long, value_name = "POLICY", value_parser = values::queue_full)]
    pub(crate) queue_full: Option<QueueFull>,

    /// Seconds in which a receiver that is behind has to finish a message, or nobody waits for it
    /// [default: 2]
    #[arg(long, value_name = "SECS")]
    pub(crate) slow_after: Option<u32>,

    /// Seconds that publishers wait for a receiver that goes on, but does not catch up [default: 60]
    #[arg(long, value_name = "SECS")]
    pub(crate) behind_max: Option<u32>,

    /// Retained messages; 0 for none, as --no-retain [default: 10000000]
    #[arg(long, value_name = "N")]
    pub(crate) max_retained: Option<u32>,

    /// Bytes of all retained messages together [default: 4294967296]
    #[arg(long, value_name = "BYTES")]
    pub(crate) max_retained_bytes: Option<u64>,

    /// Seconds between two publications of $SYS; 0 for none [default: 10]
    #[arg(long, value_name = "SECS")]
    pub(crate) sys_interval: Option<u32>,

    #[command(flatten)]
    pub(crate) room: RoomArgs,
}

/// A place to listen at, by name or number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenAddress {
    /// Without the brackets of an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The path of a WebSocket listener, with its slash, and empty if none is given; `None` for TCP.
    pub(crate) websocket: Option<String>,
}

impl FromStr for ListenAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (is_websocket, place) = match text.split_once("://") {
            None => (false, text),
            Some(("tcp" | "mqtt", place)) => (false, place),
            Some(("ws", place)) => (true, place),
            Some((scheme, _)) => {
                return Err(format!(
                    "{scheme}:// is not supported yet; use tcp://HOST:PORT or ws://HOST:PORT/PATH"
                ));
            }
        };
        let (place, path) = match place.find('/') {
            Some(at) if is_websocket => place.split_at(at),
            _ => (place, ""),
        };
        let (host, port) = url::host_and_port(place)?;
        let port = port.ok_or("there is no port in it; use tcp://HOST:PORT, such as :1883")?;
        let path = if path.len() > 1 { path } else { "" };
        Ok(Self { host, port, websocket: is_websocket.then(|| path.to_owned()) })
    }
}

impl ListenAddress {
    /// The address that `bound` is the numbers of, as clients are given it.
    pub(crate) fn display(&self, bound: &impl fmt::Display) -> String {
        match &self.websocket {
            Some(path) if path.is_empty() => format!("ws://{bound}{}", url::WEBSOCKET_PATH),
            Some(path) => format!("ws://{bound}{path}"),
            None => format!("tcp://{bound}"),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        };
        match &self.websocket {
            Some(path) => write!(f, "ws://{place}{path}"),
            None => write!(f, "tcp://{place}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for (text, expected) in [
            ("tcp://127.0.0.1:1883", "tcp://127.0.0.1:1883"),
            ("localhost:0", "tcp://localhost:0"),
            ("[::1]:1883", "tcp://[::1]:1883"),
            ("mqtt://[::]:1883", "tcp://[::]:1883"),
            ("ws://[::1]:8083", "ws://[::1]:8083"),
            ("ws://[::1]:8083/", "ws://[::1]:8083"),
            ("ws://localhost:8083/a/b", "ws://localhost:8083/a/b"),
        ] {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), expected);
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, expected) in [
            ("tls://a:1", "tls:// is not supported yet"),
            ("localhost", "no port"),
            (":1883", "no host"),
            ("a:b", "is not a port"),
            ("::1:1883", "needs brackets"),
        ] {
            let error = text.parse::<ListenAddress>().unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
