//! Letter-to-sound rules, trained from the dictionary.
//!
//! Each letter of a word says zero, one or two phones. Which letter says which phones is found by hard
//! expectation-maximisation over all words (as in Black, Lenzo, Pagel 1998, "Issues in building general letter to sound
//! rules"); what a letter says in its surroundings is kept as a back-off tree a letter, whose levels look at one more
//! neighbour each, the most telling first (`IGTree`: Daelemans, van den Bosch, Weijters 1997). A branch that says what its
//! parent says is cut.

use std::{collections::BTreeMap, error::Error};

use crate::{dictionary::Entries, phone::Phone};

/// The neighbours that a rule may look at.
const NEIGHBOURS: [i8; 7] = [1, -1, 2, -2, 3, -3, 4];
/// A letter's code: 0 beside the word, 1..=26 letters, 27 the apostrophe.
const LETTERS: usize = 28;
/// A branch needs this many examples: fewer are names that teach nothing about other words.
const FEWEST: usize = 2;

/// What a letter says: at most two phones, 255 for none.
type Sound = [u8; 2];
const NONE: u8 = 255;

fn letters(word: &str) -> Vec<u8> {
    word.bytes()
        .map(|byte| if byte == b'\'' { 27 } else { byte - b'a' + 1 })
        .collect()
}

/// Scores of a sound for a letter, as negative logarithms.
struct Scores {
    table: Vec<BTreeMap<Sound, f32>>,
    unseen: f32,
}

impl Scores {
    fn of(&self, letter: u8, sound: Sound) -> f32 {
        self.table[usize::from(letter)]
            .get(&sound)
            .copied()
            .unwrap_or(self.unseen)
    }

    fn from_counts(counts: &[BTreeMap<Sound, f32>]) -> Self {
        let table = counts
            .iter()
            .map(|sounds| {
                let total: f32 = sounds.values().sum();
                sounds
                    .iter()
                    .map(|(sound, count)| (*sound, -(count / total).ln()))
                    .collect()
            })
            .collect();
        Self {
            table,
            unseen: 14.0,
        }
    }
}

/// Every sound that could start at `at`, with how many phones it takes.
fn sounds_at(phones: &[Phone], at: usize) -> impl Iterator<Item = (Sound, usize)> + '_ {
    let one = phones.get(at).map(|first| ([first.0, NONE], 1));
    let two = match phones.get(at..at + 2) {
        Some([first, second]) => Some(([first.0, second.0], 2)),
        _ => None,
    };
    [Some(([NONE, NONE], 0)), one, two].into_iter().flatten()
}

/// The cheapest way to share the phones out among the letters; none when there are more than two phones a letter.
fn align(word: &[u8], phones: &[Phone], scores: &Scores) -> Option<Vec<Sound>> {
    let width = phones.len() + 1;
    let mut cost = vec![f32::INFINITY; (word.len() + 1) * width];
    let mut step: Vec<(Sound, usize)> = vec![([NONE, NONE], 0); cost.len()];
    cost[0] = 0.0;
    for (place, letter) in word.iter().enumerate() {
        for at in 0..width {
            let so_far = cost[place * width + at];
            if so_far.is_infinite() {
                continue;
            }
            for (sound, taken) in sounds_at(phones, at) {
                let next = (place + 1) * width + at + taken;
                let total = so_far + scores.of(*letter, sound);
                if total < cost[next] {
                    cost[next] = total;
                    step[next] = (sound, taken);
                }
            }
        }
    }
    if cost[cost.len() - 1].is_infinite() {
        return None;
    }
    let mut at = phones.len();
    let mut sounds = vec![[NONE, NONE]; word.len()];
    for place in (0..word.len()).rev() {
        let (sound, taken) = step[(place + 1) * width + at];
        sounds[place] = sound;
        at -= taken;
    }
    Some(sounds)
}

/// First guess: a letter says what stands about as far into the word as it does.
fn first_scores(words: &[(Vec<u8>, &Vec<Phone>)]) -> Scores {
    let mut counts = vec![BTreeMap::new(); LETTERS];
    for (word, phones) in words {
        for (place, letter) in word.iter().enumerate() {
            let middle = place * phones.len() / word.len();
            for at in middle.saturating_sub(1)..(middle + 2).min(phones.len()) {
                for (sound, taken) in sounds_at(phones, at) {
                    // Two phones for one letter are rare (x, u, y): the guess must not start with them.
                    let weight = [0.1, 1.0, 0.02][taken];
                    *counts[usize::from(*letter)].entry(sound).or_insert(0.0) += weight;
                }
            }
        }
    }
    Scores::from_counts(&counts)
}

struct Example<'a> {
    word: &'a [u8],
    place: usize,
    sound: Sound,
}

impl Example<'_> {
    fn letter_at(&self, neighbour: i8) -> u8 {
        self.place
            .checked_add_signed(isize::from(neighbour))
            .and_then(|place| self.word.get(place))
            .copied()
            .unwrap_or(0)
    }
}

