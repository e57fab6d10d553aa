//! A report of measured voices: what was measured, what is planned from it, and why.
//!
//! [`Report::new`] takes [`Profile`](tts_planner::Profile)s and gives a [`Report`]: plain data, which
//! is the JSON output. [`markdown`] and [`html`] write it for people. Every number is measured or
//! planned; what is neither is `not measured`.
//!
//! Pure: no clock, no input or output.
//!
//! | module | subject |
//! |---|---|
//! | [`input`] | profiles from documents, with errors that name the field |
//! | [`junit`] | test results |
//! | [`measured`] | what one profile says |
//! | [`planned`] | what the planner makes of the profiles of one voice |
//! | [`advice`] | the decision matrix and the recommendations |
//! | `manifest` | a plan as YAML with its reasons |
//! | `document`, `contents`, `plan_contents` | the sections of a report, in either format |
//! | `chart` | charts as SVG |
//! | `markdown`, `html` | the formats |
//! | `words`, `escape` | numbers in sentences, text in HTML |
//! | `options` | what is asked of a report |

pub mod advice;
mod chart;
mod contents;
mod document;
mod escape;
mod html;
pub mod input;
pub mod junit;
mod manifest;
mod markdown;
pub mod measured;
mod options;
mod plan_contents;
pub mod planned;
mod report;
mod words;

pub use html::html;
pub use markdown::markdown;
pub use options::Options;
pub use report::{Answer, Comparison, ComparisonRow, Report, ReportError};
