//! Section 3.1.2: the variable header of CONNECT.

use crate::harness::prelude::*;
use crate::shared::{connect, session};

pub(super) const TESTS: &[Test] = &[
    test("MQTT-3.1.0-1", mqtt5_3_1_0_1),
    test("MQTT-3.1.0-2", mqtt5_3_1_0_2),
    test("MQTT-3.1.2-1", mqtt5_3_1_2_1),
    test("MQTT-3.1.2-2", mqtt5_3_1_2_2),
    test("MQTT-3.1.2-3", mqtt5_3_1_2_3),
    test("MQTT-3.1.2-4", mqtt5_3_1_2_4),
    test("MQTT-3.1.2-5", mqtt5_3_1_2_5),
    test("MQTT-3.1.2-6", mqtt5_3_1_2_6),
    test("MQTT-3.1.2-16", mqtt5_3_1_2_16),
    test("MQTT-3.1.2-17", mqtt5_3_1_2_17),
    test("MQTT-3.1.2-18", mqtt5_3_1_2_18),
    test("MQTT-3.1.2-19", mqtt5_3_1_2_19),
    test("MQTT-3.1.2-23", mqtt5_3_1_2_23).slow(),
    test("MQTT-3.1.2-28", mqtt5_3_1_2_28),
    test("MQTT-3.1.2-29", mqtt5_3_1_2_29).with(Profile::Acl),
];

/// [MQTT-3.1.0-1] CONNECT is the first packet.
fn mqtt5_3_1_0_1(t: &Story) -> Done {
    connect::comes_first(t)
}

/// [MQTT-3.1.0-2] A second CONNECT is a Protocol Error: close.
fn mqtt5_3_1_0_2(t: &Story) -> Done {
    connect::only_once(t)
}

/// [MQTT-3.1.2-1] The protocol name is 'MQTT'; otherwise the server may answer CONNACK 0x84 and
/// closes.
fn mqtt5_3_1_2_1(t: &Story) -> Done {
    for name in ["MQTX", "", "mqtt", "MQTT ", "MQIsdp"] {
        t.refuse(&t.hello("n").protocol(name, 5), &[0x84, 0x81, 0x01])?;
    }
    Ok(())
}

/// [MQTT-3.1.2-2] An unwanted protocol version: CONNACK 0x84 permitted, then close.
fn mqtt5_3_1_2_2(t: &Story) -> Done {
    for level in [0, 1, 2, 6, 127, 255] {
        t.refuse(&t.hello("l").protocol("MQTT", level), &[0x84, 0x01])?;
    }
    Ok(())
}

/// [MQTT-3.1.2-3] The reserved connect flag is checked to be 0 (else malformed).
fn mqtt5_3_1_2_3(t: &Story) -> Done {
    connect::flags(t, &[0x03, 0x01])
}

/// [MQTT-3.1.2-4] Clean Start 1 discards the old session and starts another.
fn mqtt5_3_1_2_4(t: &Story) -> Done {
    session::clean_start(t)
}

/// [MQTT-3.1.2-5] Clean Start 0 with a session: resume from its state.
fn mqtt5_3_1_2_5(t: &Story) -> Done {
    session::resumes(t)
}

/// [MQTT-3.1.2-6] Clean Start 0 without a session: make one.
fn mqtt5_3_1_2_6(t: &Story) -> Done {
    let peer = t.durable("c")?;
    ensure!(!peer.session_present, "session present 1 for a fresh id");
    peer.disconnect();
    let peer = t.connect(&t.hello("c").durable())?;
    ensure!(peer.session_present, "the new session cannot be resumed");
    Ok(())
}

/// [MQTT-3.1.2-16] User Name Flag 0: no user name.
fn mqtt5_3_1_2_16(t: &Story) -> Done {
    connect::unasked_user(t)
}

/// [MQTT-3.1.2-17] User Name Flag 1: user name present.
fn mqtt5_3_1_2_17(t: &Story) -> Done {
    connect::user_missing(t)
}

/// [MQTT-3.1.2-18] Password Flag 0: no password.
fn mqtt5_3_1_2_18(t: &Story) -> Done {
    connect::unasked_password(t)
}

/// [MQTT-3.1.2-19] Password Flag 1: password present. (In v5 also without a user name.).
fn mqtt5_3_1_2_19(t: &Story) -> Done {
    connect::password_missing(t)?;
    // A password alone is legal: it may be refused as a credential, but is no malformed packet.
    let mut peer = t.attempt(&t.hello("p").password("alone"))?;
    match peer.event(seconds(5))? {
        Event::Packet(packet) => match packet.content {
            Content::ConnAck { code: 0 | 0x80 | 0x86 | 0x87, .. } => Ok(()),
            _ => fail!("a password without user name: got {}", packet.describe()),
        },
        // A plain close is permitted at any refusal.
        Event::Closed => Ok(()),
        Event::Silence => fail!("a password without user name is not answered"),
    }
}

/// [MQTT-3.1.2-23] Session Expiry above 0: keep the state after the connection closes.
fn mqtt5_3_1_2_23(t: &Story) -> Done {
    t.connect(&t.hello("c").resume().expiry(6))?.disconnect();
    t.wait(seconds(2));
    let peer = t.connect(&t.hello("c").resume().expiry(6))?;
    ensure!(peer.session_present, "expiry 6 s: the session is gone after 2 s");
    drop(peer);
    t.wait(seconds(2));
    let peer = t.connect(&t.hello("c").resume().expiry(6))?;
    ensure!(peer.session_present, "expiry 6 s: the session is gone 2 s after an abrupt close");
    Ok(())
}

/// [MQTT-3.1.2-28] Request Response Information 0: none returned.
fn mqtt5_3_1_2_28(t: &Story) -> Done {
    for connect in [t.hello("a"), t.hello("b").with(|p| p.byte(prop::REQUEST_RESPONSE_INFO, 0))] {
        let peer = t.connect(&connect)?;
        ensure!(!peer.props.has(prop::RESPONSE_INFO), "Response Information although not asked");
    }
    Ok(())
}

/// [MQTT-3.1.2-29] Request Problem Information 0: reason string and user properties only on
/// PUBLISH, CONNACK, DISCONNECT.
fn mqtt5_3_1_2_29(t: &Story) -> Done {
    let denied = format!("denied/{}", t.unique);
    let hello = t.hello("c").with(|p| p.byte(prop::REQUEST_PROBLEM_INFO, 0));
    let mut peer = t.connect(&hello)?;
    // The passive check of this statement looks at every answer.
    peer.subscribe(&denied, 0)?;
    peer.unsubscribe(&[&denied, "unknown"])?;
    peer.publish(Publish::new(&denied, "x").qos(1))?;
    peer.publish(Publish::new(&denied, "x").qos(2))?;
    peer.release(999)?;
    t.passive()
}
