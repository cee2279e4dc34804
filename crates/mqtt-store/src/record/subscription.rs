//! Subscriptions: the options byte of MQTT 5.0, the identifier plus one, and the filter.

use mqtt_packet::{SubscriptionOptions, Version};
use mqtt_session::{SessionNumber, StoredSubscription};

use super::{
    reader::Reader,
    writer::{begin, number, text},
};

/// Makes `out` the record of a subscription. Its session is in the key.
pub(crate) fn encode_subscription(out: &mut Vec<u8>, subscription: &StoredSubscription) {
    begin(out);
    out.push(subscription.options.bits(Version::V5));
    number(out, subscription.identifier.map_or(0, |identifier| u64::from(identifier) + 1));
    text(out, &subscription.filter);
}

/// The subscription of a record.
pub(crate) fn decode_subscription(
    session: SessionNumber,
    record: &[u8],
) -> Option<StoredSubscription> {
    let mut reader = Reader::new(record)?;
    let options = SubscriptionOptions::from_bits(reader.byte()?, Version::V5).ok()?;
    let identifier = match reader.number()? {
        0 => None,
        number => Some(u32::try_from(number - 1).ok()?),
    };
    let filter = reader.text()?;
    reader.end()?;
    Some(StoredSubscription { session, filter, options, identifier })
}
