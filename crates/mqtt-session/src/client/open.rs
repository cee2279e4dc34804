//! A client's connection that was accepted.

use std::collections::{HashMap, HashSet, VecDeque};

use bytes::{Bytes, BytesMut};
use mqtt_packet::{
    Auth, AuthProperties, Disconnect, Packet, PacketId, QoS, ReasonCode, SubAck, Subscribe,
    SubscribeFilters, SubscribeProperties, SubscriptionOptions, UnsubAck, Unsubscribe,
    UnsubscribeFilters, UnsubscribeProperties, UserProperties, Version,
};
use mqtt_topics::SubscriptionFilter;

use crate::{
    client::{
        Answer, ClientEvent, Connected, DisconnectOptions, Disconnected, RequestError,
        ServerLimits, connect_options::pairs, connected::owned_pairs,
    },
    delivery::Delivery,
    flights::Awaits,
    link::{Incoming, Link, LinkOptions},
    negotiated::Negotiated,
    output::Output,
    run::Run,
    sender::Acknowledged,
    session::Session,
    time::{Time, earliest},
    violation::Violation,
};

/// CONNACK came.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) link: Link,
    pub(super) limits: ServerLimits,
    method: Option<String>,
    /// Whether the session outlives the connection; DISCONNECT may not raise a 0.
    pub(super) session_expires: bool,
    pub(super) ping_timeout_millis: u64,
    /// What happened before anything was read, and what was given up.
    events: VecDeque<ClientEvent>,
    /// How many filters the requests had that are not answered.
    requests: HashMap<PacketId, usize>,
    /// Subscription identifiers of this session; `None` if it was not begun here.
    identifiers: Option<HashSet<u32>>,
    reauthenticates: bool,
    last_sent: Time,
    last_heard: Time,
    ping_sent: Option<Time>,
}

impl Open {
    pub(super) fn new(
        negotiated: Negotiated,
        limits: ServerLimits,
        options: &LinkOptions,
        method: Option<String>,
        now: Time,
    ) -> Self {
        Self {
            link: Link::new(negotiated, Session::default(), options),
            limits,
            method,
            session_expires: false,
            ping_timeout_millis: u64::MAX,
            events: VecDeque::new(),
            requests: HashMap::new(),
            identifiers: None,
            reauthenticates: false,
            last_sent: now,
            last_heard: now,
            ping_sent: None,
        }
    }

    /// Goes on with the session where the server has it, and begins a new one where it has not.
    pub(super) fn begin(&mut self, connected: Connected, session: Option<Session>, now: Time) {
        // 3.1 cannot say whether the session is there (D31-05). To go on with it is right where it
        // is, and harmless where it is not: DUP only says that the message may be a repetition.
        let present = connected.session_present || self.link.version() == Version::V31;
        self.events.push_back(ClientEvent::Connected(Box::new(connected)));
        match session {
            Some(session) if present => {
                self.link.adopt(session);
                self.link.resume(now);
            }
            Some(session) => {
                self.identifiers = Some(HashSet::new());
                self.renew(&session, now);
            }
            None => self.identifiers = Some(HashSet::new()),
        }
    }

    /// The server has lost the session: the client's half of it is discarded [MQTT-3.2.2-5], and
    /// what the server has not acknowledged is published anew. Nobody knows whether it had taken a
    /// QoS 2 message without PUBREC, so that one may arrive twice rather than never.
    fn renew(&mut self, session: &Session, now: Time) {
        for (packet_id, flight) in session.sender.flights().iter() {
            if flight.awaits == Awaits::PubComp {
                self.link.done_mut().delivered += 1;
                let (reason, mark) = (ReasonCode::SUCCESS, flight.mark);
                let acknowledged = Acknowledged { packet_id, reason, mark };
                self.events.push_back(ClientEvent::Acknowledged(acknowledged));
            }
        }
        for delivery in session.unfinished() {
            self.link.deliver(delivery, now);
        }
    }

