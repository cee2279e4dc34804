//! UNSUBSCRIBE: a client ends subscriptions (section 3.10).

use bytes::BytesMut;

use crate::{
    DecodeError, EncodeError, PacketId, PacketType, UserProperties, Version,
    filters::{Entry, Filters, filters},
    parse::{self, Parsed, plain},
    property::Owner,
    property_set::property_set,
    sink::{self, Body, Sink},
};

/// An UNSUBSCRIBE.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Unsubscribe<'a> {
    /// The identifier that UNSUBACK will repeat [MQTT-3.10.4-5].
    pub packet_id: PacketId,
    /// The properties; empty before 5.0.
    pub properties: UnsubscribeProperties<'a>,
    /// What to end: at least one filter [MQTT-3.10.3-2].
    pub filters: UnsubscribeFilters<'a>,
}

property_set! {
    /// The properties of an UNSUBSCRIBE (section 3.10.2.1).
    pub struct UnsubscribeProperties {
        ;
        /// Names and values for the application.
        user_properties: UserProperties = UserProperty,
    }
}

/// The filters of an UNSUBSCRIBE.
pub type UnsubscribeFilters<'a> = Filters<'a, &'a str>;

impl<'a> Entry<'a> for &'a str {
    fn read(input: &'a [u8], _: Version) -> Option<(&'a [u8], Self)> {
        plain(parse::text(input)).ok()
    }
}

impl<'a> Unsubscribe<'a> {
    /// Reads the body of an UNSUBSCRIBE. 3.1 may repeat it with DUP (D31-07).
    ///
    /// # Errors
    ///
    /// What breaks the format; no filter at all [MQTT-3.10.3-2].
    pub fn parse(first: u8, body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        PacketType::Unsubscribe.check_first(first, version)?;
        parse::whole(body, |input| unsubscribe(input, version))
    }

    /// Writes the packet.
    ///
    /// # Errors
    ///
    /// A field that does not fit, no filter; then nothing is written.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        sink::encode(PacketType::Unsubscribe.first_byte(), self, version, out)
    }

    /// The length of the whole packet in bytes.
    ///
    /// # Errors
    ///
    /// As [`Unsubscribe::encode`].
    pub fn encoded_len(&self, version: Version) -> Result<usize, EncodeError> {
        sink::encoded_len(self, version)
    }
}

fn unsubscribe(input: &[u8], version: Version) -> Parsed<'_, Unsubscribe<'_>> {
    let (input, packet_id) = parse::packet_id(input)?;
    let (input, properties) = if version.is_v5() {
        let (rest, block) = parse::property_block(input)?;
        (rest, UnsubscribeProperties::read(block, Owner::Unsubscribe)?)
    } else {
        (input, UnsubscribeProperties::default())
    };
    let (rest, filters) = filters(input, version, PacketType::Unsubscribe, parse::text)?;
    Ok((rest, Unsubscribe { packet_id, properties, filters }))
}

impl Body for Unsubscribe<'_> {
    fn write(&self, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
        if self.filters.is_empty() {
            return Err(EncodeError::Missing { field: "topic filter" });
        }
        out.two_bytes(self.packet_id.get());
        sink::property_block(&self.properties, version, out)?;
        for filter in self.filters.iter() {
            out.text("topic filter", filter)?;
        }
        Ok(())
    }
}
