//! The topic filters of SUBSCRIBE and UNSUBSCRIBE.

use std::fmt;

use crate::{
    DecodeErrorKind, PacketType, Version,
    parse::{Parsed, fail},
};

/// The filters of a packet, in order; `T` is what the packet has for each of them. Only their text is
/// checked.
///
/// Two are equal if they have the same content, however it is held.
#[derive(Copy, Clone)]
pub struct Filters<'a, T> {
    /// Filters to write.
    list: &'a [T],
    /// Filters that were read through once, and in which version.
    payload: (&'a [u8], Version),
}

/// What stands in a packet for one filter.
pub trait Entry<'a>: Copy {
    /// Reads what was read through before, and what is behind it; nothing at the end.
    fn read(input: &'a [u8], version: Version) -> Option<(&'a [u8], Self)>;
}

/// Reads a payload through: at least one filter [MQTT-3.8.3-2], [MQTT-3.10.3-2].
pub(crate) fn filters<'a, T: Entry<'a>>(
    input: &'a [u8],
    version: Version,
    packet: PacketType,
    read: impl Fn(&'a [u8]) -> Parsed<'a, T>,
) -> Parsed<'a, Filters<'a, T>> {
    if input.is_empty() {
        return fail(DecodeErrorKind::NoFilters { packet }, input);
    }
    let mut rest = input;
    while !rest.is_empty() {
        (rest, _) = read(rest)?;
    }
    Ok((rest, Filters { list: &[], payload: (input, version) }))
}

impl<'a, T: Entry<'a>> Filters<'a, T> {
    /// Filters to write.
    #[must_use]
    pub const fn new(list: &'a [T]) -> Self {
        Self { list, payload: (&[], Version::V5) }
    }

    /// The filters, in order.
    pub fn iter(&self) -> impl Iterator<Item = T> + Clone + use<'a, T> {
        let (mut payload, version) = self.payload;
        let in_payload = std::iter::from_fn(move || {
            let (rest, filter) = T::read(payload, version)?;
            payload = rest;
            Some(filter)
        });
        in_payload.chain(self.list.iter().copied())
    }

    /// Takes the first filter off, of a packet that was read.
    pub fn take_first(&mut self) -> Option<T> {
        let (payload, version) = self.payload;
        let (rest, filter) = T::read(payload, version)?;
        self.payload.0 = rest;
        Some(filter)
    }

    /// The bytes of the filters that are left, of a packet that was read.
    #[must_use]
    pub const fn payload(&self) -> &'a [u8] {
        self.payload.0
    }

    /// Filters whose bytes [`Filters::payload`] returned: to go on where somebody stopped.
    #[must_use]
    pub const fn resume(payload: &'a [u8], version: Version) -> Self {
        Self { list: &[], payload: (payload, version) }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

impl<'a, T: Entry<'a>> From<&'a [T]> for Filters<'a, T> {
    fn from(list: &'a [T]) -> Self {
        Self::new(list)
    }
}

impl<'a, T: Entry<'a> + PartialEq> PartialEq for Filters<'a, T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a, T: Entry<'a> + Eq> Eq for Filters<'a, T> {}

impl<'a, T: Entry<'a> + fmt::Debug> fmt::Debug for Filters<'a, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
