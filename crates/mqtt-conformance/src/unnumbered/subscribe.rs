//! Protocol Errors in SUBSCRIBE, UNSUBSCRIBE, DISCONNECT and AUTH.

use crate::harness::prelude::*;
use crate::shared::{subscribe as subscribing, unsubscribe};
use crate::v5::auth::{METHOD, auth, challenged};

pub(super) const TESTS: &[Test] = &[
    test("U5-038", u5_038).with(Profile::NoWildcards),
    test("U5-040", u5_040).with(Profile::NoSubscriptionIds),
    test("U5-042", u5_042).with(Profile::NoShared),
    test("U5-064", u5_064),
    test("U5-065", u5_065),
    test("U5-066", u5_066),
    test("U5-067", u5_067),
    test("U5-069", u5_069),
    test("U5-071", u5_071),
    test("U5-072", u5_072),
    test("U5-073", u5_073),
    test("U5-075", u5_075),
    test("U5-076", u5_076).with(Profile::Scram),
    test("U5-077", u5_077).with(Profile::Scram),
    test("U5-078", u5_078).with(Profile::Scram),
];

/// [U5-038] Wildcard filter although not supported (Protocol Error, 0xA2).
fn u5_038(t: &Story) -> Done {
    refused(t, &t.topic("#"), &Props::new(), 0xA2)?;
    refused(t, "+", &Props::new(), 0xA2)
}

/// [U5-040] Subscription Identifier although not supported (Protocol Error, 0xA1).
fn u5_040(t: &Story) -> Done {
    refused(t, &t.topic("a"), &Props::new().var(prop::SUBSCRIPTION_ID, 1), 0xA1)
}

/// [U5-042] Shared subscription although not supported (Protocol Error, 0x9E).
fn u5_042(t: &Story) -> Done {
    refused(t, &format!("$share/g/{}", t.topic("a")), &Props::new(), 0x9E)
}

/// [U5-064] Subscription Identifier 0, or twice (Protocol Error, 0x82).
fn u5_064(t: &Story) -> Done {
    let topic = t.topic("a");
    for id in [
        Props::new().var(prop::SUBSCRIPTION_ID, 0),
        Props::new().var(prop::SUBSCRIPTION_ID, 1).twice(),
    ] {
        t.offend(&subscribe(t.version, 1, &id, &[(&topic, 0)]), PROTOCOL_ERROR)?;
    }
    Ok(())
}

/// [U5-065] SUBSCRIBE without payload (Protocol Error, 0x82).
fn u5_065(t: &Story) -> Done {
    t.offend(&[0x82, 0x03, 0x00, 0x01, 0x00], PROTOCOL_ERROR)
}

/// [U5-066] QoS 3 in the options (Protocol Error, 0x82).
fn u5_066(t: &Story) -> Done {
    subscribing::bad_options(t, &[0x03])
}

/// [U5-067] Retain Handling 3 (Protocol Error, 0x82).
fn u5_067(t: &Story) -> Done {
    subscribing::bad_options(t, &[0x30])
}

/// [U5-069] UNSUBSCRIBE without payload (Protocol Error, 0x82).
fn u5_069(t: &Story) -> Done {
    t.offend(&[0xA2, 0x03, 0x00, 0x01, 0x00], PROTOCOL_ERROR)?;
    unsubscribe::no_filter(t)
}

/// [U5-071] DISCONNECT Session Expiry twice (Protocol Error, 0x82).
fn u5_071(t: &Story) -> Done {
    disconnect_twice(t, &Props::new().four(prop::SESSION_EXPIRY, 0))
}

/// [U5-072] DISCONNECT raises Session Expiry from 0; the packet does not count as a valid
/// DISCONNECT (Protocol Error, 0x82).
fn u5_072(t: &Story) -> Done {
    let topic = t.topic("will");
    let mut observer = t.observer("o", &topic)?;
    let mut peer = t.connect(&t.hello("c").will(Will::new(&topic, "will")))?;
    let expiry = Props::new().four(prop::SESSION_EXPIRY, 60);
    peer.send(&Body::new().u8(0).raw(expiry.block()).packet(0xE0));
    peer.closed(PROTOCOL_ERROR)?;
    observer.takes("will")?;
    let peer = t.connect(&t.hello("c").resume())?;
    ensure!(!peer.session_present, "the session was kept");
    Ok(())
}

/// [U5-073] DISCONNECT Reason String twice (Protocol Error, 0x82).
fn u5_073(t: &Story) -> Done {
    disconnect_twice(t, &Props::new().text(prop::REASON_STRING, "why"))
}

/// [U5-075] AUTH although CONNECT had no, or another, method (Protocol Error, 0x82).
fn u5_075(t: &Story) -> Done {
    t.offend(&auth(0x18, METHOD, b"x"), PROTOCOL_ERROR)?;
    t.offend(&auth(0x19, METHOD, b"x"), PROTOCOL_ERROR)
}

/// [U5-076] AUTH without method, or twice (Protocol Error, 0x82).
fn u5_076(t: &Story) -> Done {
    let method = Props::new().text(prop::AUTH_METHOD, METHOD).twice();
    challenge(t, &Props::new().text(prop::AUTH_DATA, "x"))?;
    challenge(t, &method)
}

/// [U5-077] AUTH data twice (Protocol Error, 0x82).
fn u5_077(t: &Story) -> Done {
    let method = Props::new().text(prop::AUTH_METHOD, METHOD);
    challenge(t, &method.text(prop::AUTH_DATA, "x").text(prop::AUTH_DATA, "x"))
}

/// [U5-078] AUTH Reason String twice (Protocol Error, 0x82).
fn u5_078(t: &Story) -> Done {
    let method = Props::new().text(prop::AUTH_METHOD, METHOD);
    challenge(t, &method.text(prop::REASON_STRING, "x").text(prop::REASON_STRING, "x"))
}

/// The filter is refused with this code, in SUBACK or in DISCONNECT.
fn refused(t: &Story, filter: &str, props: &Props, expected: u8) -> Done {
    let mut peer = t.client("c")?;
    peer.send(&subscribe(t.version, 1, props, &[(filter, 0)]));
    match peer.event(seconds(5))? {
        Event::Closed => Ok(()),
        Event::Silence => fail!("SUBSCRIBE '{filter}' is not answered"),
        Event::Packet(packet) => match packet.content {
            Content::SubAck { codes, .. } => {
                same!(codes, vec![expected], "the code for '{filter}'");
                Ok(())
            }
            Content::Disconnect { code, .. } => {
                same!(code, expected, "the code for '{filter}'");
                peer.closed(&[])
            }
            _ => fail!("expected SUBACK, got {}", packet.describe()),
        },
    }
}

/// A DISCONNECT that is none: the will is published.
fn disconnect_twice(t: &Story, props: &Props) -> Done {
    let topic = t.topic("will");
    let mut observer = t.observer("o", &topic)?;
    let mut peer = t.connect(&t.hello("c").will(Will::new(&topic, "will")))?;
    peer.send(&Body::new().u8(0).raw(props.clone().twice().block()).packet(0xE0));
    peer.closed(PROTOCOL_ERROR)?;
    observer.takes("will").map(drop)
}

/// An answer to the server's challenge with these properties.
fn challenge(t: &Story, props: &Props) -> Done {
    let mut peer = challenged(t)?;
    peer.send(&Body::new().u8(0x18).raw(props.block()).packet(0xF0));
    peer.refused(PROTOCOL_ERROR)
}
