//! Why something was refused, in words for people to read.

use bytes::BytesMut;
use mqtt_packet::{Ack, AckProperties, PacketType, ack::encode_short};

use crate::negotiated::Negotiated;

/// The properties of an answer that says these words, or nothing.
pub(crate) fn reason_string(words: Option<&str>) -> AckProperties<'_> {
    AckProperties { reason_string: words, ..AckProperties::default() }
}

/// Writes PUBACK, PUBREC, PUBREL or PUBCOMP with a Reason String, or without it if it does not fit
/// [MQTT-3.4.2-2], [MQTT-3.5.2-2], [MQTT-3.6.2-2], [MQTT-3.7.2-2].
#[cold]
pub(crate) fn refuse_message(
    out: &mut BytesMut,
    negotiated: &Negotiated,
    packet: PacketType,
    bare: Ack<'_>,
    words: &str,
) {
    let version = negotiated.version;
    let ack = Ack { properties: reason_string(Some(words)), ..bare };
    let len = ack.encoded_len(packet, version);
    let fits = len.is_ok_and(|len| len <= negotiated.maximum_packet_size as usize);
    if !fits || ack.encode(packet, version, out).is_err() {
        encode_short(packet, bare.packet_id, bare.reason, version, out);
    }
}
