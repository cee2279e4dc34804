//! How far sessions are: head, sent, and what is settled between them as distances.

use mqtt_session::{Progress, Settled};

use super::{
    reader::Reader,
    writer::{begin, length, number},
};

const DONE: u8 = 0;
const RELEASED: u8 = 1;

/// Makes `out` the record of how far a session is.
pub(crate) fn encode_progress(out: &mut Vec<u8>, progress: &Progress) {
    begin(out);
    number(out, progress.head);
    number(out, progress.sent);
    length(out, progress.settled.len());
    let mut before = progress.head;
    for (seq, settled) in &progress.settled {
        // Wrapping keeps numbers that are not in order, too.
        number(out, seq.wrapping_sub(before));
        out.push(match settled {
            Settled::Done => DONE,
            Settled::Released => RELEASED,
        });
        before = *seq;
    }
}

/// The progress of a record.
pub(crate) fn decode_progress(record: &[u8]) -> Option<Progress> {
    let mut reader = Reader::new(record)?;
    let head = reader.number()?;
    let sent = reader.number()?;
    let length = reader.length()?;
    let mut settled = Vec::with_capacity(length);
    let mut before = head;
    for _ in 0..length {
        before = before.wrapping_add(reader.number()?);
        settled.push((before, read_settled(&mut reader)?));
    }
    reader.end()?;
    Some(Progress { head, sent, settled })
}

fn read_settled(reader: &mut Reader<'_>) -> Option<Settled> {
    match reader.byte()? {
        DONE => Some(Settled::Done),
        RELEASED => Some(Settled::Released),
        _ => None,
    }
}
