use std::time::{Duration, Instant};

use mqtt_auth::{
    Anonymous, Authenticator, Chain, Identity, LoadError, Login, PasswordFile, PasswordWarning,
    Refusal, Standing, Verdict,
};

use crate::{authenticators::ask, scratch::Scratch};

/// Made with other programs: the argon2 lines with the reference implementation (`argon2-cffi`),
/// the others with `mosquitto_passwd` 2.0.11. The cheap argon2 lines keep the tests quick.
const USERS: &str = "\
# people
alice:$argon2id$v=19$m=8,t=1,p=1$YWxpY2VzYWx0MTIzNDU2Nw$+ou91jYjUdRuaLoMcVCmg1rCtT0IufycmLsY3lUp3Lw
bob:$argon2id$v=19$m=8,t=1,p=1$Ym9ic2FsdDEyMzQ1Njc4OQ$8OrhTpwmcbmM3Jl2A71487W0Ur1cFkjZoP9+vCa7wos

long:$argon2id$v=19$m=8,t=1,p=1$eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg$NhfVrubE4UhUYuzBqo7izsaqUXLfHcNdB0rqEFOBJ280sG+sIRc/L4jUp/z6IGF9Gls5DOfqV9ncgSSxDB6Qpg
# mosquitto
zoë:$7$101$jFr4noQ093To/ckf$D2ZQcPnyMV2oOzOUQbvAW4kubkeRo1NtUKU901cV6xA99D4hhOUiSsLn0v78Ksc6gbJ2UeAwW4C8vpJphOsZOQ==
carol:$6$V8qIGCxydCOKT5zM$Li4wfgjiH7fTzSXQi9ozvoS5nWtAkcMu+pucDa4vh8KjPiC4rrZtPPhhUudfCFp+060hzwUtah78AR7VoA76yg==
# hashes of empty passwords
nobody:$argon2id$v=19$m=8,t=1,p=1$ZW1wdHlzYWx0MTIzNDU2Nw$2AA32qvX0n9oIXKVYhT/xE/3ezLFXp9Q1/OpIY8njSE
eve:$7$101$U6CpFUYlOV34vuo8$4KJkv5wCQRBgeUkZ64ZvZMbwbuXX1qVGxG6cZz0ifv/pC8zyvuX0FQsH5Ew5B9eR2v8S22oTTKNSFGKgded+Cw==
";

/// As mosquitto 2.1 writes them, with a salt and a hash of 64 bytes each; made with `argon2-cffi`.
const MOSQUITTO_2_1: &str = "mo:$argon2id$v=19$m=8,t=1,p=1$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw$7BUTnC0E028X1ZxqutDX7gmHbPQByYlk2WwElGcANZhRvss9nzwV72WOwS006cwzEfiZckZlnirmR1WY6G10Rg";

/// The parameters that are written, from the reference implementation.
const DORA: &str = "dora:$argon2id$v=19$m=19456,t=2,p=1$ZG9yYXNhbHQxMjM0NTY3OA$fxcN325h7fT/W5tV78kOwBXQbp2127/lb4Wd2mdkbck";

const BAD_CREDENTIALS: Verdict = Verdict::Deny(Refusal::BadCredentials);

fn users() -> PasswordFile {
    PasswordFile::parse(USERS).unwrap()
}

fn log_in(file: &PasswordFile, user_name: &str, password: &str) -> Verdict {
    ask(file, Login::new("c").user_name(user_name).password(password.as_bytes()))
}

fn refused_line(text: &str) -> (usize, String) {
    match PasswordFile::parse(text) {
        Err(error @ LoadError::Line { line, .. }) => (line, error.to_string()),
        other => panic!("expected a bad line, got {other:?}"),
    }
}

#[test]
fn hashes_of_other_programs_are_understood() {
    let right = [
        ("alice", "correct horse"),
        ("bob", "hunter2"),
        ("long", "correct horse"),
        ("zoë", "pässwörd"),
        ("carol", "tr0ub4dor"),
    ];
    let file = users();
    for (name, password) in right {
        assert_eq!(log_in(&file, name, password), Verdict::Allow(Identity::user(name)));
        let wrong = format!("{password} ");
        assert_eq!(log_in(&file, name, &wrong), BAD_CREDENTIALS, "{name}");
    }
}

