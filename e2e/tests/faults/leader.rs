//! A leader that is frozen while another one takes over.
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::coordination::v1::Lease;
use tokio::time::Instant;
use tts_e2e::{
    Cluster, Namespace, Operator, eventually,
    host_operator::{HostOperator, LEASE},
    namespace::READY,
    proxy::{Effect, Proxy},
    with_namespace,
    yaml::builtin_voice,
};

use super::{FIRST, greeter, serves};

/// Who holds the lease of the operators on this machine.
async fn holder(namespace: &Namespace) -> Result<String> {
    let lease = namespace.api::<Lease>().get(LEASE).await?;
    lease
        .spec
        .and_then(|spec| spec.holder_identity)
        .filter(|holder| !holder.is_empty())
        .context("nobody holds the lease")
}

async fn wait_for_holder(namespace: &Namespace, name: &str) -> Result<()> {
    eventually(&format!("{name} leads"), READY, async || {
        let holder = holder(namespace).await?;
        ensure!(holder.starts_with(name), "{holder} leads");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_frozen_leader_writes_nothing() -> Result<()> {
    /// What was on its way when the process was frozen may still arrive.
    const ON_ITS_WAY: Duration = Duration::from_secs(1);
    const EXIT: Duration = Duration::from_secs(15);
    let cluster = Cluster::connect().await?;
    let _none = Operator::absent(&cluster).await?;
    with_namespace(&cluster, "frozen", async |namespace| {
        // One each: what comes through it is from that operator.
        let first_proxy = Proxy::start(cluster.client.clone()).await?;
        let second_proxy = Proxy::start(cluster.client.clone()).await?;
        let mut first = HostOperator::start_elected(namespace, &first_proxy, "first")?;
        wait_for_holder(namespace, "first")
            .await
            .with_context(|| first.log_tail())?;
        let second = HostOperator::start_elected(namespace, &second_proxy, "second")?;
        namespace
            .apply(&[builtin_voice("rms"), greeter(FIRST)].concat())
            .await?;
        serves(namespace, FIRST, READY)
            .await
            .with_context(|| first.log_tail())?;

        first.freeze()?;
        let frozen = Instant::now();
        let result = async {
            wait_for_holder(namespace, "second").await?;
            println!("taken over after {:.1} s", frozen.elapsed().as_secs_f64());
            namespace.apply(&greeter(FIRST + 1)).await?;
            serves(namespace, FIRST + 1, READY).await?;
            // New to both: the old leader could be first.
            namespace.apply(&greeter(FIRST + 2)).await?;
            first.resume()?;
            let awake = Instant::now();
            let status = first.ended_within(EXIT).await?;
            println!(
                "the old leader ended with {status} {:.1} s after it woke",
                awake.elapsed().as_secs_f64()
            );
            serves(namespace, FIRST + 2, READY).await?;
            let late: Vec<_> = first_proxy
                .writes()
                .into_iter()
                .filter(|write| write.effect != Effect::Lease && write.at > awake + ON_ITS_WAY)
                .map(|write| write.to_string())
                .collect();
            ensure!(late.is_empty(), "the old leader wrote: {late:#?}");
            // The record does show who writes.
            ensure!(
                second_proxy
                    .writes()
                    .iter()
                    .any(|write| write.effect == Effect::Object && write.at > frozen),
                "the record shows no write of the new leader"
            );
            Ok(())
        }
        .await;
        result
            .with_context(|| format!("the new leader: {}", second.log_tail()))
            .with_context(|| format!("the old leader: {}", first.log_tail()))
    })
    .await
}
