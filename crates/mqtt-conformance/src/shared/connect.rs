//! CONNECT: what is accepted, what is refused, in which order things come.

use super::framing::{connack_codes, legal_packets};
use crate::harness::prelude::*;

/// Any other packet first: closed without an answer.
pub(crate) fn comes_first(t: &Story) -> Done {
    let mut observer = t.observer("o", &t.topic("#"))?;
    for packet in legal_packets(t) {
        t.offend_first(&packet, &[])?;
    }
    observer.quiet()
}

/// A second CONNECT, with the same and with another id, ends the connection; the will comes.
pub(crate) fn only_once(t: &Story) -> Done {
    for (index, second) in [t.hello("c"), t.hello("other")].into_iter().enumerate() {
        let topic = t.topic(&format!("will{index}"));
        let mut observer = t.observer("o", &topic)?;
        let mut peer = t.connect(&t.hello("c").will(Will::new(&topic, "will")))?;
        peer.send(&second.bytes());
        peer.closed(PROTOCOL_ERROR)?;
        observer.takes("will")?;
    }
    Ok(())
}

/// A CONNECT with these flags in place of those that its fields ask for.
pub(crate) fn flags(t: &Story, flags: &[u8]) -> Done {
    flags.iter().try_for_each(|flags| t.refuse_broken(&t.hello("f").flags(*flags), EITHER))
}

/// The Will Flag without the will's fields.
pub(crate) fn will_missing(t: &Story) -> Done {
    t.refuse_broken(&t.hello("w").flags(0x06), EITHER)?;
    let topic_only = Body::new().text(t.topic("w")).bytes();
    t.refuse_broken(&t.hello("w").flags(0x06).tail(topic_only), EITHER)?;
    if t.version.is_v5() {
        // Topic and payload, but no property length in front of them.
        let tail = Body::new().text("will").text("x").bytes();
        t.refuse_broken(&t.hello("w").flags(0x06).tail(tail), EITHER)?;
    }
    Ok(())
}

/// Will QoS 3.
pub(crate) fn will_qos_3(t: &Story) -> Done {
    let connect = t.hello("w").will(Will::new(t.topic("w"), "x")).flags(0x1E);
    t.refuse_broken(&connect, EITHER)
}

/// Will bits or will fields without the Will Flag.
pub(crate) fn will_unasked(t: &Story) -> Done {
    flags(t, &[0x0A, 0x12, 0x22])?;
    let fields = Body::new().text(t.topic("w")).text("x").bytes();
    t.refuse_broken(&t.hello("w").tail(fields), EITHER)
}

/// A field of credentials without its flag.
pub(crate) fn unasked_user(t: &Story) -> Done {
    t.refuse_broken(&t.hello("u").tail(Body::new().text("user").bytes()), EITHER)
}

/// A password without its flag.
pub(crate) fn unasked_password(t: &Story) -> Done {
    let tail = Body::new().text("password").bytes();
    t.refuse_broken(&t.hello("u").user("user").tail(tail), EITHER)
}

/// The flag without the user name.
pub(crate) fn user_missing(t: &Story) -> Done {
    flags(t, &[0x82])
}

/// The flag without the password.
pub(crate) fn password_missing(t: &Story) -> Done {
    t.refuse_broken(&t.hello("u").user("user").flags(0xC2), EITHER)
}

/// A CONNECT without a payload.
pub(crate) fn no_payload(t: &Story) -> Done {
    let mut body = Body::new().text("MQTT").u8(t.version.level()).u8(2).u16(60);
    if t.version.is_v5() {
        body = body.u8(0);
    }
    t.offend_first(&body.packet(0x10), connack_codes(t))
}

/// Every field is read in its place.
pub(crate) fn payload_order(t: &Story) -> Done {
    let topic = t.topic("will");
    let mut observer = t.observer("o", &topic)?;
    let will = Will::new(&topic, "payload").qos(1);
    drop(t.connect(&t.hello("c").will(will).user("user").password("password"))?);
    let got = observer.takes("payload")?;
    same!(got.topic, topic.as_bytes(), "the will topic");
    // The will's fields in front of the client id: its topic is then the id, and lengths break.
    let swapped = t.hello("s").flags(0x06).tail([0, 200, b'x']);
    t.refuse_broken(&swapped, EITHER)
}

/// Every CONNECT that is cut short or goes on behind its end.
pub(crate) fn cut_or_longer(t: &Story) -> Done {
    let whole = t
        .hello("c")
        .will(Will::new(t.topic("w"), "x"))
        .user("user")
        .password("password")
        .keep_alive(9);
    let body = whole.body().bytes();
    for length in 0..body.len() {
        let cut = body.get(..length).unwrap_or_default();
        t.offend_first(&Body::new().raw(cut).packet(0x10), version_codes(t))?;
    }
    t.refuse_broken(&whole.tail([0]), EITHER)
}

/// A CONNECT cut inside the version may be taken for one of an unknown version.
fn version_codes(t: &Story) -> &'static [u8] {
    if t.version.is_v5() { &[0x81, 0x82, 0x84, 0x01] } else { &[] }
}