#[test]
fn a_long_salt_and_padding_are_understood() {
    for line in [MOSQUITTO_2_1.to_owned(), format!("{}==", MOSQUITTO_2_1.replace("Pw$", "Pw==$"))] {
        let file = PasswordFile::parse(&line).unwrap();
        assert_eq!(log_in(&file, "mo", "mosquitto 2.1"), Verdict::Allow(Identity::user("mo")));
        assert_eq!(log_in(&file, "mo", "mosquitto 2.0"), BAD_CREDENTIALS);
        assert_eq!(file.warnings(), []);
    }
}

#[test]
fn a_password_that_is_missing_or_empty_opens_nothing_b27() {
    let file = users();
    for name in ["alice", "zoë", "carol", "nobody", "eve"] {
        assert_eq!(ask(&file, Login::new("c").user_name(name)), BAD_CREDENTIALS, "{name}");
        assert_eq!(log_in(&file, name, ""), BAD_CREDENTIALS, "{name}");
    }
}

#[test]
fn an_unknown_user_looks_like_a_wrong_password_b26() {
    let file = users();
    for name in ["mallory", "", "Alice", "alice ", "# people"] {
        // With passwords that are right for somebody, whose hash may be the one that is checked.
        for password in ["correct horse", "hunter2", "tr0ub4dor", "", "x"] {
            let verdict = log_in(&file, name, password);
            assert_eq!(verdict.resolve(), Err(Refusal::BadCredentials), "{name}");
        }
    }
    assert_eq!(ask(&file, Login::new("c")), Verdict::Pass, "no user name at all");
    assert_eq!(log_in(&PasswordFile::parse("").unwrap(), "alice", "x"), Verdict::Pass);
}

/// Without the work for unknown users the times differ by a factor of 10,000 and more.
#[test]
fn an_unknown_user_takes_as_long_as_a_known_one_b26() {
    let file = PasswordFile::parse(DORA).unwrap();
    assert_eq!(log_in(&file, "dora", "correct horse"), Verdict::Allow(Identity::user("dora")));
    let time = |login: Login<'_>| -> Duration {
        let start = Instant::now();
        assert_eq!(ask(&file, login).resolve(), Err(Refusal::BadCredentials));
        start.elapsed()
    };
    let wrong = time(Login::new("c").user_name("dora").password(&b"wrong"[..]));
    let missing = time(Login::new("c").user_name("dora"));
    let unknown = time(Login::new("c").user_name("mallory").password(&b"wrong"[..]));
    let neither = time(Login::new("c").user_name("mallory"));
    for other in [missing, unknown, neither] {
        assert!(other * 20 > wrong, "{other:?} against {wrong:?}");
    }
}

#[test]
fn a_malformed_line_refuses_the_file_g02() {
    let argon2 = "$argon2id$v=19$m=8,t=1,p=1$YWxpY2VzYWx0MTIzNDU2Nw$+ou91jYjUdRuaLoMcVCmg1rCtT0IufycmLsY3lUp3Lw";
    let cases = [
        ("alice".to_owned(), "no `:`"),
        (format!(":{argon2}"), "empty user name"),
        (format!(" alice:{argon2}"), "blanks"),
        (format!("\u{feff}alice:{argon2}"), "byte order mark"),
        (format!("al\u{1}ice:{argon2}"), "control character"),
        ("alice:".to_owned(), "no password hash"),
        ("alice:swordfish".to_owned(), "plain text"),
        ("alice:$5$c2FsdA==$swordfish".to_owned(), "unknown kind"),
        (argon2.replace("$argon2id", "alice:$argon2i"), "unknown kind"),
        (format!("alice:{}", argon2.replace("v=19$", "")), "damaged"),
        (format!("alice:{}", argon2.replace("v=19", "v=16")), "damaged"),
        (format!("alice:{}", argon2.replace("m=8", "m=7")), "damaged"),
        (format!("alice:{}", argon2.replace("m=8", "m=4294967295")), "too much work"),
        (format!("alice:{}", argon2.replace("t=1", "t=4294967295")), "too much work"),
        (format!("alice:{}", argon2.replace("YWxpY2VzYWx0MTIzNDU2Nw", "YWxp")), "damaged"),
        (format!("alice:{}", &argon2[..50]), "damaged"),
        (format!("alice:{}", argon2.replace("YWxp", &"YWxp".repeat(200))), "damaged"),
        (format!("alice:{}", argon2.replace("+ou9", &"+ou9".repeat(200))), "damaged"),
        (format!("alice:{argon2}$"), "damaged"),
        (format!("alice:{}", argon2.replace("p=1", "p=1,p=1")), "damaged"),
        (format!("alice:{}", argon2.replace("p=1", "p=1,keyid=x")), "damaged"),
        (format!("alice:{}", argon2.replace("p=1", "p=+1")), "damaged"),
        (format!("alice:{}", argon2.replace("p=1", "p=0")), "damaged"),
        ("alice:$7$101$c2FsdA==".to_owned(), "damaged"),
        ("alice:$7$many$c2FsdA==$c2FsdA==".to_owned(), "damaged"),
        ("alice:$7$101$c2FsdA==$c2FsdA==".to_owned(), "damaged"),
        (format!("alice:{}", sha512_line("$7$0")), "damaged"),
        (format!("alice:{}", sha512_line("$7$4000000000")), "too much work"),
        ("alice:$6$c2FsdA==$c2FsdA==".to_owned(), "damaged"),
    ];
    for (line, expected) in cases {
        let (number, message) = refused_line(&format!("# people\n\n{line}\n"));
        assert_eq!(number, 3, "{line}");
        assert!(message.contains(expected), "{line}: {message}");
        assert!(!message.contains("swordfish"), "{message}");
    }
}

