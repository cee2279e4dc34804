//! What the client says, and nothing that the grammar of RFC 5802 section 7 does not permit.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::Key;

/// No message of a client that means well is longer, in bytes.
const MESSAGE_BYTES_MAX: usize = 4096;

/// `n,,n=USER,r=NONCE`: who wants to come in.
pub(super) struct ClientFirst<'a> {
    /// What stands before the part that is signed; repeated in the last message.
    pub(super) gs2_header: &'a str,
    /// The part that is signed.
    pub(super) bare: &'a str,
    pub(super) user_name: String,
    pub(super) nonce: &'a str,
}

impl<'a> ClientFirst<'a> {
    /// `None` for what breaks the grammar, and for what is not offered here: channel binding
    /// (`p=`), mandatory extensions (`m=`), and acting for another user.
    pub(super) fn parse(data: &'a [u8]) -> Option<Self> {
        let text = text(data)?;
        let (flag, rest) = text.split_once(',')?;
        let (other_user, bare) = rest.split_once(',')?;
        let gs2_header = text.strip_suffix(bare)?;
        let mut attributes = bare.split(',');
        let name = attributes.next()?.strip_prefix("n=")?;
        let nonce = attributes.next()?.strip_prefix("r=").filter(|nonce| is_nonce(nonce))?;
        let is_plain = matches!(flag, "n" | "y");
        let is_own = other_user.is_empty() || other_user.strip_prefix("a=") == Some(name);
        let user_name = unescape(name)?;
        (is_plain && is_own).then_some(Self { gs2_header, bare, user_name, nonce })
    }
}

/// `c=HEADER,r=NONCE,p=PROOF`: that the client knows the password.
pub(super) struct ClientFinal<'a> {
    /// The header of the first message, once more.
    pub(super) gs2_header: Vec<u8>,
    pub(super) nonce: &'a str,
    /// The part that is signed.
    pub(super) without_proof: &'a str,
    pub(super) proof: Key,
}

impl<'a> ClientFinal<'a> {
    pub(super) fn parse(data: &'a [u8]) -> Option<Self> {
        let (without_proof, proof) = text(data)?.rsplit_once(",p=")?;
        let mut attributes = without_proof.split(',');
        let header = attributes.next()?.strip_prefix("c=")?;
        let nonce = attributes.next()?.strip_prefix("r=")?;
        let gs2_header = BASE64_STANDARD.decode(header).ok()?;
        let proof = BASE64_STANDARD.decode(proof).ok()?.try_into().ok()?;
        Some(Self { gs2_header, nonce, without_proof, proof })
    }
}

fn text(data: &[u8]) -> Option<&str> {
    let data = Some(data).filter(|data| data.len() <= MESSAGE_BYTES_MAX)?;
    std::str::from_utf8(data).ok()
}

/// Printable ASCII; commas are gone already.
fn is_nonce(nonce: &str) -> bool {
    !nonce.is_empty() && nonce.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A comma is written `=2C` and an equals sign `=3D`; nothing else stands behind an `=`.
fn unescape(name: &str) -> Option<String> {
    let mut parts = name.split('=');
    let mut unescaped = parts.next()?.to_owned();
    for part in parts {
        let (sign, rest) = match (part.strip_prefix("2C"), part.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (_, Some(rest)) => ('=', rest),
            _ => return None,
        };
        unescaped.push(sign);
        unescaped.push_str(rest);
    }
    Some(unescaped).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_commas_and_equals_signs() {
        let first = ClientFirst::parse(b"y,a=a=2Cb=3D2C,n=a=2Cb=3D2C,r=x").unwrap();
        assert_eq!(first.user_name, "a,b=2C");
        assert_eq!((first.gs2_header, first.bare), ("y,a=a=2Cb=3D2C,", "n=a=2Cb=3D2C,r=x"));
    }

    #[test]
    fn what_is_not_offered_or_no_message_is_not_read() {
        let long = format!("n,,n=user,r={}", "x".repeat(MESSAGE_BYTES_MAX));
        let bad = [
            "",
            "n",
            "n,",
            "n,,",
            "n,,n=user",
            "n,,r=x,n=user",
            "n,,n=,r=x",
            "n,,n=user,r=",
            "p=tls-unique,,n=user,r=x",
            "x,,n=user,r=x",
            "n,a=other,n=user,r=x",
            "n,,m=must,n=user,r=x",
            "n,,n=a=2c,r=x",
            "n,,n=a=,r=x",
            "n,,n=user,r=x y",
            &long,
        ];
        for text in bad {
            assert!(ClientFirst::parse(text.as_bytes()).is_none(), "{text}");
        }
        assert!(ClientFirst::parse(b"n,,n=user,r=x,f=later").is_some(), "an extension");
        assert!(ClientFirst::parse(b"n,,n=\xff,r=x").is_none());
    }

    #[test]
    fn a_proof_is_as_long_as_a_hash() {
        let proof = BASE64_STANDARD.encode([7; 32]);
        let last = format!("c=biws,r=xy,p={proof}");
        assert_eq!(ClientFinal::parse(last.as_bytes()).unwrap().proof, [7; 32]);
        let short = BASE64_STANDARD.encode([7; 31]);
        for bad in ["", "c=biws,r=xy", "r=xy,c=biws,p=AA==", &format!("c=biws,r=xy,p={short}")] {
            assert!(ClientFinal::parse(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
