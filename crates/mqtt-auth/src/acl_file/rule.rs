use super::values::{Value, Values};

/// One `topic` or `pattern` line, taken apart so that a check builds no strings.
#[derive(Debug)]
pub(super) struct Rule {
    access: Access,
    levels: Box<[Level]>,
}

/// What a rule does with the topics it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
    ReadWrite,
    Deny,
}

impl Access {
    pub(super) fn permits_read(self) -> bool {
        matches!(self, Self::Read | Self::ReadWrite)
    }

    pub(super) fn permits_write(self) -> bool {
        matches!(self, Self::Write | Self::ReadWrite)
    }

    pub(super) fn denies(self) -> bool {
        self == Self::Deny
    }
}

/// One level of a rule's filter.
#[derive(Debug)]
enum Level {
    /// `#`
    Multi,
    /// `+`
    Single,
    /// Text, in which placeholders may stand.
    Text(Box<[Piece]>),
}

#[derive(Debug)]
enum Piece {
    Literal(Box<str>),
    ClientId,
    UserName,
}

impl Rule {
    /// A rule in which `%c` and `%u` are text. The filter must be valid.
    pub(super) fn topic(access: Access, filter: &str) -> Self {
        Self::new(access, filter, |level| [Piece::Literal(level.into())].into())
    }

    /// A rule in which `%c` and `%u` are placeholders. The filter must be valid.
    pub(super) fn pattern(access: Access, filter: &str) -> Self {
        Self::new(access, filter, pieces)
    }

    fn new(access: Access, filter: &str, text: impl Fn(&str) -> Box<[Piece]>) -> Self {
        let level = |level| match level {
            "#" => Level::Multi,
            "+" => Level::Single,
            other => Level::Text(text(other)),
        };
        Self { access, levels: filter.split('/').map(level).collect() }
    }

    pub(super) fn access(&self) -> Access {
        self.access
    }

    /// Whether the rule exists for the client with these values at all.
    pub(super) fn applies_to(&self, values: &Values<'_>) -> bool {
        let pieces = self.levels.iter().flat_map(Level::pieces);
        let mut values_used = pieces.filter_map(|piece| piece.placeholder(values));
        if self.access.denies() {
            return values_used.all(|value| !matches!(value, Value::Missing));
        }
        values_used.all(|value| matches!(value, Value::Literal(_)))
            && !self.begins_with_claimed_dollar(values)
    }

    /// Whether the client would reach the server's own topics by calling itself `$SYS`.
    fn begins_with_claimed_dollar(&self, values: &Values<'_>) -> bool {
        let first = self.levels.first().and_then(|level| level.pieces().first());
        let value = first.and_then(|piece| piece.placeholder(values));
        matches!(value, Some(Value::Literal(text)) if text.starts_with('$'))
    }

    /// Whether the rule is about this topic.
    pub(super) fn matches(&self, topic: &str, values: &Values<'_>) -> bool {
        let mut names = topic.split('/');
        for (level, is_first) in self.looks(values) {
            match (level, names.next()) {
                (Look::Multi, name) => return !(is_first && name.is_some_and(begins_with_dollar)),
                (_, None) => return false,
                (Look::Single, Some(name)) if is_first && begins_with_dollar(name) => return false,
                (Look::Single, Some(_)) => {}
                (Look::Text(text), Some(name)) if !text.equals(name) => return false,
                (Look::Text(_), Some(_)) => {}
            }
        }
        names.next().is_none()
    }

    /// Whether some topic matches both the rule and this filter.
    pub(super) fn overlaps(&self, filter: &str, values: &Values<'_>) -> bool {
        let mut others = filter.split('/');
        for (level, is_first) in self.looks(values) {
            match (level, others.next()) {
                (Look::Multi, other) => {
                    return !(is_first && other.is_some_and(begins_with_dollar));
                }
                (_, None) => return false,
                (Look::Text(text), Some("#")) => return !(is_first && text.begins_with_dollar()),
                (Look::Single, Some("#")) => return true,
                (Look::Text(text), Some("+")) if is_first && text.begins_with_dollar() => {
                    return false;
                }
                (Look::Single | Look::Text(_), Some("+")) => {}
                (Look::Single, Some(name)) if is_first && begins_with_dollar(name) => return false,
                (Look::Single, Some(_)) => {}
                (Look::Text(text), Some(name)) if !text.equals(name) => return false,
                (Look::Text(_), Some(_)) => {}
            }
        }
        // `a/#` includes `a`.
        matches!(others.next(), None | Some("#"))
    }

