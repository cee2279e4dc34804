//! Section 4.8.2: shared subscriptions.

use crate::harness::prelude::*;
use crate::shared::topics::{refused_filter, refused_filters};

pub(super) const TESTS: &[Test] = &[
    test("MQTT-4.8.2-1", mqtt5_4_8_2_1),
    test("MQTT-4.8.2-2", mqtt5_4_8_2_2),
    test("MQTT-4.8.2-3", mqtt5_4_8_2_3),
    test("MQTT-4.8.2-4", mqtt5_4_8_2_4),
    test("MQTT-4.8.2-5", mqtt5_4_8_2_5).slow(),
    test("MQTT-4.8.2-6", mqtt5_4_8_2_6),
];

/// [MQTT-4.8.2-1] Shared filter starts with '$share/' and has a ShareName of at least one
/// character.
fn mqtt5_4_8_2_1(t: &Story) -> Done {
    sharing(t)?;
    refused_filter(t, "$share//a", EITHER_OR_FILTER)?;
    // Another spelling is an ordinary filter, or refused; it is never a share.
    let topic = t.topic("a");
    for filter in ["$share".to_owned(), format!("$SHARE/g/{topic}")] {
        let mut peer = t.client("c")?;
        if peer.subscribe(&filter, 0).is_ok_and(|code| code < 0x80) {
            t.say(&topic, "x")?;
            peer.quiet()?;
        }
    }
    Ok(())
}

/// [MQTT-4.8.2-2] ShareName has no '/', '+', '#', and is followed by '/' and a filter.
fn mqtt5_4_8_2_2(t: &Story) -> Done {
    sharing(t)?;
    refused_filters(
        t,
        &["$share/g", "$share/g/", "$share/g+/a", "$share/#/a", "$share/+/a", "$share/"],
    )
}

/// [MQTT-4.8.2-3] Granted QoS is respected for each member.
fn mqtt5_4_8_2_3(t: &Story) -> Done {
    let (topic, filter) = names(t)?;
    let mut zero = t.client("zero")?;
    let mut two = t.client("two")?;
    zero.listen(&filter, 0)?;
    two.listen(&filter, 2)?;
    for index in 0..20 {
        t.tell(Publish::new(&topic, format!("{index}")).qos(2))?;
    }
    let (low, high) = (zero.collect(seconds(1))?, two.collect(seconds(1))?);
    same!(low.len() + high.len(), 20, "messages delivered to both members together");
    ensure!(low.iter().all(|m| m.qos == 0), "above the granted QoS 0");
    ensure!(high.iter().all(|m| m.qos == 2), "below the granted and published QoS 2");
    Ok(())
}

/// [MQTT-4.8.2-4] QoS 2: a message already sent to a member is completed with that member on its
/// return.
fn mqtt5_4_8_2_4(t: &Story) -> Done {
    let (topic, filter) = names(t)?;
    let mut member = t.durable("m")?;
    member.listen(&filter, 2)?;
    t.tell(Publish::new(&topic, "x").qos(2))?;
    let got = member.receive()?;
    member.answer(5, got.id);
    member.ack(6, got.id)?;
    let mut other = t.client("o")?;
    other.listen(&filter, 2)?;
    drop(member);
    other.quiet()?;
    let mut member = t.connect(&t.hello("m").durable())?;
    member.ack(6, got.id)?;
    member.answer(7, got.id);
    member.quiet()?;
    other.quiet()
}

/// [MQTT-4.8.2-5] QoS 2: if that member's session ends first, the message goes to nobody else.
fn mqtt5_4_8_2_5(t: &Story) -> Done {
    let (topic, filter) = names(t)?;
    let mut member = t.connect(&t.hello("m").expiry(1))?;
    member.listen(&filter, 2)?;
    t.tell(Publish::new(&topic, "x").qos(2))?;
    member.receive()?;
    let mut other = t.client("o")?;
    other.listen(&filter, 2)?;
    drop(member);
    other.quiet_for(seconds(4))
}

/// [MQTT-4.8.2-6] A PUBACK/PUBREC >= 0x80 from a member: drop the message, no other member gets
/// it.
fn mqtt5_4_8_2_6(t: &Story) -> Done {
    let (topic, filter) = names(t)?;
    for qos in [1, 2] {
        let mut member = t.client("m")?;
        member.listen(&filter, qos)?;
        t.tell(Publish::new(&topic, "x").qos(qos))?;
        let got = member.receive()?;
        let mut other = t.client("o")?;
        other.listen(&filter, 2)?;
        member.answer_error(3 + qos, got.id, 0x80);
        member.quiet()?;
        other.quiet()?;
        drop(member);
        other.quiet()?;
    }
    Ok(())
}

/// Topic Filter invalid, Malformed Packet or Protocol Error.
const EITHER_OR_FILTER: &[u8] = &[0x81, 0x82, 0x8F];

/// Ends the test if the server has no shared subscriptions.
fn sharing(t: &Story) -> Done {
    t.client("n")?.needs(prop::SHARED_AVAILABLE, "shared subscriptions")
}

/// A topic and a shared filter that takes it.
fn names(t: &Story) -> Done<(String, String)> {
    sharing(t)?;
    let topic = t.topic("shared");
    let filter = format!("$share/g{}/{topic}", t.unique);
    Ok((topic, filter))
}
