use std::fmt;

use base64::{Engine, prelude::BASE64_STANDARD};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use super::{KEY_BYTES, Key, hmac, sha256};

/// What a server knows of one user: enough to check a proof and to sign its answer, and not enough
/// to log in anywhere (RFC 5802 section 3). Shown by no `Debug`.
#[derive(Clone)]
pub(crate) struct ScramKeys {
    pub(super) iterations: u32,
    pub(super) salt: Vec<u8>,
    pub(super) stored_key: Key,
    pub(super) server_key: Key,
}

impl ScramKeys {
    /// The keys of a password. The work grows with the iterations, which are at least 1.
    pub(crate) fn derive(password: &[u8], salt: Vec<u8>, iterations: u32) -> Self {
        let mut salted = [0; KEY_BYTES];
        pbkdf2::pbkdf2_hmac::<Sha256>(password, &salt, iterations, &mut salted);
        let stored_key = sha256(&hmac(&salted, &[b"Client Key"]));
        let server_key = hmac(&salted, &[b"Server Key"]);
        Self { iterations, salt, stored_key, server_key }
    }

    /// Reads `ITERATIONS$SALT$STORED_KEY$SERVER_KEY`, what stands behind the name of the scheme in
    /// a password file.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split('$');
        let iterations = fields.next()?.parse().ok().filter(|iterations| *iterations > 0)?;
        let salt = decode(fields.next()?).filter(|salt| !salt.is_empty())?;
        let stored_key = decode(fields.next()?)?.try_into().ok()?;
        let server_key = decode(fields.next()?)?.try_into().ok()?;
        fields.next().is_none().then_some(Self { iterations, salt, stored_key, server_key })
    }

    /// How often the password is hashed.
    pub(crate) fn iterations(&self) -> u32 {
        self.iterations
    }

    /// Whether these are the keys of the password. Takes the same time whatever the answer.
    pub(crate) fn verify(&self, password: &[u8]) -> Choice {
        let derived = Self::derive(password, self.salt.clone(), self.iterations);
        derived.stored_key.ct_eq(&self.stored_key) & derived.server_key.ct_eq(&self.server_key)
    }

    /// Whether the proof shows that the client knows the password (RFC 5802 section 3). Takes the
    /// same time whatever the answer.
    pub(super) fn proves(&self, proof: &Key, conversation: &[&[u8]]) -> Choice {
        let mut client_key = hmac(&self.stored_key, conversation);
        client_key.iter_mut().zip(proof).for_each(|(byte, proof)| *byte ^= proof);
        sha256(&client_key).ct_eq(&self.stored_key)
    }

    /// Shows the client that the server knows the user.
    pub(super) fn signature(&self, conversation: &[&[u8]]) -> Key {
        hmac(&self.server_key, conversation)
    }
}

/// The form in a password file, which [`ScramKeys::parse`] reads.
impl fmt::Display for ScramKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored, server] = [&self.salt[..], &self.stored_key[..], &self.server_key[..]]
            .map(|field| BASE64_STANDARD.encode(field));
        write!(f, "{}${salt}${stored}${server}", self.iterations)
    }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back_as_they_were_written() {
        let keys = ScramKeys::derive(b"pencil", b"salt".to_vec(), 3);
        let read = ScramKeys::parse(&keys.to_string()).unwrap();
        assert_eq!(read.to_string(), keys.to_string());
        assert!(bool::from(read.verify(b"pencil")));
        assert!(!bool::from(read.verify(b"pencils")));
    }
}
