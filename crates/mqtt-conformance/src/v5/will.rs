//! Wills: sections 3.1.2.5 to 3.1.2.7 and 3.1.3.2.

use std::time::Instant;

use crate::harness::control::Control;
use crate::harness::prelude::*;
use crate::shared::{connect, will};

pub(super) const TESTS: &[Test] = &[
    test("MQTT-3.1.2-7", mqtt5_3_1_2_7),
    test("MQTT-3.1.2-8", mqtt5_3_1_2_8).slow(),
    test("MQTT-3.1.2-9", mqtt5_3_1_2_9),
    test("MQTT-3.1.2-10", mqtt5_3_1_2_10),
    test("MQTT-3.1.2-11", mqtt5_3_1_2_11),
    test("MQTT-3.1.2-12", mqtt5_3_1_2_12),
    test("MQTT-3.1.2-13", mqtt5_3_1_2_13),
    test("MQTT-3.1.2-14", mqtt5_3_1_2_14),
    test("MQTT-3.1.2-15", mqtt5_3_1_2_15),
    test("MQTT-3.1.3-9", mqtt5_3_1_3_9).slow(),
    test("MQTT-3.1.3-10", mqtt5_3_1_3_10),
    test("MQTT-3.1.2-22", mqtt5_3_1_2_22).slow(),
    test("MQTT-3.14.4-3", mqtt5_3_14_4_3),
];

/// [MQTT-3.1.2-7] Will Flag: the will is kept on the server with the session.
fn mqtt5_3_1_2_7(t: &Story) -> Done {
    will::after_abnormal_ends(t)
}

/// [MQTT-3.1.2-8] The will is published after the connection closed and the delay ran out or the
/// session ended, unless DISCONNECT 0x00 or a new connection in time removed it.
fn mqtt5_3_1_2_8(t: &Story) -> Done {
    let mut observer = t.observer("o", &t.topic("#"))?;
    let control = Control::start();
    let mut left = Vec::new();
    for case in CASES {
        left.push(Instant::now());
        case.play(t)?;
    }
    let began = Instant::now();
    let mut arrived: Vec<(Vec<u8>, Instant)> = Vec::new();
    while began.elapsed() < seconds(7) {
        if let Event::Packet(packet) = observer.event(seconds(1))?
            && let Content::Publish(publish) = packet.content
        {
            arrived.push((publish.topic, Instant::now()));
        }
    }
    let slack = control.slack().as_secs_f64();
    for (case, left) in CASES.iter().zip(left) {
        case.judge(t, left, slack, &arrived)?;
    }
    will::keep_alive(t)
}

/// [MQTT-3.1.2-9] Will Flag 1: will properties, topic and payload are present. (Appendix B still
/// has the 3.1.1 wording; the body rules.).
fn mqtt5_3_1_2_9(t: &Story) -> Done {
    connect::will_missing(t)
}

/// [MQTT-3.1.2-10] The will is gone after it was published or after DISCONNECT 0x00.
fn mqtt5_3_1_2_10(t: &Story) -> Done {
    will::once(t)
}

/// [MQTT-3.1.2-11] Will Flag 0: Will QoS 0.
fn mqtt5_3_1_2_11(t: &Story) -> Done {
    connect::flags(t, &[0x0A, 0x12])
}

/// [MQTT-3.1.2-12] Will QoS is 0 to 2; 3 is malformed.
fn mqtt5_3_1_2_12(t: &Story) -> Done {
    connect::will_qos_3(t)?;
    will::each_qos(t)
}

/// [MQTT-3.1.2-13] Will Flag 0: Will Retain 0.
fn mqtt5_3_1_2_13(t: &Story) -> Done {
    connect::flags(t, &[0x22])
}

/// [MQTT-3.1.2-14] Will Retain 0: publish non-retained.
fn mqtt5_3_1_2_14(t: &Story) -> Done {
    will::retained(t, false)
}

/// [MQTT-3.1.2-15] Will Retain 1: publish retained.
fn mqtt5_3_1_2_15(t: &Story) -> Done {
    will::retained(t, true)?;
    let topic = t.topic("properties");
    let props = Props::new().text(prop::CONTENT_TYPE, "text").user("a", "1").user("a", "0");
    let will = Will::new(&topic, "will").retain().props(props.clone());
    let mut observer = t.observer("o", &topic)?;
    drop(t.connect(&t.hello("c").will(will))?);
    same!(observer.takes("will")?.props, props, "the properties of the will");
    let late = t.observer("late", &topic)?.takes("will")?;
    same!((late.props, late.retain), (props, true), "properties and RETAIN of the retained will");
    Ok(())
}

