//! The stories that rumqttc tells about a broker: `rumqttc-stories HOST PORT`.
//!
//! Every story prints one line, `ok   rumqttc VERSION: STORY` or
//! `FAIL rumqttc VERSION: STORY: WHY`.

mod peer;
mod stories;
mod v3;
mod v5;

use std::{env, process::ExitCode};

use self::{peer::Version, stories::Story};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [host, port] = &arguments[..] else { return usage() };
    let Ok(port) = port.parse() else { return usage() };
    let mut all_went_well = true;
    for version in [Version::V3, Version::V5] {
        for name in stories::names(version) {
            let story = Story::new(host, port, version);
            all_went_well &= show(version, name, &story.tell(name).await);
        }
    }
    if all_went_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage() -> ExitCode {
    eprintln!("usage: rumqttc-stories HOST PORT");
    ExitCode::FAILURE
}

fn show(version: Version, name: &str, result: &Result<(), String>) -> bool {
    match result {
        Ok(()) => println!("ok   rumqttc {version}: {name}"),
        Err(why) => println!("FAIL rumqttc {version}: {name}: {why}"),
    }
    result.is_ok()
}
