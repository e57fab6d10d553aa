//! The objects that tests apply, as people write them.

/// A voice that comes with the server.
pub fn builtin_voice(name: &str) -> String {
    voice(name, "{builtin: {name: rms}}")
}

pub fn voice(name: &str, source: &str) -> String {
    format!(
        "---\napiVersion: tts-operator.dev/v1alpha1\nkind: TtsVoice\nmetadata: {{name: {name}}}\nspec: {{source: {source}}}\n"
    )
}

/// A deployment of one voice.
pub fn deployment(name: &str, voice: &str) -> String {
    deployment_of(name, &format!("{{voices: [{{name: {voice}}}]}}"))
}

pub fn deployment_of(name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: tts-operator.dev/v1alpha1\nkind: TtsDeployment\nmetadata: {{name: {name}}}\nspec: {spec}\n"
    )
}
