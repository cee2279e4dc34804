//! Limits, files and options that a broker of the test's own is started with.

use std::time::Instant;

use crate::harness::memory::processor_time;
use crate::harness::prelude::*;
use crate::harness::private::{Private, Setup};

use super::{BOTH, pour};

pub(super) const TESTS: &[Test] = &[
    test("B31", b31).on(BOTH),
    test("C25", c25).on(BOTH).slow(),
    test("E03", e03).on(BOTH).slow(),
    test("F02", f02).on(BOTH),
    test("G03", g03),
    test("G05", g05).on(BOTH),
    test("G06", g06),
    test("G07", g07).slow(),
    test("G08", g08),
    test("G09", g09).on(BOTH),
];

/// [B31] 1,000,000 distinct client ids with long-lived sessions and no subscriptions.
fn b31(t: &Story) -> Done {
    const LIMIT: u32 = 500;
    let broker = Private::start(
        t,
        &Setup::new("--allow-anonymous --max-sessions 500 --clean-session-reserve 0"),
    )?;
    let t = broker.story(t);
    let hello = |index: u32| {
        let hello = t.hello(&format!("{index}"));
        if t.version.is_v5() { hello.resume().expiry(3600) } else { hello.resume() }
    };
    for index in 0..LIMIT {
        t.connect(&hello(index))?.disconnect();
    }
    let refused: &[u8] = if t.version.is_v5() { &[0x97] } else { &[0x03] };
    let settled = broker.resident_bytes();
    t.together(4, |worker| {
        let each = t.scaled(250_000, 250);
        let first = LIMIT + worker * each;
        (first..first + each).try_for_each(|index| t.refuse(&hello(index), refused))
    })?;
    let now = broker.resident_bytes();
    ensure!(now < settled + settled / 20 + (1 << 20), "{settled} bytes have become {now}");
    // Who has a session may have it again, and room for another is made by ending one.
    let mut old = t.connect(&hello(0))?;
    ensure!(t.version == Version::V31 || old.session_present, "the session is gone");
    old.ping()?;
    old.disconnect();
    t.connect(&hello(0).expiry_none())?.disconnect();
    t.connect(&t.hello("new"))?.ping()
}

/// [C25] 1,000,000 retained topics of 10 KB.
fn c25(t: &Story) -> Done {
    let options =
        "--allow-anonymous --sys-interval 0 --max-retained 1000 --max-retained-bytes 5000000";
    let broker = Private::start(t, &Setup::new(options))?;
    let t = broker.story(t);
    let mut peer = t.client("c")?;
    let payload = "x".repeat(10_000);
    let count = t.scaled(1_000_000, 3000);
    let (mut kept, mut settled) = (0, 0);
    for index in 0..count {
        let publish = Publish::new(t.topic(&format!("{index}")), &payload).qos(1).retain();
        match peer.publish(publish)? {
            0 | 0x10 => kept += 1,
            0x97 if t.version.is_v5() => {}
            other => fail!("a retained message above the limit is answered with {other:02X}"),
        }
        if index == 1000 {
            settled = broker.resident_bytes();
        }
    }
    ensure!(!t.version.is_v5() || kept < 500, "{kept} messages of 10 KB are kept in 5 MB");
    let now = broker.resident_bytes();
    ensure!(now < settled + settled / 20 + (4 << 20), "{settled} bytes have become {now}");
    let got = t.observer("o", &t.topic("#"))?.collect(seconds(2))?.len();
    ensure!((400..500).contains(&got), "{got} retained messages of 10 KB are in 5 MB");
    // The limit of the number: small ones, once the large ones are gone.
    for index in 0..500 {
        peer.publish(Publish::new(t.topic(&format!("{index}")), "").qos(1).retain())?;
    }
    for index in 0..1100 {
        peer.publish(Publish::new(t.topic(&format!("s/{index}")), "x").qos(1).retain())?;
    }
    same!(t.observer("p", &t.topic("#"))?.collect(seconds(2))?.len(), 1000, "small ones");
    Ok(())
}

