//! The CMU pronouncing dictionary, packed by `build.rs` and searched in place.

use super::phone::Phone;

static PACKED: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/dictionary.bin"));

fn number(at: usize) -> Option<usize> {
    let bytes = PACKED.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

/// The record of this number: word and phones.
fn record(index: usize, count: usize) -> Option<(&'static [u8], &'static [u8])> {
    let records = 4 + 4 * (count + 1);
    let from = records + number(4 + 4 * index)?;
    let to = records + number(8 + 4 * index)?;
    let record = PACKED.get(from..to)?;
    let split = record.iter().position(|byte| *byte == 0xff)?;
    Some((&record[..split], &record[split + 1..]))
}

/// The first pronunciation of a word in lower case; `None` if the dictionary does not contain it.
pub fn look_up(word: &str) -> Option<Vec<Phone>> {
    let count = number(0)?;
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        let (found, phones) = record(middle, count)?;
        match found.cmp(word.as_bytes()) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
            std::cmp::Ordering::Equal => return Some(phones.iter().copied().map(Phone).collect()),
        }
    }
    None
}

#[cfg(test)]
pub(super) fn words() -> impl Iterator<Item = (String, Vec<Phone>)> {
    let count = number(0).unwrap();
    (0..count).map(move |index| {
        let (word, phones) = record(index, count).unwrap();
        (
            String::from_utf8(word.to_vec()).unwrap(),
            phones.iter().copied().map(Phone).collect(),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_first_last_and_common_words() {
        assert!(words().count() > 120_000);
        for (word, phones) in words().step_by(997).chain(words().last()) {
            assert_eq!(look_up(&word), Some(phones), "{word}");
        }
        let hello: Vec<_> = look_up("hello")
            .unwrap()
            .into_iter()
            .map(Phone::name)
            .collect();
        assert_eq!(hello, ["hh", "ax", "l", "ow1"]);
    }

    #[test]
    fn unknown_words_are_not_found() {
        for word in ["", "a ", "zzzzzz", "Hello", "\u{ff}"] {
            assert_eq!(look_up(word), None, "{word:?}");
        }
    }
}
