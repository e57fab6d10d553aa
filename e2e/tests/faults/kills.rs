//! The operator is killed at each of its writes, and comes back.
use std::time::Duration;

use anyhow::{Context as _, Error, Result, anyhow, ensure};
use futures::{StreamExt as _, stream};
use tokio::time::Instant;
use tts_e2e::{
    Cluster, Namespace, Operator,
    end_state::EndState,
    eventually,
    host_operator::HostOperator,
    namespace::READY,
    proxy::{Kill, Moment, Proxy, Write},
    with_namespace,
    yaml::builtin_voice,
};

use super::{FIRST, greeter, is_long, serves};

/// How long nothing must change before a state is the end.
const SETTLED: Duration = Duration::from_secs(3);
/// Namespaces in which a run goes on at the same time.
const AT_ONCE: usize = 3;

/// The life of a deployment.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Created,
    Changed,
    Deleted,
}

const PHASES: [Phase; 3] = [Phase::Created, Phase::Changed, Phase::Deleted];

impl Phase {
    async fn begin(self, namespace: &Namespace) -> Result<()> {
        match self {
            Self::Created => {
                let objects = [builtin_voice("rms"), greeter(FIRST)].concat();
                namespace.apply(&objects).await?;
            }
            // Another pod template, so that a rollout too many shows in the revision.
            Self::Changed => {
                namespace.apply(&greeter(FIRST + 1)).await?;
            }
            Self::Deleted => {
                namespace
                    .kubectl("delete ttsd/greeter ttsv/rms --wait=false")
                    .await?
                    .ok()?;
            }
        }
        Ok(())
    }

    /// Waits until the phase has come to its end.
    async fn end(self, namespace: &Namespace) -> Result<EndState> {
        match self {
            Self::Created => serves(namespace, FIRST, READY).await?,
            Self::Changed => serves(namespace, FIRST + 1, READY).await?,
            Self::Deleted => {
                eventually("nothing is left", READY, async || {
                    nothing_is_left(&EndState::of(namespace).await?)
                })
                .await?;
            }
        }
        let mut last = EndState::of(namespace).await?;
        let mut since = Instant::now();
        eventually("nothing changes any more", READY, async || {
            let now = EndState::of(namespace).await?;
            let changed = last.differences(&now);
            if !changed.is_empty() {
                (last, since) = (now, Instant::now());
            }
            ensure!(!last.has_leaving_pods(), "pods are on their way out");
            ensure!(since.elapsed() > SETTLED, "it changed: {changed:#?}");
            Ok(last.clone())
        })
        .await
    }
}

fn nothing_is_left(state: &EndState) -> Result<()> {
    ensure!(
        state.is_empty(),
        "left over: {:?}",
        state.keys().collect::<Vec<_>>()
    );
    Ok(())
}

/// Waits until the state is the expected one and stays so.
async fn comes_to(namespace: &Namespace, expected: &EndState) -> Result<()> {
    let mut since = None;
    eventually("the end of the run without a kill", READY, async || {
        let differences = expected.differences(&EndState::of(namespace).await?);
        if !differences.is_empty() {
            since = None;
        }
        ensure!(differences.is_empty(), "{differences:#?}");
        let since = *since.get_or_insert_with(Instant::now);
        ensure!(since.elapsed() > SETTLED, "it is so since a moment ago");
        Ok(())
    })
    .await
}

/// What a run without a kill came to.
struct Undisturbed {
    /// After each phase.
    states: Vec<EndState>,
    writes: usize,
}

async fn undisturbed(cluster: &Cluster) -> Result<Undisturbed> {
    let mut run = Undisturbed {
        states: Vec::new(),
        writes: 0,
    };
    with_namespace(cluster, "undisturbed", async |namespace| {
        let proxy = Proxy::start(cluster.client.clone()).await?;
        let mut operator = HostOperator::start_elected(namespace, &proxy, "operator")?;
        for phase in PHASES {
            let state = operator
                .during(async {
                    phase.begin(namespace).await?;
                    phase.end(namespace).await
                })
                .await
                .with_context(|| format!("{phase:?}: {}", operator.log_tail()))?;
            run.states.push(state);
        }
        for write in proxy.writes() {
            if write.number.is_some() {
                println!("{write}");
                run.writes += 1;
            }
        }
        Ok(())
    })
    .await?;
    Ok(run)
}

