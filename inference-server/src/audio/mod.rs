//! Samples to bytes: gaps between chunks, resampling, and the encoders of the response formats.

mod aac;
pub mod encoder;
mod flac;
pub mod format;
mod join;
mod mp3;
mod opus;
mod resample;
mod wav;

pub use encoder::{EncodeError, Encoder};
pub use format::Format;
pub use join::{Boundary, Joiner};
