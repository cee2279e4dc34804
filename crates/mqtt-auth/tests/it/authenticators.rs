use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use mqtt_auth::{
    Anonymous, Authenticator, Chain, Exchange, Identity, Login, PasswordFile, Refusal, Step,
    Verdict,
};

/// The verdict, from a runtime that does nothing else.
pub(crate) fn ask(authenticator: &impl Authenticator, login: Login<'_>) -> Verdict {
    run(authenticator.authenticate(login))
}

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Always says the same, and counts how often it is asked.
struct Always(Verdict, Arc<AtomicU32>);

impl Always {
    fn says(verdict: Verdict) -> Self {
        Self(verdict, Arc::default())
    }
}

#[async_trait]
impl Authenticator for Always {
    async fn authenticate(&self, _login: Login<'_>) -> Verdict {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.0.clone()
    }
}

const UNAVAILABLE: Verdict = Verdict::Deny(Refusal::Unavailable);
const BAD_CREDENTIALS: Verdict = Verdict::Deny(Refusal::BadCredentials);

#[test]
fn anonymous_takes_whoever_brings_nothing() {
    let verdict = ask(&Anonymous::without_credentials(), Login::new("c"));
    assert_eq!(verdict, Verdict::Allow(Identity::anonymous()));
}

#[test]
fn nobody_is_anonymous_by_accident_b43() {
    let anonymous = Anonymous::without_credentials();
    let empty_name = Login::new("c").user_name("");
    let empty_password = Login::new("c").password(&b""[..]);
    for login in [empty_name, empty_password, empty_name.password(&b""[..])] {
        assert_eq!(ask(&anonymous, login), Verdict::Pass, "{login:?}");
    }
}

#[test]
fn a_name_that_nobody_verified_is_nobodys_identity() {
    let verdict = ask(&Anonymous::everyone(), Login::new("c").user_name("admin"));
    assert_eq!(verdict, Verdict::Allow(Identity::anonymous()));
}

#[test]
fn the_first_of_a_chain_that_does_not_pass_decides() {
    let last = Always::says(Verdict::Allow(Identity::user("last")));
    let asked = Arc::clone(&last.1);
    let chain = Chain::new().then(Always::says(Verdict::Pass)).then(Always::says(UNAVAILABLE));
    assert_eq!(ask(&chain.then(last), Login::new("c")), UNAVAILABLE, "fail closed (G03)");
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

#[test]
fn a_chain_that_runs_out_refuses() {
    assert_eq!(ask(&Chain::new(), Login::new("c")), BAD_CREDENTIALS);
    let chain = Chain::new().then(Always::says(Verdict::Pass));
    assert_eq!(ask(&chain, Login::new("c")), BAD_CREDENTIALS);
}

#[test]
fn a_pass_with_nobody_left_is_a_refusal() {
    assert_eq!(Verdict::Pass.resolve(), Err(Refusal::BadCredentials));
    assert_eq!(UNAVAILABLE.resolve(), Err(Refusal::Unavailable));
    assert_eq!(Verdict::Allow(Identity::user("a")).resolve(), Ok(Identity::user("a")));
}

#[test]
fn a_chain_blocks_if_one_of_it_does() {
    let quick = Chain::new().then(Anonymous::everyone());
    assert!(!quick.is_blocking());
    let passwords = Arc::new(PasswordFile::parse("").unwrap());
    assert!(quick.then(passwords).is_blocking());
}

/// Knows the method "ECHO": whoever says the same twice is that user.
struct Echo;

struct Heard(Option<Vec<u8>>);

#[async_trait]
impl Authenticator for Echo {
    async fn authenticate(&self, _login: Login<'_>) -> Verdict {
        Verdict::Pass
    }

    fn exchange(&self, method: &str) -> Option<Box<dyn Exchange>> {
        (method == "ECHO").then(|| Box::new(Heard(None)) as Box<dyn Exchange>)
    }
}

#[async_trait]
impl Exchange for Heard {
    async fn step(&mut self, _login: Login<'_>, data: &[u8]) -> Step {
        match self.0.replace(data.to_vec()) {
            None => Step::Continue(data.to_vec()),
            Some(before) if before == data => {
                let name = String::from_utf8_lossy(data).into_owned();
                Step::Done { identity: Identity::user(name), data: None }
            }
            Some(_) => Step::Refused(Refusal::BadCredentials),
        }
    }
}

#[test]
fn a_chain_finds_whoever_knows_the_method() {
    let chain = Chain::new().then(Anonymous::everyone()).then(Arc::new(Echo));
    assert!(chain.exchange("SCRAM-SHA-1").is_none());

    let mut exchange = chain.exchange("ECHO").unwrap();
    let login = Login::new("c");
    assert_eq!(run(exchange.step(login, b"bob")), Step::Continue(b"bob".to_vec()));
    let done = Step::Done { identity: Identity::user("bob"), data: None };
    assert_eq!(run(exchange.step(login, b"bob")), done);

    let mut exchange = chain.exchange("ECHO").unwrap();
    run(exchange.step(login, b"bob"));
    assert_eq!(run(exchange.step(login, b"eve")), Step::Refused(Refusal::BadCredentials));
}

#[test]
fn a_session_of_one_identity_is_not_that_of_another_b40() {
    let (alice, bob) = (Identity::user("alice"), Identity::user("bob"));
    assert_eq!(alice, Identity::user(String::from("alice")));
    assert_ne!(alice, bob);
    assert_ne!(alice, Identity::anonymous());
    assert_ne!(Identity::user(""), Identity::anonymous());
}

#[test]
fn certificate_names_are_taken_whole_or_not_at_all_b38() {
    let taken = Identity::from_certificate_name("sensor 7 (söuth)".as_bytes());
    assert_eq!(taken, Ok(Identity::user("sensor 7 (söuth)")));
    let long = "x".repeat(64 * 1024);
    let bad: [&[u8]; 7] =
        [b"", b"admin\0.evil", b"\xff\xfe", b"#", b"a/+", b"a\nb", long.as_bytes()];
    for name in bad {
        assert_eq!(Identity::from_certificate_name(name), Err(Refusal::BadCredentials));
    }
}

#[test]
fn what_is_printed_is_escaped_and_keeps_the_password_b39() {
    let nasty = "<b>\n\u{1b}[31m";
    let peer = "[::1]:1883".parse::<std::net::SocketAddr>().unwrap();
    let login = Login::new(nasty).user_name(nasty).password(&b"secret"[..]).peer(peer);
    let printed = format!("{:?} {}", login.listener("tcp"), Identity::user(nasty));
    assert!(!printed.contains(['\n', '\u{1b}']), "{printed}");
    assert!(!printed.contains("secret") && printed.contains("***"), "{printed}");
    assert!(!printed.contains(&format!("{:?}", b"secret")), "{printed}");
    assert_eq!(Identity::anonymous().to_string(), "anonymous");
}
