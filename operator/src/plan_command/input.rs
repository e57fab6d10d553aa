//! The objects that files have.
use std::{fs, path::Path};

use k8s_openapi::api::{
    apps::v1::DaemonSet,
    core::v1::{LimitRange, Node, ResourceQuota},
};
use kube::core::{ObjectMeta, Resource};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tts_crds::v1alpha1::{TtsProfile, TtsProfileSpec, TtsVoice};
use tts_planner::Profile;

use super::{Error, fields};
use crate::documents;

const GROUP_VERSION: &str = "tts-operator.dev/v1alpha1";

/// What a plan is made from.
#[derive(Default)]
pub struct Objects {
    pub deployments: Vec<Deployment>,
    pub voices: Vec<TtsVoice>,
    pub profiles: Vec<TtsProfile>,
    pub nodes: Vec<Node>,
    pub daemon_sets: Vec<DaemonSet>,
    pub quotas: Vec<ResourceQuota>,
    pub ranges: Vec<LimitRange>,
    /// Objects of other kinds, as lines for people.
    pub skipped: Vec<String>,
    /// Of objects that have none.
    namespace: String,
}

/// A `TtsDeployment` with its spec as written, so that it can be changed and what is unknown in it can be named.
#[derive(Clone, Debug)]
pub struct Deployment {
    /// The file and where in it.
    pub place: String,
    pub namespace: String,
    pub name: String,
    pub spec: Value,
}

impl Objects {
    pub fn new(namespace: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            ..Self::default()
        }
    }

    /// Adds what a file has; `-` is standard input.
    pub fn read(&mut self, path: &Path) -> Result<(), Error> {
        self.add_documents(&path.display().to_string(), documents::read(path)?)
    }

    /// Adds profiles of a file, or of the files of a folder that end in `.yaml`, `.yml` or `.json`.
    pub fn read_profiles(&mut self, path: &Path) -> Result<(), Error> {
        let known = self.profiles.len();
        if path.is_dir() {
            let failed = |error| Error::Folder {
                path: path.display().to_string(),
                error,
            };
            let mut files = Vec::new();
            for entry in fs::read_dir(path).map_err(failed)? {
                let file = entry.map_err(failed)?.path();
                let ending = file.extension().and_then(|ending| ending.to_str());
                if matches!(ending, Some("yaml" | "yml" | "json")) {
                    files.push(file);
                }
            }
            files.sort();
            for file in files {
                self.read(&file)?;
            }
        } else {
            self.read(path)?;
        }
        if self.profiles.len() == known {
            return Err(Error::NoProfile(path.display().to_string()));
        }
        Ok(())
    }

    /// Adds what the documents of one file are.
    pub fn add_documents(&mut self, file: &str, documents: Vec<Value>) -> Result<(), Error> {
        let several = documents.len() > 1;
        let mut empty = true;
        for (index, document) in documents.into_iter().enumerate() {
            let place = if several {
                format!("{file}, document {}", index + 1)
            } else {
                file.to_owned()
            };
            // Between two `---` there may be nothing.
            if !document.is_null() {
                empty = false;
                self.add(&place, document)?;
            }
        }
        if empty {
            return Err(Error::Empty(file.to_owned()));
        }
        Ok(())
    }

    fn add(&mut self, place: &str, mut document: Value) -> Result<(), Error> {
        let kind = document.get("kind").and_then(Value::as_str);
        let kind = kind.unwrap_or_default().to_owned();
        if let Some(Value::Array(items)) = document.get_mut("items")
            && (kind.is_empty() || kind.ends_with("List"))
        {
            for (index, item) in std::mem::take(items).into_iter().enumerate() {
                self.add(&format!("{place}, items[{index}]"), item)?;
            }
            return Ok(());
        }
        match kind.as_str() {
            "TtsDeployment" => {
                let deployment = deployment(place, document, &self.namespace)?;
                self.deployments.push(deployment);
            }
            "TtsVoice" => {
                let mut voice: TtsVoice = read(place, document)?;
                self.give_namespace(&mut voice);
                self.voices.push(voice);
            }
            "TtsProfile" => {
                let spec = document.get_mut("spec").map(Value::take);
                let profile = profile(place, "spec.", &spec.unwrap_or_default())?;
                let metadata = document.get_mut("metadata").map(Value::take);
                let mut object = TtsProfile {
                    metadata: match metadata {
                        Some(metadata) if !metadata.is_null() => read(place, metadata)?,
                        _ => ObjectMeta::default(),
                    },
                    spec: TtsProfileSpec(profile),
                    status: None,
                };
                self.give_namespace(&mut object);
                self.profiles.push(object);
            }
            "" if document.get("schema").is_some() => self.profiles.push(TtsProfile {
                metadata: ObjectMeta::default(),
                spec: TtsProfileSpec(profile(place, "", &document)?),
                status: None,
            }),
            "Node" => self.nodes.push(read(place, document)?),
            "DaemonSet" => self.daemon_sets.push(read(place, document)?),
            "ResourceQuota" => {
                let mut quota: ResourceQuota = read(place, document)?;
                self.give_namespace(&mut quota);
                self.quotas.push(quota);
            }
            "LimitRange" => {
                let mut range: LimitRange = read(place, document)?;
                self.give_namespace(&mut range);
                self.ranges.push(range);
            }
            "" => return Err(Error::NoObject(place.to_owned())),
            kind => self
                .skipped
                .push(format!("{place}: {kind} is not used for planning")),
        }
        Ok(())
    }

    fn give_namespace(&self, object: &mut impl Resource) {
        let namespace = &mut object.meta_mut().namespace;
        namespace.get_or_insert_with(|| self.namespace.clone());
    }
}

fn deployment(place: &str, mut document: Value, namespace: &str) -> Result<Deployment, Error> {
    let wrong = |message: String| Error::Object {
        place: place.to_owned(),
        message,
    };
    let text = |pointer: &str| {
        let value = document.pointer(pointer).and_then(Value::as_str);
        value.map(ToOwned::to_owned)
    };
    let version = text("/apiVersion").unwrap_or_default();
    if version != GROUP_VERSION {
        return Err(wrong(format!(
            "apiVersion is {version:?}; this version reads {GROUP_VERSION}"
        )));
    }
    let name = text("/metadata/name").ok_or_else(|| wrong("metadata.name is missing".into()))?;
    let namespace = text("/metadata/namespace").unwrap_or_else(|| namespace.to_owned());
    let known = ["apiVersion", "kind", "metadata", "spec", "status"];
    let fields = document.as_object().into_iter().flatten();
    if let Some((field, _)) = fields
        .into_iter()
        .find(|(name, _)| !known.contains(&name.as_str()))
    {
        return Err(wrong(format!("{field}: unknown field")));
    }
    let spec = document.get_mut("spec").map(Value::take);
    let mut spec = spec.ok_or_else(|| wrong("spec is missing".into()))?;
    fields::whole_numbers(&mut spec);
    Ok(Deployment {
        place: place.to_owned(),
        namespace,
        name,
        spec,
    })
}

fn profile(place: &str, prefix: &str, value: &Value) -> Result<Profile, Error> {
    Profile::from_json(&value.to_string()).map_err(|error| Error::Object {
        place: place.to_owned(),
        message: format!("{prefix}{error}"),
    })
}

/// The value as `T`; an error names the field.
pub fn read<T: DeserializeOwned>(place: &str, value: Value) -> Result<T, Error> {
    serde_path_to_error::deserialize(value).map_err(|error| Error::Object {
        place: place.to_owned(),
        message: error.to_string(),
    })
}
