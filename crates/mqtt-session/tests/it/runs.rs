//! Runs of several messages on their way to a receiver.

use bytes::BytesMut;
use mqtt_packet::{
    Ack, Connect, ConnectProperties, Packet, PacketId, PacketType, QoS, RawPublish, ReasonCode,
    Version, frame,
};
use mqtt_session::{Accept, Delivery, Run, ServerConfig, ServerEndpoint, ServerEvent, Time};

const MESSAGES: u8 = 7;

const NOW: Time = Time::ZERO;

fn opened(version: Version, receive_maximum: Option<u16>) -> ServerEndpoint {
    let mut endpoint = ServerEndpoint::new(ServerConfig::default(), NOW);
    let connect = Connect {
        version,
        clean_start: true,
        keep_alive_secs: 0,
        client_id: "runs",
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties { receive_maximum, ..ConnectProperties::default() },
    };
    let mut bytes = BytesMut::new();
    connect.encode(&mut bytes).unwrap();
    endpoint.handle_input(&mut bytes, NOW);
    assert!(matches!(endpoint.poll_event(NOW), Some(ServerEvent::Connect(_))));
    endpoint.accept(Accept::default(), NOW);
    endpoint.advance_output(endpoint.output().len());
    endpoint
}

/// What a publisher sends: repetitions, and identifiers that are in no order.
fn published(version: Version, qos: QoS) -> Run {
    let mut bytes = BytesMut::new();
    for number in 0..MESSAGES {
        let payload = vec![b'0' + number; 60 + 20 * usize::from(number)];
        let publish = RawPublish {
            dup: number % 2 == 1,
            qos,
            retain: false,
            packet_id: PacketId::new(1000 - 7 * u16::from(number)),
            topic: b"a/b",
            properties: &[],
            payload: &payload,
        };
        publish.encode(&[], version, &mut bytes).unwrap();
    }
    let mut publisher = opened(version, None);
    publisher.handle_input(&mut bytes, NOW);
    let Some(ServerEvent::Span(span)) = publisher.poll_event(NOW) else { panic!("no run") };
    assert!(publisher.poll_event(NOW).is_none());
    let run = publisher.run(&span).unwrap();
    assert_eq!(run.count(), MESSAGES.into());
    publisher.acknowledge(&run, ReasonCode::SUCCESS);
    let answers = packets(&mut publisher);
    let ids: Vec<_> =
        answers.iter().map(|packet| u16::from_be_bytes([packet[2], packet[3]])).collect();
    assert_eq!(ids, (0..MESSAGES.into()).map(|number| 1000 - 7 * number).collect::<Vec<u16>>());
    run
}

/// What an endpoint has written since the last call.
fn packets(endpoint: &mut ServerEndpoint) -> Vec<Vec<u8>> {
    let mut slices = [std::io::IoSlice::new(&[]); 8];
    let filled = endpoint.output().slices(&mut slices);
    let mut rest = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect::<Vec<u8>>();
    let mut packets = Vec::new();
    while let Some(header) = frame::peek(&rest, u32::MAX).unwrap() {
        let behind = rest.split_off(header.total_len());
        packets.push(std::mem::replace(&mut rest, behind));
    }
    endpoint.advance_output(endpoint.output().len());
    packets
}

/// The payloads, identifiers and flags of all PUBLISH packets of a receiver that answers the packets
/// of each read from the last to the first.
fn received(receiver: &mut ServerEndpoint, version: Version) -> Vec<(Vec<u8>, u16, u8)> {
    let mut all = Vec::new();
    loop {
        let came = packets(receiver);
        let mut answers = BytesMut::new();
        for bytes in came.iter().rev() {
            let (answer, packet_id) = match Packet::parse(bytes[0], &body(bytes), version).unwrap()
            {
                Packet::Publish(publish) => {
                    let answer = match publish.delivery.qos() {
                        QoS::AtLeastOnce => PacketType::PubAck,
                        _ => PacketType::PubRec,
                    };
                    (answer, publish.delivery.packet_id().unwrap())
                }
                Packet::PubRel(ack) => (PacketType::PubComp, ack.packet_id),
                packet => panic!("{packet:?}"),
            };
            let ack = Ack::new(packet_id, ReasonCode::SUCCESS);
            ack.encode(answer, version, &mut answers).unwrap();
        }
        if came.is_empty() {
            return all;
        }
        all.extend(came.iter().filter(|bytes| bytes[0] >> 4 == 3).map(|bytes| {
            let body = body(bytes);
            let publish = RawPublish::split(bytes[0], &body, version).unwrap();
            assert_eq!((publish.topic, publish.properties), (&b"a/b"[..], &[][..]));
            (publish.payload.to_vec(), publish.packet_id.unwrap().get(), bytes[0] & 0x0F)
        }));
        receiver.handle_input(&mut answers, NOW);
        assert!(receiver.poll_event(NOW).is_none());
    }
}

