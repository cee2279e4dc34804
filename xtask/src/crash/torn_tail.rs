//! The newest file of a killed broker is cut, or a bit in it flipped: the broker starts or says
//! why not, and delivers nothing that nobody has sent.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io,
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use super::{
    broker::{NoBroker, Recipe},
    checker::Violation,
    dice::Dice,
    history::{Event, Run},
    lab::{self, Lab},
    load::{Load, Size},
    message::Message,
    session_reader::SessionReader,
};
use crate::failure::Failure;

/// How much the clients write before the broker is killed.
const ENTRIES_BEFORE: usize = 2_000;
const PATIENCE: Duration = Duration::from_secs(10);

/// How much of the end is cut at every byte, if that is asked for, and how often that byte and those
/// behind it are empty instead.
const CUT_EVERYWHERE_WITHIN: u64 = 2 * 1024;
const EMPTY_ONCE_IN: u64 = 4;

/// How far from the end of what was written a bit may be flipped, in bytes.
const FLIPPED_WITHIN: u64 = 32 * 1024;

/// How far from the end cuts are made that are not at each of the last bytes.
const CUT_WITHIN: u64 = 256 * 1024;

/// Where the file is damaged.
#[derive(Copy, Clone, Debug)]
pub(super) enum Cuts {
    /// At so many places.
    Some(u64),
    /// At every byte of its end.
    Every,
}

/// What is done to the file.
#[derive(Copy, Clone, Debug)]
enum Damage {
    /// It ends here.
    Cut(u64),
    /// It has its length, but from here on there is nothing: it had been given room in advance.
    Empty(u64),
    /// This byte has another value.
    Flip(u64),
}

/// A file and how much of it was written.
struct Tail {
    /// Relative to the directory of the data.
    path: PathBuf,
    written: u64,
}

/// Damages copies of a killed broker's data, each time anew.
pub(super) fn run(lab: &mut Lab, cuts: Cuts) -> Result<(), Failure> {
    let recipe = lab.broker_in("tail")?;
    let mut dice = lab.dice.of(0x7A11);
    let load = Load::start(recipe.port, Size::Small, &dice);
    let killed = write_and_kill(&recipe, &load);
    let sessions = load.sessions();
    let run = load.end();
    if let Err(no_broker) = killed {
        lab.judge(
            &recipe,
            "torn tail",
            &Run::default(),
            vec![Violation::of_broker(no_broker.to_string())],
        )?;
        return Ok(());
    }
    let sent = sent(&run);
    forget_state(&recipe.directory)?;
    let tail = newest_file(&recipe.directory)?;
    println!("     torn tail: {} of {} bytes", tail.path.display(), tail.written);
    let (mut refused, mut seen, mut reported) = (HashSet::new(), Vec::new(), 0);
    let damages = damages(cuts, tail.written, &mut dice);
    for damage in &damages {
        let damage = *damage;
        let copy = lab.broker_in("torn")?;
        copy_directory(&recipe.directory, &copy.directory)?;
        do_damage(&copy.directory.join(&tail.path), damage)?;
        match copy.start() {
            Ok(_broker) => {
                let unknown = read_out(&sessions).into_iter();
                let unknown =
                    unknown.filter(|what| !what.as_ref().is_ok_and(|it| sent.contains(it)));
                seen.extend(unknown.map(|what| unsent(damage, what)));
                reported += usize::from(copy.printed().contains("cut off the end"));
            }
            Err(NoBroker::Ended(words)) => _ = refused.insert(words),
            Err(other) => seen.push(Violation::of_broker(format!("{damage:?}: {other}"))),
        }
        let panic = copy.panic().map(|at| Violation::of_broker(format!("{damage:?}: {at}")));
        seen.extend(panic);
    }
    for words in &refused {
        println!("     refused to start: {words}");
    }
    let title = format!("torn tail, {} times, {reported} reported as cut off", damages.len());
    lab.judge(&recipe, &title, &Run::default(), seen)?;
    lab.sum_up(&title);
    Ok(())
}

