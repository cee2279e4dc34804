//! Section 3.1.2: the variable header of CONNECT.

use crate::harness::prelude::*;
use crate::shared::{connect, retain, session, will};

pub(super) const TESTS: &[Test] = &[
    test("MQTT-3.1.0-1", mqtt311_3_1_0_1),
    test("MQTT-3.1.0-2", mqtt311_3_1_0_2),
    test("MQTT-3.1.2-1", mqtt311_3_1_2_1),
    test("MQTT-3.1.2-2", mqtt311_3_1_2_2),
    test("MQTT-3.1.2-3", mqtt311_3_1_2_3),
    test("MQTT-3.1.2-4", mqtt311_3_1_2_4),
    test("MQTT-3.1.2-5", mqtt311_3_1_2_5),
    test("MQTT-3.1.2-6", mqtt311_3_1_2_6),
    test("MQTT-3.1.2.7", mqtt311_3_1_2_7),
    test("MQTT-3.1.2-8", mqtt311_3_1_2_8).slow(),
    test("MQTT-3.1.2-9", mqtt311_3_1_2_9),
    test("MQTT-3.1.2-10", mqtt311_3_1_2_10),
    test("MQTT-3.1.2-11", mqtt311_3_1_2_11),
    test("MQTT-3.1.2-12", mqtt311_3_1_2_12),
    test("MQTT-3.1.2-13", mqtt311_3_1_2_13),
    test("MQTT-3.1.2-14", mqtt311_3_1_2_14),
    test("MQTT-3.1.2-15", mqtt311_3_1_2_15),
    test("MQTT-3.1.2-16", mqtt311_3_1_2_16),
    test("MQTT-3.1.2-17", mqtt311_3_1_2_17),
    test("MQTT-3.1.2-18", mqtt311_3_1_2_18),
    test("MQTT-3.1.2-19", mqtt311_3_1_2_19),
    test("MQTT-3.1.2-20", mqtt311_3_1_2_20),
    test("MQTT-3.1.2-21", mqtt311_3_1_2_21),
    test("MQTT-3.1.2-22", mqtt311_3_1_2_22),
    test("MQTT-3.1.2-24", mqtt311_3_1_2_24).slow(),
    test("MQTT-3.3.1-11", mqtt311_3_3_1_11),
];

/// [MQTT-3.1.0-1] CONNECT is the first packet a client sends.
fn mqtt311_3_1_0_1(t: &Story) -> Done {
    connect::comes_first(t)
}

/// [MQTT-3.1.0-2] A second CONNECT on a connection is a violation and the client is disconnected.
fn mqtt311_3_1_0_2(t: &Story) -> Done {
    connect::only_once(t)
}

/// [MQTT-3.1.2-1] With an unknown protocol name the server may close or apply another
/// specification, but does not continue as MQTT 3.1.1.
fn mqtt311_3_1_2_1(t: &Story) -> Done {
    let names: [(&[u8], u8); 6] =
        [(b"MQTX", 4), (b"", 4), (b"mqtt", 4), (b"MQIsdp", 4), (b"MQTT ", 4), (b"MQT", 4)];
    names.iter().try_for_each(|(name, level)| t.refuse(&t.hello("n").protocol(name, *level), &[1]))
}

/// [MQTT-3.1.2-2] An unsupported protocol level is answered with return code 0x01, then close.
fn mqtt311_3_1_2_2(t: &Story) -> Done {
    for level in [0, 1, 2] {
        let mut peer = t.attempt(&t.hello("l").protocol("MQTT", level))?;
        let packet = peer.next()?;
        same!(packet.raw, vec![0x20, 2, 0, 1], "the answer to level {level}");
        peer.closed(&[])?;
    }
    // A server that knows 5.0 may answer higher levels in the form of 5.0.
    for level in [6, 127, 255] {
        let mut peer =
            t.attempt(&Connect::new(Version::V5, t.client_id("l")).protocol("MQTT", level))?;
        peer.refused(&[0x01, 0x84])?;
    }
    Ok(())
}

/// [MQTT-3.1.2-3] Bit 0 of the connect flags is checked to be 0, else disconnect.
fn mqtt311_3_1_2_3(t: &Story) -> Done {
    connect::flags(t, &[0x03, 0x01])
}

/// [MQTT-3.1.2-4] CleanSession 0: continue the stored session or make a new one, and keep it
/// after disconnecting.
fn mqtt311_3_1_2_4(t: &Story) -> Done {
    session::resumes(t)
}

