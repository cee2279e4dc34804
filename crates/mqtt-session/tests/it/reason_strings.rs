//! Why the server refuses something, in words.

use mqtt_packet::{Ack, Disconnect, PacketId, QoS, ReasonCode, SubAck, UnsubAck, Version};
use mqtt_session::{ClientEvent, ConnectOptions, Violation, WillOptions};

use crate::pair::Pair;

const DENIED: ReasonCode = ReasonCode::NOT_AUTHORIZED;

fn denied() -> Violation {
    Violation::new(DENIED, "MQTT-3.1.4-2", "Not authorized")
}

/// A connected pair of 5.0 whose client asked for something else.
fn connected(change: impl FnOnce(&mut ConnectOptions)) -> Pair {
    let mut options = ConnectOptions::new(Version::V5, "client");
    change(&mut options);
    let mut pair = Pair::new(options);
    pair.connect();
    pair.server_reason = DENIED;
    pair.down.clear();
    pair
}

fn wants_none(options: &mut ConnectOptions) {
    options.request_problem_information = false;
}

/// The Reason Strings of the acknowledgements that the client was sent.
fn acks(pair: &Pair) -> Vec<Option<String>> {
    let read = |(first, body): &(u8, bytes::Bytes)| {
        let ack = Ack::parse(*first, body, Version::V5).unwrap();
        assert_eq!(ack.reason, DENIED);
        ack.properties.reason_string.map(str::to_owned)
    };
    pair.down.iter().map(read).collect()
}

/// The Reason String of the DISCONNECT that the client was sent last.
fn farewell(pair: &Pair) -> Option<String> {
    let (first, body) = pair.down.last().unwrap();
    let disconnect = Disconnect::parse(*first, body, Version::V5).unwrap();
    disconnect.properties.reason_string.map(str::to_owned)
}

fn refuse_messages(pair: &mut Pair) {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        pair.publish(qos, "no");
        pair.run();
    }
}

#[test]
fn a_refused_message_is_answered_with_words() {
    let mut pair = connected(|_| {});
    refuse_messages(&mut pair);
    let words = Some("Not authorized".to_owned());
    assert_eq!(acks(&pair), [words.clone(), words]);
}

#[test]
fn a_message_that_is_taken_is_answered_without() {
    for reason in [ReasonCode::SUCCESS, ReasonCode::NO_MATCHING_SUBSCRIBERS] {
        let mut pair = connected(|_| {});
        pair.server_reason = reason;
        pair.publish(QoS::AtLeastOnce, "yes");
        pair.run();
        assert!(pair.down.iter().all(|(_, body)| body.len() < 4), "{:?}", pair.down);
        assert_eq!(pair.down.len(), 1);
    }
}

#[test]
fn who_wants_no_words_gets_none() {
    // [MQTT-3.1.2-29]
    let mut pair = connected(wants_none);
    refuse_messages(&mut pair);
    assert_eq!(acks(&pair), [None, None]);
    pair.server.disconnect(denied());
    pair.run();
    assert_eq!(farewell(&pair), None);
}

#[test]
fn words_that_do_not_fit_are_left_out() {
    // [MQTT-3.4.2-2], [MQTT-3.5.2-2], [MQTT-3.14.2-3]: 23 bytes would do, CONNACK takes 20.
    let mut pair = connected(|options| options.maximum_packet_size = 22);
    refuse_messages(&mut pair);
    assert_eq!(acks(&pair), [None, None]);
    pair.server.disconnect(Violation::new(
        ReasonCode::SESSION_TAKEN_OVER,
        "MQTT-3.1.4-3",
        "Session taken over",
    ));
    pair.run();
    assert_eq!(farewell(&pair), None);

    let mut pair = connected(|options| options.maximum_packet_size = 23);
    refuse_messages(&mut pair);
    assert!(acks(&pair).iter().all(Option::is_some));
}

/// What the client is sent for a PUBREC and a PUBREL with an identifier that nobody knows.
fn forgotten(pair: &mut Pair) -> Vec<(u8, Option<String>)> {
    pair.say_to_server(&[0x50, 2, 0, 9, 0x62, 2, 0, 9]);
    pair.run();
    let read = |(first, body): &(u8, bytes::Bytes)| {
        let ack = Ack::parse(*first, body, Version::V5).unwrap();
        (*first, ack.properties.reason_string.map(str::to_owned))
    };
    // The client answers PUBREL, which the server does not answer again.
    pair.down.iter().map(read).collect()
}

