//! Puts a record together.

use super::RECORD_VERSION;

/// Begins a record in `out`.
pub(super) fn begin(out: &mut Vec<u8>) {
    out.clear();
    out.push(RECORD_VERSION);
}

pub(super) fn number(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            return out.push(low & 0x7f);
        }
        out.push(low | 0x80);
    }
}

pub(super) fn length(out: &mut Vec<u8>, length: usize) {
    // A length fits: no platform has addresses of more than 64 bits.
    number(out, length as u64);
}

pub(super) fn counted_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    length(out, bytes.len());
    out.extend_from_slice(bytes);
}

pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    counted_bytes(out, text.as_bytes());
}

/// Flags, the first of them in the lowest bit.
pub(super) fn flags<const N: usize>(flags: [bool; N]) -> u8 {
    flags.iter().rev().fold(0, |byte, flag| byte << 1 | u8::from(*flag))
}
