//! Letter-to-sound rules, trained from the dictionary.
//!
//! Each letter of a word says zero, one or two phones. Which letter says which phones is found by hard
//! expectation-maximisation over all words (as in Black, Lenzo, Pagel 1998, "Issues in building general letter to sound
//! rules"). What a letter says in its surroundings is kept as one back-off tree per letter, whose levels look at one more
//! neighbour each, the most telling first (`IGTree`: Daelemans, van den Bosch, Weijters 1997). Words are read from their
//! end, so that a letter sees the phone that follows it. A branch that says what its parent says is cut.
//!
//! docs/decisions/0031-letter-to-sound.md has the scores. Build scripts are compiled without optimisation, hence tables
//! where maps would read better: with maps, training takes three quarters of a minute.

use std::{collections::BTreeMap, error::Error};

use crate::{
    dictionary::Entries,
    held_out::held_out,
    phone::{NAMES, Phone},
};

/// What a rule may look at: the letters this far to the right, and at 0 the phone that follows.
const LOOKS: [i8; 9] = [0, 1, -1, 2, -2, 3, -3, 4, -4];
/// A letter's code: 0 beside the word, 1..=26 letters, 27 the apostrophe.
const LETTERS: usize = 28;
/// How many examples a parent's opinion is worth. With less, a single foreign name overrides the rule for its letter.
const PRIOR: f32 = 2.0;

/// What a letter says: at most two phones, as `first * PLACES + second`.
type Sound = usize;
/// What can stand in each place of a sound: a phone's number, or `NONE`.
const PLACES: usize = NAMES.len() + 1;
const NONE: usize = NAMES.len();
const SILENT: Sound = NONE * PLACES + NONE;
const SOUNDS: usize = PLACES * PLACES;

fn letters(word: &str) -> Vec<u8> {
    word.bytes()
        .map(|byte| if byte == b'\'' { 27 } else { byte - b'a' + 1 })
        .collect()
}

/// A value for each letter and sound.
struct Table(Vec<f32>);

impl Table {
    fn filled(value: f32) -> Self {
        Self(vec![value; LETTERS * SOUNDS])
    }

    fn index(letter: u8, sound: Sound) -> usize {
        usize::from(letter) * SOUNDS + sound
    }

    fn add(&mut self, letter: u8, sound: Sound, weight: f32) {
        self.0[Self::index(letter, sound)] += weight;
    }

    /// Counts as negative logarithms of the sound's probability, given the letter.
    fn costs(&self) -> Self {
        const UNSEEN: f32 = 14.0;
        let mut costs = Self::filled(UNSEEN);
        for (counts, costs) in self.0.chunks(SOUNDS).zip(costs.0.chunks_mut(SOUNDS)) {
            let total: f32 = counts.iter().sum();
            for (count, cost) in counts.iter().zip(costs) {
                if *count > 0.0 {
                    *cost = -(count / total).ln();
                }
            }
        }
        costs
    }
}

/// The sounds of zero, one and two phones from `at`; as many as there are phones left.
fn sounds_at(phones: &[Phone], at: usize) -> ([Sound; 3], usize) {
    let phone = |at: usize| phones.get(at).map_or(NONE, |phone| phone.number());
    let (first, second) = (phone(at) * PLACES, phone(at + 1));
    let count = 1 + phones.len().saturating_sub(at).min(2);
    ([SILENT, first + NONE, first + second], count)
}

