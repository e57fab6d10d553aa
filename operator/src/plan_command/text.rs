//! Plans as a text for people.
use super::{Answer, Planned, WhatIf};
use crate::planning::{Shortage, sentences};

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
    let mut parts = vec![match (plan, not_planned) {
        (Some(plan), _) => format!("{object}: {}\n", sentences::summary(plan)),
        (None, Some(why)) => format!("{object}: not planned: {why}\n"),
        (None, None) => format!("{object}: no plan\n"),
    }];
    if let Some(shortage) = shortage {
        parts.push(format!("The objectives are not kept: {}", line(shortage)));
        if plan.is_some() {
            parts.push("The plan is what comes nearest.\n".to_owned());
        }
    }
    parts.extend(plan.as_ref().map(sentences::reasons));
    parts.extend(planned.what_if.as_ref().map(what_if));
    parts.concat()
}

fn what_if(what_if: &WhatIf) -> String {
    let heading = format!("With {}", what_if.set.join(", "));
    let changes = what_if.changes.iter();
    let lines: Vec<String> = changes
        .map(|change| format!("{}: {} -> {}", change.what, change.before, change.after))
        .collect();
    let shortage = what_if.answer.shortage.as_ref();
    let changes = if lines.is_empty() {
        format!("{heading}: nothing changes\n")
    } else {
        sentences::list(&heading, lines)
    };
    let shortage = shortage.map(|shortage| format!("  {}", line(shortage)));
    changes + &shortage.unwrap_or_default()
}

fn line(shortage: &Shortage) -> String {
    format!("{}: {}\n", shortage.reason, shortage.message)
}
