//! What is promised, and what is asked for.
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::quantity::Quantity;

/// What listeners are promised.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("duration(self.timeToFirstAudio) >= duration('10ms') && duration(self.timeToFirstAudio) <= duration('10m')")
        .message("objectives.timeToFirstAudio must be between 10ms and 10m, such as 500ms or 2s"),
    validation = Rule::new("!has(self.realTimeFactor) || quantity(string(self.realTimeFactor)).compareTo(quantity('10m')) >= 0 && quantity(string(self.realTimeFactor)).compareTo(quantity('10')) <= 0")
        .message("objectives.realTimeFactor must be between 0.01 and 10: seconds of work per second of audio"),
)]
pub struct Objectives {
    /// 95 % of the requests get their first audio within this time, waiting included: `500ms`, `2s`.
    #[schemars(
        length(max = 16),
        regex(pattern = r"^[0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m)$")
    )]
    pub time_to_first_audio: String,

    /// 95 % of the requests take at most so many seconds of work per second of audio; 0.8 when absent. Above 1, audio
    /// comes slower than it is played.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub real_time_factor: Option<Quantity>,
}

/// How much speech is asked for.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.peakRequestsPerSecond) != has(self.listeners)")
        .message("exactly one of load.peakRequestsPerSecond and load.listeners must be set"),
    validation = Rule::new("!has(self.peakRequestsPerSecond) || quantity(string(self.peakRequestsPerSecond)).compareTo(quantity('1m')) >= 0 && quantity(string(self.peakRequestsPerSecond)).compareTo(quantity('1M')) <= 0")
        .message("load.peakRequestsPerSecond must be between 0.001 and 1000000"),
    validation = Rule::new("!has(self.meanAudioSeconds) || quantity(string(self.meanAudioSeconds)).compareTo(quantity('100m')) >= 0 && quantity(string(self.meanAudioSeconds)).compareTo(quantity('7200')) <= 0")
        .message("load.meanAudioSeconds must be between 0.1 and 7200"),
    validation = Rule::new("!has(self.audioVariation) || quantity(string(self.audioVariation)).compareTo(quantity('10')) <= 0")
        .message("load.audioVariation must be at most 10: the standard deviation of the length over its mean"),
    validation = Rule::new("!has(self.baseRequestsPerSecond) || !has(self.peakRequestsPerSecond) || quantity(string(self.baseRequestsPerSecond)).compareTo(quantity(string(self.peakRequestsPerSecond))) <= 0")
        .message("load.baseRequestsPerSecond must not be above load.peakRequestsPerSecond: the peak is the most that is asked for"),
)]
pub struct Load {
    /// Requests per second at the busiest time, such as `5` or `"0.5"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_requests_per_second: Option<Quantity>,

    /// People who listen at the same time at the busiest time, each to one text after the other: n of them ask for n divided
    /// by `meanAudioSeconds` requests per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub listeners: Option<i32>,

    /// Mean length of what a request asks for, in seconds of audio; 6 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_audio_seconds: Option<Quantity>,

    /// How much that length varies: its standard deviation over its mean; 0.6 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audio_variation: Option<Quantity>,

    /// Requests per second in quiet times, which decide about the fewest pods; a fifth of the peak when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_requests_per_second: Option<Quantity>,

    /// How fast the load grows, in percent of itself per minute; 20 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub ramp_percent_per_minute: Option<i32>,

    /// The longest piece that is spoken at once, in seconds of audio: longer text is split, so it bounds memory; 15 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 600))]
    pub max_chunk_seconds: Option<i32>,
}
