//! SCRAM-SHA-256 (RFC 5802, RFC 7677): a client proves that it knows a password without sending it,
//! and the server that it knows the user.
//!
//! ```text
//! client                                            server
//!   │ CONNECT   n,,n=USER,r=NONCE                      │  first: looks the user up
//!   │                AUTH 0x18   r=NONCE+,s=SALT,i=N   │
//!   │ AUTH 0x18 c=biws,r=NONCE+,p=PROOF                │  final: checks the proof
//!   │                CONNACK or AUTH 0x00   v=SIGNATURE│
//! ```

mod decoys;
mod exchange;
mod keys;
mod message;

pub(crate) use self::{decoys::ScramDecoys, exchange::ScramExchange, keys::ScramKeys};

/// The Authentication Method, as clients name it in CONNECT.
pub(crate) const METHOD: &str = "SCRAM-SHA-256";

/// The length of a SHA-256 hash, and of all that is made of it.
const KEY_BYTES: usize = 32;

type Key = [u8; KEY_BYTES];

/// HMAC-SHA-256 of all parts, one behind the other.
fn hmac(key: &[u8], parts: &[&[u8]]) -> Key {
    use hmac::Mac;
    // Any length of key will do, so the error that the type knows never happens. An empty
    // signature verifies nothing, if it did.
    let Ok(mut mac) = hmac::Hmac::<sha2::Sha256>::new_from_slice(key) else {
        return [0; KEY_BYTES];
    };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

fn sha256(data: &[u8]) -> Key {
    use sha2::Digest;
    sha2::Sha256::digest(data).into()
}
