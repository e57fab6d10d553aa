//! A client that measures an OpenAI-compatible speech endpoint from outside, whatever serves it.
//!
//! [`measure`] sends texts to the endpoint: from a fixed number of clients (closed loop), and at a fixed rate (open loop).
//! Times are taken by this client, so they include the network and the connection.

mod answer;
mod arrivals;
mod closed_loop;
mod endpoint;
mod failure;
mod measure;
mod open_loop;
mod request;
mod sample;
mod texts;
mod wav;

#[cfg(test)]
mod fake_endpoint;
#[cfg(test)]
mod tests;

pub use arrivals::{Arrival, Arrivals};
pub use closed_loop::closed_loop;
pub use endpoint::{API_KEY_VARIABLE, Endpoint, EndpointError, Format};
pub use failure::{Failure, FailureKind};
pub use measure::{ClientError, Plan, Progress, measure};
pub use open_loop::{MAX_OUTSTANDING, open_loop};
pub use request::{Answer, Client};
pub use sample::{Limits, Sample, failures_by_kind};
pub use texts::Texts;
