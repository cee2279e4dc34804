use argon2::{
    Algorithm, Argon2, Params, PasswordHasher, Version,
    password_hash::{
        SaltString,
        rand_core::{OsRng, RngCore},
    },
};
use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::{Digest, Sha512};
use subtle::{Choice, ConstantTimeEq};

use super::argon2id::Argon2id;
use crate::{load_error::Problem, scram::ScramKeys};

/// The most work a line of the file may ask of every login, so that a typing error there does not
/// stop the server: rounds of PBKDF2, which are SCRAM's iterations too.
pub(super) const PBKDF2_ROUNDS_MAX: u32 = 10_000_000;

/// Fewer rounds than these are a matter of hours for whoever gets hold of the file. `mosquitto_passwd`
/// 2.0 makes 101.
const PBKDF2_ROUNDS_SAFE: u32 = 100_000;

/// The fewest iterations that RFC 5802 permits. The client makes them too, so there cannot be as many
/// as elsewhere.
pub(super) const SCRAM_ITERATIONS_MIN: u32 = 4096;

/// Random bytes in the salt of a SCRAM line.
const SCRAM_SALT_BYTES: usize = 16;

const SHA512_BYTES: usize = 64;

/// What the file knows of one user's password. Has no `Debug`: hashes do not belong in logs.
pub(super) enum PasswordHash {
    /// `$argon2id$…`, a PHC string.
    Argon2id(Argon2id),
    /// `$scram-sha-256$iterations$salt$stored key$server key`.
    ScramSha256(ScramKeys),
    /// `$7$rounds$salt$hash` of mosquitto 2.
    Pbkdf2Sha512 { rounds: u32, salt: Vec<u8>, hash: [u8; SHA512_BYTES] },
    /// `$6$salt$hash` of mosquitto 1: the SHA-512 of password and salt.
    Sha512 { salt: Vec<u8>, hash: [u8; SHA512_BYTES] },
}

impl PasswordHash {
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let Some((scheme, rest)) = text.strip_prefix('$').and_then(|rest| rest.split_once('$'))
        else {
            let remedy = "this file takes no plain text: set the password with the passwd command";
            return Err(Problem::new("no password hash behind the user name", remedy));
        };
        match scheme {
            "argon2id" => Argon2id::parse(rest).map(Self::Argon2id),
            "scram-sha-256" => scram_sha256(rest),
            "7" => pbkdf2_sha512(rest),
            "6" => sha512(rest),
            _ => {
                let remedy = "use `$argon2id$` or `$scram-sha-256$`, or `$7$` or `$6$` as mosquitto writes them";
                Err(Problem::new("unknown kind of password hash", remedy))
            }
        }
    }

    /// Whether this is the hash of the password. Takes the same time whatever the answer.
    pub(super) fn verify(&self, password: &[u8]) -> Choice {
        match self {
            Self::Argon2id(argon2id) => argon2id.verify(password),
            Self::ScramSha256(keys) => keys.verify(password),
            Self::Pbkdf2Sha512 { rounds, salt, hash } => {
                let mut computed = [0; SHA512_BYTES];
                pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, *rounds, &mut computed);
                computed.ct_eq(hash)
            }
            Self::Sha512 { salt, hash } => {
                let computed = Sha512::new().chain_update(password).chain_update(salt).finalize();
                computed.as_slice().ct_eq(hash)
            }
        }
    }

    /// The keys for logins with SCRAM, if the file has them for this user.
    pub(super) fn scram_keys(&self) -> Option<&ScramKeys> {
        match self {
            Self::ScramSha256(keys) => Some(keys),
            _ => None,
        }
    }

    /// Whether the password can be guessed quickly by whoever gets hold of the file.
    pub(super) fn is_weak(&self) -> bool {
        match self {
            Self::Argon2id(_) => false,
            Self::ScramSha256(keys) => keys.iterations() < SCRAM_ITERATIONS_MIN,
            Self::Pbkdf2Sha512 { rounds, .. } => *rounds < PBKDF2_ROUNDS_SAFE,
            Self::Sha512 { .. } => true,
        }
    }
}

/// Hashes a password for the file: argon2id with 19 MiB, 2 passes and 1 lane (the minimum that
/// OWASP recommends), and a salt of 16 random bytes.
///
/// `None` if it is longer than the 4 GiB that argon2 takes.
pub(super) fn hash_password(password: &[u8]) -> Option<String> {
    let salt = SaltString::generate(&mut OsRng);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT);
    let phc = argon2.hash_password(password, &salt).ok()?;
    Some(phc.to_string())
}

/// Hashes a password for logins with SCRAM, with a salt of 16 random bytes.
pub(super) fn hash_password_for_scram(password: &[u8], iterations: u32) -> String {
    let mut salt = vec![0; SCRAM_SALT_BYTES];
    OsRng.fill_bytes(&mut salt);
    format!("$scram-sha-256${}", ScramKeys::derive(password, salt, iterations))
}

fn pbkdf2_sha512(rest: &str) -> Result<PasswordHash, Problem> {
    let (rounds, rest) = rest.split_once('$').ok_or_else(|| damaged(PBKDF2_FORM))?;
    let rounds = rounds.parse().map_err(|_| damaged(PBKDF2_FORM))?;
    let (salt, hash) = salt_and_hash(rest).ok_or_else(|| damaged(PBKDF2_FORM))?;
    match rounds {
        0 => Err(damaged(PBKDF2_FORM)),
        1..=PBKDF2_ROUNDS_MAX => Ok(PasswordHash::Pbkdf2Sha512 { rounds, salt, hash }),
        _ => Err(too_expensive("10,000,000 rounds")),
    }
}

fn scram_sha256(rest: &str) -> Result<PasswordHash, Problem> {
    let keys = ScramKeys::parse(rest).ok_or_else(|| damaged(SCRAM_FORM))?;
    if keys.iterations() > PBKDF2_ROUNDS_MAX {
        return Err(too_expensive("10,000,000 iterations"));
    }
    Ok(PasswordHash::ScramSha256(keys))
}

fn sha512(rest: &str) -> Result<PasswordHash, Problem> {
    let (salt, hash) = salt_and_hash(rest).ok_or_else(|| damaged(SHA512_FORM))?;
    Ok(PasswordHash::Sha512 { salt, hash })
}

fn salt_and_hash(text: &str) -> Option<(Vec<u8>, [u8; SHA512_BYTES])> {
    let (salt, hash) = text.split_once('$')?;
    let salt = BASE64_STANDARD.decode(salt).ok().filter(|salt| !salt.is_empty())?;
    let hash = BASE64_STANDARD.decode(hash).ok()?.try_into().ok()?;
    Some((salt, hash))
}

const SCRAM_FORM: &str = "`$scram-sha-256$ITERATIONS$SALT$STORED_KEY$SERVER_KEY`";
const PBKDF2_FORM: &str = "`$7$ROUNDS$SALT$HASH`";
const SHA512_FORM: &str = "`$6$SALT$HASH`";

pub(super) fn damaged(form: &str) -> Problem {
    let remedy = format!("it should look like {form}: set the password anew");
    Problem::new("damaged password hash", remedy)
}

pub(super) fn too_expensive(limit: &str) -> Problem {
    let remedy = format!("at most {limit} are allowed: set the password anew");
    Problem::new("password hash that takes too much work to check", remedy)
}
