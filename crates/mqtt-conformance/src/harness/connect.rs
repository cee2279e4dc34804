//! CONNECT, well-formed by default; each part can be set to something wrong.

use super::bytes::Body;
use super::property::{Props, prop};
use super::version::Version;

/// A CONNECT packet to be.
#[derive(Debug, Clone)]
pub(crate) struct Connect {
    pub(crate) version: Version,
    pub(crate) name: Vec<u8>,
    pub(crate) level: u8,
    pub(crate) clean: bool,
    pub(crate) keep_alive_secs: u16,
    pub(crate) props: Props,
    pub(crate) client_id: Vec<u8>,
    pub(crate) will: Option<Will>,
    pub(crate) user: Option<Vec<u8>>,
    pub(crate) password: Option<Vec<u8>>,
    flags: Option<u8>,
    tail: Vec<u8>,
}

/// The will of a CONNECT.
#[derive(Debug, Clone)]
pub(crate) struct Will {
    pub(crate) topic: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) props: Props,
}

impl Connect {
    /// A clean session without will or credentials, keep alive 60 s.
    pub(crate) fn new(version: Version, client_id: impl AsRef<[u8]>) -> Self {
        Self {
            version,
            name: version.protocol_name().to_vec(),
            level: version.level(),
            clean: true,
            keep_alive_secs: 60,
            props: Props::new(),
            client_id: client_id.as_ref().to_vec(),
            will: None,
            user: None,
            password: None,
            flags: None,
            tail: Vec::new(),
        }
    }

    /// Resumes a session or makes one that outlives the connection (by 300 s in 5.0).
    pub(crate) fn durable(self) -> Self {
        self.resume().expiry(300)
    }

    /// Clean Session or Clean Start 0.
    pub(crate) fn resume(mut self) -> Self {
        self.clean = false;
        self
    }

    /// Session Expiry Interval, in 5.0 only.
    pub(crate) fn expiry(self, secs: u32) -> Self {
        if self.version.is_v5() { self.with(|p| p.four(prop::SESSION_EXPIRY, secs)) } else { self }
    }

    /// A clean session that ends with its connection.
    pub(crate) fn expiry_none(mut self) -> Self {
        self.clean = true;
        self.props = Props::new();
        self
    }

    /// Adds properties.
    pub(crate) fn with(mut self, more: impl FnOnce(Props) -> Props) -> Self {
        self.props = more(self.props);
        self
    }

    pub(crate) fn receive_maximum(self, value: u16) -> Self {
        self.with(|p| p.two(prop::RECEIVE_MAXIMUM, value))
    }

    pub(crate) fn maximum_packet_size(self, value: u32) -> Self {
        self.with(|p| p.four(prop::MAXIMUM_PACKET_SIZE, value))
    }

    pub(crate) fn keep_alive(mut self, secs: u16) -> Self {
        self.keep_alive_secs = secs;
        self
    }

    pub(crate) fn will(mut self, will: Will) -> Self {
        self.will = Some(will);
        self
    }

    pub(crate) fn user(mut self, user: impl AsRef<[u8]>) -> Self {
        self.user = Some(user.as_ref().to_vec());
        self
    }

    pub(crate) fn password(mut self, password: impl AsRef<[u8]>) -> Self {
        self.password = Some(password.as_ref().to_vec());
        self
    }

    /// Another protocol name and level.
    pub(crate) fn protocol(mut self, name: impl AsRef<[u8]>, level: u8) -> Self {
        self.name = name.as_ref().to_vec();
        self.level = level;
        self
    }

    /// Sets the flags byte whatever the fields say.
    pub(crate) fn flags(mut self, flags: u8) -> Self {
        self.flags = Some(flags);
        self
    }

    /// Puts bytes behind the last field.
    pub(crate) fn tail(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.tail = bytes.as_ref().to_vec();
        self
    }

    /// The flags byte that the fields ask for.
    fn natural_flags(&self) -> u8 {
        let will = self
            .will
            .as_ref()
            .map_or(0, |will| 0x04 | ((will.qos & 3) << 3) | if will.retain { 0x20 } else { 0 });
        let user = if self.user.is_some() { 0x80 } else { 0 };
        let password = if self.password.is_some() { 0x40 } else { 0 };
        will | user | password | if self.clean { 0x02 } else { 0 }
    }

    /// The packet's body.
    pub(crate) fn body(&self) -> Body {
        let mut body = Body::new()
            .text(&self.name)
            .u8(self.level)
            .u8(self.flags.unwrap_or(self.natural_flags()))
            .u16(self.keep_alive_secs);
        if self.version.is_v5() {
            body = body.raw(self.props.block());
        }
        body = body.text(&self.client_id);
        if let Some(will) = &self.will {
            if self.version.is_v5() {
                body = body.raw(will.props.block());
            }
            body = body.text(&will.topic).text(&will.payload);
        }
        for field in [&self.user, &self.password].into_iter().flatten() {
            body = body.text(field);
        }
        body.raw(&self.tail)
    }

    /// The whole packet.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.body().packet(0x10)
    }
}

impl Will {
    /// QoS 0, not retained.
    pub(crate) fn new(topic: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> Self {
        Self {
            topic: topic.as_ref().to_vec(),
            payload: payload.as_ref().to_vec(),
            qos: 0,
            retain: false,
            props: Props::new(),
        }
    }

    pub(crate) fn qos(mut self, qos: u8) -> Self {
        self.qos = qos;
        self
    }

    pub(crate) fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    pub(crate) fn props(mut self, props: Props) -> Self {
        self.props = props;
        self
    }

    /// Will Delay Interval.
    pub(crate) fn delay(mut self, secs: u32) -> Self {
        self.props = self.props.four(prop::WILL_DELAY, secs);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_follow_the_fields() {
        let will = Will::new("w", "x").qos(2).retain();
        let connect = Connect::new(Version::V311, "c").will(will).user("u").password("p");
        assert_eq!(connect.natural_flags(), 0xF6);
        assert_eq!(connect.resume().natural_flags(), 0xF4);
    }

    #[test]
    fn the_smallest_connect_is_as_in_the_standard() {
        let bytes = Connect::new(Version::V5, "c").bytes();
        assert_eq!(bytes, b"\x10\x0E\0\x04MQTT\x05\x02\0\x3C\0\0\x01c");
    }
}