/// Removes what says how far the broker was. It is not synced, so a machine that loses its power may
/// leave an old one; with the newest, a broker refuses to start without the end of its journal.
fn forget_state(directory: &Path) -> Result<(), Failure> {
    let path = directory.join("STATE");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::new(format!("cannot remove {}: {error}", path.display())))
        }
        _ => Ok(()),
    }
}

/// What all sessions have, each read for itself.
fn read_out(sessions: &[SessionReader]) -> Vec<Result<Message, String>> {
    thread::scope(|scope| {
        let readers: Vec<_> =
            sessions.iter().map(|session| scope.spawn(|| session.read_out())).collect();
        readers.into_iter().filter_map(|reader| reader.join().ok()).flatten().collect()
    })
}

fn unsent(damage: Damage, what: Result<Message, String>) -> Violation {
    let what = what.map_or_else(|foreign| foreign, |message| message.to_string());
    Violation::of_broker(format!("{damage:?}: it delivered what nobody sent: {what}"))
}

fn write_and_kill(recipe: &Recipe, load: &Load) -> Result<(), NoBroker> {
    let mut broker = recipe.start()?;
    load.record(Event::Started);
    load.warm_up(&mut broker);
    load.play(ENTRIES_BEFORE, PATIENCE);
    load.record(Event::Killed);
    broker.kill();
    Ok(())
}

fn sent(run: &Run) -> HashSet<Message> {
    let entries = run.clients.iter().flat_map(|history| &history.entries);
    let sent = entries.filter(|entry| matches!(entry.event, Event::Sent { .. }));
    sent.filter_map(|entry| entry.event.message()).collect()
}

/// At every byte of the end; or half of them at each of the last bytes, once cut and once empty from
/// there on, of the others two thirds are cuts and one third flips.
fn damages(cuts: Cuts, written: u64, dice: &mut Dice) -> Vec<Damage> {
    let Cuts::Some(times) = cuts else { return everywhere(written) };
    let each_byte = (1..=times / 2).map(|bytes| {
        let place = written.saturating_sub(bytes.div_ceil(2));
        if bytes % 2 == 0 { Damage::Cut(place) } else { Damage::Empty(place) }
    });
    let elsewhere = (0..times - times / 2).map(|time| {
        let within = if time % 3 == 0 { FLIPPED_WITHIN } else { CUT_WITHIN };
        let place = written.saturating_sub(1 + dice.below(within.min(written)));
        if time % 3 == 0 { Damage::Flip(place) } else { Damage::Cut(place) }
    });
    let elsewhere: Vec<Damage> = elsewhere.collect();
    each_byte.chain(elsewhere).collect()
}

fn everywhere(written: u64) -> Vec<Damage> {
    let places = || (written.saturating_sub(CUT_EVERYWHERE_WITHIN)..written).rev();
    let empty = places().filter(|place| place.is_multiple_of(EMPTY_ONCE_IN));
    places().map(Damage::Cut).chain(empty.map(Damage::Empty)).collect()
}

fn do_damage(path: &Path, damage: Damage) -> Result<(), Failure> {
    let done = match damage {
        Damage::Cut(at) => {
            OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(at))
        }
        Damage::Empty(at) => empty(path, at),
        Damage::Flip(at) => flip(path, at),
    };
    done.map_err(|error| lab::cannot(path, &error))
}

fn empty(path: &Path, at: u64) -> io::Result<()> {
    let file = OpenOptions::new().write(true).open(path)?;
    let length = file.metadata()?.len();
    file.set_len(at)?;
    file.set_len(length)
}

fn flip(path: &Path, at: u64) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut byte = [0];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut byte)?;
    file.seek(SeekFrom::Start(at))?;
    file.write_all(&byte.map(|byte| byte ^ 0x10))
}

