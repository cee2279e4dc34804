use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, Mac};
use mqtt_auth::{
    Anonymous, Authenticator, Chain, EditError, Exchange, Identity, Login, PasswordEditor,
    PasswordFile, PasswordWarning, Refusal, Step, Verdict,
};
use sha2::{Digest, Sha256};

use crate::{
    authenticators::{ask, run},
    scratch::Scratch,
};

/// `user` is that of RFC 7677 section 3, with its keys as PostgreSQL stores them.
const USER: &str = "user:$scram-sha-256$4096$W22ZaJ0SNY7soEsUEjb6gQ==$\
WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=$wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
const BOB: &str = "bob:$argon2id$v=19$m=8,t=1,p=1$Ym9ic2FsdDEyMzQ1Njc4OQ$8OrhTpwmcbmM3Jl2A71487W0Ur1cFkjZoP9+vCa7wos";

const METHOD: &str = "SCRAM-SHA-256";
const REFUSED: Step = Step::Refused(Refusal::BadCredentials);

fn file() -> PasswordFile {
    PasswordFile::parse(&format!("{USER}\n{BOB}\n")).unwrap()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn step(exchange: &mut dyn Exchange, message: &str) -> Step {
    run(exchange.step(Login::new("c"), message.as_bytes()))
}

/// The server's first message to this user.
fn challenge(exchange: &mut dyn Exchange, user: &str) -> String {
    match step(exchange, &format!("n,,n={user},r=abc")) {
        Step::Continue(data) => String::from_utf8(data).unwrap(),
        other => panic!("expected a challenge, got {other:?}"),
    }
}

/// Salt and iterations.
fn asked_for(challenge: &str) -> (Vec<u8>, u32) {
    let (salt, iterations) = challenge.split_once(",s=").unwrap().1.split_once(",i=").unwrap();
    (BASE64_STANDARD.decode(salt).unwrap(), iterations.parse().unwrap())
}

/// Logs in as RFC 5802 tells a client to; answers the last step and the signature it should have.
fn log_in(file: &impl Authenticator, user: &str, password: &str) -> (Step, String) {
    let mut exchange = file.exchange(METHOD).unwrap();
    let server_first = challenge(&mut *exchange, user);
    let (salt, iterations) = asked_for(&server_first);
    let mut salted = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), &salt, iterations, &mut salted);
    let nonce = server_first.split_once(',').unwrap().0;
    let without_proof = format!("c=biws,{nonce}");
    let signed = format!("n={user},r=abc,{server_first},{without_proof}");
    let client_key = hmac(&salted, "Client Key");
    let signature = hmac(&Sha256::digest(&client_key), &signed);
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, byte)| key ^ byte).collect();
    let proof = BASE64_STANDARD.encode(proof);
    let expected = BASE64_STANDARD.encode(hmac(&hmac(&salted, "Server Key"), &signed));
    (step(&mut *exchange, &format!("{without_proof},p={proof}")), format!("v={expected}"))
}

#[test]
fn whoever_knows_the_password_is_let_in_and_told_that_the_server_knows_the_user() {
    let (step, signature) = log_in(&file(), "user", "pencil");
    let data = Some(signature.into_bytes());
    assert_eq!(step, Step::Done { identity: Identity::user("user"), data });
}

#[test]
fn a_wrong_password_and_an_unknown_user_fail_at_the_proof_b26() {
    for (user, password) in [("user", "pencils"), ("mallory", "pencil"), ("bob", "hunter2")] {
        assert_eq!(log_in(&file(), user, password).0, REFUSED, "{user}");
    }
}

#[test]
fn an_unknown_user_has_a_salt_of_its_own_that_stays() {
    let scratch = Scratch::file(format!("{USER}\n{BOB}\n"));
    let file = PasswordFile::load(scratch.path()).unwrap();
    let asked = |user| asked_for(&challenge(&mut *file.exchange(METHOD).unwrap(), user));
    let (known, mallory, bob) = (asked("user"), asked("mallory"), asked("bob"));
    assert_eq!((known.0.len(), known.1), (mallory.0.len(), mallory.1));
    assert_ne!(mallory.0, bob.0);
    assert_eq!(asked("mallory"), mallory);

    scratch.write(format!("{USER}\n"));
    file.reload().unwrap();
    assert_eq!((asked("mallory"), asked("bob")), (mallory, bob), "after a reload");
}

