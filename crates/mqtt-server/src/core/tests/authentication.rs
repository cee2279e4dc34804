//! Logins, and the AUTH packets of enhanced authentication.

use mqtt_auth::Subject;
use mqtt_packet::{Auth, AuthProperties, Packet, PublishProperties, ReasonCode, Version};

use super::{
    client::Seen,
    hello::{Hello, hello, persistent},
    world::{Id, World},
};
use crate::core::slot::wake_all;

fn toy(id: &str) -> Hello {
    let mut hello = hello(Version::V5, id);
    hello.properties.authentication_method = Some("toy");
    hello.properties.authentication_data = Some(b"hello");
    hello
}

fn auth(world: &mut World, client: Id, reason: ReasonCode, method: &str, data: &[u8]) {
    let properties = AuthProperties {
        authentication_method: Some(method),
        authentication_data: Some(data),
        ..Default::default()
    };
    world.send(client, &Packet::Auth(Auth { reason, properties }));
}

fn challenge() -> Seen {
    Seen::Auth(ReasonCode::CONTINUE_AUTHENTICATION, b"who?".to_vec())
}

/// A client that is logged in as alice.
fn alice(world: &mut World) -> Id {
    let client = world.connect(&toy("phone"));
    auth(world, client, ReasonCode::CONTINUE_AUTHENTICATION, "toy", b"answer:alice");
    client
}

#[test]
fn bad_credentials_are_refused_in_the_form_of_each_version() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut world = World::new();
        let client = world.connect(&hello(version, "client").user("mallory"));
        let seen = world.seen(client);
        // The text of 3.1.1 has 4 for what is malformed.
        let bad = match version {
            Version::V311 => ReasonCode::NOT_AUTHORIZED,
            _ => ReasonCode::BAD_USER_NAME_OR_PASSWORD,
        };
        assert!(
            matches!(seen[..], [Seen::ConnAck { reason, .. }, Seen::Closed] if reason == bad),
            "{seen:?}"
        );
    }
}

#[test]
fn an_exchange_takes_as_many_steps_as_it_needs() {
    let mut world = World::new();
    let client = world.connect(&toy("phone"));
    assert_eq!(world.seen(client), [challenge()]);
    auth(&mut world, client, ReasonCode::CONTINUE_AUTHENTICATION, "toy", b"answer:alice");
    let accepted = Seen::ConnAck {
        reason: ReasonCode::SUCCESS,
        present: false,
        assigned: None,
        data: Some(b"welcome".to_vec()),
    };
    assert_eq!(world.seen(client), [accepted]);
    let slot = world.broker.registry.all().pop().unwrap();
    assert_eq!(slot.identity.user_name(), Some("alice"));
}

#[test]
fn an_unknown_method_is_refused() {
    let mut world = World::new();
    let mut hello = toy("phone");
    hello.properties.authentication_method = Some("unheard of");
    let client = world.connect(&hello);
    let seen = world.seen(client);
    assert!(matches!(
        seen[..],
        [Seen::ConnAck { reason: ReasonCode::BAD_AUTHENTICATION_METHOD, .. }, Seen::Closed]
    ));
}

#[test]
fn a_wrong_answer_is_refused() {
    let mut world = World::new();
    let client = world.connect(&toy("phone"));
    auth(&mut world, client, ReasonCode::CONTINUE_AUTHENTICATION, "toy", b"wrong");
    let seen = world.seen(client);
    assert!(matches!(
        seen[..],
        [_, Seen::ConnAck { reason: ReasonCode::NOT_AUTHORIZED, .. }, Seen::Closed]
    ));
}

#[test]
fn nothing_but_auth_goes_before_the_end_of_an_exchange() {
    let mut world = World::new();
    let watcher = world.connect(&hello(Version::V5, "watcher"));
    world.subscribe(watcher, "#", 0);
    let client = world.connect(&toy("phone"));
    world.publish(client, "t", "x", 0);
    assert!(!world.is_open(client));
    assert_eq!(world.messages(watcher), []);
}

#[test]
fn a_client_may_authenticate_again() {
    let mut world = World::new();
    let client = alice(&mut world);
    world.subscribe(client, "t", 0);
    world.seen(client);
    auth(&mut world, client, ReasonCode::RE_AUTHENTICATE, "toy", b"hello");
    assert_eq!(world.seen(client), [challenge()]);
    // Messages flow in the meantime.
    world.publish(client, "t", "x", 0);
    assert_eq!(world.texts(client), ["x"]);
    auth(&mut world, client, ReasonCode::CONTINUE_AUTHENTICATION, "toy", b"answer:alice");
    assert_eq!(world.seen(client), [Seen::Auth(ReasonCode::SUCCESS, b"welcome".to_vec())]);
}

#[test]
fn nobody_becomes_another_by_authenticating_again() {
    let mut world = World::new();
    let client = alice(&mut world);
    auth(&mut world, client, ReasonCode::RE_AUTHENTICATE, "toy", b"hello");
    auth(&mut world, client, ReasonCode::CONTINUE_AUTHENTICATION, "toy", b"answer:bob");
    let end = [Seen::Disconnect(ReasonCode::NOT_AUTHORIZED), Seen::Closed];
    assert!(world.seen(client).ends_with(&end));
}

