//! `cargo xtask tidy`: what the compiler does not check.
//!
//! Every check is a function from facts (the dependency graph, the tracked files) to a list of
//! problems; only this file reads the facts from the disk. A problem is one line: where, what is
//! wrong, and what to do.

mod dependency_table;
mod files;
mod forbidden_text;
mod graph;
mod layers;
mod manifests;
mod statement_ids;

use std::fs;

use self::{
    files::TrackedFile,
    graph::{Graph, Package},
};
use crate::{
    failure::Failure,
    process::{cargo, output, program, root},
};

/// The document that says why each dependency is there.
const ARCHITECTURE: &str = "ARCHITECTURE.md";

/// Runs every check and prints every problem.
pub(crate) fn run() -> Result<(), Failure> {
    let graph = read_graph()?;
    let manifests = read_manifests(&graph)?;
    let files = read_tracked_files()?;
    let architecture = fs::read_to_string(root().join(ARCHITECTURE)).ok();

    let mut problems = layers::check(&graph);
    problems.extend(manifests.iter().flat_map(|(package, text)| manifests::check(package, text)));
    problems.extend(dependency_table::check(&graph, architecture.as_deref()));
    for file in &files {
        problems.extend(files::check(file));
        problems.extend(forbidden_text::check(file));
        problems.extend(statement_ids::check(file));
    }
    report(&problems, files.len())
}

fn report(problems: &[String], files: usize) -> Result<(), Failure> {
    if problems.is_empty() {
        println!("tidy: {files} files and the dependency graph are as they should be");
        return Ok(());
    }
    for problem in problems {
        println!("tidy: {problem}");
    }
    Err(Failure::new(format!("tidy found problems, listed above: {}", problems.len())))
}

fn read_graph() -> Result<Graph, Failure> {
    // With all features, so that no edge hides behind one that is off by default.
    let text = output(&mut cargo(&["metadata", "--format-version", "1", "--all-features"]))?;
    Graph::parse(&text)
}

fn read_manifests(graph: &Graph) -> Result<Vec<(&Package, String)>, Failure> {
    graph
        .members()
        .map(|package| {
            let unreadable = |error| Failure::new(format!("{}: {error}", package.manifest_path));
            let text = fs::read_to_string(&package.manifest_path).map_err(unreadable)?;
            Ok((package, text))
        })
        .collect()
}

fn read_tracked_files() -> Result<Vec<TrackedFile>, Failure> {
    let names = output(program("git").args(["ls-files", "-z"]))?;
    let paths = names.split('\0').filter(|path| !path.is_empty());
    // A file that was deleted without being committed yet has nothing to check.
    let read = paths.filter_map(|path| Some((path, fs::read(root().join(path)).ok()?)));
    Ok(read.map(|(path, bytes)| TrackedFile::new(path, bytes)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_problem_is_enough_to_fail() {
        assert!(report(&[], 3).is_ok());
        let failure = report(&["a.rs:1: wrong".to_owned()], 3).unwrap_err();
        assert_eq!(failure.to_string(), "tidy found problems, listed above: 1");
    }
}
