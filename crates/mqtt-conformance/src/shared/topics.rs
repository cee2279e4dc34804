//! Topic names, filters and how they match.

use crate::harness::prelude::*;

/// Topic Filter invalid, or malformed.
const CODES: &[u8] = &[0x81, 0x82, 0x8F];

/// These filters are refused: by a close or by a failure code in SUBACK.
pub(crate) fn refused_filters(t: &Story, filters: &[&str]) -> Done {
    filters.iter().try_for_each(|filter| refused_filter(t, filter, CODES))
}

/// This filter is refused: by a close or by a failure code in SUBACK.
pub(crate) fn refused_filter(t: &Story, filter: &str, codes: &[u8]) -> Done {
    let mut peer = t.client("r")?;
    peer.send(&subscribe(t.version, 1, &Props::new(), &[(filter, 0)]));
    match peer.event(seconds(5))? {
        Event::Closed => Ok(()),
        Event::Silence => fail!("SUBSCRIBE '{filter}' is not answered"),
        Event::Packet(packet) => match packet.content {
            Content::SubAck { codes: got, .. } => {
                let code = got.first().copied().unwrap_or(0);
                ensure!(code >= 0x80, "SUBSCRIBE '{filter}' is granted with {code:02X}");
                Ok(())
            }
            Content::Disconnect { code, .. } => {
                ensure!(code == 0x80 || codes.contains(&code), "DISCONNECT with {code:02X}");
                peer.closed(&[])
            }
            _ => fail!("expected SUBACK, got {}", packet.describe()),
        },
    }
}

/// The filter takes exactly these of the names.
pub(crate) fn takes(t: &Story, filter: &str, names: &[(&str, bool)]) -> Done {
    let mut peer = t.observer("m", filter)?;
    for (name, fits) in names {
        t.say(name, name)?;
        if *fits {
            peer.takes(name)?;
        } else if let Err(Stop::Fail(reason)) = peer.quiet() {
            fail!("filter '{filter}', topic '{name}': {reason}");
        }
    }
    Ok(())
}

/// `#` stands alone or behind `/`, and last; it takes its parent too.
pub(crate) fn multi_level(t: &Story) -> Done {
    refused_filters(t, &["a#", "a/#/b", "#/", "##", "a/b#", "a/#b"])?;
    let [root, child, deep] = ["a", "a/b", "a/b/c"].map(|name| t.topic(name));
    let other = t.topic("ab");
    takes(t, &t.topic("a/#"), &[(&root, true), (&child, true), (&deep, true), (&other, false)])
}

/// `+` fills a whole level.
pub(crate) fn single_level(t: &Story) -> Done {
    refused_filters(t, &["a+", "+a", "a/+b", "a/b+/c", "++"])?;
    let [one, two, empty, middle] = ["x", "x/y", "", "x/y/b"].map(|name| t.topic(name));
    takes(t, &t.topic("+"), &[(&one, true), (&two, false), (&empty, true)])?;
    takes(t, &t.topic("+/+"), &[(&one, false), (&two, true)])?;
    takes(t, &t.topic("x/+/b"), &[(&middle, true), (&two, false)])?;
    let slashed = format!("/{}", t.unique);
    let mut any = t.client("any")?;
    any.listen("/+", 0)?;
    any.listen("+/+", 0)?;
    t.say(&slashed, "slashed")?;
    let got = any.collect_for(seconds(2))?;
    let mine = got.iter().any(|each| each.topic == slashed.as_bytes());
    ensure!(mine, "'{slashed}' was taken by neither '/+' nor '+/+'");
    Ok(())
}

/// Filters that start with a wildcard never take names that start with `$`.
pub(crate) fn dollar(t: &Story) -> Done {
    let (name, child) = (format!("${}", t.unique), format!("${}/x", t.unique));
    let mut peer = t.client("c")?;
    for filter in ["#", "+", "+/x", "+/#"] {
        peer.listen(filter, 0)?;
    }
    let mut exact = t.client("e")?;
    let granted = exact.subscribe(&format!("${}/#", t.unique), 0)? < 0x80;
    let mut publisher = t.client("p")?;
    for topic in [&name, &child] {
        // A broker may refuse to route names that start with `$`.
        let _ = publisher.publish(Publish::new(topic, "x").qos(1));
    }
    let control = t.topic("control");
    t.say(&control, "x")?;
    let all = peer.collect_for(seconds(3))?;
    let works = all.iter().any(|publish| publish.topic == control.as_bytes());
    ensure!(works, "'#' does not take '{control}'");
    if let Some(publish) = all.iter().find(|publish| publish.topic.starts_with(b"$")) {
        fail!("a leading wildcard took '{}'", String::from_utf8_lossy(&publish.topic));
    }
    if granted {
        exact.collect(seconds(0))?;
    }
    Ok(())
}

