//! From a message to its receivers.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use foldhash::fast::RandomState;
use mqtt_packet::{QoS, ReasonCode};
use mqtt_session::{Delivery, Level, QueueFull, Run, Time, Wire};
use mqtt_topics::TopicNameRef;

use super::{
    behind::{Behind, Left},
    broker::{Broker, is_sys},
    journal::{Entry, QueueTarget, Transaction},
    memory::{Intake, MemoryLevel},
    route::{Group, GroupTurn, Receivers, Route, Target},
    slot::{Pushed, Slot, Waits},
    traffic::Traffic,
    work::Work,
};
use crate::{
    retained::RetainedFull,
    routing::{Matches, SubscriberId},
};

/// What it costs to look a topic up, beside what is visited and found, in steps.
const LOOK_UP_STEPS: usize = 8;

/// What it costs to find the session of a matching subscription, and to ask whether it may receive, in
/// steps.
const MATCH_STEPS: usize = 4;

/// Among so many matching subscriptions those of one session are found by looking at each.
const SEARCHED: usize = 16;

/// A retained message of this size may take the place of a smaller one where memory is short.
const SMALL_BYTES: usize = 256;

/// So many topics are looked up together: what they need is then waited for together.
const LOOKED_AHEAD: usize = 16;

impl Broker {
    /// Works out whether a client may publish to a topic, and who gets its messages.
    pub(crate) fn route(&self, slot: &Slot, topic: &str, qos: QoS, work: &mut Work) -> Route {
        work.spend(LOOK_UP_STEPS);
        let name = TopicNameRef::with_limit(topic, usize::MAX).ok();
        match name.filter(|name| self.may_publish(slot.subject(), *name, qos, false)) {
            Some(name) => {
                Route { allowed: true, receivers: self.receivers(Some(slot.id), name, work) }
            }
            None => Route::default(),
        }
    }

    /// Works out who gets a message of `topic` from `publisher`.
    pub(crate) fn receivers(
        &self,
        publisher: Option<SubscriberId>,
        topic: TopicNameRef<'_>,
        work: &mut Work,
    ) -> Receivers {
        // Before the rules are asked: rules that change meanwhile make the answer an old one.
        let generation = self.authorizer.generation();
        let mut matches = Matches::default();
        self.routing.matches(topic, &mut matches);
        let members: usize = matches.groups.iter().map(|group| group.members.len()).sum();
        work.spend(matches.visited + (matches.direct.len() + members) * MATCH_STEPS);
        let mut places: HashMap<SubscriberId, usize, RandomState> = HashMap::default();
        let is_many = matches.direct.len() > SEARCHED;
        let mut direct: Vec<Target> = Vec::with_capacity(matches.direct.len());
        let mut identifiers = Vec::new();
        let mut only_own = false;
        self.registry.find_all(matches.direct, |slot, subscription| {
            if subscription.options.no_local && publisher == Some(slot.id) {
                only_own = true;
                return;
            }
            let known = if is_many {
                places.get(&slot.id).copied()
            } else {
                direct.iter().position(|target| target.slot.id == slot.id)
            };
            let place = known.unwrap_or(direct.len());
            identifiers.extend(subscription.identifier.map(|identifier| (place, identifier)));
            match direct.get_mut(place) {
                Some(target) => target.merge(&subscription),
                None => {
                    if is_many {
                        places.insert(slot.id, place);
                    }
                    direct.push(Target::new(slot.clone(), &subscription));
                }
            }
        });
        identify(&mut direct, identifiers);
        // Each hand-over is authorised: a wide filter does not widen what may be read.
        direct.retain(|target| self.may_receive(&target.slot, topic));
        let mut groups = Vec::with_capacity(matches.groups.len());
        for group in matches.groups {
            let mut members = Vec::with_capacity(group.members.len());
            self.registry.find_all(group.members, |slot, subscription| {
                let identifiers = subscription.identifier.map(|identifier| [identifier].into());
                members.push(Target { identifiers, ..Target::new(slot.clone(), &subscription) });
            });
            members.retain(|member| self.may_receive(&member.slot, topic));
            if !members.is_empty() {
                groups.push(Group { members, turn: group.turn });
            }
        }
        only_own &= direct.is_empty() && groups.is_empty();
        Receivers { direct, groups, only_own, generation }
    }