/// [E03] Subscriber reads 1 byte per second: the others go on, and the memory is bounded.
fn e03(t: &Story) -> Done {
    let broker = Private::start(t, &Setup::new("--allow-anonymous"))?;
    let t = broker.story(t);
    let topic = t.topic("trickle");
    let mut slow = t.client("s")?;
    // At QoS 1 the window would keep what is sent below what the system buffers.
    slow.listen(&topic, 0)?;
    let mut publisher = t.client("p")?;
    let publish = Publish::new(&topic, "x".repeat(1000));
    pour(&mut publisher, 20_000, &publish)?;
    let settled = broker.resident_bytes();
    for _ in 0..t.scaled(60, 5) {
        slow.read_one_byte();
        pour(&mut publisher, 2000, &publish)?;
        t.wait(std::time::Duration::from_millis(900));
    }
    let now = broker.resident_bytes();
    ensure!(now < settled * 2 + (64 << 20), "{settled} bytes have become {now}");
    if t.is_full() {
        // A byte each second is no progress: by now it was closed, and there is an end to read.
        slow.drained()?;
    }
    t.is_quick()
}

/// [F02] File descriptor limit reached: it refuses, does not spin, and recovers.
fn f02(t: &Story) -> Done {
    let broker = Private::start(t, &Setup::new("--allow-anonymous").descriptors(64))?;
    let t = broker.story(t);
    let mut old = t.client("old")?;
    let mut silent = Vec::new();
    for _ in 0..100 {
        silent.push(t.open()?);
    }
    t.wait(std::time::Duration::from_millis(300));
    let (began, before) = (Instant::now(), processor_time(broker.process()));
    t.wait(seconds(2));
    let used = processor_time(broker.process()).zip(before).map(|(now, before)| now - before);
    let busy = used.is_some_and(|used| used > began.elapsed() / 4);
    ensure!(!busy, "without descriptors it uses {used:?} of processor time in two seconds");
    old.ping()?;
    drop(silent);
    t.is_quick()?;
    old.ping()
}

/// [G03] Authenticator or authoriser fails to load: it does not start.
fn g03(t: &Story) -> Done {
    for option in ["--password-file", "--acl-file"] {
        let setup = Setup::new(&format!("--allow-anonymous {option} /no/such/file"));
        let said = Private::refuses_to_start(t, &setup)?;
        ensure!(said.contains("/no/such/file"), "the file is not named: {said}");
    }
    Ok(())
}

/// [G05] ACL set on some listeners only: the rules are those of all listeners.
fn g05(t: &Story) -> Done {
    let options = "--allow-anonymous --acl-file {acl} --listen tcp://127.0.0.2:{port}";
    let acl = "topic readwrite #\ntopic deny denied/#\n";
    let broker = Private::start(t, &Setup::new(options).file("acl", acl))?;
    let first = broker.story(t);
    let second = Story { address: ([127, 0, 0, 2], first.address.port()).into(), ..first.clone() };
    for t in [first, second] {
        let topic = format!("denied/{}", t.unique);
        let mut peer = t.client("c")?;
        let denied = peer.subscribe(&topic, 1)?;
        ensure!(denied >= 0x80, "a denied filter is granted with {denied:02X} at {}", t.address);
        let code = peer.publish(Publish::new(&topic, "x").qos(1))?;
        same!(code, if t.version.is_v5() { 0x87 } else { 0 }, "a denied message");
    }
    Ok(())
}

/// [G06] No listener configured: loopback only, or authentication is required.
fn g06(t: &Story) -> Done {
    let open = Setup::new("").listen("0.0.0.0");
    let said = Private::refuses_to_start(t, &open)?;
    ensure!(said.contains("without authentication"), "it does not say why: {said}");
    Private::start(t, &Setup::new(""))?.story(t).client("c")?.ping()
}

/// Makes other content out of that of a file.
type Damage = fn(Vec<u8>) -> Vec<u8>;

