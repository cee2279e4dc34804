//! Reads what is kept: everything at the start, pages of queues later.

use fjall::Slice;
use mqtt_session::{QueuedMessage, SessionNumber, Stored, StoredMessage};

use crate::{
    fault::Fault,
    key,
    keyspaces::Keyspaces,
    record::{
        Entry, Kept, decode_message, decode_progress, decode_received, decode_retained,
        decode_session, decode_subscription,
    },
    shares::Shares,
};

impl Keyspaces {
    /// Shows everything that is kept, sessions first.
    pub(crate) fn visit_all(&self, visit: &mut dyn FnMut(Stored)) -> Result<(), Fault> {
        each(&self.sessions, |key, record| {
            let number = key::session_of(key)?;
            decode_session(number, record).map(|session| visit(Stored::Session(session)))
        })?;
        each(&self.subscriptions, |key, record| {
            let session = key::session_of(key)?;
            let subscription = decode_subscription(session, record)?;
            visit(Stored::Subscription(subscription));
            Some(())
        })?;
        each(&self.progress, |key, record| {
            let progress = decode_progress(record)?;
            visit(Stored::Progress(key::session_of(key)?, progress));
            Some(())
        })?;
        each(&self.received, |key, record| {
            let ids = decode_received(record)?;
            visit(Stored::Received(key::session_of(key)?, ids));
            Some(())
        })?;
        each(&self.queues, |key, record| {
            let (session, seq) = key::entry_of(key)?;
            let entry = Entry::decode(record)?;
            let (count, bytes, shared) = (entry.count, entry.bytes, entry.shared());
            let expires_at_millis = self.expiry(&entry, key);
            visit(Stored::Queued { session, seq, count, bytes, shared, expires_at_millis });
            Some(())
        })?;
        each(&self.retained, |_, record| {
            let (topic, message) = decode_retained(record)?;
            visit(Stored::Retained { topic, message });
            Some(())
        })
    }

    /// When the messages of an entry expire. Format 1 has that with the packets alone.
    fn expiry(&self, entry: &Entry<'_>, key: &[u8]) -> Option<u64> {
        let message = match entry.kept {
            Kept::Shared(number) if entry.head.is_none() => {
                self.message(entry, &key::shared(number))
            }
            Kept::Apart if entry.head.is_none() => self.message(entry, key),
            _ => return entry.expires_at_millis,
        };
        // What cannot be read is found when it is to be sent.
        message.ok()?.expires_at_millis
    }

    /// Counts the entries that need messages outside of them.
    pub(crate) fn shares(&self) -> Result<Shares, Fault> {
        let mut shares = Shares::default();
        each(&self.queues, |key, record| {
            let (session, seq) = key::entry_of(key)?;
            match Entry::decode(record)?.kept {
                Kept::Inline(_) => {}
                Kept::Shared(number) => shares.count_shared(number),
                Kept::Apart => shares.note_apart(session, seq),
            }
            Some(())
        })?;
        Ok(shares)
    }

    /// Reads a part of a queue.
    pub(crate) fn page(
        &self,
        session: SessionNumber,
        from: u64,
        bytes_max: usize,
    ) -> Result<Vec<QueuedMessage>, Fault> {
        let mut page = Vec::new();
        let mut bytes = 0;
        for item in self.queues.range(key::entry(session, from)..=key::entry(session, u64::MAX)) {
            let (key, record) = item.into_inner()?;
            let queued = self.queued(&key, &record)?;
            bytes += queued.message.frames.len();
            page.push(queued);
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(page)
    }

    fn queued(&self, key: &[u8], record: &[u8]) -> Result<QueuedMessage, Fault> {
        const ENTRY: Fault = Fault::Record("an entry of a queue is not whole");
        let (session, seq) = key::entry_of(key).ok_or(ENTRY)?;
        let entry = Entry::decode(record).ok_or(ENTRY)?;
        let place = entry.place(session, seq).ok_or(ENTRY)?;
        let message = match entry.kept {
            Kept::Inline(_) => entry.kept.inline().ok_or(ENTRY)?,
            Kept::Shared(number) => self.message(&entry, &key::shared(number))?,
            Kept::Apart => self.message(&entry, key)?,
        };
        Ok(QueuedMessage { place, message, shared: entry.shared() })
    }

    fn message(&self, entry: &Entry<'_>, key: &[u8]) -> Result<StoredMessage, Fault> {
        let record: Option<Slice> = self.messages.get(key)?;
        let record = record.ok_or(Fault::Record("a message of a queue is missing"))?;
        let message = match entry.head {
            Some(head) => Some(head.message(record.into())),
            None => decode_message(&record),
        };
        message
            .filter(|message| message.frames.len() as u64 == entry.bytes)
            .ok_or(Fault::Record("a message of a queue is not whole"))
    }
}

/// Goes through a keyspace; `each` answers `None` where a record is not whole.
fn each(
    keyspace: &fjall::Keyspace,
    mut each: impl FnMut(&[u8], &[u8]) -> Option<()>,
) -> Result<(), Fault> {
    for item in keyspace.iter() {
        let (key, record) = item.into_inner()?;
        each(&key, &record).ok_or(Fault::Record("a record is not whole"))?;
    }
    Ok(())
}