/// Ids of 1 to 23 letters and digits are accepted.
pub(crate) fn plain_ids(t: &Story) -> Done {
    let one = t.version.level().to_string();
    let letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut ids = vec![one.clone(), format!("{one}x")];
    ids.extend([&letters[..22], &letters[22..44], &letters[39..]].map(|id| rotate(id, &one)));
    for id in ids {
        let mut connect = t.hello("");
        connect.client_id = id.into_bytes();
        t.connect(&connect)?.disconnect();
    }
    Ok(())
}

/// Puts the version's digit in front, so that runs of two versions do not meet; at most 23 bytes.
fn rotate(id: &str, digit: &str) -> String {
    let all = format!("{digit}{id}");
    all.chars().take(23).collect()
}

/// Two clients with empty ids live side by side.
pub(crate) fn empty_ids(t: &Story) -> Done {
    let mut connect = t.hello("");
    connect.client_id.clear();
    let mut one = t.connect(&connect)?;
    let mut two = t.connect(&connect)?;
    one.ping()?;
    two.ping()
}

/// A well-formed CONNECT gets exactly this.
pub(crate) fn accepted(t: &Story) -> Done {
    let mut peer = t.attempt(&t.hello("c"))?;
    let packet = peer.next()?;
    let bytes = packet.raw.get(..4).unwrap_or_default();
    ensure!(
        matches!(bytes, [0x20, _, 0, 0]),
        "expected CONNACK 20 .. 00 00, got {}",
        packet.describe()
    );
    peer.ping()
}

/// With everything pending, CONNACK still comes first.
pub(crate) fn connack_first(t: &Story) -> Done {
    let topic = t.topic("pending");
    t.tell(Publish::new(&topic, "retained").qos(1).retain())?;
    t.absent("c", &topic, 1)?;
    t.say(&topic, "queued")?;
    let mut peer = t.open()?;
    let mut bytes = t.hello("c").durable().bytes();
    bytes.extend(subscribe(t.version, 9, &Props::new(), &[(&topic, 1)]));
    bytes.extend(Publish::new(&topic, "own").bytes(t.version));
    peer.send(&bytes);
    let packet = peer.next()?;
    let first = matches!(packet.content, Content::ConnAck { code: 0, .. });
    ensure!(first, "expected CONNACK, got {}", packet.describe());
    peer.suback(9)?;
    ensure!(!peer.collect(seconds(1))?.is_empty(), "the pending messages did not come");
    t.tell(Publish::new(&topic, "").retain())
}

/// Behind a CONNECT with a bad password nothing is handled, though it came in the same write.
pub(crate) fn nothing_after_refusal(t: &Story) -> Done {
    let topic = t.topic("refused");
    let mut observer = t.observer("o", &topic)?;
    let mut peer = t.open()?;
    let mut bytes = t.hello("c").password("wrong").bytes();
    bytes.extend(Publish::new(&topic, "never").retain().bytes(t.version));
    peer.send(&bytes);
    peer.refused(REFUSED)?;
    observer.quiet()?;
    t.observer("late", &topic)?.quiet()
}

/// Bad user name or password, Not authorized: the codes of both forms.
pub(crate) const REFUSED: &[u8] = &[0x04, 0x05, 0x86, 0x87];

/// A bad password is refused, and the connection is closed.
pub(crate) fn bad_password(t: &Story) -> Done {
    for connect in [
        t.hello("c").password("wrong"),
        t.hello("c").user("nobody"),
        Connect::new(t.version, t.client_id("c")),
    ] {
        let mut peer = t.attempt(&connect)?;
        let code = match peer.event(seconds(5))? {
            Event::Closed => continue,
            Event::Silence => fail!("a bad password is not answered"),
            Event::Packet(packet) => match packet.content {
                Content::ConnAck { code, flags, .. } => {
                    same!(flags, 0, "acknowledge flags of a refusal");
                    code
                }
                _ => fail!("expected CONNACK, got {}", packet.describe()),
            },
        };
        ensure!(REFUSED.contains(&code), "a bad password is answered with {code:02X}");
        peer.closed(&[])?;
    }
    Ok(())
}

/// A refusal never says that a session is present, though one is.
pub(crate) fn refusal_hides_the_session(t: &Story) -> Done {
    t.durable("c")?.disconnect();
    let mut peer = t.attempt(&t.hello("c").durable().password("wrong"))?;
    match peer.event(seconds(5))? {
        Event::Closed => return Ok(()),
        Event::Silence => fail!("a bad password is not answered"),
        Event::Packet(packet) => {
            let Content::ConnAck { flags, code, .. } = packet.content else {
                fail!("expected CONNACK, got {}", packet.describe())
            };
            ensure!(code != 0, "a bad password is accepted");
            same!(flags, 0, "acknowledge flags of a refusal");
        }
    }
    peer.closed(&[])?;
    let peer = t.connect(&t.hello("c").durable())?;
    ensure!(peer.session_present, "a refused CONNECT destroyed the session");
    Ok(())
}

/// A client id above the limit: this code, or a plain close where the code is only permitted.
pub(crate) fn long_id(t: &Story, code: u8) -> Done {
    let mut connect = t.hello("");
    connect.client_id = vec![b'x'; 24];
    let mut peer = t.attempt(&connect)?;
    if !t.version.is_v5() {
        same!(peer.connack()?, code, "the return code for a refused client id");
        return peer.closed(&[]);
    }
    peer.refused(&[code])
}
