//! Tells how far a measurement is: a bar with the time left on a terminal, plain lines elsewhere.

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

/// How far a measurement is, on standard error.
pub struct Progress {
    bar: Option<ProgressBar>,
    total: f64,
    done: f64,
}

impl Progress {
    /// A measurement of about so many seconds.
    pub fn new(seconds: f64) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(1000);
            let style =
                ProgressStyle::with_template("{bar:30} {percent:>3} %  {prefix}  {wide_msg}");
            if let Ok(style) = style {
                bar.set_style(style);
            }
            bar
        });
        let progress = Self {
            bar,
            total: seconds,
            done: 0.0,
        };
        progress.line(&format!("measuring, about {}", words(seconds)));
        progress
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text}"),
        }
    }

    /// Begins a step.
    pub fn begin(&self, step: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(step.to_owned());
        }
    }

    /// The step that was estimated at so many seconds is done; `result` is what it gave.
    pub fn end(&mut self, seconds: f64, result: &str) {
        self.done = (self.done + seconds).min(self.total);
        let left = words(self.total - self.done);
        if let Some(bar) = &self.bar {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "from 0 to 1000"
            )]
            bar.set_position((1000.0 * self.done / self.total.max(1.0)) as u64);
            bar.set_prefix(format!("{left} left"));
            bar.println(result);
        } else {
            eprintln!("{result} ({left} left)");
        }
    }

    /// More is measured than was thought.
    pub fn more(&mut self, seconds: f64, why: &str) {
        self.total += seconds;
        self.line(why);
    }

    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn words(seconds: f64) -> String {
    let seconds = Duration::try_from_secs_f64(seconds.max(0.0).round()).unwrap_or_default();
    humantime::format_duration(seconds).to_string()
}