/// [G07] Truncated, bit-flipped or foreign persistence files: it starts and says what it left out, or
/// refuses and says why. What was acknowledged before the damage is there.
fn g07(t: &Story) -> Done {
    let damages: [(Damage, bool); 4] =
        [(cut, false), (append, true), (flip, false), (replace, false)];
    for (index, (damage, whole)) in damages.into_iter().enumerate() {
        let t = Story { unique: format!("{}d{index}", t.unique), ..t.clone() };
        let setup = Setup::new("--allow-anonymous").on_disk();
        let broker = Private::start(&t, &setup)?;
        fill(&broker.story(&t))?;
        let data = broker.path("data");
        // Killed: nothing is tidied up.
        drop(broker);
        let files = largest_first(&data);
        let Some(file) = files.first() else { fail!("nothing is in {}", data.display()) };
        let bytes = std::fs::read(file).unwrap_or_default();
        let written = std::fs::write(file, damage(bytes));
        ensure!(written.is_ok(), "{} cannot be written", file.display());
        let Ok(broker) = Private::start(&t, &setup) else {
            let said = Private::refuses_to_start(&t, &setup)?;
            let panicked = said.contains("panicked");
            ensure!(!panicked && said.contains("data"), "it refuses and says: {said}");
            continue;
        };
        let found = broker.story(&t);
        ensure!(!broker.log().contains("panicked"), "it panicked: {}", broker.log());
        // The first of what was acknowledged stands far before the damage.
        let got = found.observer("o", &t.topic("kept/+"))?.collect(seconds(1))?.len();
        let expected = if whole { 200 } else { 1 };
        let silent = !broker.log().contains("WARN") && !broker.log().contains("ERROR");
        ensure!(got >= expected || !silent, "{got} of 200 messages are left, and nothing is said");
        ensure!(!whole || got == 200, "{got} of 200 messages are left, with the file whole");
        found.is_quick()?;
    }
    Ok(())
}

/// Retained messages and a session, acknowledged.
fn fill(t: &Story) -> Done {
    t.absent("c", &t.topic("#"), 1)?;
    let mut publisher = t.client("p")?;
    for index in 0..200 {
        let topic = t.topic(&format!("kept/{index}"));
        publisher.publish(Publish::new(topic, "x".repeat(100)).qos(1).retain())?;
    }
    Ok(())
}

fn cut(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() - bytes.len() / 10);
    bytes
}

fn append(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.extend([0xA5; 77]);
    bytes
}

fn flip(mut bytes: Vec<u8>) -> Vec<u8> {
    let at = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 0x10;
    }
    bytes
}

fn replace(_: Vec<u8>) -> Vec<u8> {
    b"\x7FELF another file altogether".repeat(40)
}

/// All files below a directory.
fn largest_first(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() { directories.push(path) } else { found.push(path) }
        }
    }
    let size = |path: &std::path::PathBuf| std::fs::metadata(path).map_or(0, |file| file.len());
    found.sort_by_key(|path| std::cmp::Reverse(size(path)));
    found
}

/// [G08] Files readable by all users; symlinks: a file of passwords that everybody may read is pointed
/// out, and one that everybody may write is refused, at the start and when files are loaded anew, also
/// behind a link. What the broker writes itself is its owner's alone.
fn g08(t: &Story) -> Done {
    use std::os::unix::fs::PermissionsExt;
    let users = crate::harness::profile::PASSWORDS;
    let setup = Setup::new("--password-file {users}").file("users", users).on_disk();
    let broker = Private::start(t, &setup)?;
    let mode = |path: &std::path::Path| {
        std::fs::metadata(path).map_or(0, |file| file.permissions().mode() & 0o777)
    };
    same!(mode(&broker.path("data")), 0o700, "the permissions of the data directory");
    let open = |path: &std::path::Path, mode| {
        let opened = std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode));
        opened.map_err(|error| Stop::Fail(format!("{} stays closed: {error}", path.display())))
    };
    open(&broker.path("users"), 0o644)?;
    broker.reload("loaded the files anew")?;
    ensure!(broker.log().contains("mode 0644"), "the permissions are not named: {}", broker.log());
    open(&broker.path("users"), 0o646)?;
    broker.reload("stays in force")?;
    ensure!(broker.log().contains("mode 0646"), "the permissions are not named: {}", broker.log());
    let link = broker.path("link");
    let linked = std::os::unix::fs::symlink(broker.path("users"), &link);
    ensure!(linked.is_ok(), "no link can be made");
    for path in [broker.path("users"), link] {
        let setup = Setup::new(&format!("--password-file {}", path.display()));
        let said = Private::refuses_to_start(
            &Story { unique: format!("{}s", t.unique), ..t.clone() },
            &setup,
        )?;
        ensure!(said.contains("mode 0646"), "it does not say why: {said}");
    }
    Ok(())
}

/// [G09] 10,000 bad clients per second: the log is bounded.
fn g09(t: &Story) -> Done {
    let broker = Private::start(t, &Setup::new("--allow-anonymous --log info"))?;
    let t = broker.story(t);
    for _ in 0..t.scaled(10_000, 2000) {
        t.open()?.send(b"GET / HTTP/1.1\r\n\r\n");
    }
    t.is_quick()?;
    let bytes = broker.log().len();
    ensure!(bytes < 100_000, "the log has grown to {bytes} bytes");
    Ok(())
}
