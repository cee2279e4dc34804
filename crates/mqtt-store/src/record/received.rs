//! Packet identifiers that await PUBREL: how many, and each as a number.

use mqtt_packet::PacketId;

use super::{
    reader::Reader,
    writer::{begin, length, number},
};

/// Makes `out` the record of identifiers.
pub(crate) fn encode_received(out: &mut Vec<u8>, ids: &[PacketId]) {
    begin(out);
    length(out, ids.len());
    ids.iter().for_each(|id| number(out, id.get().into()));
}

/// The identifiers of a record.
pub(crate) fn decode_received(record: &[u8]) -> Option<Vec<PacketId>> {
    let mut reader = Reader::new(record)?;
    let length = reader.length()?;
    let mut ids = Vec::with_capacity(length);
    for _ in 0..length {
        ids.push(PacketId::new(reader.number()?.try_into().ok()?)?);
    }
    reader.end()?;
    Some(ids)
}
