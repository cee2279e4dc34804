//! The part of a connection that is the same for both roles: input cut into runs, acknowledgements
//! in both directions, output.

mod input;
mod span;
mod topics;

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use mqtt_packet::{Ack, DecodeError, PacketType, QoS, ReasonCode, Version, ack::encode_short};

pub(crate) use self::input::{Incoming, PAUSE_BYTES};
pub use self::span::RunSpan;
use self::topics::Topics;
use crate::{
    alias::{ReceivedAliases, SentAliases},
    delivery::Delivery,
    ledger::{DropReason, Ledger},
    negotiated::Negotiated,
    output::Output,
    reason_string::refuse_message,
    run::{Run, Wire},
    sender::Lost,
    session::Session,
    time::Time,
    transmit::Transmit,
};

/// Length of an acknowledgement without a reason, in bytes.
const SHORT_ACK: usize = 4;

/// One side of an open connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) negotiated: Negotiated,
    pub(crate) session: Session,
    pub(crate) out: Output,
    /// What became of messages since the last report; nothing while the connection is idle.
    done: Option<Box<Ledger>>,
    /// Whole packets; none but the last `handle_input` that took any brought.
    input: Bytes,
    at: usize,
    input_error: Option<DecodeError>,
    /// The largest packet that is read, in bytes.
    maximum_packet_size: u32,
    topic_levels_max: usize,
    /// Nothing until the owner classifies a topic.
    topics: Option<Box<Topics>>,
    received_aliases: ReceivedAliases,
    sent_aliases: SentAliases,
    /// Messages that were given up, for a client: it waits for each of them.
    pub(crate) lost: Option<Box<VecDeque<Lost>>>,
    role: Role,
    takes_problem_information: bool,
    gate: Gate,
    /// Acknowledgements that wait for a disk, since they were last taken.
    gated: Option<Box<BytesMut>>,
}

/// Which acknowledgements the owner of a connection is handed, to send them when what they say is
/// safe on a disk. PUBACK and PUBREC of new messages are always the owner's to send.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub enum Gate {
    /// None.
    #[default]
    Open,
    /// PUBREC for a message that came before: the one that was handed on may not be safe yet.
    Repeats,
    /// These, PUBREL and PUBCOMP: the state that they tell of is part of a session on a disk.
    Closed,
}

/// Which side of a connection this is.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Role {
    /// It forwards messages, so it takes out of them what is for itself, and it does not care which
    /// of its own messages were acknowledged.
    Server,
    /// It wants messages with all that stands in them, and to know what became of its own.
    Client,
}

/// What one side announced or simply does.
#[derive(Copy, Clone, Debug)]
pub(crate) struct LinkOptions {
    pub(crate) maximum_packet_size: u32,
    /// Receive Maximum; `None` where the peer knows none.
    pub(crate) receive_maximum: Option<u16>,
    pub(crate) topic_alias_maximum: u16,
    pub(crate) topic_levels_max: usize,
    pub(crate) role: Role,
    /// Whether acknowledgements may carry a Reason String and User Properties [MQTT-3.1.2-29].
    pub(crate) takes_problem_information: bool,
    pub(crate) gate: Gate,
}

impl Link {
    pub(crate) fn new(negotiated: Negotiated, session: Session, options: &LinkOptions) -> Self {
        let mut link = Self {
            negotiated,
            session,
            out: Output::default(),
            done: None,
            input: Bytes::new(),
            at: 0,
            input_error: None,
            maximum_packet_size: options.maximum_packet_size,
            topic_levels_max: options.topic_levels_max,
            topics: None,
            received_aliases: ReceivedAliases::new(options.topic_alias_maximum),
            sent_aliases: SentAliases::new(negotiated.topic_alias_maximum),
            lost: (options.role == Role::Client).then(Box::default),
            role: options.role,
            takes_problem_information: options.takes_problem_information,
            gate: options.gate,
            gated: None,
        };
        link.session.receiver.start(options.receive_maximum);
        link
    }

    /// Takes up the session of an earlier connection in place of the new one.
    pub(crate) fn adopt(&mut self, mut session: Session) {
        session.receiver.start(self.session.receiver.maximum());
        self.session = session;
    }