/// The cheapest way to share the phones out among the letters; none when there are more than two phones per letter.
fn align(word: &[u8], phones: &[Phone], costs: &Table) -> Option<Vec<Sound>> {
    let width = phones.len() + 1;
    let mut total = vec![f32::INFINITY; (word.len() + 1) * width];
    // The sound on the cheapest way to each state, and how many phones it takes.
    let mut step = vec![(SILENT, 0); total.len()];
    total[0] = 0.0;
    let starts: Vec<_> = (0..width).map(|at| sounds_at(phones, at)).collect();
    for (place, letter) in word.iter().enumerate() {
        for (at, (sounds, count)) in starts.iter().enumerate() {
            let so_far = total[place * width + at];
            if so_far.is_infinite() {
                continue;
            }
            for (taken, sound) in sounds[..*count].iter().enumerate() {
                let next = (place + 1) * width + at + taken;
                let cost = so_far + costs.0[Table::index(*letter, *sound)];
                if cost < total[next] {
                    total[next] = cost;
                    step[next] = (*sound, taken);
                }
            }
        }
    }
    if total.last()?.is_infinite() {
        return None;
    }
    let mut at = phones.len();
    let mut sounds = vec![SILENT; word.len()];
    for place in (0..word.len()).rev() {
        let (sound, taken) = step[(place + 1) * width + at];
        sounds[place] = sound;
        at -= taken;
    }
    Some(sounds)
}

/// First guess: a letter says what stands about as far into the word as it does.
fn first_counts(words: &[(Vec<u8>, &Vec<Phone>)]) -> Table {
    let mut counts = Table::filled(0.0);
    for (word, phones) in words {
        for (place, letter) in word.iter().enumerate() {
            let middle = place * phones.len() / word.len();
            for at in middle.saturating_sub(1)..(middle + 2).min(phones.len()) {
                let (sounds, count) = sounds_at(phones, at);
                // Two phones for one letter are rare (x, u, y): the guess must not start with them.
                for (sound, weight) in sounds[..count].iter().zip([0.1, 1.0, 0.02]) {
                    counts.add(*letter, *sound, weight);
                }
            }
        }
    }
    counts
}

/// A letter at a place of a word: what it says, and the code of the phone that follows (its number + 1, 0 at the end).
struct Example<'a> {
    word: &'a [u8],
    place: usize,
    following: u8,
    sound: Sound,
}

impl Example<'_> {
    fn seen(&self, look: i8) -> u8 {
        if look == 0 {
            return self.following;
        }
        self.place
            .checked_add_signed(isize::from(look))
            .and_then(|place| self.word.get(place))
            .copied()
            .unwrap_or(0)
    }
}

/// The letters of a word as examples.
fn examples<'a>(word: &'a [u8], sounds: &[Sound]) -> Result<Vec<Example<'a>>, Box<dyn Error>> {
    let mut following = 0;
    let mut examples = Vec::new();
    for (place, sound) in sounds.iter().enumerate().rev() {
        examples.push(Example {
            word,
            place,
            following,
            sound: *sound,
        });
        if *sound != SILENT {
            following = u8::try_from(sound / PLACES + 1)?;
        }
    }
    Ok(examples)
}

