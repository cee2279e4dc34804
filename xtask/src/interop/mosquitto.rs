//! The stories that `mosquitto_pub` and `mosquitto_sub` tell.

use std::{
    fs,
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    broker::Broker,
    catalogue::{Client, OF_ALL_VERSIONS, OF_VERSION_5, full_name},
    mosquitto_process::{FORMAT_WITH_PROPERTIES, Scene, Subscriber},
    tally::Tally,
    workplace::Workplace,
};
use crate::{failure::Failure, install::apt_package};

/// The payloads that every broker takes, by the name of their story.
pub(super) const SMALL_PAYLOADS: &[(&str, &str)] =
    &[("payload of 0 B", ""), ("payload of 1 B", "x")];

/// The story of a payload that our broker takes once its limit is raised.
pub(super) const LARGE_PAYLOAD: &str = "payload of 20 MB";

/// The story of the same payload at the default limit.
pub(super) const REFUSED_PAYLOAD: &str = "payload of 20 MB refused";

/// The raised limit of our broker, in bytes.
pub(super) const RAISED_LIMIT_BYTES: &str = "33554432";

/// The size of the large payload.
const LARGE_PAYLOAD_BYTES: usize = 20_000_000;

/// How many messages wait in a queue or are shared out.
const MANY: usize = 20;

/// The versions that the programs speak.
const VERSIONS: &[&str] = &["3.1", "3.1.1", "5.0"];

/// Installs the programs where they are missing.
pub(super) fn install() -> Result<(), Failure> {
    apt_package("mosquitto_sub", &["mosquitto-clients"])?;
    apt_package("mosquitto_pub", &["mosquitto-clients"])?;
    apt_package("stdbuf", &["coreutils"])
}

/// Tells every story that does not depend on the limit of the packet size.
pub(super) fn tell(broker: &Broker, tally: &mut Tally) {
    for version in VERSIONS {
        let more = if *version == "5.0" { OF_VERSION_5 } else { &[] };
        for name in OF_ALL_VERSIONS.iter().chain(more) {
            if let Some(outcome) = tell_one(&scene(broker, version), name) {
                tally.tell_outcome(&full_name(Client::Mosquitto, version, name), outcome);
            }
        }
        for (name, payload) in SMALL_PAYLOADS {
            let outcome = small_payload(&scene(broker, version), payload);
            tally.tell_outcome(&full_name(Client::Mosquitto, version, name), outcome);
        }
    }
}

/// Tells that the default limit refuses a large payload and lets the others alone.
pub(super) fn tell_of_refused_payloads(
    broker: &Broker,
    workplace: &Workplace,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let (path, _) = large_payload(workplace)?;
    for version in VERSIONS {
        let outcome = refused(&scene(broker, version), &path.to_string_lossy());
        tally.tell_outcome(&full_name(Client::Mosquitto, version, REFUSED_PAYLOAD), outcome);
    }
    Ok(())
}

/// Tells that a raised limit lets a large payload through unharmed.
pub(super) fn tell_of_large_payloads(
    broker: &Broker,
    workplace: &Workplace,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let (path, payload) = large_payload(workplace)?;
    for version in VERSIONS {
        let outcome = taken(&scene(broker, version), &path.to_string_lossy(), &payload);
        tally.tell_outcome(&full_name(Client::Mosquitto, version, LARGE_PAYLOAD), outcome);
    }
    Ok(())
}

/// Tells a story by its name, if these programs know how.
fn tell_one(scene: &Scene<'_>, name: &str) -> Option<Result<(), String>> {
    Some(match name {
        "qos 0" => round_trip(scene, "0"),
        "qos 1" => round_trip(scene, "1"),
        "qos 2" => round_trip(scene, "2"),
        "retained" => retained(scene),
        "will" => will(scene),
        "offline queue qos 1" => offline_queue(scene, "1"),
        "offline queue qos 2" => offline_queue(scene, "2"),
        "wildcards" => wildcards(scene),
        "shared subscription" => shared_subscription(scene),
        "properties" => properties(scene),
        _ => return None,
    })
}

fn round_trip(scene: &Scene<'_>, qos: &str) -> Result<(), String> {
    let topic = scene.topic("t");
    let mut receiver = scene.subscribe(&["-t", &topic, "-q", qos])?;
    scene.publish(&topic, &["-q", qos, "-m", "hello"])?;
    receiver.expect(&format!("0 {qos} {topic} hello"))
}

