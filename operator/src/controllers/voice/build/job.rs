//! The Job that inspects a voice.
use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::{
    api::{
        batch::v1::Job,
        core::v1::{EmptyDirVolumeSource, PodSpec, ResourceRequirements, Volume, VolumeMount},
    },
    apimachinery::pkg::api::resource::Quantity,
};

use crate::{
    controllers::{server_image, voice::validate::ValidatedVoice},
    jobs::{self, SCRATCH_DIR, TERMINATION_LOG, Task},
    labels::INSPECTION,
};

/// Name of the container whose termination message is the report.
pub const INSPECTOR: &str = "inspect";

/// Time limit of an inspection, including the image pull and the downloads.
const DEADLINE: Duration = Duration::from_mins(30);
/// Maximum size of a voice's files on the node's disk.
const MAX_FILES: &str = "8Gi";
/// The files and the logs.
const MAX_DISK: &str = "9Gi";

/// `memory` is the limit of the container in bytes.
pub(super) fn build(voice: &ValidatedVoice, attempt: u32, memory: u64) -> Job {
    let task = Task {
        role: INSPECTION,
        verb: "inspect",
        instance: &voice.name,
        namespace: &voice.namespace,
        owner: &voice.owner,
        subject: &voice.subject,
        deadline: DEADLINE,
        pod: pod(voice, memory),
    };
    jobs::job(task, attempt)
}

fn pod(voice: &ValidatedVoice, memory: u64) -> PodSpec {
    let settings = &voice.settings;
    let mut args = vec![
        "inspect".to_owned(),
        format!("--voice={}={}", voice.name, voice.source),
        format!("--work-dir={SCRATCH_DIR}"),
        format!("--report={TERMINATION_LOG}"),
        "--log-format=json".to_owned(),
    ];
    if settings.downloads.allow_http {
        args.push("--allow-http".to_owned());
    }
    let image = &settings.server.image;
    let mut container = server_image::container(&settings.server, image, INSPECTOR, args);
    container
        .env
        .get_or_insert_default()
        .extend(server_image::download_environment(&settings.downloads));
    container.termination_message_path = Some(TERMINATION_LOG.to_owned());
    let limit = tts_crds::quantity::Quantity::from_bytes_in_mebi(memory).to_string();
    container.resources = Some(ResourceRequirements {
        requests: Some(quantities([
            ("cpu", "100m"),
            ("ephemeral-storage", "64Mi"),
            ("memory", "256Mi"),
        ])),
        limits: Some(quantities([
            ("ephemeral-storage", MAX_DISK),
            ("memory", &limit),
        ])),
        ..ResourceRequirements::default()
    });
    container.volume_mounts = Some(vec![VolumeMount {
        name: "work".to_owned(),
        mount_path: SCRATCH_DIR.to_owned(),
        ..VolumeMount::default()
    }]);
    PodSpec {
        restart_policy: Some("Never".to_owned()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        image_pull_secrets: server_image::pull_secrets(&settings.server, &voice.pull_secrets),
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
