//! Faults between the operator and the API server.
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::time::Instant;
use tts_e2e::{
    Cluster, Namespace, Operator,
    eventually::{always, eventually},
    host_operator::HostOperator,
    namespace::READY,
    proxy::{Effect, Errors, Held, Proxy, Write},
    ready_history::ReadyHistory,
    with_namespace,
    yaml::builtin_voice,
};

use super::{FIRST, greeter, is_long, serves};

/// From the end of a fault until a change is carried out. The operator's retries are up to half a minute apart.
const AFTER_FAULT: Duration = Duration::from_mins(2);

/// How long a fault lasts.
fn period() -> Duration {
    Duration::from_secs(if is_long() { 60 } else { 5 })
}

/// A deployment that serves, kept by an operator behind a proxy.
struct Serving<'a> {
    namespace: &'a Namespace,
    proxy: Proxy,
    operator: HostOperator,
    history: ReadyHistory,
    /// The writes until it served.
    written: usize,
    changes: u32,
}

/// Runs `test` with a deployment that serves; whatever the fault was, the deployment must have kept serving meanwhile.
async fn while_serving(
    purpose: &str,
    test: impl AsyncFnOnce(&mut Serving<'_>) -> Result<()>,
) -> Result<()> {
    let cluster = Cluster::connect().await?;
    let _none = Operator::absent(&cluster).await?;
    with_namespace(&cluster, purpose, async |namespace| {
        let proxy = Proxy::start(cluster.client.clone()).await?;
        let mut operator = HostOperator::start(namespace, &proxy)?;
        namespace
            .apply(&[builtin_voice("rms"), greeter(FIRST)].concat())
            .await?;
        operator
            .during(serves(namespace, FIRST, READY))
            .await
            .with_context(|| operator.log_tail())?;
        let mut serving = Serving {
            namespace,
            history: ReadyHistory::of(namespace, "greeter").await?,
            written: quiet(&proxy).await?,
            proxy,
            operator,
            changes: 0,
        };
        let result = match test(&mut serving).await {
            Ok(()) => serving.verdict(),
            Err(error) => Err(error),
        };
        result.with_context(|| serving.operator.log_tail())
    })
    .await
}

/// Waits until the operator writes nothing more, and returns how much it has written.
async fn quiet(proxy: &Proxy) -> Result<usize> {
    let mut last = proxy.writes().len();
    let mut since = Instant::now();
    eventually("the operator writes nothing", READY, async || {
        let now = proxy.writes().len();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        ensure!(
            since.elapsed() > Duration::from_secs(3),
            "it wrote just now"
        );
        Ok(last)
    })
    .await
}

impl Serving<'_> {
    /// A change that rolls the pods.
    async fn change(&mut self) -> Result<()> {
        self.changes += 1;
        self.namespace.apply(&greeter(self.wanted())).await?;
        Ok(())
    }

    fn wanted(&self) -> u32 {
        FIRST + self.changes
    }

    /// Waits until the last change is carried out, after or in spite of `fault`.
    async fn change_is_carried_out(&self, fault: &str, within: Duration) -> Result<()> {
        let start = Instant::now();
        serves(self.namespace, self.wanted(), within)
            .await
            .with_context(|| fault.to_owned())?;
        let seconds = start.elapsed().as_secs_f64();
        println!("{fault}: the change was carried out {seconds:.1} s later");
        Ok(())
    }

    /// The fault lasts its period.
    async fn endure(&mut self) -> Result<()> {
        always("the operator is alive", period(), async || {
            self.operator.ensure_alive()
        })
        .await
    }

    fn verdict(&mut self) -> Result<()> {
        self.operator.ensure_alive()?;
        // A change is not ready while its pods start: that is not the fault's.
        let history = self.history.so_far()?;
        let turned_false: Vec<_> = history
            .windows(2)
            .filter(|pair| pair[0].status == "True" && pair[1].status != "True")
            .map(|pair| &pair[1])
            .collect();
        ensure!(
            turned_false.len() <= self.changes as usize
                && turned_false
                    .iter()
                    .all(|ready| ready.reason == "RollingOut"),
            "{} changes, and Ready turned False: {turned_false:#?}",
            self.changes
        );
        let written: Vec<Write> = self
            .proxy
            .writes()
            .split_off(self.written)
            .into_iter()
            .filter(|write| write.effect == Effect::Object && write.succeeded())
            .filter(|write| !write.path.ends_with("/ttsdeployments/greeter/status"))
            .collect();
        let shown: Vec<_> = written.iter().map(Write::to_string).collect();
        let count = |resource: &str| written.iter().filter(|w| w.resource() == resource).count();
        let (changes, deployments, revisions) = (
            self.changes as usize,
            count("deployments"),
            // The accepted template is stored, and the one before it is deleted.
            count("controllerrevisions"),
        );
        ensure!(
            deployments == changes
                && revisions <= 2 * changes
                && deployments + revisions == written.len(),
            "{changes} changes of the deployment, and these writes of its children: {shown:#?}"
        );
        Ok(())
    }
}

#[tokio::test]
async fn errors_of_the_api_server_delay_a_change() -> Result<()> {
    while_serving("errors", async |serving| {
        for status in [429, 500] {
            serving.proxy.fail(Errors { status, one_in: 2 });
            serving.change().await?;
            serving
                .change_is_carried_out(&format!("half of the requests get {status}"), READY)
                .await?;
            serving.proxy.fail(Errors { status, one_in: 1 });
            serving.change().await?;
            serving.endure().await?;
            serving.proxy.recover();
            serving
                .change_is_carried_out(&format!("every request got {status}"), AFTER_FAULT)
                .await?;
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn an_api_server_that_is_down_delays_a_change() -> Result<()> {
    while_serving("down", async |serving| {
        serving.proxy.go_down();
        serving.change().await?;
        serving.endure().await?;
        serving.proxy.recover();
        serving
            .change_is_carried_out("the API server was down", AFTER_FAULT)
            .await
    })
    .await
}

#[tokio::test]
async fn watches_that_are_cut_miss_no_change() -> Result<()> {
    let cuts = if is_long() { 100 } else { 10 };
    while_serving("cuts", async |serving| {
        let open = serving.proxy.open_watches();
        ensure!(open > 0, "the operator watches nothing");
        for cut in 1..=cuts {
            if cut == cuts / 2 {
                serving.change().await?;
            }
            let before = serving.proxy.opened_watches();
            serving.proxy.cut_watches();
            eventually("the operator watches again", AFTER_FAULT, async || {
                let new = serving.proxy.opened_watches() - before;
                ensure!(new >= open, "{new} of {open} watches");
                Ok(())
            })
            .await
            .with_context(|| format!("after cut {cut}"))?;
        }
        serving
            .change_is_carried_out(
                &format!("{open} watches were cut {cuts} times"),
                AFTER_FAULT,
            )
            .await
    })
    .await
}

#[tokio::test]
async fn events_that_come_late_lead_to_no_extra_write() -> Result<()> {
    while_serving("stale", async |serving| {
        for (held, fault) in [
            (Held::Everything, "all events came late"),
            // It sees the change and not what came of its own writes.
            (
                Held::Resources(&["controllerrevisions", "deployments", "pods", "services"]),
                "the events of children came late",
            ),
        ] {
            serving.proxy.hold_watches(held);
            serving.change().await?;
            serving.endure().await?;
            serving.proxy.hold_watches(Held::Nothing);
            serving.change_is_carried_out(fault, AFTER_FAULT).await?;
        }
        Ok(())
    })
    .await
}