#[test]
fn who_fails_to_authenticate_again_has_to_go() {
    // [MQTT-4.12.1-2]
    let mut world = World::new();
    let client = alice(&mut world);
    auth(&mut world, client, ReasonCode::RE_AUTHENTICATE, "toy", b"hello");
    auth(&mut world, client, ReasonCode::CONTINUE_AUTHENTICATION, "toy", b"wrong");
    let end = [Seen::Disconnect(ReasonCode::NOT_AUTHORIZED), Seen::Closed];
    assert!(world.seen(client).ends_with(&end));
}

#[test]
fn another_method_than_at_the_start_ends_the_connection() {
    let mut world = World::new();
    let client = alice(&mut world);
    auth(&mut world, client, ReasonCode::RE_AUTHENTICATE, "other", b"hello");
    assert!(world.seen(client).contains(&Seen::Disconnect(ReasonCode::PROTOCOL_ERROR)));
}

#[test]
fn an_answer_without_a_question_ends_the_connection() {
    let mut world = World::new();
    let client = alice(&mut world);
    auth(&mut world, client, ReasonCode::CONTINUE_AUTHENTICATION, "toy", b"answer:alice");
    assert!(world.seen(client).contains(&Seen::Disconnect(ReasonCode::PROTOCOL_ERROR)));
}

#[test]
fn what_comes_behind_connect_waits_for_the_login() {
    let mut world = World::new();
    let client = world.begin(&hello(Version::V5, "eager"));
    world.client(client).send(&Packet::PingReq);
    let properties = PublishProperties::default();
    world.publish_as(client, "t", "x", 1, false, properties);
    let seen = world.seen(client);
    assert!(matches!(seen[..], [Seen::ConnAck { .. }, Seen::PingResp, Seen::Ack(..)]), "{seen:?}");
}

#[test]
fn a_connection_ends_when_its_identity_is_over() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut world = World::new();
        let listener = world.connect(&hello(Version::V5, "listener"));
        world.subscribe(listener, "will", 0);
        let alice = world.connect(&persistent(version, "alice").user("alice").will("alice"));
        let bob = world.connect(&hello(version, "bob").user("bob"));
        world.rules.end("alice");
        wake_all(&world.broker.look_at_identities());
        world.run();
        assert!(!world.is_open(alice) && world.is_open(bob) && world.is_open(listener));
        let told = world.seen(alice).contains(&Seen::Disconnect(ReasonCode::NOT_AUTHORIZED));
        assert_eq!(told, version.is_v5());
        assert_eq!(world.texts(listener), ["alice"]);
        // Who comes in later comes in under what is in force then; the session was kept.
        let alice = world.connect(&persistent(version, "alice").user("alice"));
        wake_all(&world.broker.look_at_identities());
        world.run();
        assert!(world.is_open(alice) && world.is_open(bob));
    }
}

#[test]
fn a_login_that_began_before_its_identity_was_over_does_not_outlast_it() {
    let mut world = World::new();
    let alice = world.connect(&toy("alice"));
    assert!(matches!(world.seen(alice)[..], [Seen::Auth(..)]));
    // Nobody has the session yet, so nobody is told to look.
    world.rules.end("alice");
    assert!(world.broker.look_at_identities().is_empty());
    auth(&mut world, alice, ReasonCode::CONTINUE_AUTHENTICATION, "toy", b"answer:alice");
    assert!(world.seen(alice).contains(&Seen::Disconnect(ReasonCode::NOT_AUTHORIZED)));
    assert!(!world.is_open(alice));
}

#[test]
fn authenticating_again_renews_an_identity() {
    let mut world = World::new();
    let alice = world.connect(&toy("alice"));
    auth(&mut world, alice, ReasonCode::CONTINUE_AUTHENTICATION, "toy", b"answer:alice");
    world.rules.end("alice");
    auth(&mut world, alice, ReasonCode::RE_AUTHENTICATE, "toy", b"hello");
    auth(&mut world, alice, ReasonCode::CONTINUE_AUTHENTICATION, "toy", b"answer:alice");
    wake_all(&world.broker.look_at_identities());
    world.run();
    assert!(world.is_open(alice));
}

#[test]
fn an_embedder_ends_connections_of_its_choice() {
    let mut world = World::new();
    let alice = world.connect(&hello(Version::V5, "alice").user("alice"));
    let bob = world.connect(&hello(Version::V5, "bob").user("bob"));
    let is_alice = |who: Subject<'_>| who.identity.user_name() == Some("alice");
    assert_eq!(world.broker.end_connections(is_alice), 1);
    world.run();
    assert!(world.seen(alice).contains(&Seen::Disconnect(ReasonCode::NOT_AUTHORIZED)));
    assert!(!world.is_open(alice) && world.is_open(bob));
    assert_eq!(world.broker.end_connections(is_alice), 0);
}