/// The file that was written last. What it has been given in advance does not count.
fn newest_file(directory: &Path) -> Result<Tail, Failure> {
    let mut files = Vec::new();
    collect_files(directory, &mut files).map_err(|error| lab::cannot(directory, &error))?;
    let newest = files.into_iter().max_by_key(|(_, _, modified)| *modified);
    let (path, ..) = newest.ok_or_else(|| Failure::new("the broker has written no file"))?;
    let bytes = fs::read(&path).map_err(|error| lab::cannot(&path, &error))?;
    let written = written_len(&bytes) as u64;
    let path = path.strip_prefix(directory).unwrap_or(&path).to_owned();
    Ok(Tail { path, written })
}

/// How many bytes there are before the room that a file was given in advance.
fn written_len(bytes: &[u8]) -> usize {
    // Blocks first: most of the file is room, and this is not optimised.
    const ROOM: [u8; 4096] = [0; 4096];
    let blocks = bytes.chunks(ROOM.len());
    let room = blocks.rev().take_while(|block| Some(*block) == ROOM.get(..block.len())).count();
    let last = bytes.len().div_ceil(ROOM.len()).saturating_sub(room) * ROOM.len();
    let written = bytes.get(..last.min(bytes.len())).unwrap_or_default();
    written.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// The files that have something in them, with their sizes and when they were written.
fn collect_files(directory: &Path, into: &mut Vec<(PathBuf, u64, SystemTime)>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            collect_files(&entry.path(), into)?;
        } else if metadata.len() > 0 {
            into.push((entry.path(), metadata.len(), metadata.modified()?));
        }
    }
    Ok(())
}

fn copy_directory(from: &Path, to: &Path) -> Result<(), Failure> {
    crate::process::create_directory(to)?;
    let failed = |error| lab::cannot(from, &error);
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_directory(&entry.path(), &target)?;
        } else {
            copy_file(&entry.path(), &target).map_err(|error| lab::cannot(&target, &error))?;
        }
    }
    Ok(())
}

/// Copies a file without writing the room at its end.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let bytes = fs::read(from)?;
    let written = bytes.get(..written_len(&bytes)).unwrap_or_default();
    let mut copy = File::create(to)?;
    copy.write_all(written)?;
    copy.set_len(bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_are_cut_one_by_one() {
        let damages = damages(Cuts::Some(6), 100, &mut Dice::new(1));
        let first: Vec<String> =
            damages.iter().take(3).map(|damage| format!("{damage:?}")).collect();
        assert_eq!(first, ["Empty(99)", "Cut(99)", "Empty(98)"]);
        assert_eq!(damages.len(), 6);
    }

    #[test]
    fn no_byte_of_the_end_is_left_out() {
        let damages = damages(Cuts::Every, 10_000, &mut Dice::new(1));
        let cut = damages.iter().filter_map(|damage| match damage {
            Damage::Cut(place) => Some(*place),
            _ => None,
        });
        assert!(cut.eq((10_000 - 2_048..10_000).rev()));
        assert_eq!(damages.len(), 2_048 + 512);
    }

    #[test]
    fn the_room_of_a_file_does_not_count() {
        for written in [0, 1, 4095, 4096, 4097, 9000] {
            let mut bytes = vec![7; written];
            bytes.resize(10_000, 0);
            assert_eq!(written_len(&bytes), written);
        }
    }

    #[test]
    fn a_damaged_file_differs_where_it_should() {
        let path = std::env::temp_dir().join(format!("xtask-crash-tail-{}", std::process::id()));
        fs::write(&path, b"abcdef").unwrap();
        do_damage(&path, Damage::Flip(2)).unwrap();
        do_damage(&path, Damage::Cut(4)).unwrap();
        let copy = path.with_extension("copy");
        copy_file(&path, &copy).unwrap();
        do_damage(&copy, Damage::Empty(1)).unwrap();
        let damaged = [fs::read(&path).unwrap(), fs::read(&copy).unwrap()];
        fs::remove_file(&path).unwrap();
        fs::remove_file(&copy).unwrap();
        assert_eq!(damaged, [*b"absd", *b"a\0\0\0"]);
    }
}
