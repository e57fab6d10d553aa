//! The writes that came to the proxy, in the order of their arrival.
use std::fmt;

use axum::http::Method;
use tokio::time::Instant;

use super::requests::{self, Effect};

#[derive(Clone, Debug)]
pub struct Write {
    pub effect: Effect,
    /// Counts the writes of objects that were due for the API server, from 1; absent for any other write.
    pub number: Option<usize>,
    pub at: Instant,
    pub method: Method,
    pub path: String,
    pub outcome: Outcome,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The API server has not answered yet.
    Pending,
    /// The API server's answer.
    Answered(u16),
    /// The proxy's own answer; the API server did not see the request.
    Refused(u16),
    /// No answer: the proxy killed the operator first, or the API server could not be reached.
    Lost,
}

impl Write {
    /// Whether the API server accepted it.
    pub fn succeeded(&self) -> bool {
        matches!(self.outcome, Outcome::Answered(status) if (200..300).contains(&status))
    }

    /// The plural of the kind that it is about.
    pub fn resource(&self) -> &str {
        requests::resource(&self.path).unwrap_or_default()
    }
}

impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            Some(number) => write!(f, "#{number} ")?,
            None => write!(f, "{:?} ", self.effect)?,
        }
        write!(f, "{} {}: {:?}", self.method, self.path, self.outcome)
    }
}

/// Refers to one write of a [`Record`].
#[derive(Clone, Copy, Debug)]
pub struct Index(usize);

#[derive(Debug, Default)]
pub struct Record {
    writes: Vec<Write>,
    numbered: usize,
}

impl Record {
    /// A write that the proxy answers itself.
    pub fn refuse(&mut self, effect: Effect, method: &Method, path: &str, status: u16) {
        self.add(effect, None, method, path, Outcome::Refused(status));
    }

    /// A write for the API server.
    pub fn begin(&mut self, effect: Effect, method: &Method, path: &str) -> (Index, Option<usize>) {
        let number = (effect == Effect::Object).then(|| {
            self.numbered += 1;
            self.numbered
        });
        let index = self.add(effect, number, method, path, Outcome::Pending);
        (index, number)
    }

    pub fn finish(&mut self, Index(index): Index, outcome: Outcome) {
        if let Some(write) = self.writes.get_mut(index) {
            write.outcome = outcome;
        }
    }

    pub fn writes(&self) -> &[Write] {
        &self.writes
    }

    fn add(
        &mut self,
        effect: Effect,
        number: Option<usize>,
        method: &Method,
        path: &str,
        outcome: Outcome,
    ) -> Index {
        self.writes.push(Write {
            effect,
            number,
            at: Instant::now(),
            method: method.clone(),
            path: path.to_owned(),
            outcome,
        });
        Index(self.writes.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_are_numbered() {
        let mut record = Record::default();
        let (_, lease) = record.begin(Effect::Lease, &Method::PUT, "/lease");
        record.refuse(Effect::Object, &Method::POST, "/refused", 429);
        let (first, number) = record.begin(Effect::Object, &Method::POST, "/first");
        record.begin(Effect::Object, &Method::PATCH, "/second");
        record.finish(first, Outcome::Answered(201));
        assert_eq!((lease, number), (None, Some(1)));
        let shown: Vec<String> = record.writes().iter().map(Write::to_string).collect();
        assert_eq!(
            shown,
            [
                "Lease PUT /lease: Pending",
                "Object POST /refused: Refused(429)",
                "#1 POST /first: Answered(201)",
                "#2 PATCH /second: Pending",
            ]
        );
    }
}
