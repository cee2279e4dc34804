//! The topics that a peer published to last, and what the connection's owner said of them.

use std::{collections::HashMap, num::NonZeroU32};

use mqtt_packet::QoS;

/// So many topics are remembered.
const TOPICS_MAX: usize = 256;

/// A topic with a longer name is not remembered, in bytes: a peer must not fill memory with names.
const NAME_LEN_MAX: usize = 512;

/// Topics that were checked once, each with the owner's classes: messages of one QoS whose topics
/// are of one class go to the same receivers, and travel in one span.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    topics: Vec<Topic>,
    places: HashMap<Box<[u8]>, usize, foldhash::fast::RandomState>,
    /// Where the last message went.
    last: usize,
    /// Where the next one goes, if it does what it did before.
    guess: usize,
}

#[derive(Debug)]
struct Topic {
    name: Box<[u8]>,
    /// One for each QoS.
    classes: [Option<NonZeroU32>; 3],
    /// Where the message behind the last one to this topic went. Many publishers go round, so the
    /// next one goes there as well, which a compare tells without a hash.
    next: usize,
}

impl Topics {
    /// Where a topic stands, if it is remembered.
    #[inline]
    pub(crate) fn place(&self, name: &[u8]) -> Option<usize> {
        match self.topics.get(self.guess) {
            Some(topic) if *topic.name == *name => Some(self.guess),
            _ => self.places.get(name).copied(),
        }
    }

    /// The class of the topic at `place`.
    #[inline]
    pub(crate) fn class(&self, place: usize, qos: QoS) -> Option<NonZeroU32> {
        *self.topics.get(place)?.classes.get(usize::from(qos.bits()))?
    }

    /// A message went to the topic at `place`.
    #[inline]
    pub(crate) fn went_to(&mut self, place: usize) {
        if place != self.guess
            && let Some(last) = self.topics.get_mut(self.last)
        {
            last.next = place;
        }
        self.last = place;
        self.guess = self.topics.get(place).map_or(0, |topic| topic.next);
    }

    /// Remembers what the owner says of a topic that was checked.
    pub(crate) fn classify(&mut self, name: &[u8], qos: QoS, class: NonZeroU32) {
        if name.len() > NAME_LEN_MAX {
            return;
        }
        let place = match self.places.get(name) {
            Some(place) => *place,
            None => self.add(name),
        };
        let topic = self.topics.get_mut(place);
        if let Some(of_qos) = topic.and_then(|it| it.classes.get_mut(usize::from(qos.bits()))) {
            *of_qos = Some(class);
        }
        self.went_to(place);
    }

    fn add(&mut self, name: &[u8]) -> usize {
        if self.topics.len() >= TOPICS_MAX {
            self.forget();
        }
        let place = self.topics.len();
        self.topics.push(Topic { name: name.into(), classes: [None; 3], next: place });
        self.places.insert(name.into(), place);
        place
    }

    /// What the owner said holds no longer.
    pub(crate) fn forget(&mut self) {
        // The room is kept: it is needed again at once.
        self.topics.clear();
        self.places.clear();
        (self.last, self.guess) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: NonZeroU32 = NonZeroU32::MIN;

    fn class(topics: &Topics, name: &[u8], qos: QoS) -> Option<u32> {
        topics.class(topics.place(name)?, qos).map(NonZeroU32::get)
    }

    #[test]
    fn each_qos_has_classes_of_its_own() {
        let mut topics = Topics::default();
        topics.classify(b"a", QoS::AtMostOnce, ONE);
        topics.classify(b"a", QoS::ExactlyOnce, ONE.saturating_add(1));
        let of_a = [0, 1, 2].map(|bits| class(&topics, b"a", QoS::from_bits(bits).unwrap()));
        assert_eq!(of_a, [Some(1), None, Some(2)]);
        assert_eq!(class(&topics, b"b", QoS::AtMostOnce), None);
    }

    #[test]
    fn a_round_is_followed_and_any_other_order_as_well() {
        let mut topics = Topics::default();
        for name in [b"a", b"b", b"c"] {
            topics.classify(name, QoS::AtMostOnce, ONE);
        }
        for name in [b"a", b"b", b"c", b"a", b"b", b"c", b"b", b"b", b"a", b"c"] {
            let place = topics.place(name).unwrap();
            assert_eq!(*topics.topics[place].name, *name);
            topics.went_to(place);
        }
    }

    #[test]
    fn what_is_forgotten_is_not_remembered() {
        let mut topics = Topics::default();
        topics.classify(b"a", QoS::AtMostOnce, ONE);
        topics.forget();
        assert_eq!(topics.place(b"a"), None);
    }

    #[test]
    fn no_more_topics_are_remembered_than_there_is_room_for() {
        let mut topics = Topics::default();
        for number in 0..10 * TOPICS_MAX {
            topics.classify(number.to_string().as_bytes(), QoS::AtMostOnce, ONE);
            assert!(topics.topics.len() <= TOPICS_MAX);
            assert_eq!(topics.topics.len(), topics.places.len());
        }
    }

    #[test]
    fn long_names_are_not_remembered() {
        let mut topics = Topics::default();
        let names = [NAME_LEN_MAX, NAME_LEN_MAX + 1].map(|len| vec![b'x'; len]);
        names.iter().for_each(|name| topics.classify(name, QoS::AtMostOnce, ONE));
        assert_eq!(names.map(|name| topics.place(&name)), [Some(0), None]);
    }
}
