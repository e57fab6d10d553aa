//! Compares our segmentation with Unicode's (`icu_segmenter`) on tables of texts; what came of it: docs/decisions/0032. To see
//! the numbers and every wrong text: `cargo test -p tts-server --lib text::segment::comparison -- --nocapture`.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    time::{Duration, Instant},
};

use icu_segmenter::{SentenceSegmenter, options::SentenceBreakInvariantOptions};

use super::{begins_item, is_inner_stop, sentences};
use crate::text::characters;

/// A text with the places where its sentences end, as numbers of characters before them, spaces aside.
struct Case {
    category: &'static str,
    line: &'static str,
    text: String,
    truth: BTreeSet<usize>,
}

fn clean(text: &str) -> String {
    characters::clean(text).unwrap().text
}

fn visible(text: &str) -> usize {
    text.chars().filter(|sign| !sign.is_whitespace()).count()
}

/// The ends of these parts, without the end of the text.
fn ends<'a>(parts: impl IntoIterator<Item = &'a str>) -> BTreeSet<usize> {
    let mut end = 0;
    let mut ends: BTreeSet<_> = parts
        .into_iter()
        .map(|part| {
            end += visible(part);
            end
        })
        .collect();
    ends.remove(&end);
    ends.remove(&0);
    ends
}

fn cases(table: &'static str) -> Vec<Case> {
    let mut category = "";
    let mut cases = Vec::new();
    // What is before the first category explains the table.
    let lines = table.lines().skip_while(|line| !line.starts_with("# "));
    for line in lines.filter(|line| !line.is_empty()) {
        if let Some(name) = line.strip_prefix("# ") {
            category = name;
            continue;
        }
        let line_breaks = line.replace("\\n", "\n");
        let parts: Vec<_> = line_breaks.split(" | ").map(clean).collect();
        cases.push(Case {
            category,
            line,
            text: parts.join(" "),
            truth: ends(parts.iter().map(String::as_str)),
        });
    }
    cases
}

fn ours(text: &str) -> Vec<&str> {
    sentences(text)
}

fn unicode(text: &str) -> Vec<&str> {
    let segmenter = SentenceSegmenter::new(SentenceBreakInvariantOptions::default());
    let breaks: Vec<_> = segmenter.segment_str(text).collect();
    breaks
        .windows(2)
        .map(|pair| &text[pair[0]..pair[1]])
        .collect()
}

/// Unicode's boundaries without those at our abbreviations and at single line breaks.
fn unicode_with_exceptions(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut from = 0;
    let mut at = 0;
    for part in unicode(text) {
        at += part.len();
        let end = text[from..at].trim_end();
        let stop = end.trim_end_matches(['"', '\'', ')', ']', '}']);
        let after = &text[from + end.len()..];
        let spaces = after.len() - after.trim_start().len();
        let is_wrapped = !stop.ends_with(['.', '!', '?'])
            && after[..spaces].matches('\n').count() == 1
            && !begins_item(after.trim_start());
        let is_inner = stop.ends_with('.')
            && at < text.len()
            && is_inner_stop(text, from, from + stop.len() - 1);
        if !is_wrapped && !is_inner {
            parts.push(&text[from..at]);
            from = at;
        }
    }
    parts.push(&text[from..]);
    parts
}

#[derive(Default)]
struct Score {
    right: usize,
    missed: usize,
    false_ends: usize,
    wrong: Vec<String>,
}

impl Score {
    fn errors(&self) -> usize {
        self.missed + self.false_ends
    }

    fn add(&mut self, case: &Case, found: &[&str]) {
        let ends = ends(found.iter().copied());
        let missed = case.truth.difference(&ends).count();
        let false_ends = ends.difference(&case.truth).count();
        self.right += case.truth.len() - missed;
        self.missed += missed;
        self.false_ends += false_ends;
        if missed + false_ends > 0 {
            let found: Vec<_> = found.iter().map(|part| part.trim()).collect();
            self.wrong
                .push(format!("{}  ->  {}", case.line, found.join(" | ")));
        }
    }
}

type Segmenter = fn(&str) -> Vec<&str>;

fn score<'a>(cases: impl IntoIterator<Item = &'a Case>, segmenter: Segmenter) -> Score {
    let mut score = Score::default();
    for case in cases {
        score.add(case, &segmenter(&case.text));
    }
    score
}

/// The scores of ours and of Unicode's, and a report on both.
fn compare(table: &'static str) -> (Score, Score, String) {
    let cases = cases(table);
    let mut report = String::new();
    let segmenters: [(&str, Segmenter); 3] = [
        ("ours", ours),
        ("unicode", unicode),
        ("unicode with exceptions", unicode_with_exceptions),
    ];
    for (name, segmenter) in segmenters {
        let all = score(&cases, segmenter);
        let _ = writeln!(
            report,
            "\n{name}: {} right, {} missed, {} false",
            all.right, all.missed, all.false_ends
        );
        for group in cases.chunk_by(|one, other| one.category == other.category) {
            let score = score(group, segmenter);
            let _ = writeln!(
                report,
                "{:>28}: {:3} right, {:2} missed, {:2} false",
                group[0].category, score.right, score.missed, score.false_ends
            );
            for wrong in &score.wrong {
                let _ = writeln!(report, "    {}", wrong.escape_debug());
            }
        }
    }
    (score(&cases, ours), score(&cases, unicode), report)
}

/// Ours: why they stay is on the page of the decision.
const KNOWN_ERRORS: usize = 10;
const HELD_OUT_ERRORS: usize = 3;

#[test]
fn sentences_end_where_a_reader_ends_them() {
    let (ours, unicode, report) = compare(include_str!("cases.txt"));
    println!("{report}");
    assert_eq!(ours.errors(), KNOWN_ERRORS, "{report}");
    assert!(ours.errors() < unicode.errors() / 3, "{report}");
}

#[test]
fn texts_that_the_rules_were_not_made_for_are_cut_as_well() {
    let (ours, unicode, report) = compare(include_str!("held_out.txt"));
    println!("{report}");
    assert!(ours.errors() <= HELD_OUT_ERRORS, "{report}");
    assert!(ours.errors() < unicode.errors(), "{report}");
}

/// How long 100 kB of the table's texts take.
#[test]
fn long_texts_are_cut_in_milliseconds() {
    let text: Vec<_> = cases(include_str!("cases.txt"))
        .into_iter()
        .map(|case| case.text)
        .collect();
    let text = text.join(" ");
    let text = text.repeat(100_000 / text.len() + 1);
    let time = |segmenter: Segmenter| {
        let times = (0..5).map(|_| {
            let started = Instant::now();
            std::hint::black_box(segmenter(&text));
            started.elapsed()
        });
        times.min().unwrap_or_default()
    };
    let (ours, unicode) = (time(ours), time(unicode));
    println!("{} bytes: ours {ours:?}, unicode {unicode:?}", text.len());
    assert!(ours < Duration::from_millis(500), "{ours:?}");
}
