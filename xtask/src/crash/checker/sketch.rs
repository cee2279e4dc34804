//! Histories written by hand, for the tests of the rules.
//!
//! A story is a list of sentences with a comma between them. The clients are `p` and `q`, which
//! publish at QoS 1 and 2 as publishers 1 and 2; `s1` and `s2`, which subscribe to the direct
//! topics at QoS 1 and 2; `g1` and `g2`, which share a topic at QoS 2; `r`, which reads what is
//! retained. `q3` is message 3 of `q` on its direct topic; `shared3` and `kept3` are others.

use mqtt_packet::{PacketType, QoS};

use super::check;
use crate::crash::{
    history::{Client, End, Entry, Event, History, Role, Run},
    message::{Interest, Message, Topic},
};

/// The violations of this story, sorted, without their details.
pub(super) fn problems(story: &str) -> Vec<String> {
    let mut violations: Vec<String> = check(&run(story))
        .into_iter()
        .map(|mut violation| {
            violation.detail.clear();
            violation.to_string().trim_end_matches([' ', ':']).to_owned()
        })
        .collect();
    violations.sort();
    violations
}

fn run(story: &str) -> Run {
    let mut run = Run::default();
    for sentence in story.split(',').map(str::trim) {
        let words: Vec<&str> = sentence.split_whitespace().collect();
        if words == ["killed"] {
            for event in [Event::Killed, Event::Started] {
                let entry = entry(&run, event);
                run.broker.push(entry);
            }
            continue;
        }
        let (who, what) = words.split_first().unwrap();
        for event in events(who, what) {
            let entry = entry(&run, event);
            history(&mut run, who).entries.push(entry);
        }
    }
    run
}

fn entry(run: &Run, event: Event) -> Entry {
    let written = run.clients.iter().map(|history| history.entries.len()).sum::<usize>();
    let stamp = (written + run.broker.len() + 1) as u64;
    Entry { stamp, at_micros: 0, event }
}

fn history<'a>(run: &'a mut Run, who: &str) -> &'a mut History {
    let place = run.clients.iter().position(|history| history.client.name == who);
    let place = place.unwrap_or_else(|| {
        let client = Client { name: who.to_owned(), role: role(who) };
        run.clients.push(History { client, entries: Vec::new() });
        run.clients.len() - 1
    });
    &mut run.clients[place]
}

fn role(who: &str) -> Role {
    let subscriber = |interest, qos| Role::Subscriber { interest, qos };
    match who {
        "p" => Role::Publisher { qos: QoS::AtLeastOnce },
        "q" => Role::Publisher { qos: QoS::ExactlyOnce },
        "s1" => subscriber(Interest::Direct, QoS::AtLeastOnce),
        "s2" => subscriber(Interest::Direct, QoS::ExactlyOnce),
        "g1" | "g2" => subscriber(Interest::Shared, QoS::ExactlyOnce),
        "r" => Role::Reader,
        _ => panic!("nobody is called {who}"),
    }
}

fn events(who: &str, what: &[&str]) -> Vec<Event> {
    let connecting = Event::Connecting { clean_start: who == "r" };
    let event = match what {
        ["connecting"] => connecting,
        ["connected", which] => {
            return vec![connecting, Event::Connected { session_present: *which == "again" }];
        }
        ["subscribed"] => Event::Subscribed,
        ["lost"] => Event::Ended(End::Lost),
        ["left"] => Event::Ended(End::Disconnected),
        ["sent", which] => Event::Sent { message: message(who, which), packet_id: 1, dup: false },
        ["acked", which] if who == "p" || who == "q" => {
            Event::Acknowledged { message: message(who, which), step: PacketType::PubAck }
        }
        ["refused", which] => Event::Refused { message: message(who, which), reason: 0x97 },
        ["acked", id] => {
            Event::Answered { packet_id: id.parse().unwrap(), step: PacketType::PubAck }
        }
        ["completed", id] => {
            Event::Answered { packet_id: id.parse().unwrap(), step: PacketType::PubComp }
        }
        ["got", which, how @ ..] => received(who, which, how, false),
        ["finds", which] => received(who, which, &[], true),
        ["garbage"] => Event::Foreign { topic: "crash/direct/1".into(), payload: "?".into() },
        ["asks"] => Event::Subscribing,
        ["read"] => Event::ReadAll,
        _ => panic!("{who} cannot do {what:?}"),
    };
    vec![event]
}

fn received(who: &str, which: &str, how: &[&str], retain: bool) -> Event {
    let message = message(&which[..1], &which[1..]);
    let is_exact = which.starts_with('q') && who != "s1" && !how.contains(&"lower");
    let qos = if is_exact { QoS::ExactlyOnce } else { QoS::AtLeastOnce };
    let id = how.iter().skip_while(|word| **word != "id").nth(1);
    let packet_id = id.map_or(0, |id| id.parse().unwrap());
    Event::Received { message, qos, packet_id, dup: how.contains(&"dup"), retain }
}

fn message(who: &str, which: &str) -> Message {
    let publisher = if who == "p" { 1 } else { 2 };
    let (topic, number) = match which.find(|letter: char| letter.is_ascii_digit()).unwrap() {
        0 => (Topic::Direct, which),
        at if &which[..at] == "shared" => (Topic::Shared, &which[at..]),
        at => (Topic::Retained(0), &which[at..]),
    };
    Message { publisher, topic, number: number.parse().unwrap() }
}
