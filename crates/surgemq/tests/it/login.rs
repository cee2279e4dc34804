//! Password files, from `passwd` to the login.

use std::path::Path;

use crate::harness::{Broker, Finished, Process, data_dir, scratch};

fn passwd(options: &str, path: &Path, rest: &str) -> Finished {
    Process::start(&format!("passwd {options} {} {rest}", path.display())).finish()
}

#[test]
fn a_user_logs_in_with_the_password_of_the_file() {
    let path = scratch("a_user_logs_in");
    passwd("-c", &path, "alice s3cret").expect_success();
    let line = format!("passwd {} bob", path.display());
    Process::start(&line).give(b"from a pipe\n").finish().expect_success();
    let broker = Broker::start(&format!("--password-file {}", path.display()));
    broker.publish("-t a -n -u alice -P s3cret");
    let bob = vec!["-u".into(), "bob".into(), "-P".into(), "from a pipe".into()];
    let common = ["pub", "-h", "127.0.0.1", "-p", broker.port(), "-t", "a", "-n"];
    let words = common.iter().map(|word| (*word).to_owned()).chain(bob).collect();
    Process::start_with(words).finish().expect_success();
    for wrong in ["-u alice -P wrong", "-u carol -P s3cret", ""] {
        let old = broker.tool(&format!("pub -V 311 -t a -n {wrong}")).finish();
        old.expect_failure(5, "0x87 Not authorized");
        let new = broker.tool(&format!("pub -V 5 -t a -n {wrong}")).finish();
        new.expect_failure(134, "0x86 Bad User Name or Password");
    }
}

#[test]
fn anonymous_clients_may_come_in_beside_users() {
    let path = scratch("anonymous_beside_users");
    passwd("-c", &path, "alice s3cret").expect_success();
    let options = format!("--allow-anonymous --password-file {}", path.display());
    let broker = Broker::start(&options);
    broker.publish("-t a -n");
    broker.publish("-t a -n -u alice -P s3cret");
    broker.tool("pub -t a -n -u alice -P wrong").finish().expect_failure(5, "Not authorized");
}

#[test]
fn rules_say_who_may_do_what() {
    let (path, rules) = (scratch("rules_users"), scratch("rules"));
    passwd("-c", &path, "alice s3cret").expect_success();
    std::fs::write(&rules, "user alice\ntopic write a\ntopic read b\n").unwrap();
    let files = (path.display(), rules.display());
    let broker = Broker::start(&format!("--password-file {} --acl-file {}", files.0, files.1));
    let alice = "-V 5 -u alice -P s3cret";
    let publish = |topic| broker.tool(&format!("pub {alice} -q 1 -t {topic} -m x")).finish();
    publish("a").expect_success();
    publish("b").expect_failure(135, "0x87 Not authorized");
    let subscribe = |topic| broker.tool(&format!("sub {alice} -E -t {topic}")).finish();
    subscribe("b").expect_success();
    subscribe("a").expect_failure(135, "0x87 Not authorized");
}

#[test]
fn files_are_loaded_anew_on_sighup() {
    let (path, rules) = (scratch("reload_users"), scratch("reload_rules"));
    passwd("-c", &path, "alice s3cret").expect_success();
    std::fs::write(&rules, "user alice\ntopic a\n").unwrap();
    let files = (path.display(), rules.display());
    let mut broker = Broker::start(&format!("--password-file {} --acl-file {}", files.0, files.1));
    let alice = "-V 5 -u alice -P s3cret";
    let mut listener = broker.subscribe(&format!("{alice} -t a -t b"));
    broker.publish(&format!("{alice} -q 1 -t a -m first"));
    listener.wait_for_output("first");

    // What is not in order changes nothing, and the other file is loaded all the same.
    std::fs::write(&rules, "user alice\ntopic b\nnonsense\n").unwrap();
    passwd("", &path, "bob s3cret").expect_success();
    broker.reload("line 3");
    broker.publish(&format!("{alice} -q 1 -t a -m second"));
    listener.wait_for_output("second");
    broker.publish("-V 5 -u bob -P s3cret -t a -n");

    std::fs::write(&rules, "user alice\ntopic b\n\nuser bob\ntopic write b\ntopic read none\n")
        .unwrap();
    broker.reload("loaded the files anew");
    let denied = broker.tool(&format!("pub {alice} -q 1 -t a -m third")).finish();
    denied.expect_failure(135, "0x87 Not authorized");

    // A user who is removed may not come in, and goes at once; others stay.
    let bob = broker.subscribe("-V 5 -u bob -P s3cret -t none");
    passwd("-D", &path, "alice").expect_success();
    broker.signal("HUP");
    let told = listener.finish();
    assert_eq!(String::from_utf8_lossy(&told.stdout), "first\nsecond\n");
    assert_eq!(told.code, Some(0x87), "{told:?}");
    broker.tool(&format!("pub {alice} -t b -n")).finish().expect_failure(134, "Bad User Name");
    broker.publish("-V 5 -u bob -P s3cret -q 1 -t b -m unheard");

    // And so does who has another password.
    passwd("", &path, "bob another").expect_success();
    broker.signal("HUP");
    let told = bob.finish();
    assert_eq!(told.code, Some(0x87), "{told:?}");
    broker.publish("-V 5 -u bob -P another -t b -n");
    broker.signal("TERM");
    assert_eq!(broker.finish().code, Some(0));
}

