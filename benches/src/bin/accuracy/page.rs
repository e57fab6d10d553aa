//! The page: what was found, and how.

use std::fmt::Write as _;

use crate::verdict::{Attempt, GOAL, OpenLoop, Prediction, TOLERANCE, error, errors, kept};

/// What was measured where.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Such as `2026-11-28`.
    pub date: String,
    pub revision: String,
    pub cpu: String,
    pub cpus: usize,
    /// Tries to keep, and tries at most.
    pub wanted: usize,
    pub most: u32,
    /// Of a load and of an anchor (s).
    pub load_seconds: f64,
    pub anchor_seconds: f64,
}

/// The page in Markdown.
pub fn page(facts: &Facts, attempts: &[Attempt]) -> String {
    let mut page = String::new();
    preamble(&mut page);
    result(&mut page, facts, attempts);
    tries(&mut page, attempts);
    method(&mut page, facts);
    page
}

fn preamble(page: &mut String) {
    page.push_str(
        "# Predicted and measured time to first audio\n\n\
         `make accuracy` measures this and writes this page, which is committed. A plan is made from a profile, which is measured in a closed loop: a fixed number\n\
         of requests in service. Clients come in an open loop. This page compares the 95th percentile (p95) of the time to first audio that follows from the profile\n\
         with the one that HTTP clients of a server measure.\n\n",
    );
}

fn result(page: &mut String, facts: &Facts, attempts: &[Attempt]) {
    let _ = writeln!(
        page,
        "Last run: {}, commit {}, {} with {} CPUs, voice `builtin:rms`, 1 core, 1 thread.\n\n## Result\n",
        facts.date, facts.revision, facts.cpu, facts.cpus
    );
    let count = kept(attempts).count();
    let made = attempts.len();
    let _ = write!(
        page,
        "Kept {count} of {made} {}, of at most {} until {} are kept. ",
        if made == 1 { "try" } else { "tries" },
        facts.most,
        facts.wanted
    );
    if count == 0 {
        page.push_str("There is no result: every try was void.\n");
        return;
    }
    if count < facts.wanted {
        page.push_str("These are fewer than wanted, which makes the result weaker. ");
    }
    let _ = writeln!(
        page,
        "The goal is a mean |error| of at most {}.\n",
        percent(GOAL)
    );
    page.push_str("| prediction | mean error | mean \\|error\\| | largest \\|error\\| | goal |\n|---|---|---|---|---|\n");
    for (name, prediction, no_goal) in PREDICTIONS {
        let Some(errors) = errors(attempts, prediction) else {
            continue;
        };
        let goal = match no_goal {
            Some(reason) => format!("none: {reason}"),
            None if errors.absolute <= GOAL => "met".to_owned(),
            None => "missed".to_owned(),
        };
        let _ = writeln!(
            page,
            "| {name} | {} | {} | {} | {goal} |",
            signed(errors.mean),
            percent(errors.absolute),
            percent(errors.largest)
        );
    }
    page.push('\n');
    loads(page, attempts, true);
}

/// Name, value, and why it has no goal.
const PREDICTIONS: [(&str, Prediction, Option<&str>); 3] = [
    (
        "trace-matched (as the planner assumes)",
        |load| load.replayed.in_turns,
        None,
    ),
    (
        "law (what a plan is made with)",
        |load| load.law,
        Some("chance is in it"),
    ),
    (
        "trace-matched, without turns (what a queue of whole requests would do)",
        |load| load.replayed.whole,
        Some("for comparison"),
    ),
];

const LOADS: &str = "| try | load | requests per second | requests | measured p95 (ms) | trace-matched (ms) | error | law (ms) | error | plan (ms) | without turns (ms) |\n\
                     |---|---|---|---|---|---|---|---|---|---|---|\n";

/// The loads of the tries that were kept, or of those that were not.
fn loads(page: &mut String, attempts: &[Attempt], of_kept: bool) {
    page.push_str(LOADS);
    for (number, attempt) in (1..).zip(attempts) {
        if attempt.void.is_none() == of_kept {
            for load in &attempt.loads {
                row(page, number, load);
            }
        }
    }
}

