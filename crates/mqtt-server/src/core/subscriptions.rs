//! The subscriptions of one session, by filter, and how many of them there may be.

use std::{collections::HashMap, sync::Arc};

use crate::{limits::Limits, routing::Subscription};

/// Above this many the filters are hashed; up to it they are compared one by one.
const FEW: usize = 8;

/// What one session is subscribed to. Most sessions have one or two subscriptions, and a table for
/// so few would be larger than they are.
#[derive(Default)]
pub(crate) struct Subscriptions(Kept);

enum Kept {
    Few(Vec<(Arc<str>, Subscription)>),
    Many(Box<Many>),
}

/// More than a few subscriptions, and what their limits are about.
#[derive(Default)]
struct Many {
    by_filter: HashMap<Arc<str>, Subscription>,
    /// Bytes of the filters.
    bytes: usize,
    /// How many filters there are of each shape, see [`shape`].
    shapes: HashMap<Box<str>, usize>,
    /// How many of the shapes are those of shared subscriptions.
    shared_shapes: usize,
}

impl Default for Kept {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Subscriptions {
    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            Kept::Few(few) => few.len(),
            Kept::Many(many) => many.by_filter.len(),
        }
    }

    pub(crate) fn contains(&self, filter: &str) -> bool {
        match &self.0 {
            Kept::Few(few) => few.iter().any(|(held, _)| **held == *filter),
            Kept::Many(many) => many.by_filter.contains_key(filter),
        }
    }

    /// Whether there is room for a subscription. One that is there already may always be made anew.
    pub(crate) fn has_room(&self, filter: &str, limits: &Limits) -> bool {
        self.contains(filter)
            || (self.len() < limits.subscriptions_per_session_max
                && self.bytes() + filter.len() <= limits.filter_bytes_per_session_max
                && self.has_room_for_shape(filter, limits))
    }

    fn has_room_for_shape(&self, filter: &str, limits: &Limits) -> bool {
        // A few subscriptions have no more shapes.
        let Kept::Many(many) = &self.0 else { return true };
        match shape(filter) {
            Some(shape) if !many.shapes.contains_key(&*shape) => {
                if is_shared(&shape) {
                    many.shared_shapes < limits.shared_overlaps_per_session_max
                } else {
                    many.shapes.len() - many.shared_shapes < limits.overlaps_per_session_max
                }
            }
            _ => true,
        }
    }

    fn bytes(&self) -> usize {
        match &self.0 {
            Kept::Few(few) => few.iter().map(|(filter, _)| filter.len()).sum(),
            Kept::Many(many) => many.bytes,
        }
    }

    /// Keeps a subscription, in place of an older one with the same filter.
    pub(crate) fn insert(&mut self, filter: Arc<str>, subscription: Subscription) {
        match &mut self.0 {
            Kept::Few(few) => {
                if let Some((_, held)) = few.iter_mut().find(|(held, _)| *held == filter) {
                    *held = subscription;
                } else if few.len() < FEW {
                    few.reserve_exact(1);
                    few.push((filter, subscription));
                } else {
                    let mut many = Box::<Many>::default();
                    for (filter, subscription) in few.drain(..).chain([(filter, subscription)]) {
                        many.insert(filter, subscription);
                    }
                    self.0 = Kept::Many(many);
                }
            }
            Kept::Many(many) => many.insert(filter, subscription),
        }
    }

    pub(crate) fn remove(&mut self, filter: &str) {
        match &mut self.0 {
            Kept::Few(few) => few.retain(|(held, _)| **held != *filter),
            Kept::Many(many) => {
                many.remove(filter);
                if many.by_filter.is_empty() {
                    self.0 = Kept::default();
                }
            }
        }
    }

    /// The filters alone, to be taken out one by one.
    pub(crate) fn into_filters(self) -> Filters {
        match self.0 {
            Kept::Few(few) => Filters::Few(few.into_iter()),
            Kept::Many(many) => Filters::Many(many.by_filter.into_iter()),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Subscription)> {
        let (few, many) = match &self.0 {
            Kept::Few(few) => (Some(few), None),
            Kept::Many(many) => (None, Some(many)),
        };
        let few = few.into_iter().flatten().map(|(filter, subscription)| (filter, subscription));
        few.chain(many.into_iter().flat_map(|many| many.by_filter.iter()))
    }
}

/// The filters of a session that is over.
pub(crate) enum Filters {
    Few(std::vec::IntoIter<(Arc<str>, Subscription)>),
    Many(std::collections::hash_map::IntoIter<Arc<str>, Subscription>),
}

impl Iterator for Filters {
    type Item = Arc<str>;

    fn next(&mut self) -> Option<Arc<str>> {
        match self {
            Self::Few(few) => few.next(),
            Self::Many(many) => many.next(),
        }
        .map(|(filter, _)| filter)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Self::Few(few) => few.size_hint(),
            Self::Many(many) => many.size_hint(),
        }
    }
}

impl ExactSizeIterator for Filters {}

impl Many {
    fn insert(&mut self, filter: Arc<str>, subscription: Subscription) {
        let text = filter.clone();
        if self.by_filter.insert(filter, subscription).is_some() {
            return;
        }
        self.bytes += text.len();
        if let Some(shape) = shape(&text) {
            let is_shared = is_shared(&shape);
            let count = self.shapes.entry(shape).or_default();
            *count += 1;
            self.shared_shapes += usize::from(*count == 1 && is_shared);
        }
    }

