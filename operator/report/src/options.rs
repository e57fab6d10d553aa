//! What is asked of a report.

use std::collections::BTreeMap;

use serde::Serialize;

/// What is asked of a report.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Options {
    /// 95th percentile of the time to first audio that is promised (s).
    pub objective: f64,
    /// Requests per second.
    pub peak: f64,
    /// Price of a node per hour, by class.
    pub prices: BTreeMap<String, f64>,
    /// Whether profiles are put side by side.
    pub compare: bool,
}

impl Options {
    /// The planner's own, which a report does not change.
    pub(crate) const REAL_TIME_FACTOR: f64 = 0.8;
    /// Mean length of a request (audio-seconds): the planner's own, too.
    pub(crate) const MEAN_AUDIO: f64 = 6.0;
}

impl Default for Options {
    fn default() -> Self {
        Self {
            objective: 0.5,
            peak: 5.0,
            prices: BTreeMap::new(),
            compare: false,
        }
    }
}