/// [MQTT-3.1.2-5] QoS 1 and 2 messages matching an absent CleanSession-0 client's subscriptions
/// are kept for it.
fn mqtt311_3_1_2_5(t: &Story) -> Done {
    session::keeps_messages(t)
}

/// [MQTT-3.1.2-6] CleanSession 1 throws away older state, the new session ends with the
/// connection and its state is never used again.
fn mqtt311_3_1_2_6(t: &Story) -> Done {
    session::clean_start(t)
}

/// [MQTT-3.1.2.7] Retained messages do not belong to a session and stay when it ends. (Id printed
/// with dots in the standard.).
fn mqtt311_3_1_2_7(t: &Story) -> Done {
    session::retained_outlives(t)
}

/// [MQTT-3.1.2-8] An accepted will is kept with the connection and published when it closes,
/// unless DISCONNECT removed it.
fn mqtt311_3_1_2_8(t: &Story) -> Done {
    will::after_abnormal_ends(t)?;
    will::keep_alive(t)
}

/// [MQTT-3.1.2-9] With the Will Flag, will topic and message are in the payload and Will QoS and
/// Retain are used.
fn mqtt311_3_1_2_9(t: &Story) -> Done {
    connect::will_missing(t)
}

/// [MQTT-3.1.2-10] The will leaves the session once published or after DISCONNECT.
fn mqtt311_3_1_2_10(t: &Story) -> Done {
    will::once(t)
}

/// [MQTT-3.1.2-11] Without the Will Flag, Will QoS and Retain are 0 and no will fields are sent.
fn mqtt311_3_1_2_11(t: &Story) -> Done {
    connect::will_unasked(t)
}

/// [MQTT-3.1.2-12] Without the Will Flag nothing is published at close.
fn mqtt311_3_1_2_12(t: &Story) -> Done {
    will::none(t)
}

/// [MQTT-3.1.2-13] Will Flag 0 implies Will QoS 0.
fn mqtt311_3_1_2_13(t: &Story) -> Done {
    connect::flags(t, &[0x0A, 0x12])
}

/// [MQTT-3.1.2-14] Will QoS is 0, 1 or 2, never 3.
fn mqtt311_3_1_2_14(t: &Story) -> Done {
    connect::will_qos_3(t)?;
    will::each_qos(t)
}

/// [MQTT-3.1.2-15] Will Flag 0 implies Will Retain 0.
fn mqtt311_3_1_2_15(t: &Story) -> Done {
    connect::flags(t, &[0x22])
}

/// [MQTT-3.1.2-16] Will Retain 0: the will is published non-retained.
fn mqtt311_3_1_2_16(t: &Story) -> Done {
    will::retained(t, false)
}

/// [MQTT-3.1.2-17] Will Retain 1: the will is published retained.
fn mqtt311_3_1_2_17(t: &Story) -> Done {
    will::retained(t, true)
}

/// [MQTT-3.1.2-18] User Name Flag 0: no user name in the payload.
fn mqtt311_3_1_2_18(t: &Story) -> Done {
    connect::unasked_user(t)
}

/// [MQTT-3.1.2-19] User Name Flag 1: user name present.
fn mqtt311_3_1_2_19(t: &Story) -> Done {
    connect::user_missing(t)
}

/// [MQTT-3.1.2-20] Password Flag 0: no password in the payload.
fn mqtt311_3_1_2_20(t: &Story) -> Done {
    connect::unasked_password(t)
}

/// [MQTT-3.1.2-21] Password Flag 1: password present.
fn mqtt311_3_1_2_21(t: &Story) -> Done {
    connect::password_missing(t)
}

/// [MQTT-3.1.2-22] User Name Flag 0 implies Password Flag 0.
fn mqtt311_3_1_2_22(t: &Story) -> Done {
    let password = Body::new().text("password").bytes();
    t.refuse_broken(&t.hello("p").flags(0x42).tail(password), &[])
}

/// [MQTT-3.1.2-24] Non-zero Keep Alive and 1.5 times that without a packet: close as if the
/// network had failed.
fn mqtt311_3_1_2_24(t: &Story) -> Done {
    will::keep_alive(t)
}

/// [MQTT-3.3.1-11] An empty message is never kept as retained.
fn mqtt311_3_3_1_11(t: &Story) -> Done {
    retain::empty_is_not_kept(t)?;
    will::empty_is_not_kept(t)
}
