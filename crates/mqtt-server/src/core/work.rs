//! How much a connection may do in one turn of its task.
//!
//! A peer decides how much there is to do: one read may hold ten thousand topics or filters, one
//! filter may look at a million retained topics and find nothing. So whatever loops over something
//! that a peer made large counts what it does, stops when the turn is used up, and goes on in the
//! next one. In between, the tasks of others run.
//!
//! A step that cannot be cut in two, such as the match of one topic, may take more than a turn has.
//! What is too much is owed: the connection rests for as many turns.

/// Work is counted in steps of about a tenth of a microsecond: a node that is visited, say.
const TURN: u32 = 4096;

/// What a connection has done is kept in parts of a turn, so that it fits into two bytes.
const PARTS: u16 = 64;

/// The steps that are left in a turn.
#[derive(Debug)]
pub(crate) struct Work {
    limit: u32,
    used: u32,
}

impl Work {
    fn parts(parts: u16) -> Self {
        Self { limit: u32::from(parts) * (TURN / u32::from(PARTS)), used: 0 }
    }

    /// Counts steps.
    pub(crate) fn spend(&mut self, steps: usize) {
        let steps = u32::try_from(steps).unwrap_or(u32::MAX);
        self.used = self.used.saturating_add(steps);
    }

    /// Whether the turn is used up.
    pub(crate) const fn is_over(&self) -> bool {
        self.used >= self.limit
    }

    /// How many steps are left.
    pub(crate) const fn left(&self) -> u32 {
        self.limit.saturating_sub(self.used)
    }
}

/// How tired a connection is: what it did in this turn, and what it owes from turns before.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Fatigue(u16);

impl Fatigue {
    /// Begins a turn.
    pub(crate) const fn rest(&mut self) {
        self.0 = self.0.saturating_sub(PARTS);
    }

    /// Whether there is nothing left of this turn.
    pub(crate) const fn is_resting(self) -> bool {
        self.0 >= PARTS
    }

    /// Whether half of this turn is over: time to let others run.
    pub(crate) const fn is_tired(self) -> bool {
        self.0 >= PARTS / 2
    }

    /// What is left of this turn.
    pub(crate) fn work(self) -> Work {
        Work::parts(PARTS.saturating_sub(self.0))
    }

    /// What is left of the first half of this turn: for work that must not keep the other half from
    /// being done.
    pub(crate) fn half(self) -> Work {
        Work::parts((PARTS / 2).saturating_sub(self.0))
    }

    /// Takes note of what was done.
    pub(crate) fn add(&mut self, work: &Work) {
        let parts = work.used / (TURN / u32::from(PARTS));
        self.0 = self.0.saturating_add(u16::try_from(parts).unwrap_or(u16::MAX));
    }
}

impl Default for Work {
    /// A whole turn.
    fn default() -> Self {
        Fatigue::default().work()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_for_a_turn_is_paid_with_the_next_ones() {
        let mut fatigue = Fatigue::default();
        let mut work = fatigue.work();
        work.spend(10 * TURN as usize);
        assert!(work.is_over() && work.left() == 0);
        fatigue.add(&work);
        assert!(fatigue.is_tired() && fatigue.half().is_over());
        let mut turns = 0;
        while fatigue.is_resting() {
            fatigue.rest();
            turns += 1;
        }
        assert_eq!(turns, 10);
        assert_eq!(fatigue.work().left(), TURN);
    }

    #[test]
    fn the_parts_of_a_turn_add_up() {
        let mut fatigue = Fatigue::default();
        for _ in 0..4 {
            assert!(!fatigue.is_resting());
            let mut work = fatigue.work();
            work.spend(TURN as usize / 4);
            assert!(!work.is_over() || fatigue.work().left() == TURN / 4);
            fatigue.add(&work);
        }
        assert!(fatigue.is_resting() && fatigue.work().is_over());
    }

    #[test]
    fn nothing_is_so_much_that_it_cannot_be_counted() {
        let mut work = Work::default();
        (0..1000).for_each(|_| work.spend(usize::MAX));
        let mut fatigue = Fatigue::default();
        (0..1000).for_each(|_| fatigue.add(&work));
        assert!(fatigue.is_resting());
    }
}
