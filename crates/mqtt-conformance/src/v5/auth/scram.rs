//! What a client computes for SCRAM-SHA-256 (RFC 7677), from the RFC alone.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::harness::prelude::*;

/// The client's part of the nonce.
const NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL";

/// What the client says first.
pub(crate) fn first() -> String {
    format!("n,,n=alice,r={NONCE}")
}

/// What the client says last, and what the server must answer to it.
pub(crate) struct Last {
    pub(crate) message: String,
    pub(crate) answer: String,
}

/// The last message to a challenge, with a proof of this password.
pub(crate) fn last(challenge: &[u8], password: &str) -> Done<Last> {
    let Ok(challenge) = std::str::from_utf8(challenge) else {
        fail!("the challenge is not text: {challenge:02X?}")
    };
    let Some((nonce, salt, iterations)) = parse(challenge) else {
        fail!("expected the challenge r=NONCE,s=SALT,i=N, got {challenge}")
    };
    let longer = nonce.len() > NONCE.len() && nonce.starts_with(NONCE);
    ensure!(longer, "the server's nonce does not go on where the client's ends: {challenge}");
    let without_proof = format!("c=biws,r={nonce}");
    let signed = format!("n=alice,r={NONCE},{challenge},{without_proof}");
    let mut salted = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), &salt, iterations, &mut salted);
    let client_key = hmac(&salted, "Client Key");
    let signature = hmac(&Sha256::digest(&client_key), &signed);
    let proof: Vec<u8> = client_key.iter().zip(signature).map(|(key, byte)| key ^ byte).collect();
    let answer = hmac(&hmac(&salted, "Server Key"), &signed);
    Ok(Last {
        message: format!("{without_proof},p={}", BASE64_STANDARD.encode(proof)),
        answer: format!("v={}", BASE64_STANDARD.encode(answer)),
    })
}

fn parse(challenge: &str) -> Option<(&str, Vec<u8>, u32)> {
    let mut attributes = challenge.split(',');
    let nonce = attributes.next()?.strip_prefix("r=")?;
    let salt = BASE64_STANDARD.decode(attributes.next()?.strip_prefix("s=")?).ok()?;
    let iterations = attributes.next()?.strip_prefix("i=")?.parse().ok()?;
    Some((nonce, salt, iterations))
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of every length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
