//! The clients of a run: they are started together, and leave together.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use mqtt_packet::{QoS, Version};

use super::{
    broker::Broker,
    checker,
    dice::Dice,
    history::{Client, Clock, End, Event, History, Recorder, Role, Run},
    live,
    message::{HEAVY_PUBLISHER, Interest, Topic},
    publisher::Publisher,
    reader,
    seat::{Phase, Seat, Stage},
    session_reader::SessionReader,
    subscriber::Subscriber,
};

/// How many topics have retained messages.
const RETAINED_TOPICS: u8 = 4;

/// How long the clients may take until all are connected, subscribed and acknowledged once.
const WARM_UP: Duration = Duration::from_secs(20);

/// How long what is acknowledged may take to reach everybody, once nothing new is published: long
/// enough for ten thousand messages at QoS 2 on a busy machine. Where nothing comes any more, it is
/// over sooner.
const SETTLING: Duration = Duration::from_secs(300);

/// How long nothing may happen before it is looked whether something is missing.
const QUIET: Duration = Duration::from_millis(150);

/// How long nothing may happen before what is missing will not come any more: it is waited for only
/// where something is missing, so a machine that others have may take its time.
const LONG_QUIET: Duration = Duration::from_secs(30);

/// How often the histories are looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// How much is going on.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(super) enum Size {
    /// Every kind of client.
    Full,
    /// These, and one that publishes so much that journals become full.
    Heavy,
    /// Enough to have something of everything on the disk.
    Small,
}

/// The clients of a run, while they play.
#[derive(Debug)]
pub(super) struct Load {
    clock: Arc<Clock>,
    broker: Arc<Recorder>,
    stage: Arc<Stage>,
    dice: Dice,
    histories: Vec<(Client, Arc<Recorder>)>,
    idle: Vec<Arc<AtomicBool>>,
    reader: Seat,
    live: Seat,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts clients that knock at this port until a broker opens.
    pub(super) fn start(port: u16, size: Size, dice: &Dice) -> Self {
        let clock = Clock::start();
        let stage = Stage::at(port);
        let reader = seat(&clock, &stage, "reader", Role::Reader, Version::V5);
        let live = seat(&clock, &stage, "live", Role::Reader, Version::V5);
        let histories = [&reader, &live].map(|it| (it.client.clone(), Arc::clone(&it.recorder)));
        let mut load = Self {
            broker: Recorder::new(&clock),
            histories: histories.to_vec(),
            clock,
            stage,
            dice: dice.clone(),
            idle: Vec::new(),
            reader,
            live,
            threads: Vec::new(),
        };
        // Subscribers first: what is acknowledged before their SUBACK is not owed to them.
        load.start_subscribers(size);
        load.start_publishers(size);
        load
    }

    /// Writes down what happens to the broker.
    pub(super) fn record(&self, event: Event) {
        self.broker.record(event);
    }

    /// Waits until every subscriber has its SUBACK and every publisher an acknowledgement, or
    /// until the broker has ended.
    pub(super) fn warm_up(&self, broker: &mut Broker) {
        let is_warm = || self.histories.iter().all(|(client, it)| is_warm(client, it));
        wait_until(WARM_UP, || broker.has_ended() || is_warm());
    }

    /// Waits until this many entries are written, or this time is over.
    pub(super) fn play(&self, entries: usize, limit: Duration) {
        let enough = self.entries() + entries;
        wait_until(limit, || self.entries() >= enough);
    }

    /// Lets a new client read what is retained.
    pub(super) fn read_retained(&self) {
        let all = (0..RETAINED_TOPICS).map(Topic::Retained);
        reader::read(&self.reader, || all.filter(|topic| self.is_acknowledged(*topic)).collect());
    }

    /// How many entries there are in all histories.
    pub(super) fn entries(&self) -> usize {
        self.histories.iter().map(|(_, recorder)| recorder.len()).sum()
    }

