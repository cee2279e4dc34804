//! Goes through everything that a directory holds, says what is damaged, and hands on what is not.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    path::Path,
};

use bytes::Bytes;
use mqtt_session::{Progress, QueuePlace, QueuedMessage, SessionNumber, Stored, StoredMessage};

use crate::{
    key,
    keyspaces::{Kind, MARK_KEY},
    record::{
        Entry, GroupMark, Kept, MessageHead, decode_message, decode_progress, decode_received,
        decode_retained, decode_session, decode_subscription, encode_progress,
    },
    remains::Remains,
};

/// What a directory holds, and what is wrong with it.
#[derive(Clone, Eq, PartialEq, Debug, Default)]
#[non_exhaustive]
pub struct Survey {
    /// Sessions that can be read.
    pub sessions: u64,
    /// Their subscriptions.
    pub subscriptions: u64,
    /// Messages that can be read, in all queues together.
    pub messages: u64,
    /// Retained messages that can be read.
    pub retained: u64,
    /// Messages of queues that are known to be lost.
    pub messages_lost: u64,
    /// How often the operating system could not read something that is there.
    pub(crate) unreadable: u64,
    /// What is damaged, a line for each finding.
    pub findings: Vec<String>,
}

/// Something that can be read, as [`export`](crate::export) shows it.
#[derive(Clone, Eq, PartialEq, Debug)]
pub enum Exported {
    /// What a server reads when it starts, but for the queues.
    Stored(Stored),
    /// An entry of a queue.
    Queued(QueuedMessage),
}

/// Takes what can be read.
pub(crate) trait Sink {
    /// A record as it is.
    fn put(&mut self, kind: Kind, key: &[u8], record: &[u8]) -> io::Result<()>;
    /// A record that was put is of no use.
    fn remove(&mut self, kind: Kind, key: &[u8]) -> io::Result<()>;
    /// What it means.
    fn show(&mut self, exported: Exported) -> io::Result<()>;
}

/// A message that entries have outside of them.
struct Outside {
    /// What stands before its packets.
    head: Option<MessageHead>,
    bytes: u64,
    count: u32,
    places: Vec<QueuePlace>,
    shared: Option<u64>,
}

struct Surveyor<'a> {
    remains: Remains,
    survey: Survey,
    sink: &'a mut dyn Sink,
    sessions: HashSet<SessionNumber>,
    /// Sessions of which it is known how far they are.
    has_progress: HashSet<SessionNumber>,
    outside: BTreeMap<Vec<u8>, Outside>,
}

/// Surveys a database. `last` is the last group that has to be there.
pub(crate) fn survey(database: &Path, last: u64, sink: &mut dyn Sink) -> io::Result<Survey> {
    let remains = Remains::open(database)?;
    let mut surveyor = Surveyor {
        remains,
        survey: Survey::default(),
        sink,
        sessions: HashSet::new(),
        has_progress: HashSet::new(),
        outside: BTreeMap::new(),
    };
    // The first is the engine's own.
    for keyspace in 0..=Kind::ALL.len() as u64 {
        surveyor.remains.verify(keyspace)?;
    }
    surveyor.marks(last)?;
    surveyor.sessions()?;
    surveyor.of_sessions()?;
    surveyor.queues()?;
    surveyor.messages()?;
    surveyor.retained()?;
    let Surveyor { remains, mut survey, .. } = surveyor;
    survey.findings.splice(0..0, remains.findings.lines);
    survey.unreadable = remains.findings.unreadable;
    Ok(survey)
}

/// Takes a key and its record; false where they are not what was written.
type Visit<'a, S> = dyn FnMut(&mut S, &[u8], &[u8]) -> io::Result<bool> + 'a;

