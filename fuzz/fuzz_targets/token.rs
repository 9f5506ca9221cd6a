//! The token parser, against the format as the documentation states it.

#![no_main]

use domain::token::Bearer;
use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};

const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// `wsr_`, 8 base62, `_`, 43 base62, and the CRC-32 of all that as 6 base62.
fn is_of_our_format(text: &str) -> bool {
    let Some((checked, checksum)) = text.split_at_checked(56) else { return false };
    let mut rest = crc32fast::hash(checked.as_bytes()) as usize;
    let mut digits = [0; 6];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[rest % 62];
        rest /= 62;
    }
    let bytes = text.as_bytes();
    let is_base62 = |range: std::ops::Range<usize>| bytes[range].iter().all(|byte| BASE62.contains(byte));
    bytes.len() == 62
        && is_base62(4..12)
        && bytes[12] == b'_'
        && is_base62(13..56)
        && checksum.as_bytes() == digits
}

fuzz_target!(|text: &str| {
    let is_plain = (32..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let expected = is_plain && (!text.starts_with("wsr_") || is_of_our_format(text));
    let parsed = Bearer::parse(text);
    assert_eq!(parsed.is_ok(), expected);
    if let Ok(bearer) = parsed {
        let digest: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(bearer.hash().as_str(), digest);
    }
});
