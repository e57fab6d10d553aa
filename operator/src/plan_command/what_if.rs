//! A spec with values changed, and what that changes of the plan.
use std::{fmt, str::FromStr};

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Answer, fields};
use crate::planning::sentences;

/// `PATH=VALUE`: a path under the spec and what stands there instead; null removes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    path: Vec<String>,
    value: Value,
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const HELP: &str = "use PATH=VALUE, such as load.peakRequestsPerSecond=50";
        let (path, value) = text.split_once('=').ok_or(HELP)?;
        let path = path.trim().trim_start_matches("spec.");
        let path: Vec<String> = path.split('.').map(ToOwned::to_owned).collect();
        if path.iter().any(String::is_empty) {
            return Err(HELP.to_owned());
        }
        let mut value = serde_saphyr::from_str(value).map_err(|error| error.to_string())?;
        fields::whole_numbers(&mut value);
        Ok(Self { path, value })
    }
}

impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.path.join("."), self.value)
    }
}

impl Assignment {
    /// Writes the value. Objects on the way are made; entries of lists are numbered from 0 and must exist.
    ///
    /// # Errors
    /// When the path leads through something else, as a sentence.
    pub fn apply(&self, spec: &mut Value) -> Result<(), String> {
        let mut at = spec;
        let mut walked = "spec".to_owned();
        let Some((last, parents)) = self.path.split_last() else {
            return Ok(());
        };
        for name in parents {
            walked = format!("{walked}.{name}");
            at = match at {
                Value::Object(fields) => {
                    let next = fields.entry(name.clone()).or_insert(Value::Null);
                    if next.is_null() {
                        *next = Value::Object(Map::new());
                    }
                    next
                }
                Value::Array(items) => entry(items, name)
                    .ok_or_else(|| format!("{walked}: there is no such entry in the list"))?,
                _ => return Err(format!("{walked}: there is nothing below its parent")),
            };
        }
        walked = format!("{walked}.{last}");
        match at {
            Value::Object(fields) if self.value.is_null() => {
                fields.remove(last);
            }
            Value::Object(fields) => {
                fields.insert(last.clone(), self.value.clone());
            }
            Value::Array(items) => {
                *entry(items, last)
                    .ok_or_else(|| format!("{walked}: there is no such entry in the list"))? =
                    self.value.clone();
            }
            _ => return Err(format!("{walked}: there is nothing below its parent")),
        }
        Ok(())
    }
}

fn entry<'a>(items: &'a mut [Value], name: &str) -> Option<&'a mut Value> {
    items.get_mut(name.parse::<usize>().ok()?)
}

/// One thing that is different.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    pub what: &'static str,
    pub before: String,
    pub after: String,
}

/// What of the plan is different.
pub fn changes(before: &Answer, after: &Answer) -> Vec<Change> {
    let (before, after) = (aspects(before), aspects(after));
    before
        .into_iter()
        .zip(after)
        .filter(|((_, before), (_, after))| before != after)
        .map(|((what, before), (_, after))| Change {
            what,
            before,
            after,
        })
        .collect()
}

fn aspects(answer: &Answer) -> [(&'static str, String); 6] {
    let none = || "none".to_owned();
    let plan = answer.plan.as_ref();
    let predicted = plan.and_then(|plan| plan.predicted.as_ref());
    let shortage = answer.shortage.as_ref();
    [
        (
            "class",
            plan.and_then(|plan| plan.node_class.clone())
                .unwrap_or_else(none),
        ),
        (
            "pod",
            plan.map_or_else(none, |plan| sentences::pod(&plan.pod)),
        ),
        (
            "replicas",
            plan.map_or_else(none, |plan| sentences::replicas(&plan.replicas)),
        ),
        (
            "p95 of first audio",
            plan.and_then(sentences::first_audio)
                .map_or_else(none, |time| time.unwrap_or("cannot keep up").to_owned()),
        ),
        (
            "cost per hour",
            predicted
                .and_then(|predicted| predicted.cost_per_hour.clone())
                .unwrap_or_else(none),
        ),
        (
            "shortage",
            shortage.map_or_else(none, |shortage| shortage.reason.clone()),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn applied(text: &str) -> Result<Value, String> {
        let mut spec = json!({"voices": [{"name": "a"}], "load": {"listeners": 3}});
        text.parse::<Assignment>()?.apply(&mut spec)?;
        Ok(spec)
    }

    #[test]
    fn values_are_yaml_and_null_removes() {
        let spec = applied("load.peakRequestsPerSecond=50").unwrap();
        assert_eq!(spec["load"]["peakRequestsPerSecond"], 50);
        let spec = applied("spec.sizing.qos=Guaranteed").unwrap();
        assert_eq!(spec["sizing"]["qos"], "Guaranteed");
        let spec = applied("voices.0.weight=\"2\"").unwrap();
        assert_eq!(spec["voices"][0]["weight"], "2");
        let spec = applied("placement.nodeClasses=[a, b]").unwrap();
        assert_eq!(spec["placement"]["nodeClasses"], json!(["a", "b"]));
        assert_eq!(applied("load.listeners=null").unwrap()["load"], json!({}));
    }

    #[test]
    fn paths_that_lead_nowhere_are_errors() {
        for wrong in [
            "load",
            "=5",
            "load..x=1",
            "load.=1",
            "a=[",
            "voices.1.weight=1",
        ] {
            assert!(applied(wrong).is_err(), "{wrong}");
        }
        let error = applied("load.listeners.x=1").unwrap_err();
        assert_eq!(
            error,
            "spec.load.listeners.x: there is nothing below its parent"
        );
    }
}
