//! The other packets that a client sends: SUBSCRIBE, UNSUBSCRIBE and acknowledgements.

use super::bytes::Body;
use super::property::Props;
use super::version::Version;

/// SUBSCRIBE.
pub(crate) fn subscribe(
    version: Version,
    id: u16,
    props: &Props,
    filters: &[(&str, u8)],
) -> Vec<u8> {
    let mut body = Body::new().u16(id);
    if version.is_v5() {
        body = body.raw(props.block());
    }
    for (filter, options) in filters {
        body = body.text(filter).u8(*options);
    }
    body.packet(0x82)
}

/// UNSUBSCRIBE.
pub(crate) fn unsubscribe(version: Version, id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = Body::new().u16(id);
    if version.is_v5() {
        body = body.u8(0);
    }
    for filter in filters {
        body = body.text(filter);
    }
    body.packet(0xA2)
}

/// PUBACK (4), PUBREC (5), PUBREL (6) or PUBCOMP (7) without reason code.
pub(crate) fn acknowledgement(kind: u8, id: u16) -> Vec<u8> {
    let flags = if kind == 6 { 2 } else { 0 };
    Body::new().u16(id).packet((kind << 4) | flags)
}
