//! What a client of a story says when it connects.

use mqtt_packet::{Connect, ConnectProperties, QoS, Version, Will, WillProperties};

/// A CONNECT in the making.
#[derive(Clone, Debug)]
pub(super) struct Hello {
    pub(super) version: Version,
    pub(super) id: String,
    pub(super) clean: bool,
    pub(super) keep_alive_secs: u16,
    pub(super) user: Option<&'static str>,
    /// With the bit of a bridge, before 5.0.
    pub(super) is_bridge: bool,
    pub(super) will: Option<Will<'static>>,
    pub(super) properties: ConnectProperties<'static>,
}

/// A client whose session ends with its connection.
pub(super) fn hello(version: Version, id: &str) -> Hello {
    Hello {
        version,
        id: id.to_owned(),
        clean: true,
        keep_alive_secs: 0,
        user: None,
        is_bridge: false,
        will: None,
        properties: ConnectProperties::default(),
    }
}

/// A client whose session stays for ever.
pub(super) fn persistent(version: Version, id: &str) -> Hello {
    Hello { clean: false, ..hello(version, id) }.expiry(u32::MAX)
}

impl Hello {
    /// With a Session Expiry Interval, in 5.0.
    pub(super) fn expiry(mut self, secs: u32) -> Self {
        self.properties.session_expiry_interval = self.version.is_v5().then_some(secs);
        self
    }

    pub(super) fn clean(self) -> Self {
        Self { clean: true, ..self }
    }

    pub(super) fn user(self, user: &'static str) -> Self {
        Self { user: Some(user), ..self }
    }

    pub(super) fn keep_alive(self, secs: u16) -> Self {
        Self { keep_alive_secs: secs, ..self }
    }

    /// With a will of QoS 1 to the topic `will`, its payload the client's name for it.
    pub(super) fn will(self, payload: &'static str) -> Self {
        self.will_to("will", payload, 0)
    }

    pub(super) fn will_to(
        mut self,
        topic: &'static str,
        payload: &'static str,
        delay_secs: u32,
    ) -> Self {
        let delay = (self.version.is_v5() && delay_secs > 0).then_some(delay_secs);
        self.will = Some(Will {
            qos: QoS::AtLeastOnce,
            retain: false,
            topic,
            payload: payload.as_bytes(),
            properties: WillProperties { delay_interval_secs: delay, ..Default::default() },
        });
        self
    }

    pub(super) fn encode(&self) -> bytes::BytesMut {
        let mut out = bytes::BytesMut::new();
        let connect = Connect {
            version: self.version,
            clean_start: self.clean,
            keep_alive_secs: self.keep_alive_secs,
            client_id: &self.id,
            will: self.will,
            user_name: self.user,
            password: None,
            properties: self.properties,
        };
        connect.encode(&mut out).unwrap();
        if self.is_bridge {
            // Behind two bytes of header, and the name with its length.
            let level = 4 + self.version.protocol_name().len();
            out[level] |= 0x80;
        }
        out
    }
}
