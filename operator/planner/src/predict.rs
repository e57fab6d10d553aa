//! What pods of a given shape do under a given load: for fixed replicas, for pods that somebody
//! else sizes, and for the check after a plan.

use crate::acceptance::predicted;
use crate::balancing::arrival_cv2;
use crate::candidates::Candidate;
use crate::field::Contenders;
use crate::plan::Prediction;
use crate::rejection::Because;
use crate::request::{Current, Objectives, Request, RequestError};

/// Why nothing can be predicted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PredictError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("{0}: give the cores, the threads, the concurrency and the replicas of the pods")]
    Incomplete(&'static str),
    #[error(
        "no usable profile of {class} has pods of {cpu} CPUs with {threads} threads; measure that size"
    )]
    Unmeasured {
        class: String,
        cpu: f64,
        threads: u32,
    },
    #[error(
        "{cpu} CPUs with {threads} threads were not measured with {concurrency} requests at once"
    )]
    Concurrency {
        cpu: f64,
        threads: u32,
        concurrency: u32,
    },
    #[error("{because}")]
    Rejected { because: Because },
}

/// What `shape.replicas` pods of this shape do at the request's peak, whether or not they keep the
/// objectives. `rate` and `utilisation` are those at which the objectives are kept; 0 when an idle
/// pod does not keep them.
pub fn predict(request: &Request, shape: &Current) -> Result<Prediction, PredictError> {
    request.check()?;
    let (Some(cpu), Some(threads), Some(concurrency), Some(replicas)) =
        (shape.cpu, shape.threads, shape.concurrency, shape.replicas)
    else {
        return Err(PredictError::Incomplete("the shape is incomplete"));
    };
    let contenders = Contenders::of(request);
    let contender = contenders
        .list
        .iter()
        .find(|contender| {
            contender.class.name == shape.class
                && contender.serves(&shape.variants)
                && contender.shape.threads == threads
                && (contender.shape.cpu - cpu).abs() < 1e-9
        })
        .ok_or_else(|| PredictError::Unmeasured {
            class: shape.class.clone(),
            cpu,
            threads,
        })?;
    if concurrency == 0 || concurrency > contender.slots() {
        return Err(PredictError::Concurrency {
            cpu,
            threads,
            concurrency,
        });
    }
    let terms = request.terms();
    let promised = Candidate::with(contender, &terms, concurrency, shape.memory);
    // What the pods do does not depend on what is promised.
    let mut lax = terms;
    lax.objectives = Objectives {
        ttfa_p95: 1e6,
        rtf_p95: 1e6,
    };
    let pods = Candidate::with(contender, &lax, concurrency, shape.memory)
        .map_err(|because| PredictError::Rejected { because })?;
    let cv2 = arrival_cv2(terms.balancing, terms.load.burstiness, replicas);
    let pods = pods.at(terms.peak / f64::from(replicas.max(1)), cv2);
    let mut prediction = predicted(&pods, &terms, replicas);
    prediction.cost_per_hour = f64::from(replicas) * pods.pod_price;
    prediction.watts = contender.watts(&terms, replicas, pods.pods_per_node);
    let kept = promised.ok();
    prediction.rate = kept.as_ref().map_or(0.0, |kept| kept.rate);
    prediction.utilisation = prediction.rate / prediction.full_rate;
    Ok(prediction)
}