fn retained(scene: &Scene<'_>) -> Result<(), String> {
    let topic = scene.topic("t");
    scene.publish(&topic, &["-q", "1", "-r", "-m", "kept"])?;
    let mut early = scene.subscribe(&["-t", &topic, "-q", "1"])?;
    early.expect(&format!("1 1 {topic} kept"))?;
    scene.publish(&topic, &["-q", "1", "-r", "-n"])?;
    early.expect(&format!("0 1 {topic} "))?;
    let mut late = scene.subscribe(&["-t", &topic, "-q", "1"])?;
    scene.publish(&topic, &["-q", "1", "-m", "end"])?;
    late.expect(&format!("0 1 {topic} end"))
}

fn will(scene: &Scene<'_>) -> Result<(), String> {
    let topic = scene.topic("will");
    let mut watcher = scene.subscribe(&["-t", &topic, "-q", "1"])?;
    let will = ["--will-topic", &topic, "--will-payload", "gone", "--will-qos", "1"];
    let mortal = [&["-t", "mortal"], &will[..]].concat();
    // Dropping a subscriber kills it, which closes its socket without a DISCONNECT.
    drop(scene.subscribe(&mortal)?);
    watcher.expect(&format!("0 1 {topic} gone"))?;
    scene.subscribe_and_leave(&mortal)?;
    scene.publish(&topic, &["-q", "1", "-m", "end"])?;
    watcher.expect(&format!("0 1 {topic} end"))
}

fn offline_queue(scene: &Scene<'_>, qos: &str) -> Result<(), String> {
    let (topic, client_id) = (scene.topic("t"), format!("{}-q{qos}", scene.run));
    let mut session = vec!["-c", "-i", &client_id, "-t", &topic, "-q", qos];
    if scene.version == "5.0" {
        session.extend(["-x", "300"]);
    }
    scene.subscribe_and_leave(&session)?;
    scene.publish_lines(&topic, qos, &texts().join("\n"))?;
    let mut back = scene.subscribe(&session)?;
    for text in texts() {
        back.expect(&format!("0 {qos} {topic} {text}"))?;
    }
    scene.publish(&topic, &["-q", qos, "-m", "end"])?;
    back.expect(&format!("0 {qos} {topic} end"))
}

fn wildcards(scene: &Scene<'_>) -> Result<(), String> {
    let filters = [scene.topic("+/leaf"), scene.topic("deep/#")];
    let [one_level, all_levels] = &filters;
    let mut receiver = scene.subscribe(&["-q", "1", "-t", one_level, "-t", all_levels])?;
    for name in ["a/leaf", "a/other", "deep", "deep/1/2", "shallow/1/leaf", "end/leaf"] {
        scene.publish(&scene.topic(name), &["-q", "1", "-m", name])?;
    }
    for name in ["a/leaf", "deep", "deep/1/2", "end/leaf"] {
        receiver.expect(&format!("0 1 {} {name}", scene.topic(name)))?;
    }
    Ok(())
}

fn shared_subscription(scene: &Scene<'_>) -> Result<(), String> {
    let (work, end) = (scene.topic("work"), scene.topic("end"));
    let shared = format!("$share/group/{work}");
    let member = || scene.subscribe(&["-q", "1", "-t", &shared, "-t", &end]);
    let mut members: [Subscriber; 2] = [member()?, member()?];
    scene.publish_lines(&work, "1", &texts().join("\n"))?;
    scene.publish(&end, &["-q", "1", "-m", "end"])?;
    let last = format!("0 1 {end} end");
    let mut got = Vec::new();
    for member in &mut members {
        let mut message = member.next()?;
        while message != last {
            got.push(message);
            message = member.next()?;
        }
    }
    let mut expected: Vec<_> = texts().iter().map(|text| format!("0 1 {work} {text}")).collect();
    got.sort();
    expected.sort();
    if got == expected { Ok(()) } else { Err(format!("the members got together: {got:?}")) }
}

