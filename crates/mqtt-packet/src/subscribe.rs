//! SUBSCRIBE: a client asks for subscriptions (section 3.8).

use bytes::BytesMut;
use nom::number::complete::be_u8;

use crate::{
    DecodeError, EncodeError, PacketId, PacketType, SubscriptionOptions, UserProperties, Version,
    filters::{Entry, Filters, filters},
    parse::{self, Parsed, fail, plain},
    property::Owner,
    property_set::property_set,
    sink::{self, Body, Sink},
};

/// A SUBSCRIBE.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Subscribe<'a> {
    /// The identifier that SUBACK will repeat [MQTT-3.8.4-2].
    pub packet_id: PacketId,
    /// The properties; empty before 5.0.
    pub properties: SubscribeProperties<'a>,
    /// What to subscribe to: at least one filter [MQTT-3.8.3-2].
    pub filters: SubscribeFilters<'a>,
}

property_set! {
    /// The properties of a SUBSCRIBE (section 3.8.2.1).
    pub struct SubscribeProperties {
        /// A number, 1 to 268,435,455, that messages for these subscriptions will carry.
        subscription_identifier: u32 = SubscriptionIdentifier,
        ;
        /// Names and values for the application.
        user_properties: UserProperties = UserProperty,
    }
}

/// The filters of a SUBSCRIBE with their options.
pub type SubscribeFilters<'a> = Filters<'a, (&'a str, SubscriptionOptions)>;

impl<'a> Entry<'a> for (&'a str, SubscriptionOptions) {
    fn read(input: &'a [u8], version: Version) -> Option<(&'a [u8], Self)> {
        plain(filter(input, version)).ok()
    }
}

impl<'a> Subscribe<'a> {
    /// Reads the body of a SUBSCRIBE. 3.1 may repeat it with DUP (D31-07).
    ///
    /// # Errors
    ///
    /// What breaks the format; no filter at all [MQTT-3.8.3-2]. What the filters mean is not
    /// looked at: an empty filter is for `mqtt-topics` to refuse.
    pub fn parse(first: u8, body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        PacketType::Subscribe.check_first(first, version)?;
        parse::whole(body, |input| subscribe(input, version))
    }

    /// Writes the packet; before 5.0 only the QoS of the options.
    ///
    /// # Errors
    ///
    /// A field that does not fit or is out of range, no filter; then nothing is written.
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        sink::encode(PacketType::Subscribe.first_byte(), self, version, out)
    }

    /// The length of the whole packet in bytes.
    ///
    /// # Errors
    ///
    /// As [`Subscribe::encode`].
    pub fn encoded_len(&self, version: Version) -> Result<usize, EncodeError> {
        sink::encoded_len(self, version)
    }
}

fn subscribe(input: &[u8], version: Version) -> Parsed<'_, Subscribe<'_>> {
    let (input, packet_id) = parse::packet_id(input)?;
    let (input, properties) = if version.is_v5() {
        let (rest, block) = parse::property_block(input)?;
        (rest, SubscribeProperties::read(block, Owner::Subscribe)?)
    } else {
        (input, SubscribeProperties::default())
    };
    let (rest, filters) =
        filters(input, version, PacketType::Subscribe, |input| filter(input, version))?;
    Ok((rest, Subscribe { packet_id, properties, filters }))
}

/// A topic filter and its options (section 3.8.3).
fn filter(input: &[u8], version: Version) -> Parsed<'_, (&str, SubscriptionOptions)> {
    let (options_at, filter) = parse::text(input)?;
    let (rest, bits) = be_u8(options_at)?;
    match SubscriptionOptions::from_bits(bits, version) {
        Ok(options) => Ok((rest, (filter, options))),
        Err(kind) => fail(kind, options_at),
    }
}

impl Body for Subscribe<'_> {
    fn write(&self, version: Version, out: &mut impl Sink) -> Result<(), EncodeError> {
        if self.filters.is_empty() {
            return Err(EncodeError::Missing { field: "topic filter" });
        }
        out.two_bytes(self.packet_id.get());
        sink::property_block(&self.properties, version, out)?;
        for (filter, options) in self.filters.iter() {
            out.text("topic filter", filter)?;
            out.byte(options.bits(version));
        }
        Ok(())
    }
}