    fn remove(&mut self, filter: &str) {
        if self.by_filter.remove(filter).is_none() {
            return;
        }
        self.bytes -= filter.len();
        let Some(shape) = shape(filter) else { return };
        let Some(count) = self.shapes.get_mut(&*shape) else { return };
        *count -= 1;
        if *count == 0 {
            self.shapes.remove(&*shape);
            self.shared_shapes -= usize::from(is_shared(&shape));
        }
    }
}

/// Where the wildcards of a filter stand: `x` for a level with a name, `+` and `#` for themselves; in
/// front of it the group of a shared subscription. Nothing for a filter that matches one topic alone.
///
/// Of all filters with one shape at most one matches a topic: the one whose names are the topic's. So
/// a session has no more subscriptions that match a topic than shapes, and one more.
fn shape(filter: &str) -> Option<Box<str>> {
    let shared = filter.strip_prefix("$share/").and_then(|shared| shared.split_once('/'));
    let (group, filter) = shared.map_or((None, filter), |(group, filter)| (Some(group), filter));
    let has_wildcards = filter.split('/').any(|level| matches!(level, "+" | "#"));
    if group.is_none() && !has_wildcards {
        return None;
    }
    let mut shape = String::new();
    if let Some(group) = group {
        shape.push('$');
        shape.push_str(group);
        shape.push('/');
    }
    if has_wildcards {
        shape.extend(filter.split('/').map(|level| match level {
            "+" => '+',
            "#" => '#',
            _ => 'x',
        }));
    }
    Some(shape.into())
}

fn is_shared(shape: &str) -> bool {
    shape.starts_with('$')
}

#[cfg(test)]
mod tests {
    use mqtt_packet::{QoS, SubscriptionOptions};

    use super::*;

    fn subscription(identifier: u32) -> Subscription {
        let options = SubscriptionOptions::new(QoS::AtMostOnce);
        Subscription { options, identifier: Some(identifier) }
    }

    #[test]
    fn few_or_many_each_filter_is_there_once_until_it_is_removed() {
        let mut subscriptions = Subscriptions::default();
        let filters: Vec<_> = (0..100_u32).map(|number| (number, format!("a/{number}"))).collect();
        for (number, filter) in &filters {
            subscriptions.insert(filter.as_str().into(), subscription(0));
            subscriptions.insert(filter.as_str().into(), subscription(*number));
            assert_eq!(subscriptions.len(), *number as usize + 1);
        }
        let mut identifiers: Vec<_> =
            subscriptions.iter().filter_map(|(_, held)| held.identifier).collect();
        identifiers.sort_unstable();
        assert_eq!(identifiers, (0..100).collect::<Vec<_>>());
        for (_, filter) in &filters {
            assert!(subscriptions.contains(filter));
            subscriptions.remove(filter);
            assert!(!subscriptions.contains(filter));
        }
        assert_eq!((subscriptions.len(), subscriptions.iter().count()), (0, 0));
    }

    #[test]
    fn a_shape_is_where_the_wildcards_are() {
        for (filter, expected) in [
            ("a/b/c", None),
            ("a/b/#", Some("xx#")),
            ("c/d/#", Some("xx#")),
            ("#", Some("#")),
            ("+/b/+", Some("+x+")),
            ("/+", Some("x+")),
            ("$share/g/a/b", Some("$g/")),
            ("$share/g/+/b", Some("$g/+x")),
        ] {
            assert_eq!(shape(filter).as_deref(), expected, "{filter}");
        }
    }

    #[test]
    fn filters_that_may_match_one_topic_are_limited_and_others_are_not() {
        let limits = Limits {
            overlaps_per_session_max: 20,
            shared_overlaps_per_session_max: 10,
            ..Limits::default()
        };
        let mut subscriptions = Subscriptions::default();
        let mut make = |filter: String| {
            let has_room = subscriptions.has_room(&filter, &limits);
            if has_room {
                subscriptions.insert(filter.as_str().into(), subscription(1));
            }
            has_room
        };
        let levels = |bits: u32| {
            let level = |bit: u32| if (bits >> bit) & 1 == 1 { "+" } else { "a" };
            (0..6).map(level).collect::<Vec<_>>().join("/")
        };
        let made = (0..64).filter(|bits| make(levels(*bits)));
        // The one without a wildcard has no shape.
        assert_eq!(made.count(), 21);
        assert_eq!((0..50).filter(|number| make(format!("$share/{number}/a"))).count(), 10);
        assert_eq!((0..1_000).filter(|number| make(format!("+/a/a/a/a/{number}"))).count(), 1_000);
        assert_eq!((0..1_000).filter(|number| make(format!("$share/1/{number}"))).count(), 1_000);
        // What is removed makes room again.
        assert!(!make("#".to_owned()));
        (0..64).for_each(|bits| subscriptions.remove(&levels(bits)));
        assert!(subscriptions.has_room("#", &limits));
    }

    #[test]
    fn the_bytes_of_filters_are_limited() {
        let limits = Limits { filter_bytes_per_session_max: 1_000, ..Limits::default() };
        let mut subscriptions = Subscriptions::default();
        for number in 100..200 {
            let filter = format!("filter {number}");
            assert!(subscriptions.has_room(&filter, &limits));
            subscriptions.insert(filter.as_str().into(), subscription(1));
        }
        assert!(subscriptions.has_room("filter 100", &limits), "it is there already");
        assert!(!subscriptions.has_room("x", &limits));
        subscriptions.remove("filter 100");
        assert!(subscriptions.has_room("filter 99", &limits));
    }
}
