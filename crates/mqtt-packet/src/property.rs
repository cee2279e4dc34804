//! The properties of MQTT 5.0 (section 2.2.2).

use std::{fmt, iter::FusedIterator};

use bytes::BufMut;

use crate::{
    DecodeError, DecodeErrorKind, EncodeError, QoS,
    parse::{self, Fault, Parsed, fail},
    property_value::{
        Place, binary, flag, four_bytes, non_zero_four_bytes, non_zero_two_bytes, non_zero_varint,
        pair, qos, text, topic, two_bytes,
    },
    sink::{Counter, Sink},
};

/// Where a block of properties stands: a packet type, or the will in a CONNECT.
#[derive(Copy, Clone, Eq, PartialEq, Hash, Debug)]
#[repr(u16)]
#[expect(missing_docs, reason = "each is the packet of that name")]
pub enum Owner {
    Connect = 1 << 0,
    Will = 1 << 1,
    ConnAck = 1 << 2,
    Publish = 1 << 3,
    PubAck = 1 << 4,
    PubRec = 1 << 5,
    PubRel = 1 << 6,
    PubComp = 1 << 7,
    Subscribe = 1 << 8,
    SubAck = 1 << 9,
    Unsubscribe = 1 << 10,
    UnsubAck = 1 << 11,
    Disconnect = 1 << 12,
    Auth = 1 << 13,
}

impl Owner {
    /// All places, in the order of the packet types.
    pub const ALL: [Self; 14] = [
        Self::Connect,
        Self::Will,
        Self::ConnAck,
        Self::Publish,
        Self::PubAck,
        Self::PubRec,
        Self::PubRel,
        Self::PubComp,
        Self::Subscribe,
        Self::SubAck,
        Self::Unsubscribe,
        Self::UnsubAck,
        Self::Disconnect,
        Self::Auth,
    ];
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Will => f.write_str("a will"),
            other => f.write_str(&format!("{other:?}").to_uppercase()),
        }
    }
}