impl Surveyor<'_> {
    fn each(&mut self, kind: Kind, visit: &mut Visit<'_, Self>) -> io::Result<()> {
        // The remains are put back when their keyspace is done.
        let mut remains = std::mem::take(&mut self.remains);
        let done = remains.each(kind, &mut |key, record| {
            if !visit(self, key, record)? {
                self.find(format!("a record of {} is damaged", kind.name()));
            }
            Ok(())
        });
        self.remains = remains;
        done
    }

    fn find(&mut self, what: String) {
        self.survey.findings.push(what);
    }

    fn marks(&mut self, last: u64) -> io::Result<()> {
        let mut found = self.remains.last.map_or(0, |mark| mark.number);
        self.each(Kind::Marks, &mut |_, key, record| {
            let mark = GroupMark::decode(record).filter(|_| key == MARK_KEY);
            found = found.max(mark.map_or(0, |mark| mark.number));
            Ok(mark.is_some())
        })?;
        if found < last {
            self.find(format!(
                "the last group that is there is number {found}, and {last} were kept: what came \
                 after it is lost"
            ));
        }
        Ok(())
    }

    fn sessions(&mut self) -> io::Result<()> {
        self.each(Kind::Sessions, &mut |this, key, record| {
            let Some(session) = key::session_of(key).and_then(|n| decode_session(n, record)) else {
                return Ok(false);
            };
            this.sessions.insert(session.number);
            this.survey.sessions += 1;
            this.sink.put(Kind::Sessions, key, record)?;
            this.sink.show(Exported::Stored(Stored::Session(session)))?;
            Ok(true)
        })
    }

    /// Subscriptions, progress and identifiers. What belongs to no session is of no use.
    fn of_sessions(&mut self) -> io::Result<()> {
        for kind in [Kind::Subscriptions, Kind::Progress, Kind::Received] {
            let mut strays = 0_u64;
            self.each(kind, &mut |this, key, record| {
                let Some(session) = key::session_of(key) else { return Ok(false) };
                let stored = match kind {
                    Kind::Subscriptions => {
                        decode_subscription(session, record).map(Stored::Subscription)
                    }
                    Kind::Progress => decode_progress(record).map(|p| Stored::Progress(session, p)),
                    _ => decode_received(record).map(|ids| Stored::Received(session, ids)),
                };
                let Some(stored) = stored else { return Ok(false) };
                if !this.sessions.contains(&session) {
                    strays += 1;
                    return Ok(true);
                }
                match &stored {
                    Stored::Progress(..) => _ = this.has_progress.insert(session),
                    Stored::Subscription(_) => this.survey.subscriptions += 1,
                    _ => {}
                }
                this.sink.put(kind, key, record)?;
                this.sink.show(Exported::Stored(stored))?;
                Ok(true)
            })?;
            if strays > 0 {
                self.find(format!(
                    "{strays} records of {} belong to sessions that are lost",
                    kind.name()
                ));
            }
        }
        Ok(())
    }

    fn queues(&mut self) -> io::Result<()> {
        let mut strays = 0_u64;
        let mut begun = None;
        self.each(Kind::Queues, &mut |this, key, record| {
            let Some((session, seq)) = key::entry_of(key) else { return Ok(false) };
            let Some(entry) = Entry::decode(record) else { return Ok(false) };
            let Some(place) = entry.place(session, seq) else { return Ok(false) };
            if !this.sessions.contains(&session) {
                strays += u64::from(entry.count);
                return Ok(true);
            }
            if begun != Some(session) {
                this.begin_queue(session, seq)?;
                begun = Some(session);
            }
            this.sink.put(Kind::Queues, key, record)?;
            match entry.kept {
                Kept::Inline(_) => {
                    let Some(message) = entry.kept.inline() else { return Ok(false) };
                    this.survey.messages += u64::from(entry.count);
                    let queued = QueuedMessage { place, message, shared: None };
                    this.sink.show(Exported::Queued(queued))?;
                }
                Kept::Shared(number) => {
                    this.note_outside(key::shared(number).to_vec(), &entry, place);
                }
                Kept::Apart => this.note_outside(key.to_vec(), &entry, place),
            }
            Ok(true)
        })?;
        self.survey.messages_lost += strays;
        if strays > 0 {
            self.find(format!("{strays} messages belong to sessions that are lost"));
        }
        Ok(())
    }

    /// Where it is lost how far a session is, its queue begins with what is there, and nobody knows
    /// what of it was sent.
    fn begin_queue(&mut self, session: SessionNumber, seq: u64) -> io::Result<()> {
        if seq == 1 || self.has_progress.contains(&session) {
            return Ok(());
        }
        let mut record = Vec::new();
        encode_progress(&mut record, &Progress { head: seq, sent: seq, settled: Vec::new() });
        self.sink.put(Kind::Progress, &key::session(session), &record)
    }

    fn note_outside(&mut self, key: Vec<u8>, entry: &Entry<'_>, place: QueuePlace) {
        let outside = self.outside.entry(key).or_insert_with(|| Outside {
            head: entry.head,
            bytes: entry.bytes,
            count: entry.count,
            places: Vec::new(),
            shared: entry.shared(),
        });
        outside.places.push(place);
    }

    /// Messages outside of their entries. What no entry needs is left out, and entries whose message
    /// is lost are taken away.
    fn messages(&mut self) -> io::Result<()> {
        self.each(Kind::Messages, &mut |this, key, record| {
            let Some(outside) = this.outside.get(key) else { return Ok(true) };
            let message = match outside.head {
                Some(head) => Some(head.message(Bytes::copy_from_slice(record))),
                None => decode_message(record),
            };
            let is_whole = |message: &StoredMessage| message.frames.len() as u64 == outside.bytes;
            let Some(message) = message.filter(is_whole) else { return Ok(false) };
            let Some(outside) = this.outside.remove(key) else { return Ok(true) };
            this.survey.messages += u64::from(outside.count) * outside.places.len() as u64;
            this.sink.put(Kind::Messages, key, record)?;
            for place in outside.places {
                let queued =
                    QueuedMessage { place, message: message.clone(), shared: outside.shared };
                this.sink.show(Exported::Queued(queued))?;
            }
            Ok(true)
        })?;
        let mut lost = 0;
        for outside in std::mem::take(&mut self.outside).into_values() {
            for place in outside.places {
                lost += u64::from(outside.count);
                self.sink.remove(Kind::Queues, &key::entry(place.session, place.seq))?;
            }
        }
        self.survey.messages_lost += lost;
        if lost > 0 {
            self.find(format!("{lost} messages of queues cannot be read: they are lost"));
        }
        Ok(())
    }

    fn retained(&mut self) -> io::Result<()> {
        self.each(Kind::Retained, &mut |this, key, record| {
            let Some((topic, message)) = decode_retained(record) else { return Ok(false) };
            this.survey.retained += 1;
            this.sink.put(Kind::Retained, key, record)?;
            this.sink.show(Exported::Stored(Stored::Retained { topic, message }))?;
            Ok(true)
        })
    }
}
