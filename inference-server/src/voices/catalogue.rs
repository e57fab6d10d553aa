//! The voices that a server has, by name.

use std::sync::Arc;

use super::Voice;

/// The served voices, in order. There is at least one.
#[derive(Clone, Debug)]
pub struct Catalogue {
    voices: Vec<Arc<Voice>>,
    default: Arc<Voice>,
}

/// Why voices cannot be served together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    #[error("there is no voice to serve")]
    Empty,
    #[error("two voices are named {name}; give each its own name")]
    SameName { name: String },
    #[error("the default voice {name:?} is not one of the served voices: {known}")]
    NoDefault { name: String, known: String },
}

impl Catalogue {
    /// These voices; the default is the named one, else the first.
    ///
    /// # Errors
    /// When there is none, two have the same name, or the default is not among them.
    pub fn new(voices: Vec<Voice>, default: Option<&str>) -> Result<Self, CatalogueError> {
        let voices: Vec<_> = voices.into_iter().map(Arc::new).collect();
        for (index, voice) in voices.iter().enumerate() {
            if voices[..index].iter().any(|other| other.name == voice.name) {
                let name = voice.name.clone();
                return Err(CatalogueError::SameName { name });
            }
        }
        let first = voices.first().ok_or(CatalogueError::Empty)?;
        let default = match default {
            None => first,
            Some(name) => voices
                .iter()
                .find(|voice| voice.name == name)
                .ok_or_else(|| CatalogueError::NoDefault {
                    name: name.to_owned(),
                    known: names(&voices),
                })?,
        };
        Ok(Self {
            default: Arc::clone(default),
            voices,
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = &Arc<Voice>> {
        self.voices.iter()
    }

    /// The voice of this name.
    pub fn named(&self, name: &str) -> Option<&Arc<Voice>> {
        self.voices.iter().find(|voice| voice.name == name)
    }

    /// The voice of requests that name none.
    pub fn default_voice(&self) -> &Arc<Voice> {
        &self.default
    }

    pub fn is_default(&self, voice: &Voice) -> bool {
        voice.name == self.default.name
    }

    /// The names, for messages.
    pub fn names(&self) -> String {
        names(&self.voices)
    }
}

fn names(voices: &[Arc<Voice>]) -> String {
    let names: Vec<_> = voices.iter().map(|voice| voice.name.as_str()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voices::VoiceLocation;

    fn voices(names: &[&str]) -> Vec<Voice> {
        let location = VoiceLocation::Builtin("rms".to_owned());
        names
            .iter()
            .map(|name| Voice::read(name, &location).unwrap())
            .collect()
    }

    #[test]
    fn the_default_is_the_named_voice_or_the_first() {
        let catalogue = Catalogue::new(voices(&["a", "b"]), None).unwrap();
        assert_eq!(catalogue.default_voice().name, "a");
        let catalogue = Catalogue::new(voices(&["a", "b"]), Some("b")).unwrap();
        assert_eq!(catalogue.default_voice().name, "b");
        assert!(catalogue.is_default(catalogue.named("b").unwrap()));
        assert!(catalogue.named("c").is_none());
    }

    #[test]
    fn what_cannot_be_served_is_told() {
        let error = |names: &[&str], default| Catalogue::new(voices(names), default).unwrap_err();
        assert_eq!(error(&[], None), CatalogueError::Empty);
        assert_eq!(
            error(&["a", "a"], None),
            CatalogueError::SameName {
                name: "a".to_owned()
            }
        );
        let message = error(&["a", "b"], Some("c")).to_string();
        assert!(message.ends_with("a, b"), "{message}");
    }
}