#[test]
fn what_is_loaded_anew_and_has_not_changed_ends_no_connection() {
    let path = scratch("reload_unchanged");
    passwd("-c", &path, "alice s3cret").expect_success();
    let mut broker = Broker::start(&format!("--password-file {}", path.display()));
    let mut listener = broker.subscribe("-V 5 -u alice -P s3cret -t a");
    passwd("", &path, "bob s3cret").expect_success();
    broker.reload("loaded the files anew");
    broker.publish("-u bob -P s3cret -q 1 -t a -m hello");
    listener.wait_for_output("hello");
}

/// The password file says who there is, also at the first load: nobody who was removed while the
/// broker was away speaks when it is back.
#[test]
fn the_delayed_will_of_a_removed_user_is_not_published_after_a_restart() {
    let (path, data) = (scratch("will_users"), data_dir("will_data"));
    for user in ["alice", "bob", "carol"] {
        let create = if user == "alice" { "-c" } else { "" };
        passwd(create, &path, &format!("{user} s3cret")).expect_success();
    }
    let options = format!("--password-file {} --data-dir {}", path.display(), data.display());
    let broker = Broker::start(&options);
    let client = |(user, delay)| {
        let login = format!("-V 5 -i {user} -u {user} -P s3cret -x 600");
        let will = format!("--will-topic will --will-payload {user}");
        let delay = format!("-D will will-delay-interval {delay}");
        broker.subscribe(&format!("{login} {will} {delay} -t none"))
    };
    let clients = [("alice", 4), ("carol", 6)].map(client);
    broker.signal("KILL");
    assert_eq!(broker.finish().code, None);
    drop(clients);

    // The delays begin when the broker is back.
    passwd("-D", &path, "alice").expect_success();
    let broker = Broker::start(&options);
    let listener = broker.subscribe("-V 5 -u bob -P s3cret -t will -C 1");
    assert_eq!(String::from_utf8_lossy(&listener.finish().stdout), "carol\n");
}

#[test]
fn the_file_is_changed_only_as_asked() {
    let path = scratch("changed_as_asked");
    passwd("", &path, "alice x").expect_failure(1, "add -c to make a new one");
    passwd("-c", &path, "alice x").expect_success();
    passwd("-c", &path, "bob x").expect_failure(1, "leave -c out to change it");
    passwd("", &path, "bob x").expect_success();
    passwd("-D", &path, "alice").expect_success();
    passwd("-D", &path, "alice").expect_failure(1, "there is no user \"alice\"");
    passwd("", &path, "a:b x").expect_failure(1, ":");
    Process::start(&format!("passwd {} bob", path.display()))
        .give(b"\n")
        .finish()
        .expect_failure(1, "the password is empty");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("bob:$argon2id$") && text.lines().count() == 1, "{text}");
}

#[test]
fn a_line_for_scram_is_good_for_the_password_too() {
    let path = scratch("scram");
    passwd("-c --scram", &path, "alice s3cret").expect_success();
    passwd("--scram --iterations 4095", &path, "bob x").expect_failure(1, "4096");
    passwd("--scram --iterations 4096", &path, "bob builder").expect_success();
    let text = std::fs::read_to_string(&path).unwrap();
    let starts = ["alice:$scram-sha-256$15000$", "bob:$scram-sha-256$4096$"];
    let lines: Vec<_> = text.lines().zip(starts).collect();
    assert!(lines.iter().all(|(line, start)| line.starts_with(start)), "{text}");
    assert_eq!(lines.len(), 2);

    let broker = Broker::start(&format!("--password-file {}", path.display()));
    broker.publish("-t a -n -u alice -P s3cret");
    broker.tool("pub -t a -n -u alice -P wrong").finish().expect_failure(5, "Not authorized");
}

#[cfg(unix)]
#[test]
fn a_new_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let path = scratch("owner_alone");
    passwd("-c", &path, "alice x").expect_success();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}
