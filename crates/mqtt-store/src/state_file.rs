//! What a directory should hold, as far as it is known: the number of its last group, and what the
//! clocks showed.
//!
//! The engine takes a journal that is missing or empty for a new one, and a group that was cut off
//! at its very end leaves nothing behind. So the store writes down after each group how far it is,
//! in the file `STATE` beside the database. The file has two places that are written in turn; each
//! has a checksum, so one of them is whole whenever the machine stops. It is not synced: what it
//! says was true when it was written, so an older one says too little and never too much.
//!
//! A place, with numbers in big-endian:
//!
//! ```text
//! "SQST", version 1 u8, flags u8, turn u64, groups written u64, groups on the disk u64,
//! boot identifier 16 bytes, oldest journal u64, newest journal u64, stored time u64, calendar u64, boot time u64,
//! boot identifier of the clocks 16 bytes, xxh3 of all that u64
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom, Write},
    path::Path,
};

use mqtt_session::{BootMark, ClockMark};
use xxhash_rust::xxh3::xxh3_64;

use crate::fields::Fields;

pub(crate) const NAME: &str = "STATE";

const MAGIC: &[u8; 5] = b"SQST\x01";
const LEN: usize = 110;
/// The second place is in another block of the disk.
const PLACES: [u64; 2] = [0, 4096];

const WHOLE: u8 = 1;
const DOUBTFUL: u8 = 1 << 1;
const HAS_BOOT: u8 = 1 << 2;
const HAS_CLOCK: u8 = 1 << 3;
const CLOCK_HAS_BOOT: u8 = 1 << 4;
const HAS_JOURNALS: u8 = 1 << 5;
const IN_JOURNAL: u8 = 1 << 6;

/// What is known of a directory.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub(crate) struct State {
    /// The last group that was handed to the operating system.
    pub(crate) written: u64,
    /// The last group that was on the disk.
    pub(crate) synced: u64,
    /// Which start of the machine `written` belongs to: another one may have lost what was not on
    /// the disk.
    pub(crate) boot: Option<[u8; 16]>,
    /// The numbers of the oldest and of the newest journal. The newest is never removed.
    pub(crate) journals: Option<(u64, u64)>,
    /// The last group is in the newest journal.
    pub(crate) is_in_newest: bool,
    /// The database was made to its end, so it has to be there.
    pub(crate) is_whole: bool,
    /// Something in the database could not be read: it is gone through when it is opened next.
    pub(crate) is_doubtful: bool,
    /// What the clocks showed.
    pub(crate) clock: Option<ClockMark>,
}

impl State {
    /// The last group that has to be there.
    pub(crate) fn last(&self, boot: Option<[u8; 16]>) -> u64 {
        let is_same_boot = self.boot.is_some() && self.boot == boot;
        if is_same_boot { self.written.max(self.synced) } else { self.synced }
    }

    fn encode(&self, turn: u64) -> [u8; LEN] {
        let clock = self.clock.unwrap_or_default();
        let boot = clock.boot.unwrap_or_default();
        let flags = [
            (self.is_whole, WHOLE),
            (self.is_doubtful, DOUBTFUL),
            (self.boot.is_some(), HAS_BOOT),
            (self.clock.is_some(), HAS_CLOCK),
            (clock.boot.is_some(), CLOCK_HAS_BOOT),
            (self.journals.is_some(), HAS_JOURNALS),
            (self.is_in_newest, IN_JOURNAL),
        ];
        let flags = flags.iter().filter(|(is_set, _)| *is_set).fold(0, |all, (_, flag)| all | flag);
        let mut bytes = Vec::with_capacity(LEN);
        bytes.extend(MAGIC);
        bytes.push(flags);
        for number in [turn, self.written, self.synced] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(self.boot.unwrap_or_default());
        let (oldest, newest) = self.journals.unwrap_or_default();
        for number in [oldest, newest, clock.stored_millis, clock.calendar_millis, boot.millis] {
            bytes.extend(number.to_be_bytes());
        }
        bytes.extend(boot.id);
        bytes.extend(xxh3_64(&bytes).to_be_bytes());
        let mut place = [0; LEN];
        place.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
        place
    }

    /// The state and the turn of a place; `None` where it is not whole.
    fn decode(place: &[u8]) -> Option<(u64, Self)> {
        let (content, checksum) = place.get(..LEN)?.split_last_chunk()?;
        if xxh3_64(content).to_be_bytes() != *checksum {
            return None;
        }
        let mut rest = Fields(content.strip_prefix(MAGIC)?);
        let [flags] = rest.next()?;
        let has = |flag| flags & flag != 0;
        let turn = rest.number()?;
        let (written, synced) = (rest.number()?, rest.number()?);
        let boot = has(HAS_BOOT).then_some(rest.next()?);
        let journals = (rest.number()?, rest.number()?);
        let (stored_millis, calendar_millis) = (rest.number()?, rest.number()?);
        let clock_boot = BootMark { millis: rest.number()?, id: rest.next()? };
        let clock_boot = has(CLOCK_HAS_BOOT).then_some(clock_boot);
        let clock = ClockMark { stored_millis, calendar_millis, boot: clock_boot };
        let state = Self {
            written,
            synced,
            boot,
            journals: has(HAS_JOURNALS).then_some(journals),
            is_in_newest: has(IN_JOURNAL),
            is_whole: has(WHOLE),
            is_doubtful: has(DOUBTFUL),
            clock: has(HAS_CLOCK).then_some(clock),
        };
        Some((turn, state))
    }
}