    /// Whether every topic that matches this filter matches the rule.
    pub(super) fn covers(&self, filter: &str, values: &Values<'_>) -> bool {
        // A topic has at least one level, so that a lone `#` asks for what `+/#` asks for.
        let mut others = if filter == "#" { "+/#" } else { filter }.split('/');
        for (level, is_first) in self.looks(values) {
            match (level, others.next()) {
                (Look::Multi, other) => {
                    return !(is_first && other.is_some_and(begins_with_dollar));
                }
                (_, None | Some("#")) => return false,
                (Look::Single, Some(name)) if is_first && begins_with_dollar(name) => return false,
                (Look::Single, Some(_)) => {}
                (Look::Text(text), Some(name)) if !text.equals(name) => return false,
                (Look::Text(_), Some(_)) => {}
            }
        }
        others.next().is_none()
    }

    /// The levels as they are for the client with these values, and whether each is the first.
    fn looks<'a>(&'a self, values: &'a Values<'a>) -> impl Iterator<Item = (Look<'a>, bool)> {
        let looks = self.levels.iter().map(|level| Look::at(level, values));
        looks.enumerate().map(|(index, look)| (look, index == 0))
    }
}

impl Level {
    fn pieces(&self) -> &[Piece] {
        match self {
            Self::Multi | Self::Single => &[],
            Self::Text(pieces) => pieces,
        }
    }
}

impl Piece {
    fn placeholder<'a>(&self, values: &Values<'a>) -> Option<Value<'a>> {
        match self {
            Self::Literal(_) => None,
            Self::ClientId => Some(values.client_id),
            Self::UserName => Some(values.user_name),
        }
    }
}

/// A level as it is for one client.
enum Look<'a> {
    Multi,
    Single,
    Text(Text<'a>),
}

impl<'a> Look<'a> {
    /// An unusable value ends the rule in `#`. This is for `deny` rules, which it must not disarm;
    /// other rules do not apply to such a client in the first place.
    fn at(level: &'a Level, values: &'a Values<'a>) -> Self {
        match level {
            Level::Multi => Self::Multi,
            Level::Single => Self::Single,
            Level::Text(pieces) => {
                let text = Text { pieces, values };
                if text.is_usable() { Self::Text(text) } else { Self::Multi }
            }
        }
    }
}

/// The text of one level for one client, without ever being put together.
struct Text<'a> {
    pieces: &'a [Piece],
    values: &'a Values<'a>,
}

impl Text<'_> {
    fn is_usable(&self) -> bool {
        self.parts().all(|part| part.is_some())
    }

    fn equals(&self, name: &str) -> bool {
        let mut rest = Some(name);
        for part in self.parts() {
            rest = rest.zip(part).and_then(|(rest, part)| rest.strip_prefix(part));
        }
        rest == Some("")
    }

    fn begins_with_dollar(&self) -> bool {
        self.parts().next().flatten().is_some_and(begins_with_dollar)
    }

    fn parts(&self) -> impl Iterator<Item = Option<&str>> {
        self.pieces.iter().map(|piece| match piece {
            Piece::Literal(text) => Some(&**text),
            placeholder => match placeholder.placeholder(self.values) {
                Some(Value::Literal(text)) => Some(text),
                _ => None,
            },
        })
    }
}

fn begins_with_dollar(level: &str) -> bool {
    level.starts_with('$')
}

/// Takes the text of one level apart at its placeholders.
fn pieces(level: &str) -> Box<[Piece]> {
    let mut pieces = Vec::new();
    let mut rest = level;
    while let Some((before, piece, after)) = split_at_placeholder(rest) {
        if !before.is_empty() {
            pieces.push(Piece::Literal(before.into()));
        }
        pieces.push(piece);
        rest = after;
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Literal(rest.into()));
    }
    pieces.into()
}

fn split_at_placeholder(text: &str) -> Option<(&str, Piece, &str)> {
    let client_id = text.split_once("%c").map(|(before, after)| (before, Piece::ClientId, after));
    let user_name = text.split_once("%u").map(|(before, after)| (before, Piece::UserName, after));
    match (client_id, user_name) {
        (Some(c), Some(u)) => Some(if c.0.len() < u.0.len() { c } else { u }),
        (c, u) => c.or(u),
    }
}
