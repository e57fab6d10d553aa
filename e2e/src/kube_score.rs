//! What kube-score finds in manifests.
use std::fmt;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

use crate::cluster::tool;

/// The version whose checks apply: that of the throwaway cluster.
const KUBERNETES: &str = "v1.36";

/// The grades that kube-score gives, from bad to good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    Critical,
    Warning,
    Ok,
}

/// A check that was applied to an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Kind, version, namespace and name.
    pub object: String,
    /// The check's ID, as the annotation `kube-score/ignore` names it.
    pub check: String,
    pub grade: Grade,
    /// What is wrong, with the containers that it is about.
    pub comments: Vec<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let comments = self.comments.join("; ");
        write!(out, "{} {}: {comments}", self.object, self.check)
    }
}

/// All checks of `yaml`'s objects but those that the objects' annotations ignore.
pub async fn kube_score(yaml: &str) -> Result<Vec<Finding>> {
    kube_score_with(yaml, &[]).await
}

/// The same with more of kube-score's options.
pub async fn kube_score_with(yaml: &str, options: &[&str]) -> Result<Vec<Finding>> {
    let version = format!("--kubernetes-version={KUBERNETES}");
    let mut arguments = vec!["score", "--output-format=json", &version];
    arguments.extend(options);
    arguments.push("-");
    // It fails when something is critical, and prints what that is all the same.
    let output = tool("kube-score")?.run_with(yaml, arguments).await?;
    let findings = findings(&output.stdout)
        .with_context(|| format!("{} printed: {}", output.command, output.stderr))?;
    ensure!(!findings.is_empty(), "kube-score found nothing to check");
    Ok(findings)
}

/// Fails on anything critical, with all of it.
pub fn nothing_critical(findings: &[Finding]) -> Result<()> {
    let critical: Vec<_> = findings
        .iter()
        .filter(|finding| finding.grade == Grade::Critical)
        .map(Finding::to_string)
        .collect();
    ensure!(critical.is_empty(), "critical:\n{}", critical.join("\n"));
    Ok(())
}

#[derive(Deserialize)]
struct Object {
    object_name: String,
    checks: Vec<Score>,
}

#[derive(Deserialize)]
struct Score {
    check: Check,
    grade: u8,
    skipped: bool,
    comments: Option<Vec<Comment>>,
}

#[derive(Deserialize)]
struct Check {
    id: String,
}

#[derive(Deserialize)]
struct Comment {
    path: String,
    summary: String,
}

fn findings(json: &str) -> Result<Vec<Finding>> {
    let objects: Vec<Object> = serde_json::from_str(json).context("no list of objects")?;
    let mut findings = Vec::new();
    for object in objects {
        for score in object.checks.into_iter().filter(|score| !score.skipped) {
            findings.push(Finding {
                object: object.object_name.clone(),
                check: score.check.id,
                grade: match score.grade {
                    0..=1 => Grade::Critical,
                    2..=5 => Grade::Warning,
                    _ => Grade::Ok,
                },
                comments: score.comments.into_iter().flatten().map(text).collect(),
            });
        }
    }
    Ok(findings)
}

fn text(comment: Comment) -> String {
    if comment.path.is_empty() {
        comment.summary
    } else {
        format!("{} ({})", comment.summary, comment.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_skipped_is_left_out() {
        let json = r#"[{"object_name": "Pod/v1/speech/greeter", "checks": [
            {"check": {"id": "container-resources"}, "grade": 1, "skipped": false,
             "comments": [{"path": "server", "summary": "CPU limit is not set"}, {"path": "", "summary": "No pod"}]},
            {"check": {"id": "pod-probes"}, "grade": 1, "skipped": true, "comments": null},
            {"check": {"id": "deployment-replicas"}, "grade": 5, "skipped": false, "comments": null},
            {"check": {"id": "label-values"}, "grade": 10, "skipped": false, "comments": null}]}]"#;
        let findings = findings(json).unwrap();
        let grades: Vec<_> = findings.iter().map(|finding| finding.grade).collect();
        assert_eq!(grades, [Grade::Critical, Grade::Warning, Grade::Ok]);
        assert_eq!(
            nothing_critical(&findings).unwrap_err().to_string(),
            "critical:\nPod/v1/speech/greeter container-resources: CPU limit is not set (server); No pod"
        );
        nothing_critical(&findings[1..]).unwrap();
    }
}
