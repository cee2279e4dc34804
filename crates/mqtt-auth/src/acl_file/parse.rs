use std::{collections::HashMap, path::Path};

use mqtt_topics::TopicFilterRef;

use super::rule::{Access, Rule};
use crate::{LoadError, load_error::Problem};

/// All rules of a file, by whom they are for.
#[derive(Debug, Default)]
pub(super) struct RuleSet {
    anonymous: Vec<Rule>,
    users: HashMap<Box<str>, Vec<Rule>>,
    patterns: Vec<Rule>,
}

impl RuleSet {
    /// The rules for everybody.
    pub(super) fn all(&self) -> impl Iterator<Item = &Rule> {
        self.users.values().chain([&self.anonymous, &self.patterns]).flatten()
    }

    pub(super) fn parse(text: &str, path: Option<&Path>) -> Result<Self, LoadError> {
        let mut rules = Self::default();
        let mut section = Section::Anonymous;
        for (index, line) in text.lines().enumerate() {
            rules.take_line(&mut section, line).map_err(|problem| problem.at(path, index))?;
        }
        Ok(rules)
    }

    /// The `topic` rules for the user of this name, or for anonymous clients.
    pub(super) fn for_user(&self, name: Option<&str>) -> impl Iterator<Item = &Rule> {
        let rules = match name {
            Some(name) => self.users.get(name),
            None => Some(&self.anonymous),
        };
        rules.into_iter().flatten()
    }

    /// The rules for everyone.
    pub(super) fn patterns(&self) -> impl Iterator<Item = &Rule> {
        self.patterns.iter()
    }

    fn take_line(&mut self, section: &mut Section, line: &str) -> Result<(), Problem> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        match split_word(line) {
            ("user", name) => *section = user_section(name)?,
            ("topic", rest) => {
                let (access, filter) = access_and_filter("topic", rest)?;
                self.section(section).push(Rule::topic(access, filter));
            }
            ("pattern", rest) => {
                let (access, filter) = access_and_filter("pattern", rest)?;
                self.patterns.push(Rule::pattern(access, filter)?);
            }
            (word, _) => return Err(unknown_keyword(word)),
        }
        Ok(())
    }

    fn section(&mut self, section: &Section) -> &mut Vec<Rule> {
        match section {
            Section::Anonymous => &mut self.anonymous,
            Section::User(name) => self.users.entry(name.clone()).or_default(),
        }
    }
}

/// Whom `topic` lines are for.
enum Section {
    Anonymous,
    User(Box<str>),
}

fn user_section(name: &str) -> Result<Section, Problem> {
    if name.is_empty() {
        let remedy = "write `user NAME`; rules for anonymous clients stand before the first `user`";
        return Err(Problem::new("`user` without a name", remedy));
    }
    Ok(Section::User(name.into()))
}

fn access_and_filter<'a>(keyword: &str, rest: &'a str) -> Result<(Access, &'a str), Problem> {
    let (word, after) = split_word(rest);
    let (access, filter) = match (access(word), after) {
        (_, "") if word.is_empty() => return Err(no_filter(keyword)),
        (Some(_), "") => return Err(access_without_filter(keyword, word)),
        (Some(access), filter) => (access, filter),
        (None, "") => (Access::ReadWrite, word),
        (None, _) => return Err(unknown_access(keyword, word)),
    };
    check_filter(filter)?;
    Ok((access, filter))
}

fn access(word: &str) -> Option<Access> {
    match word {
        "read" => Some(Access::Read),
        "write" => Some(Access::Write),
        "readwrite" => Some(Access::ReadWrite),
        "deny" => Some(Access::Deny),
        _ => None,
    }
}

fn check_filter(filter: &str) -> Result<(), Problem> {
    if filter.split('/').next() == Some("$share") {
        let remedy = "write the filter behind the share name: rules are about topics";
        return Err(Problem::new(format!("the shared filter {filter:?}"), remedy));
    }
    TopicFilterRef::new(filter).map(drop).map_err(|error| {
        let problem = format!("invalid topic filter {filter:?}: {error}");
        Problem::new(problem, "`+` must be a whole level, and `#` the whole last level")
    })
}

fn split_word(text: &str) -> (&str, &str) {
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim_start()),
        None => (text, ""),
    }
}

fn unknown_keyword(word: &str) -> Problem {
    let remedy = "a line starts with `user`, `topic`, `pattern`, or `#` for a comment";
    Problem::new(format!("unknown keyword {word:?}"), remedy)
}

fn unknown_access(keyword: &str, word: &str) -> Problem {
    let remedy = format!(
        "write `{keyword} ACCESS FILTER`, ACCESS being `read`, `write`, `readwrite` or `deny`; \
         before a filter with spaces it is not optional"
    );
    Problem::new(format!("unknown access {word:?}"), remedy)
}

fn no_filter(keyword: &str) -> Problem {
    let remedy = format!("write `{keyword} [read|write|readwrite|deny] FILTER`");
    Problem::new(format!("`{keyword}` without a topic filter"), remedy)
}

fn access_without_filter(keyword: &str, word: &str) -> Problem {
    let remedy = format!(
        "add the filter, or write `{keyword} readwrite {word}` if it is the topic {word:?}"
    );
    Problem::new(format!("`{keyword} {word}` without a topic filter"), remedy)
}