fn body(packet: &[u8]) -> Vec<u8> {
    let header = frame::peek(packet, u32::MAX).unwrap().unwrap();
    packet[header.header_len..].to_vec()
}

#[test]
fn a_block_is_free_once_its_messages_are_written_even_if_nothing_more_is_read() {
    let mut block = BytesMut::with_capacity(64 * 1024);
    let publish = RawPublish {
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        packet_id: None,
        topic: b"a/b",
        properties: &[],
        payload: &[b'x'; 1024],
    };
    publish.encode(&[], Version::V311, &mut block).unwrap();
    let mut publisher = opened(Version::V311, None);
    publisher.handle_input(&mut block, NOW);
    let Some(ServerEvent::Span(span)) = publisher.poll_event(NOW) else { panic!("no run") };
    assert!(publisher.poll_event(NOW).is_none());
    let run = publisher.run(&span).unwrap();
    publisher.let_input_go();
    assert!(publisher.run(&span).is_none());
    assert!(!block.try_reclaim(64 * 1024), "the message is part of it");
    let mut receiver = opened(Version::V311, None);
    let delivery = Delivery {
        run,
        granted: QoS::AtMostOnce,
        retain: false,
        identifiers: None,
        mark: 0,
        seq: None,
    };
    receiver.deliver(delivery, NOW);
    assert_eq!(packets(&mut receiver).len(), 1);
    assert!(block.try_reclaim(64 * 1024), "nobody needs it");
}

#[test]
fn each_receiver_gets_its_own_identifiers_and_flags_whatever_the_forms_and_the_window() {
    for (from, to) in [
        (Version::V311, Version::V311),
        (Version::V311, Version::V5),
        (Version::V5, Version::V311),
        (Version::V5, Version::V5),
    ] {
        for (qos, granted, window) in [
            (QoS::AtLeastOnce, QoS::ExactlyOnce, None),
            (QoS::ExactlyOnce, QoS::ExactlyOnce, Some(3)),
            (QoS::ExactlyOnce, QoS::AtLeastOnce, Some(1)),
        ] {
            let run = published(from, qos);
            let mut receiver = opened(to, window.filter(|_| to == Version::V5));
            let delivery =
                Delivery { run, granted, retain: true, identifiers: None, mark: 0, seq: None };
            receiver.deliver(delivery, NOW);
            let all = received(&mut receiver, to);
            let flags = (qos.min(granted).bits() << 1) | 1;
            for (number, (payload, id, flag)) in (0..).zip(&all) {
                assert_eq!(payload, &vec![b'0' + number; 60 + 20 * usize::from(number)]);
                assert_eq!((*id, *flag), (u16::from(number) + 1, flags), "{from} to {to}");
            }
            assert_eq!(all.len(), MESSAGES.into());
            assert_eq!(receiver.held().messages, 0);
            assert_eq!(receiver.take_done().delivered, MESSAGES.into());
        }
    }
}

#[test]
fn what_comes_next_can_be_looked_at_before_its_turn() {
    let mut bytes = BytesMut::new();
    for topic in ["a", "b", "b", "c"] {
        let (qos, packet_id) = (QoS::AtMostOnce, None);
        let (topic, properties, payload) = (topic.as_bytes(), &[][..], &[][..]);
        RawPublish { dup: false, qos, retain: false, packet_id, topic, properties, payload }
            .encode(&[], Version::V311, &mut bytes)
            .unwrap();
    }
    Packet::PingReq.encode(Version::V311, &mut bytes).unwrap();
    let behind = bytes.clone();
    bytes.extend_from_slice(&behind);
    let mut publisher = opened(Version::V311, None);
    publisher.handle_input(&mut bytes, NOW);
    let mut seen = Vec::new();
    while publisher.poll_event(NOW).is_some() {
        seen.push(publisher.topics_ahead().map(|topic| topic[0]).collect::<Vec<u8>>());
    }
    let once = [b"bc".to_vec(), b"c".to_vec(), Vec::new()];
    assert_eq!(seen, [once.clone(), once].concat());
}
