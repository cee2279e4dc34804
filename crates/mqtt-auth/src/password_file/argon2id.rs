use argon2::{Algorithm, Argon2, Params, Version};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use subtle::{Choice, ConstantTimeEq};

use super::hash::{damaged, too_expensive};
use crate::load_error::Problem;

/// The most work a line of the file may ask of every login, so that a typing error there does not
/// stop the server: memory in KiB, passes over it, and lanes.
const MEMORY_KIB_MAX: u32 = 1024 * 1024;
const PASSES_MAX: u32 = 64;
const LANES_MAX: u32 = 64;

/// The longest salt, in bytes; mosquitto 2.1 takes 64. The crate `password-hash` stops at 48.
const SALT_BYTES_MAX: usize = 512;

/// How long a hash may be, in bytes: shorter ones are guessed, longer ones nobody writes.
const HASH_BYTES: std::ops::RangeInclusive<usize> = 10..=512;

const FORM: &str = "`$argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$HASH`";

/// Base64 as PHC strings have it, without padding; other programs write it with some.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The hash of a PHC string `$argon2id$v=19$m=KIB,t=PASSES,p=LANES$SALT$HASH`.
pub(super) struct Argon2id {
    params: Params,
    salt: Box<[u8]>,
    hash: Box<[u8]>,
}

impl Argon2id {
    /// Reads what stands behind `$argon2id$`.
    pub(super) fn parse(rest: &str) -> Result<Self, Problem> {
        let mut parts = rest.split('$');
        let (version, params) = (parts.next(), parts.next());
        let (salt, hash) = (parts.next().and_then(decode), parts.next().and_then(decode));
        let (Some("v=19"), Some(params), Some(salt), Some(hash), None) =
            (version, params, salt, hash, parts.next())
        else {
            return Err(damaged(FORM));
        };
        let params = costs(params).ok_or_else(|| damaged(FORM))?;
        let [memory_kib, passes, lanes] = params;
        if memory_kib > MEMORY_KIB_MAX || passes > PASSES_MAX || lanes > LANES_MAX {
            return Err(too_expensive("1 GiB of memory, 64 passes and 64 lanes"));
        }
        // What argon2 would reject at every login is better rejected here, once.
        let is_salt_usable = (argon2::MIN_SALT_LEN..=SALT_BYTES_MAX).contains(&salt.len());
        if !is_salt_usable || !HASH_BYTES.contains(&hash.len()) {
            return Err(damaged(FORM));
        }
        let params = Params::new(memory_kib, passes, lanes, Some(hash.len()));
        let params = params.map_err(|_| damaged(FORM))?;
        Ok(Self { params, salt: salt.into(), hash: hash.into() })
    }

    /// Whether this is the hash of the password. Compares in constant time.
    pub(super) fn verify(&self, password: &[u8]) -> Choice {
        let mut computed = vec![0; self.hash.len()];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, self.params.clone());
        let is_computed = argon2.hash_password_into(password, &self.salt, &mut computed).is_ok();
        computed.ct_eq(&self.hash) & Choice::from(u8::from(is_computed))
    }
}

/// `m=KIB,t=PASSES,p=LANES`, each once, in any order.
fn costs(text: &str) -> Option<[u32; 3]> {
    let mut found = [None; 3];
    for part in text.split(',') {
        let (name, value) = part.split_once('=')?;
        let place = ["m", "t", "p"].iter().position(|known| *known == name)?;
        let value = value.parse().ok().filter(|_| value.bytes().all(|b| b.is_ascii_digit()))?;
        if found.get_mut(place)?.replace(value).is_some() {
            return None;
        }
    }
    match found {
        [Some(memory_kib), Some(passes), Some(lanes)] => Some([memory_kib, passes, lanes]),
        _ => None,
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text).ok()
}
