//! The layers: which crate may import which, and what a crate must never see.

use super::graph::{Dependency, Graph, Kind, Package};

/// Runtimes and thread pools: a pure crate leaves waiting and threads to its caller.
const RUNTIMES: &[&str] = &["tokio", "mio", "async-std", "smol", "rayon", "crossbeam-channel"];

/// Clocks: time is an argument in a pure crate.
const CLOCKS: &[&str] = &["chrono", "time", "jiff", "quanta", "coarsetime", "web-time"];

/// Sources of randomness: they are handed in where a pure crate needs one.
const RANDOMNESS: &[&str] = &["rand", "rand_core", "getrandom", "fastrand", "uuid"];

/// Members that exist for the development of the others alone.
const DEVELOPMENT_ONLY: &[&str] =
    &["mqtt-testkit", "mqtt-conformance", "mqtt-siege", "benches", "xtask"];

/// What one crate may and must not depend on.
struct Layer {
    name: &'static str,
    /// The crates of the workspace that it may import.
    may_import: &'static [&'static str],
    /// What it must not contain, not even through others.
    must_never_see: &'static [&'static [&'static str]],
}

/// The table of the crates, from the lowest layer up.
const LAYERS: &[Layer] = &[
    Layer { name: "mqtt-packet", may_import: &[], must_never_see: &[RUNTIMES, CLOCKS, RANDOMNESS] },
    Layer {
        name: "mqtt-topics",
        may_import: &[],
        must_never_see: &[RUNTIMES, CLOCKS, RANDOMNESS, &["mqtt-packet"]],
    },
    Layer {
        name: "mqtt-session",
        may_import: &["mqtt-packet", "mqtt-topics"],
        must_never_see: &[RUNTIMES, CLOCKS, RANDOMNESS],
    },
    Layer {
        name: "mqtt-auth",
        may_import: &["mqtt-topics"],
        must_never_see: &[&["mqtt-packet", "mqtt-session"]],
    },
    // Beside the runtime, not under it: what reads and writes files blocks.
    Layer {
        name: "mqtt-store",
        may_import: &["mqtt-packet", "mqtt-session"],
        must_never_see: &[&["tokio", "mqtt-server", "mqtt-client"]],
    },
    Layer {
        name: "mqtt-server",
        may_import: &["mqtt-packet", "mqtt-topics", "mqtt-session", "mqtt-auth"],
        must_never_see: &[&["mqtt-client"]],
    },
    Layer {
        name: "mqtt-client",
        may_import: &["mqtt-packet", "mqtt-topics", "mqtt-session"],
        must_never_see: &[&["mqtt-server", "mqtt-auth"]],
    },
    Layer {
        name: "surgemq",
        may_import: &[
            "mqtt-packet",
            "mqtt-topics",
            "mqtt-session",
            "mqtt-auth",
            "mqtt-store",
            "mqtt-server",
            "mqtt-client",
        ],
        must_never_see: &[],
    },
];

/// The problems with the edges of the graph.
pub(super) fn check(graph: &Graph) -> Vec<String> {
    graph.members().flat_map(|package| check_package(graph, package)).collect()
}

fn check_package(graph: &Graph, package: &Package) -> Vec<String> {
    let mut problems = development_only(package);
    if DEVELOPMENT_ONLY.contains(&package.name.as_str()) {
        return problems;
    }
    let Some(layer) = LAYERS.iter().find(|layer| layer.name == package.name) else {
        let name = &package.name;
        problems.push(format!("{name} has no layer: give it one in xtask/src/tidy/layers.rs"));
        return problems;
    };
    problems.extend(imports(graph, package, layer));
    problems.extend(sights(graph, package, layer));
    problems.extend(runtimes_in_tests(package, layer));
    problems
}

/// Members for development alone must not be built into what is published.
fn development_only(package: &Package) -> Vec<String> {
    let is_wrong = |edge: &&Dependency| {
        edge.kind != Kind::Development && DEVELOPMENT_ONLY.contains(&edge.name.as_str())
    };
    let wrong = package.dependencies.iter().filter(|_| package.published).filter(is_wrong);
    let problem = |edge: &Dependency| {
        let (from, to) = (&package.name, &edge.name);
        format!("{from} depends on {to}, which is for tests alone: make it a dev-dependency")
    };
    wrong.map(problem).collect()
}

