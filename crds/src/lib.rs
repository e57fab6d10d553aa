//! The Kubernetes API of tts-operator: types and schemas, nothing that talks to a cluster.
