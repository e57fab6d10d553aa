//! The Job that inspects a voice.
use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::{
            EmptyDirVolumeSource, PodSpec, PodTemplateSpec, ResourceRequirements, Volume,
            VolumeMount,
        },
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};
use sha2::{Digest as _, Sha256};

use crate::{
    children::hex,
    controllers::{
        labels::{self, INSPECTION},
        server_image,
        voice::validate::{ATTEMPT, SOURCE, ValidatedVoice},
    },
};

/// Where the files are downloaded to.
const WORK_DIR: &str = "/work";
/// The kubelet reads the result from here; at most 4 KiB.
const TERMINATION_LOG: &str = "/dev/termination-log";
/// Time limit of an inspection, including the image pull and the downloads.
const DEADLINE_SECONDS: i64 = 1_800;
/// Finished Jobs are deleted after this time even if the operator was uninstalled.
const TTL_SECONDS: i32 = 24 * 3_600;
/// Maximum size of a voice's files on the node's disk.
const MAX_FILES: &str = "8Gi";
/// Memory limit of an inspection: the largest voices that run on CPU stay below it.
const MAX_MEMORY: &str = "4Gi";

pub(super) fn build(voice: &ValidatedVoice, attempt: u32) -> Job {
    let identity = hex(&Sha256::digest(format!("{}/{attempt}", voice.source_id)));
    let name = format!("{}-inspect-{}", voice.name, &identity[..8]);
    let mut metadata = labels::metadata(
        INSPECTION,
        &voice.name,
        &name,
        &voice.namespace,
        &voice.owner,
    );
    metadata.annotations = Some(BTreeMap::from([
        (SOURCE.to_owned(), voice.source_id.clone()),
        (ATTEMPT.to_owned(), attempt.to_string()),
    ]));
    Job {
        metadata,
        spec: Some(JobSpec {
            // The operator decides about another attempt: it knows which failures are temporary.
            backoff_limit: Some(0),
            active_deadline_seconds: Some(DEADLINE_SECONDS),
            ttl_seconds_after_finished: Some(TTL_SECONDS),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(labels::recommended(INSPECTION, &voice.name)),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(voice)),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

fn pod(voice: &ValidatedVoice) -> PodSpec {
    let settings = &voice.settings;
    let mut args = vec![
        "inspect".to_owned(),
        format!("--voice={}={}", voice.name, voice.source),
        format!("--work-dir={WORK_DIR}"),
        format!("--report={TERMINATION_LOG}"),
        "--log-format=json".to_owned(),
    ];
    if settings.download.allow_http {
        args.push("--allow-http".to_owned());
    }
    let mut container = server_image::container(settings, "inspect", args);
    container
        .env
        .get_or_insert_default()
        .extend(server_image::download_environment(&settings.download));
    container.termination_message_path = Some(TERMINATION_LOG.to_owned());
    container.resources = Some(ResourceRequirements {
        requests: Some(quantities([("cpu", "100m"), ("memory", "256Mi")])),
        limits: Some(quantities([("memory", MAX_MEMORY)])),
        ..ResourceRequirements::default()
    });
    container.volume_mounts = Some(vec![VolumeMount {
        name: "work".to_owned(),
        mount_path: WORK_DIR.to_owned(),
        ..VolumeMount::default()
    }]);
    PodSpec {
        restart_policy: Some("Never".to_owned()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        image_pull_secrets: server_image::pull_secrets(settings, &[]),
        security_context: Some(server_image::pod_security_context()),
        containers: vec![container],
        volumes: Some(vec![Volume {
            name: "work".to_owned(),
            empty_dir: Some(EmptyDirVolumeSource {
                size_limit: Some(Quantity(MAX_FILES.to_owned())),
                ..EmptyDirVolumeSource::default()
            }),
            ..Volume::default()
        }]),
        ..PodSpec::default()
    }
}

fn quantities<const N: usize>(values: [(&str, &str); N]) -> BTreeMap<String, Quantity> {
    values
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Quantity(value.to_owned())))
        .collect()
}
