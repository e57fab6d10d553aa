//! The phones that texts are converted to: Flite's, which are `ARPAbet` in lower case.

/// Every phone, in the order of its number. A vowel stands twice: unstressed, then stressed (the schwa's stressed
/// form is the vowel of "cup").
///
/// `build.rs` includes this file too: the packed dictionary holds these numbers.
pub const NAMES: [&str; 54] = [
    "p", "b", "t", "d", "k", "g", "ch", "jh", "f", "v", "th", "dh", "s", "z", "sh", "zh", "hh",
    "m", "n", "ng", "l", "r", "w", "y", //
    "aa", "aa1", "ae", "ae1", "ao", "ao1", "aw", "aw1", "ax", "ah1", "ay", "ay1", "eh", "eh1",
    "er", "er1", "ey", "ey1", "ih", "ih1", "iy", "iy1", "ow", "ow1", "oy", "oy1", "uh", "uh1",
    "uw", "uw1",
];

/// One phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Phone(pub(crate) u8);

impl Phone {
    /// Every phone, in the order of its number.
    pub fn all() -> impl Iterator<Item = Self> + Clone {
        (0..).take(NAMES.len()).map(Self)
    }

    /// The phone of this name (`ax`, `ah1`, `hh`).
    pub fn named(name: &str) -> Option<Self> {
        let number = NAMES.iter().position(|known| *known == name)?;
        u8::try_from(number).ok().map(Self)
    }

    /// The phone of an entry of the CMU dictionary (`AH0`, `AH1`, `HH`).
    ///
    /// Secondary stress counts as stress; unstressed `AH` is the schwa `ax`, and the voice knows no other `ah`
    /// than the stressed one. This is how Flite's own lexicon reads the same dictionary.
    pub fn from_arpabet(symbol: &str) -> Option<Self> {
        let lower = symbol.to_ascii_lowercase();
        let name = match lower.as_bytes().last() {
            Some(b'0') if lower == "ah0" => "ax".to_owned(),
            Some(b'0') => lower[..lower.len() - 1].to_owned(),
            Some(b'1' | b'2') => format!("{}1", &lower[..lower.len() - 1]),
            _ => lower,
        };
        Self::named(&name)
    }

    /// Its place among all phones.
    pub fn number(self) -> usize {
        usize::from(self.0)
    }

    /// Its name in `ARPAbet`.
    pub fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or("ax")
    }

    /// Whether it is a vowel, stressed or not.
    pub fn is_vowel(self) -> bool {
        self.0 >= 24
    }

    /// Whether it is a stressed vowel.
    pub fn is_stressed(self) -> bool {
        self.is_vowel() && self.0 % 2 == 1
    }

    /// The same vowel with stress; a consonant stays as it is.
    #[must_use]
    pub fn stressed(self) -> Self {
        if !self.is_vowel() || self.is_stressed() {
            return self;
        }
        Self(self.0 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stress_is_in_the_number() {
        for name in NAMES {
            let phone = Phone::named(name).unwrap();
            assert_eq!(phone.name(), name);
            assert_eq!(phone.is_stressed(), name.ends_with('1'), "{name}");
            assert_eq!(phone.is_vowel(), "aeiou".contains(&name[..1]), "{name}");
        }
        assert_eq!(Phone::named("ow").unwrap().stressed().name(), "ow1");
        assert_eq!(Phone::named("ax").unwrap().stressed().name(), "ah1");
        assert_eq!(Phone::named("t").unwrap().stressed().name(), "t");
    }

    #[test]
    fn dictionary_symbols_become_flite_phones() {
        for (symbol, name) in [
            ("AH0", "ax"),
            ("AH1", "ah1"),
            ("ER0", "er"),
            ("OW2", "ow1"),
            ("HH", "hh"),
        ] {
            assert_eq!(Phone::from_arpabet(symbol).unwrap().name(), name);
        }
        assert_eq!(Phone::from_arpabet("XX"), None);
    }
}
