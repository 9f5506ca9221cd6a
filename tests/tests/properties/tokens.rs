//! Every generated token parses, and no mistyped one does.

use domain::random::Random;
use domain::token::{Bearer, MalformedBearer, NewToken};
use fastrand::Rng;

const TOKENS: usize = 500;

#[test]
fn every_token_parses_and_no_mistyped_one_does() {
    let mut dice = Rng::with_seed(0x70_6b65);
    let visible: Vec<char> = ('!'..='~').collect();
    for _ in 0..TOKENS {
        let token = NewToken::generate(&Random::OS).unwrap();
        let (prefix, hash) = (token.prefix().as_str().to_owned(), token.hash().clone());
        let text = token.reveal();
        assert_eq!(text.len(), 62);
        assert!(text.starts_with(&prefix) && prefix.len() == 12);
        assert!(Bearer::parse(&text).unwrap().hash() == hash);
        let letters: Vec<char> = text.chars().collect();
        // Without `wsr_` it is a caller-chosen token, which only the store can refuse.
        for position in 4..letters.len() {
            let mut changed = letters.clone();
            changed[position] =
                *visible.iter().cycle().skip(dice.usize(..94)).find(|c| **c != letters[position]).unwrap();
            is_refused(&changed);
            let mut swapped_case = letters.clone();
            if letters[position].is_ascii_alphabetic() {
                swapped_case[position] = char::from(letters[position] as u8 ^ 0x20);
                is_refused(&swapped_case);
            }
            let mut doubled = letters.clone();
            doubled.insert(position, letters[position]);
            is_refused(&doubled);
            let mut lost = letters.clone();
            lost.remove(position);
            is_refused(&lost);
            if position + 1 < letters.len() && letters[position] != letters[position + 1] {
                let mut transposed = letters.clone();
                transposed.swap(position, position + 1);
                is_refused(&transposed);
            }
            is_refused(&letters[..position]);
        }
    }
}

fn is_refused(letters: &[char]) {
    let text: String = letters.iter().collect();
    let reason = Bearer::parse(&text).err();
    assert!(reason.is_some(), "accepted offline: {text}");
    assert!(reason != Some(MalformedBearer::Alphabet), "{text}");
}
