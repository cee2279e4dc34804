//! The packages and their dependencies, as `cargo metadata` tells them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use crate::failure::Failure;

/// What a dependency is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// Part of what is built.
    Normal,
    /// For tests, examples and benchmarks.
    Development,
    /// For the build script.
    Build,
}

/// One line of a manifest's dependency tables.
#[derive(Clone, Debug)]
pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) kind: Kind,
}

/// One package of the graph.
#[derive(Clone, Debug)]
pub(super) struct Package {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) manifest_path: String,
    pub(super) licence: Option<String>,
    pub(super) description: Option<String>,
    /// Whether `cargo publish` would take it.
    pub(super) published: bool,
    /// What its own manifest names.
    pub(super) dependencies: Vec<Dependency>,
}

/// All packages, and which of them are built into which.
#[derive(Debug)]
pub(super) struct Graph {
    packages: BTreeMap<String, Package>,
    member_ids: BTreeSet<String>,
    /// The normal dependencies of each package, all ids.
    normal_edges: BTreeMap<String, Vec<String>>,
}

impl Graph {
    /// Reads the output of `cargo metadata --format-version 1`.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let malformed = |error| Failure::new(format!("`cargo metadata` printed no JSON: {error}"));
        let root: Value = serde_json::from_str(text).map_err(malformed)?;
        let packages = items(&root, "packages").iter().map(package);
        let nodes = root.get("resolve").map_or(&[][..], |resolve| items(resolve, "nodes"));
        let members = items(&root, "workspace_members").iter().filter_map(Value::as_str);
        let graph = Self {
            packages: packages.map(|package| (package.id.clone(), package)).collect(),
            member_ids: members.map(str::to_owned).collect(),
            normal_edges: nodes
                .iter()
                .map(|node| (string(node, "id"), normal_edges(node)))
                .collect(),
        };
        // Every check of an empty graph would pass.
        if graph.members().next().is_none() || graph.normal_edges.is_empty() {
            return Err(Failure::new("`cargo metadata` tells of no packages: update xtask to it"));
        }
        Ok(graph)
    }

    /// The packages of the workspace.
    pub(super) fn members(&self) -> impl Iterator<Item = &Package> {
        self.member_ids.iter().filter_map(|id| self.packages.get(id))
    }

    /// Whether a package of this name belongs to the workspace.
    pub(super) fn is_member(&self, name: &str) -> bool {
        self.members().any(|package| package.name == name)
    }

    /// Every package built into `package`, each with the names that lead there, nearest first.
    pub(super) fn built_into(&self, package: &Package) -> Vec<(&Package, Vec<&str>)> {
        let mut seen = BTreeSet::from([package.id.as_str()]);
        let mut queue = VecDeque::from([(package.id.as_str(), Vec::new())]);
        let mut found = Vec::new();
        while let Some((id, way)) = queue.pop_front() {
            let next = self.normal_edges.get(id).into_iter().flatten();
            for dependency in next.filter_map(|id| self.packages.get(id)) {
                if seen.insert(&dependency.id) {
                    found.push((dependency, way.clone()));
                    let mut way = way.clone();
                    way.push(dependency.name.as_str());
                    queue.push_back((&dependency.id, way));
                }
            }
        }
        found
    }
}

fn package(value: &Value) -> Package {
    let text = |key| value.get(key).and_then(Value::as_str).map(str::to_owned);
    Package {
        id: string(value, "id"),
        name: string(value, "name"),
        manifest_path: string(value, "manifest_path"),
        licence: text("license"),
        description: text("description"),
        // `publish = false` is told as an empty list of registries, and "anywhere" as null.
        published: value.get("publish").and_then(Value::as_array).is_none_or(|to| !to.is_empty()),
        dependencies: items(value, "dependencies").iter().map(dependency).collect(),
    }
}

fn dependency(value: &Value) -> Dependency {
    Dependency { name: string(value, "name"), kind: kind(value) }
}

fn normal_edges(node: &Value) -> Vec<String> {
    let is_normal = |edge: &&Value| {
        items(edge, "dep_kinds").iter().any(|dep_kind| kind(dep_kind) == Kind::Normal)
    };
    items(node, "deps").iter().filter(is_normal).map(|edge| string(edge, "pkg")).collect()
}

fn kind(value: &Value) -> Kind {
    match value.get("kind").and_then(Value::as_str) {
        Some("dev") => Kind::Development,
        Some("build") => Kind::Build,
        _ => Kind::Normal,
    }
}

fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn string(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A graph written as lines such as `mqtt-session: mqtt-packet, dev tokio`. A package with a line
/// of its own belongs to the workspace, unless its name begins with `+`; one whose name begins
/// with `-` is not published.
#[cfg(test)]
pub(super) fn sketch(text: &str) -> Graph {
    let lines = || text.lines().filter_map(|line| line.trim().split_once(':'));
    let plain = |name: &str| name.trim().trim_start_matches(['-', '+']).to_owned();
    let mut graph = Graph {
        packages: BTreeMap::new(),
        member_ids: BTreeSet::new(),
        normal_edges: BTreeMap::new(),
    };
    for (name, list) in lines() {
        let words = list.split(',').map(str::trim).filter(|word| !word.is_empty());
        let dependencies: Vec<_> = words.map(sketch_dependency).collect();
        let normal = dependencies.iter().filter(|edge| edge.kind == Kind::Normal);
        graph.normal_edges.insert(plain(name), normal.map(|edge| edge.name.clone()).collect());
        for Dependency { name, .. } in &dependencies {
            graph.packages.entry(name.clone()).or_insert_with(|| sketch_package(name));
        }
        let published = !name.starts_with('-');
        let package = Package { published, dependencies, ..sketch_package(&plain(name)) };
        graph.packages.insert(plain(name), package);
        if !name.starts_with('+') {
            graph.member_ids.insert(plain(name));
        }
    }
    graph
}

#[cfg(test)]
fn sketch_dependency(word: &str) -> Dependency {
    let (kind, name) = match word.split_once(' ') {
        Some(("dev", name)) => (Kind::Development, name),
        Some(("build", name)) => (Kind::Build, name),
        _ => (Kind::Normal, word),
    };
    Dependency { name: name.to_owned(), kind }
}

/// A published package without dependencies, whose id is its name.
#[cfg(test)]
pub(super) fn sketch_package(name: &str) -> Package {
    Package {
        id: name.to_owned(),
        name: name.to_owned(),
        manifest_path: format!("{name}/Cargo.toml"),
        licence: Some("Apache-2.0".to_owned()),
        description: Some("A sketch.".to_owned()),
        published: true,
        dependencies: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METADATA: &str = r#"{
        "packages": [
            {"id": "a#1", "name": "a", "manifest_path": "a/Cargo.toml", "license": "MIT",
             "description": null, "publish": [], "dependencies": [
                {"name": "b", "kind": null}, {"name": "c", "kind": "dev"}]},
            {"id": "b#1", "name": "b", "publish": null, "dependencies": [{"name": "d", "kind": null}]},
            {"id": "c#1", "name": "c", "dependencies": []},
            {"id": "d#1", "name": "d", "dependencies": []}],
        "workspace_members": ["a#1"],
        "resolve": {"nodes": [
            {"id": "a#1", "deps": [
                {"pkg": "b#1", "dep_kinds": [{"kind": null}]},
                {"pkg": "c#1", "dep_kinds": [{"kind": "dev"}]}]},
            {"id": "b#1", "deps": [{"pkg": "d#1", "dep_kinds": [{"kind": "dev"}, {"kind": null}]}]}]}
    }"#;

    #[test]
    fn the_members_are_told_with_what_their_manifests_say() {
        let graph = Graph::parse(METADATA).unwrap();
        let [member] = graph.members().collect::<Vec<_>>()[..] else { panic!("one member") };
        assert_eq!((member.name.as_str(), member.licence.as_deref()), ("a", Some("MIT")));
        assert_eq!((member.published, member.description.as_deref()), (false, None));
        let kinds: Vec<_> = member.dependencies.iter().map(|edge| edge.kind).collect();
        assert_eq!(kinds, [Kind::Normal, Kind::Development]);
    }

    #[test]
    fn what_is_built_in_leaves_out_development_dependencies() {
        let graph = Graph::parse(METADATA).unwrap();
        let member = graph.members().next().unwrap();
        let found: Vec<_> =
            graph.built_into(member).into_iter().map(|(to, way)| (to.name.as_str(), way)).collect();
        assert_eq!(found, [("b", vec![]), ("d", vec!["b"])]);
    }

    #[test]
    fn a_graph_without_packages_is_a_failure() {
        let failure = Graph::parse("{}").unwrap_err();
        assert!(failure.to_string().starts_with("`cargo metadata` tells of no packages"));
    }

    #[test]
    fn text_that_is_no_json_is_a_failure() {
        let failure = Graph::parse("error: no").unwrap_err();
        assert!(failure.to_string().starts_with("`cargo metadata` printed no JSON"));
    }
}