/// A write, and the operator's death before or after it.
#[derive(Clone, Copy, Debug)]
struct Point {
    number: usize,
    moment: Moment,
}

/// Runs all phases with a kill at `point`. Returns the write that it was, or nothing if the run had no write of that
/// number: two changes of a status that follow each other closely can become one.
async fn killed_at(
    cluster: &Cluster,
    point: Point,
    expected: &[EndState],
) -> Result<Option<Write>> {
    let mut killed_at = None;
    with_namespace(cluster, "killed-at", async |namespace| {
        let proxy = Proxy::start(cluster.client.clone()).await?;
        let mut operator = HostOperator::start_elected(namespace, &proxy, "operator")?;
        // It writes nothing yet: there is no object.
        proxy.kill_at(Kill {
            number: point.number,
            moment: point.moment,
            pid: operator.pid()?,
        });
        let phases = async {
            for (phase, expected) in PHASES.iter().zip(expected) {
                phase.begin(namespace).await?;
                comes_to(namespace, expected)
                    .await
                    .with_context(|| format!("{phase:?}"))?;
            }
            Ok(())
        };
        let result = tokio::select! {
            result = phases => result,
            error = start_again(&mut operator, &proxy) => Err(error),
        };
        killed_at = proxy.killed_at();
        result.with_context(|| match &killed_at {
            Some(write) => format!("killed at {write}; {}", operator.log_tail()),
            None => format!("not killed; {}", operator.log_tail()),
        })
    })
    .await
    .with_context(|| format!("{point:?}"))?;
    Ok(killed_at)
}

/// Starts the operator again after the kill. Returns if it ends in another way.
async fn start_again(operator: &mut HostOperator, proxy: &Proxy) -> Error {
    let attempt = async {
        let status = operator.ended().await?;
        ensure!(
            proxy.killed_at().is_some(),
            "it ended with {status} before it was killed"
        );
        operator.restart()?;
        let status = operator.ended().await?;
        Err(anyhow!("it ended again, with {status}"))
    };
    match attempt.await {
        Ok(()) => anyhow!("it ended"),
        Err(error) => error,
    }
}

/// All points, or a few.
fn points(writes: usize) -> Vec<Point> {
    let point = |number, moment| Point { number, moment };
    if is_long() {
        (1..=writes)
            .flat_map(|number| [Moment::Before, Moment::After].map(|moment| point(number, moment)))
            .collect()
    } else {
        vec![
            point(1, Moment::After),
            point(writes.div_ceil(2), Moment::Before),
            point(writes * 4 / 5, Moment::After),
        ]
    }
}

#[tokio::test]
async fn a_kill_at_every_mutating_call_leads_to_the_same_end() -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _none = Operator::absent(&cluster).await?;
    let expected = undisturbed(&cluster).await?;
    let points = points(expected.writes);
    let count = points.len();
    // To the end, also after a failure: each point removes what it made.
    let reached: Vec<Result<Option<Write>>> = stream::iter(points)
        .map(|point| {
            let (cluster, states) = (&cluster, &expected.states);
            async move {
                let start = Instant::now();
                let write = killed_at(cluster, point, states).await?;
                let what = write
                    .as_ref()
                    .map_or("no such write".to_owned(), Write::to_string);
                println!(
                    "killed {:?} write {}: the same end after {:.0} s ({what})",
                    point.moment,
                    point.number,
                    start.elapsed().as_secs_f64()
                );
                anyhow::Ok(write)
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let reached: Vec<Option<Write>> = reached.into_iter().collect::<Result<_>>()?;
    let killed = reached.iter().flatten().count();
    println!(
        "{} writes without a kill; killed at {killed} of {count} points; all {} states equal",
        expected.writes,
        PHASES.len() * count
    );
    ensure!(
        killed * 10 >= count * 9,
        "only {killed} of {count} points were reached"
    );
    Ok(())
}
