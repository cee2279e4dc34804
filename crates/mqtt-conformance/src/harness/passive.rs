//! Checks on everything that a server sends, in whatever test it sends it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use super::connect::Connect;
use super::packet::{Content, Packet};
use super::property::{Props, prop};
use super::publish::Publish;
use super::version::Version;

/// What was seen, under each statement id, over the whole run.
#[derive(Debug, Default)]
pub(crate) struct Monitor {
    seen: Mutex<BTreeMap<(Version, &'static str), Seen>>,
}

/// How often a check was made, and where it failed.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    pub(crate) checks: u64,
    pub(crate) violations: Vec<String>,
}

/// What must be remembered of one connection to judge its traffic.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    connacks: u32,
    disconnected: bool,
    resumed: bool,
    method: Option<Vec<u8>>,
    maximum_packet_size: Option<u32>,
    receive_maximum: Option<u32>,
    alias_maximum: u32,
    wants_response_info: bool,
    no_problem_info: bool,
    /// In the order of their coming.
    in_flight: Vec<u16>,
    ever_sent: BTreeSet<u16>,
}

impl Monitor {
    /// Everything seen under an id.
    pub(crate) fn seen(&self, version: Version, id: &str) -> Seen {
        let seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mine = seen.iter().find(|((v, each), _)| *v == version && *each == id);
        mine.map(|(_, seen)| seen.clone()).unwrap_or_default()
    }

    /// Every id that was violated, with the first violation.
    pub(crate) fn violations(&self) -> Vec<(Version, &'static str, String)> {
        let seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        seen.iter()
            .filter_map(|((version, id), seen)| {
                Some((*version, *id, seen.violations.first()?.clone()))
            })
            .collect()
    }

    fn note(&self, version: Version, id: &'static str, holds: bool, what: &dyn Fn() -> String) {
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let entry = seen.entry((version, id)).or_default();
        entry.checks += 1;
        if !holds && entry.violations.len() < 20 {
            entry.violations.push(what());
        }
    }
}

impl Watch {
    /// The client sends this CONNECT: its limits hold from now on.
    pub(crate) fn connecting(&mut self, connect: &Connect) {
        let props = &connect.props;
        self.method = props.string(prop::AUTH_METHOD).map(<[u8]>::to_vec);
        // A maximum of 0 is an error, not a limit.
        let limit = |id| props.number(id).filter(|limit| *limit > 0);
        self.maximum_packet_size = limit(prop::MAXIMUM_PACKET_SIZE);
        self.receive_maximum = limit(prop::RECEIVE_MAXIMUM);
        self.alias_maximum = props.number(prop::TOPIC_ALIAS_MAXIMUM).unwrap_or(0);
        self.wants_response_info = props.number(prop::REQUEST_RESPONSE_INFO) == Some(1);
        self.no_problem_info = props.number(prop::REQUEST_PROBLEM_INFO) == Some(0);
    }

    /// The client ended the delivery with this packet id.
    pub(crate) fn settled(&mut self, id: u16) {
        self.in_flight.retain(|each| *each != id);
    }

    /// How many deliveries of QoS 1 and 2 the client has not ended.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The delivery that came first of those not ended.
    pub(crate) fn oldest(&self) -> Option<u16> {
        self.in_flight.first().copied()
    }

