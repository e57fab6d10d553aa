//! Words, acronyms and abbreviations.

use regex::Captures;

use super::{Piece, abbreviations, group, say};
use crate::text::phonemise;

/// "U.S.", "a.m.", "e.g.".
pub(super) fn dotted(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    let text = group(found, 0)?;
    if let Some(said) = abbreviations::with_stop(text.trim_end_matches('.')) {
        say(said, pieces);
    } else {
        pieces.push(Piece::Letters(text.replace('.', "").to_ascii_lowercase()));
    }
    Some(())
}

pub(super) fn abbreviated(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    let word = group(found, 0)?.trim_end_matches('.');
    if word == "No" {
        return None;
    }
    if abbreviations::is_abbreviation(word) {
        say(abbreviations::with_stop(word)?, pieces);
        return Some(());
    }
    None
}

pub(super) fn plain(found: &Captures<'_>, pieces: &mut Vec<Piece>) -> Option<()> {
    let text = group(found, 0)?;
    let digits = text.find(|character: char| character.is_ascii_digit());
    let (letters, behind) = text.split_at(digits.unwrap_or(text.len()));
    word(letters.trim_end_matches('\''), pieces);
    if !behind.is_empty() {
        pieces.extend(super::pieces(behind));
    }
    Some(())
}

pub(super) fn word(text: &str, pieces: &mut Vec<Piece>) {
    let lower = text.to_ascii_lowercase();
    let capitals = text.len() > 1 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    let alone = text.len() == 1 && !matches!(lower.as_str(), "a" | "i");
    if alone || capitals && (abbreviations::is_spelled(text) || !phonemise::is_known(&lower)) {
        pieces.push(Piece::Letters(lower));
    } else if let Some(acronym) = plural_acronym(text) {
        pieces.push(Piece::Letters(acronym));
        pieces.push(Piece::Word("s".to_owned()));
    } else if let Some(split) = camel_case(text).filter(|_| !phonemise::is_known(&lower)) {
        word(&text[..split], pieces);
        word(&text[split..], pieces);
    } else if !lower.is_empty() {
        pieces.push(Piece::Word(lower));
    }
}

/// "CPUs": the acronym without its ending.
fn plural_acronym(text: &str) -> Option<String> {
    let capitals = text.strip_suffix('s')?;
    let letters = capitals.to_ascii_lowercase();
    (capitals.len() > 1
        && capitals.bytes().all(|byte| byte.is_ascii_uppercase())
        && (abbreviations::is_spelled(capitals)
            || !phonemise::is_known(&text.to_ascii_lowercase())))
    .then_some(letters)
}

/// Where a new capital begins inside a word ("tubeYou").
fn camel_case(text: &str) -> Option<usize> {
    text.as_bytes()
        .windows(2)
        .position(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase())
        .map(|place| place + 1)
}
