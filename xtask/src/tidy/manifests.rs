//! What every manifest of the workspace says: the shared lints, the licence, a description.

use super::graph::Package;

/// The licence of the workspace.
const LICENCE: &str = "Apache-2.0";

/// The problems with one manifest, of which `text` is the content.
pub(super) fn check(package: &Package, text: &str) -> Vec<String> {
    let name = &package.name;
    let mut problems = Vec::new();
    if !inherits_lints(text) {
        problems.push(format!("{name} does not have `workspace = true` below [lints]: add it"));
    }
    if package.licence.as_deref() != Some(LICENCE) {
        problems.push(format!("{name} does not have the licence {LICENCE}: inherit it"));
    }
    if package.description.as_deref().is_none_or(|text| text.trim().is_empty()) {
        problems.push(format!("{name} has no description: say in one sentence what it is"));
    }
    problems
}

/// Whether the table `[lints]` of the manifest takes over the lints of the workspace.
fn inherits_lints(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim).skip_while(|line| *line != "[lints]").skip(1);
    lines.by_ref().take_while(|line| !line.starts_with('[')).any(|line| line == "workspace = true")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::graph::sketch_package;

    const GOOD: &str = "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n";

    #[test]
    fn a_manifest_with_everything_is_fine() {
        assert_eq!(check(&sketch_package("a"), GOOD), [""; 0]);
    }

    #[test]
    fn lints_of_its_own_are_found() {
        let text = "[lints]\nrust = {}\n\n[dependencies.b]\nworkspace = true\n";
        let expected = "a does not have `workspace = true` below [lints]: add it";
        assert_eq!(check(&sketch_package("a"), text), [expected]);
    }

    #[test]
    fn another_licence_is_found() {
        let package = Package { licence: Some("MIT".to_owned()), ..sketch_package("a") };
        assert_eq!(check(&package, GOOD), ["a does not have the licence Apache-2.0: inherit it"]);
    }

    #[test]
    fn an_empty_description_is_found() {
        let package = Package { description: Some(" ".to_owned()), ..sketch_package("a") };
        let expected = "a has no description: say in one sentence what it is";
        assert_eq!(check(&package, GOOD), [expected]);
    }
}