    /// Judges one packet of the server. `story` tells where it was seen.
    pub(crate) fn packet(&mut self, to: &Monitor, version: Version, packet: &Packet, story: &str) {
        let note = |id: &'static str, holds: bool, why: &str| {
            to.note(version, id, holds, &|| format!("{why}: {} (in {story})", packet.describe()));
        };
        // A server that does not know the version that was asked for refuses in the form of one that
        // it does know.
        let of_version = packet.raw == [0x20, 2, 0, 1] || packet.raw == [0x20, 3, 0, 0x84, 0];
        if of_version && self.connacks == 0 {
            note("MQTT-3.1.2-2", true, "");
        } else if version.is_v5() {
            self.judge_v5(packet, &note);
        } else {
            self.judge_v3(packet, &note);
        }
        self.remember(packet);
        // The CONNACK of 3.1 does not tell whether the session is new.
        self.resumed |= version == Version::V31;
    }

    fn judge_v5(&self, packet: &Packet, note: &dyn Fn(&'static str, bool, &str)) {
        note("MQTT-2.1.3-1", flags_fit(packet.first()), "fixed header flags");
        note("MQTT-1.5.5-1", !packet.overlong, "a length not in its shortest form");
        note("MQTT-3.14.4-1", !self.disconnected, "a packet behind the DISCONNECT");
        let is_connack = matches!(packet.content, Content::ConnAck { .. });
        let is_auth = matches!(packet.content, Content::Auth { .. });
        if self.connacks == 0 {
            note("MQTT-3.2.0-1", is_connack || is_auth, "a packet before the CONNACK");
            let disconnect = matches!(packet.content, Content::Disconnect { .. });
            note("MQTT-3.14.0-1", !disconnect, "a DISCONNECT before the CONNACK");
        }
        if let Some(limit) = self.maximum_packet_size {
            let fits = packet.raw.len() <= usize::try_from(limit).unwrap_or(usize::MAX);
            note("MQTT-3.1.2-24", fits, &format!("a packet above {limit} bytes"));
            for (id, property) in must_fit(packet.first() >> 4) {
                let holds = packet.content.props().is_some_and(|props| props.has(*property));
                note(id, fits || !holds, &format!("a property makes it longer than {limit} bytes"));
            }
        }
        if let Some(props) = packet.content.props() {
            self.judge_properties(packet, props, note);
        }
        match &packet.content {
            Content::ConnAck { flags, code, .. } => {
                note("MQTT-3.2.0-2", self.connacks == 0, "a second CONNACK");
                note("MQTT-3.2.2-1", flags & 0xFE == 0, "acknowledge flags");
                note("MQTT-3.2.2-6", *code == 0 || *flags == 0, "session present on a refusal");
                note("MQTT-3.2.2-8", CONNACK.contains(code), "reason code");
            }
            Content::Publish(publish) => self.judge_publish_v5(publish, note),
            Content::Ack { kind, code, .. } => {
                let (id, table): (_, &[u8]) = match kind {
                    4 => ("MQTT-3.4.2-1", PUBACK),
                    5 => ("MQTT-3.5.2-1", PUBACK),
                    6 => ("MQTT-3.6.2-1", &[0x00, 0x92]),
                    _ => ("MQTT-3.7.2-1", &[0x00, 0x92]),
                };
                note(id, table.contains(code), "reason code");
            }
            Content::SubAck { codes, .. } => {
                note("MQTT-3.9.3-2", codes.iter().all(|c| SUBACK.contains(c)), "reason codes");
            }
            Content::UnsubAck { codes, .. } => {
                note("MQTT-3.11.3-2", codes.iter().all(|c| UNSUBACK.contains(c)), "reason codes");
            }
            Content::Disconnect { code, props } => {
                note("MQTT-3.14.2-1", DISCONNECT.contains(code), "reason code");
                let expiry = props.has(prop::SESSION_EXPIRY);
                note("MQTT-3.14.2-2", !expiry, "Session Expiry Interval");
            }
            Content::Auth { code, .. } => {
                note("MQTT-3.15.2-1", [0x00, 0x18].contains(code), "reason code");
            }
            Content::PingResp => {}
        }
    }

    fn judge_properties(
        &self,
        packet: &Packet,
        props: &Props,
        note: &dyn Fn(&'static str, bool, &str),
    ) {
        let kind = packet.first() >> 4;
        let fits = props.0.iter().all(|(id, _)| property_fits(*id, kind));
        note("U5-006", fits, "a property that the packet type does not have");
        let once = props.0.iter().all(|(id, _)| {
            *id == prop::USER_PROPERTY || *id == prop::SUBSCRIPTION_ID || props.all(*id).len() == 1
        });
        note("U5-006", once, "a property twice");
        if kind == 2 || kind == 15 {
            let method = props.string(prop::AUTH_METHOD);
            match &self.method {
                None => note("MQTT-4.12.0-6", kind == 2 && method.is_none(), "AUTH unasked"),
                Some(asked) if kind == 15 || packet.raw.get(3) == Some(&0) => {
                    note("MQTT-4.12.0-5", method == Some(asked), "the method is not repeated");
                }
                Some(_) => {}
            }
        }
        if kind == 2 && !self.wants_response_info {
            note("MQTT-3.1.2-28", !props.has(prop::RESPONSE_INFO), "Response Information unasked");
        }
        if self.no_problem_info && ![2, 3, 14].contains(&kind) {
            let said = props.has(prop::REASON_STRING) || props.has(prop::USER_PROPERTY);
            note("MQTT-3.1.2-29", !said, "a reason although none is wanted");
        }
    }

    fn judge_publish_v5(&self, publish: &Publish, note: &dyn Fn(&'static str, bool, &str)) {
        let alias = publish.props.number(prop::TOPIC_ALIAS);
        let stands_in = alias.is_some() && publish.topic.is_empty();
        note("MQTT-3.3.1-4", publish.qos < 3, "QoS 3");
        note("MQTT-3.3.2-1", is_text(&publish.topic), "topic text");
        note("MQTT-3.3.2-2", stands_in || is_name(&publish.topic), "topic");
        note("MQTT-4.7.3-1", stands_in || !publish.topic.is_empty(), "empty topic");
        if let Some(alias) = alias {
            note("MQTT-3.3.2-8", alias != 0, "topic alias 0");
            note("MQTT-3.1.2-27", self.alias_maximum > 0, "a topic alias although none is wanted");
            note("MQTT-3.1.2-26", alias <= self.alias_maximum, "a topic alias above the maximum");
            note("MQTT-3.3.2-11", alias <= self.alias_maximum, "a topic alias above the maximum");
        }
        if publish.qos == 0 {
            note("MQTT-3.3.1-2", !publish.dup, "DUP with QoS 0");
            note("MQTT-4.3.1-1", !publish.dup, "DUP with QoS 0");
            return;
        }
        note("MQTT-2.2.1-4", publish.id != 0, "packet id 0");
        let repeats = self.in_flight.contains(&publish.id);
        note("MQTT-4.4.0-1", !repeats, "re-sent on a live connection");
        let fresh = !self.resumed;
        let id = if publish.qos == 1 { "MQTT-4.3.2-2" } else { "MQTT-4.3.3-2" };
        if fresh {
            note(id, !publish.dup, "DUP although the session is new");
        }
        if let Some(limit) = self.receive_maximum {
            let after = self.in_flight.len() + usize::from(!repeats);
            let within = u32::try_from(after).unwrap_or(u32::MAX) <= limit;
            note("MQTT-3.3.4-9", within, "above the Receive Maximum");
            note("MQTT-4.9.0-2", within, "above the Receive Maximum");
        }
    }

    fn judge_v3(&self, packet: &Packet, note: &dyn Fn(&'static str, bool, &str)) {
        note("MQTT-2.2.2-1", flags_fit(packet.first()), "fixed header flags");
        let is_connack = matches!(packet.content, Content::ConnAck { .. });
        if self.connacks == 0 {
            note("MQTT-3.2.0-1", is_connack, "a packet before the CONNACK");
        }
        match &packet.content {
            Content::ConnAck { flags, code, .. } => {
                note("MQTT-3.1.0-2", self.connacks == 0, "a second CONNACK");
                note("MQTT-3.2.2-4", *code == 0 || *flags == 0, "session present on a refusal");
                note("MQTT-3.2.2-6", *code <= 5 && packet.raw.len() == 4, "return code");
            }
            Content::Publish(publish) => self.judge_publish_v3(publish, note),
            Content::SubAck { codes, .. } => {
                let known = codes.iter().all(|code| [0, 1, 2, 0x80].contains(code));
                note("MQTT-3.9.3-2", known, "return codes");
            }
            _ => {}
        }
    }

    fn judge_publish_v3(&self, publish: &Publish, note: &dyn Fn(&'static str, bool, &str)) {
        note("MQTT-3.3.1-4", publish.qos < 3, "QoS 3");
        note("MQTT-3.3.2-1", is_text(&publish.topic), "topic text");
        note("MQTT-3.3.2-2", is_name(&publish.topic), "topic");
        note("MQTT-4.7.3-1", !publish.topic.is_empty(), "empty topic");
        if publish.qos == 0 {
            note("MQTT-2.3.1-5", true, "");
            note("MQTT-3.3.1-2", !publish.dup, "DUP with QoS 0");
            note("MQTT-4.3.1-1", !publish.dup, "DUP with QoS 0");
            return;
        }
        note("MQTT-2.3.1-4", publish.id != 0, "packet id 0");
        let first_time = !self.resumed && !self.ever_sent.contains(&publish.id);
        let id = if publish.qos == 1 { "MQTT-4.3.2-1" } else { "MQTT-4.3.3-1" };
        if first_time {
            note(id, !publish.dup, "DUP at the first sending");
        }
        let clash = self.in_flight.contains(&publish.id) && !publish.dup;
        note(id, !clash, "an id that is in use");
    }

    fn remember(&mut self, packet: &Packet) {
        match &packet.content {
            Content::ConnAck { flags, .. } => {
                self.connacks += 1;
                self.resumed = flags & 1 == 1;
            }
            Content::Publish(publish) if publish.qos > 0 => {
                self.in_flight.retain(|each| *each != publish.id);
                self.in_flight.push(publish.id);
                self.ever_sent.insert(publish.id);
            }
            Content::Disconnect { .. } => self.disconnected = true,
            _ => {}
        }
    }
}

const CONNACK: &[u8] = &[
    0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97,
    0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
];
const PUBACK: &[u8] = &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const SUBACK: &[u8] = &[0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2];
const UNSUBACK: &[u8] = &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91];
/// The codes of section 3.14.2.1 that a server may send: all but 0x04.
const DISCONNECT: &[u8] = &[
    0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96,
    0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
];

/// Whether the low four bits are those of the table in section 2.2.2 (3.1.1) or 2.1.3 (5.0).
fn flags_fit(first: u8) -> bool {
    match first >> 4 {
        3 => true,
        6 => first & 0x0F == 2,
        _ => first & 0x0F == 0,
    }
}

/// Table 2-4 of 5.0, for the packet types that a server sends.
fn property_fits(id: u8, kind: u8) -> bool {
    match id {
        prop::REASON_STRING => kind != 3,
        prop::USER_PROPERTY => true,
        0x01 | 0x02 | 0x03 | 0x08 | 0x09 | 0x0B | 0x23 => kind == 3,
        0x12 | 0x13 | 0x1A | 0x21 | 0x22 | 0x24 | 0x25 | 0x27 | 0x28 | 0x29 | 0x2A => kind == 2,
        0x11 => kind == 2 || kind == 14,
        0x15 | 0x16 => kind == 2 || kind == 15,
        0x1C => kind == 2 || kind == 14,
        _ => false,
    }
}

/// The statements about what may be left out of a packet of this type so that it fits.
fn must_fit(kind: u8) -> &'static [(&'static str, u8)] {
    const REASON: u8 = prop::REASON_STRING;
    const USER: u8 = prop::USER_PROPERTY;
    match kind {
        2 => &[("MQTT-3.2.2-19", REASON), ("MQTT-3.2.2-20", USER)],
        4 => &[("MQTT-3.4.2-2", REASON), ("MQTT-3.4.2-3", USER)],
        5 => &[("MQTT-3.5.2-2", REASON), ("MQTT-3.5.2-3", USER)],
        6 => &[("MQTT-3.6.2-2", REASON), ("MQTT-3.6.2-3", USER)],
        7 => &[("MQTT-3.7.2-2", REASON), ("MQTT-3.7.2-3", USER)],
        9 => &[("MQTT-3.9.2-1", REASON), ("MQTT-3.9.2-2", USER)],
        11 => &[("MQTT-3.11.2-1", REASON), ("MQTT-3.11.2-2", USER)],
        14 => &[("MQTT-3.14.2-3", REASON), ("MQTT-3.14.2-4", USER)],
        15 => &[("MQTT-3.15.2-2", REASON), ("MQTT-3.15.2-3", USER)],
        _ => &[],
    }
}

fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0'))
}

