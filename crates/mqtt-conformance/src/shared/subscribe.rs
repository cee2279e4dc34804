//! SUBSCRIBE and SUBACK.

use crate::harness::prelude::*;

/// Options or QoS bytes that break SUBSCRIBE; no SUBACK.
pub(crate) fn bad_options(t: &Story, options: &[u8]) -> Done {
    for option in options {
        let packet = subscribe(t.version, 1, &Props::new(), &[(&t.topic("a"), *option)]);
        t.offend(&packet, EITHER)?;
    }
    Ok(())
}

/// A SUBSCRIBE without a filter.
pub(crate) fn no_filter(t: &Story) -> Done {
    t.offend(&subscribe(t.version, 1, &Props::new(), &[]), PROTOCOL_OR_MALFORMED)
}

/// No filters is a Protocol Error, but the packet may be seen as cut short too.
const PROTOCOL_OR_MALFORMED: &[u8] = &[0x82, 0x81];

/// A filter that is not text.
pub(crate) fn bad_text(t: &Story) -> Done {
    let codes = &[0x81, 0x82, 0x8F];
    for (first, tail) in [(0x82, [0].as_slice()), (0xA2, &[])] {
        let properties: &[u8] = if t.version.is_v5() { &[0] } else { &[] };
        let filter = Body::new().u16(1).raw(properties).text([b'a', 0xFF]);
        t.offend(&filter.raw(tail).packet(first), codes)?;
        let past_the_end = Body::new().u16(1).raw(properties).u16(9).raw("a");
        t.offend(&past_the_end.packet(first), codes)?;
    }
    Ok(())
}

/// Every SUBSCRIBE is answered, an identical repeat too, each with its own id.
pub(crate) fn always_answered(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    let topic = t.topic("a");
    let mut bytes = Vec::new();
    for id in [3, 1, 65_535, 2] {
        bytes.extend(subscribe(t.version, id, &Props::new(), &[(&topic, 1)]));
    }
    peer.send(&bytes);
    for id in [3, 1, 65_535, 2] {
        same!(peer.suback(id)?.len(), 1, "codes in SUBACK {id}");
    }
    Ok(())
}

/// An identical filter replaces: one delivery, with the new QoS.
pub(crate) fn replaces(t: &Story) -> Done {
    let topic = t.topic("a");
    let mut peer = t.observer("c", &topic)?;
    peer.listen(&topic, 1)?;
    t.tell(Publish::new(&topic, "x").qos(2))?;
    same!(peer.takes("x")?.qos, 1, "the QoS after the replacement");
    peer.quiet()
}

/// Replacing under a running stream loses nothing, and retained messages are sent again.
pub(crate) fn replaces_without_a_gap(t: &Story) -> Done {
    let topic = t.topic("stream");
    t.tell(Publish::new(&topic, "retained").qos(1).retain())?;
    let mut peer = t.client("c")?;
    peer.listen(&topic, 1)?;
    peer.takes("retained")?;
    let mut publisher = t.client("p")?;
    let mut got = Vec::new();
    for index in 0..40 {
        publisher.send_publish(Publish::new(&topic, format!("{index}")).qos(1));
        if index % 4 == 0 {
            peer.listen(&topic, 1 + (index / 4) % 2)?;
        }
        if index % 10 == 9 {
            got.extend(peer.collect(seconds(1))?);
        }
    }
    for id in 1..=40 {
        publisher.ack(4, id)?;
    }
    got.extend(peer.collect(seconds(1))?);
    let again = got.iter().filter(|each| each.payload == b"retained").count();
    same!(again, 10, "retained messages that were sent again");
    let live: Vec<_> =
        got.iter().filter(|each| each.payload != b"retained").map(Publish::text).collect();
    let expected: Vec<_> = (0..40).map(|index| format!("{index}")).collect();
    ensure!(live == expected, "expected 0 to 39 once each, got {}", live.join(" "));
    Ok(())
}

/// Many filters act like many SUBSCRIBEs: one SUBACK, one code each, the last of two equal ones wins.
pub(crate) fn many_filters(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    let [a, b, c] = ["a", "b", "c"].map(|name| t.topic(name));
    let filters = [(a.as_str(), 0), (b.as_str(), 1), (c.as_str(), 2), (a.as_str(), 2)];
    same!(peer.subscribe_all(&Props::new(), &filters)?, vec![0, 1, 2, 2], "the codes");
    for (topic, qos) in [(&a, 2), (&b, 1), (&c, 2)] {
        t.tell(Publish::new(topic, "x").qos(2))?;
        same!(peer.takes("x")?.qos, qos, "the granted QoS in use");
        peer.quiet()?;
    }
    Ok(())
}

/// The codes come in the order of the filters.
pub(crate) fn codes_in_order(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    let topics: Vec<_> = (0..5).map(|index| t.topic(&format!("{index}"))).collect();
    let filters: Vec<_> =
        topics.iter().zip([0, 1, 2, 0, 1]).map(|(topic, qos)| (topic.as_str(), qos)).collect();
    same!(peer.subscribe_all(&Props::new(), &filters)?, vec![0, 1, 2, 0, 1], "the codes");
    Ok(())
}

/// A mix of permitted and denied filters: one code each, in order.
pub(crate) fn denied_filters(t: &Story) -> Done {
    let mut peer = t.client("c")?;
    let permitted = t.topic("a");
    let denied = format!("denied/{}", t.unique);
    let filters =
        [(permitted.as_str(), 0), (denied.as_str(), 1), (permitted.as_str(), 2), (&denied, 0)];
    let codes = peer.subscribe_all(&Props::new(), &filters)?;
    same!(codes.len(), 4, "the number of codes");
    if codes == [0, 1, 2, 0] {
        let reason = "the broker grants filters that its rules deny";
        return Err(Stop::NotSupported(reason.to_owned()));
    }
    let refused = if t.version.is_v5() { 0x87 } else { 0x80 };
    same!(codes, vec![0, refused, 2, refused], "the codes");
    Ok(())
}

/// Delivered at the lower of published and granted QoS.
pub(crate) fn lower_qos(t: &Story) -> Done {
    for granted in 0..3 {
        let topic = t.topic(&format!("{granted}"));
        let mut peer = t.client("c")?;
        same!(peer.subscribe(&topic, granted)?, granted, "the granted QoS");
        for published in 0..3 {
            t.tell(Publish::new(&topic, "x").qos(published))?;
            let expected = granted.min(published);
            same!(peer.takes("x")?.qos, expected, "published {published}, granted {granted}");
        }
    }
    Ok(())
}
