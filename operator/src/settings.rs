//! Installation settings for the pods that the operator creates.

/// Settings of the pods that run the inference server's image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Image reference of the inference server.
    pub image: String,
    /// `Always`, `IfNotPresent` or `Never`.
    pub image_pull_policy: String,
    /// Names of pull secrets, which must exist in the namespaces of the pods.
    pub image_pull_secrets: Vec<String>,
    pub download: DownloadSettings,
}

/// How pods download the files of voices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DownloadSettings {
    /// Whether `http://` URLs are allowed.
    pub allow_http: bool,
    /// CA certificates in PEM format, trusted in addition to the system's.
    pub ca_pem: Option<String>,
    pub https_proxy: Option<String>,
    pub http_proxy: Option<String>,
    pub no_proxy: Option<String>,
}
