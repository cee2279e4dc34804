//! The disk is full: durable work is refused until there is room, and nothing else happens.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::Duration,
};

use super::{
    aftermath::Told,
    broker::{NoBroker, Recipe},
    checker::Violation,
    history::Event,
    lab::Lab,
    load::{self, Load, Size},
};
use crate::{
    failure::Failure,
    process::{self, create_directory},
};

/// How large the disk is.
const SIZE: &str = "size=256m";

/// How much of it is filled at once, in bytes.
const BALLAST_BLOCK_BYTES: usize = 1 << 16;

/// How long the broker may take to notice that the disk is full, and that it is not any more.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long it is watched what the broker does with a full disk.
const WATCHED: Duration = Duration::from_millis(700);

/// How much the clients write before.
const ENTRIES_BEFORE: usize = 500;

/// A small disk in memory, which is gone when this is dropped.
pub(super) struct Disk(PathBuf);

/// Fills the disk under the broker, once so that it has to go on, and once so that it is killed
/// and has to start on a full disk.
pub(super) fn run(lab: &mut Lab) -> Result<(), Failure> {
    for is_killed in [false, true] {
        let mut recipe = lab.broker_in("disk")?;
        let disk = match Disk::mount(&recipe.directory, SIZE) {
            Ok(disk) => disk,
            Err(why) => {
                println!("skip full disk: {why}");
                return Ok(());
            }
        };
        recipe.directory = disk.directory();
        create_directory(&recipe.directory)?;
        let load = Load::start(recipe.port, Size::Full, &lab.dice.of(u64::from(is_killed)));
        let mut seen = match fill(&recipe, &load, &disk, is_killed) {
            Ok(seen) => seen,
            Err(no_broker) => vec![Violation::of_broker(no_broker.to_string())],
        };
        let moments = load.moments();
        let run = load.end();
        if let [full, room] = moments[..] {
            // What is acknowledged on a full disk may have found room: whether it has is seen
            // when it is not lost.
            seen.extend(Told::between(&run, full, room).not_refused_while("the disk was full"));
            if Told::between(&run, room, u64::MAX).accepted == 0 {
                seen.push(Violation::of_broker("nothing was acknowledged when there was room"));
            }
        }
        let title = if is_killed { "full disk, and killed" } else { "full disk" };
        lab.judge(&recipe, title, &run, seen)?;
    }
    lab.sum_up("full disk");
    Ok(())
}

fn fill(
    recipe: &Recipe,
    load: &Load,
    disk: &Disk,
    is_killed: bool,
) -> Result<Vec<Violation>, NoBroker> {
    let mut broker = recipe.start()?;
    load.record(Event::Started);
    load.warm_up(&mut broker);
    load.play(ENTRIES_BEFORE, PATIENCE);
    let mut seen = Vec::new();
    let before = load.turned_down();
    load.record(Event::Moment);
    disk.fill();
    if !load::wait_until(PATIENCE, || load.turned_down() > before) {
        seen.push(Violation::of_broker("a full disk was not noticed"));
    }
    thread::sleep(WATCHED);
    seen.extend(load.live().err().map(Violation::of_broker));
    if broker.has_ended() {
        seen.push(Violation::of_broker("it ended because the disk was full"));
    }
    if is_killed {
        load.record(Event::Killed);
        broker.kill();
        // It may refuse to start, if it says why; then it is started again when there is room.
        if let Err(NoBroker::Ended(words)) = recipe.start() {
            println!("     on a full disk it says: {words}");
        }
    }
    load.record(Event::Moment);
    disk.make_room();
    if is_killed {
        broker = recipe.start()?;
        load.record(Event::Started);
    }
    let (accepted, enough) = (load.accepted(), 100);
    if !load::wait_until(PATIENCE, || load.accepted() > accepted + enough) {
        seen.push(Violation::of_broker("it did not recover when there was room"));
    }
    load.record(Event::Killed);
    broker.kill();
    let _broker = recipe.start()?;
    load.record(Event::Started);
    load.read_retained();
    load.settle();
    Ok(seen)
}

impl Disk {
    /// Mounts one at this directory, or says why that cannot be.
    pub(super) fn mount(at: &Path, size: &str) -> Result<Self, String> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(at);
        match process::output(&mut mount) {
            Ok(_) => Ok(Self(at.to_owned())),
            Err(failure) => Err(format!("a small disk cannot be mounted here: {failure}")),
        }
    }

    /// Where the broker keeps its data on it.
    pub(super) fn directory(&self) -> PathBuf {
        self.0.join("data")
    }

    /// Takes all the room that is left.
    fn fill(&self) {
        let Ok(mut ballast) = File::create(self.0.join("ballast")) else { return };
        for size in [BALLAST_BLOCK_BYTES, 1024, 1] {
            let block = vec![0xFF; size];
            // It is full when no byte more goes in.
            while ballast.write_all(&block).is_ok() {}
        }
    }

    /// Gives it back.
    fn make_room(&self) {
        fs::remove_file(self.0.join("ballast")).ok();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a broker that is on its way out may still have files open.
        process::succeeds(Command::new("umount").arg("-l").arg(&self.0));
    }
}
