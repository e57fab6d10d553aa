//! What all pods that run the image of the inference server have in common.
use k8s_openapi::api::core::v1::{
    Capabilities, Container, EnvVar, LocalObjectReference, PodSecurityContext, SeccompProfile,
    SecurityContext,
};

use crate::settings::{DownloadSettings, ServerSettings};

/// A container of `image`, a server image, that runs one subcommand under the restricted Pod Security
/// Standard. The image sets a numeric user; any other user works as well.
pub fn container(
    settings: &ServerSettings,
    image: &str,
    name: &str,
    args: Vec<String>,
) -> Container {
    let pull_policy: &str = settings.image_pull_policy.into();
    Container {
        name: name.to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: Some(pull_policy.to_owned()),
        // The kubelet expands $(NAME) in arguments, which may come from a URL; $$( escapes it.
        args: Some(
            args.into_iter()
                .map(|arg| arg.replace("$(", "$$("))
                .collect(),
        ),
        env: Some(vec![environment("ORT_DISABLE_TELEMETRY", "1")]),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Capabilities::default()
            }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

pub fn pod_security_context() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".to_owned(),
            ..SeccompProfile::default()
        }),
        ..PodSecurityContext::default()
    }
}

/// The operator's pull secrets, then `more`.
pub fn pull_secrets(
    settings: &ServerSettings,
    more: &[String],
) -> Option<Vec<LocalObjectReference>> {
    let mut names: Vec<&String> = settings.image_pull_secrets.iter().chain(more).collect();
    names.sort();
    names.dedup();
    let references: Vec<_> = names
        .into_iter()
        .map(|name| LocalObjectReference { name: name.clone() })
        .collect();
    (!references.is_empty()).then_some(references)
}

/// Environment for downloads: proxies and CA certificates, as `tts-server fetch` reads them.
pub fn download_environment(download: &DownloadSettings) -> Vec<EnvVar> {
    [
        ("HTTPS_PROXY", &download.https_proxy),
        ("HTTP_PROXY", &download.http_proxy),
        ("NO_PROXY", &download.no_proxy),
        ("TTS_CA_PEM", &download.ca_pem),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some(environment(name, value.as_deref()?)))
    .collect()
}

fn environment(name: &str, value: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value.to_owned()),
        ..EnvVar::default()
    }
}