    /// Everything that was written down so far.
    pub(super) fn run(&self) -> Run {
        let history = |(client, recorder): &(Client, Arc<Recorder>)| History {
            client: client.clone(),
            entries: recorder.entries(),
        };
        Run { broker: self.broker.entries(), clients: self.histories.iter().map(history).collect() }
    }

    /// Publishes nothing new, and waits until everything that was acknowledged has come, or until
    /// nothing more comes.
    pub(super) fn settle(&self) {
        self.stage.turn_to(Phase::Settle);
        let deadline = Instant::now() + SETTLING;
        wait_until(SETTLING, || self.idle.iter().all(|idle| idle.load(Ordering::SeqCst)));
        while Instant::now() < deadline {
            self.wait_for_quiet(QUIET, deadline);
            let entries = self.entries();
            if checker::missing(&self.run()).is_empty() {
                break;
            }
            self.wait_for_quiet(LONG_QUIET, deadline);
            if self.entries() == entries {
                break;
            }
        }
    }

    /// Ends the clients.
    pub(super) fn end(mut self) -> Run {
        self.stage.turn_to(Phase::Over);
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so, and its history is judged as it is.
            thread.join().ok();
        }
        self.run()
    }

    /// Lets messages of QoS 0 go round.
    ///
    /// # Errors
    /// What did not work, in words.
    pub(super) fn live(&self) -> Result<(), String> {
        live::goes_on(&self.live)
    }

    /// The stamps of the moments when the disk changed.
    pub(super) fn moments(&self) -> Vec<u64> {
        let entries = self.broker.entries();
        let moments = entries.iter().filter(|entry| entry.event == Event::Moment);
        moments.map(|entry| entry.stamp).collect()
    }

    /// How many messages were acknowledged so far.
    pub(super) fn accepted(&self) -> usize {
        self.count(|event| matches!(event, Event::Acknowledged { .. }))
    }

    /// How many messages and connections were refused or cut off so far.
    pub(super) fn turned_down(&self) -> usize {
        self.count(|event| {
            let is_lost = *event == Event::Ended(End::Lost);
            is_lost || matches!(event, Event::Refused { .. } | Event::TurnedAway { .. })
        })
    }

    /// The sessions of the subscribers, for when these are gone.
    pub(super) fn sessions(&self) -> Vec<SessionReader> {
        let is_subscriber =
            |client: &&(Client, Arc<Recorder>)| matches!(client.0.role, Role::Subscriber { .. });
        let subscribers = self.histories.iter().filter(is_subscriber);
        let session = |(client, _): &(Client, Arc<Recorder>)| {
            SessionReader(seat(&self.clock, &self.stage, &client.name, client.role, Version::V5))
        };
        subscribers.map(session).collect()
    }

    fn count(&self, is_it: impl Fn(&Event) -> bool) -> usize {
        self.histories.iter().map(|(_, recorder)| recorder.count(&is_it)).sum()
    }

    fn wait_for_quiet(&self, quiet: Duration, deadline: Instant) {
        let mut last = (self.entries(), Instant::now());
        while last.1.elapsed() < quiet && Instant::now() < deadline {
            thread::sleep(LOOK_INTERVAL);
            let entries = self.entries();
            if entries != last.0 {
                last = (entries, Instant::now());
            }
        }
    }

    fn is_acknowledged(&self, topic: Topic) -> bool {
        let is_it = |event: &Event| matches!(event, Event::Acknowledged { message, .. } if message.topic == topic);
        self.histories.iter().any(|(client, recorder)| {
            matches!(client.role, Role::Publisher { .. }) && recorder.has(is_it)
        })
    }

    fn start_publishers(&mut self, size: Size) {
        use QoS::{AtLeastOnce, ExactlyOnce};
        use Version::{V5, V311};

        let all = [Topic::Direct, Topic::Fan, Topic::Shared];
        let retained: Vec<Topic> = (0..RETAINED_TOPICS).map(Topic::Retained).collect();
        self.start_publisher(1, V5, AtLeastOnce, &all);
        self.start_publisher(2, V5, ExactlyOnce, &all);
        self.start_publisher(3, V5, AtLeastOnce, &retained);
        if size != Size::Small {
            self.start_publisher(4, V311, AtLeastOnce, &all);
            self.start_publisher(5, V311, ExactlyOnce, &all);
        }
        if size == Size::Heavy {
            let some = [Topic::Direct, Topic::Fan];
            self.start_publisher(HEAVY_PUBLISHER, V5, AtLeastOnce, &some);
        }
    }

    fn start_subscribers(&mut self, size: Size) {
        use QoS::{AtLeastOnce, ExactlyOnce};
        use Version::{V5, V311};

        const STAYS: bool = false;
        const COMES_AND_GOES: bool = true;
        self.start_subscriber("direct-2", V5, ExactlyOnce, Interest::Direct, STAYS);
        self.start_subscriber("away-1", V311, AtLeastOnce, Interest::Direct, COMES_AND_GOES);
        self.start_subscriber("all-2", V5, ExactlyOnce, Interest::Everything, COMES_AND_GOES);
        self.start_subscriber("crew-a", V5, ExactlyOnce, Interest::Shared, STAYS);
        if size != Size::Small {
            self.start_subscriber("crew-b", V5, ExactlyOnce, Interest::Shared, COMES_AND_GOES);
            self.start_subscriber("direct-1", V311, AtLeastOnce, Interest::Direct, STAYS);
            self.start_subscriber("fan-a", V5, ExactlyOnce, Interest::Fan, STAYS);
            self.start_subscriber("fan-b", V311, ExactlyOnce, Interest::Fan, STAYS);
            self.start_subscriber("fan-c", V5, AtLeastOnce, Interest::Fan, COMES_AND_GOES);
            self.start_subscriber("fan-d", V311, ExactlyOnce, Interest::Fan, COMES_AND_GOES);
        }
    }

    fn start_publisher(&mut self, index: u8, version: Version, qos: QoS, topics: &[Topic]) {
        let seat = self.take_seat(&format!("publisher-{index}"), Role::Publisher { qos }, version);
        let dice = self.dice.of(u64::from(index));
        let publisher = Publisher::new(seat, index, qos, topics, dice);
        self.idle.push(publisher.idle());
        self.threads.push(thread::spawn(move || publisher.play()));
    }

    fn start_subscriber(
        &mut self,
        name: &str,
        version: Version,
        qos: QoS,
        interest: Interest,
        is_restless: bool,
    ) {
        let seat = self.take_seat(name, Role::Subscriber { interest, qos }, version);
        let dice = self.dice.of(1000 + self.histories.len() as u64);
        let subscriber = Subscriber::new(seat, interest, qos, is_restless, dice);
        self.threads.push(thread::spawn(move || subscriber.play()));
    }

    fn take_seat(&mut self, name: &str, role: Role, version: Version) -> Seat {
        let seat = seat(&self.clock, &self.stage, name, role, version);
        self.histories.push((seat.client.clone(), Arc::clone(&seat.recorder)));
        seat
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // Where a run is given up, its clients do not go on without it.
        self.stage.turn_to(Phase::Over);
    }
}

fn seat(clock: &Arc<Clock>, stage: &Arc<Stage>, name: &str, role: Role, version: Version) -> Seat {
    Seat {
        client: Client { name: name.to_owned(), role },
        version,
        // Small enough to be reached, so that messages wait behind the window as well.
        receive_maximum: 10,
        recorder: Recorder::new(clock),
        stage: Arc::clone(stage),
    }
}

fn is_warm(client: &Client, recorder: &Recorder) -> bool {
    match client.role {
        Role::Publisher { .. } => recorder.has(|event| matches!(event, Event::Acknowledged { .. })),
        Role::Subscriber { .. } => recorder.has(|event| *event == Event::Subscribed),
        Role::Reader => true,
    }
}

/// Looks again and again until it is so, or until the time is over; says whether it is so.
pub(super) fn wait_until(limit: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(LOOK_INTERVAL);
    }
}
