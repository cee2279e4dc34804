//! Section 3.2: CONNACK.

use crate::harness::prelude::*;
use crate::shared::{connect, delivery, session};

pub(super) const TESTS: &[Test] = &[
    test("MQTT-3.2.0-1", mqtt5_3_2_0_1),
    test("MQTT-3.2.0-2", mqtt5_3_2_0_2).passive(),
    test("MQTT-3.2.2-1", mqtt5_3_2_2_1).passive(),
    test("MQTT-3.2.2-2", mqtt5_3_2_2_2),
    test("MQTT-3.2.2-3", mqtt5_3_2_2_3),
    test("MQTT-3.2.2-6", mqtt5_3_2_2_6).with(Profile::Password),
    test("MQTT-3.2.2-7", mqtt5_3_2_2_7).with(Profile::Password),
    test("MQTT-3.2.2-8", mqtt5_3_2_2_8).passive(),
    test("MQTT-3.2.2-9", mqtt5_3_2_2_9).with(Profile::MaxQos1),
    test("MQTT-3.2.2-10", mqtt5_3_2_2_10).with(Profile::MaxQos0),
    test("MQTT-3.2.2-12", mqtt5_3_2_2_12).with(Profile::MaxQos0),
    test("MQTT-3.2.2-13", mqtt5_3_2_2_13).with(Profile::NoRetain),
    test("MQTT-3.2.2-19", mqtt5_3_2_2_19).with(Profile::Password),
    test("MQTT-3.2.2-20", mqtt5_3_2_2_20).with(Profile::Password),
    test("MQTT-3.2.2-22", mqtt5_3_2_2_22).with(Profile::ServerKeepAlive).slow(),
];

/// [MQTT-3.2.0-1] Nothing but AUTH before the successful CONNACK.
fn mqtt5_3_2_0_1(t: &Story) -> Done {
    connect::connack_first(t)
}

/// [MQTT-3.2.0-2] One CONNACK per connection.
fn mqtt5_3_2_0_2(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    peer.send(&t.hello("c").bytes());
    peer.closed(EITHER)?;
    t.passive()
}

/// [MQTT-3.2.2-1] Bits 7-1 of the acknowledge flags are 0.
fn mqtt5_3_2_2_1(t: &Story) -> Done {
    delivery::passive(t)
}

/// [MQTT-3.2.2-2] Clean Start 1: session present 0.
fn mqtt5_3_2_2_2(t: &Story) -> Done {
    session::clean_is_not_present(t)
}

/// [MQTT-3.2.2-3] Clean Start 0: session present tells whether state exists.
fn mqtt5_3_2_2_3(t: &Story) -> Done {
    session::present_flag(t)
}

/// [MQTT-3.2.2-6] Non-zero reason: session present 0.
fn mqtt5_3_2_2_6(t: &Story) -> Done {
    connect::refusal_hides_the_session(t)
}

/// [MQTT-3.2.2-7] Reason 0x80 or more: close.
fn mqtt5_3_2_2_7(t: &Story) -> Done {
    connect::bad_password(t)
}

/// [MQTT-3.2.2-8] CONNACK reasons come from the table.
fn mqtt5_3_2_2_8(t: &Story) -> Done {
    delivery::passive(t)
}

/// [MQTT-3.2.2-9] A server without QoS 1 or 2 says so by Maximum QoS.
fn mqtt5_3_2_2_9(t: &Story) -> Done {
    let peer = t.client("c")?;
    same!(peer.props.number(prop::MAXIMUM_QOS), Some(1), "Maximum QoS");
    Ok(())
}

/// [MQTT-3.2.2-10] Such a server still accepts SUBSCRIBE at any QoS.
fn mqtt5_3_2_2_10(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    same!(peer.props.number(prop::MAXIMUM_QOS), Some(0), "Maximum QoS");
    for qos in 0..3 {
        let code = peer.subscribe(&t.topic("a"), qos)?;
        ensure!(code <= qos, "SUBSCRIBE at QoS {qos}: got {code:02X}");
    }
    let mut publisher = t.client("p")?;
    publisher.publish(Publish::new(t.topic("a"), "x"))?;
    peer.takes("x").map(drop)
}

/// [MQTT-3.2.2-12] Will QoS above what is supported: refuse (0x9B) and close.
fn mqtt5_3_2_2_12(t: &Story) -> Done {
    t.refuse(&t.hello("c").will(Will::new(t.topic("w"), "x").qos(1)), &[0x9B])
}

/// [MQTT-3.2.2-13] Will Retain without retain support: refuse (0x9A) and close.
fn mqtt5_3_2_2_13(t: &Story) -> Done {
    let peer = t.client("n")?;
    same!(peer.props.number(prop::RETAIN_AVAILABLE), Some(0), "Retain Available");
    t.refuse(&t.hello("c").will(Will::new(t.topic("w"), "x").retain()), &[0x9A])
}

/// [MQTT-3.2.2-19] No reason string in CONNACK if that breaks the client's Maximum Packet Size.
fn mqtt5_3_2_2_19(t: &Story) -> Done {
    small_refusal(t)
}

/// [MQTT-3.2.2-20] Same for user properties in CONNACK.
fn mqtt5_3_2_2_20(t: &Story) -> Done {
    small_refusal(t)
}

/// [MQTT-3.2.2-22] Without Server Keep Alive the server uses the client's value.
fn mqtt5_3_2_2_22(t: &Story) -> Done {
    let began = std::time::Instant::now();
    let mut peer = t.connect(&t.hello("c").keep_alive(60))?;
    same!(peer.props.number(prop::SERVER_KEEP_ALIVE), Some(2), "Server Keep Alive");
    peer.closed_within(seconds(20), &[0x8D])?;
    let took = began.elapsed().as_secs_f64();
    ensure!((2.9..15.0).contains(&took), "Server Keep Alive 2 s: closed after {took:.1} s");
    Ok(())
}

/// A refusal to a client that takes 20 bytes at most: smaller, or no CONNACK at all.
fn small_refusal(t: &Story) -> Done {
    let hello = t.hello("c").password("wrong").maximum_packet_size(20);
    let hello = hello.with(|p| p.byte(prop::REQUEST_PROBLEM_INFO, 1));
    let mut peer = t.attempt(&hello)?;
    loop {
        match peer.event(seconds(5))? {
            Event::Closed => return Ok(()),
            Event::Silence => fail!("expected a refusal, got an open connection"),
            Event::Packet(packet) => {
                ensure!(packet.raw.len() <= 20, "above 20 bytes: {}", packet.describe());
            }
        }
    }
}
