//! Sections 3.15 and 4.12 to 4.13: enhanced authentication and errors.

mod scram;

use crate::harness::prelude::*;
use crate::shared::framing;

pub(super) const TESTS: &[Test] = &[
    test("MQTT-3.1.2-30", mqtt5_3_1_2_30).with(Profile::Scram),
    test("MQTT-3.15.2-1", mqtt5_3_15_2_1).with(Profile::Scram),
    test("MQTT-3.15.2-2", mqtt5_3_15_2_2).with(Profile::Scram),
    test("MQTT-3.15.2-3", mqtt5_3_15_2_3).with(Profile::Scram),
    test("MQTT-4.12.0-1", mqtt5_4_12_0_1),
    test("MQTT-4.12.0-2", mqtt5_4_12_0_2).with(Profile::Scram),
    test("MQTT-4.12.0-3", mqtt5_4_12_0_3).with(Profile::Scram),
    test("MQTT-4.12.0-4", mqtt5_4_12_0_4).with(Profile::Scram),
    test("MQTT-4.12.0-5", mqtt5_4_12_0_5).with(Profile::Scram),
    test("MQTT-4.12.0-6", mqtt5_4_12_0_6).passive(),
    test("MQTT-4.12.0-7", mqtt5_4_12_0_7),
    test("MQTT-4.12.1-1", mqtt5_4_12_1_1).with(Profile::Scram),
    test("MQTT-4.12.1-2", mqtt5_4_12_1_2).with(Profile::Scram),
    test("MQTT-4.13.1-1", mqtt5_4_13_1_1),
    test("MQTT-4.13.2-1", mqtt5_4_13_2_1),
];

/// [MQTT-3.1.2-30] With an Authentication Method only AUTH and DISCONNECT may precede CONNACK.
fn mqtt5_3_1_2_30(t: &Story) -> Done {
    let mut peer = challenged(t)?;
    peer.send(&Publish::new(t.topic("a"), "x").bytes(t.version));
    peer.refused(EITHER)
}

/// [MQTT-3.15.2-1] AUTH reason is 00, 18 or 19.
fn mqtt5_3_15_2_1(t: &Story) -> Done {
    for code in [0x01, 0x80, 0xFF] {
        let mut peer = challenged(t)?;
        peer.send(&auth(code, METHOD, b"x"));
        peer.refused(EITHER)?;
    }
    Ok(())
}

/// [MQTT-3.15.2-2] AUTH reason string must fit.
fn mqtt5_3_15_2_2(t: &Story) -> Done {
    auth_fits(t)
}

/// [MQTT-3.15.2-3] AUTH user properties must fit.
fn mqtt5_3_15_2_3(t: &Story) -> Done {
    auth_fits(t)
}

/// [MQTT-4.12.0-1] Unsupported authentication method: CONNACK 0x8C or 0x87 permitted, then close.
fn mqtt5_4_12_0_1(t: &Story) -> Done {
    t.refuse(&t.hello("c").with(|p| p.text(prop::AUTH_METHOD, "NOPE")), &[0x8C, 0x87])
}

/// [MQTT-4.12.0-2] Server's challenge AUTH has reason 0x18.
fn mqtt5_4_12_0_2(t: &Story) -> Done {
    challenged(t)?;
    authenticated(t)?.ping()
}

/// [MQTT-4.12.0-3] Client's answer AUTH has reason 0x18.
fn mqtt5_4_12_0_3(t: &Story) -> Done {
    for code in [0x00, 0x19] {
        let mut peer = challenged(t)?;
        peer.send(&auth(code, METHOD, b"c=biws,r=x,p=AAAA"));
        peer.refused(EITHER)?;
    }
    Ok(())
}

