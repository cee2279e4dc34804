//! What `pub` and `sub` have in common: the connection.

use std::{
    ffi::OsString,
    hash::{BuildHasher, RandomState},
};

use clap::Args;
use mqtt_packet::{QoS, Version};
use mqtt_topics::TopicNameRef;

use super::{url::Url, values};
use crate::{failure::Failure, properties::Properties};

/// The options that say where to connect, and as whom.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArgs {
    /// The broker's host [default: localhost]
    #[arg(short = 'h', long, value_name = "HOST", conflicts_with = "url")]
    pub(crate) host: Option<String>,

    /// The broker's port [default: 1883]
    #[arg(short, long, value_name = "PORT", conflicts_with = "url")]
    pub(crate) port: Option<u16>,

    // Not a doc comment: rustdoc would take the brackets for links.
    #[arg(
        short = 'L',
        long,
        value_name = "URL",
        help = "Everything at once: mqtt://[USER[:PASSWORD]@]HOST[:PORT][/TOPIC], or \
                ws://[USER[:PASSWORD]@]HOST[:PORT][/PATH] for WebSocket"
    )]
    url: Option<String>,

    /// The user name
    #[arg(short, long = "username", value_name = "NAME")]
    pub(crate) user_name: Option<String>,

    /// The password
    #[arg(short = 'P', long = "pw", value_name = "PASSWORD")]
    pub(crate) password: Option<OsString>,

    /// The client identifier [default: none with -V 5, else a random one]
    #[arg(short = 'i', long = "id", value_name = "ID", conflicts_with = "id_prefix")]
    pub(crate) client_id: Option<String>,

    /// Make the client identifier from this prefix and the process id
    #[arg(short = 'I', long = "id-prefix", value_name = "PREFIX")]
    pub(crate) id_prefix: Option<String>,

    /// The protocol version: mqttv31, mqttv311 or mqttv5, or 31, 311 or 5 [default: mqttv311, or
    /// mqttv5 if an option needs it]
    #[arg(short = 'V', long = "protocol-version", value_name = "VERSION", value_parser = values::version)]
    pub(crate) version: Option<Version>,

    /// The keep alive in seconds; 0 for none
    #[arg(short, long = "keepalive", value_name = "SECS", default_value_t = 60)]
    pub(crate) keep_alive: u16,

    /// Keep the session when the connection ends, and resume the one that is there; needs --id
    #[arg(short = 'c', long = "disable-clean-session")]
    pub(crate) persistent: bool,

    /// How long the session outlives the connection, in seconds; -1 or ∞ for ever; MQTT 5.0 only
    /// [default: 0, or for ever with -c]
    #[arg(short = 'x', long, value_name = "SECS", value_parser = values::session_expiry)]
    pub(crate) session_expiry: Option<u32>,

    /// The topic of the will, which the broker publishes if the connection is lost
    #[arg(long, value_name = "TOPIC")]
    pub(crate) will_topic: Option<String>,

    /// The will's payload [default: empty]
    #[arg(long, value_name = "PAYLOAD", requires = "will_topic")]
    pub(crate) will_payload: Option<OsString>,

    /// The will's QoS [default: 0]
    #[arg(long, value_name = "QOS", value_parser = values::qos, requires = "will_topic")]
    pub(crate) will_qos: Option<QoS>,

    /// Make the will a retained message
    #[arg(long, requires = "will_topic")]
    pub(crate) will_retain: bool,

    /// An MQTT 5.0 property: PACKET PROPERTY VALUE, or PACKET user-property NAME VALUE.
    /// PACKET is connect, publish, will, subscribe, unsubscribe or disconnect; PROPERTY is the
    /// standard's name with dashes, such as content-type
    // For the help alone: the words are taken out before, see `property_words`.
    #[arg(short = 'D', long = "property", value_name = "PACKET PROPERTY VALUE")]
    property_words: Vec<String>,

    /// The words of each `-D`.
    #[arg(skip)]
    pub(crate) properties: Vec<Vec<String>>,

    /// Tell what happens on the connection, on stderr
    #[arg(short, long)]
    pub(crate) debug: bool,

    /// Do not print what fails at run time; the exit code still says it
    #[arg(long)]
    pub(crate) quiet: bool,

    /// Accepted for compatibility; Nagle's algorithm is always off
    #[arg(long, hide = true)]
    nodelay: bool,
}

