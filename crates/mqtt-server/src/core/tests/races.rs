//! What could go wrong between two locks, step by step.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Wake, Waker},
};

use mqtt_packet::Version;

use super::{hello::persistent, world::World};
use crate::core::{cause::Cause, slot::Slot};

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn slot(world: &World) -> Arc<Slot> {
    world.broker.registry.all().pop().unwrap()
}

#[test]
fn an_owner_that_has_just_gone_is_not_asked_to_go() {
    let mut world = World::new();
    let client = world.connect(&persistent(Version::V5, "client"));
    // A newcomer has seen the owner; before it speaks, the owner is gone.
    let slot = slot(&world);
    world.cut(client);
    let waker: Waker = Arc::new(Flag::default()).into();
    assert!(!slot.ask_to_leave(Cause::TakenOver, Some(&waker)));
    // And the next owner is not the one who was meant.
    let client = world.connect(&persistent(Version::V5, "client"));
    assert!(world.is_open(client));
}

#[test]
fn a_newcomer_is_woken_when_the_owner_goes() {
    let mut world = World::new();
    world.connect(&persistent(Version::V5, "client"));
    let flag = Arc::new(Flag::default());
    let waker: Waker = flag.clone().into();
    assert!(slot(&world).ask_to_leave(Cause::TakenOver, Some(&waker)));
    world.run();
    assert!(flag.0.load(Ordering::Relaxed));
}

#[test]
fn a_session_that_was_taken_up_again_is_not_ended_by_who_saw_it_abandoned() {
    let mut world = World::new();
    let client = world.connect(&persistent(Version::V5, "client"));
    world.subscribe(client, "t", 1);
    world.cut(client);
    // Somebody decides that the session is over, and in this moment its client is back.
    let (slot, epoch) = (slot(&world), slot(&world).lock().epoch);
    let client = world.connect(&persistent(Version::V5, "client"));
    world.broker.end_abandoned(&slot, epoch);
    world.publish(client, "t", "still subscribed", 1);
    assert_eq!(world.texts(client), ["still subscribed"]);
    // Nor later, by its old number.
    world.cut(client);
    world.broker.end_abandoned(&slot, epoch);
    let client = world.connect(&persistent(Version::V5, "client"));
    assert!(world.session_present(client));
}