/// [MQTT-4.12.0-4] Rejecting at any point: CONNACK >= 0x80 permitted, then close.
fn mqtt5_4_12_0_4(t: &Story) -> Done {
    let refusals = &[0x81, 0x82, 0x83, 0x86, 0x87];
    let mut peer = challenged(t)?;
    peer.send(&auth(0x18, METHOD, b"c=biws,r=wrong,p=AAAA"));
    peer.refused(refusals)?;
    let (mut peer, challenge) = challenge(t)?;
    let last = scram::last(&challenge, "a wrong password")?;
    peer.send(&auth(0x18, METHOD, last.message.as_bytes()));
    peer.refused(refusals)
}

/// [MQTT-4.12.0-5] All AUTH and the good CONNACK repeat the method.
fn mqtt5_4_12_0_5(t: &Story) -> Done {
    let peer = authenticated(t)?;
    same!(peer.props.string(prop::AUTH_METHOD), Some(METHOD.as_bytes()), "the method of CONNACK");
    let mut peer = challenged(t)?;
    peer.send(&auth(0x18, "OTHER", b"x"));
    peer.refused(&[0x81, 0x82, 0x8C])
}

/// [MQTT-4.12.0-6] No method in CONNECT: no AUTH and no method in CONNACK from the server.
fn mqtt5_4_12_0_6(t: &Story) -> Done {
    crate::shared::delivery::passive(t)
}

/// [MQTT-4.12.0-7] No method in CONNECT: client sends no AUTH.
fn mqtt5_4_12_0_7(t: &Story) -> Done {
    t.offend(&auth(0x19, METHOD, b"x"), PROTOCOL_ERROR)?;
    t.offend(&[0xF0, 0], PROTOCOL_ERROR)
}

/// [MQTT-4.12.1-1] Re-authentication starts with AUTH 0x19 and the same method.
fn mqtt5_4_12_1_1(t: &Story) -> Done {
    let mut peer = authenticated(t)?;
    let challenge = challenged_again(&mut peer)?;
    let last = scram::last(&challenge, PASSWORD)?;
    peer.send(&auth(0x18, METHOD, last.message.as_bytes()));
    let data = next_auth(&mut peer, 0x00)?;
    same!(data.as_slice(), last.answer.as_bytes(), "the server's signature");
    peer.ping()?;
    peer.send(&auth(0x19, "OTHER", scram::first().as_bytes()));
    peer.closed(PROTOCOL_ERROR)
}

/// [MQTT-4.12.1-2] Failed re-authentication: DISCONNECT advised, close required. Until then the
/// client is who it was.
fn mqtt5_4_12_1_2(t: &Story) -> Done {
    let topic = t.topic("meanwhile");
    let mut peer = authenticated(t)?;
    peer.listen(&topic, 1)?;
    let challenge = challenged_again(&mut peer)?;
    t.say(&topic, "meanwhile")?;
    peer.takes("meanwhile")?;
    let last = scram::last(&challenge, "a wrong password")?;
    peer.send(&auth(0x18, METHOD, last.message.as_bytes()));
    peer.closed(&[0x87])
}

/// [MQTT-4.13.1-1] Malformed Packet or Protocol Error with a defined reason: close.
fn mqtt5_4_13_1_1(t: &Story) -> Done {
    framing::violations(t)?;
    framing::bytes_left_over(t)
}

/// [MQTT-4.13.2-1] Reason >= 0x80 in CONNACK/DISCONNECT: close, whether or not it was sent.
fn mqtt5_4_13_2_1(t: &Story) -> Done {
    t.offend(&[0x00, 0x00], EITHER)?;
    t.refuse(&t.hello("c").receive_maximum(0), EITHER)
}

/// The method that a server is most likely to know.
pub(crate) const METHOD: &str = "SCRAM-SHA-256";

/// AUTH.
pub(crate) fn auth(code: u8, method: &str, data: &[u8]) -> Vec<u8> {
    let props = Props::new().text(prop::AUTH_METHOD, method).text(prop::AUTH_DATA, data);
    Body::new().u8(code).raw(props.block()).packet(0xF0)
}

/// The password of alice.
const PASSWORD: &str = "wonderland";

