//! File descriptors: each connection takes one, and what the broker itself opens must never fail
//! for want of them. So connections get what is left, and those beyond are closed at once.

use mqtt_server::Limits;

use crate::{cli, failure::Failure};

/// Kept free for what is opened for a moment: journals and tables of the store, files that are
/// loaded anew, a connection that is accepted and then refused.
const MARGIN: usize = 24;

/// Where the system does not say how many descriptors are in use.
const IN_USE_GUESS: usize = 40;

/// With the default limit a broker with fewer connections than these says so.
const MANY: usize = 10_000;

/// How many descriptors the program may open; `None` if there is no limit.
#[derive(Copy, Clone, Debug)]
pub(super) struct Descriptors(Option<usize>);

impl Descriptors {
    /// Raises the number of descriptors that the program may open to what it may raise it to.
    ///
    /// Many systems start a program with 1,024, for those that cannot use more.
    #[cfg(unix)]
    pub(super) fn raise() -> Self {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        if current != maximum
            && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        {
            let now = current.unwrap_or(0);
            tracing::warn!(%error, "cannot raise the limit of descriptors, which is {now}");
        }
        let limit = getrlimit(Resource::Nofile).current;
        Self(limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)))
    }

    /// There is no such limit here.
    #[cfg(not(unix))]
    pub(super) fn raise() -> Self {
        Self(None)
    }

    /// How many files of tables the store may keep open: an eighth, and no more than are of use.
    pub(super) fn for_store(self) -> usize {
        const USEFUL: usize = 900;
        self.0.map_or(USEFUL, |limit| (limit / 8).clamp(16, USEFUL))
    }

    /// Cuts the number of connections to what is left when everything else that the broker needs is
    /// set aside: what is open now, the listeners, `for_store` files and some more.
    ///
    /// # Errors
    /// Nothing is left.
    pub(super) fn cut_connections(
        self,
        limits: &mut Limits,
        asked: Option<u32>,
        listeners: usize,
        for_store: usize,
    ) -> Result<(), Failure> {
        let Some(limit) = self.0 else { return Ok(()) };
        let reserve = in_use() + listeners + for_store + MARGIN;
        let room = limit.saturating_sub(reserve);
        if room == 0 {
            return Err(Failure::new(format!(
                "no more than {limit} descriptors may be open, and the broker itself needs \
                 {reserve}; raise the limit, for example with `ulimit -n`"
            )));
        }
        if room >= limits.connections_max {
            return Ok(());
        }
        limits.connections_max = room;
        let why = format!("{limit} descriptors may be open, and {reserve} are kept for the broker");
        match asked {
            Some(asked) => cli::tell(&format_args!(
                "no more than {room} connections at once, and not the {asked} of \
                 --max-connections: {why}"
            )),
            None if room < MANY => {
                cli::tell(&format_args!("no more than {room} connections at once: {why}"));
            }
            None => tracing::info!("no more than {room} connections at once: {why}"),
        }
        Ok(())
    }
}

/// How many descriptors are open now.
fn in_use() -> usize {
    let listed = std::fs::read_dir("/proc/self/fd").or_else(|_| std::fs::read_dir("/dev/fd"));
    listed.map_or(IN_USE_GUESS, Iterator::count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_get_what_is_left() {
        let mut limits = Limits { connections_max: 1000, ..Limits::default() };
        let open = in_use();
        Descriptors(Some(open + 1124)).cut_connections(&mut limits, None, 1, 16).unwrap();
        // Other tests open files at the same time.
        assert!((900..=1000).contains(&limits.connections_max), "{}", limits.connections_max);
        Descriptors(None).cut_connections(&mut limits, None, 1, 16).unwrap();
        Descriptors(Some(100_000)).cut_connections(&mut limits, None, 1, 16).unwrap();
        assert!(limits.connections_max > 900);
        let failure = Descriptors(Some(10)).cut_connections(&mut limits, None, 1, 16).unwrap_err();
        assert!(failure.to_string().contains("ulimit -n"), "{failure}");
    }

    #[test]
    fn the_store_gets_an_eighth() {
        for (limit, expected) in [(Some(64), 16), (Some(1024), 128), (Some(20_000), 900)] {
            assert_eq!(Descriptors(limit).for_store(), expected);
        }
        assert_eq!(Descriptors(None).for_store(), 900);
    }
}