    /// Has what matches of `topic`, and of those that were read behind it, will need brought near;
    /// answers how many of these there are.
    pub(crate) fn look_ahead<'a>(
        &self,
        topic: &'a [u8],
        behind: impl Iterator<Item = &'a [u8]>,
    ) -> usize {
        let mut topics = [topic; LOOKED_AHEAD];
        let mut len = 1;
        for (place, next) in topics.iter_mut().skip(1).zip(behind) {
            *place = next;
            len += 1;
        }
        self.routing.look_ahead(topics.get(..len).unwrap_or_default());
        len - 1
    }

    /// Keeps a retained message, or removes the topic's one if the payload is empty
    /// [MQTT-3.3.1-5], [MQTT-3.3.1-6].
    pub(crate) fn retain(
        &self,
        run: &Run,
        now: Time,
        transaction: &mut Transaction,
    ) -> Result<(), RetainedFull> {
        let Ok(topic) = TopicNameRef::with_limit(run.topic(), usize::MAX) else { return Ok(()) };
        let message = (!run.payload().is_empty()).then(|| run.clone());
        if message.is_some() && !is_sys(topic.as_str()) {
            if self.lacks_room() {
                return Err(RetainedFull);
            }
            self.memory.charge(run.len());
            let level = self.memory.level();
            // A topic that has a message may have another: it takes no more than the one before.
            let takes_more = level >= MemoryLevel::Shed
                && self.retained.len_of(topic).is_none_or(|old| run.len() > old.max(SMALL_BYTES));
            if takes_more && self.memory.refuses(MemoryLevel::Shed) {
                return Err(RetainedFull);
            }
        }
        // What has expired makes room.
        while let Err(full) = self.retained.set(topic, message.clone()) {
            if !self.expire_retained(now) {
                return Err(full);
            }
        }
        if let Some(due) = run.expires_at() {
            self.schedule.look_at_retained(due);
        }
        if self.journal.is_some() && !is_sys(topic.as_str()) {
            let level = self.durability.level(run).min(match run.qos() {
                // Nobody waits for it, but it must not be more and more.
                QoS::AtMostOnce => Level::Os,
                _ => Level::Disk,
            });
            transaction.add(Entry::Retain { topic: topic.as_str().into(), run: message }, level);
        }
        Ok(())
    }

    /// Hands a run out by its route, if that is permitted.
    pub(crate) fn publish_by(
        &self,
        route: Option<&Route>,
        run: &Run,
        now: Time,
        traffic: &mut Traffic,
        behind: &mut Behind,
        transaction: &mut Transaction,
    ) -> Verdict {
        match route.filter(|route| route.allowed) {
            Some(route) => self.hand_out(run, &route.receivers, now, traffic, behind, transaction),
            None => {
                traffic.denied += u64::from(run.count());
                ReasonCode::NOT_AUTHORIZED.into()
            }
        }
    }

    /// Whether a message of which no receiver's queue takes anything is refused. One that is retained
    /// is kept all the same.
    pub(crate) fn may_refuse(&self, run: &Run) -> bool {
        self.limits.queue.when_full == QueueFull::Refuse
            && run.qos() != QoS::AtMostOnce
            && !run.retain()
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
        transaction: &mut Transaction,
    ) -> Verdict {
        let mark = receivers.generation;
        let intake = self.intake();
        self.memory.charge_fan_out(run.len(), receivers.direct.len());
        let mut dropped = 0;
        // Where the publisher notes whom it waits for depends on its own QoS alone.
        let waits = Waits::of(run.qos());
        let mut forms = Forms::new(run);
        let mut reached = 0;
        let taken = self.may_refuse(run).then(Arc::<AtomicU32>::default);
        let mut stored = Vec::new();
        let mut leave = |run: Run, target: &Target| {
            let slot = &target.slot;
            if let Some(session) = slot.number
                && run.qos().min(target.granted) != QoS::AtMostOnce
            {
                if slot.defers_acks(now) {
                    let left = Left { bytes: run.len(), waits };
                    behind.add(slot, left, &self.limits.queue, now);
                }
                if let Some(at) = run.expires_at().and_then(|due| slot.look_at(due)) {
                    self.schedule.look(at, slot);
                }
                reached += 1;
                traffic.copies += u64::from(run.count());
                return Some(QueueTarget {
                    session,
                    slot: slot.clone(),
                    granted: target.granted,
                    retain: run.retain() && target.retain_as_published,
                    identifiers: target.identifiers.clone(),
                    mark,
                    is_reserved: false,
                });
            }
            let delivery = Delivery {
                retain: run.retain() && target.retain_as_published,
                granted: target.granted,
                identifiers: target.identifiers.clone(),
                mark,
                run,
                seq: None,
            };
            let (count, bytes, qos) = (delivery.count(), delivery.run.len(), delivery.qos());
            let pushed = target.slot.push(delivery, now, intake)?;
            let Pushed { waits: is_behind, look_at, .. } = pushed;
            dropped += u32::from(pushed.taken == 0 && intake.is_short());
            if let Some(taken) = &taken {
                // At QoS 0 nobody promises anything.
                let most = if qos == QoS::AtMostOnce { count } else { pushed.taken };
                taken.fetch_max(most, Ordering::Relaxed);
            }
            if is_behind {
                behind.add(&target.slot, Left { bytes, waits }, &self.limits.queue, now);
            }
            if let Some(at) = look_at {
                self.schedule.look(at, &target.slot);
            }
            reached += 1;
            traffic.copies += u64::from(count);
            None
        };
        for target in &receivers.direct {
            stored.extend(leave(forms.for_target(target), target));
        }
        if !stored.is_empty() {
            self.store(run, stored, taken.clone(), transaction);
        }
        for group in &receivers.groups {
            let mut turn = GroupTurn::new(group);
            // One member for each message, not for each run.
            for frame in run.frames() {
                let Some(member) = turn.next_member(frame.range.len()) else { continue };
                let single = run.with_frame(&frame);
                if let Some(target) = leave(single.clone(), member) {
                    self.store(&single, vec![target], taken.clone(), transaction);
                }
            }
        }
        if reached == 0 {
            traffic.unrouted += u64::from(run.count());
            return match receivers.only_own {
                true => ReasonCode::SUCCESS.into(),
                false => ReasonCode::NO_MATCHING_SUBSCRIBERS.into(),
            };
        }
        // Nobody got it for want of memory: the publisher is told.
        if dropped == reached {
            return ReasonCode::QUOTA_EXCEEDED.into();
        }
        Verdict { reason: ReasonCode::SUCCESS, taken }
    }

    /// What the memory that is left means for the messages of a run.
    fn intake(&self) -> Intake {
        let high_water = self.memory.squeeze(self.limits.queue.high_water_bytes);
        Intake { level: self.memory.level(), high_water }
    }

    fn store(
        &self,
        run: &Run,
        targets: Vec<QueueTarget>,
        taken: Option<Arc<AtomicU32>>,
        transaction: &mut Transaction,
    ) {
        let level = self.durability.level(run);
        transaction.add(Entry::Publish { run: run.clone(), targets, taken }, level);
    }
}