fn row(page: &mut String, number: usize, load: &OpenLoop) {
    let taken_off = format!("less {}", percent(load.derate));
    let planned = load.planned.map_or_else(
        || format!("does not keep up, {taken_off}"),
        |planned| format!("{}, {taken_off}", milliseconds(planned)),
    );
    let _ = writeln!(
        page,
        "| {number} | {} | {:.1} | {} | {} | {} | {} | {} | {} | {planned} | {} |",
        load.share,
        load.rate,
        load.requests,
        milliseconds(load.measured),
        milliseconds(load.replayed.in_turns),
        signed(error(load.replayed.in_turns, load.measured)),
        milliseconds(load.law),
        signed(error(load.law, load.measured)),
        milliseconds(load.replayed.whole),
    );
}

fn tries(page: &mut String, attempts: &[Attempt]) {
    page.push_str(
        "\n## Tries\n\n\
         | try | kept | anchors over HTTP: before and after the profile, after each load (ms) | profile: requests per second, verdict, anchor (ms) |\n\
         |---|---|---|---|\n",
    );
    for (number, attempt) in (1..).zip(attempts) {
        let outcome = attempt.void.as_ref().map_or_else(
            || "yes".to_owned(),
            |reason| format!("void: {}", cell(reason)),
        );
        let anchors: Vec<String> = attempt.anchors.iter().copied().map(milliseconds).collect();
        let closed = attempt.closed.as_ref().map_or_else(
            || "not measured".to_owned(),
            |closed| {
                format!(
                    "{:.1}, {}, {}",
                    closed.full_rate,
                    closed.validity,
                    milliseconds(closed.anchor)
                )
            },
        );
        let _ = writeln!(
            page,
            "| {number} | {outcome} | {} | {closed} |",
            anchors.join(", ")
        );
    }
    if attempts
        .iter()
        .any(|attempt| attempt.void.is_some() && !attempt.loads.is_empty())
    {
        page.push_str("\nWhat was measured in void tries until then; it does not count:\n\n");
        loads(page, attempts, false);
    }
}

fn method(page: &mut String, facts: &Facts) {
    let _ = write!(
        page,
        "\n## Method\n\n\
         Server and profile run on one CPU, the client on others. A try is:\n\n\
         1. **Anchor**: the same text, one request at a time, for {} s: the median time. Then a profile (`tts-server profile --allocatable 1`), then the anchor again.\n\
         2. **Loads**: 0.3, 0.5 and 0.7 of X(C), the throughput of the profile. Requests with the profile's texts arrive as a Poisson process with a fixed seed per try and load, for\n   \
            {} s and at least 150 requests. Times count from when a request was due to its first byte of audio; the first tenth of the requests does not count.\n\
         3. The anchor again after each load.\n\n\
         A try is void, and ends, when an anchor differs by more than {} from the one of the profile (the two around it; those two also from each other, and those within the\n\
         profile), when a request failed, when the client sent requests late by more than {} of the measured p95, or when the profile is Invalid. Tries go on until {} are kept or\n\
         {} were made. A void try is no evidence for or against the planner: the machine was another one while it was measured than while it was profiled.\n\n\
         | column | prediction |\n\
         |---|---|\n\
         | trace-matched | The planner's simulator with the same arrival times and texts. Each request takes what a request of its text took in the profile, and requests take turns chunk by chunk, as in the server. The median of 20 runs. |\n\
         | law | The planner's formula for p95 at this rate, with turns and nothing taken off. It is of an endless Poisson process: a trace of so many requests differs from it by chance, at load 0.7 by about 20 %. |\n\
         | plan | `predict`, what a plan says: the same formula with the share that each plan takes off for safety, more for a Degraded profile. It should be above what is measured. |\n\
         | without turns | Trace-matched, but each request whole, in order of arrival: what turns save. |\n\n\
         HTTP is not part of a profile. It shares the server's CPU here: the anchors over HTTP against the profile's own show how much it takes.\n\n\
         ## Again\n\n\
         `make accuracy`, on a machine with at least two CPUs where nothing else runs ([how to make it quiet](measuring.md#making-a-machine-quiet)); 11 to 45 minutes. `make accuracy TRIES=4 KEEP=1`\n\
         measures less.\n",
        facts.anchor_seconds,
        facts.load_seconds,
        percent(TOLERANCE),
        percent(TOLERANCE),
        facts.wanted,
        facts.most
    );
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.2}", 1e3 * seconds)
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

fn signed(share: f64) -> String {
    format!("{:+.0} %", 100.0 * share)
}

