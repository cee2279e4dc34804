//! A client made of a raw socket.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bytes::{Body, hex};
use super::connect::Connect;
use super::packet::{Content, Packet, cut};
use super::passive::{Monitor, Watch};
use super::property::Props;
use super::publish::Publish;
use super::requests::{acknowledgement, subscribe, unsubscribe};
use super::verdict::{Done, Stop, ensure, fail};
use super::version::Version;

/// How long a packet that must come may take: only what never comes takes as long.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a read or a write of the socket may wait.
const SOCKET: Duration = Duration::from_secs(5);

/// How long silence must last to count as "nothing is sent".
const SILENCE: Duration = Duration::from_millis(300);

/// One connection to the broker.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) version: Version,
    /// From the CONNACK.
    pub(crate) session_present: bool,
    /// The properties of the CONNACK.
    pub(crate) props: Props,
    /// How many bytes the CONNACK had.
    pub(crate) connack_length: usize,
    stream: TcpStream,
    buffer: Vec<u8>,
    stash: VecDeque<Packet>,
    watch: Watch,
    monitor: Arc<Monitor>,
    story: String,
    next_id: u16,
    /// Of the last CONNECT.
    client_id: Vec<u8>,
    /// Why reading failed, where the connection did not end in order.
    broken: Option<std::io::Error>,
}

/// What happened on a connection.
#[derive(Debug)]
pub(crate) enum Event {
    Packet(Packet),
    Closed,
    Silence,
}