/// What a publisher is told of a run.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    pub(crate) reason: ReasonCode,
    /// Where messages for full queues are refused: so many of the run, the first ones, a receiver has
    /// taken. It is certain when the transaction is written that the run is in.
    pub(crate) taken: Option<Arc<AtomicU32>>,
}

impl From<ReasonCode> for Verdict {
    fn from(reason: ReasonCode) -> Self {
        Self { reason, taken: None }
    }
}

impl Verdict {
    /// How many messages of the run are answered with the reason; the others are refused.
    pub(crate) fn accepted(&self, run: &Run) -> u32 {
        let taken = self.taken.as_ref().map(|taken| taken.load(Ordering::Relaxed));
        taken.map_or(run.count(), |taken| taken.min(run.count()))
    }
}

/// Gives each receiver the identifiers of its subscriptions, each once [MQTT-3.3.4-4]. They come with
/// the places of the receivers.
fn identify(direct: &mut [Target], mut identifiers: Vec<(usize, u32)>) {
    identifiers.sort_unstable();
    identifiers.dedup();
    for of_one in identifiers.chunk_by(|(one, _), (other, _)| one == other) {
        let target = of_one.first().and_then(|(place, _)| direct.get_mut(*place));
        if let Some(target) = target {
            target.identifiers = Some(of_one.iter().map(|(_, identifier)| *identifier).collect());
        }
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
