//! What the operator was told at installation about the pods it makes.

/// Settings of the pods that run the inference server's image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Image reference of the inference server.
    pub image: String,
    /// `Always`, `IfNotPresent` or `Never`.
    pub image_pull_policy: String,
    /// Names of pull secrets, which have to exist in the namespaces of the pods.
    pub image_pull_secrets: Vec<String>,
    pub download: DownloadSettings,
}

/// How pods download the files of voices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DownloadSettings {
    /// Whether `http://` URLs are downloaded too.
    pub allow_http: bool,
    /// CA certificates as PEM text, trusted beside the system's.
    pub ca_pem: Option<String>,
    pub https_proxy: Option<String>,
    pub http_proxy: Option<String>,
    pub no_proxy: Option<String>,
}