fn properties(scene: &Scene<'_>) -> Result<(), String> {
    let (topic, answer) = (scene.topic("t"), scene.topic("answer"));
    let arguments = ["-t", &topic, "-q", "1"];
    let mut receiver = scene.subscribe_showing(FORMAT_WITH_PROPERTIES, &arguments)?;
    let values: &[&[&str]] = &[
        &["user-property", "colour", "red"],
        &["user-property", "colour", "blue"],
        &["content-type", "text/plain"],
        &["response-topic", &answer],
        &["correlation-data", "42"],
    ];
    let mut arguments = vec!["-q", "1", "-m", "hello"];
    for value in values {
        arguments.extend(["-D", "publish"]);
        arguments.extend(*value);
    }
    scene.publish(&topic, &arguments)?;
    receiver.expect(&format!("colour:red colour:blue|text/plain|{answer}|42|hello"))
}

fn small_payload(scene: &Scene<'_>, payload: &str) -> Result<(), String> {
    let topic = scene.topic("t");
    let mut receiver = scene.subscribe(&["-t", &topic, "-q", "1"])?;
    let arguments = if payload.is_empty() { vec!["-n"] } else { vec!["-m", payload] };
    scene.publish(&topic, &[&["-q", "1"], &arguments[..]].concat())?;
    receiver.expect(&format!("0 1 {topic} {payload}"))
}

fn taken(scene: &Scene<'_>, path: &str, payload: &str) -> Result<(), String> {
    let topic = scene.topic("t");
    let mut receiver = scene.subscribe(&["-t", &topic, "-q", "1"])?;
    scene.publish(&topic, &["-q", "1", "-f", path])?;
    receiver.expect(&format!("0 1 {topic} {payload}"))
}

fn refused(scene: &Scene<'_>, path: &str) -> Result<(), String> {
    let topic = scene.topic("t");
    let mut receiver = scene.subscribe(&["-t", &topic, "-q", "1"])?;
    let log = scene.log_of_publish(&topic, &["-q", "1", "-f", path])?;
    is_refusal(&log)?;
    scene.publish(&topic, &["-q", "1", "-m", "end"])?;
    receiver.expect(&format!("0 1 {topic} end"))
}

/// Whether the log of a publisher tells that it was connected and ended without a PUBACK. Its
/// exit status does not tell: it calls a packet that is too large for a 5.0 broker a success.
fn is_refusal(log: &[String]) -> Result<(), String> {
    let tells = |text: &str| log.iter().any(|line| line.contains(text));
    match (tells("received CONNACK (0)"), tells("received PUBACK")) {
        (true, false) => Ok(()),
        (true, true) => Err("the broker took it".to_owned()),
        (false, _) => Err(format!("the publisher was not connected: {log:?}")),
    }
}

/// The large payload, printable and without a line break, and the file that holds it.
fn large_payload(workplace: &Workplace) -> Result<(PathBuf, String), Failure> {
    let path = workplace.file("payload-20-mb.txt");
    let numbers = (0_u32..).flat_map(|number| format!("{number},").into_bytes());
    let payload: String = numbers.take(LARGE_PAYLOAD_BYTES).map(char::from).collect();
    let failed = |error| Failure::new(format!("{}: {error}", path.display()));
    fs::write(&path, &payload).map_err(failed)?;
    Ok((path, payload))
}

/// A scene whose names no other story has used.
fn scene<'a>(broker: &'a Broker, version: &'static str) -> Scene<'a> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Scene { broker, version, run: format!("{:x}", now.as_micros()) }
}

fn texts() -> Vec<String> {
    (0..MANY).map(|number| format!("message {number}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| format!("Client x {line}")).collect()
    }

    #[test]
    fn a_publisher_that_lost_its_connection_was_refused() {
        let lines = ["sending CONNECT", "received CONNACK (0)", "sending PUBLISH (d0, q1, r0, m1)"];
        assert_eq!(is_refusal(&log(&lines)), Ok(()));
    }

    #[test]
    fn an_acknowledged_payload_was_not_refused() {
        let lines = ["received CONNACK (0)", "received PUBACK (Mid: 1, RC:0)"];
        assert_eq!(is_refusal(&log(&lines)), Err("the broker took it".to_owned()));
    }

    #[test]
    fn a_publisher_that_never_connected_was_not_refused() {
        assert!(is_refusal(&log(&["sending CONNECT"])).is_err());
    }
}
