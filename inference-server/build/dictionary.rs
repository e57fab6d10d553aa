//! The CMU dictionary's text, and the packed form that `src/text/phonemise/dictionary.rs` reads.

use std::{collections::BTreeMap, error::Error};

use crate::phone::Phone;

/// Word to phones; the first pronunciation of each word that is letters and apostrophes only.
pub type Entries = BTreeMap<String, Vec<Phone>>;

/// Reads the dictionary's lines: `word PH0 PH1 … # comment`, variants as `word(2)`.
pub fn parse(text: &str) -> Result<Entries, Box<dyn Error>> {
    let mut entries = Entries::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut fields = line.split_whitespace();
        let Some(word) = fields.next() else { continue };
        if !word
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'\'')
        {
            continue;
        }
        let phones = fields
            .map(|symbol| {
                Phone::from_arpabet(symbol).ok_or_else(|| format!("{word}: no phone {symbol}"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        entries.entry(word.to_owned()).or_insert(phones);
    }
    Ok(entries)
}

/// `count`, `count + 1` offsets (u32, little endian), then the records in word order: the word, 0xff, its phones.
pub fn pack(entries: &Entries) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut records = Vec::new();
    let mut offsets = vec![0_u32];
    for (word, phones) in entries {
        records.extend_from_slice(word.as_bytes());
        records.push(0xff);
        records.extend(phones.iter().map(|phone| phone.0));
        offsets.push(u32::try_from(records.len())?);
    }
    let mut packed = u32::try_from(entries.len())?.to_le_bytes().to_vec();
    packed.extend(offsets.iter().flat_map(|offset| offset.to_le_bytes()));
    packed.extend(records);
    Ok(packed)
}