    /// Answers the messages of a run, as their QoS asks for [MQTT-3.3.4-1].
    pub(crate) fn acknowledge(&mut self, run: &Run, reason: ReasonCode) {
        let packet = match run.qos() {
            QoS::AtMostOnce => return,
            QoS::AtLeastOnce => PacketType::PubAck,
            QoS::ExactlyOnce => PacketType::PubRec,
        };
        let version = self.negotiated.version;
        let words = self.words(reason);
        let out = self.out.tail();
        out.reserve(run.count() as usize * SHORT_ACK);
        for id in run.packet_ids() {
            match words {
                None => encode_short(packet, id, reason, version, out),
                Some(words) => {
                    let ack = Ack::new(id, reason);
                    refuse_message(out, &self.negotiated, packet, ack, words);
                }
            }
            self.session.receiver.answered(run.qos(), id, reason);
        }
    }

    /// What a server says to a client beside a reason code.
    fn words(&self, reason: ReasonCode) -> Option<&'static str> {
        let says = reason.is_error() && self.role == Role::Server && self.negotiated.wants_words();
        says.then(|| reason.name())
    }

    /// Sends messages, or keeps them until the window opens.
    pub(crate) fn deliver(&mut self, delivery: Delivery, now: Time) {
        self.transmit(now, |session, tx| session.sender.send(delivery, tx));
    }

    /// Counts messages that cannot be read any more.
    pub(crate) fn lose(&mut self, delivery: &Delivery, now: Time) {
        self.transmit(now, |session, tx| session.sender.lose(delivery, tx));
    }

    /// Drops messages that expired while they waited for the window. Returns when the next one does.
    pub(crate) fn expire(&mut self, now: Time) -> Option<Time> {
        self.transmit(now, |session, tx| {
            let next = session.sender.expire(tx.done, now);
            session.sender.pump(tx);
            next
        })
    }

    /// Sends again what the connection before left unacknowledged.
    pub(crate) fn resume(&mut self, now: Time) {
        self.transmit(now, |session, tx| session.sender.resume(tx));
    }

    pub(crate) fn transmit<T>(
        &mut self,
        now: Time,
        act: impl FnOnce(&mut Session, &mut Transmit<'_>) -> T,
    ) -> T {
        let Self { negotiated, session, out, done, sent_aliases, lost, gate, gated, .. } = self;
        let lost = lost.as_deref_mut();
        let done = done.get_or_insert_default();
        let gated = (*gate == Gate::Closed).then(|| gated.get_or_insert_default().as_mut());
        let aliases = sent_aliases;
        act(session, &mut Transmit { out, aliases, negotiated, done, lost, gated, now })
    }

    /// Acknowledgements that wait for a disk.
    pub(crate) fn take_gated(&mut self) -> Bytes {
        self.gated.as_mut().map(|gated| gated.split().freeze()).unwrap_or_default()
    }

    /// The connection is over: what waits for the socket is lost, and counted.
    pub(crate) fn end(&mut self) -> (Session, Ledger) {
        let mut done = self.take_done();
        done.drop_messages(DropReason::ConnectionLost, self.out.messages());
        self.out = Output::default();
        (std::mem::take(&mut self.session), done)
    }

    pub(crate) fn done_mut(&mut self) -> &mut Ledger {
        self.done.get_or_insert_default()
    }

    /// What became of messages since the last call.
    pub(crate) fn take_done(&mut self) -> Ledger {
        self.done.as_deref_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The socket took `bytes` of the output.
    pub(crate) fn advance_output(&mut self, bytes: usize) {
        let delivered = self.out.advance(bytes);
        if delivered > 0 {
            self.done_mut().delivered += delivered;
        }
    }

    /// Gives unused memory back.
    pub(crate) fn shrink(&mut self) {
        self.out.shrink();
        self.session.shrink();
        self.done.take_if(|done| **done == Ledger::default());
        self.gated = None;
        self.let_input_go();
    }

    /// Gives the block back that was read, if all that came in it was worked off.
    pub(crate) fn let_input_go(&mut self) {
        if self.at == self.input.len() {
            self.input = Bytes::new();
            self.at = 0;
        }
    }

    fn wire(&self) -> Wire {
        self.negotiated.wire()
    }

    pub(crate) const fn version(&self) -> Version {
        self.negotiated.version
    }

    pub(crate) const fn takes_problem_information(&self) -> bool {
        self.takes_problem_information
    }
}
