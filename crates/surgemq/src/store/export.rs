//! What a data directory holds, as JSON, one object a line.

use std::{
    collections::HashMap,
    fmt::Write as _,
    io::{self, Write},
    sync::Arc,
};

use mqtt_packet::{PacketId, Version};
use mqtt_session::{SessionNumber, Stored, StoredMessage, StoredSession, StoredWill, WallClock};
use mqtt_store::Exported;
use serde_json::{Map, Value, json};

/// Writes lines. Sessions come first, so everything else can name its client.
pub(super) struct Exporter<W> {
    out: W,
    clients: HashMap<SessionNumber, Arc<str>>,
}

impl<W: Write> Exporter<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, clients: HashMap::new() }
    }

    pub(super) fn write(&mut self, exported: Exported) -> io::Result<()> {
        match exported {
            Exported::Stored(stored) => self.stored(stored),
            Exported::Queued(queued) => {
                let client_id = self.client(queued.place.session);
                for (seq, mut message) in (queued.place.seq..).zip(messages(queued.message)) {
                    message.insert("type".into(), "queued".into());
                    message.insert("client_id".into(), client_id.clone());
                    message.insert("number".into(), seq.into());
                    message.insert("granted_qos".into(), queued.place.granted.bits().into());
                    self.line(&Value::Object(message))?;
                }
                Ok(())
            }
        }
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }

    fn stored(&mut self, stored: Stored) -> io::Result<()> {
        let line = match stored {
            Stored::Session(session) => {
                self.clients.insert(session.number, session.client_id.clone());
                self::session(session)
            }
            Stored::Subscription(subscription) => json!({
                "type": "subscription",
                "client_id": self.client(subscription.session),
                "filter": &*subscription.filter,
                "options": subscription.options.bits(Version::V5),
                "identifier": subscription.identifier,
            }),
            Stored::Progress(session, progress) => json!({
                "type": "progress",
                "client_id": self.client(session),
                "first_unfinished": progress.head,
                "first_unsent": progress.sent,
            }),
            Stored::Received(session, ids) => json!({
                "type": "received",
                "client_id": self.client(session),
                "packet_ids": ids.into_iter().map(PacketId::get).collect::<Vec<_>>(),
            }),
            Stored::Retained { message, .. } => {
                for mut message in messages(message) {
                    message.insert("type".into(), "retained".into());
                    self.line(&Value::Object(message))?;
                }
                return Ok(());
            }
            Stored::Queued { .. } => return Ok(()),
        };
        self.line(&line)
    }

    fn client(&self, session: SessionNumber) -> Value {
        self.clients.get(&session).map_or(Value::Null, |client_id| Value::from(&**client_id))
    }

    fn line(&mut self, line: &Value) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }
}

fn session(session: StoredSession) -> Value {
    json!({
        "type": "session",
        "client_id": &*session.client_id,
        "user_name": session.user_name.as_deref(),
        "expiry_secs": session.expiry_secs,
        "is_connected": session.parked_at_millis.is_none(),
        "left_at_millis": session.parked_at_millis,
        "will": session.will.map(will),
    })
}

fn will(will: StoredWill) -> Value {
    json!({
        "delay_secs": will.delay_secs,
        "expiry_secs": will.expiry_secs,
        "message": messages(will.message).next(),
    })
}

/// The messages of a run, one by one.
fn messages(message: StoredMessage) -> impl Iterator<Item = Map<String, Value>> {
    let expires_at_millis = message.expires_at_millis;
    let run = message.run(WallClock::default());
    let each = run.frames().map(|frame| {
        let publish = frame.publish;
        let mut object = Map::new();
        object.insert("topic".into(), String::from_utf8_lossy(publish.topic).into());
        object.insert("qos".into(), run.qos().bits().into());
        object.insert("retain".into(), run.retain().into());
        object.insert("expires_at_millis".into(), expires_at_millis.into());
        if !publish.properties.is_empty() {
            object.insert("properties_hex".into(), hex(publish.properties).into());
        }
        match std::str::from_utf8(publish.payload) {
            Ok(text) => object.insert("payload".into(), text.into()),
            Err(_) => object.insert("payload_hex".into(), hex(publish.payload).into()),
        };
        object
    });
    each.collect::<Vec<_>>().into_iter()
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // A string takes everything.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