/// [MQTT-3.1.3-9] A reconnect within the will delay suppresses the will.
fn mqtt5_3_1_3_9(t: &Story) -> Done {
    let topic = t.topic("will");
    let mut observer = t.observer("o", &topic)?;
    let hello = t.hello("c").durable();
    drop(t.connect(&hello.clone().will(Will::new(&topic, "never").delay(3)))?);
    t.wait(seconds(1));
    let peer = t.connect(&hello)?;
    ensure!(peer.session_present, "the session was not resumed");
    observer.quiet_for(seconds(5))
}

/// [MQTT-3.1.3-10] User properties of the will keep their order.
fn mqtt5_3_1_3_10(t: &Story) -> Done {
    let topic = t.topic("will");
    let mut observer = t.observer("o", &topic)?;
    let props = Props::new().user("a", "1").user("b", "2").user("a", "3");
    drop(t.connect(&t.hello("c").will(Will::new(&topic, "x").props(props.clone())))?);
    same!(observer.takes("x")?.props, props, "the user properties of the will");
    Ok(())
}

/// [MQTT-3.1.2-22] No packet within 1.5 x Keep Alive: close as after a network failure.
fn mqtt5_3_1_2_22(t: &Story) -> Done {
    will::keep_alive(t)
}

/// [MQTT-3.14.4-3] DISCONNECT 0x00 discards the will.
fn mqtt5_3_14_4_3(t: &Story) -> Done {
    will::not_after_disconnect(t)?;
    will::after(t, "with", |mut peer| {
        peer.send(&[0xE0, 1, 0x04]);
        let _ = peer.closed(&[]);
    })
}

/// How a client goes, and when its will must come.
struct Case {
    name: &'static str,
    delay_secs: u32,
    expiry_secs: u32,
    end: End,
    /// Seconds after the end; `None`: never.
    due_secs: Option<f64>,
}

/// The ways in which a connection ends.
#[derive(Clone, Copy)]
enum End {
    Drop,
    Disconnect(u8),
    Error,
    /// Another connection with the same id; with Clean Start or not.
    Takeover(bool),
}

const fn case(name: &'static str, end: End, delay: u32, expiry: u32, due: Option<f64>) -> Case {
    Case { name, delay_secs: delay, expiry_secs: expiry, end, due_secs: due }
}

const CASES: &[Case] = &[
    case("drop00", End::Drop, 0, 0, Some(0.0)),
    case("drop50", End::Drop, 5, 0, Some(0.0)),
    case("drop51", End::Drop, 5, 1, Some(1.0)),
    case("drop2a", End::Drop, 2, 10, Some(2.0)),
    case("drop0a", End::Drop, 0, 10, Some(0.0)),
    case("plain", End::Disconnect(0), 0, 0, None),
    case("plain2a", End::Disconnect(0), 2, 10, None),
    case("with", End::Disconnect(4), 0, 0, Some(0.0)),
    case("with2a", End::Disconnect(4), 2, 10, Some(2.0)),
    case("error", End::Error, 0, 0, Some(0.0)),
    case("error2a", End::Error, 2, 10, Some(2.0)),
    case("take0a", End::Takeover(false), 0, 10, Some(0.0)),
    case("take2a", End::Takeover(false), 2, 10, None),
    case("clean5a", End::Takeover(true), 5, 10, Some(0.0)),
];

impl Case {
    fn play(&self, t: &Story) -> Done {
        let will = Will::new(t.topic(self.name), "will").delay(self.delay_secs);
        let hello = t.hello(self.name).expiry(self.expiry_secs);
        let mut peer = t.connect(&hello.clone().will(will))?;
        match self.end {
            End::Drop => {}
            End::Disconnect(code) => peer.send(&[0xE0, 1, code]),
            End::Error => peer.send(&[0x00, 0x00]),
            End::Takeover(clean) => {
                t.connect(&if clean { hello } else { hello.resume() })?;
            }
        }
        Ok(())
    }

    fn judge(&self, t: &Story, left: Instant, slack: f64, arrived: &[(Vec<u8>, Instant)]) -> Done {
        let topic = t.topic(self.name);
        let times: Vec<f64> = arrived
            .iter()
            .filter(|(each, _)| each == topic.as_bytes())
            .map(|(_, at)| at.saturating_duration_since(left).as_secs_f64())
            .collect();
        match (self.due_secs, times.as_slice()) {
            (None, []) => Ok(()),
            (Some(due), [at]) if *at > due - 0.2 && *at < due + 2.5 + slack => Ok(()),
            (due, _) => fail!("case {}: expected the will at {due:?} s, got {times:?}", self.name),
        }
    }
}
