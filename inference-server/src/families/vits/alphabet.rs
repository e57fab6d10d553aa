//! The two alphabets of Piper voices: the built-in voice's, which is `ARPAbet`, and Piper's own, which is IPA as espeak
//! writes it.

use std::collections::{BTreeMap, HashMap};

use crate::{
    families::Kind,
    text::{Symbol, phonemise::phone::NAMES},
};

/// The keys of the beginning and the end of an utterance, and of the pad that Piper puts after each character.
const BEGIN: &str = "^";
const END: &str = "$";
const PAD: &str = "_";
/// A character that every English voice with Piper's alphabet has, and no other.
const STRESS: &str = "ˈ";

/// The IPA of each phone, in the order of its number, as espeak writes American English: the stress mark stands before the
/// vowel.
const IPA: [&str; NAMES.len()] = [
    "p", "b", "t", "d", "k", "ɡ", "tʃ", "dʒ", "f", "v", "θ", "ð", "s", "z", "ʃ", "ʒ", "h", "m",
    "n", "ŋ", "l", "ɹ", "w", "j", //
    "ɑː", "ˈɑː", "æ", "ˈæ", "ɔː", "ˈɔː", "aʊ", "ˈaʊ", "ə", "ˈʌ", "aɪ", "ˈaɪ", "ɛ", "ˈɛ", "ɚ",
    "ˈɜː", "eɪ", "ˈeɪ", "ɪ", "ˈɪ", "i", "ˈiː", "oʊ", "ˈoʊ", "ɔɪ", "ˈɔɪ", "ʊ", "ˈʊ", "uː", "ˈuː",
];

/// A symbol in Piper's alphabet.
fn ipa(symbol: Symbol) -> &'static str {
    match symbol {
        Symbol::Phone(phone) => IPA[phone.number()],
        Symbol::WordBreak | Symbol::Pause => symbol.name(),
    }
}

/// The alphabet of a voice: the ids of each symbol in its graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Alphabet {
    kind: Kind,
    begin: Vec<i64>,
    end: Vec<i64>,
    symbols: HashMap<Symbol, Vec<i64>>,
}

/// Why the symbols have no ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Neither alphabet.
    Unknown,
    /// One of them, but these symbols of it are missing.
    Incomplete { missing: Vec<&'static str> },
}

impl Alphabet {
    /// The ids of a `phoneme_id_map`, in whichever alphabet it has.
    ///
    /// # Errors
    /// When it has neither, or only a part.
    pub fn new(map: &BTreeMap<String, Vec<i64>>) -> Result<Self, Unusable> {
        if map.contains_key(STRESS) {
            Self::piper(map)
        } else {
            Self::arpabet(map)
        }
    }

    /// A key per symbol: `^ s1 … sn $`.
    fn arpabet(map: &BTreeMap<String, Vec<i64>>) -> Result<Self, Unusable> {
        let keys = NAMES.into_iter().chain([" ", ",", BEGIN, END]);
        let missing: Vec<_> = keys.filter(|key| !map.contains_key(*key)).collect();
        // A voice of another language or alphabet lacks most of them.
        if missing.len() > NAMES.len() / 4 {
            return Err(Unusable::Unknown);
        }
        if !missing.is_empty() {
            return Err(Unusable::Incomplete { missing });
        }
        let ids = |key: &str| map.get(key).cloned().unwrap_or_default();
        Ok(Self {
            kind: Kind::Vits,
            begin: ids(BEGIN),
            end: ids(END),
            symbols: Symbol::all()
                .map(|symbol| (symbol, ids(symbol.name())))
                .collect(),
        })
    }

    /// A key per character, and a pad after each one: `^ _ c1 _ … cn _ $`. Source: `phonemes_to_ids` of piper-phonemize.
    fn piper(map: &BTreeMap<String, Vec<i64>>) -> Result<Self, Unusable> {
        let mut missing: Vec<&'static str> = [BEGIN, END, PAD]
            .into_iter()
            .filter(|key| !map.contains_key(*key))
            .collect();
        let pad = map.get(PAD).cloned().unwrap_or_default();
        let mut symbols = HashMap::new();
        for symbol in Symbol::all() {
            let mut ids = Vec::new();
            for character in ipa(symbol).chars() {
                let Some(found) = map.get(character.encode_utf8(&mut [0; 4]) as &str) else {
                    missing.push(ipa(symbol));
                    continue;
                };
                ids.extend_from_slice(found);
                ids.extend_from_slice(&pad);
            }
            symbols.insert(symbol, ids);
        }
        if !missing.is_empty() {
            return Err(Unusable::Incomplete { missing });
        }
        let mut begin = map.get(BEGIN).cloned().unwrap_or_default();
        begin.extend_from_slice(&pad);
        Ok(Self {
            kind: Kind::Piper,
            begin,
            end: map.get(END).cloned().unwrap_or_default(),
            symbols,
        })
    }