/// Bits that are open about the sound once this neighbour is known, summed over the examples.
fn open_bits(examples: &[Example<'_>], neighbour: i8) -> f64 {
    let mut counts: BTreeMap<(u8, Sound), f64> = BTreeMap::new();
    let mut totals: BTreeMap<u8, f64> = BTreeMap::new();
    for example in examples {
        let letter = example.letter_at(neighbour);
        *counts.entry((letter, example.sound)).or_insert(0.0) += 1.0;
        *totals.entry(letter).or_insert(0.0) += 1.0;
    }
    counts
        .iter()
        .map(|((letter, _), count)| count * (totals[letter] / count).log2())
        .sum()
}

/// The neighbours, the most telling first.
fn looks(examples: &[Example<'_>]) -> [i8; 7] {
    let mut looks = NEIGHBOURS.map(|neighbour| (open_bits(examples, neighbour), neighbour));
    looks.sort_by(|one, other| one.0.total_cmp(&other.0));
    looks.map(|(_, neighbour)| neighbour)
}

/// A node as it is written: what it says, then its branches (the letter looked at, the branch's node).
struct Node {
    sound: Sound,
    branches: Vec<(u8, Node)>,
}

fn most_frequent(examples: &[Example<'_>]) -> Sound {
    let mut counts: BTreeMap<Sound, usize> = BTreeMap::new();
    for example in examples {
        *counts.entry(example.sound).or_insert(0) += 1;
    }
    counts
        .into_iter()
        .max_by_key(|(_, count)| *count)
        .map_or([NONE, NONE], |(sound, _)| sound)
}

fn grow(mut examples: Vec<Example<'_>>, looks: &[i8]) -> Node {
    let sound = most_frequent(&examples);
    let mut branches = Vec::new();
    let pure = examples.iter().all(|example| example.sound == sound);
    if let Some((look, deeper)) = looks.split_first().filter(|_| !pure) {
        examples.sort_by_key(|example| example.letter_at(*look));
        while let Some(letter) = examples.last().map(|example| example.letter_at(*look)) {
            let from = examples.partition_point(|example| example.letter_at(*look) < letter);
            let group = examples.split_off(from);
            if group.len() < FEWEST {
                continue;
            }
            let branch = grow(group, deeper);
            if branch.sound != sound || !branch.branches.is_empty() {
                branches.push((letter, branch));
            }
        }
        branches.reverse();
    }
    Node { sound, branches }
}

/// Writes a node and returns where: its sound, the number of branches, and for each the letter and its node's place
/// (u24, little endian).
fn write(node: &Node, bytes: &mut Vec<u8>) -> Result<u32, Box<dyn Error>> {
    let places = node
        .branches
        .iter()
        .map(|(letter, branch)| Ok((*letter, write(branch, bytes)?)))
        .collect::<Result<Vec<_>, Box<dyn Error>>>()?;
    let place = u32::try_from(bytes.len())?;
    bytes.extend(node.sound);
    bytes.push(u8::try_from(places.len())?);
    for (letter, branch) in places {
        bytes.push(letter);
        bytes.extend_from_slice(&branch.to_le_bytes()[..3]);
    }
    if place >= 1 << 24 {
        return Err("the letter-to-sound tree outgrew its 24-bit places".into());
    }
    Ok(place)
}

/// A header of 11 bytes a letter (its seven looks, its tree's root as u32, little endian), then the trees.
pub fn train(entries: &Entries) -> Result<Vec<u8>, Box<dyn Error>> {
    let words: Vec<_> = entries
        .iter()
        .map(|(word, phones)| (letters(word), phones))
        .collect();
    let mut scores = first_scores(&words);
    let mut aligned = Vec::new();
    for _ in 0..4 {
        aligned = words
            .iter()
            .filter_map(|(word, phones)| Some((word, align(word, phones, &scores)?)))
            .collect::<Vec<_>>();
        let mut counts = vec![BTreeMap::new(); LETTERS];
        for (word, sounds) in &aligned {
            for (letter, sound) in word.iter().zip(sounds) {
                *counts[usize::from(*letter)].entry(*sound).or_insert(0.0) += 1.0;
            }
        }
        scores = Scores::from_counts(&counts);
    }
    let mut examples: Vec<Vec<Example<'_>>> = (0..LETTERS).map(|_| Vec::new()).collect();
    for (word, sounds) in &aligned {
        for (place, sound) in sounds.iter().enumerate() {
            examples[usize::from(word[place])].push(Example {
                word,
                place,
                sound: *sound,
            });
        }
    }
    let mut header = Vec::new();
    let mut trees = Vec::new();
    for examples in examples {
        let looks = looks(&examples);
        let root = write(&grow(examples, &looks), &mut trees)?;
        header.extend(looks.iter().map(|look| look.to_le_bytes()[0]));
        header.extend(root.to_le_bytes());
    }
    header.extend(trees);
    Ok(header)
}
