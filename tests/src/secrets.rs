//! Finds a secret in a text, in any common encoding.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// The forms of this secret: the whole and its secret part, each in plain text, JSON-escaped, percent-encoded, as hex, as
/// a list of bytes, and as base64 at each of the three alignments.
pub fn forms(secret: &str) -> Vec<String> {
    // In a token of the registry's format, the part after the public id. The prefix is not secret.
    let secret_part = secret.strip_prefix("wsr_").and_then(|rest| rest.get(9..));
    let mut forms = Vec::new();
    for text in [Some(secret), secret_part].into_iter().flatten() {
        forms.push(text.to_owned());
        let json = serde_json::to_string(text).unwrap();
        forms.push(json.trim_matches('"').to_owned());
        forms.push(text.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect());
        forms.push(utf8_percent_encode(text, NON_ALPHANUMERIC).to_string());
        forms.push(text.bytes().map(|byte| format!("%{byte:02X}")).collect());
        forms.push(text.bytes().map(|byte| format!("%{byte:02x}")).collect());
        forms.push(text.bytes().map(|byte| format!("{byte:02x}")).collect());
        forms.push(text.bytes().map(|byte| format!("{byte:02X}")).collect());
        let bytes = format!("{:?}", text.as_bytes());
        forms.push(bytes.trim_matches(['[', ']']).to_owned());
        forms.push(bytes.trim_matches(['[', ']']).replace(' ', ""));
        for skipped in 0..3 {
            // Inside a longer text, a secret starts at one of three positions in a base64 group. Its first and last
            // characters then share a group with the text around it.
            let aligned = text.get(skipped..text.len() - (text.len() - skipped) % 3).unwrap();
            forms.push(STANDARD_NO_PAD.encode(aligned));
            forms.push(URL_SAFE_NO_PAD.encode(aligned));
        }
    }
    forms.sort();
    forms.dedup();
    forms
}

/// The first form of the secret that the text contains.
pub fn find(text: &str, secret: &str) -> Option<String> {
    forms(secret).into_iter().find(|form| text.contains(form.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn g8_the_search_finds_every_form() {
        for secret in [
            "wsr_002KCVG7_003aUlTJC7tjlCTQj2uNU3MFagCXG9LRKRcwGkBIDlf0MVCBj",
            "a \"chosen\" token\\ of 32 characters",
        ] {
            let part = secret.get(13..).unwrap();
            for shown in [
                secret.to_owned(),
                format!("secret={part}!"),
                serde_json::json!({ "x": secret }).to_string(),
                utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
                STANDARD.encode(secret),
                STANDARD.encode(format!("{{\"body\":\"{secret}\"}}")),
                STANDARD.encode(format!("Bearer {secret}, and more")),
                STANDARD.encode(format!("Bearer: {secret}")),
                format!("{:?}", secret.as_bytes()),
                serde_json::json!(format!("Bearer {secret}").as_bytes()).to_string(),
                secret.bytes().map(|byte| format!("{byte:02X}")).collect(),
            ] {
                let is_part_of_a_chosen_one = shown.starts_with("secret=") && !secret.starts_with("wsr_");
                assert!(is_part_of_a_chosen_one || find(&shown, secret).is_some(), "{shown}");
            }
            assert_eq!(find("wsr_002KCVG7 and nothing else", secret), None);
        }
    }
}
