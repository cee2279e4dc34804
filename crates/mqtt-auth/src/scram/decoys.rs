use argon2::password_hash::rand_core::{OsRng, RngCore};

use super::{KEY_BYTES, Key, ScramKeys, hmac};

/// Makes up the keys of users who do not exist: always the same for the same name, so that asking
/// twice does not tell them from real ones (RFC 5802 section 9).
pub(crate) struct ScramDecoys {
    secret: Key,
}

impl ScramDecoys {
    /// With a secret from the operating system. Names that do not exist get another salt after
    /// every restart.
    pub(crate) fn new() -> Self {
        let mut secret = [0; KEY_BYTES];
        OsRng.fill_bytes(&mut secret);
        Self { secret }
    }

    /// What stands for a login while it is remembered. Whoever reads the memory of the process has to
    /// guess the password all the same.
    pub(crate) fn fingerprint(&self, parts: &[&[u8]]) -> Key {
        let secret = hmac(&self.secret, &[b"login"]);
        hmac(&secret, parts)
    }

    /// Which of `count` users an unknown one imitates.
    pub(crate) fn choose(&self, user_name: &str, count: usize) -> usize {
        let [a, b, c, d, ..] = hmac(&self.secret, &[b"model", user_name.as_bytes()]);
        let count = u32::try_from(count).unwrap_or(u32::MAX).max(1);
        usize::try_from(u32::from_be_bytes([a, b, c, d]) % count).unwrap_or_default()
    }

    /// Keys that look like those of `model`, where there is one. No proof fits them: that takes a value whose hash is
    /// the stored key, and nobody has hashed anything to get it.
    pub(crate) fn keys(&self, user_name: &str, model: Option<&ScramKeys>) -> ScramKeys {
        let key = |purpose: &[u8]| hmac(&self.secret, &[purpose, user_name.as_bytes()]);
        let (iterations, salt_bytes) =
            model.map_or((1, KEY_BYTES), |model| (model.iterations, model.salt.len()));
        let blocks = (0_u32..).flat_map(|block| key(&block.to_be_bytes()));
        let salt = blocks.take(salt_bytes).collect();
        ScramKeys { iterations, salt, stored_key: key(b"stored"), server_key: key(b"server") }
    }
}