fn is_name(topic: &[u8]) -> bool {
    !topic.contains(&b'+') && !topic.contains(&b'#')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::packet::cut;

    fn watch(version: Version, connect: &Connect, packets: &[&[u8]]) -> Monitor {
        let (monitor, mut watch) = (Monitor::default(), Watch::default());
        watch.connecting(connect);
        for bytes in packets {
            let packet = cut(&mut bytes.to_vec(), version).unwrap().unwrap();
            watch.packet(&monitor, version, &packet, "a test");
        }
        monitor
    }

    fn violated(monitor: &Monitor) -> Vec<&'static str> {
        monitor.violations().into_iter().map(|(_, id, _)| id).collect()
    }

    #[test]
    fn good_traffic_passes() {
        let connect = Connect::new(Version::V5, "c").receive_maximum(1);
        let monitor =
            watch(Version::V5, &connect, &[&[0x20, 3, 0, 0, 0], &[0x32, 6, 0, 1, b'a', 0, 1, 0]]);
        assert!(violated(&monitor).is_empty());
        assert_eq!(monitor.seen(Version::V5, "MQTT-2.1.3-1").checks, 2);
    }

    #[test]
    fn words_that_make_a_packet_too_long_are_noticed() {
        let connect = Connect::new(Version::V5, "c").maximum_packet_size(9);
        let puback: &[u8] = &[0x40, 8, 0, 1, 0x87, 4, 0x1F, 0, 1, b'a'];
        let monitor = watch(Version::V5, &connect, &[&[0x20, 3, 0, 0, 0], puback]);
        assert_eq!(violated(&monitor), ["MQTT-3.1.2-24", "MQTT-3.4.2-2"]);
    }

    #[test]
    fn a_second_connack_is_noticed() {
        let connect = Connect::new(Version::V5, "c");
        let monitor = watch(Version::V5, &connect, &[&[0x20, 3, 0, 0, 0], &[0x20, 3, 0, 0, 0]]);
        assert_eq!(violated(&monitor), ["MQTT-3.2.0-2"]);
    }

    #[test]
    fn the_receive_maximum_is_counted() {
        let connect = Connect::new(Version::V5, "c").receive_maximum(1);
        let one: &[u8] = &[0x32, 6, 0, 1, b'a', 0, 1, 0];
        let two: &[u8] = &[0x32, 6, 0, 1, b'a', 0, 2, 0];
        let monitor = watch(Version::V5, &connect, &[&[0x20, 3, 0, 0, 0], one, two]);
        assert_eq!(violated(&monitor), ["MQTT-3.3.4-9", "MQTT-4.9.0-2"]);
    }

    #[test]
    fn a_disconnect_before_the_connack_is_noticed() {
        let monitor = watch(Version::V5, &Connect::new(Version::V5, "c"), &[&[0xE0, 1, 0x81]]);
        assert_eq!(violated(&monitor), ["MQTT-3.14.0-1", "MQTT-3.2.0-1"]);
    }

    #[test]
    fn version_5_codes_to_a_3_1_1_client_are_noticed() {
        let connect = Connect::new(Version::V311, "c");
        let monitor = watch(Version::V311, &connect, &[&[0x20, 2, 0, 0], &[0x90, 3, 0, 1, 0x87]]);
        assert_eq!(violated(&monitor), ["MQTT-3.9.3-2"]);
    }
}
