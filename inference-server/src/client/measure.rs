//! A measurement: the first request alone, then levels of clients, then rates.

use std::collections::BTreeSet;

use tts_planner::profile::{ClientLevel, External, OpenLoop};

use super::{
    API_KEY_VARIABLE, Answer, Arrivals, Client, EndpointError, Failure, Limits, MAX_OUTSTANDING,
    Sample, Texts, closed_loop, open_loop,
};

/// Requests per second beyond what this client can send in time.
const MAX_RATE: f64 = 1000.0;

/// Why there is no measurement.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Http(#[from] crate::fetch::ClientError),
    #[error("there are no texts to speak")]
    NoTexts,
    #[error("the number of clients must be from 1 to {MAX_OUTSTANDING}, not {found}")]
    BadClients { found: u32 },
    #[error("no number of clients is given; give at least one")]
    NoClients,
    #[error("the rate must be above 0 and at most {MAX_RATE} requests per second, not {found}")]
    BadRate { found: f64 },
    #[error("the longest time of a level is shorter than its shortest time")]
    BadLimits,
    #[error(
        "{url} accepts no request without a valid API key: set {API_KEY_VARIABLE}; it answered {status}: {body}"
    )]
    Unauthorised {
        url: String,
        status: u16,
        body: String,
    },
    #[error(
        "{url} was not found: check the path of the URL, and the model (--model); it answered {status}: {body}"
    )]
    NotFound {
        url: String,
        status: u16,
        body: String,
    },
    #[error(
        "{url} answers with a redirect: give the URL that it redirects to; it answered {status}: {body}"
    )]
    Redirect {
        url: String,
        status: u16,
        body: String,
    },
    #[error("{url} rejects the request: {hint}; it answered {status}: {body}")]
    BadRequest {
        url: String,
        hint: &'static str,
        status: u16,
        body: String,
    },
    #[error("{url} did not answer a single request with speech: {failure}")]
    Unusable { url: String, failure: Failure },
    #[error("{url} gave no whole answer at any number of clients; the last error: {failure}")]
    NoAnswers { url: String, failure: Failure },
}

/// What is measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Closed loop: numbers of clients; at least one.
    pub clients: Vec<u32>,
    /// Open loop: requests per second.
    pub rates: Vec<f64>,
    /// Of each level.
    pub limits: Limits,
    /// Of the order of the texts and of the arrivals.
    pub seed: u64,
}

/// Reported while a measurement runs.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// The endpoint speaks.
    FirstAnswer(Answer),
    LevelStarted {
        clients: u32,
    },
    /// A level without a whole answer is reported, but has no quantiles and is not part of the result.
    Level {
        level: ClientLevel,
        samples: Vec<Sample>,
    },
    RateStarted {
        rate: f64,
    },
    /// As for levels.
    OpenLoop {
        run: OpenLoop,
        samples: Vec<Sample>,
    },
}

/// Measures an endpoint. The runtime should have more than one thread, so that timers are on time while answers are read.
pub async fn measure(
    client: &Client,
    texts: &Texts,
    plan: &Plan,
    progress: &mut dyn FnMut(Progress),
) -> Result<External, ClientError> {
    plan.check()?;
    let endpoint = client.endpoint();
    let url = endpoint.url();
    let first = client.speak(texts.get(0)).await;
    progress(Progress::FirstAnswer(
        first.map_err(|failure| explain(url.clone(), failure))?,
    ));

    let mut last_failure = None;
    let mut levels = Vec::new();
    for clients in plan.clients.iter().copied().collect::<BTreeSet<_>>() {
        progress(Progress::LevelStarted { clients });
        let (level, samples) = closed_loop(client, texts, clients, &plan.limits, plan.seed).await;
        if level.errors < level.requests {
            levels.push(level.clone());
        } else {
            last_failure = samples
                .iter()
                .rev()
                .find_map(|sample| sample.failure.clone());
        }
        progress(Progress::Level { level, samples });
    }
    if let (true, Some(failure)) = (levels.is_empty(), last_failure) {
        return Err(ClientError::NoAnswers { url, failure });
    }

    let mut rates = plan.rates.clone();
    rates.sort_by(f64::total_cmp);
    rates.dedup();
    let mut runs = Vec::new();
    for rate in rates {
        progress(Progress::RateStarted { rate });
        let arrivals = Arrivals::Poisson {
            rate,
            seed: plan.seed,
        };
        let (run, samples) = open_loop(client, texts, &arrivals, &plan.limits).await;
        if run.errors < run.requests {
            runs.push(run.clone());
        }
        progress(Progress::OpenLoop { run, samples });
    }
    Ok(External {
        url,
        format: endpoint.format.name().to_owned(),
        levels,
        open_loop: runs,
    })
}

