//! The table of dependencies in the architecture document: every direct one has a line there.

use std::collections::BTreeSet;

use super::{ARCHITECTURE, graph::Graph};

/// The direct dependencies of the workspace that the document has no line for.
pub(super) fn check(graph: &Graph, document: Option<&str>) -> Vec<String> {
    let Some(document) = document else {
        let what = "is missing: it says, among other things, why each dependency is there";
        return vec![format!("{ARCHITECTURE} {what}")];
    };
    let described: BTreeSet<_> = document.lines().flat_map(first_cell).collect();
    let direct: BTreeSet<_> = graph
        .members()
        .flat_map(|package| &package.dependencies)
        .map(|dependency| dependency.name.as_str())
        .filter(|name| !graph.is_member(name))
        .collect();
    let missing = direct.difference(&described);
    let advice = "has no line in the dependency table: say why we need it, or remove it";
    missing.map(|name| format!("{ARCHITECTURE}: {name} {advice}")).collect()
}

/// The names in the first cell of a line of a table: code, links and lists will do.
fn first_cell(line: &str) -> impl Iterator<Item = &str> {
    let cell = line.trim().strip_prefix('|').and_then(|rest| rest.split('|').next());
    let separators = |letter: char| letter.is_whitespace() || ",`[]()".contains(letter);
    cell.unwrap_or_default().split(separators).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::graph::sketch;

    const WORKSPACE: &str = "mqtt-packet: nom, dev proptest\n surgemq: mqtt-packet";

    #[test]
    fn a_table_with_every_dependency_is_fine() {
        let document =
            "| crate | why |\n|---|---|\n| `nom` | parses |\n| [proptest](x) | tests |\n";
        assert_eq!(check(&sketch(WORKSPACE), Some(document)), [""; 0]);
    }

    #[test]
    fn a_dependency_that_is_only_mentioned_is_found() {
        let document = "We like proptest.\n\n| nom | instead of proptest |\n";
        let advice = "has no line in the dependency table: say why we need it, or remove it";
        let expected = format!("ARCHITECTURE.md: proptest {advice}");
        assert_eq!(check(&sketch(WORKSPACE), Some(document)), [expected]);
    }

    #[test]
    fn a_missing_document_is_found() {
        let found = check(&sketch(WORKSPACE), None);
        let what = "is missing: it says, among other things, why each dependency is there";
        assert_eq!(found, [format!("ARCHITECTURE.md {what}")]);
    }
}