/// A hash of the right length.
fn sha512_line(scheme: &str) -> String {
    format!("{scheme}$c2FsdA==${}==", "A".repeat(86))
}

#[test]
fn a_user_stands_there_once() {
    let (line, message) = refused_line(&format!("{USERS}\n{DORA}\n{DORA}\n"));
    assert_eq!(line, USERS.lines().count() + 3);
    assert!(message.contains("dora"), "{message}");
}

#[test]
fn lines_may_end_as_on_windows() {
    let file = PasswordFile::parse(&USERS.replace('\n', "\r\n")).unwrap();
    assert_eq!(log_in(&file, "bob", "hunter2"), Verdict::Allow(Identity::user("bob")));
}

#[test]
fn a_reload_brings_all_of_the_new_or_keeps_all_of_the_old_g02_g03() {
    let scratch = Scratch::file(USERS);
    let file = PasswordFile::load(scratch.path()).unwrap();
    let bob_is_in = |file: &PasswordFile| log_in(file, "bob", "hunter2").resolve().is_ok();

    scratch.write(USERS.replace("bob", "rob") + "plain:text\n");
    let error = file.reload().unwrap_err().to_string();
    assert!(error.contains("line 12") && error.contains("file"), "{error}");
    assert!(bob_is_in(&file));

    scratch.write(b"rob:\n\n\xff\n");
    let error = file.reload().unwrap_err().to_string();
    assert!(error.contains("line 3") && error.contains("UTF-8"), "{error}");
    assert!(bob_is_in(&file));

    std::fs::remove_file(scratch.path()).unwrap();
    assert!(matches!(file.reload(), Err(LoadError::Read { .. })));
    assert!(bob_is_in(&file));

    assert_eq!((file.contains("bob"), file.generation()), (true, 0));

    scratch.write(USERS.replace("bob", "rob"));
    file.reload().unwrap();
    assert!(!bob_is_in(&file));
    assert_eq!((file.contains("bob"), file.contains("rob"), file.generation()), (false, true, 1));
    assert_eq!(log_in(&file, "rob", "hunter2"), Verdict::Allow(Identity::user("rob")));
}

#[test]
fn what_is_no_file_cannot_be_loaded() {
    let nothing = Scratch::nothing();
    assert!(matches!(PasswordFile::load(nothing.path()), Err(LoadError::Read { .. })));
    assert!(matches!(users().reload(), Err(LoadError::NoFile)));
}

#[test]
fn weak_hashes_are_pointed_out() {
    let warnings = users().warnings();
    let weak: Vec<_> = warnings
        .iter()
        .filter_map(|warning| match warning {
            PasswordWarning::WeakHash { line, user_name } => Some((*line, user_name.as_str())),
            _ => None,
        })
        .collect();
    assert_eq!(weak, [(7, "zoë"), (8, "carol"), (11, "eve")]);
    assert!(warnings[0].to_string().contains("line 7"));
}

