//! The command line: what may be said, and who does it.

mod connection;
mod passwd;
mod property_words;
mod publish;
mod room;
mod serve;
mod store;
mod subscribe;
mod url;
mod values;

use std::{ffi::OsString, process::ExitCode};

use clap::{ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand};

pub(crate) use self::{
    connection::{Connection, ConnectionWill},
    passwd::PasswdArgs,
    publish::{PublishArgs, PublishPlan, Source},
    room::RoomArgs,
    serve::{LimitArgs, ListenAddress, ServeArgs, StorageArgs},
    store::{StoreArgs, StoreTask},
    subscribe::{Layout, SubscribeArgs, SubscribePlan},
};
use crate::failure::Failure;

/// Understands the arguments, the program's name first, and does what they say.
///
/// Exit codes: 0 for success, 2 for a command line that makes no sense, 1 or a code of its own for
/// what fails later.
pub(crate) fn run(arguments: Vec<OsString>) -> ExitCode {
    let said = arguments.clone();
    let command = match parse(arguments) {
        Ok(command) => command,
        Err(error) => {
            complain(&error, &said);
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let quiet = command.is_quiet();
    let code = command.run().unwrap_or_else(|failure| {
        if !quiet {
            tell(&failure);
        }
        failure.exit_code()
    });
    crate::log::finish();
    code
}

/// Prints what clap has to say. Arguments in it that may hold a password are left out: a URL stands
/// where none belongs more often than not with everything that it has.
fn complain(error: &clap::Error, arguments: &[OsString]) {
    use std::io::Write;
    let text = error.render().to_string();
    let hidden = without_secrets(&text, arguments);
    // Nobody is left to tell if this cannot be written.
    drop(match hidden == text {
        true => error.print(),
        false => write!(std::io::stderr(), "{hidden}"),
    });
}

/// Replaces each argument that has credentials in it, as `mqtt://user:password@host` has.
fn without_secrets(text: &str, arguments: &[OsString]) -> String {
    let mut text = text.to_owned();
    for argument in arguments.iter().map(|argument| argument.to_string_lossy()) {
        // Of `--option=value` and `-Lvalue` the value alone may be repeated too.
        let value = argument.split_once('=').map_or(&*argument, |(_, value)| value);
        for word in [&*argument, value, argument.get(2..).unwrap_or_default()] {
            let is_url = word.contains("://");
            let has_login = word.split_once(':').is_some_and(|(_, rest)| rest.contains('@'));
            if is_url || has_login {
                text = text.replace(word, "***");
            }
        }
    }
    text
}

/// Writes a failure as one line; unlike `eprintln!` it does not mind if nobody listens.
pub(crate) fn tell(line: &dyn std::fmt::Display) {
    crate::log::say(line);
}

/// An MQTT 3.1, 3.1.1 and 5.0 broker, and the tools to talk to one.
///
/// Without a command: `surgemq serve`.
#[derive(Debug, Parser)]
#[command(name = "surgemq", version, disable_help_flag = true, disable_version_flag = true)]
#[command(disable_help_subcommand = true)]
struct Cli {
    /// Print help
    #[arg(long, global = true, action = ArgAction::Help)]
    help: Option<bool>,

    /// Print the version
    #[arg(long, action = ArgAction::Version)]
    version: Option<bool>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the broker
    #[command(after_help = serve::NOTES)]
    Serve(Box<ServeArgs>),
    /// Publish messages, as mosquitto_pub does
    #[command(after_help = publish::NOTES)]
    Pub(Box<PublishArgs>),
    /// Subscribe and print messages, as mosquitto_sub does
    #[command(after_help = subscribe::NOTES)]
    Sub(Box<SubscribeArgs>),
    /// Add a user to a password file, or change or remove one
    #[command(after_help = passwd::NOTES)]
    Passwd(PasswdArgs),
    /// Check, export or salvage a data directory
    #[command(after_help = store::NOTES)]
    Store(StoreArgs),
}

impl Command {
    /// Whether failures are not to be printed.
    fn is_quiet(&self) -> bool {
        match self {
            Self::Pub(publish) => publish.connection.quiet,
            Self::Sub(subscribe) => subscribe.connection.quiet,
            Self::Serve(_) | Self::Passwd(_) | Self::Store(_) => false,
        }
    }

    fn run(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Serve(serve) => crate::serve::run(&serve),
            Self::Passwd(passwd) => crate::passwd::run(&passwd),
            Self::Store(store) => crate::store::run(&store),
            Self::Pub(publish) => crate::publish::run(&publish),
            Self::Sub(subscribe) => crate::subscribe::run(&subscribe),
        }
    }
}

fn parse(arguments: Vec<OsString>) -> Result<Command, clap::Error> {
    let grammar = grammar();
    let (arguments, properties) = property_words::extract(&grammar, arguments);
    let mut cli = Cli::from_arg_matches(&grammar.try_get_matches_from(arguments)?)?;
    match &mut cli.command {
        Some(Command::Pub(publish)) => publish.connection.properties = properties,
        Some(Command::Sub(subscribe)) => subscribe.connection.properties = properties,
        _ => {}
    }
    match cli.command {
        Some(command) => Ok(command),
        None => parse(vec!["surgemq".into(), "serve".into()]),
    }
}

/// What may be said. In `pub` and `sub` the word after an option is its value even if it starts
/// with a dash: `-m -5` and `-x -1` are what users of mosquitto's tools write. Of an option that is
/// given twice the last one counts, so that an alias of the shell can be overridden.
fn grammar() -> clap::Command {
    ["pub", "sub"].into_iter().fold(Cli::command(), |grammar, name| {
        grammar.mut_subcommand(name, |command| {
            command.args_override_self(true).mut_args(|arg| {
                let takes_value = arg.get_action().takes_values();
                arg.allow_hyphen_values(takes_value)
            })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Command, clap::Error> {
        parse(line.split(' ').map(OsString::from).collect())
    }

    #[test]
    fn notes_fit_into_a_terminal() {
        for notes in [serve::NOTES, publish::NOTES, subscribe::NOTES, passwd::NOTES, store::NOTES] {
            assert!(notes.lines().all(|line| line.chars().count() <= 80), "{notes}");
        }
    }

    #[test]
    fn the_grammar_holds_together() {
        grammar().debug_assert();
    }

    #[test]
    fn no_command_is_serve() {
        assert!(matches!(parse_line("surgemq"), Ok(Command::Serve(_))));
    }

    #[test]
    fn help_is_long_because_h_is_the_host() {
        let error = parse_line("surgemq sub --help").unwrap_err();
        assert_eq!(error.kind(), clap::error::ErrorKind::DisplayHelp);
        let Ok(Command::Sub(sub)) = parse_line("surgemq sub -h example.org -t a") else { panic!() };
        assert_eq!(sub.connection.host.as_deref(), Some("example.org"));
    }

    #[test]
    fn a_value_may_start_with_a_dash() {
        let Ok(Command::Pub(publish)) = parse_line("surgemq pub -t a -m -5 -x -1") else {
            panic!()
        };
        assert_eq!(publish.message.as_deref(), Some("-5".as_ref()));
        assert_eq!(publish.connection.session_expiry, Some(u32::MAX));
    }

    #[test]
    fn the_last_of_two_options_counts_but_topics_add_up() {
        let line = "surgemq sub -q 1 -t a -V 5 -q 2 -V 311 -t b";
        let Ok(Command::Sub(subscribe)) = parse_line(line) else { panic!() };
        assert_eq!(subscribe.topics, ["a", "b"]);
        assert_eq!(subscribe.qos, mqtt_packet::QoS::ExactlyOnce);
        assert_eq!(subscribe.connection.version, Some(mqtt_packet::Version::V311));
    }

    #[test]
    fn a_url_where_none_belongs_keeps_its_password() {
        for line in [
            "surgemq sub mqtt://alice:s3cret@h/t",
            "surgemq pub -t a -m b alice:s3cret@h",
            "surgemq sub --ulr=mqtt://alice:s3cret@h/t",
            "surgemq sub -t a -q mqtt://alice:s3cret@h",
            "surgemq pub -t a -L mqtt://alice:s3cret@h -h x -k mqtt://alice:s3cret",
            "surgemq mqtt://alice:s3cret@h",
            "surgemq serve --listen mqtt://alice:s3cret@h:1:2",
        ] {
            let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let error = parse(arguments.clone()).unwrap_err();
            let text = without_secrets(&error.render().to_string(), &arguments);
            assert!(!text.contains("s3cret") && text.contains("error:"), "{line}: {text}");
        }
    }

    #[test]
    fn properties_are_collected_wherever_they_stand() {
        let line = "surgemq pub -D publish user-property k -v -t a -D publish content-type -t -m x";
        let Ok(Command::Pub(publish)) = parse_line(line) else { panic!() };
        assert_eq!(publish.connection.properties.len(), 2);
        assert_eq!(publish.connection.properties[0], ["publish", "user-property", "k", "-v"]);
        assert_eq!(publish.connection.properties[1], ["publish", "content-type", "-t"]);
    }
}