    /// The family of a voice that has it.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How a symbol is written.
    pub fn spelling(&self, symbol: Symbol) -> &'static str {
        match self.kind {
            Kind::Piper => ipa(symbol),
            Kind::Vits => symbol.name(),
        }
    }

    /// The ids of a run, from beginning to end.
    pub fn ids(&self, symbols: &[Symbol]) -> Vec<i64> {
        let all = symbols
            .iter()
            .filter_map(|symbol| self.symbols.get(symbol))
            .flatten();
        self.begin
            .iter()
            .chain(all)
            .chain(&self.end)
            .copied()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{self, Phone, phonemise};

    fn spelled(phones: &[Phone]) -> String {
        phones
            .iter()
            .map(|phone| ipa(Symbol::Phone(*phone)))
            .collect()
    }

    /// What published English voices have for the characters that are used here (`en_US-*-medium.onnx.json`).
    fn published() -> BTreeMap<String, Vec<i64>> {
        [
            ("_", 0),
            ("^", 1),
            ("$", 2),
            (" ", 3),
            (",", 8),
            (".", 10),
            ("a", 14),
            ("b", 15),
            ("d", 17),
            ("e", 18),
            ("f", 19),
            ("h", 20),
            ("i", 21),
            ("j", 22),
            ("k", 23),
            ("l", 24),
            ("m", 25),
            ("n", 26),
            ("o", 27),
            ("p", 28),
            ("s", 31),
            ("t", 32),
            ("u", 33),
            ("v", 34),
            ("w", 35),
            ("z", 38),
            ("æ", 39),
            ("ð", 41),
            ("ŋ", 44),
            ("ɑ", 51),
            ("ɔ", 54),
            ("ə", 59),
            ("ɚ", 60),
            ("ɛ", 61),
            ("ɜ", 62),
            ("ɡ", 66),
            ("ɪ", 74),
            ("ɹ", 88),
            ("ʃ", 96),
            ("ʊ", 100),
            ("ʌ", 102),
            ("ʒ", 108),
            ("ˈ", 120),
            ("ː", 122),
            ("θ", 126),
        ]
        .map(|(key, id)| (key.to_owned(), vec![id]))
        .into()
    }

    #[test]
    fn words_get_the_ids_that_piper_gives_them() {
        let ids = Alphabet::new(&published()).unwrap();
        assert_eq!(ids.kind(), Kind::Piper);
        // espeak-ng, en-us: həlˈoʊ
        assert_eq!(spelled(&phonemise::word("hello")), "həlˈoʊ");
        assert_eq!(spelled(&phonemise::word("judge")), "dʒˈʌdʒ");
        assert_eq!(spelled(&phonemise::word("bird")), "bˈɜːd");
        let reading = text::read("Hello, bird", 200).unwrap();
        assert_eq!(
            ids.ids(&reading.runs[0].symbols),
            [
                1, 0, 20, 0, 59, 0, 24, 0, 120, 0, 27, 0, 100, 0, 8, 0, 15, 0, 120, 0, 62, 0, 122,
                0, 17, 0, 2
            ]
        );
    }

    #[test]
    fn a_part_of_an_alphabet_is_named_and_another_is_unknown() {
        let mut map = published();
        map.remove("θ");
        assert_eq!(
            Alphabet::new(&map),
            Err(Unusable::Incomplete {
                missing: vec!["θ"]
            })
        );
        let pinyin = [("a1", 1), ("a2", 2)].map(|(key, id)| (key.to_owned(), vec![id]));
        assert_eq!(Alphabet::new(&pinyin.into()), Err(Unusable::Unknown));
    }
}
