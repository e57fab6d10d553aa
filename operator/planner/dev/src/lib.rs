//! What the planner's tests, examples and benchmarks share.
//!
//! | module | subject |
//! |---|---|
//! | [`goldens`] | files of golden cases, and plans compared with what they expect |
//! | [`samples`] | profiles, nodes and requests made from few parameters |
//! | [`validation`] | the closed forms against the simulator |

pub mod goldens;
pub mod samples;
pub mod validation;
