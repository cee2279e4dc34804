//! Bytes as a peer may send them: the first picks the version, the rest is a stream of packets.
//!
//! Whatever comes, nothing panics; and what is taken is written and read back the same.

#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use mqtt_packet::{DecodeError, Packet, PublishProperties, RawPublish, Version, frame};

const MAX_PACKET_SIZE: u32 = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, stream)) = data.split_first() else { return };
    let version = Version::ALL[usize::from(choice) % Version::ALL.len()];
    // The first error ends a connection, and a run.
    let _ = connection(stream, version);
});

fn connection(mut stream: &[u8], version: Version) -> Result<(), DecodeError> {
    while let Some(header) = frame::peek(stream, MAX_PACKET_SIZE)? {
        let Some((frame, rest)) = stream.split_at_checked(header.total_len()) else { break };
        let body = &frame[header.header_len..];
        let packet = Packet::parse(header.first, body, version);
        same_by_parts(header.first, body, version, &packet);
        same_again(&packet?, version);
        stream = rest;
    }
    Ok(())
}

/// What was taken can be written, at the length foretold, and is the same when read.
fn same_again(packet: &Packet<'_>, version: Version) {
    let mut out = BytesMut::new();
    packet.encode(version, &mut out).expect("what was parsed can be encoded");
    assert_eq!(packet.encoded_len(version), Ok(out.len()), "{packet:?}");
    let header = frame::peek(&out, u32::MAX).expect("a good header").expect("a whole header");
    assert_eq!(header.total_len(), out.len(), "{packet:?}");
    let again = Packet::parse(header.first, &out[header.header_len..], version);
    assert_eq!(again.as_ref(), Ok(packet));
}

/// A PUBLISH that is taken in one step is taken in two, and no other.
fn same_by_parts(
    first: u8,
    body: &[u8],
    version: Version,
    packet: &Result<Packet<'_>, DecodeError>,
) {
    if first >> 4 != 3 {
        return;
    }
    let raw = RawPublish::split(first, body, version);
    let checked = raw.and_then(RawPublish::check);
    match (packet, checked) {
        (Ok(Packet::Publish(publish)), Ok(checked)) => {
            assert_eq!(*publish, checked);
            let mut out = BytesMut::new();
            raw.expect("checked").encode(&[], version, &mut out).expect("what was split");
            assert!(out.ends_with(body), "the parts are put together as they came");
            let mut forwarded = BytesMut::new();
            checked.properties.encode_forwardable(&mut forwarded).expect("what was parsed");
            PublishProperties::parse(&forwarded).expect("what was encoded");
        }
        (Err(e), Err(other)) => assert_eq!(e.kind, other.kind),
        (packet, checked) => panic!("{packet:?} but {checked:?}"),
    }
}