#[test]
fn an_unknown_identifier_is_answered_with_words_if_they_fit() {
    // [MQTT-3.6.2-2], [MQTT-3.7.2-2]
    let words = Some("Packet Identifier not found".to_owned());
    let said = forgotten(&mut connected(|_| {}));
    assert_eq!(said, [(0x62, words.clone()), (0x70, words)]);
    assert_eq!(forgotten(&mut connected(wants_none)), [(0x62, None), (0x70, None)]);
    let small = |options: &mut ConnectOptions| options.maximum_packet_size = 35;
    assert_eq!(forgotten(&mut connected(small)), [(0x62, None), (0x70, None)]);
}

#[test]
fn the_older_versions_have_no_words() {
    let mut pair = crate::pair::connected(Version::V311);
    pair.server_reason = DENIED;
    pair.down.clear();
    refuse_messages(&mut pair);
    assert!(pair.down.iter().all(|(_, body)| body.len() == 2), "{:?}", pair.down);
}

/// What SUBACK and UNSUBACK say for these reasons.
fn answers(pair: &mut Pair, reasons: &[u8]) -> [Option<String>; 2] {
    let id = PacketId::new(9).unwrap();
    pair.server.suback(id, reasons);
    pair.server.unsuback(id, reasons);
    pair.run();
    let [.., (suback, first), (unsuback, second)] = &pair.down[..] else { panic!() };
    let suback = SubAck::parse(*suback, first, Version::V5).unwrap();
    let unsuback = UnsubAck::parse(*unsuback, second, Version::V5).unwrap();
    assert_eq!((suback.reasons, unsuback.reasons), (reasons, reasons));
    let words = [suback.properties.reason_string, unsuback.properties.reason_string];
    words.map(|words| words.map(str::to_owned))
}

#[test]
fn refused_filters_are_answered_with_the_first_reason() {
    let mut pair = connected(|_| {});
    assert_eq!(answers(&mut pair, &[0, 0]), [None, None]);
    let words = answers(&mut connected(|_| {}), &[0, 0x8F, 0x87]);
    assert_eq!(words, [(); 2].map(|()| Some("Topic Filter invalid".to_owned())));
}

#[test]
fn refused_filters_are_answered_without_words_where_they_must_be() {
    // [MQTT-3.9.2-1], [MQTT-3.11.2-1]
    assert_eq!(answers(&mut connected(wants_none), &[0x87]), [None, None]);
    let small = connected(|options| options.maximum_packet_size = 22);
    assert_eq!(answers(&mut { small }, &[0x87]), [None, None]);
}

#[test]
fn a_violation_is_named() {
    let mut pair = connected(|_| {});
    // PINGRESP is the server's.
    pair.say_to_server(&[0xD0, 0]);
    pair.run();
    assert_eq!(farewell(&pair).as_deref(), Some("a packet that only servers send"));
}

/// What CONNACK says beside its refusal.
fn refusal(pair: &Pair) -> Option<String> {
    match pair.client_events.last() {
        Some(ClientEvent::Refused(refused)) => refused.reason_string.clone(),
        other => panic!("expected a refusal, got {other:?}"),
    }
}

fn refused(options: ConnectOptions) -> Option<String> {
    let mut pair = Pair::new(options);
    pair.options.authentication_method = Some("PING".into());
    pair.connect();
    pair.server.refuse(denied());
    pair.run();
    refusal(&pair)
}

#[test]
fn a_refused_connection_is_told_why() {
    let mut options = ConnectOptions::new(Version::V5, "client");
    assert_eq!(refused(options.clone()).as_deref(), Some("Not authorized"));
    // [MQTT-3.1.2-29]
    let mut silent = options.clone();
    wants_none(&mut silent);
    assert_eq!(refused(silent), None);
    // [MQTT-3.2.2-19]
    options.maximum_packet_size = 21;
    assert_eq!(refused(options), None);
}

#[test]
fn a_connect_that_asks_for_too_much_is_told_why() {
    let ask = |maximum_packet_size| {
        let mut options = ConnectOptions::new(Version::V5, "client");
        options.maximum_packet_size = maximum_packet_size;
        options.will = Some(WillOptions {
            topic: "will".into(),
            qos: QoS::AtLeastOnce,
            ..WillOptions::default()
        });
        let mut pair = Pair::new(options);
        pair.server_config.maximum_qos = QoS::AtMostOnce;
        pair.connect();
        refusal(&pair)
    };
    assert_eq!(ask(1000).as_deref(), Some("a will above the maximum QoS"));
    assert_eq!(ask(21), None);
}

#[test]
fn an_accepted_connection_needs_no_words() {
    let mut pair = Pair::new(ConnectOptions::new(Version::V5, "client"));
    pair.connect();
    assert_eq!(pair.connack().unwrap().reason_string, None);
}
