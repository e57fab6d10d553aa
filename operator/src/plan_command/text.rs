//! Plans as a text for people.
use super::{Answer, Planned};
use crate::planning::sentences;

/// One block per deployment.
pub fn text(answers: &[Planned]) -> String {
    let blocks: Vec<String> = answers.iter().map(block).collect();
    blocks.join("\n")
}

fn block(planned: &Planned) -> String {
    let Answer {
        plan,
        shortage,
        not_planned,
    } = &planned.answer;
    let object = format!("{}/{}", planned.namespace, planned.name);
    let mut text = match (plan, not_planned) {
        (Some(plan), _) => format!("{object}: {}\n", sentences::summary(plan)),
        (None, Some(why)) => format!("{object}: not planned: {why}\n"),
        (None, None) => format!("{object}: no plan\n"),
    };
    if let Some(shortage) = shortage {
        text += &format!(
            "The objectives are not kept: {}: {}\n",
            shortage.reason, shortage.message
        );
        if plan.is_some() {
            text += "The plan is what comes nearest.\n";
        }
    }
    if let Some(plan) = plan {
        text += &sentences::reasons(plan);
    }
    if let Some(what_if) = &planned.what_if {
        let changes = what_if.changes.iter();
        let lines: Vec<String> = changes
            .map(|change| format!("{}: {} -> {}", change.what, change.before, change.after))
            .collect();
        let heading = format!("With {}", what_if.set.join(", "));
        text += &if lines.is_empty() {
            format!("{heading}: nothing changes\n")
        } else {
            sentences::list(&heading, lines)
        };
        if let Some(shortage) = &what_if.answer.shortage {
            text += &format!("  {}: {}\n", shortage.reason, shortage.message);
        }
    }
    text
}
