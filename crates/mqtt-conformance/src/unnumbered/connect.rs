//! Protocol Errors in CONNECT and in the will.

use crate::harness::prelude::*;
use crate::shared::connect;

pub(super) const TESTS: &[Test] = &[
    test("U5-009", u5_009),
    test("U5-010", u5_010),
    test("U5-011", u5_011),
    test("U5-013", u5_013),
    test("U5-014", u5_014),
    test("U5-015", u5_015),
    test("U5-017", u5_017),
    test("U5-018", u5_018),
    test("U5-019", u5_019),
    test("U5-020", u5_020),
    test("U5-021", u5_021),
    test("U5-022", u5_022),
    test("U5-023", u5_023),
    test("U5-024", u5_024),
    test("U5-025", u5_025).slow(),
    test("U5-080", u5_080),
    test("U5-081", u5_081).with(Profile::Password),
];

/// [U5-009] Session Expiry twice (Protocol Error, 0x82).
fn u5_009(t: &Story) -> Done {
    twice(t, &Props::new().four(prop::SESSION_EXPIRY, 1))
}

/// [U5-010] Receive Maximum twice or 0 (Protocol Error, 0x82).
fn u5_010(t: &Story) -> Done {
    twice(t, &Props::new().two(prop::RECEIVE_MAXIMUM, 1))?;
    once(t, &Props::new().two(prop::RECEIVE_MAXIMUM, 0))
}

/// [U5-011] Maximum Packet Size twice or 0 (Protocol Error, 0x82).
fn u5_011(t: &Story) -> Done {
    twice(t, &Props::new().four(prop::MAXIMUM_PACKET_SIZE, 100))?;
    once(t, &Props::new().four(prop::MAXIMUM_PACKET_SIZE, 0))
}

/// [U5-013] Topic Alias Maximum twice (Protocol Error, 0x82).
fn u5_013(t: &Story) -> Done {
    twice(t, &Props::new().two(prop::TOPIC_ALIAS_MAXIMUM, 1))
}

/// [U5-014] Request Response Information twice or not 0/1 (Protocol Error, 0x82).
fn u5_014(t: &Story) -> Done {
    twice(t, &Props::new().byte(prop::REQUEST_RESPONSE_INFO, 1))?;
    once(t, &Props::new().byte(prop::REQUEST_RESPONSE_INFO, 2))
}

/// [U5-015] Request Problem Information twice or not 0/1 (Protocol Error, 0x82).
fn u5_015(t: &Story) -> Done {
    twice(t, &Props::new().byte(prop::REQUEST_PROBLEM_INFO, 1))?;
    once(t, &Props::new().byte(prop::REQUEST_PROBLEM_INFO, 2))
}

/// [U5-017] Authentication Method twice (Protocol Error, 0x82).
fn u5_017(t: &Story) -> Done {
    t.refuse(&t.hello("c").with(|_| method("a").twice()), &[0x82, 0x8C])
}

/// [U5-018] Authentication Data without Method, or twice (Protocol Error, 0x82).
fn u5_018(t: &Story) -> Done {
    once(t, &Props::new().text(prop::AUTH_DATA, "x"))?;
    let data = Props::new().text(prop::AUTH_DATA, "x").twice();
    let both = method("a").text(prop::AUTH_DATA, "x").text(prop::AUTH_DATA, "x");
    once(t, &data)?;
    t.refuse(&t.hello("c").with(|_| both), &[0x82, 0x8C])
}

/// [U5-019] Will Delay twice (Protocol Error, 0x82).
fn u5_019(t: &Story) -> Done {
    will_twice(t, &Props::new().four(prop::WILL_DELAY, 1))
}

/// [U5-020] Payload Format Indicator twice (will) (Protocol Error, 0x82).
fn u5_020(t: &Story) -> Done {
    will_twice(t, &Props::new().byte(prop::PAYLOAD_FORMAT, 1))
}

/// [U5-021] Message Expiry twice (will) (Protocol Error, 0x82).
fn u5_021(t: &Story) -> Done {
    will_twice(t, &Props::new().four(prop::MESSAGE_EXPIRY, 9))
}

/// [U5-022] Content Type twice (will) (Protocol Error, 0x82).
fn u5_022(t: &Story) -> Done {
    will_twice(t, &Props::new().text(prop::CONTENT_TYPE, "text"))
}

/// [U5-023] Response Topic twice (will) (Protocol Error, 0x82).
fn u5_023(t: &Story) -> Done {
    will_twice(t, &Props::new().text(prop::RESPONSE_TOPIC, "r"))
}

/// [U5-024] Correlation Data twice (will) (Protocol Error, 0x82).
fn u5_024(t: &Story) -> Done {
    will_twice(t, &Props::new().text(prop::CORRELATION_DATA, "d"))
}

/// [U5-025] No CONNECT in reasonable time: close is advised (SHOULD) (-, close).
fn u5_025(t: &Story) -> Done {
    let mut peer = t.open()?;
    match peer.event(seconds(25))? {
        Event::Closed => Ok(()),
        Event::Packet(packet) => fail!("expected a close, got {}", packet.describe()),
        Event::Silence => {
            let reason = "still open 25 s without CONNECT; to close is advised only";
            Err(Stop::NotSupported(reason.to_owned()))
        }
    }
}

/// [U5-080] Errors before CONNACK: CONNACK with the code may be sent, then close; after it
/// DISCONNECT (-, 0x81/0x82).
fn u5_080(t: &Story) -> Done {
    connect::flags(t, &[0x03, 0x0A, 0x1E, 0x82])?;
    connect::will_missing(t)?;
    connect::comes_first(t)?;
    twice(t, &Props::new().two(prop::RECEIVE_MAXIMUM, 1))
}

/// [U5-081] The client's right to use its client id should be checked (advice) (-, 0x87).
fn u5_081(t: &Story) -> Done {
    t.durable("mine")?.disconnect();
    let hello = t.hello("mine").durable().user("bob").password("builder");
    let mut peer = t.attempt(&hello)?;
    let code = peer.connack().unwrap_or(0x87);
    if code == 0 && peer.session_present {
        let reason = "any user may resume any session; a check is advised only";
        return Err(Stop::NotSupported(reason.to_owned()));
    }
    Ok(())
}

fn method(name: &str) -> Props {
    Props::new().text(prop::AUTH_METHOD, name)
}

fn once(t: &Story, props: &Props) -> Done {
    t.refuse(&t.hello("c").with(|_| props.clone()), PROTOCOL_ERROR)
}

/// Once it is accepted, twice it is not.
fn twice(t: &Story, props: &Props) -> Done {
    t.connect(&t.hello("c").with(|_| props.clone()))?.disconnect();
    once(t, &props.clone().twice())
}

fn will_twice(t: &Story, props: &Props) -> Done {
    let mut observer = t.observer("o", &t.topic("#"))?;
    let will = |props: Props| t.hello("c").will(Will::new(t.topic("w"), "x").props(props));
    t.connect(&will(props.clone()))?.disconnect();
    t.refuse(&will(props.clone().twice()), PROTOCOL_ERROR)?;
    observer.quiet()
}
