use super::values::{Value, Values};
use crate::load_error::Problem;

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
    Literal(Box<str>),
    /// `%c` of a pattern
    ClientId,
    /// `%u` of a pattern
    UserName,
}

impl Rule {
    /// A rule in which `%c` and `%u` are text. The filter must be valid.
    pub(super) fn topic(access: Access, filter: &str) -> Self {
        Self { access, levels: spelt_out(filter).split('/').map(Level::of_topic).collect() }
    }

    /// A rule in which `%c` and `%u` are placeholders. The filter must be valid.
    pub(super) fn pattern(access: Access, filter: &str) -> Result<Self, Problem> {
        let levels = spelt_out(filter).split('/').map(Level::of_pattern);
        let levels = levels.collect::<Result<_, _>>()?;
        Ok(Self { access, levels })
    }

    pub(super) fn access(&self) -> Access {
        self.access
    }

    /// Whether the rule exists for the client with these values at all.
    pub(super) fn applies_to(&self, values: &Values<'_>) -> bool {
        let mut used = self.levels.iter().filter_map(|level| level.placeholder(values));
        if self.access.denies() {
            return used.all(|value| !matches!(value, Value::Missing));
        }
        used.all(|value| matches!(value, Value::Literal(_)))
            && !self.begins_with_claimed_dollar(values)
    }

    /// Whether the client would reach the server's own topics by calling itself `$SYS`.
    fn begins_with_claimed_dollar(&self, values: &Values<'_>) -> bool {
        let first = self.levels.first().and_then(|level| level.placeholder(values));
        matches!(first, Some(Value::Literal(text)) if begins_with_dollar(text))
    }

    /// Whether the rule is about this topic.
    pub(super) fn matches(&self, topic: &str, values: &Values<'_>) -> bool {
        let mut names = topic.split('/');
        for (level, is_first) in self.looks(values) {
            match (level, names.next()) {
                (Look::Multi, _) => return true,
                (_, None) => return false,
                (Look::Single, Some(name)) if is_first && begins_with_dollar(name) => return false,
                (Look::Text(text), Some(name)) if text != name => return false,
                _ => {}
            }
        }
        names.next().is_none()
    }

    /// Whether some topic matches both the rule and this filter.
    pub(super) fn overlaps(&self, filter: &str, values: &Values<'_>) -> bool {
        let mut others = spelt_out(filter).split('/');
        for (level, is_first) in self.looks(values) {
            match (level, others.next()) {
                (Look::Multi, _) => return true,
                (_, None) => return false,
                (_, Some("#")) => return true,
                (Look::Single, Some(name)) if is_first && begins_with_dollar(name) => return false,
                (Look::Text(text), Some("+")) if is_first && begins_with_dollar(text) => {
                    return false;
                }
                (Look::Text(text), Some(name)) if name != "+" && text != name => return false,
                _ => {}
            }
        }
        // `a/#` includes `a`.
        matches!(others.next(), None | Some("#"))
    }

    /// Whether every topic that matches this filter matches the rule.
    pub(super) fn covers(&self, filter: &str, values: &Values<'_>) -> bool {
        let mut others = spelt_out(filter).split('/');
        for (level, is_first) in self.looks(values) {
            match (level, others.next()) {
                (Look::Multi, _) => return true,
                (_, None | Some("#")) => return false,
                (Look::Single, Some(name)) if is_first && begins_with_dollar(name) => return false,
                (Look::Text(text), Some(name)) if text != name => return false,
                _ => {}
            }
        }
        others.next().is_none()
    }

    /// The levels as they are for the client with these values, and whether each is the first.
    fn looks<'a>(&'a self, values: &'a Values<'a>) -> impl Iterator<Item = (Look<'a>, bool)> {
        let looks = self.levels.iter().map(|level| level.look(values));
        looks.enumerate().map(|(index, look)| (look, index == 0))
    }
}

impl Level {
    fn of_topic(level: &str) -> Self {
        match level {
            "#" => Self::Multi,
            "+" => Self::Single,
            text => Self::Literal(text.into()),
        }
    }

    /// A placeholder beside other text is an error: with `%u-%c`, a client `x` of user `a-b` and
    /// a client `b-x` of user `a` would have the same topics.
    fn of_pattern(level: &str) -> Result<Self, Problem> {
        match level {
            "%c" => Ok(Self::ClientId),
            "%u" => Ok(Self::UserName),
            text if text.contains("%c") || text.contains("%u") => {
                let problem = format!("`%c` or `%u` beside other text in the level {text:?}");
                Err(Problem::new(problem, "a placeholder must be a whole level"))
            }
            other => Ok(Self::of_topic(other)),
        }
    }

