//! From samples to bytes: gaps between runs, levels, WAV and PCM.

pub mod encode;
pub mod join;
