//! What a profile says besides the measurement.

use tts_planner::profile::details::Cores;

use super::grid::Grid;
use crate::machine::{
    fingerprint::Identity,
    gpu::{Facts, sharing::Hints},
};

/// What is known besides the measurement.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    pub voice: &'a str,
    pub model_digest: String,
    pub config_digest: String,
    pub image: String,
    pub class: String,
    pub identity: Identity,
    pub threads_per_core: u32,
    /// The GPU that was measured, and what was known of its sharing.
    pub gpu: Option<(Facts, Hints)>,
    pub sweep: String,
    pub node: String,
    pub corpus_id: String,
    /// The first texts are the load, the others the lengths.
    pub load_texts: &'a [String],
    pub cores: Cores,
    pub grid: &'a Grid,
    pub co_tenants: u32,
    pub notes: Vec<String>,
}
