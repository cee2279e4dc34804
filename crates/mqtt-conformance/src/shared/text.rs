//! Text fields: strict UTF-8, no U+0000, U+FEFF untouched.

use crate::harness::prelude::*;

/// One of each kind of ill-formed UTF-8.
pub(crate) const ILL_FORMED: &[&[u8]] = &[
    &[0xC0, 0x80],
    &[0xC1, 0xBF],
    &[0xED, 0xA0, 0x80],
    &[0xED, 0xBF, 0xBF],
    &[0xF4, 0x90, 0x80, 0x80],
    &[0xFF],
    &[0xE2, 0x82],
];

/// Malformed Packet, or invalid in this place.
const CODES: &[u8] = &[0x81, 0x82, 0x85, 0x8C, 0x8F, 0x90];

/// Each text field with each ill-formed sequence ends the connection; nothing is routed.
pub(crate) fn ill_formed(t: &Story) -> Done {
    let mut observer = t.observer("o", &t.topic("#"))?;
    ILL_FORMED.iter().try_for_each(|bad| everywhere(t, bad))?;
    observer.quiet()
}

/// Each text field with U+0000 ends the connection.
pub(crate) fn with_nul(t: &Story) -> Done {
    everywhere(t, b"\0")
}

/// Every text field of every packet with these bytes in it.
fn everywhere(t: &Story, bad: &[u8]) -> Done {
    for connect in connects(t, bad) {
        t.refuse_broken(&connect, CODES)?;
    }
    for bytes in packets(t, bad) {
        t.offend(&bytes, CODES)?;
    }
    Ok(())
}

/// `good` and then `bad`.
pub(crate) fn spoiled(good: &str, bad: &[u8]) -> Vec<u8> {
    [good.as_bytes(), bad].concat()
}

fn connects(t: &Story, bad: &[u8]) -> Vec<Connect> {
    let hello = || t.hello("bad");
    let mut id = hello();
    id.client_id = spoiled("x", bad);
    let will = |props: Props| hello().will(Will::new(t.topic("w"), "x").props(props));
    let mut all = vec![
        id,
        hello().will(Will::new(spoiled(&t.topic("w"), bad), "x")),
        hello().user(spoiled("u", bad)),
    ];
    if t.version.is_v5() {
        all.extend([
            hello().with(|p| p.text(prop::AUTH_METHOD, spoiled("m", bad))),
            hello().with(|p| p.user(bad, "v")),
            hello().with(|p| p.user("n", bad)),
            will(Props::new().text(prop::CONTENT_TYPE, bad)),
            will(Props::new().text(prop::RESPONSE_TOPIC, spoiled("r", bad))),
            will(Props::new().user(bad, "v")),
            will(Props::new().user("n", bad)),
        ]);
    }
    all
}

fn packets(t: &Story, bad: &[u8]) -> Vec<Vec<u8>> {
    let v5 = t.version.is_v5();
    let filter = Body::new().text(spoiled(&t.topic("f"), bad));
    let empty: &[u8] = if v5 { &[0] } else { &[] };
    let publish = Publish::new(t.topic("p"), "x");
    let mut all = vec![
        Publish::new(spoiled(&t.topic("p"), bad), "x").bytes(t.version),
        Body::new().u16(1).raw(empty).raw(filter.clone().bytes()).u8(0).packet(0x82),
        Body::new().u16(1).raw(empty).raw(filter.bytes()).packet(0xA2),
    ];
    if v5 {
        all.extend(
            [
                Props::new().text(prop::RESPONSE_TOPIC, spoiled("r", bad)),
                Props::new().text(prop::CONTENT_TYPE, bad),
                Props::new().user(bad, "v"),
                Props::new().user("n", bad),
            ]
            .map(|props| publish.clone().with(|_| props).bytes(t.version)),
        );
        let user = Props::new().user("n", bad);
        all.push(subscribe(t.version, 1, &user, &[(&t.topic("f"), 0)]));
        all.push(Body::new().u8(0).raw(user.block()).packet(0xE0));
        let reason = Props::new().text(prop::REASON_STRING, bad);
        all.push(Body::new().u8(0).raw(reason.block()).packet(0xE0));
    }
    all
}

/// U+FEFF at the front of a topic is part of it.
pub(crate) fn byte_order_mark(t: &Story) -> Done {
    let plain = t.topic("a");
    let marked = format!("\u{FEFF}{plain}");
    let mut without = t.observer("without", &plain)?;
    let mut with = t.observer("with", &marked)?;
    t.say(&marked, "marked")?;
    same!(with.takes("marked")?.topic, marked.as_bytes(), "the topic");
    without.quiet()
}

/// No normalisation: these are all different topics.
pub(crate) fn no_normalisation(t: &Story) -> Done {
    let names = [
        "caf\u{E9}",
        "cafe\u{301}",
        "CAF\u{C9}",
        "caf\u{E9}/",
        "caf\u{E9}//",
        "/caf\u{E9}",
        "cafe",
    ];
    for (index, name) in names.iter().enumerate() {
        let mut observer = t.observer(&format!("o{index}"), &t.topic(name))?;
        for each in names {
            t.say(&t.topic(each), each)?;
        }
        same!(observer.takes(name)?.topic, t.topic(name).as_bytes(), "the topic");
        observer.quiet()?;
    }
    Ok(())
}

/// U+0000 in names and filters.
pub(crate) fn no_nul_in_topics(t: &Story) -> Done {
    let name = "a\0b";
    t.offend(&Publish::new(name, "x").bytes(t.version), CODES)?;
    t.offend(&subscribe(t.version, 1, &Props::new(), &[(name, 0)]), CODES)?;
    t.offend(&unsubscribe(t.version, 1, &[name]), CODES)
}
