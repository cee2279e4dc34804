//! What was seen not long ago, in bounded memory.

use std::{collections::HashMap, hash::Hash};

use mqtt_session::Time;

/// Remembers values for one to two periods, and at most twice `len_max` of them: what was noted in
/// this period and in the one before. A period ends early when it is full.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    period_millis: u64,
    len_max: usize,
    since: Time,
    current: HashMap<K, V>,
    before: HashMap<K, V>,
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// Nothing yet. With a period of 0 nothing is remembered.
    pub(crate) fn new(period_millis: u64, len_max: usize) -> Self {
        let (current, before) = (HashMap::new(), HashMap::new());
        Self { period_millis, len_max, since: Time::ZERO, current, before }
    }

    /// The value that was noted last.
    pub(crate) fn get(&mut self, key: &K, now: Time) -> Option<&V> {
        self.turn_over(now);
        self.current.get(key).or_else(|| self.before.get(key))
    }

    /// Notes a value.
    pub(crate) fn note(&mut self, key: K, value: V, now: Time) {
        self.turn_over(now);
        if self.period_millis == 0 {
            return;
        }
        if self.current.len() >= self.len_max && !self.current.contains_key(&key) {
            self.next_period(now);
        }
        self.current.insert(key, value);
    }

    fn turn_over(&mut self, now: Time) {
        let millis = now.millis_since(self.since);
        if millis >= self.period_millis {
            self.next_period(now);
        }
        if millis >= self.period_millis.saturating_mul(2) {
            self.before = HashMap::new();
        }
    }

    fn next_period(&mut self, now: Time) {
        self.since = now;
        self.before = std::mem::take(&mut self.current);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_remembered_for_one_to_two_periods() {
        let at = |millis| Time::ZERO.after_millis(millis);
        let mut recent = Recent::new(1000, 2);
        recent.note("a", 1, at(0));
        recent.note("b", 2, at(900));
        assert_eq!(recent.get(&"a", at(1999)), Some(&1));
        assert_eq!(recent.get(&"b", at(1999)), Some(&2));
        assert_eq!(recent.get(&"b", at(2999)), None);
        recent.note("a", 3, at(3000));
        assert_eq!(recent.get(&"a", at(3999)), Some(&3));
        assert_eq!(recent.get(&"a", at(9000)), None);
        let mut none = Recent::new(0, 2);
        none.note("a", 1, at(0));
        assert_eq!(none.get(&"a", at(0)), None);
    }

    #[test]
    fn it_holds_no_more_than_it_may() {
        let mut recent = Recent::new(1000, 10);
        for number in 0..1000 {
            recent.note(number, (), Time::ZERO);
            assert!(recent.current.len() <= 10 && recent.before.len() <= 10);
        }
        assert!(recent.get(&999, Time::ZERO).is_some() && recent.get(&900, Time::ZERO).is_none());
    }
}
