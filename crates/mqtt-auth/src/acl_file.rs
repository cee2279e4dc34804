mod parse;
mod rule;
mod values;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::RwLock;

use self::{parse::RuleSet, rule::Rule, values::Values};
use crate::{Action, Authorizer, LoadError, Subject, text_file::TextFile};

/// Access rules from a file in mosquitto's format.
///
/// ```text
/// # Rules before the first `user` line are for anonymous clients.
/// topic read public/#
///
/// user alice
/// topic sensors/#                  # no access given: readwrite
/// topic read commands/+/state
/// topic deny sensors/secret
///
/// # `pattern` rules are for everyone, wherever they stand.
/// pattern readwrite devices/%c/#
/// pattern write users/%u/outbox
/// ```
///
/// (Comments stand on lines of their own; those behind the rules above only explain.)
///
/// # What the lines mean
/// - `user NAME`: the `topic` rules that follow are for this user. NAME is the rest of the line.
/// - `topic [read|write|readwrite|deny] FILTER`: `read` permits to subscribe and to be sent
///   messages, `write` to publish. Rules before the first `user` line apply to **anonymous clients
///   alone**; a client with a user name does not inherit them.
/// - `pattern [read|write|readwrite|deny] FILTER`: the same for every client, with `%c` standing
///   for its client identifier and `%u` for its user name, each as a whole level. In `topic` rules
///   these are just text.
/// - Empty lines, and lines that start with `#`, mean nothing.
///
/// # What wins
/// What no rule permits is denied; an empty file denies everything. A `deny` rule that matches
/// wins over all others, whatever their order, and denies reading as well as writing.
///
/// A subscription is granted if its filter has a topic in common with some `read` rule and does
/// not lie wholly within one `deny` rule. What is delivered is asked for message by message, so a
/// broad filter brings a client nothing that it may not read.
///
/// As in any filter, a wildcard in the first level does not reach topics that start with `$`
/// [MQTT-4.7.2-1]: `topic read #` does not permit `$SYS/broker/uptime`.
///
/// # What is put in for `%c` and `%u`
/// The value is compared as it is, level by level: nothing in it is ever interpreted. A client
/// whose value is empty or contains `+`, `#` or `/` gets nothing from a rule with that
/// placeholder, and neither does one whose value starts with `$` from a rule whose first level
/// starts with the placeholder. Such a value does not disarm a `deny` rule: from the level of the
/// placeholder on, it denies everything. For a client without a user name, rules with `%u` do not
/// exist.
///
/// # Where this differs from mosquitto
/// - A placeholder beside other text in its level is an error. Version 2.0 puts the value in,
///   against its manual.
/// - `pattern deny` outweighs the `topic` rules of the user.
/// - `topic read` and the like are refused as what they are, a forgotten filter. There they give
///   access to a topic of that name.
/// - A value with a `/` in it is not put in.
pub struct AclFile {
    path: Option<PathBuf>,
    rules: RwLock<RuleSet>,
    generation: AtomicU64,
}

impl AclFile {
    /// Loads the rules from a file, to which [`reload`](Self::reload) comes back.
    ///
    /// # Errors
    /// [`LoadError::Read`], or [`LoadError::Line`] for the first line that makes no sense.
    pub fn load(path: impl Into<PathBuf>) -> Result<Self, LoadError> {
        let path = path.into();
        let rules = read(&path)?;
        Ok(Self { path: Some(path), rules: RwLock::new(rules), generation: AtomicU64::new(0) })
    }

    /// Takes the rules from a string.
    ///
    /// # Errors
    /// [`LoadError::Line`] for the first line that makes no sense.
    pub fn parse(text: &str) -> Result<Self, LoadError> {
        let rules = RuleSet::parse(text, None)?;
        Ok(Self { path: None, rules: RwLock::new(rules), generation: AtomicU64::new(0) })
    }

    /// Whether no rule permits anything, as in an empty file.
    #[must_use]
    pub fn permits_nothing(&self) -> bool {
        self.rules.read().all().all(|rule| rule.access().denies())
    }

    /// Loads the file anew. On success all new rules are in force and
    /// [`generation`](Authorizer::generation) has grown; on any error the old rules stay, whole.
    ///
    /// # Errors
    /// As [`load`](Self::load), and [`LoadError::NoFile`] if the rules did not come from a file.
    pub fn reload(&self) -> Result<(), LoadError> {
        let path = self.path.as_deref().ok_or(LoadError::NoFile)?;
        let rules = read(path)?;
        *self.rules.write() = rules;
        // After the rules, so that nobody caches an old answer under the new number.
        self.generation.fetch_add(1, Ordering::Release);
        Ok(())
    }
}

impl Authorizer for AclFile {
    fn authorize(&self, who: Subject<'_>, action: Action<'_>) -> bool {
        let rules = self.rules.read();
        let values = Values::new(who);
        let mut allowed = false;
        let rules = rules.for_user(who.identity.user_name()).chain(rules.patterns());
        for rule in rules.filter(|rule| rule.applies_to(&values)) {
            match effect(rule, &values, action) {
                Effect::Deny => return false,
                Effect::Allow => allowed = true,
                Effect::None => {}
            }
        }
        allowed
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }
}

impl fmt::Debug for AclFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AclFile")
            .field("path", &self.path)
            .field("generation", &self.generation())
            .finish_non_exhaustive()
    }
}

enum Effect {
    None,
    Allow,
    Deny,
}

fn effect(rule: &Rule, values: &Values<'_>, action: Action<'_>) -> Effect {
    let access = rule.access();
    let (permits, concerns) = match action {
        Action::Publish { topic, .. } => {
            (access.permits_write(), rule.matches(topic.as_str(), values))
        }
        Action::Receive { topic } => (access.permits_read(), rule.matches(topic.as_str(), values)),
        Action::Subscribe { filter } if access.denies() => {
            (false, rule.covers(filter.as_str(), values))
        }
        Action::Subscribe { filter } => {
            (access.permits_read(), rule.overlaps(filter.as_str(), values))
        }
    };
    match (concerns, access.denies(), permits) {
        (true, true, _) => Effect::Deny,
        (true, false, true) => Effect::Allow,
        _ => Effect::None,
    }
}

fn read(path: &Path) -> Result<RuleSet, LoadError> {
    RuleSet::parse(&TextFile::read_trusted(path)?.text, Some(path))
}