#[cfg(unix)]
#[test]
fn a_file_that_everybody_can_write_is_refused() {
    let scratch = Scratch::file(DORA);
    for mode in [0o602, 0o666] {
        scratch.set_mode(mode);
        let refused = PasswordFile::load(scratch.path());
        assert!(matches!(refused, Err(LoadError::Exposed { mode: found, .. }) if found == mode));
    }
}

/// 0644 is what Kubernetes mounts a secret with.
#[cfg(unix)]
#[test]
fn a_file_that_others_can_read_or_its_group_can_write_is_pointed_out() {
    let scratch = Scratch::file(DORA);
    for (mode, is_warned) in
        [(0o644, true), (0o604, true), (0o660, true), (0o640, false), (0o600, false)]
    {
        scratch.set_mode(mode);
        let warnings = PasswordFile::load(scratch.path()).unwrap().warnings();
        assert_eq!(!warnings.is_empty(), is_warned, "{mode:o}: {warnings:?}");
    }
}

#[test]
fn nothing_printed_shows_a_hash() {
    let printed = format!("{:?} {:?}", users(), users().warnings());
    assert!(!printed.contains("argon2id") && !printed.contains("8OrhTp"), "{printed}");
}

#[test]
fn an_identity_is_over_when_its_line_goes_or_changes() {
    let scratch = Scratch::file(USERS);
    let file = PasswordFile::load(scratch.path()).unwrap();
    let standing = |name: &str, since| file.standing(&Identity::user(name), since);
    assert_eq!(standing("alice", 0), Standing::Valid);
    assert_eq!(standing("mallory", 0), Standing::Over);
    assert_eq!(file.standing(&Identity::anonymous(), 0), Standing::Over);

    // Bob has alice's password now, and carol is gone.
    let alice = USERS.lines().find_map(|line| line.strip_prefix("alice:")).unwrap();
    let bob = USERS.lines().find(|line| line.starts_with("bob:")).unwrap();
    let changed = USERS.replace(bob, &format!("bob:{alice}")).replace("carol:", "caroline:");
    scratch.write(&changed);
    file.reload().unwrap();
    assert_eq!(file.generation(), 1);
    assert_eq!(standing("alice", 0), Standing::Valid);
    assert_eq!([standing("bob", 0), standing("bob", 1)], [Standing::Over, Standing::Valid]);
    assert_eq!([standing("carol", 0), standing("carol", 1)], [Standing::Over; 2]);
    assert_eq!(standing("caroline", 1), Standing::Valid);

    scratch.write(&changed);
    file.reload().unwrap();
    assert_eq!([standing("bob", 0), standing("bob", 1)], [Standing::Over, Standing::Valid]);
}

#[test]
fn a_chain_stands_by_whom_one_of_its_links_stands_by() {
    let chain = Chain::new().then(users()).then(Anonymous::without_credentials());
    assert_eq!(chain.standing(&Identity::user("alice"), 0), Standing::Valid);
    assert_eq!(chain.standing(&Identity::user("mallory"), 0), Standing::Over);
    assert_eq!(chain.standing(&Identity::anonymous(), 0), Standing::Valid);
}

#[test]
fn a_login_is_remembered_by_all_that_its_verdict_depends_on() {
    let scratch = Scratch::file(USERS);
    let file = PasswordFile::load(scratch.path()).unwrap();
    let print = |login: Login<'_>| file.fingerprint(login).unwrap();
    let alice = Login::new("c").user_name("alice").password(&b"correct horse"[..]);
    let before = print(alice);
    assert_eq!(before, print(alice.listener("other")));
    let others = [
        alice.password(&b"correct horsf"[..]),
        alice.password(&b""[..]),
        alice.password(None),
        alice.user_name("bob"),
        alice.user_name("alic").password(&b"ecorrect horse"[..]),
        alice.user_name(None),
        alice.user_name(""),
    ];
    let mut all: Vec<_> = others.into_iter().map(print).chain([before]).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), others.len() + 1);
    assert_ne!(before, PasswordFile::parse(USERS).unwrap().fingerprint(alice).unwrap(), "keyed");

    scratch.write(USERS.replace("bob", "rob"));
    file.reload().unwrap();
    assert_eq!(before, print(alice), "her line is the same");
    scratch.write(USERS.replace("alice:", "eve2:").replace("bob:", "alice:"));
    file.reload().unwrap();
    assert_ne!(before, print(alice));
    scratch.write(USERS);
    file.reload().unwrap();
    assert_ne!(before, print(alice), "what was forgotten stays so");
}
