//! Killed at random moments, again and again, with the same data.

use std::thread;

use super::{
    broker::{NoBroker, Recipe},
    checker::Violation,
    dice::Dice,
    history::Event,
    lab::Lab,
    load::{Load, Size},
};
use crate::failure::Failure;

/// How long the broker lives, and how long it is away, in milliseconds.
const LIFE_MILLIS: (u64, u64) = (100, 300);
const AWAY_MILLIS: (u64, u64) = (0, 60);

/// After so many kills the histories are judged, and new ones begun with new data: a build without
/// optimisation takes longer and longer to look through its journal when it starts.
const KILLS_IN_A_RUN: u32 = 50;

/// What is retained is read once after this many restarts.
const READ_ONCE_IN: u64 = 3;

/// Kills the broker so often, and judges what its clients have seen.
pub(super) fn run(lab: &mut Lab, kills: u32) -> Result<(), Failure> {
    let mut left = kills;
    while left > 0 {
        let now = left.min(KILLS_IN_A_RUN);
        left -= now;
        let mut dice = lab.dice.of(u64::from(left));
        let recipe = lab.broker_in("random")?;
        let load = Load::start(recipe.port, Size::Full, &dice);
        let killed = kill_again_and_again(&recipe, &load, &mut dice, now);
        let seen = killed.err().map(|no_broker| Violation::of_broker(no_broker.to_string()));
        lab.judge(&recipe, "killed at random moments", &load.end(), seen.into_iter().collect())?;
    }
    lab.sum_up("killed at random moments");
    Ok(())
}

fn kill_again_and_again(
    recipe: &Recipe,
    load: &Load,
    dice: &mut Dice,
    kills: u32,
) -> Result<(), NoBroker> {
    let mut broker = recipe.start()?;
    load.record(Event::Started);
    load.warm_up(&mut broker);
    for _ in 0..kills {
        thread::sleep(dice.millis(LIFE_MILLIS.0, LIFE_MILLIS.1));
        if broker.has_ended() {
            return Err(NoBroker::Ended(format!("it ended by itself: {}", recipe.last_words())));
        }
        load.record(Event::Killed);
        broker.kill();
        thread::sleep(dice.millis(AWAY_MILLIS.0, AWAY_MILLIS.1));
        broker = recipe.start()?;
        load.record(Event::Started);
        if dice.once_in(READ_ONCE_IN) {
            load.read_retained();
        }
    }
    load.read_retained();
    load.settle();
    Ok(())
}
