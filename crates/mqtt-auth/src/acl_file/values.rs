use crate::Subject;

/// What stands for `%c` and `%u` in one check.
pub(super) struct Values<'a> {
    pub(super) client_id: Value<'a>,
    pub(super) user_name: Value<'a>,
}

impl<'a> Values<'a> {
    pub(super) fn new(who: Subject<'a>) -> Self {
        Self {
            client_id: Value::new(who.client_id),
            user_name: who.identity.user_name().map_or(Value::Missing, Value::new),
        }
    }
}

/// The value of one placeholder.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    /// The client has none.
    Missing,
    /// It is no text that fits into one level of a topic name; putting it in would change the
    /// shape of the rule.
    Unusable,
    /// It is compared as it is.
    Literal(&'a str),
}

impl<'a> Value<'a> {
    fn new(text: &'a str) -> Self {
        if text.is_empty() || text.contains(['+', '#', '/', '\0']) {
            Self::Unusable
        } else {
            Self::Literal(text)
        }
    }
}
