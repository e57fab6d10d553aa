//! What the planner's tests, examples and benchmarks share.
//!
//! | module | subject |
//! |---|---|
//! | [`cases`] | plans of many kinds, for the simulator |
//! | [`draws`] | requests drawn at random |
//! | [`goldens`] | files of golden cases, and plans compared with what they expect |
//! | [`laws`] | what must hold for each of many requests |
//! | [`samples`] | profiles, nodes and requests made from few parameters |
//! | [`simulation`] | plans in the simulator |
//! | [`scaling`] | the autoscaler of a plan in the simulator |
//! | [`validation`] | the closed forms against the simulator |

pub mod cases;
pub mod draws;
pub mod goldens;
pub mod laws;
pub mod samples;
pub mod scaling;
pub mod simulation;
pub mod validation;
