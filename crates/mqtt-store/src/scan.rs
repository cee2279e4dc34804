//! Reads what is kept: everything at the start, pages of queues later.

use std::ops::Bound;

use fjall::{Slice, UserKey};
use mqtt_session::{QueuedMessage, SessionNumber, Stored, StoredMessage};

use crate::{
    fault::Fault,
    key,
    keyspaces::{Keyspaces, Kind},
    record::{
        Entry, Kept, decode_message, decode_progress, decode_received, decode_retained,
        decode_session, decode_subscription,
    },
    shares::Shares,
};

/// How far the records of a database have been shown.
#[derive(Debug)]
pub(crate) struct Bookmark {
    /// The place of the keyspace in the order of all.
    kind: usize,
    /// The last key of it.
    after: Bound<UserKey>,
}

impl Default for Bookmark {
    fn default() -> Self {
        Self { kind: 0, after: Bound::Unbounded }
    }
}

impl Keyspaces {
    /// Shows everything that is kept, sessions first, from the bookmark on.
    pub(crate) fn visit_all(
        &self,
        bookmark: &mut Bookmark,
        visit: &mut dyn FnMut(Stored),
    ) -> Result<(), Fault> {
        while let Some(kind) = Kind::ALL.get(bookmark.kind) {
            let after = bookmark.after.clone();
            if matches!(kind, Kind::Marks | Kind::Messages) {
                *bookmark = Bookmark { kind: bookmark.kind + 1, ..Bookmark::default() };
                continue;
            }
            for item in self.of(*kind).range((after, Bound::Unbounded)) {
                let (key, record) = item.into_inner()?;
                self.show(*kind, &key, &record, visit)
                    .ok_or(Fault::Record("a record is not whole"))?;
                bookmark.after = Bound::Excluded(key);
            }
            *bookmark = Bookmark { kind: bookmark.kind + 1, ..Bookmark::default() };
        }
        Ok(())
    }

    /// Shows what a record is, if it is something that a server has to see.
    fn show(
        &self,
        kind: Kind,
        key: &[u8],
        record: &[u8],
        visit: &mut dyn FnMut(Stored),
    ) -> Option<()> {
        visit(match kind {
            Kind::Marks | Kind::Messages => return Some(()),
            Kind::Sessions => Stored::Session(decode_session(key::session_of(key)?, record)?),
            Kind::Subscriptions => {
                Stored::Subscription(decode_subscription(key::session_of(key)?, record)?)
            }
            Kind::Progress => Stored::Progress(key::session_of(key)?, decode_progress(record)?),
            Kind::Received => Stored::Received(key::session_of(key)?, decode_received(record)?),
            Kind::Queues => {
                let (session, seq) = key::entry_of(key)?;
                let entry = Entry::decode(record)?;
                let (count, bytes, shared) = (entry.count, entry.bytes, entry.shared());
                let expires_at_millis = self.expiry(&entry, key);
                Stored::Queued { session, seq, count, bytes, shared, expires_at_millis }
            }
            Kind::Retained => {
                let (topic, message) = decode_retained(record)?;
                Stored::Retained { topic, message }
            }
        });
        Some(())
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

    /// Reads a part of a queue, and how many times something in it could not be read: that is left
    /// out.
    pub(crate) fn page(
        &self,
        session: SessionNumber,
        from: u64,
        bytes_max: usize,
    ) -> Result<(Vec<QueuedMessage>, u32), Fault> {
        let (mut page, mut bytes, mut damaged) = (Vec::new(), 0, 0);
        let mut rest = self.queue(session, from);
        let mut next = from;
        while let Some(item) = rest.next() {
            let read = item.into_inner().map_err(Fault::Engine);
            let is_block = matches!(&read, Err(fault) if fault.is_damage());
            let queued = read.and_then(|(key, record)| {
                next = key::entry_of(&key).map_or(next, |(_, seq)| seq.saturating_add(1));
                self.queued(&key, &record)
            });
            match queued {
                Ok(queued) => {
                    bytes += queued.message.frames.len();
                    next = queued.place.seq.saturating_add(queued.message.count.into());
                    page.push(queued);
                }
                Err(fault) if fault.is_damage() => damaged += 1,
                Err(fault) => return Err(fault),
            }
            if bytes >= bytes_max {
                break;
            }
            if is_block {
                let Some(readable) = self.behind_damage(session, next) else { break };
                next = readable;
                rest = self.queue(session, readable);
            }
        }
        Ok((page, damaged))
    }

    /// The entries of a session from a number on.
    fn queue(&self, session: SessionNumber, from: u64) -> fjall::Iter {
        self.queues.range(key::entry(session, from)..=key::entry(session, u64::MAX))
    }

    /// The first number from which a queue can be read, behind one from which it cannot. Looked for
    /// in steps that grow, and then by halves: a damaged block of the engine has hardly more than
    /// some dozen entries.
    fn behind_damage(&self, session: SessionNumber, damaged: u64) -> Option<u64> {
        let can_read =
            |from| !matches!(self.queue(session, from).next().map(fjall::Guard::key), Some(Err(_)));
        let steps = (0..u64::BITS).map_while(|bits| damaged.checked_add(1 << bits));
        let mut bad = damaged;
        let mut good = None;
        for number in steps {
            if can_read(number) {
                good = Some(number);
                break;
            }
            bad = number;
        }
        let mut good = good?;
        while good - bad > 1 {
            let middle = bad + (good - bad) / 2;
            if can_read(middle) { good = middle } else { bad = middle }
        }
        Some(good)
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