/// How open the sound is once this is known: its entropy, summed over the examples.
fn openness(examples: &[Example<'_>], look: i8) -> f32 {
    let mut counts: BTreeMap<u8, BTreeMap<Sound, f32>> = BTreeMap::new();
    for example in examples {
        let sounds = counts.entry(example.seen(look)).or_default();
        *sounds.entry(example.sound).or_insert(0.0) += 1.0;
    }
    let entropy = |sounds: &BTreeMap<Sound, f32>| -> f32 {
        let total: f32 = sounds.values().sum();
        sounds
            .values()
            .map(|count| count * (total / count).ln())
            .sum()
    };
    counts.values().map(entropy).sum()
}

/// The looks, the most telling first.
fn looks(examples: &[Example<'_>]) -> [i8; LOOKS.len()] {
    let mut looks = LOOKS.map(|look| (openness(examples, look), look));
    looks.sort_by(|one, other| one.0.total_cmp(&other.0));
    looks.map(|(_, look)| look)
}

/// What an example's rule sees, in the order of the looks, and what its letter says.
type Seen = ([u8; LOOKS.len()], Sound);

/// A node as it is written: what it says, then its branches (what is seen, the branch's node).
struct Node {
    sound: Sound,
    branches: Vec<(u8, Node)>,
}

/// The tree of these examples, which are sorted and alike in the first `depth` looks. The parent gives the
/// probabilities of the sounds without the last of these looks.
fn grow(examples: &[Seen], depth: usize, parent: &BTreeMap<Sound, f32>) -> Node {
    let mut sounds = parent.clone();
    for probability in sounds.values_mut() {
        *probability *= PRIOR;
    }
    for (_, sound) in examples {
        *sounds.entry(*sound).or_insert(0.0) += 1.0;
    }
    let total: f32 = sounds.values().sum();
    for weight in sounds.values_mut() {
        *weight /= total;
    }
    let sound = sounds
        .iter()
        .max_by(|one, other| one.1.total_cmp(other.1))
        .map_or(SILENT, |(sound, _)| *sound);
    let mut branches = Vec::new();
    // Examples that agree with the node would agree with its branches.
    if depth < LOOKS.len() && examples.iter().any(|(_, other)| *other != sound) {
        branches = examples
            .chunk_by(|(one, _), (other, _)| one[depth] == other[depth])
            .map(|group| (group[0].0[depth], grow(group, depth + 1, &sounds)))
            .filter(|(_, branch)| branch.sound != sound || !branch.branches.is_empty())
            .collect();
    }
    Node { sound, branches }
}

/// The trees' bytes, and where each different node lies: equal ones are written once.
#[derive(Default)]
struct Trees {
    bytes: Vec<u8>,
    places: BTreeMap<Vec<u8>, u32>,
}

impl Trees {
    /// Writes a node and returns where: its sound, the number of branches, and for each what is seen and its node's place
    /// (u24, little endian).
    fn write(&mut self, node: &Node) -> Result<u32, Box<dyn Error>> {
        let mut bytes = vec![
            u8::try_from(node.sound / PLACES)?,
            u8::try_from(node.sound % PLACES)?,
            u8::try_from(node.branches.len())?,
        ];
        for (seen, branch) in &node.branches {
            bytes.push(*seen);
            bytes.extend_from_slice(&self.write(branch)?.to_le_bytes()[..3]);
        }
        if let Some(place) = self.places.get(&bytes) {
            return Ok(*place);
        }
        let place = u32::try_from(self.bytes.len())?;
        if place >= 1 << 24 {
            return Err("the letter-to-sound trees outgrew their 24-bit places".into());
        }
        self.bytes.extend(&bytes);
        self.places.insert(bytes, place);
        Ok(place)
    }
}

/// A header of 13 bytes per letter (its nine looks, its tree's root as u32, little endian), then the trees.
///
/// The words that the rules are scored on are left out.
pub fn train(entries: &Entries) -> Result<Vec<u8>, Box<dyn Error>> {
    let held_out = held_out(entries.keys().map(String::as_str));
    let words: Vec<_> = entries
        .iter()
        .filter(|(word, _)| !held_out.contains(word.as_str()))
        .map(|(word, phones)| (letters(word), phones))
        .collect();
    let mut counts = first_counts(&words);
    let mut aligned = Vec::new();
    for _ in 0..4 {
        let costs = counts.costs();
        aligned = words
            .iter()
            .filter_map(|(word, phones)| Some((word, align(word, phones, &costs)?)))
            .collect();
        counts = Table::filled(0.0);
        for (word, sounds) in &aligned {
            for (letter, sound) in word.iter().zip(sounds) {
                counts.add(*letter, *sound, 1.0);
            }
        }
    }
    let mut by_letter: Vec<Vec<Example<'_>>> = (0..LETTERS).map(|_| Vec::new()).collect();
    for (word, sounds) in &aligned {
        for example in examples(word, sounds)? {
            by_letter[usize::from(word[example.place])].push(example);
        }
    }
    let mut header = Vec::new();
    let mut trees = Trees::default();
    for examples in by_letter {
        let looks = looks(&examples);
        let mut seen: Vec<Seen> = examples
            .iter()
            .map(|example| (looks.map(|look| example.seen(look)), example.sound))
            .collect();
        seen.sort_unstable();
        let root = trees.write(&grow(&seen, 0, &BTreeMap::new()))?;
        header.extend(looks.iter().map(|look| look.to_le_bytes()[0]));
        header.extend(root.to_le_bytes());
    }
    header.extend(trees.bytes);
    Ok(header)
}