/// Where to connect, and as whom: checked, with everything filled in.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The path of the WebSocket; `None` for TCP.
    pub(crate) websocket: Option<String>,
    pub(crate) user_name: Option<String>,
    pub(crate) password: Option<Vec<u8>>,
    /// Empty if the server is to assign one.
    pub(crate) client_id: String,
    pub(crate) version: Version,
    /// Clean Start; in 3.1 and 3.1.1 Clean Session.
    pub(crate) clean_start: bool,
    /// 0 for none.
    pub(crate) keep_alive_secs: u16,
    pub(crate) will: Option<ConnectionWill>,
    pub(crate) properties: Properties,
}

/// A will, without its properties.
#[derive(Debug)]
pub(crate) struct ConnectionWill {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
}

impl ConnectionArgs {
    /// Checks the options, and fills in what they leave open. `wants_v5` names an option of the
    /// command that only MQTT 5.0 can do, if it was given.
    ///
    /// # Errors
    /// What is wrong, with exit code 2.
    pub(crate) fn plan(&self, wants_v5: Option<&str>) -> Result<Connection, Failure> {
        let mut properties = Properties::default();
        for words in &self.properties {
            properties.add(words).map_err(Failure::usage)?;
        }
        let (method, data) =
            (&properties.connect.authentication_method, &properties.connect.authentication_data);
        if data.is_some() && method.is_none() {
            let text = "authentication-data needs -D connect authentication-method METHOD too";
            return Err(Failure::usage(text));
        }
        let version = self.decide_version(&properties, wants_v5)?;
        let url = self.parsed_url()?.unwrap_or_default();
        let host = self.host.clone().or(Some(url.host)).filter(|host| !host.is_empty());
        let password = self.password.as_ref().map(|word| word.as_encoded_bytes().to_vec());
        let connection = Connection {
            host: host.unwrap_or_else(|| "localhost".into()),
            port: self.port.or(url.port).unwrap_or(if url.websocket.is_some() { 80 } else { 1883 }),
            websocket: url.websocket,
            user_name: self.user_name.clone().or(url.user_name),
            password: password.or(url.password),
            client_id: self.decide_client_id(version)?,
            version,
            clean_start: !self.persistent,
            keep_alive_secs: self.keep_alive,
            will: self.plan_will()?,
            properties: self.with_session_expiry(properties, version),
        };
        if connection.password.is_some() && connection.user_name.is_none() && !version.is_v5() {
            let text = "MQTT before 5.0 has no password without a user name; add -u NAME, or -V 5";
            return Err(Failure::usage(text));
        }
        Ok(connection)
    }

    /// What the URL says. It is parsed here and not by clap, whose errors repeat the whole argument,
    /// password and all.
    ///
    /// # Errors
    /// It is none, with exit code 2. Nothing of it is repeated.
    pub(crate) fn parsed_url(&self) -> Result<Option<Url>, Failure> {
        let url = self.url.as_deref().map(str::parse).transpose();
        url.map_err(|error: String| Failure::usage(format!("-L: {error}")))
    }

    fn decide_version(
        &self,
        properties: &Properties,
        wants_v5: Option<&str>,
    ) -> Result<Version, Failure> {
        let given =
            [(!properties.is_empty()).then_some("-D"), self.session_expiry.map(|_| "-x"), wants_v5];
        match (self.version, given.into_iter().flatten().next()) {
            (Some(Version::V5) | None, Some(_)) => Ok(Version::V5),
            (Some(version), Some(option)) => {
                Err(Failure::usage(format!("{option} needs MQTT 5.0, but -V says {version}")))
            }
            (version, None) => Ok(version.unwrap_or(Version::V311)),
        }
    }

    fn decide_client_id(&self, version: Version) -> Result<String, Failure> {
        if let Some(id) = &self.client_id {
            return Ok(id.clone());
        }
        if let Some(prefix) = &self.id_prefix {
            return Ok(format!("{prefix}{}", std::process::id()));
        }
        if self.persistent {
            return Err(Failure::usage(
                "-c needs a client identifier to find the session by; add -i ID",
            ));
        }
        let random = RandomState::new().hash_one(std::process::id());
        Ok(if version.is_v5() { String::new() } else { format!("surge-{random:016x}") })
    }

    fn plan_will(&self) -> Result<Option<ConnectionWill>, Failure> {
        let Some(topic) = &self.will_topic else {
            return Ok(None);
        };
        TopicNameRef::new(topic)
            .map_err(|error| Failure::usage(format!("--will-topic {topic:?}: {error}")))?;
        let payload = self.will_payload.clone().unwrap_or_default().as_encoded_bytes().to_vec();
        if payload.len() > usize::from(u16::MAX) {
            let text = "--will-payload: a will holds 65535 bytes at most";
            return Err(Failure::usage(text));
        }
        Ok(Some(ConnectionWill {
            topic: topic.clone(),
            payload,
            qos: self.will_qos.unwrap_or_default(),
            retain: self.will_retain,
        }))
    }

