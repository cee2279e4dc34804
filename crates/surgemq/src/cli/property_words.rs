//! `-D PACKET PROPERTY VALUE` and `-D PACKET user-property NAME VALUE`.
//!
//! How many words belong to a `-D` depends on the second one, which clap cannot express. So these
//! words are taken out of the command line before clap sees it.

use std::ffi::OsString;

use clap::Command;

/// Splits the arguments, the program's name first, into those for clap and the words of each `-D`.
///
/// Only options of `pub` and `sub` are looked at; other commands have a `-D` of their own.
pub(crate) fn extract(
    grammar: &Command,
    arguments: Vec<OsString>,
) -> (Vec<OsString>, Vec<Vec<String>>) {
    let name = arguments.get(1).and_then(|word| word.to_str()).unwrap_or_default();
    let Some(command) = grammar.find_subcommand(name).filter(|_| matches!(name, "pub" | "sub"))
    else {
        return (arguments, Vec::new());
    };
    let (mut rest, mut properties) = (Vec::new(), Vec::new());
    let mut words = arguments.into_iter();
    while let Some(word) = words.next() {
        if word == "-D" || word == "--property" {
            properties.push(take_property(&mut words));
            continue;
        }
        let takes_next = word.to_str().is_some_and(|word| value_follows(command, word));
        rest.push(word);
        rest.extend(takes_next.then(|| words.next()).flatten());
    }
    (rest, properties)
}

fn take_property(words: &mut impl Iterator<Item = OsString>) -> Vec<String> {
    let mut words = words.map(|word| word.to_string_lossy().into_owned());
    let mut taken: Vec<_> = words.by_ref().take(2).collect();
    let is_pair = taken.get(1).is_some_and(|name| name.eq_ignore_ascii_case("user-property"));
    taken.extend(words.take(if is_pair { 2 } else { 1 }));
    taken
}

/// Whether the word is an option whose value is the next word.
fn value_follows(command: &Command, word: &str) -> bool {
    let takes_value = |arg: &&clap::Arg| arg.get_action().takes_values();
    if let Some(long) = word.strip_prefix("--") {
        return command.get_arguments().filter(takes_value).any(|arg| arg.get_long() == Some(long));
    }
    let Some(shorts) = word.strip_prefix('-') else {
        return false;
    };
    // In `-vt topic` the last letter takes the value, in `-ttopic` it has it already.
    let is_valued =
        |c| command.get_arguments().filter(takes_value).any(|a| a.get_short() == Some(c));
    shorts
        .chars()
        .position(is_valued)
        .is_some_and(|at| at.saturating_add(1) == shorts.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grammar() -> Command {
        let option = |id: &'static str, short| clap::Arg::new(id).short(short).long(id);
        let flag = option("verbose", 'v').action(clap::ArgAction::SetTrue);
        Command::new("x")
            .subcommand(Command::new("pub").arg(option("topic", 't')).arg(flag))
            .subcommand(Command::new("passwd"))
    }

    /// What is left, then the words of each property.
    fn split(line: &str) -> (String, Vec<String>) {
        let (rest, properties) = extract(&grammar(), line.split(' ').map(OsString::from).collect());
        let rest: Vec<_> = rest.iter().map(|word| word.to_string_lossy()).collect();
        (rest.join(" "), properties.iter().map(|words| words.join(" ")).collect())
    }

    #[test]
    fn a_property_takes_three_words_and_a_user_property_four() {
        let (rest, properties) = split("x pub -D a b c -t t --property a user-property k v -v");
        assert_eq!(rest, "x pub -t t -v");
        assert_eq!(properties, ["a b c", "a user-property k v"]);
    }

    #[test]
    fn the_value_of_another_option_is_not_a_property() {
        for line in ["x pub -t -D", "x pub --topic -D", "x pub -vt -D"] {
            assert_eq!(split(line), (line.to_owned(), vec![]));
        }
    }

    #[test]
    fn an_option_that_has_its_value_takes_no_other_word() {
        for line in ["x pub -ta -D a b c", "x pub --topic=a -D a b c", "x pub -v -D a b c"] {
            assert_eq!(split(line).1, ["a b c"], "{line}");
        }
    }

    #[test]
    fn other_commands_have_a_d_of_their_own() {
        assert_eq!(split("x passwd -D file user"), ("x passwd -D file user".to_owned(), vec![]));
    }

    #[test]
    fn words_that_are_missing_are_left_to_whoever_understands_them() {
        assert_eq!(split("x pub -D a").1, ["a"]);
    }
}