    pub(super) fn handle_input(&mut self, buf: &mut BytesMut, now: Time) {
        self.heard(now);
        self.link.handle_input(buf);
    }

    pub(super) fn poll(&mut self, now: Time) -> Result<Option<ClientEvent>, Violation> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if let Some(lost) = self.link.lost.as_mut().and_then(|lost| lost.pop_front()) {
                return Ok(Some(ClientEvent::Lost(lost)));
            }
            let Some(incoming) = self.link.next(now)? else { return Ok(None) };
            return Ok(Some(match incoming {
                Incoming::Span(span) => ClientEvent::Span(span),
                Incoming::Message(run) => {
                    self.check_identifiers(&run)?;
                    ClientEvent::Message(run)
                }
                Incoming::Acknowledged(acknowledged) => ClientEvent::Acknowledged(acknowledged),
                Incoming::Control(first, body) => match self.control(first, &body)? {
                    Some(event) => event,
                    None => continue,
                },
            }));
        }
    }

    /// The server may only use Subscription Identifiers that it was given (U5-056).
    fn check_identifiers(&self, run: &Run) -> Result<(), Violation> {
        let Some(known) = &self.identifiers else { return Ok(()) };
        match run.properties().subscription_identifiers.iter().all(|id| known.contains(&id)) {
            true => Ok(()),
            false => Err(Violation::protocol("U5-056", "an unknown subscription identifier")),
        }
    }

    /// A packet that is neither PUBLISH nor one of its acknowledgements.
    fn control(&mut self, first: u8, body: &Bytes) -> Result<Option<ClientEvent>, Violation> {
        match Packet::parse(first, body, self.link.version())? {
            Packet::PingResp => {
                self.ping_sent = None;
                Ok(None)
            }
            Packet::SubAck(suback) => self.suback(&suback).map(Some),
            Packet::UnsubAck(unsuback) => self.unsuback(&unsuback).map(Some),
            Packet::Disconnect(disconnect) => self.left(&disconnect).map(Some),
            Packet::Auth(auth) => self.handle_auth(&auth).map(Some),
            Packet::ConnAck(_) => Err(Violation::protocol("MQTT-3.2.0-2", "a second CONNACK")),
            _ => Err(Violation::protocol("MQTT-4.13.1-1", "a packet that only clients send")),
        }
    }

    fn suback(&mut self, suback: &SubAck<'_>) -> Result<ClientEvent, Violation> {
        let answer = Answer {
            packet_id: suback.packet_id,
            reasons: suback.reason_codes().collect(),
            reason_string: suback.properties.reason_string.map(str::to_owned),
            user_properties: owned_pairs(&suback.properties.user_properties),
        };
        self.check_problem_information(&answer)?;
        let filters = self.answered(suback.packet_id, Awaits::SubAck)?;
        if answer.reasons.len() != filters {
            let what = "SUBACK without one reason for each filter";
            return Err(Violation::protocol("MQTT-3.8.4-6", what));
        }
        Ok(ClientEvent::SubAck(Box::new(answer)))
    }

    fn unsuback(&mut self, unsuback: &UnsubAck<'_>) -> Result<ClientEvent, Violation> {
        let answer = Answer {
            packet_id: unsuback.packet_id,
            reasons: unsuback.reason_codes().collect(),
            reason_string: unsuback.properties.reason_string.map(str::to_owned),
            user_properties: owned_pairs(&unsuback.properties.user_properties),
        };
        self.check_problem_information(&answer)?;
        let filters = self.answered(unsuback.packet_id, Awaits::UnsubAck)?;
        if self.link.version().is_v5() && answer.reasons.len() != filters {
            let what = "UNSUBACK without one reason for each filter";
            return Err(Violation::protocol("MQTT-3.11.3-1", what));
        }
        Ok(ClientEvent::UnsubAck(Box::new(answer)))
    }

    fn check_problem_information(&self, answer: &Answer) -> Result<(), Violation> {
        let any = answer.reason_string.is_some() || !answer.user_properties.is_empty();
        if any && !self.link.takes_problem_information() {
            return Err(Violation::protocol("U5-016", "problem information that was switched off"));
        }
        Ok(())
    }

    fn answered(&mut self, id: PacketId, awaits: Awaits) -> Result<usize, Violation> {
        if !self.link.session.sender.finish_request(id, awaits) {
            return Err(Violation::protocol("MQTT-2.2.1-6", "an answer to no request"));
        }
        Ok(self.requests.remove(&id).unwrap_or_default())
    }

    fn left(&self, disconnect: &Disconnect<'_>) -> Result<ClientEvent, Violation> {
        if !self.link.version().is_v5() {
            return Err(Violation::protocol("MQTT-3.14.0-1", "DISCONNECT from a server"));
        }
        if disconnect.properties.session_expiry_interval.is_some() {
            let what = "DISCONNECT from a server with a session expiry";
            return Err(Violation::protocol("MQTT-3.14.2-2", what));
        }
        if disconnect.reason == ReasonCode::DISCONNECT_WITH_WILL {
            return Err(Violation::protocol("MQTT-3.14.2-1", "a reason that only clients give"));
        }
        Ok(ClientEvent::Disconnected(Box::new(Disconnected::new(disconnect))))
    }

    fn handle_auth(&mut self, auth: &Auth<'_>) -> Result<ClientEvent, Violation> {
        check_auth(auth, self.method.as_deref())?;
        if !self.reauthenticates || auth.reason == ReasonCode::RE_AUTHENTICATE {
            return Err(Violation::protocol("MQTT-4.12.1-1", "AUTH that nobody asked for"));
        }
        let data = auth.properties.authentication_data.unwrap_or_default().to_vec();
        if auth.reason == ReasonCode::SUCCESS {
            self.reauthenticates = false;
            return Ok(ClientEvent::Reauthenticated { data });
        }
        Ok(ClientEvent::Auth { data })
    }

    pub(super) fn publish(&mut self, delivery: Delivery, now: Time) -> Result<(), RequestError> {
        self.check_publish(&delivery)?;
        self.link.done_mut().enqueued += u64::from(delivery.count());
        self.link.deliver(delivery, now);
        self.sent(now);
        Ok(())
    }

    fn check_publish(&self, delivery: &Delivery) -> Result<(), RequestError> {
        let (limits, run) = (&self.limits, &delivery.run);
        if delivery.qos() > limits.maximum_qos {
            return Err(RequestError::QosNotSupported { maximum: limits.maximum_qos });
        }
        if delivery.retain && !limits.retain_available {
            return Err(RequestError::RetainNotSupported);
        }
        let version = self.link.version();
        let extra_len = if run.expires_at().is_some() { EXPIRY_LEN } else { 0 };
        for frame in run.frames() {
            let mut publish = frame.publish;
            publish.qos = delivery.qos();
            publish.packet_id = publish.packet_id.filter(|_| delivery.qos() > QoS::AtMostOnce);
            if !version.is_v5() && (extra_len > 0 || !publish.properties.is_empty()) {
                return Err(RequestError::NotInVersion { what: "message properties", version });
            }
            self.check_len(publish.encoded_len(extra_len, version)?)?;
        }
        Ok(())
    }

    pub(super) fn subscribe(
        &mut self,
        filters: &[(&str, SubscriptionOptions)],
        identifier: Option<u32>,
        user_properties: &[(&str, &str)],
        now: Time,
    ) -> Result<PacketId, RequestError> {
        for (filter, options) in filters {
            self.check_filter(filter, *options)?;
        }
        if identifier.is_some() {
            self.needs_v5("subscription identifiers")?;
            if !self.limits.subscription_identifier_available {
                return Err(RequestError::IdentifiersNotSupported);
            }
        }
        if !user_properties.is_empty() {
            self.needs_v5("user properties")?;
        }
        let subscribe = |packet_id| {
            let properties = SubscribeProperties {
                subscription_identifier: identifier,
                user_properties: UserProperties::Pairs(user_properties),
            };
            let filters = SubscribeFilters::new(filters);
            Packet::Subscribe(Subscribe { packet_id, properties, filters })
        };
        let id = self.request(Awaits::SubAck, filters.len(), subscribe, now)?;
        if let (Some(identifiers), Some(identifier)) = (&mut self.identifiers, identifier) {
            identifiers.insert(identifier);
        }
        Ok(id)
    }

    fn check_filter(&self, text: &str, options: SubscriptionOptions) -> Result<(), RequestError> {
        let filter = SubscriptionFilter::parse_with_limit(text, usize::MAX)?;
        if options != SubscriptionOptions::new(options.qos) {
            self.needs_v5("subscription options")?;
        }
        if filter.share.is_some() && !self.limits.shared_subscription_available {
            return Err(RequestError::SharedNotSupported);
        }
        if filter.share.is_some() && options.no_local {
            return Err(RequestError::NoLocalShared);
        }
        if filter.filter.has_wildcards() && !self.limits.wildcard_subscription_available {
            return Err(RequestError::WildcardsNotSupported);
        }
        Ok(())
    }

    pub(super) fn unsubscribe(
        &mut self,
        filters: &[&str],
        user_properties: &[(&str, &str)],
        now: Time,
    ) -> Result<PacketId, RequestError> {
        for filter in filters {
            SubscriptionFilter::parse_with_limit(filter, usize::MAX)?;
        }
        if !user_properties.is_empty() {
            self.needs_v5("user properties")?;
        }
        let unsubscribe = |packet_id| {
            let properties =
                UnsubscribeProperties { user_properties: UserProperties::Pairs(user_properties) };
            let filters = UnsubscribeFilters::new(filters);
            Packet::Unsubscribe(Unsubscribe { packet_id, properties, filters })
        };
        self.request(Awaits::UnsubAck, filters.len(), unsubscribe, now)
    }

    /// Sends a SUBSCRIBE or UNSUBSCRIBE. Its length does not depend on its identifier, so it is
    /// checked before one is taken.
    fn request<'a>(
        &mut self,
        awaits: Awaits,
        filters: usize,
        packet: impl Fn(PacketId) -> Packet<'a>,
        now: Time,
    ) -> Result<PacketId, RequestError> {
        let version = self.link.version();
        self.check_len(packet(PacketId::MIN).encoded_len(version)?)?;
        let begun = self.link.session.sender.begin_request(awaits);
        let id = begun.ok_or(RequestError::NoPacketIdentifier)?;
        packet(id).encode(version, self.link.out.tail())?;
        self.requests.insert(id, filters);
        self.sent(now);
        Ok(id)
    }

    pub(super) fn auth(
        &mut self,
        reason: ReasonCode,
        data: &[u8],
        now: Time,
    ) -> Result<(), RequestError> {
        let method = self.method.as_deref();
        write_auth(self.link.negotiated.version, reason, method, data, &mut self.link.out)?;
        self.reauthenticates = true;
        self.sent(now);
        Ok(())
    }

    pub(super) fn write_disconnect(
        &mut self,
        options: &DisconnectOptions,
    ) -> Result<(), RequestError> {
        if !options.is_plain() {
            self.needs_v5("a reason or properties in DISCONNECT")?;
        }
        if !self.session_expires && options.session_expiry_secs.is_some_and(|secs| secs > 0) {
            return Err(RequestError::SessionExpiryRaised);
        }
        let user_properties = pairs(&options.user_properties);
        let packet = Packet::Disconnect(options.packet(&user_properties));
        let version = self.link.version();
        self.check_len(packet.encoded_len(version)?)?;
        Ok(packet.encode(version, self.link.out.tail())?)
    }

    /// Tells a 5.0 server what it did wrong (U5-079), as far as a client may say it.
    pub(super) fn write_failure(&mut self, reason: ReasonCode) {
        if self.link.version().is_v5() {
            let for_clients = matches!(reason.0, 0x80..=0x83 | 0x90 | 0x93..=0x99);
            let reason = if for_clients { reason } else { ReasonCode::UNSPECIFIED_ERROR };
            // It cannot fail: a reason that DISCONNECT has, and no properties.
            let _ = Disconnect::new(reason).encode(Version::V5, self.link.out.tail());
        }
    }

    fn needs_v5(&self, what: &'static str) -> Result<(), RequestError> {
        match self.link.version() {
            Version::V5 => Ok(()),
            version => Err(RequestError::NotInVersion { what, version }),
        }
    }

    fn check_len(&self, len: usize) -> Result<(), RequestError> {
        let maximum = self.limits.maximum_packet_size;
        if len > maximum as usize {
            return Err(RequestError::PacketTooLarge { len, maximum });
        }
        Ok(())
    }

    pub(super) const fn sent(&mut self, now: Time) {
        self.last_sent = now;
    }

    pub(super) const fn heard(&mut self, now: Time) {
        self.last_heard = now;
    }

    pub(super) fn poll_timeout(&self) -> Option<Time> {
        earliest(self.ping_due(), self.silence_ends())
    }

    /// PINGREQ goes out early enough that no gap is longer than the Keep Alive [MQTT-3.1.2-20];
    /// also when only the server is silent, so that a dead connection is noticed by a client that
    /// does nothing but publish at QoS 0.
    fn ping_due(&self) -> Option<Time> {
        let keep_alive = u64::from(self.link.negotiated.keep_alive_secs);
        let idle_since = match self.ping_sent {
            Some(_) => self.last_sent,
            None => self.last_sent.min(self.last_heard),
        };
        (keep_alive > 0).then(|| idle_since.after_millis(keep_alive * 750))
    }

    /// When a server that owes a PINGRESP has been silent for too long.
    fn silence_ends(&self) -> Option<Time> {
        let since = self.ping_sent?.max(self.last_heard);
        Some(since.after_millis(self.ping_timeout_millis))
    }

    pub(super) fn handle_timeout(&mut self, now: Time) -> Result<(), Violation> {
        if self.silence_ends().is_some_and(|deadline| deadline <= now) {
            return Err(Violation::new(
                ReasonCode::KEEP_ALIVE_TIMEOUT,
                "MQTT-3.12.4-1",
                "no answer to PINGREQ",
            ));
        }
        if self.ping_due().is_some_and(|due| due <= now) {
            // It cannot fail: a packet of two bytes.
            let _ = Packet::PingReq.encode(self.link.version(), self.link.out.tail());
            self.ping_sent.get_or_insert(now);
            self.sent(now);
        }
        Ok(())
    }
}