    /// `-x` counts for more than `-D connect session-expiry-interval`, which counts for more than
    /// that `-c` means for ever.
    fn with_session_expiry(&self, mut properties: Properties, version: Version) -> Properties {
        let for_ever = (self.persistent && version.is_v5()).then_some(u32::MAX);
        let given = self.session_expiry.or(properties.connect.session_expiry_secs);
        properties.connect.session_expiry_secs = given.or(for_ever);
        properties
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    #[command(disable_help_flag = true)]
    struct Only {
        #[command(flatten)]
        connection: ConnectionArgs,
    }

    fn plan(line: &str) -> Result<Connection, Failure> {
        let words = std::iter::once("x").chain(line.split_whitespace());
        let mut args = Only::parse_from(words).connection;
        let words = |text: &String| text.split(',').map(str::to_owned).collect();
        args.properties = args.property_words.iter().map(words).collect();
        args.plan(None)
    }

    #[test]
    fn what_is_not_said_is_filled_in() {
        let connection = plan("").unwrap();
        assert_eq!((connection.host.as_str(), connection.port), ("localhost", 1883));
        assert_eq!((connection.version, connection.keep_alive_secs), (Version::V311, 60));
        assert!(connection.clean_start && connection.client_id.starts_with("surge-"));
    }

    #[test]
    fn a_url_says_it_all_and_options_say_more() {
        let connection = plan("-L mqtt://u:p@h:1/t -P q").unwrap();
        assert_eq!((connection.host.as_str(), connection.port), ("h", 1));
        assert_eq!(connection.user_name.as_deref(), Some("u"));
        assert_eq!(connection.password.as_deref(), Some(b"q".as_slice()));
    }

    #[test]
    fn a_url_says_whether_it_is_websocket() {
        let connection = plan("-L ws://h/x").unwrap();
        assert_eq!((connection.port, connection.websocket.as_deref()), (80, Some("/x")));
        assert_eq!(plan("-L mqtt://h/x").unwrap().websocket, None);
    }

    #[test]
    fn a_property_makes_it_mqtt_5() {
        assert_eq!(plan("-D publish,content-type,x").unwrap().version, Version::V5);
        assert_eq!(plan("-x 5").unwrap().version, Version::V5);
        let error = plan("-V 311 -x 5").unwrap_err();
        assert_eq!(error, Failure::usage("-x needs MQTT 5.0, but -V says MQTT 3.1.1"));
    }

    #[test]
    fn the_session_expires_as_said_last() {
        let expiry = |line| plan(line).unwrap().properties.connect.session_expiry_secs;
        assert_eq!(expiry("-V 5"), None);
        assert_eq!(expiry("-V 5 -c -i a"), Some(u32::MAX));
        assert_eq!(expiry("-V 5 -c -i a -D connect,session-expiry-interval,7"), Some(7));
        assert_eq!(expiry("-V 5 -c -i a -x 8 -D connect,session-expiry-interval,7"), Some(8));
        assert_eq!(expiry("-V 311 -c -i a"), None);
    }

    #[test]
    fn identifiers_come_from_three_places() {
        assert_eq!(plan("-i me").unwrap().client_id, "me");
        assert_eq!(plan("-I me-").unwrap().client_id, format!("me-{}", std::process::id()));
        assert_eq!(plan("-V 5").unwrap().client_id, "");
        assert!(plan("-c").unwrap_err().to_string().contains("add -i ID"));
    }

    #[test]
    fn a_will_is_checked_before_anybody_is_asked() {
        let will = plan("--will-topic a --will-payload x --will-qos 2 --will-retain").unwrap().will;
        let will = will.unwrap();
        assert_eq!((will.topic.as_str(), will.payload.as_slice()), ("a", b"x".as_slice()));
        assert_eq!((will.qos, will.retain), (QoS::ExactlyOnce, true));
        assert!(plan("--will-topic a/#").unwrap_err().to_string().contains("--will-topic"));
        let long = format!("--will-topic a --will-payload {}", "x".repeat(65_536));
        assert!(plan(&long).unwrap_err().to_string().contains("65535 bytes"));
    }

    #[test]
    fn a_password_needs_a_user_before_5() {
        assert!(plan("-P x").unwrap_err().to_string().contains("-u NAME"));
        assert!(plan("-P x -V 5").is_ok());
    }
}
