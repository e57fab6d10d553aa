//! The inference server: text-to-speech over HTTP on ONNX Runtime.
//!
//! Text becomes sentences, sentences become symbols, symbols become tensors, tensors become samples, samples become
//! bytes: one direction, each step a type.

pub mod audio;
pub mod client;
pub mod engine;
pub mod families;
pub mod fetch;
pub mod http;
pub mod inspect;
pub mod machine;
pub mod memory;
pub mod probe;
pub mod profile;
pub mod say;
pub mod scheduler;
pub mod statistics;
pub mod text;
pub mod voices;