fn imports(graph: &Graph, package: &Package, layer: &Layer) -> Vec<String> {
    let may_not = |edge: &&Dependency| {
        let name = edge.name.as_str();
        edge.kind != Kind::Development
            && graph.is_member(name)
            && !DEVELOPMENT_ONLY.contains(&name)
            && !layer.may_import.contains(&name)
    };
    let wrong = package.dependencies.iter().filter(may_not);
    let problem = |edge: &Dependency| {
        let (from, to) = (&package.name, &edge.name);
        format!("{from} must not import {to}: the layers forbid it, turn the edge around")
    };
    wrong.map(problem).collect()
}

fn sights(graph: &Graph, package: &Package, layer: &Layer) -> Vec<String> {
    let never = |name: &str| layer.must_never_see.iter().any(|list| list.contains(&name));
    let seen = graph.built_into(package).into_iter().filter(|(to, _)| never(&to.name));
    let problem = |(to, way): (&Package, Vec<&str>)| {
        let through = if way.is_empty() { "directly".to_owned() } else { way.join(" -> ") };
        format!("{} must never see {}, but does ({through})", package.name, to.name)
    };
    seen.map(problem).collect()
}

/// The tests of a pure crate need no runtime either: they hand in the time.
fn runtimes_in_tests(package: &Package, layer: &Layer) -> Vec<String> {
    let is_pure = layer.must_never_see.contains(&RUNTIMES);
    let is_runtime = |edge: &&Dependency| {
        edge.kind == Kind::Development && RUNTIMES.contains(&edge.name.as_str())
    };
    let wrong = package.dependencies.iter().filter(|_| is_pure).filter(is_runtime);
    let problem = |edge: &Dependency| {
        format!("{} is pure, so its tests must not need {}", package.name, edge.name)
    };
    wrong.map(problem).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::graph::sketch;

    fn problems(text: &str) -> Vec<String> {
        check(&sketch(text))
    }

    #[test]
    fn the_layers_as_planned_are_fine() {
        let plan = "mqtt-packet: bytes, nom
                    mqtt-topics: hashbrown
                    mqtt-session: mqtt-packet, mqtt-topics, dev proptest
                    mqtt-auth: mqtt-topics, dev tokio
                    mqtt-server: mqtt-auth, mqtt-session, tokio, dev mqtt-testkit, dev mqtt-client
                    mqtt-client: mqtt-session, tokio
                    -mqtt-testkit: tokio
                    -benches: dev mqtt-session
                    surgemq: mqtt-server, mqtt-client, tokio";
        assert_eq!(problems(plan), [""; 0]);
    }

    #[test]
    fn an_import_upwards_is_found() {
        let found = problems("mqtt-topics:\n mqtt-packet: mqtt-topics");
        let expected =
            "mqtt-packet must not import mqtt-topics: the layers forbid it, turn the edge around";
        assert_eq!(found, [expected]);
    }

    #[test]
    fn a_runtime_behind_another_package_is_found() {
        let found = problems("mqtt-packet: codec\n +codec: framing\n +framing: tokio");
        assert_eq!(found, ["mqtt-packet must never see tokio, but does (codec -> framing)"]);
    }

    #[test]
    fn the_server_does_not_see_the_client() {
        let found = problems("mqtt-client:\n mqtt-server: mqtt-client");
        assert!(
            found.contains(&"mqtt-server must never see mqtt-client, but does (directly)".into())
        );
    }

    #[test]
    fn a_runtime_in_the_tests_of_a_pure_crate_is_found() {
        let found = problems("mqtt-session: dev tokio");
        assert_eq!(found, ["mqtt-session is pure, so its tests must not need tokio"]);
    }

    #[test]
    fn a_test_helper_in_a_published_crate_is_found() {
        let found = problems("-mqtt-testkit:\n surgemq: mqtt-testkit");
        let expected =
            "surgemq depends on mqtt-testkit, which is for tests alone: make it a dev-dependency";
        assert_eq!(found, [expected]);
    }

    #[test]
    fn a_crate_without_a_layer_is_found() {
        let expected = "mqtt-new has no layer: give it one in xtask/src/tidy/layers.rs";
        assert_eq!(problems("mqtt-new: bytes"), [expected]);
    }
}
