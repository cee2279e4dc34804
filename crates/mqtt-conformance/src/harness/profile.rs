//! Configurations that tests need, since some exclude each other.

/// A configuration of the broker under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Profile {
    /// Anonymous access, everything switched on.
    Plain,
    /// As plain, a broker of its own for what is heavy or rude.
    Abuse,
    /// Users `alice` (password `wonderland`) and `bob` (password `builder`); nobody else.
    Password,
    /// Anonymous access, and the users of `Password` by SCRAM-SHA-256.
    Scram,
    /// Anonymous access; topics below `denied/` may be neither read nor written.
    Acl,
    /// The users of `Password`; pattern rules with the user name and the client id.
    Patterns,
    /// Anonymous access; an access file with nothing but a comment.
    EmptyAcl,
    /// Maximum QoS 0.
    MaxQos0,
    /// Maximum QoS 1.
    MaxQos1,
    /// No retained messages.
    NoRetain,
    /// No wildcard subscriptions.
    NoWildcards,
    /// No shared subscriptions.
    NoShared,
    /// No subscription identifiers.
    NoSubscriptionIds,
    /// Server Keep Alive 2 s.
    ServerKeepAlive,
    /// Receive Maximum 3.
    SmallWindow,
    /// Topic Alias Maximum 0.
    NoAliases,
    /// Client ids of at most 23 bytes.
    ShortClientIds,
    /// Anonymous access; a second listener with WebSocket, on 127.0.0.2 at the same port.
    WebSocket,
    /// No option but where to listen and where to keep the data: the defaults of `surgemq serve`.
    Defaults,
}

impl Profile {
    /// Every profile.
    pub(crate) const ALL: &'static [Self] = &[
        Self::Plain,
        Self::Abuse,
        Self::Password,
        Self::Scram,
        Self::Acl,
        Self::Patterns,
        Self::EmptyAcl,
        Self::MaxQos0,
        Self::MaxQos1,
        Self::NoRetain,
        Self::NoWildcards,
        Self::NoShared,
        Self::NoSubscriptionIds,
        Self::ServerKeepAlive,
        Self::SmallWindow,
        Self::NoAliases,
        Self::ShortClientIds,
        Self::WebSocket,
        Self::Defaults,
    ];

    /// As it is written on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Abuse => "abuse",
            Self::Password => "password",
            Self::Scram => "scram",
            Self::Acl => "acl",
            Self::Patterns => "patterns",
            Self::EmptyAcl => "empty-acl",
            Self::MaxQos0 => "max-qos-0",
            Self::MaxQos1 => "max-qos-1",
            Self::NoRetain => "no-retain",
            Self::NoWildcards => "no-wildcards",
            Self::NoShared => "no-shared",
            Self::NoSubscriptionIds => "no-subscription-ids",
            Self::ServerKeepAlive => "server-keep-alive",
            Self::SmallWindow => "small-window",
            Self::NoAliases => "no-aliases",
            Self::ShortClientIds => "short-client-ids",
            Self::WebSocket => "websocket",
            Self::Defaults => "defaults",
        }
    }

    /// The options of `surgemq serve` beyond the listener.
    pub(crate) fn surgemq(self) -> &'static [&'static str] {
        match self {
            Self::Plain | Self::Abuse => &["--allow-anonymous"],
            Self::Password => &["--password-file", "{passwords}"],
            Self::Scram => &["--allow-anonymous", "--password-file", "{scram}"],
            Self::Acl => &["--allow-anonymous", "--acl-file", "{acl}"],
            Self::Patterns => &["--password-file", "{passwords}", "--acl-file", "{patterns}"],
            Self::EmptyAcl => &["--allow-anonymous", "--acl-file", "{empty}"],
            Self::MaxQos0 => &["--allow-anonymous", "--max-qos", "0"],
            Self::MaxQos1 => &["--allow-anonymous", "--max-qos", "1"],
            Self::NoRetain => &["--allow-anonymous", "--no-retain"],
            Self::NoWildcards => &["--allow-anonymous", "--no-wildcards"],
            Self::NoShared => &["--allow-anonymous", "--no-shared"],
            Self::NoSubscriptionIds => &["--allow-anonymous", "--no-subscription-ids"],
            Self::ServerKeepAlive => &["--allow-anonymous", "--server-keep-alive", "2"],
            Self::SmallWindow => &["--allow-anonymous", "--receive-maximum", "3"],
            Self::NoAliases => &["--allow-anonymous", "--topic-alias-maximum", "0"],
            Self::ShortClientIds => &["--allow-anonymous", "--max-client-id-bytes", "23"],
            Self::WebSocket => &["--allow-anonymous", "--listen", "ws://127.0.0.2:{port}/mqtt"],
            Self::Defaults => &[],
        }
    }

    /// The lines of mosquitto's configuration; `None` where it has no such setting.
    pub(crate) fn mosquitto(self) -> Option<&'static str> {
        Some(match self {
            Self::Plain | Self::Abuse => "allow_anonymous true\n",
            Self::Password => "allow_anonymous false\npassword_file {passwords}\n",
            Self::Acl => "allow_anonymous true\nacl_file {acl}\n",
            Self::Patterns => {
                "allow_anonymous false\npassword_file {passwords}\nacl_file {patterns}\n"
            }
            Self::EmptyAcl => "allow_anonymous true\nacl_file {empty}\n",
            Self::MaxQos0 => "allow_anonymous true\nmax_qos 0\n",
            Self::MaxQos1 => "allow_anonymous true\nmax_qos 1\n",
            Self::NoRetain => "allow_anonymous true\nretain_available false\n",
            Self::SmallWindow => "allow_anonymous true\nmax_inflight_messages 3\n",
            Self::NoAliases => "allow_anonymous true\nmax_topic_alias 0\n",
            // Its WebSocket listeners bind to interfaces by name, not to a second loopback address.
            Self::Defaults
            | Self::WebSocket
            | Self::Scram
            | Self::NoWildcards
            | Self::NoShared
            | Self::NoSubscriptionIds
            | Self::ServerKeepAlive
            | Self::ShortClientIds => return None,
        })
    }
}

