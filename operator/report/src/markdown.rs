//! A report as Markdown. Charts are left out: their numbers are in the tables.

use crate::contents::{TITLE, sections};
use crate::document::{Block, Table};
use crate::report::Report;

/// The report as Markdown.
pub fn markdown(report: &Report) -> String {
    let mut out = format!("# {TITLE}\n");
    for section in sections(report) {
        out.extend([format!("\n## {}\n", section.title)]);
        for block in &section.blocks {
            add(&mut out, block);
        }
    }
    out
}

fn add(out: &mut String, block: &Block) {
    let text = match block {
        Block::Heading(text) => format!("\n### {}\n", escape(text)),
        Block::Text(text) => format!("\n{}\n", escape(text)),
        Block::List(items) => {
            let items = items.iter().map(|item| format!("- {}\n", escape(item)));
            format!("\n{}", items.collect::<String>())
        }
        Block::Answer { of, verdict, text } => format!(
            "\n**{}**: {}  \n{}\n",
            escape(verdict),
            escape(of),
            escape(text)
        ),
        Block::Table(table) => rows(table),
        Block::Chart(_) => return,
        Block::Code(code) => {
            let fence = fence(code);
            format!("\n{fence}yaml\n{}\n{fence}\n", code.trim_end())
        }
    };
    out.push_str(&text);
}

/// Longer than any row of backticks in the code.
fn fence(code: &str) -> String {
    let longest = code
        .split(|character| character != '`')
        .map(str::len)
        .max()
        .unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}

fn rows(table: &Table) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|cell| escaped(cell)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule =
        (0..table.columns.len()).map(|column| if table.numeric(column) { "--:" } else { "---" });
    let mut out = format!("\n{}:\n\n", escape(&table.caption));
    out.push_str(&line(&table.columns));
    out.extend([format!("| {} |\n", rule.collect::<Vec<_>>().join(" | "))]);
    for row in &table.rows {
        out.push_str(&line(row));
    }
    out
}

/// Text that begins a line.
fn escape(text: &str) -> String {
    let mut out = escaped(text);
    if out.starts_with(['#', '+', '-', '=']) {
        out.insert(0, '\\');
    }
    out
}

/// Plain text: no character of it means anything to Markdown or to HTML within it.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\\' | '`' | '*' | '[' | ']' | '|' | '~' => {
                out.push('\\');
                out.push(character);
            }
            '_' => out.push_str("\\_"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use tts_planner_dev::samples;

    use super::*;
    use crate::options::Options;

    #[test]
    fn a_sample() {
        let request = samples::request();
        let profiles: Vec<_> = request
            .measurements
            .into_iter()
            .map(|m| m.profile)
            .collect();
        let options = Options {
            objective: 1.0,
            peak: 10.0,
            compare: true,
            ..Options::default()
        };
        let report = Report::new(&profiles, &options, Vec::new()).unwrap();
        insta::assert_snapshot!(markdown(&report));
    }

    #[test]
    fn text_stays_text() {
        assert_eq!(escape("a|b\n<c>_*"), "a\\|b &lt;c&gt;\\_\\*");
        assert_eq!(escape("# a"), "\\# a");
        assert_eq!(fence("a ```` b"), "`````");
        assert_eq!(fence(""), "```");
    }
}