/// Empty names and filters.
pub(crate) fn empty(t: &Story) -> Done {
    t.offend(&Publish::new("", "x").bytes(t.version), &[0x81, 0x82, 0x90])?;
    refused_filter_or_close(t)?;
    let unsubscribe = unsubscribe(t.version, 1, &[""]);
    if t.version.is_v5() {
        let mut peer = t.client("u")?;
        peer.send(&unsubscribe);
        if let Event::Packet(packet) = peer.event(seconds(5))? {
            match packet.content {
                Content::UnsubAck { codes, .. } => same!(codes, vec![0x8F], "the code"),
                Content::Disconnect { .. } => peer.closed(&[])?,
                _ => fail!("expected a close, got {}", packet.describe()),
            }
        }
    } else {
        t.offend(&unsubscribe, &[])?;
    }
    t.refuse_broken(&t.hello("w").will(Will::new("", "x")), &[0x81, 0x82, 0x90])
}

fn refused_filter_or_close(t: &Story) -> Done {
    if t.version.is_v5() {
        return refused_filter(t, "", CODES);
    }
    t.offend(&subscribe(t.version, 1, &Props::new(), &[("", 0)]), &[])
}

/// The longest topic is accepted or refused, without harm.
pub(crate) fn longest(t: &Story) -> Done {
    let topic = t.unique.clone() + &"x".repeat(65_535 - t.unique.len());
    let mut observer = t.client("o")?;
    observer.send(&subscribe(t.version, 1, &Props::new(), &[(&topic, 0)]));
    match observer.event(seconds(5))? {
        Event::Closed => return t.client("after").map(drop),
        Event::Silence => fail!("a filter of 65,535 bytes is not answered"),
        Event::Packet(packet) => match packet.content {
            Content::SubAck { codes, .. } if codes.first().is_some_and(|code| *code < 3) => {}
            Content::SubAck { .. } | Content::Disconnect { .. } => {
                return t.client("after").map(drop);
            }
            _ => fail!("expected SUBACK, got {}", packet.describe()),
        },
    }
    let mut publisher = t.client("p")?;
    publisher.send_publish(Publish::new(&topic, "x"));
    if publisher.ping().is_ok() {
        same!(observer.takes("x")?.topic.len(), 65_535, "the length of the topic");
    }
    t.client("after").map(drop)
}

/// Random names and filters against the rules written down naively.
pub(crate) fn against_reference(t: &Story) -> Done {
    let mut dice = Dice(0x2545_F491);
    let mut publisher = t.client("p")?;
    let mut peer = t.client("c")?;
    for _ in 0..60 {
        let filter = format!("{}/{}", t.unique, dice.levels(&["a", "b", "", "+", "+", "a"], true));
        peer.listen(&filter, 0)?;
        let names: Vec<_> = (0..6)
            .map(|_| format!("{}/{}", t.unique, dice.levels(&["a", "b", ""], false)))
            .collect();
        for name in &names {
            publisher.say(name, name)?;
        }
        peer.ping()?;
        let expected: Vec<_> = names.iter().filter(|name| fits(&filter, name)).cloned().collect();
        let mut got = Vec::new();
        for _ in &expected {
            got.push(peer.take()?.text());
        }
        ensure!(got == expected, "filter '{filter}': expected {expected:?}, got {got:?}");
        peer.unsubscribe(&[&filter])?;
    }
    peer.quiet()
}

/// Section 4.7, level by level.
fn fits(filter: &str, name: &str) -> bool {
    let (mut filters, mut names) = (filter.split('/'), name.split('/'));
    loop {
        match (filters.next(), names.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(_)) => {}
            (Some(filter), Some(name)) if filter == name => {}
            _ => return false,
        }
    }
}

/// A small generator, the same in every run.
struct Dice(u32);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        usize::try_from(self.0).unwrap_or(0) % sides.max(1)
    }

    fn levels(&mut self, words: &[&str], hash: bool) -> String {
        let count = 1 + self.roll(3);
        let mut levels: Vec<_> = (0..count)
            .map(|_| words.get(self.roll(words.len())).copied().unwrap_or_default())
            .collect();
        if hash && self.roll(3) == 0 {
            levels.push("#");
        }
        levels.join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_knows_the_examples_of_the_standard() {
        for (filter, name, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            ("sport/#", "sport", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
        ] {
            assert_eq!(fits(filter, name), expected, "{filter} {name}");
        }
    }
}