#[test]
fn no_two_challenges_are_the_same() {
    let file = file();
    let ask = || challenge(&mut *file.exchange(METHOD).unwrap(), "user");
    assert_ne!(ask(), ask());
}

#[test]
fn channel_binding_is_not_offered() {
    let mut exchange = file().exchange(METHOD).unwrap();
    assert_eq!(step(&mut *exchange, "p=tls-server-end-point,,n=user,r=abc"), REFUSED);
    let mut exchange = file().exchange(METHOD).unwrap();
    assert!(matches!(step(&mut *exchange, "y,,n=user,r=abc"), Step::Continue(_)));
}

#[test]
fn a_client_is_not_two_users() {
    let first = b"n,,n=user,r=abc";
    let mut exchange = file().exchange(METHOD).unwrap();
    assert_eq!(run(exchange.step(Login::new("c").user_name("bob"), first)), REFUSED);
    let mut exchange = file().exchange(METHOD).unwrap();
    let same = run(exchange.step(Login::new("c").user_name("user"), first));
    assert!(matches!(same, Step::Continue(_)));
}

#[test]
fn the_method_is_offered_where_somebody_can_use_it() {
    assert!(PasswordFile::parse(BOB).unwrap().exchange(METHOD).is_none());
    assert!(file().exchange("SCRAM-SHA-1").is_none());
    let chain = Chain::new().then(Anonymous::without_credentials()).then(file());
    assert!(matches!(log_in(&chain, "user", "pencil").0, Step::Done { .. }));
}

#[test]
fn the_password_itself_is_good_too() {
    let file = file();
    let login = Login::new("c").user_name("user");
    let right = ask(&file, login.password(&b"pencil"[..]));
    assert_eq!(right, Verdict::Allow(Identity::user("user")));
    let refused = Verdict::Deny(Refusal::BadCredentials);
    assert_eq!(ask(&file, login.password(&b"pencils"[..])), refused);
    assert_eq!(ask(&file, login), refused);
}

#[test]
fn the_editor_writes_lines_for_scram() {
    let scratch = Scratch::nothing();
    let mut editor = PasswordEditor::open(scratch.path()).unwrap();
    editor.set_user("alice", b"before").unwrap();
    editor.set_scram_user("alice", b"swordfish", PasswordEditor::SCRAM_ITERATIONS).unwrap();
    editor.save().unwrap();
    assert!(scratch.text().starts_with("alice:$scram-sha-256$15000$"), "{}", scratch.text());
    let file = PasswordFile::load(scratch.path()).unwrap();
    assert!(matches!(log_in(&file, "alice", "swordfish").0, Step::Done { .. }));
    assert_eq!(file.warnings(), []);

    for iterations in [0, 4095, 10_000_001] {
        let error = editor.set_scram_user("alice", b"x", iterations).unwrap_err();
        assert!(matches!(error, EditError::ScramIterations), "{error}");
    }
    assert!(matches!(editor.set_scram_user("a", b"", 4096), Err(EditError::EmptyPassword)));
    assert!(matches!(editor.set_scram_user("a:", b"x", 4096), Err(EditError::UserName(_))));
}

#[test]
fn a_damaged_line_refuses_the_file_and_a_weak_one_is_pointed_out() {
    let cut = USER.rsplit_once('$').unwrap().0;
    for line in [cut, &format!("{USER}$AA=="), &USER.replace("4096", "0"), &USER.replace("=$", "$")]
    {
        let error = PasswordFile::parse(line).unwrap_err().to_string();
        assert!(error.contains("damaged") && error.contains("ITERATIONS"), "{line}: {error}");
    }
    let error = PasswordFile::parse(&USER.replace("4096", "10000001")).unwrap_err().to_string();
    assert!(error.contains("too much work"), "{error}");
    let weak = PasswordFile::parse(&USER.replace("4096", "4095")).unwrap().warnings();
    assert!(matches!(weak[..], [PasswordWarning::WeakHash { line: 1, .. }]));
    assert_eq!(file().warnings(), []);
}
