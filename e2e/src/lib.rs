//! What the end-to-end tests share. The tests run against a real Kubernetes: the throwaway cluster of
//! `make cluster-up`, or the one that `TTS_E2E_KUBECONFIG` and `TTS_E2E_CONTEXT` name to `make test`.
pub mod audit;
pub mod authority;
pub mod children;
pub mod cluster;
pub mod command;
pub mod conditions;
pub mod digest;
pub mod end_state;
pub mod eventually;
pub mod fake_nodes;
pub mod fileserver;
pub mod host_operator;
pub mod kube_score;
pub mod load;
pub mod namespace;
pub mod operator;
pub mod process;
pub mod proxy;
pub mod ready_history;
pub mod recognise;
pub mod speech;
pub mod yaml;

pub use cluster::Cluster;
pub use eventually::eventually;
pub use kube_score::kube_score;
pub use namespace::{Namespace, with_namespace};
pub use operator::Operator;