impl Plan {
    fn check(&self) -> Result<(), ClientError> {
        if self.clients.is_empty() {
            return Err(ClientError::NoClients);
        }
        let possible = |clients: u32| {
            (1..=MAX_OUTSTANDING).contains(&usize::try_from(clients).unwrap_or(usize::MAX))
        };
        if let Some(&found) = self.clients.iter().find(|clients| !possible(**clients)) {
            return Err(ClientError::BadClients { found });
        }
        let possible = |rate: f64| rate > 0.0 && rate <= MAX_RATE;
        if let Some(&found) = self.rates.iter().find(|rate| !possible(**rate)) {
            return Err(ClientError::BadRate { found });
        }
        if self.limits.max_time < self.limits.min_time {
            return Err(ClientError::BadLimits);
        }
        Ok(())
    }
}

/// What to do about the failure of the first request.
fn explain(url: String, failure: Failure) -> ClientError {
    let Failure::Status { status, body } = failure else {
        return ClientError::Unusable { url, failure };
    };
    match status {
        401 | 403 => ClientError::Unauthorised { url, status, body },
        404 | 405 => ClientError::NotFound { url, status, body },
        300..400 => ClientError::Redirect { url, status, body },
        400 | 422 => {
            let told = body.to_ascii_lowercase();
            let hint = if told.contains("voice") {
                "choose a voice that it has with --voice"
            } else if told.contains("model") {
                "choose a model that it has with --model"
            } else if told.contains("format") {
                "choose a format that it has with --format"
            } else {
                "check --model, --voice and --format"
            };
            ClientError::BadRequest {
                url,
                hint,
                status,
                body,
            }
        }
        _ => ClientError::Unusable {
            url,
            failure: Failure::Status { status, body },
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn plan(clients: &[u32], rates: &[f64]) -> Plan {
        Plan {
            clients: clients.to_vec(),
            rates: rates.to_vec(),
            limits: Limits {
                min_requests: 1,
                min_time: Duration::ZERO,
                max_time: Duration::from_secs(1),
            },
            seed: 7,
        }
    }

    #[test]
    fn a_plan_that_cannot_be_measured_is_rejected() {
        assert!(
            plan(&[1, MAX_OUTSTANDING.try_into().unwrap()], &[0.1, MAX_RATE])
                .check()
                .is_ok()
        );
        assert!(matches!(
            plan(&[], &[]).check(),
            Err(ClientError::NoClients)
        ));
        for clients in [0, 4097] {
            assert!(
                matches!(plan(&[1, clients], &[]).check(), Err(ClientError::BadClients { found }) if found == clients)
            );
        }
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY, 1001.0] {
            assert!(matches!(
                plan(&[1], &[rate]).check(),
                Err(ClientError::BadRate { .. })
            ));
        }
        let mut limits = plan(&[1], &[]);
        limits.limits.min_time = Duration::from_secs(2);
        assert!(matches!(limits.check(), Err(ClientError::BadLimits)));
    }

    #[test]
    fn the_first_failure_says_what_to_do() {
        let told = |status, body: &str| {
            let failure = Failure::Status {
                status,
                body: body.to_owned(),
            };
            explain("http://host/v1/audio/speech".to_owned(), failure).to_string()
        };
        for (status, body, advice) in [
            (401, "", "set OPENAI_API_KEY"),
            (403, "", "set OPENAI_API_KEY"),
            (404, "", "check the path"),
            (400, "unknown Voice", "--voice"),
            (422, "no such model", "--model"),
            (400, "response_format", "--format"),
            (400, "", "--model, --voice and --format"),
            (308, "redirect to https://host", "give the URL"),
            (500, "out of memory", "out of memory"),
        ] {
            let message = told(status, body);
            assert!(
                message.contains(advice) && message.contains(body) && message.contains("host"),
                "{message}"
            );
        }
    }
}