/// A client that was sent its challenge, which must have the code 0x18 and repeat the method.
pub(crate) fn challenged(t: &Story) -> Done<Peer> {
    challenge(t).map(|(peer, _)| peer)
}

/// A challenge is as long with each client, and none is sent to whom it is too long. With words or
/// properties that could be left out it would come all the same.
fn auth_fits(t: &Story) -> Done {
    challenged(t)?;
    let mut peer = t.attempt(&wants_scram(t))?;
    let challenge = peer.next()?;
    let full = challenge.raw.len();
    let props = challenge.content.props().cloned().unwrap_or_else(Props::new);
    let needed = !props.has(prop::REASON_STRING) && !props.has(prop::USER_PROPERTY);
    for (limit, sent) in [(full, true), (full - 1, false), (full / 2, false)] {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let mut peer = t.attempt(&wants_scram(t).maximum_packet_size(limit))?;
        if sent {
            same!(next_auth_length(&mut peer)?, full, "the length of a challenge that fits");
        } else if needed {
            peer.refused(&[0x95, 0x87, 0x83])?;
        } else {
            let length = next_auth_length(&mut peer)?;
            ensure!(length < full, "limit {limit}: AUTH of {length} bytes");
        }
    }
    Ok(())
}

fn next_auth_length(peer: &mut Peer) -> Done<usize> {
    let packet = peer.next()?;
    let is_auth = matches!(packet.content, Content::Auth { .. });
    ensure!(is_auth, "expected AUTH, got {}", packet.describe());
    Ok(packet.raw.len())
}

fn wants_scram(t: &Story) -> Connect {
    t.hello("c").with(|p| p.text(prop::AUTH_METHOD, METHOD).text(prop::AUTH_DATA, scram::first()))
}

/// The same, with the challenge.
fn challenge(t: &Story) -> Done<(Peer, Vec<u8>)> {
    let mut peer = t.attempt(&wants_scram(t))?;
    match peer.event(seconds(5))? {
        Event::Packet(packet) => match packet.content {
            Content::Auth { code, props } => Ok((peer, auth_data(code, &props, 0x18)?)),
            Content::ConnAck { code: 0x8C | 0x87, .. } => Err(unknown()),
            _ => fail!("expected AUTH or a refusal, got {}", packet.describe()),
        },
        Event::Closed => Err(unknown()),
        Event::Silence => fail!("CONNECT with an authentication method is not answered"),
    }
}

/// A client that has proven to be alice, and knows that the server knows alice.
fn authenticated(t: &Story) -> Done<Peer> {
    let (mut peer, challenge) = challenge(t)?;
    let last = scram::last(&challenge, PASSWORD)?;
    peer.send(&auth(0x18, METHOD, last.message.as_bytes()));
    let code = peer.connack()?;
    ensure!(code == 0, "expected CONNACK 00, got {code:02X}");
    let data = peer.props.string(prop::AUTH_DATA);
    same!(data, Some(last.answer.as_bytes()), "the server's signature");
    Ok(peer)
}

/// Starts a re-authentication; the server's challenge.
fn challenged_again(peer: &mut Peer) -> Done<Vec<u8>> {
    peer.send(&auth(0x19, METHOD, scram::first().as_bytes()));
    next_auth(peer, 0x18)
}

/// The data of an AUTH with this code, which must come next.
fn next_auth(peer: &mut Peer, expected: u8) -> Done<Vec<u8>> {
    let packet = peer.next()?;
    match &packet.content {
        Content::Auth { code, props } => auth_data(*code, props, expected),
        _ => fail!("expected AUTH, got {}", packet.describe()),
    }
}

fn auth_data(code: u8, props: &Props, expected: u8) -> Done<Vec<u8>> {
    same!(code, expected, "the code of AUTH");
    same!(props.string(prop::AUTH_METHOD), Some(METHOD.as_bytes()), "the method");
    Ok(props.string(prop::AUTH_DATA).unwrap_or_default().to_vec())
}

fn unknown() -> Stop {
    Stop::NotSupported(format!("the server does not know the method {METHOD}"))
}
