//! `--log`: which events become lines.

use tracing_subscriber::filter::{LevelFilter, Targets};

/// What may be given, for messages.
pub(super) const FORMS: &str = "give off, error, warn, info, debug or trace; or levels for parts \
                                of the program, such as warn,mqtt_server=debug";

/// What counts for the parts that are not named.
const DEFAULT: LevelFilter = LevelFilter::WARN;

/// The crates that log something.
const PARTS: [&str; 5] = ["surgemq", "mqtt_server", "mqtt_store", "mqtt_auth", "mqtt_client"];

/// Understands levels and `PART=LEVEL`, separated by commas. A word that is neither is refused: taken
/// for a part, as `tracing-subscriber`'s own filter does, it would silence all others.
///
/// # Errors
/// What is wrong, in a few words.
pub(super) fn parse(text: &str) -> Result<Targets, String> {
    let mut targets = Targets::new();
    let mut default = DEFAULT;
    for word in text.split(',').map(str::trim) {
        match word.split_once('=') {
            None => default = level(word)?,
            Some((part, given)) => targets = targets.with_target(known(part)?, level(given)?),
        }
    }
    Ok(targets.with_default(default))
}

/// What `pub -d` and `sub -d` print.
pub(super) fn of_tools() -> Targets {
    let debug = LevelFilter::DEBUG;
    Targets::new().with_target("surgemq", debug).with_target("mqtt_client", debug)
}

fn level(word: &str) -> Result<LevelFilter, String> {
    match word.trim().to_ascii_lowercase().as_str() {
        "off" => Ok(LevelFilter::OFF),
        "error" => Ok(LevelFilter::ERROR),
        "warn" => Ok(LevelFilter::WARN),
        "info" => Ok(LevelFilter::INFO),
        "debug" => Ok(LevelFilter::DEBUG),
        "trace" => Ok(LevelFilter::TRACE),
        _ => Err(format!("{word:?} is not a level")),
    }
}

/// A crate of the program, or a module of one.
fn known(part: &str) -> Result<&str, String> {
    let part = part.trim();
    let root = part.split("::").next().unwrap_or_default();
    if PARTS.contains(&root) {
        return Ok(part);
    }
    Err(format!("{part:?} is not a part of the program that logs something ({})", PARTS.join(", ")))
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn levels_are_for_everything_or_for_a_part() {
        for (text, server, store) in [
            ("warn", Level::WARN, Level::WARN),
            ("DEBUG", Level::DEBUG, Level::DEBUG),
            ("mqtt_server=debug", Level::DEBUG, Level::WARN),
            ("error, mqtt_server::core = trace", Level::TRACE, Level::ERROR),
        ] {
            let targets = parse(text).unwrap();
            for (target, highest) in [("mqtt_server::core", server), ("mqtt_store", store)] {
                assert!(targets.would_enable(target, &highest), "{text}: {target} {highest}");
                let all = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
                for level in all.iter().filter(|level| **level > highest) {
                    assert!(!targets.would_enable(target, level), "{text}: {target} {level}");
                }
            }
        }
        assert!(!parse("off").unwrap().would_enable("mqtt_store", &Level::ERROR));
    }

    #[test]
    fn an_unknown_word_is_refused() {
        for (text, expected) in [
            ("verbose", "\"verbose\" is not a level"),
            ("", "\"\" is not a level"),
            ("info,", "\"\" is not a level"),
            ("3", "\"3\" is not a level"),
            ("mqtt_server", "\"mqtt_server\" is not a level"),
            ("mqtt_server=loudly", "\"loudly\" is not a level"),
            ("mqtt_sever=debug", "\"mqtt_sever\" is not a part of the program"),
            ("=debug", "\"\" is not a part of the program"),
            ("[span]=debug", "\"[span]\" is not a part of the program"),
        ] {
            let why = parse(text).unwrap_err();
            assert!(why.starts_with(expected), "{text}: {why}");
        }
    }
}
