//! Test results in the format of `JUnit`: the counts and the failures of each suite.

use serde::Serialize;

/// One suite.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Suite {
    pub name: String,
    pub tests: u32,
    pub failed: u32,
    pub skipped: u32,
    pub seconds: f64,
    /// Names of the tests that failed.
    pub failures: Vec<String>,
}

/// Why a file has no test results.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: not a JUnit file: it has no testsuite element")]
pub struct JunitError {
    pub file: String,
}

/// The suites of a file. Test cases are counted; what a suite's attributes say is not believed.
///
/// # Errors
/// When there is no suite.
pub fn suites(file: &str, text: &str) -> Result<Vec<Suite>, JunitError> {
    let mut suites: Vec<Suite> = Vec::new();
    let mut case = String::new();
    let mut failed = false;
    for tag in tags(text) {
        let element = tag.split([' ', '\t', '\n', '\r', '/']).next().unwrap_or("");
        match element {
            "testsuite" => suites.push(Suite {
                name: attribute(tag, "name").unwrap_or_default(),
                ..Suite::default()
            }),
            "testcase" => {
                case = attribute(tag, "name").unwrap_or_default();
                failed = false;
                if let Some(suite) = suites.last_mut() {
                    suite.tests += 1;
                    let time = attribute(tag, "time").and_then(|time| time.parse::<f64>().ok());
                    suite.seconds += time.filter(|time| time.is_finite()).unwrap_or(0.0);
                }
            }
            "failure" | "error" if !failed => {
                failed = true;
                if let Some(suite) = suites.last_mut() {
                    suite.failed += 1;
                    suite.failures.push(case.clone());
                }
            }
            "skipped" => {
                if let Some(suite) = suites.last_mut() {
                    suite.skipped += 1;
                }
            }
            _ => {}
        }
    }
    if suites.is_empty() {
        return Err(JunitError {
            file: file.to_owned(),
        });
    }
    Ok(suites)
}

/// What stands between `<` and `>`, outside of comments and character data.
fn tags(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        loop {
            rest = &rest[rest.find('<')?..];
            if let Some(inside) = rest.strip_prefix("<!--") {
                rest = &inside[inside.find("-->")? + 3..];
            } else if let Some(inside) = rest.strip_prefix("<![CDATA[") {
                rest = &inside[inside.find("]]>")? + 3..];
            } else if let Some(inside) = rest.strip_prefix("<!") {
                rest = inside;
            } else {
                let tag = &rest[1..];
                let end = closing(tag)?;
                rest = &tag[end + 1..];
                return Some(&tag[..end]);
            }
        }
    })
}

/// The `>` that ends a tag: not one within quotes.
fn closing(tag: &str) -> Option<usize> {
    let mut quote = None;
    for (at, character) in tag.char_indices() {
        match (quote, character) {
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            (None, '>') => return Some(at),
            _ => {}
        }
    }
    None
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let mut rest = tag;
    loop {
        let at = rest.find(name)?;
        let before = rest[..at].chars().next_back();
        rest = &rest[at + name.len()..];
        let value = rest.trim_start().strip_prefix('=').map(str::trim_start);
        if let Some(value) = value
            && before.is_some_and(char::is_whitespace)
        {
            let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
            let value = &value[1..];
            return Some(unescaped(&value[..value.find(quote)?]));
        }
    }
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_counted() {
        let text = r#"<?xml version="1.0"?><!-- <testsuite name="no"> -->
<testsuites><testsuite name="a&amp;b" tests="9">
<testcase classname="x" name="one > two" time="0.5"/>
<testcase name="three" time="1.5"><failure message="no">&lt;<![CDATA[<error>]]></failure><error/></testcase>
<testcase name="four"><skipped/></testcase></testsuite></testsuites>"#;
        let found = suites("r.xml", text).unwrap();
        assert_eq!(
            found,
            [Suite {
                name: "a&b".to_owned(),
                tests: 3,
                failed: 1,
                skipped: 1,
                seconds: 2.0,
                failures: vec!["three".to_owned()],
            }]
        );
    }

    #[test]
    fn other_files_are_refused() {
        for text in ["", "{}", "<html><!DOCTYPE x>", "<testsuite", "<!", "<![x"] {
            assert!(suites("r.xml", text).is_err(), "{text}");
        }
    }
}