impl Peer {
    pub(crate) fn open(
        address: SocketAddr,
        version: Version,
        monitor: Arc<Monitor>,
        story: &str,
    ) -> Done<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .map_err(|error| Stop::Fail(format!("the broker does not accept a socket: {error}")))?;
        let _ = stream.set_nodelay(true);
        let _ = stream.set_write_timeout(Some(SOCKET));
        Ok(Self {
            version,
            session_present: false,
            props: Props::new(),
            connack_length: 0,
            stream,
            buffer: Vec::new(),
            stash: VecDeque::new(),
            watch: Watch::default(),
            monitor,
            story: story.to_owned(),
            next_id: 1,
            client_id: Vec::new(),
            broken: None,
        })
    }

    /// Sends bytes. Errors are not looked at: what the server did shows when reading.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends as much as the server takes, and answers whether it took all.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends CONNECT; the client's limits are watched from now on.
    pub(crate) fn send_connect(&mut self, connect: &Connect) {
        self.watch.connecting(connect);
        self.client_id.clone_from(&connect.client_id);
        self.send(&connect.bytes());
    }

    /// Takes a single byte off the socket, if there is one.
    pub(crate) fn read_one_byte(&mut self) {
        let _ = self.stream.set_read_timeout(Some(Duration::from_millis(100)));
        let mut byte = [0];
        if let Ok(1) = self.stream.read(&mut byte) {
            self.buffer.extend(byte);
        }
    }

    /// The server has ended the connection: behind all that it sent before is the end. What came is
    /// not looked at.
    pub(crate) fn drained(&mut self) -> Done {
        let _ = self.stream.set_read_timeout(Some(SOCKET));
        let mut bytes = vec![0; 64 * 1024];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if is_timeout(error.kind()) => {
                    fail!("expected the end of the connection, and it is open")
                }
                // Reset: the server did not wait.
                Err(_) => return Ok(()),
            }
        }
    }

    /// Closes the client's side for writing.
    pub(crate) fn finish(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Sends DISCONNECT and closes.
    pub(crate) fn disconnect(mut self) {
        self.send(&[0xE0, 0x00]);
        // The server closes first, so that what follows in the test comes after its clean-up.
        let _ = self.closed(&[]);
    }

    /// Waits for CONNACK and keeps what it says; answers its code.
    pub(crate) fn connack(&mut self) -> Done<u8> {
        let packet = self.next()?;
        self.connack_length = packet.raw.len();
        let Content::ConnAck { flags, code, props } = packet.content else {
            fail!("expected CONNACK, got {}", packet.describe())
        };
        self.session_present = flags & 1 == 1;
        self.props = props;
        Ok(code)
    }

    /// The next thing that happens on the socket.
    pub(crate) fn event(&mut self, within: Duration) -> Done<Event> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(packet) = cut(&mut self.buffer, self.version).map_err(Stop::Fail)? {
                self.watch.packet(&self.monitor, self.version, &packet, &self.story);
                return Ok(Event::Packet(packet));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Event::Silence);
            }
            let _ = self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1))));
            let mut chunk = [0; 16 * 1024];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(Event::Closed),
                Ok(count) => self.buffer.extend(chunk.iter().take(count)),
                Err(error) if is_timeout(error.kind()) => {}
                Err(error) => {
                    self.broken = Some(error);
                    return Ok(Event::Closed);
                }
            }
        }
    }

    /// What the end of the connection is called in a verdict.
    fn end(&self) -> String {
        let how = self.broken.as_ref().map_or_else(|| "closed".to_owned(), ToString::to_string);
        let client_id = String::from_utf8_lossy(&self.client_id);
        format!("the end of the connection of '{client_id}' ({how})")
    }

    /// The next packet, which must come.
    pub(crate) fn next(&mut self) -> Done<Packet> {
        if let Some(packet) = self.stash.pop_front() {
            return Ok(packet);
        }
        match self.event(PATIENCE)? {
            Event::Packet(packet) => Ok(packet),
            Event::Closed => fail!("expected a packet, got {}", self.end()),
            Event::Silence => fail!("expected a packet, got nothing in {PATIENCE:?}"),
        }
    }

    /// The next packet that fits; others are kept for later.
    pub(crate) fn until(&mut self, what: &str, fits: impl Fn(&Content) -> bool) -> Done<Packet> {
        self.until_within(PATIENCE, what, fits)
    }

    /// As `until`, with another patience.
    pub(crate) fn until_within(
        &mut self,
        patience: Duration,
        what: &str,
        fits: impl Fn(&Content) -> bool,
    ) -> Done<Packet> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.event(left)? {
                Event::Packet(packet) if fits(&packet.content) => return Ok(packet),
                Event::Packet(packet) => {
                    let end = matches!(packet.content, Content::Disconnect { .. });
                    ensure!(!end, "expected {what}, got {}", packet.describe());
                    self.stash.push_back(packet);
                }
                Event::Closed => fail!("expected {what}, got {}", self.end()),
                Event::Silence => match self.stash.back() {
                    Some(last) => fail!("expected {what}, got {}", last.describe()),
                    None => fail!("expected {what}, got nothing in {patience:?}"),
                },
            }
        }
    }

    /// Waits for PUBACK (4), PUBREC (5), PUBREL (6) or PUBCOMP (7) with this id; answers its code.
    pub(crate) fn ack(&mut self, expected: u8, with_id: u16) -> Done<u8> {
        let stashed = self.stash.iter().position(
            |p| matches!(p.content, Content::Ack { kind, id, .. } if kind == expected && id == with_id),
        );
        let packet = match stashed.and_then(|at| self.stash.remove(at)) {
            Some(packet) => packet,
            None => {
                let what = format!("{} {with_id}", super::packet::type_name(expected));
                self.until(&what, |content| {
                    matches!(content, Content::Ack { kind, id, .. }
                        if *kind == expected && *id == with_id)
                })?
            }
        };
        match packet.content {
            Content::Ack { code, .. } => Ok(code),
            _ => Ok(0),
        }
    }

    /// The next packet, which must be a PUBLISH; it is not acknowledged.
    pub(crate) fn receive(&mut self) -> Done<Publish> {
        let packet = self.next()?;
        match packet.content {
            Content::Publish(publish) => Ok(publish),
            _ => fail!("expected PUBLISH, got {}", packet.describe()),
        }
    }

    /// The next PUBLISH, acknowledged to the end of its handshake.
    pub(crate) fn take(&mut self) -> Done<Publish> {
        let publish = self.receive()?;
        self.complete(&publish)?;
        Ok(publish)
    }

    /// The next PUBLISH, which must have this payload.
    pub(crate) fn takes(&mut self, payload: &str) -> Done<Publish> {
        let publish = self.take()?;
        ensure!(
            publish.payload == payload.as_bytes(),
            "expected the message '{payload}', got '{}'",
            publish.text()
        );
        Ok(publish)
    }

    /// Acknowledges a received PUBLISH to the end.
    pub(crate) fn complete(&mut self, publish: &Publish) -> Done {
        match publish.qos {
            1 => self.answer(4, publish.id),
            2 => {
                self.answer(5, publish.id);
                self.ack(6, publish.id)?;
                self.answer(7, publish.id);
            }
            _ => {}
        }
        Ok(())
    }

    /// Every message that comes until it is quiet for this long, each acknowledged.
    pub(crate) fn collect(&mut self, quiet: Duration) -> Done<Vec<Publish>> {
        let mut all = Vec::new();
        loop {
            let packet = match self.stash.pop_front() {
                Some(packet) => packet,
                None => match self.event(quiet)? {
                    Event::Packet(packet) => packet,
                    Event::Closed => fail!("the connection ended after {} messages", all.len()),
                    Event::Silence => return Ok(all),
                },
            };
            if let Content::Publish(publish) = packet.content {
                self.complete(&publish)?;
                all.push(publish);
            }
        }
    }

    /// Every message that comes in this time, however many come, each acknowledged.
    pub(crate) fn collect_for(&mut self, time: Duration) -> Done<Vec<Publish>> {
        let deadline = Instant::now() + time;
        let mut all = Vec::new();
        while Instant::now() < deadline {
            let left = deadline.saturating_duration_since(Instant::now());
            match self
                .stash
                .pop_front()
                .map_or_else(|| self.event(left), |p| Ok(Event::Packet(p)))?
            {
                Event::Packet(Packet { content: Content::Publish(publish), .. }) => {
                    self.complete(&publish)?;
                    all.push(publish);
                }
                Event::Packet(_) => {}
                Event::Closed => fail!("the connection ended after {} messages", all.len()),
                Event::Silence => break,
            }
        }
        Ok(all)
    }

    /// Sends PUBACK (4), PUBREC (5), PUBREL (6) or PUBCOMP (7).
    pub(crate) fn answer(&mut self, kind: u8, id: u16) {
        if kind == 4 || kind == 7 {
            self.watch.settled(id);
        }
        self.send(&acknowledgement(kind, id));
    }

    /// Sends PUBACK or PUBREC with a reason code of 0x80 or more: the delivery ends there.
    pub(crate) fn answer_error(&mut self, kind: u8, id: u16, code: u8) {
        self.watch.settled(id);
        self.send(&Body::new().u16(id).u8(code).packet(kind << 4));
    }

    /// How many deliveries are not ended.
    pub(crate) fn in_flight(&self) -> usize {
        self.watch.in_flight()
    }

    /// The packet id of the delivery that came first of those not ended.
    pub(crate) fn oldest(&self) -> Option<u16> {
        self.watch.oldest()
    }

    /// A packet id of the client that was not used yet.
    pub(crate) fn fresh_id(&mut self) -> u16 {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1).max(1);
        id
    }

    /// Sends a PUBLISH, with a fresh packet id if it needs one and has none; answers the id.
    pub(crate) fn send_publish(&mut self, mut publish: Publish) -> u16 {
        if publish.qos > 0 && publish.id == 0 {
            publish.id = self.fresh_id();
        }
        self.send(&publish.bytes(self.version));
        publish.id
    }

    /// Publishes and goes through the whole handshake; answers the last reason code.
    pub(crate) fn publish(&mut self, publish: Publish) -> Done<u8> {
        let qos = publish.qos;
        let id = self.send_publish(publish);
        match qos {
            0 => Ok(0),
            1 => self.ack(4, id),
            _ => {
                let code = self.ack(5, id)?;
                if code >= 0x80 {
                    return Ok(code);
                }
                self.release(id)
            }
        }
    }

    /// Publishes at QoS 1, so that the broker has it when this returns.
    pub(crate) fn say(&mut self, topic: &str, payload: &str) -> Done {
        let code = self.publish(Publish::new(topic, payload).qos(1))?;
        ensure!(code < 0x80, "PUBACK with {code:02X} for a message that is permitted");
        Ok(())
    }

    /// Sends PUBREL and waits for PUBCOMP; answers its code.
    pub(crate) fn release(&mut self, id: u16) -> Done<u8> {
        self.answer(6, id);
        self.ack(7, id)
    }

    /// Subscribes; answers the code of the SUBACK.
    pub(crate) fn subscribe(&mut self, filter: &str, options: u8) -> Done<u8> {
        let codes = self.subscribe_all(&Props::new(), &[(filter, options)])?;
        Ok(codes.first().copied().unwrap_or(0xFF))
    }

    /// Subscribes to several filters in one packet; answers the codes.
    pub(crate) fn subscribe_all(&mut self, props: &Props, filters: &[(&str, u8)]) -> Done<Vec<u8>> {
        let id = self.fresh_id();
        self.send(&subscribe(self.version, id, props, filters));
        self.suback(id)
    }

    /// Waits for the SUBACK with this id; answers its codes, of which there is one per filter.
    pub(crate) fn suback(&mut self, with_id: u16) -> Done<Vec<u8>> {
        let what = format!("SUBACK {with_id}");
        let packet = self.until(
            &what,
            |content| matches!(content, Content::SubAck { id, .. } if *id == with_id),
        )?;
        match packet.content {
            Content::SubAck { codes, .. } => Ok(codes),
            _ => Ok(Vec::new()),
        }
    }

    /// Subscribes and insists on being granted.
    pub(crate) fn listen(&mut self, filter: &str, options: u8) -> Done {
        let code = self.subscribe(filter, options)?;
        ensure!(code < 3, "SUBSCRIBE '{filter}' was refused with {code:02X}");
        Ok(())
    }

    /// Unsubscribes; answers the codes, none in 3.1.1.
    pub(crate) fn unsubscribe(&mut self, filters: &[&str]) -> Done<Vec<u8>> {
        let id = self.fresh_id();
        self.send(&unsubscribe(self.version, id, filters));
        self.unsuback(id)
    }

    /// Waits for the UNSUBACK with this id.
    pub(crate) fn unsuback(&mut self, with_id: u16) -> Done<Vec<u8>> {
        let what = format!("UNSUBACK {with_id}");
        let packet = self.until(
            &what,
            |content| matches!(content, Content::UnsubAck { id, .. } if *id == with_id),
        )?;
        match packet.content {
            Content::UnsubAck { codes, .. } => Ok(codes),
            _ => Ok(Vec::new()),
        }
    }

    /// Ends the test as not supported if the CONNACK says 0 under this property.
    pub(crate) fn needs(&self, property: u8, what: &str) -> Done {
        match self.props.number(property) {
            Some(0) => Err(Stop::NotSupported(format!("the CONNACK says that it lacks {what}"))),
            _ => Ok(()),
        }
    }

    /// PINGREQ and PINGRESP: the broker has handled everything that was sent before.
    pub(crate) fn ping(&mut self) -> Done {
        self.ping_within(PATIENCE)
    }

    /// As `ping`, where much has to be handled before.
    pub(crate) fn ping_within(&mut self, patience: Duration) -> Done {
        self.send(&[0xC0, 0x00]);
        let answered = |content: &Content| *content == Content::PingResp;
        self.until_within(patience, "PINGRESP", answered).map(drop)
    }

    /// Nothing was sent and nothing comes.
    pub(crate) fn quiet(&mut self) -> Done {
        self.ping()?;
        self.quiet_for(SILENCE)
    }

    /// Nothing was sent and nothing comes for this long.
    pub(crate) fn quiet_for(&mut self, time: Duration) -> Done {
        if let Some(packet) = self.stash.pop_front() {
            fail!("expected nothing, got {}", packet.describe());
        }
        match self.event(time)? {
            Event::Packet(packet) => fail!("expected nothing, got {}", packet.describe()),
            Event::Closed => fail!("expected an open connection, got its end"),
            Event::Silence => Ok(()),
        }
    }

    /// The server closes. In 5.0 it may say why before that, with one of these codes or 0x80; no
    /// codes: any. Nothing else may come.
    pub(crate) fn closed(&mut self, codes: &[u8]) -> Done {
        self.closed_within(PATIENCE, codes)
    }

    /// As `closed`, with another patience.
    pub(crate) fn closed_within(&mut self, patience: Duration, codes: &[u8]) -> Done {
        let mut said = false;
        loop {
            match self.event(patience)? {
                Event::Closed => return Ok(()),
                Event::Silence => fail!("expected a close, got an open connection"),
                Event::Packet(packet) => match packet.content {
                    Content::Disconnect { code, .. } if !said => {
                        said = true;
                        let fits = code == 0x80 || codes.is_empty() || codes.contains(&code);
                        ensure!(fits, "expected DISCONNECT with {codes:02X?}, got {code:02X}");
                    }
                    _ => fail!("expected a close, got {}", packet.describe()),
                },
            }
        }
    }

    /// The server refuses a CONNECT: it may send CONNACK with one of these codes, then it closes.
    pub(crate) fn refused(&mut self, codes: &[u8]) -> Done {
        self.refused_within(PATIENCE, codes)
    }

    /// As `refused`, with another patience.
    pub(crate) fn refused_within(&mut self, patience: Duration, codes: &[u8]) -> Done {
        let mut said = false;
        loop {
            match self.event(patience)? {
                Event::Closed => return Ok(()),
                Event::Silence if said => fail!("expected a close after the refusal"),
                Event::Silence => fail!("expected a refusal, got an open connection"),
                Event::Packet(packet) => match packet.content {
                    Content::ConnAck { code, .. } if !said && code != 0 => {
                        said = true;
                        let vague = self.version.is_v5() && !codes.is_empty() && code == 0x80;
                        let fits = vague || codes.contains(&code);
                        ensure!(fits, "expected CONNACK {codes:02X?}, got {}", hex(&packet.raw));
                    }
                    _ => fail!("expected a refusal, got {}", packet.describe()),
                },
            }
        }
    }
}

fn is_timeout(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