/// Passwords in the format of mosquitto: `alice:wonderland`, `bob:builder`.
pub(crate) const PASSWORDS: &str = "\
alice:$7$101$1SB2yfTO2feuWG9C$A8vpxqoGQ1MGeh23kY1YNeZgGvPgm6\
qZhQPA6lHYh2OzhS8OABr10ffxGuRzY5iRFpMD2HNEIGU8uD9slrtVSA==
bob:$7$101$BwOMHdrncl1Lv4xD$Olpha7mId6a/cCLRX4jxipHREMsRrQDS\
fDhtx1/fTT0I6TLPRMATqCUgpzEXRkCTeYVIR/DU0N95CIgScfRXEA==
";

/// The same users for SCRAM-SHA-256.
pub(crate) const SCRAM: &str = "\
alice:$scram-sha-256$4096$Y29uZm9ybWFuY2Ugc3VpdA==$dL6ajvJsRMVk/bjF\
YyGilgrcDumEZZti4gWY53DIOlI=$K9iaRyyfxTJs/yZg4CXUIrKZtxsEPODKXuRa5xiaapQ=
bob:$scram-sha-256$4096$YW5vdGhlciBzYWx0IDE2Yg==$UYkFSsCnjkx388YT\
d3KccKYszpaQt4VFqBIkZC1J7rA=$ruS+fw/0dtZKeTKmzR3Q4hmq/oYZNGZhSF+XsnmMPkw=
";

/// Everything but `denied/`.
pub(crate) const ACL: &str = "\
topic readwrite #
topic deny denied/#
";

/// Each user below its own name, each client below its own id, a board that all may read.
pub(crate) const PATTERNS: &str = "\
user alice
topic readwrite alice/#

user bob
topic readwrite bob/#

pattern readwrite users/%u/#
pattern readwrite clients/%c/#
pattern read board/#
";