/// Table 2-4 of the standard: one line makes a property's identifier, its value, how both
/// are read and written, and where it may stand.
macro_rules! properties {
    ($($variant:ident = $id:literal, $name:literal, $codec:ident($type:ty), [$($owner:ident),*];)*) => {
        /// The identifier of a property.
        #[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug)]
        #[repr(u8)]
        pub enum PropertyId {
            $(
                #[doc = concat!(stringify!($id), " ", $name, ".")]
                $variant = $id,
            )*
        }

        impl PropertyId {
            /// All identifiers, smallest first.
            pub const ALL: [Self; 27] = [$(Self::$variant),*];

            /// The identifier with this number, or `None` if there is none.
            #[must_use]
            #[inline]
            pub const fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($id => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The name that the standard gives it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Whether it may stand there (U5-006).
            #[must_use]
            #[inline]
            pub const fn allowed_in(self, owner: Owner) -> bool {
                let owners = match self {
                    $(Self::$variant => 0 $(| Owner::$owner as u16)*,)*
                };
                owners & owner as u16 != 0
            }
        }

        /// A property: its identifier and its value.
        #[derive(Copy, Clone, Eq, PartialEq, Debug)]
        pub enum Property<'a> {
            $(
                #[doc = concat!(stringify!($id), " ", $name, ".")]
                $variant($type),
            )*
        }

        impl<'a> Property<'a> {
            /// Its identifier.
            #[must_use]
            pub const fn id(&self) -> PropertyId {
                match self {
                    $(Self::$variant(..) => PropertyId::$variant,)*
                }
            }

            /// The value that follows the identifier.
            #[inline]
            fn read_value(input: &'a [u8], place: Place) -> Parsed<'a, Self> {
                match place.id {
                    $(PropertyId::$variant => {
                        let (rest, value) = $codec::read(input, place)?;
                        Ok((rest, Self::$variant(value)))
                    })*
                }
            }

            /// The whole property.
            pub(crate) fn write(&self, out: &mut impl Sink) -> Result<(), EncodeError> {
                out.byte(self.id() as u8);
                match *self {
                    $(Self::$variant(value) => $codec::write(value, $name, out),)*
                }
            }
        }
    };
}

properties! {
    PayloadFormatIndicator = 0x01, "Payload Format Indicator", flag(bool), [Publish, Will];
    MessageExpiryInterval = 0x02, "Message Expiry Interval", four_bytes(u32), [Publish, Will];
    ContentType = 0x03, "Content Type", text(&'a str), [Publish, Will];
    ResponseTopic = 0x08, "Response Topic", topic(&'a str), [Publish, Will];
    CorrelationData = 0x09, "Correlation Data", binary(&'a [u8]), [Publish, Will];
    SubscriptionIdentifier = 0x0B, "Subscription Identifier", non_zero_varint(u32), [Publish, Subscribe];
    SessionExpiryInterval = 0x11, "Session Expiry Interval", four_bytes(u32), [Connect, ConnAck, Disconnect];
    AssignedClientIdentifier = 0x12, "Assigned Client Identifier", text(&'a str), [ConnAck];
    ServerKeepAlive = 0x13, "Server Keep Alive", two_bytes(u16), [ConnAck];
    AuthenticationMethod = 0x15, "Authentication Method", text(&'a str), [Connect, ConnAck, Auth];
    AuthenticationData = 0x16, "Authentication Data", binary(&'a [u8]), [Connect, ConnAck, Auth];
    RequestProblemInformation = 0x17, "Request Problem Information", flag(bool), [Connect];
    WillDelayInterval = 0x18, "Will Delay Interval", four_bytes(u32), [Will];
    RequestResponseInformation = 0x19, "Request Response Information", flag(bool), [Connect];
    ResponseInformation = 0x1A, "Response Information", text(&'a str), [ConnAck];
    ServerReference = 0x1C, "Server Reference", text(&'a str), [ConnAck, Disconnect];
    ReasonString = 0x1F, "Reason String", text(&'a str), [ConnAck, PubAck, PubRec, PubRel, PubComp, SubAck, UnsubAck, Disconnect, Auth];
    ReceiveMaximum = 0x21, "Receive Maximum", non_zero_two_bytes(u16), [Connect, ConnAck];
    TopicAliasMaximum = 0x22, "Topic Alias Maximum", two_bytes(u16), [Connect, ConnAck];
    TopicAlias = 0x23, "Topic Alias", non_zero_two_bytes(u16), [Publish];
    MaximumQos = 0x24, "Maximum QoS", qos(QoS), [ConnAck];
    RetainAvailable = 0x25, "Retain Available", flag(bool), [ConnAck];
    UserProperty = 0x26, "User Property", pair((&'a str, &'a str)), [Connect, Will, ConnAck, Publish, PubAck, PubRec, PubRel, PubComp, Subscribe, SubAck, Unsubscribe, UnsubAck, Disconnect, Auth];
    MaximumPacketSize = 0x27, "Maximum Packet Size", non_zero_four_bytes(u32), [Connect, ConnAck];
    WildcardSubscriptionAvailable = 0x28, "Wildcard Subscription Available", flag(bool), [ConnAck];
    SubscriptionIdentifierAvailable = 0x29, "Subscription Identifier Available", flag(bool), [ConnAck];
    SharedSubscriptionAvailable = 0x2A, "Shared Subscription Available", flag(bool), [ConnAck];
}

impl PropertyId {
    /// Whether it may stand more than once there.
    #[must_use]
    #[inline]
    pub const fn repeats_in(self, owner: Owner) -> bool {
        matches!(
            (self, owner),
            (Self::UserProperty, _) | (Self::SubscriptionIdentifier, Owner::Publish)
        )
    }
}

impl fmt::Display for PropertyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Property<'_> {
    /// Writes the property, identifier and value.
    ///
    /// # Errors
    ///
    /// A value that does not fit or is out of range; then nothing is written.
    pub fn encode(&self, out: &mut impl BufMut) -> Result<(), EncodeError> {
        self.encoded_len()?;
        self.write(out)
    }

    /// The number of bytes that [`Property::encode`] writes.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn encoded_len(&self) -> Result<usize, EncodeError> {
        let mut counter = Counter::default();
        self.write(&mut counter)?;
        Ok(counter.len())
    }
}

/// Reads a property block, without its length, one by one. Values are checked, but not
/// whether a property may stand here, or twice. After an error there is nothing more.
pub fn iter(block: &[u8]) -> impl FusedIterator<Item = Result<Property<'_>, DecodeError>> + Clone {
    Properties { rest: block, rules: None }.map(move |item| item.map_err(|e| e.within(block)))
}

/// Reads a property block and checks every rule that a table can say: each property belongs
/// here (U5-006), and stands once unless it may repeat.
pub(crate) fn checked(block: &[u8], owner: Owner) -> Properties<'_> {
    Properties { rest: block, rules: Some(Rules { owner, seen: 0 }) }
}

/// The properties of a block, in order.
#[derive(Clone)]
pub(crate) struct Properties<'a> {
    rest: &'a [u8],
    rules: Option<Rules>,
}

impl<'a> Properties<'a> {
    fn read(&mut self) -> Parsed<'a, Property<'a>> {
        let start = self.rest;
        let (rest, number) = parse::varint(start)?;
        let Some(id) = PropertyId::from_number(number) else {
            return fail(DecodeErrorKind::UnknownProperty { id: number }, start);
        };
        if let Some(rules) = &mut self.rules {
            rules.admit(id).map_err(|kind| Fault { kind, at: start })?;
        }
        let owner = self.rules.as_ref().map(|rules| rules.owner);
        Property::read_value(rest, Place { id, owner })
    }
}

impl<'a> Iterator for Properties<'a> {
    type Item = Result<Property<'a>, Fault<'a>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match parse::plain(self.read()) {
            Ok((rest, property)) => {
                self.rest = rest;
                Some(Ok(property))
            }
            Err(fault) => {
                self.rest = &[];
                Some(Err(fault))
            }
        }
    }
}

impl FusedIterator for Properties<'_> {}

/// What a packet demands of its properties.
#[derive(Clone)]
struct Rules {
    owner: Owner,
    /// One bit for each identifier that was there; all are below 64.
    seen: u64,
}

impl Rules {
    #[inline]
    fn admit(&mut self, id: PropertyId) -> Result<(), DecodeErrorKind> {
        let owner = self.owner;
        if !id.allowed_in(owner) {
            return Err(DecodeErrorKind::ForeignProperty { id, owner });
        }
        let bit = 1 << (id as u8);
        if self.seen & bit != 0 && !id.repeats_in(owner) {
            return Err(DecodeErrorKind::DuplicateProperty { id, owner });
        }
        self.seen |= bit;
        Ok(())
    }
}
