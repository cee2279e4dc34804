//! What the clients told, against what they should have told.

use std::collections::BTreeSet;

use crate::failure::Failure;

/// The stories told so far. A story is named `CLIENT VERSION: STORY`.
#[derive(Debug)]
pub(super) struct Tally {
    /// The stories that are still to be told.
    expected: BTreeSet<String>,
    ok: usize,
    failed: usize,
}

impl Tally {
    /// A tally of the stories to tell.
    pub(super) fn new(expected: impl IntoIterator<Item = String>) -> Self {
        Self { expected: expected.into_iter().collect(), ok: 0, failed: 0 }
    }

    /// Counts and prints one line of a client: `ok   STORY` or `FAIL STORY: WHY`.
    pub(super) fn tell(&mut self, line: &str) {
        println!("{line}");
        let is_counted = match (line.strip_prefix("ok   "), line.strip_prefix("FAIL ")) {
            (Some(story), _) => self.expected.remove(story),
            (_, Some(story)) => {
                self.failed += 1;
                self.forget(story);
                return;
            }
            _ => false,
        };
        if is_counted {
            self.ok += 1;
        } else {
            self.failed += 1;
            println!("FAIL the line above tells no story that was expected");
        }
    }

    /// Counts and prints the outcome of a story that this program told itself.
    pub(super) fn tell_outcome(&mut self, story: &str, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.tell(&format!("ok   {story}")),
            Err(why) => self.tell(&format!("FAIL {story}: {why}")),
        }
    }

    /// Prints what was not told, and fails unless every story went well.
    pub(super) fn finish(self) -> Result<(), Failure> {
        for story in &self.expected {
            println!("FAIL {story}: was not told");
        }
        let failed = self.failed + self.expected.len();
        let summary = format!("interop: {} stories went well, {failed} did not", self.ok);
        if failed > 0 {
            return Err(Failure::new(format!("{summary}; they are marked FAIL above")));
        }
        println!("{summary}");
        Ok(())
    }

    /// A failed story was told, too.
    fn forget(&mut self, line: &str) {
        let is_told =
            |story: &String| line.strip_prefix(story).is_some_and(|why| why.starts_with(':'));
        self.expected.retain(|story| !is_told(story));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally() -> Tally {
        Tally::new(["a 5.0: qos 1", "a 5.0: will"].map(str::to_owned))
    }

    fn complaint(tally: Tally) -> String {
        tally.finish().unwrap_err().to_string()
    }

    #[test]
    fn all_told_and_well_is_success() {
        let mut tally = tally();
        tally.tell("ok   a 5.0: qos 1");
        tally.tell("ok   a 5.0: will");
        assert!(tally.finish().is_ok());
    }

    #[test]
    fn a_story_that_was_not_told_is_a_failure() {
        let mut tally = tally();
        tally.tell("ok   a 5.0: qos 1");
        assert!(complaint(tally).starts_with("interop: 1 stories went well, 1 did not"));
    }

    #[test]
    fn a_failed_story_counts_once() {
        let mut tally = tally();
        tally.tell("ok   a 5.0: qos 1");
        tally.tell_outcome("a 5.0: will", Err("never came".to_owned()));
        assert!(complaint(tally).starts_with("interop: 1 stories went well, 1 did not"));
    }

    #[test]
    fn an_unknown_line_and_a_story_told_twice_are_failures() {
        let mut tally = tally();
        for line in ["ok   a 5.0: qos 1", "ok   a 5.0: qos 1", "ok   a 5.0: will", "Traceback"] {
            tally.tell(line);
        }
        assert!(complaint(tally).starts_with("interop: 2 stories went well, 2 did not"));
    }
}
