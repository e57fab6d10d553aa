//! The dictionary's words that the letter-to-sound rules are scored on.
//!
//! `build.rs` includes this file too: it keeps these words out of training, and the test scores the shipped rules on
//! the same ones. The dictionary itself still holds them.

use std::collections::BTreeSet;

const COUNT: usize = 1000;

/// The `COUNT` words with the smallest hashes: a sample without regard to spelling, and nearly the same one after the
/// dictionary gains or loses words.
pub fn held_out<'a>(words: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let mut hashed: Vec<_> = words.map(|word| (hash(word), word)).collect();
    hashed.sort_unstable();
    hashed
        .into_iter()
        .take(COUNT)
        .map(|(_, word)| word)
        .collect()
}

/// FNV-1a, then the first half of `MurmurHash3`'s finaliser: FNV alone barely moves the upper bits for the last letter,
/// so that "cats" would be held out together with "catz".
fn hash(word: &str) -> u64 {
    let fnv = word.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    mixed ^ (mixed >> 33)
}