/// Length of a Message Expiry Interval, in bytes.
const EXPIRY_LEN: usize = 5;

/// AUTH repeats the method of the CONNECT [MQTT-4.12.0-5], and is not sent without one
/// [MQTT-4.12.0-6].
pub(super) fn check_auth(auth: &Auth<'_>, method: Option<&str>) -> Result<(), Violation> {
    match (auth.properties.authentication_method, method) {
        (_, None) => Err(Violation::protocol("MQTT-4.12.0-6", "AUTH without a method in CONNECT")),
        (given, Some(_)) if given == method => Ok(()),
        _ => Err(Violation::protocol("MQTT-4.12.0-5", "AUTH with another method than CONNECT")),
    }
}

pub(super) fn write_auth(
    version: Version,
    reason: ReasonCode,
    method: Option<&str>,
    data: &[u8],
    out: &mut Output,
) -> Result<(), RequestError> {
    // A client without a method sends no AUTH [MQTT-4.12.0-7].
    let method = method.ok_or(RequestError::NoAuthenticationMethod)?;
    let properties = AuthProperties {
        authentication_method: Some(method),
        authentication_data: Some(data).filter(|data| !data.is_empty()),
        ..AuthProperties::default()
    };
    Ok(Auth { reason, properties }.encode(version, out.tail())?)
}
