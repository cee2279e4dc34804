//! Building and reading bytes, without any check: tests must be able to build what is wrong.

/// Bytes under construction.
#[derive(Debug, Default, Clone)]
pub(crate) struct Body(Vec<u8>);

impl Body {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(crate) fn u16(self, value: u16) -> Self {
        self.raw(value.to_be_bytes())
    }

    pub(crate) fn u32(self, value: u32) -> Self {
        self.raw(value.to_be_bytes())
    }

    /// A variable byte integer in its shortest form.
    pub(crate) fn var(mut self, mut value: usize) -> Self {
        loop {
            let low = u8::try_from(value % 128).unwrap_or(0);
            value /= 128;
            self.0.push(if value > 0 { low | 0x80 } else { low });
            if value == 0 {
                return self;
            }
        }
    }

    /// A string or binary field with its two bytes of length; longer ones are cut.
    pub(crate) fn text(self, field: impl AsRef<[u8]>) -> Self {
        let field = field.as_ref();
        let length = u16::try_from(field.len()).unwrap_or(u16::MAX);
        let cut = field.get(..usize::from(length)).unwrap_or(field);
        self.u16(length).raw(cut)
    }

    pub(crate) fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.extend_from_slice(bytes.as_ref());
        self
    }

    /// Puts a fixed header in front.
    pub(crate) fn packet(self, first: u8) -> Vec<u8> {
        Self::new().u8(first).var(self.0.len()).raw(self.0).bytes()
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Reads fields from the front of a slice; every answer is `None` where the bytes run out.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    /// Whether any variable byte integer so far was longer than needed.
    pub(crate) overlong: bool,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, overlong: false }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// How many bytes are left.
    pub(crate) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(count)?;
        self.rest = tail;
        Some(head)
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub(crate) fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    /// A variable byte integer of at most four bytes.
    pub(crate) fn var(&mut self) -> Option<usize> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.u8()?;
            value |= usize::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                self.overlong |= byte == 0 && shift > 0;
                return Some(value);
            }
        }
        None
    }

    pub(crate) fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.take(usize::from(length))
    }
}

/// Bytes for a message to people: the first 32 of them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let shown: Vec<String> = bytes.iter().take(32).map(|byte| format!("{byte:02X}")).collect();
    let more = if bytes.len() > 32 { " .." } else { "" };
    format!("{}{more}", shown.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_take_their_shortest_form() {
        for (value, bytes) in [
            (0, vec![0]),
            (127, vec![0x7F]),
            (128, vec![0x80, 1]),
            (16_384, vec![0x80, 0x80, 1]),
            (268_435_455, vec![0xFF, 0xFF, 0xFF, 0x7F]),
        ] {
            assert_eq!(Body::new().var(value).bytes(), bytes);
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.var(), Some(value));
            assert!(!reader.overlong);
        }
    }

    #[test]
    fn longer_forms_are_noticed_and_five_bytes_refused() {
        let mut reader = Reader::new(&[0x80, 0x00]);
        assert_eq!((reader.var(), reader.overlong), (Some(0), true));
        assert_eq!(Reader::new(&[0x80, 0x80, 0x80, 0x80, 1]).var(), None);
    }

    #[test]
    fn a_reader_never_reads_past_the_end() {
        let mut reader = Reader::new(&[0, 5, b'a']);
        assert_eq!(reader.text(), None);
        assert_eq!(Reader::new(&[1]).u16(), None);
    }
}
