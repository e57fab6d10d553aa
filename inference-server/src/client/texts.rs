//! The texts that are spoken, and their order.

use std::sync::Arc;

use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::measure::ClientError;

/// At least one text; clones share them.
#[derive(Clone, Debug)]
pub struct Texts(Arc<[String]>);

impl Texts {
    pub fn new(texts: Vec<String>) -> Result<Self, ClientError> {
        if texts.is_empty() {
            return Err(ClientError::NoTexts);
        }
        Ok(Self(texts.into()))
    }

    /// The text of this index; an index beyond the last begins anew.
    pub fn get(&self, index: usize) -> &str {
        &self.0[index % self.0.len()]
    }

    pub(super) fn order(&self, seed: u64) -> Order {
        Order {
            count: self.0.len(),
            round: Vec::new(),
            random: Xoshiro256PlusPlus::seed_from_u64(seed),
        }
    }
}

/// Rounds over all texts, each shuffled anew: whole rounds have the same mix of lengths.
#[derive(Debug)]
pub(super) struct Order {
    count: usize,
    /// What is left of the round.
    round: Vec<usize>,
    random: Xoshiro256PlusPlus,
}

impl Order {
    pub(super) fn next(&mut self) -> usize {
        if self.round.is_empty() {
            self.round = (0..self.count).collect();
            self.round.shuffle(&mut self.random);
        }
        self.round.pop().unwrap_or_default()
    }

    /// Whether every text was spoken equally often.
    pub(super) fn is_whole(&self) -> bool {
        self.round.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_has_every_text_once_in_an_order_of_its_own() {
        let texts = Texts::new((0..20).map(|text| text.to_string()).collect()).unwrap();
        let mut order = texts.order(7);
        let mut rounds = [[0; 20]; 3];
        for round in &mut rounds {
            assert!(order.is_whole());
            *round = std::array::from_fn(|_| order.next());
        }
        assert_ne!(rounds[0], rounds[1]);
        for mut round in rounds {
            round.sort_unstable();
            assert_eq!(round, std::array::from_fn(|text| text));
        }
        let mut again = texts.order(7);
        assert_eq!(rounds[0], std::array::from_fn(|_| again.next()));
        let mut other = texts.order(8);
        assert_ne!(rounds[0], std::array::from_fn(|_| other.next()));
    }

    #[test]
    fn there_is_at_least_one_text() {
        assert!(matches!(Texts::new(Vec::new()), Err(ClientError::NoTexts)));
        let one = Texts::new(vec!["Hello.".to_owned()]).unwrap();
        assert_eq!(one.get(3), "Hello.");
    }
}
