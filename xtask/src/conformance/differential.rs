//! The same operations on our broker and on mosquitto, and the page about the differences.

use std::{fs, path::Path};

use super::{installed_mosquitto, mosquitto_version};
use crate::{
    failure::Failure,
    process::{self, program, root},
};

/// Where the page is.
const PAGE: &str = "docs/differential.md";

/// What stands above the table.
const HEAD: &str = include_str!("differential.md");

/// Plays so many sequences; fails at a difference without a verdict.
pub(super) fn run(suite: &Path, ours: &Path, count: u64, write: bool) -> Result<(), Failure> {
    let Some(theirs) = installed_mosquitto() else {
        return Err(Failure::new(
            "mosquitto is not installed, and there is nothing to compare with",
        ));
    };
    let mut command = program(suite);
    command.args(["--differential", &count.to_string()]);
    command.arg("--ours").arg(ours).arg("--mosquitto").arg(&theirs);
    println!("$ {}", process::show(&command));
    let output = command.output().map_err(|error| Failure::new(format!("the suite: {error}")))?;
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    print!("{table}");
    if !output.status.success() {
        let unexplained = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(Failure::new(format!("differences without a verdict:\n{unexplained}")));
    }
    if write {
        let page = HEAD.replace("{theirs}", &mosquitto_version(&theirs)).replace("{table}", &table);
        fs::write(root().join(PAGE), page)
            .map_err(|error| Failure::new(format!("{PAGE}: {error}")))?;
        println!("conformance: {PAGE} is written");
    }
    Ok(())
}
