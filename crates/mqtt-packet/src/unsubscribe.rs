//! UNSUBSCRIBE: a client ends subscriptions (section 3.10).

use std::fmt;

use bytes::BytesMut;

use crate::{
    DecodeError, DecodeErrorKind, EncodeError, PacketId, PacketType, UserProperties, Version,
    parse::{self, Parsed, fail, plain},
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

/// The filters of an UNSUBSCRIBE, in order. Only their text is checked.
///
/// Two are equal if they have the same content, however it is held.
#[derive(Copy, Clone)]
pub struct UnsubscribeFilters<'a>(Filters<'a>);

#[derive(Copy, Clone)]
enum Filters<'a> {
    /// A payload that was read through once.
    Payload(&'a [u8]),
    /// Filters to write.
    List(&'a [&'a str]),
}

impl<'a> UnsubscribeFilters<'a> {
    /// Filters to write.
    #[must_use]
    pub const fn new(list: &'a [&'a str]) -> Self {
        Self(Filters::List(list))
    }

    /// The filters, in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        let (mut payload, list): (&[u8], &[_]) = match self.0 {
            Filters::Payload(payload) => (payload, &[]),
            Filters::List(list) => (&[], list),
        };
        // The payload was read through before, so that it can only end, not fail.
        let in_payload = std::iter::from_fn(move || {
            let (rest, filter) = plain(parse::text(payload)).ok()?;
            payload = rest;
            Some(filter)
        });
        in_payload.chain(list.iter().copied())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl<'a> From<&'a [&'a str]> for UnsubscribeFilters<'a> {
    fn from(list: &'a [&'a str]) -> Self {
        Self::new(list)
    }
}

impl PartialEq for UnsubscribeFilters<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for UnsubscribeFilters<'_> {}

impl fmt::Debug for UnsubscribeFilters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
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
    let (rest, filters) = filters(input)?;
    Ok((rest, Unsubscribe { packet_id, properties, filters }))
}

fn filters(input: &[u8]) -> Parsed<'_, UnsubscribeFilters<'_>> {
    if input.is_empty() {
        return fail(DecodeErrorKind::NoFilters { packet: PacketType::Unsubscribe }, input);
    }
    let mut rest = input;
    while !rest.is_empty() {
        (rest, _) = parse::text(rest)?;
    }
    Ok((rest, UnsubscribeFilters(Filters::Payload(input))))
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
