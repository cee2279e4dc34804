//! From a message to its receivers.

use std::collections::HashMap;

use bytes::Bytes;
use mqtt_packet::{QoS, ReasonCode};
use mqtt_session::{Delivery, Run, Time, Wire};
use mqtt_topics::TopicNameRef;

use super::{
    broker::Broker,
    pressure::Behind,
    route::{Group, Receivers, Target},
    slot::Pushed,
    traffic::Traffic,
};
use crate::{
    retained::RetainedFull,
    routing::{Matches, SubscriberId},
};

/// A small message is copied when it is retained, so that it does not keep the buffer alive that it
/// was read into.
const COPY_BELOW: usize = 16 * 1024;

impl Broker {
    /// Works out who gets a message of `topic` from `publisher`.
    pub(crate) fn receivers(
        &self,
        publisher: Option<SubscriberId>,
        topic: TopicNameRef<'_>,
    ) -> Receivers {
        let mut matches = Matches::default();
        self.routing.matches(topic, &mut matches);
        let mut places: HashMap<SubscriberId, usize> = HashMap::new();
        let mut direct: Vec<Target> = Vec::with_capacity(matches.direct.len());
        self.registry.find_all(matches.direct, |slot, subscription| {
            if subscription.options.no_local && publisher == Some(slot.id) {
                return;
            }
            match places.get(&slot.id).and_then(|place| direct.get_mut(*place)) {
                Some(target) => target.merge(&subscription),
                None => {
                    places.insert(slot.id, direct.len());
                    direct.push(Target::new(slot.clone(), &subscription));
                }
            }
        });
        // Each hand-over is authorised: a wide filter does not widen what may be read.
        direct.retain(|target| self.may_receive(&target.slot, topic));
        let mut groups = Vec::with_capacity(matches.groups.len());
        for group in matches.groups {
            let mut members = Vec::with_capacity(group.members.len());
            self.registry.find_all(group.members, |slot, subscription| {
                members.push(Target::new(slot.clone(), &subscription));
            });
            members.retain(|member| self.may_receive(&member.slot, topic));
            if !members.is_empty() {
                groups.push(Group { members, turn: group.turn });
            }
        }
        Receivers { direct, groups }
    }

    /// Keeps a retained message, or removes the topic's one if the payload is empty
    /// [MQTT-3.3.1-5], [MQTT-3.3.1-6].
    pub(crate) fn retain(&self, run: &Run) -> Result<(), RetainedFull> {
        let Ok(topic) = TopicNameRef::with_limit(run.topic(), usize::MAX) else { return Ok(()) };
        let message = (!run.payload().is_empty()).then(|| {
            if run.len() < COPY_BELOW {
                run.with_bytes(Bytes::copy_from_slice(run.bytes()))
            } else {
                run.clone()
            }
        });
        self.retained.set(topic, message)
    }

    /// Leaves a run with each of its receivers. Receivers that the publisher should wait for are
    /// added to `behind`.
    pub(crate) fn hand_out(
        &self,
        run: &Run,
        receivers: &Receivers,
        now: Time,
        traffic: &mut Traffic,
        behind: &mut Behind,
    ) -> ReasonCode {
        let mark = self.authorizer.generation();
        let mut forms = Forms::new(run);
        let mut reached = 0;
        let mut leave = |run: Run, target: &Target| {
            let delivery = Delivery {
                retain: run.retain() && target.retain_as_published,
                granted: target.granted,
                identifiers: target.identifiers.clone(),
                mark,
                run,
            };
            let count = delivery.count();
            match target.slot.push(delivery, now) {
                Pushed::Gone => return,
                Pushed::Taken => {}
                Pushed::Wait => behind.add(&target.slot),
            }
            reached += 1;
            traffic.copies += u64::from(count);
        };
        for target in &receivers.direct {
            leave(forms.for_target(target), target);
        }
        for group in &receivers.groups {
            // One member for each message, not for each run.
            for frame in run.frames() {
                if let Some(member) = group.next_member() {
                    leave(run.with_frame(&frame), member);
                }
            }
        }
        if reached == 0 {
            traffic.unrouted += u64::from(run.count());
            return ReasonCode::NO_MATCHING_SUBSCRIBERS;
        }
        ReasonCode::SUCCESS
    }
}

/// A run in the forms that receivers want it in, each made once.
struct Forms<'a> {
    run: &'a Run,
    v3: Option<Run>,
    v5: Option<Run>,
}

impl<'a> Forms<'a> {
    const fn new(run: &'a Run) -> Self {
        Self { run, v3: None, v5: None }
    }

    fn for_target(&mut self, target: &Target) -> Run {
        // At QoS 1 and 2 each receiver has its own packet identifiers, and encodes for itself; so
        // does one with subscription identifiers.
        let qos0 = self.run.qos().min(target.granted) == QoS::AtMostOnce;
        let wire = target.slot.wire();
        let fits = self.run.wire() == wire && self.run.qos() == QoS::AtMostOnce;
        if !qos0 || fits || target.identifiers.is_some() {
            return self.run.clone();
        }
        let form = match wire {
            Wire::V3 => &mut self.v3,
            Wire::V5 => &mut self.v5,
        };
        let form = form.get_or_insert_with(|| self.run.converted(wire, true));
        // What does not fit the other form is left as it is: the receiver's owner counts it.
        if form.count() == self.run.count() { form.clone() } else { self.run.clone() }
    }
}
