//! Killed at random moments, again and again, with the same data.

use std::{fmt, thread};

use super::{
    broker::{NoBroker, Recipe},
    checker::Violation,
    dice::Dice,
    history::Event,
    lab::Lab,
    load::{Load, Size},
    tables::Tables,
};
use crate::failure::Failure;

/// How long the broker is away, in milliseconds.
const AWAY_MILLIS: (u64, u64) = (0, 60);

/// After so many kills the histories are judged, and new ones begun with new data: a build without
/// optimisation takes longer and longer to look through its journal when it starts.
const KILLS_IN_A_RUN: u32 = 50;

/// From so many kills on there are runs that fill journals, which takes a whole run each time.
const KILLS_WITH_ROTATIONS: u32 = 200;

/// In a run of so many kills something is missing if nothing was written out.
const KILLS_TO_FLUSH: u32 = 10;

/// What is retained is read once after this many restarts.
const READ_ONCE_IN: u64 = 3;

/// What goes on under the kills.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
enum Kind {
    /// All that is written in a run is in one journal.
    Journal,
    /// Tables are written and merged all the time.
    Tables,
    /// The same, and journals become full and are deleted.
    Journals,
}

/// Kills the broker so often, and judges what its clients have seen.
pub(super) fn run(lab: &mut Lab, kills: u32) -> Result<(), Failure> {
    for (number, (kind, now)) in (0..).zip(plan(kills)) {
        let mut dice = lab.dice.of(number);
        let recipe = lab.broker_with(kind.options(), "random")?;
        let load = Load::start(recipe.port, kind.size(), &dice);
        let mut tables = Tables::default();
        let killed = kill_again_and_again(&recipe, &load, &mut dice, (kind, now), &mut tables);
        let mut seen: Vec<Violation> = killed
            .err()
            .map(|no_broker| Violation::of_broker(no_broker.to_string()))
            .into_iter()
            .collect();
        if lab.knows_files() {
            seen.extend(kind.missing(&tables, now).map(Violation::of_broker));
            println!("     {kind}, {now} kills: {tables}");
        }
        lab.judge(&recipe, "killed at random moments", &load.end(), seen)?;
    }
    lab.sum_up("killed at random moments");
    Ok(())
}

/// The runs, with their kinds and how many kills are in each.
fn plan(kills: u32) -> Vec<(Kind, u32)> {
    let (kinds, most): (&[Kind], u32) = if kills < KILLS_WITH_ROTATIONS {
        (&[Kind::Journal, Kind::Tables], kills.div_ceil(2).min(KILLS_IN_A_RUN))
    } else {
        (&[Kind::Journal, Kind::Tables, Kind::Journals], KILLS_IN_A_RUN)
    };
    let mut left = kills;
    let runs = kinds.iter().cycle().map_while(|kind| {
        let now = left.min(most);
        left -= now;
        (now > 0).then_some((*kind, now))
    });
    runs.collect()
}

fn kill_again_and_again(
    recipe: &Recipe,
    load: &Load,
    dice: &mut Dice,
    (kind, kills): (Kind, u32),
    tables: &mut Tables,
) -> Result<(), NoBroker> {
    let (shortest, longest) = kind.life_millis();
    let mut broker = recipe.start()?;
    load.record(Event::Started);
    load.warm_up(&mut broker);
    for _ in 0..kills {
        thread::sleep(dice.millis(shortest, longest));
        if broker.has_ended() {
            return Err(NoBroker::Ended(format!("it ended by itself: {}", recipe.last_words())));
        }
        load.record(Event::Killed);
        broker.kill();
        tables.look_at(&recipe.directory);
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

impl Kind {
    /// The options that bring it about.
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Journal => &[],
            Self::Tables => &["--store-memtable", "16384"],
            // A session that is away too often may have more waiting than the usual limit of a
            // queue; it follows that of the packets.
            Self::Journals => &["--store-memtable", "1048576", "--max-packet-size", "268435460"],
        }
    }

    fn size(self) -> Size {
        if self == Self::Journals { Size::Heavy } else { Size::Full }
    }

    /// How long the broker lives, in milliseconds.
    fn life_millis(self) -> (u64, u64) {
        if self == Self::Journals { (200, 600) } else { (100, 300) }
    }

    /// What the run was about and did not come about in so many kills.
    fn missing(self, tables: &Tables, kills: u32) -> Option<String> {
        let enough = usize::try_from(kills / KILLS_TO_FLUSH).unwrap_or(usize::MAX);
        if self != Self::Journal && tables.tables() < enough {
            return Some(format!("too little was written out: {tables}"));
        }
        let is_long = kills >= KILLS_IN_A_RUN;
        (self == Self::Journals && is_long && tables.journals() < 2)
            .then(|| format!("no journal became full: {tables}"))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Journal => "one journal",
            Self::Tables => "small memtables",
            Self::Journals => "small memtables and large messages",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_kills_are_halved() {
        assert_eq!(plan(50), [(Kind::Journal, 25), (Kind::Tables, 25)]);
        assert_eq!(plan(1), [(Kind::Journal, 1)]);
        assert_eq!(plan(0), []);
    }

    #[test]
    fn many_kills_fill_journals_as_well() {
        let plan = plan(1000);
        let of = |kind| plan.iter().filter(|run| run.0 == kind).map(|run| run.1).sum::<u32>();
        assert_eq!(plan.len(), 20);
        assert_eq!([Kind::Journal, Kind::Tables, Kind::Journals].map(of), [350, 350, 300]);
    }

    #[test]
    fn a_run_without_what_it_is_about_is_a_violation() {
        let nothing = Tables::default();
        assert_eq!(Kind::Journal.missing(&nothing, 50), None);
        assert_eq!(Kind::Tables.missing(&nothing, 5), None);
        let missing = Kind::Tables.missing(&nothing, 50).unwrap();
        assert_eq!(missing, "too little was written out: 0 tables, 0 journals");
    }
}
