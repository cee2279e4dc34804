//! What cannot be run is said in one line.

use mqtt_conformance::{Broker, Options, run};

fn nobody() -> Options {
    Options::new(Broker::Command("no-such-broker-program {port}".to_owned()))
}

#[test]
fn an_id_that_no_test_has_is_an_error() {
    let options = Options { filter: Some("MQTT-9.9.9".to_owned()), ..nobody() };
    assert_eq!(run(&options).unwrap_err(), "no test has such an id");
}

#[test]
fn an_unknown_profile_is_an_error_that_names_the_known_ones() {
    let profiles = vec![("fast".to_owned(), "true".to_owned())];
    let error = run(&Options { profiles, ..nobody() }).unwrap_err();
    assert!(error.starts_with("no profile 'fast'; there are plain, abuse"), "{error}");
}

#[test]
fn a_broker_that_does_not_start_is_an_error() {
    let error = run(&nobody()).unwrap_err();
    assert!(error.starts_with("cannot start no-such-broker-program"), "{error}");
}