/// What is found of the file.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum Found {
    /// There is none.
    Missing,
    /// Neither place is whole.
    Damaged,
    /// What was written last.
    State(State),
}

impl Found {
    /// What is known; nothing, where nothing is found.
    pub(crate) fn state(self) -> State {
        match self {
            Self::State(state) => state,
            Self::Missing | Self::Damaged => State::default(),
        }
    }
}

/// Reads the file of a directory.
pub(crate) fn read(dir: &Path) -> io::Result<Found> {
    Ok(match fs::read(dir.join(NAME)) {
        Ok(bytes) => latest(&bytes).map_or(Found::Damaged, |(_, state)| Found::State(state)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Missing,
        Err(error) => return Err(error),
    })
}

fn latest(bytes: &[u8]) -> Option<(u64, State)> {
    let place = |at: u64| State::decode(bytes.get(usize::try_from(at).ok()?..)?);
    PLACES.into_iter().filter_map(place).max_by_key(|(turn, _)| *turn)
}

/// The file of a directory that is open.
#[derive(Debug)]
pub(crate) struct StateFile {
    file: File,
    turn: u64,
    state: State,
}

impl StateFile {
    /// Opens the file, or makes it, and writes what is known.
    pub(crate) fn open(dir: &Path, state: State) -> io::Result<Self> {
        let path = dir.join(NAME);
        let turn = fs::read(&path).ok().and_then(|bytes| Some(latest(&bytes)?.0)).unwrap_or(0);
        let mut options = OpenOptions::new();
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.write(true).create(true).truncate(false).open(path)?;
        let mut file = Self { file, turn, state };
        file.write()?;
        file.file.sync_all()?;
        Ok(file)
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Writes down what has changed. Where that fails the file says less than it could, and nothing
    /// wrong; the disk is watched elsewhere.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut State)) {
        let before = self.state;
        change(&mut self.state);
        if self.state != before {
            let _says_less = self.write();
        }
    }

    /// Brings what was written to the disk.
    pub(crate) fn sync(&self) {
        let _says_less = self.file.sync_all();
    }

    fn write(&mut self) -> io::Result<()> {
        self.turn += 1;
        let [even, odd] = PLACES;
        let place = if self.turn.is_multiple_of(2) { even } else { odd };
        self.file.seek(SeekFrom::Start(place))?;
        self.file.write_all(&self.state.encode(self.turn))
    }
}

/// Which start of the machine this is, where the operating system tells.
pub(crate) fn boot_id() -> Option<[u8; 16]> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: String = text.trim().chars().filter(|digit| *digit != '-').collect();
    u128::from_str_radix(&digits, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let boot = BootMark { id: [3; 16], millis: 44 };
        let clock = ClockMark { stored_millis: 5, calendar_millis: 6, boot: Some(boot) };
        State {
            written: 9,
            synced: 7,
            boot: Some([1; 16]),
            journals: Some((3, 4)),
            is_in_newest: true,
            is_whole: true,
            is_doubtful: false,
            clock: Some(clock),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let without_boot = ClockMark { boot: None, ..state().clock.unwrap() };
        for state in [
            State::default(),
            state(),
            State { boot: None, is_doubtful: true, clock: Some(without_boot), ..state() },
        ] {
            assert_eq!(State::decode(&state.encode(8)), Some((8, state)));
        }
    }

    #[test]
    fn a_place_that_is_not_whole_says_nothing_and_the_one_before_counts() {
        let older = state();
        let newer = State { written: 10, ..older };
        let mut bytes = vec![0; 4096 + LEN];
        bytes[..LEN].copy_from_slice(&older.encode(4));
        bytes[4096..].copy_from_slice(&newer.encode(5));
        assert_eq!(latest(&bytes), Some((5, newer)));
        for at in 4096..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            assert_eq!(latest(&bytes), Some((4, older)), "byte {at}");
        }
        assert_eq!(latest(&bytes[..4096 + 50]), Some((4, older)));
        assert_eq!(latest(&[0; 4200]), None);
    }

    #[test]
    fn what_was_not_on_the_disk_counts_only_while_the_machine_runs() {
        let state = state();
        assert_eq!(state.last(Some([1; 16])), 9);
        assert_eq!(state.last(Some([2; 16])), 7);
        assert_eq!(state.last(None), 7);
    }
}
