//! The text at a node.

/// A text that needs no allocation of its own up to `SHORT` bytes.
///
/// Matching compares with the text at the node, so that it had better stand in the node.
#[derive(Debug)]
pub(crate) enum Label<const SHORT: usize> {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Box<str>),
}

impl<const SHORT: usize> Label<SHORT> {
    pub(crate) fn new(text: &str) -> Self {
        let mut bytes = [0; SHORT];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(start), Ok(len)) => {
                start.copy_from_slice(text.as_bytes());
                Label::Short { len, bytes }
            }
            _ => Label::Long(text.into()),
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Label::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Label::Long(text) => text.as_bytes(),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            // It was copied from a `str`, so that this check cannot fail.
            Label::Short { .. } => std::str::from_utf8(self.as_bytes()).unwrap_or_default(),
            Label::Long(text) => text,
        }
    }

    pub(crate) fn is(&self, text: &[u8]) -> bool {
        self.as_bytes() == text
    }

    /// Is this the first level of the text?
    pub(crate) fn begins_with(&self, level: &[u8]) -> bool {
        let rest = self.as_bytes().strip_prefix(level);
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_length_comes_back() {
        for len in [0, 1, 21, 22, 23, 255, 256, 70_000] {
            let text = "é".repeat(len / 2) + if len % 2 == 1 { "x" } else { "" };
            let label = Label::<22>::new(&text);
            assert_eq!(label.as_str(), text);
            assert!(label.is(text.as_bytes()) && !label.is(b"other"));
            assert_eq!(matches!(label, Label::Short { .. }), len <= 22);
        }
    }

    #[test]
    fn the_first_level_is_a_whole_one() {
        let label = Label::<22>::new("ab/c");
        assert!(label.begins_with(b"ab"));
        assert!(!label.begins_with(b"a") && !label.begins_with(b"abc") && !label.begins_with(b""));
        assert!(Label::<22>::new("").begins_with(b"") && Label::<22>::new("/a").begins_with(b""));
    }

    #[test]
    fn it_is_small() {
        assert_eq!((size_of::<Label<22>>(), size_of::<Label<38>>()), (24, 40));
    }
}