/// Text that does not end a cell or a row of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::samples::{attempt, load};

    fn facts() -> Facts {
        Facts {
            date: "2026-11-28".to_owned(),
            revision: "0123456789ab".to_owned(),
            cpu: "Example 3000".to_owned(),
            cpus: 2,
            wanted: 3,
            most: 12,
            load_seconds: 40.0,
            anchor_seconds: 5.0,
        }
    }

    fn rows(page: &str, number: usize) -> Vec<&str> {
        let start = format!("| {number} | ");
        page.lines()
            .filter(|line| line.starts_with(&start))
            .collect()
    }

    /// The numbers of each prediction.
    fn results(page: &str) -> Vec<&str> {
        let rows = page
            .lines()
            .filter(|line| line.contains("(as ") || line.contains("(what a "));
        rows.filter_map(|line| line.split_once(") | ")?.1.strip_suffix(" |"))
            .collect()
    }

    #[test]
    fn kept_tries_have_a_result() {
        let loads = vec![load(0.3, 0.010, 0.0112), load(0.7, 0.020, 0.0192)];
        let page = page(&facts(), &[attempt(loads, None)]);
        assert!(
            page.contains("Kept 1 of 1 try, of at most 12 until 3 are kept. These are fewer"),
            "{page}"
        );
        assert_eq!(
            results(&page),
            [
                "+4 % | 8 % | 12 % | met",
                "+50 % | 50 % | 50 % | none: chance is in it",
                "+20 % | 20 % | 20 % | none: for comparison"
            ]
        );
        assert_eq!(
            rows(&page, 1),
            [
                "| 1 | 0.3 | 30.0 | 4000 | 10.00 | 11.20 | +12 % | 15.00 | +50 % | 20.00, less 5 % | 12.00 |",
                "| 1 | 0.7 | 70.0 | 4000 | 20.00 | 19.20 | -4 % | 30.00 | +50 % | 40.00, less 5 % | 24.00 |",
                "| 1 | yes | 6.00, 6.20 | 150.0, Degraded, 5.80 |",
            ]
        );
        assert!(!page.contains("does not count:"));
    }

    #[test]
    fn an_error_above_the_goal_is_said() {
        let page = page(&facts(), &[attempt(vec![load(0.3, 0.010, 0.0080)], None)]);
        assert_eq!(results(&page)[0], "-20 % | 20 % | 20 % | missed");
    }

    #[test]
    fn nothing_kept_is_no_result() {
        let void = attempt(Vec::new(), Some("one | two\nthree"));
        let bare = Attempt {
            anchors: vec![0.006],
            closed: None,
            loads: Vec::new(),
            void: Some("a reason".to_owned()),
        };
        let page = page(&facts(), &[void, bare]);
        assert!(page.contains("Kept 0 of 2 tries, of at most 12 until 3 are kept. There is no result: every try was void."), "{page}");
        assert!(!page.contains("| law (ms) |"), "{page}");
        assert_eq!(
            rows(&page, 1),
            ["| 1 | void: one \\| two three | 6.00, 6.20 | 150.0, Degraded, 5.80 |"]
        );
        assert_eq!(
            rows(&page, 2),
            ["| 2 | void: a reason | 6.00 | not measured |"]
        );
    }

    #[test]
    fn what_void_tries_measured_is_apart() {
        let saturated = OpenLoop {
            planned: None,
            derate: 0.31,
            ..load(0.7, 0.010, 0.020)
        };
        let attempts = [
            attempt(vec![load(0.3, 0.010, 0.010)], None),
            attempt(vec![saturated], Some("changed")),
        ];
        let page = page(&facts(), &attempts);
        assert_eq!(results(&page)[0], "+0 % | 0 % | 0 % | met");
        let enough = super::page(
            &Facts {
                wanted: 1,
                ..facts()
            },
            &attempts,
        );
        assert!(!enough.contains("fewer than wanted") && page.contains("fewer than wanted"));
        let (counts, does_not) = page.split_once("it does not count:").unwrap();
        assert_eq!(
            rows(counts, 2),
            ["| 2 | void: changed | 6.00, 6.20 | 150.0, Degraded, 5.80 |"]
        );
        assert_eq!(
            rows(does_not, 2),
            [
                "| 2 | 0.7 | 70.0 | 4000 | 10.00 | 20.00 | +100 % | 15.00 | +50 % | does not keep up, less 31 % | 12.00 |"
            ]
        );
        assert_eq!(rows(does_not, 1), Vec::<&str>::new());
    }
}
