//! A report as one HTML file: no scripts, nothing from elsewhere.

use crate::contents::{TITLE, sections};
use crate::document::{Block, Section, Table};
use crate::escape::escape;
use crate::report::Report;

const STYLE: &str = include_str!("report.css");

/// The report as a page.
pub fn html(report: &Report) -> String {
    let sections = sections(report);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n<title>{TITLE}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{TITLE}</h1>\n"
    );
    let mut charts = 0;
    for (index, section) in sections.iter().enumerate() {
        add(&mut out, section, &mut charts);
        // The first page first, then what else there is.
        if index == 0 {
            contents(&mut out, &sections);
        }
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn contents(out: &mut String, sections: &[Section]) {
    out.push_str("<nav aria-label=\"Contents\"><ul>");
    for section in sections.iter().skip(1) {
        let (id, title) = (section.id, section.title);
        out.extend([format!("<li><a href=\"#{id}\">{title}</a></li>")]);
    }
    out.push_str("</ul></nav>\n");
}

fn add(out: &mut String, section: &Section, charts: &mut u32) {
    let (id, title) = (section.id, section.title);
    out.extend([format!("<section id=\"{id}\">\n<h2>{title}</h2>\n")]);
    let mut blocks = section.blocks.iter().peekable();
    while let Some(block) = blocks.next() {
        if let Block::Chart(_) = block {
            out.push_str("<div class=\"charts\">\n");
            let mut chart = Some(block);
            while let Some(Block::Chart(one)) = chart {
                *charts += 1;
                out.push_str(&one.figure(&format!("c{charts}")));
                chart = blocks.next_if(|next| matches!(next, Block::Chart(_)));
            }
            out.push_str("</div>\n");
        } else {
            out.push_str(&written(block));
        }
    }
    out.push_str("</section>\n");
}

fn written(block: &Block) -> String {
    match block {
        Block::Heading(text) => format!("<h3>{}</h3>\n", escape(text)),
        Block::Text(text) => format!("<p>{}</p>\n", escape(text)),
        Block::List(items) => {
            let items = items
                .iter()
                .map(|item| format!("<li>{}</li>", escape(item)));
            format!("<ul>{}</ul>\n", items.collect::<String>())
        }
        Block::Answer { of, verdict, text } => format!(
            "<div class=\"answer\"><p class=\"verdict\">{}</p><p class=\"of\">{}</p><p>{}</p></div>\n",
            escape(verdict),
            escape(of),
            escape(text)
        ),
        Block::Table(table) => rows(table),
        Block::Code(code) => format!("<pre tabindex=\"0\">{}</pre>\n", escape(code)),
        Block::Chart(_) => String::new(),
    }
}

fn rows(table: &Table) -> String {
    let class = |column: usize| {
        if table.numeric(column) {
            " class=\"n\""
        } else {
            ""
        }
    };
    let caption = escape(&table.caption);
    let mut out = format!(
        "<div class=\"table\" role=\"region\" tabindex=\"0\" aria-label=\"{caption}\"><table><caption>{caption}</caption><thead><tr>"
    );
    for (column, name) in table.columns.iter().enumerate() {
        out.extend([format!(
            "<th scope=\"col\"{}>{}</th>",
            class(column),
            escape(name)
        )]);
    }
    out.push_str("</tr></thead><tbody>");
    for row in &table.rows {
        out.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            out.extend([format!("<td{}>{}</td>", class(column), escape(cell))]);
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>\n");
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tts_planner_dev::samples;

    use super::*;
    use crate::junit::Suite;
    use crate::options::Options;

    const EVIL: &str = "<script>alert('x')</script>\"><img src=x onerror=y>";

    #[test]
    fn text_of_profiles_is_escaped_everywhere() {
        let mut profile = samples::on_cpu("cpu", samples::PIPER, &[1, 2, 4]);
        profile.voice.name = EVIL.to_owned();
        profile.voice.variant.precision = EVIL.to_owned();
        profile.node.class = EVIL.to_owned();
        profile.node.fingerprint.cpu_model = EVIL.to_owned();
        profile.run.faults = vec![EVIL.to_owned()];
        profile.encoding = vec![tts_planner::profile::Encoding {
            format: EVIL.to_owned(),
            cpu_per_audio: 1.0,
        }];
        profile.report = json!({"notes": [EVIL], "absent": [EVIL],
            "bottleneck": {"stage": EVIL, "share": 0.5}})
        .as_object()
        .unwrap()
        .clone();
        let mut other = profile.clone();
        other.run.faults = Vec::new();
        EVIL.clone_into(&mut other.id);
        let options = Options {
            compare: true,
            ..Options::default()
        };
        let suite = Suite {
            name: EVIL.to_owned(),
            failures: vec![EVIL.to_owned()],
            ..Suite::default()
        };
        let report = Report::new(&[profile, other], &options, vec![suite]).unwrap();
        let page = html(&report);
        assert!(page.contains("&lt;script&gt;"));
        assert!(!page.contains("<script") && !page.contains("<img"));
        let text = crate::markdown(&report);
        let prose = text.split("```").step_by(2).collect::<String>();
        assert!(!prose.contains("<script") && !prose.contains("<img"));
    }

    #[test]
    fn nothing_comes_from_elsewhere() {
        let request = samples::request();
        let profiles: Vec<_> = request
            .measurements
            .into_iter()
            .map(|m| m.profile)
            .collect();
        let report = Report::new(&profiles, &Options::default(), Vec::new()).unwrap();
        let page = html(&report);
        for outside in [
            "http:", "https:", "src=", "url(", "@import", "<script", "<link", "//",
        ] {
            assert!(!page.contains(outside), "{outside}");
        }
        let ids: Vec<&str> = page
            .split(" id=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        let mut once = ids.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(ids.len(), once.len(), "each id once");
        assert!(page.contains("prefers-color-scheme: dark") && page.contains("@media print"));
    }
}
