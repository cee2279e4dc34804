//! How a test is registered.

use super::profile::Profile;
use super::story::Story;
use super::verdict::Done;
use super::version::Version;

/// One test: a statement id, the code, and what it needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Test {
    pub(crate) id: &'static str,
    pub(crate) run: fn(&Story) -> Done,
    pub(crate) profile: Profile,
    /// Starts first, because it waits long.
    pub(crate) slow: bool,
    /// Runs by itself at the catalogue's sizes, because it takes all descriptors that there are.
    pub(crate) wide: bool,
    /// Runs after all others, because it judges their traffic.
    pub(crate) passive: bool,
    /// The versions that it runs with; empty: that of its suite.
    pub(crate) versions: &'static [Version],
}

/// A test that needs nothing special.
pub(crate) const fn test(id: &'static str, run: fn(&Story) -> Done) -> Test {
    let (slow, wide, passive) = (false, false, false);
    Test { id, run, profile: Profile::Plain, slow, wide, passive, versions: &[] }
}

impl Test {
    /// Runs against a broker with this configuration.
    pub(crate) const fn with(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    pub(crate) const fn slow(mut self) -> Self {
        self.slow = true;
        self
    }

    pub(crate) const fn wide(mut self) -> Self {
        self.wide = true;
        self
    }

    pub(crate) const fn passive(mut self) -> Self {
        self.passive = true;
        self
    }

    /// Runs once with each of these versions.
    pub(crate) const fn on(mut self, versions: &'static [Version]) -> Self {
        self.versions = versions;
        self
    }
}