    fn placeholder<'a>(&self, values: &Values<'a>) -> Option<Value<'a>> {
        match self {
            Self::ClientId => Some(values.client_id),
            Self::UserName => Some(values.user_name),
            Self::Multi | Self::Single | Self::Literal(_) => None,
        }
    }

    /// A value that cannot be put in ends the rule in `#`. This is for `deny` rules, which it must
    /// not disarm; other rules do not apply to such a client in the first place.
    fn look<'a>(&'a self, values: &Values<'a>) -> Look<'a> {
        match (self, self.placeholder(values)) {
            (_, Some(Value::Literal(text))) => Look::Text(text),
            (_, Some(Value::Missing | Value::Unusable)) | (Self::Multi, None) => Look::Multi,
            (Self::Literal(text), None) => Look::Text(text),
            (_, None) => Look::Single,
        }
    }
}

/// A level as it is for one client.
enum Look<'a> {
    Multi,
    Single,
    Text(&'a str),
}

/// The filter that matches the same topics and in which a `#` may stand for no level. In `#` it may
/// not, because a topic has a level, and in `/#` not, because no topic is empty. Then no `#` is a
/// first level either, and `+` alone has to spare the topics that start with `$`.
fn spelt_out(filter: &str) -> &str {
    match filter {
        "#" => "+/#",
        "/#" => "/+/#",
        other => other,
    }
}

fn begins_with_dollar(level: &str) -> bool {
    level.starts_with('$')
}

#[cfg(test)]
mod tests {
    use mqtt_topics::{TopicFilterRef, TopicNameRef};

    use super::*;
    use crate::{Identity, Subject};

    /// All filters and names of up to three of these levels.
    fn texts(levels: &[&str]) -> Vec<String> {
        let mut texts: Vec<String> = levels.iter().map(ToString::to_string).collect();
        for _ in 0..2 {
            let longer = texts.iter().flat_map(|t| levels.iter().map(move |l| format!("{t}/{l}")));
            texts = longer.chain(levels.iter().map(ToString::to_string)).collect();
        }
        texts
    }

    fn filters() -> Vec<String> {
        let texts = texts(&["", "a", "b", "$s", "+", "#"]);
        texts.into_iter().filter(|text| TopicFilterRef::new(text).is_ok()).collect()
    }

    fn names() -> Vec<String> {
        let texts = texts(&["", "a", "b", "$s"]);
        texts.into_iter().filter(|text| TopicNameRef::new(text).is_ok()).collect()
    }

    fn with_values(check: impl Fn(&Values<'_>)) {
        let identity = Identity::user("a");
        check(&Values::new(Subject { client_id: "b", identity: &identity }));
    }

    #[test]
    fn rules_match_as_topic_filters_do() {
        with_values(|values| {
            for filter in filters() {
                let rule = Rule::topic(Access::Read, &filter);
                for name in names() {
                    let expected = TopicFilterRef::new(&filter)
                        .unwrap()
                        .matches(TopicNameRef::new(&name).unwrap());
                    assert_eq!(rule.matches(&name, values), expected, "{filter} and {name}");
                }
            }
        });
    }

    #[test]
    fn rules_overlap_and_cover_as_topic_filters_do() {
        with_values(|values| {
            for ours in filters() {
                let rule = Rule::topic(Access::Read, &ours);
                let ours = TopicFilterRef::new(&ours).unwrap();
                for theirs in &filters() {
                    let other = TopicFilterRef::new(theirs).unwrap();
                    let overlaps = rule.overlaps(theirs, values);
                    assert_eq!(overlaps, ours.overlaps(other), "{ours} and {theirs}");
                    let covers = rule.covers(theirs, values);
                    assert_eq!(covers, ours.covers(other), "{ours} and {theirs}");
                }
            }
        });
    }

    #[test]
    fn placeholders_match_what_their_values_would_match() {
        with_values(|values| {
            for filter in filters() {
                let pattern = filter.replace('a', "%u").replace('b', "%c");
                let pattern = Rule::pattern(Access::Read, &pattern).unwrap();
                let rule = Rule::topic(Access::Read, &filter);
                for name in names() {
                    assert_eq!(pattern.matches(&name, values), rule.matches(&name, values));
                }
            }
        });
    }
}
