//! Sessions: flags, client identifier, user name, expiry, when it was parked, and its will.

use mqtt_session::{SessionNumber, StoredSession, StoredWill};

use super::{
    message::{read_message, write_message},
    reader::Reader,
    writer::{begin, counted_bytes, flags, number, text},
};

const USER_NAME: u8 = 1;
const PARKED: u8 = 1 << 1;
const WILL: u8 = 1 << 2;
const WILL_EXPIRES: u8 = 1 << 3;
const KNOWN: u8 = USER_NAME | PARKED | WILL | WILL_EXPIRES;

/// Makes `out` the record of a session. Its number is the key.
pub(crate) fn encode_session(out: &mut Vec<u8>, session: &StoredSession) {
    let will_expiry_secs = session.will.as_ref().and_then(|will| will.expiry_secs);
    begin(out);
    out.push(flags([
        session.user_name.is_some(),
        session.parked_at_millis.is_some(),
        session.will.is_some(),
        will_expiry_secs.is_some(),
    ]));
    text(out, &session.client_id);
    if let Some(user_name) = &session.user_name {
        text(out, user_name);
    }
    number(out, session.expiry_secs.into());
    if let Some(millis) = session.parked_at_millis {
        number(out, millis);
    }
    if let Some(will) = &session.will {
        write_will(out, will);
    }
}

/// The session of a record.
pub(crate) fn decode_session(number: SessionNumber, record: &[u8]) -> Option<StoredSession> {
    let mut reader = Reader::new(record)?;
    let flags = reader.byte()?;
    if flags & !KNOWN != 0 {
        return None;
    }
    let session = StoredSession {
        number,
        client_id: reader.text()?,
        user_name: if flags & USER_NAME == 0 { None } else { Some(reader.text()?) },
        expiry_secs: reader.small()?,
        parked_at_millis: if flags & PARKED == 0 { None } else { Some(reader.number()?) },
        will: if flags & WILL == 0 {
            None
        } else {
            Some(read_will(&mut reader, flags & WILL_EXPIRES != 0)?)
        },
    };
    reader.end()?;
    Some(session)
}

fn write_will(out: &mut Vec<u8>, will: &StoredWill) {
    number(out, will.delay_secs.into());
    if let Some(secs) = will.expiry_secs {
        number(out, secs.into());
    }
    let mut message = Vec::new();
    write_message(&mut message, &will.message);
    counted_bytes(out, &message);
}

fn read_will(reader: &mut Reader<'_>, expires: bool) -> Option<StoredWill> {
    let delay_secs = reader.small()?;
    let expiry_secs = if expires { Some(reader.small()?) } else { None };
    let message = read_message(Reader::part(reader.counted_bytes()?))?;
    Some(StoredWill { message, expiry_secs, delay_secs })
}
