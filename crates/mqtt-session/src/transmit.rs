//! What a connection writes to, and how a message becomes a packet for its peer.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use mqtt_packet::{
    Ack, PacketId, PacketType, QoS, RawPublish, ReasonCode, ack, property::Property,
};

use crate::{
    alias::{SentAliases, SentAs},
    delivery::Delivery,
    ledger::{DropReason, Ledger},
    negotiated::Negotiated,
    output::Output,
    reason_string::refuse_message,
    run::Wire,
    sender::Lost,
    time::Time,
};

/// Payloads below this length are copied behind their header, larger ones referenced.
const COPY_BELOW: usize = 2048;

/// Length of a Topic Alias, in bytes.
const BINDING_ROOM: usize = 3;

/// What a sender writes to, and by which rules.
pub(crate) struct Transmit<'a> {
    pub(crate) out: &'a mut Output,
    pub(crate) aliases: &'a mut SentAliases,
    pub(crate) negotiated: &'a Negotiated,
    pub(crate) done: &'a mut Ledger,
    /// Messages that will never be acknowledged, for a caller who waits for each of them.
    pub(crate) lost: Option<&'a mut VecDeque<Lost>>,
    /// Where acknowledgements go that have to wait for a disk.
    pub(crate) gated: Option<&'a mut BytesMut>,
    pub(crate) now: Time,
}

/// What one PUBLISH needs beside the parts of the message.
pub(crate) struct Header<'a> {
    pub(crate) qos: QoS,
    pub(crate) packet_id: Option<PacketId>,
    pub(crate) dup: bool,
    pub(crate) retain: bool,
    pub(crate) identifiers: Option<&'a [u32]>,
    pub(crate) expires_at: Option<Time>,
}

#[derive(Copy, Clone, Eq, PartialEq)]
pub(crate) enum Written {
    Whole,
    /// Larger than the peer's Maximum Packet Size: treated as sent [MQTT-3.1.2-25].
    TooLarge,
}

/// QoS 0: the run's own bytes where nothing in them is this receiver's alone.
pub(crate) fn send_qos0(delivery: &Delivery, tx: &mut Transmit<'_>) {
    let run = &delivery.run;
    if run.is_expired(tx.now) {
        tx.lose(delivery.mark, None, u64::from(run.count()));
        return;
    }
    if delivery.is_plain(tx.negotiated.wire())
        && run.largest() <= tx.negotiated.maximum_packet_size
        && !tx.aliases.is_active()
    {
        tx.out.push(run.bytes().clone(), run.count());
        return;
    }
    let header = Header {
        qos: QoS::AtMostOnce,
        packet_id: None,
        dup: false,
        retain: delivery.retain,
        identifiers: delivery.identifiers.as_deref(),
        expires_at: run.expires_at(),
    };
    for frame in run.frames() {
        if tx.publish(run.bytes(), frame.publish, &header) == Written::TooLarge {
            tx.lose(delivery.mark, Some(DropReason::PacketTooLarge), 1);
        }
    }
}

impl Transmit<'_> {
    /// Counts messages that are given up, and tells whoever waits for them.
    pub(crate) fn lose(&mut self, mark: u64, reason: Option<DropReason>, messages: u64) {
        match reason {
            Some(reason) => self.done.drop_messages(reason, messages),
            None => self.done.expired += messages,
        }
        if let Some(lost) = &mut self.lost {
            lost.push_back(Lost { mark, reason });
        }
    }

    /// Writes PUBACK, PUBREC, PUBREL or PUBCOMP; a server says in words what is wrong.
    #[inline]
    pub(crate) fn ack(&mut self, packet: PacketType, id: PacketId, reason: ReasonCode) {
        let out = match &mut self.gated {
            Some(gated) => gated,
            None => self.out.tail(),
        };
        let is_server = self.lost.is_none();
        if reason.is_error() && is_server && self.negotiated.wants_words() {
            let ack = Ack::new(id, reason);
            return refuse_message(out, self.negotiated, packet, ack, reason.name());
        }
        ack::encode_short(packet, id, reason, self.negotiated.version, out);
    }

    pub(crate) fn publish(
        &mut self,
        frames: &Bytes,
        mut publish: RawPublish<'_>,
        header: &Header<'_>,
    ) -> Written {
        publish.dup = header.dup;
        publish.qos = header.qos;
        publish.retain = header.retain;
        publish.packet_id = header.packet_id;
        let topic = publish.topic;
        let mut extra = Vec::new();
        let mut binding = None;
        if self.negotiated.wire() == Wire::V5 {
            self.extra_properties(header, &mut extra);
            match self.aliases.plan(topic) {
                SentAs::Topic => {}
                SentAs::Binding(alias) => {
                    binding = Some(alias).filter(|_| self.has_room(&publish, extra.len()));
                }
                SentAs::Alias(alias) => {
                    push(&Property::TopicAlias(alias), &mut extra);
                    publish.topic = &[];
                }
            }
        }
        if let Some(alias) = binding {
            push(&Property::TopicAlias(alias), &mut extra);
        }
        let version = self.negotiated.version;
        let fits = publish.encoded_len(extra.len(), version);
        if fits.is_err() || fits.is_ok_and(|len| len > self.negotiated.maximum_packet_size as usize)
        {
            return Written::TooLarge;
        }
        if publish.encode_header(&extra, version, self.out.tail()).is_err() {
            return Written::TooLarge;
        }
        if let Some(alias) = binding {
            self.aliases.bind(topic, alias);
        }
        let messages = u32::from(header.qos == QoS::AtMostOnce);
        if publish.payload.len() < COPY_BELOW {
            self.out.tail().extend_from_slice(publish.payload);
            self.out.count_messages(messages);
        } else {
            self.out.push(frames.slice_ref(publish.payload), messages);
        }
        Written::Whole
    }

    /// Whether a binding fits as well; it must not be what makes a packet too large.
    fn has_room(&self, publish: &RawPublish<'_>, extra_len: usize) -> bool {
        let len = publish.encoded_len(extra_len + BINDING_ROOM, self.negotiated.version);
        len.is_ok_and(|len| len <= self.negotiated.maximum_packet_size as usize)
    }

    fn extra_properties(&self, header: &Header<'_>, extra: &mut Vec<u8>) {
        if let Some(deadline) = header.expires_at {
            // What is left of the interval, rounded up, so that it is not 0 [MQTT-3.3.2-6].
            let left = deadline.millis_since(self.now).div_ceil(1000).max(1);
            let left = u32::try_from(left).unwrap_or(u32::MAX);
            push(&Property::MessageExpiryInterval(left), extra);
        }
        for identifier in header.identifiers.unwrap_or_default() {
            push(&Property::SubscriptionIdentifier(*identifier), extra);
        }
    }
}

/// What the encoder says of properties that came out of a checked packet or are numbers: they fit.
fn push(property: &Property<'_>, extra: &mut Vec<u8>) {
    let fits = property.encode(extra);
    debug_assert!(fits.is_ok(), "{property:?} does not fit");
}
