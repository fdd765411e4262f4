//! A message before it knows its channel: a headline, facts and sections; and how each channel writes it.
//!
//! Everything that goes in is made harmless and bounded here, once; each channel then escapes what means something to
//! it. Slack takes at most 50 blocks (<https://docs.slack.dev/reference/block-kit/blocks>) with 3,000 characters in a
//! section (<https://docs.slack.dev/reference/block-kit/blocks/section-block>) and cuts text at 40,000 characters
//! (<https://api.slack.com/changelog/2018-04-truncating-really-long-messages>); `&`, `<` and `>` are all that must be
//! escaped (<https://docs.slack.dev/messaging/formatting-message-text>).

use serde_json::{Value, json};

use super::message::Message;
use super::words::{clean, count};

/// Characters of a subject, of a fact (an error may be long) and of a line in a section.
const LONGEST_SUBJECT: usize = 150;
const LONGEST_FACT: usize = 1500;
const LONGEST_LINE: usize = 600;
/// Lines of a section; sections of a page.
const MOST_LINES: usize = 20;
const MOST_SECTIONS: usize = 12;
/// Bytes of one Slack section, and of all together: with every byte doubled by JSON the payload stays under 40 kB.
const SLACK_SECTION_BYTES: usize = 2900;
const SLACK_BYTES: usize = 12_000;

/// A message that knows no channel.
#[derive(Debug)]
pub(super) struct Page {
    good: bool,
    subject: String,
    headline: String,
    facts: Vec<(&'static str, String)>,
    sections: Vec<(String, Vec<String>)>,
}

impl Page {
    /// `name`: whose backups; `headline`: what happened to them.
    pub(super) fn new(good: bool, name: &str, headline: &str) -> Self {
        let subject = clean(&format!("[Nightvault] {}: {headline}", clean(name, 60)), LONGEST_SUBJECT);
        let headline = clean(&format!("{}: {headline}", clean(name, 60)), LONGEST_SUBJECT);
        Self { good, subject, headline, facts: Vec::new(), sections: Vec::new() }
    }

    /// Adds a fact.
    pub(super) fn fact(&mut self, label: &'static str, value: impl AsRef<str>) {
        self.facts.push((label, clean(value.as_ref(), LONGEST_FACT)));
    }

    /// Adds a section; one without lines is left out, what is too much is counted.
    pub(super) fn section(&mut self, title: impl AsRef<str>, lines: impl IntoIterator<Item = String>) {
        let mut all: Vec<String> = lines.into_iter().collect();
        let more = all.len().saturating_sub(MOST_LINES);
        all.truncate(MOST_LINES);
        let mut lines: Vec<String> = all.iter().map(|line| clean(line, LONGEST_LINE)).collect();
        if more > 0 {
            lines.push(format!("and {} more", count(more as u64, "line", "lines")));
        }
        if lines.is_empty() {
            return;
        }
        if self.sections.len() < MOST_SECTIONS {
            self.sections.push((clean(title.as_ref(), LONGEST_SUBJECT), lines));
        } else if self.sections.len() == MOST_SECTIONS {
            self.sections.push(("More than fits here".into(), vec!["The report of the run holds the rest.".into()]));
        }
    }

    /// The message for every channel.
    pub(super) fn message(&self) -> Message {
        Message { subject: self.subject.clone(), text: self.text(), html: self.html(), slack: self.slack() }
    }

    fn text(&self) -> String {
        let mut text = format!("{}\n\n", self.headline);
        for (label, value) in &self.facts {
            text += &format!("{label}: {value}\n");
        }
        for (title, lines) in &self.sections {
            text += &format!("\n{title}\n");
            for line in lines {
                text += &format!("- {line}\n");
            }
        }
        text
    }

    fn html(&self) -> String {
        let colour = if self.good { "#1a7f37" } else { "#b42318" };
        let mut html = format!(
            "<!doctype html>\n<html><head><meta charset=\"utf-8\"></head>\
             <body style=\"font-family:sans-serif;font-size:14px;color:#1f2328\">\n\
             <h2 style=\"color:{colour};font-size:18px\">{}</h2>\n<table>\n",
            escape_html(&self.headline)
        );
        for (label, value) in &self.facts {
            html += &format!(
                "<tr><td style=\"padding-right:12px;vertical-align:top\"><b>{}</b></td><td>{}</td></tr>\n",
                escape_html(label),
                escape_html(value)
            );
        }
        html += "</table>\n";
        for (title, lines) in &self.sections {
            html += &format!("<h3 style=\"font-size:15px\">{}</h3>\n<ul>\n", escape_html(title));
            for line in lines {
                html += &format!("<li>{}</li>\n", escape_html(line));
            }
            html += "</ul>\n";
        }
        html + "</body></html>\n"
    }

    fn slack(&self) -> Value {
        let mark = if self.good { "✅" } else { "❌" };
        let headline = format!("{mark} {}", escape_slack(&self.headline));
        let mut texts = vec![format!("*{headline}*")];
        let facts = self.facts.iter().map(|(label, value)| format!("*{label}:* {}", escape_slack(value)));
        texts.push(joined(facts, SLACK_SECTION_BYTES));
        for (title, lines) in &self.sections {
            let head = format!("*{}*", escape_slack(title));
            let lines = lines.iter().map(|line| format!("• {}", escape_slack(line)));
            texts.push(joined(std::iter::once(head).chain(lines), SLACK_SECTION_BYTES));
        }
        let mut room = SLACK_BYTES;
        let mut blocks = Vec::new();
        for text in texts.iter().filter(|text| !text.is_empty()) {
            if text.len() > room {
                blocks.push(section("More than fits here: the report of the run holds the rest."));
                break;
            }
            room -= text.len();
            blocks.push(section(text));
        }
        json!({ "text": headline, "blocks": blocks, "unfurl_links": false, "unfurl_media": false })
    }
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": { "type": "mrkdwn", "text": text } })
}

/// Joins whole lines while they fit into `most` bytes, and says when some did not; a line that is too long alone is cut.
fn joined(lines: impl Iterator<Item = String>, most: usize) -> String {
    const REST: &str = "… and more";
    let mut text = String::new();
    for line in lines {
        let room = most.saturating_sub(text.len() + REST.len() + 2);
        if line.len() <= room {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&line);
        } else {
            // No line but a fact's is as long as that: cut it before an entity or character would be torn.
            let cut = cut_whole(&line, room);
            if !text.is_empty() && !cut.is_empty() {
                text.push('\n');
            }
            text.push_str(cut);
            text.push_str(REST);
            break;
        }
    }
    text
}

/// The longest beginning of `line` within `most` bytes that tears neither a character nor an `&entity;`.
fn cut_whole(line: &str, most: usize) -> &str {
    let mut end = most.min(line.len());
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    let cut = &line[..end];
    match cut.rfind('&') {
        Some(at) if !cut[at..].contains(';') => &cut[..at],
        _ => cut,
    }
}

fn escape_slack(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn escape_html(text: &str) -> String {
    escape_slack(text).replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_tears_neither_characters_nor_entities() {
        assert_eq!(cut_whole("aé", 2), "a");
        assert_eq!(cut_whole("a&amp;b", 4), "a");
        assert_eq!(cut_whole("a&amp;b", 6), "a&amp;");
        assert_eq!(cut_whole("a&amp;b", 100), "a&amp;b");
    }

    #[test]
    fn what_does_not_fit_is_told() {
        let mut page = Page::new(true, "clinic", "done");
        page.section("Lines", (0..25).map(|line| line.to_string()));
        let text = page.message().text;
        assert!(
            text.contains("- 19\n") && !text.contains("- 20\n") && text.ends_with("- and 5 lines more\n"),
            "{text}"
        );
        for _ in 0..20 {
            page.section("Section", ["line".to_owned()]);
        }
        assert_eq!(page.sections.len(), MOST_SECTIONS + 1);
        assert!(page.message().text.contains("The report of the run holds the rest."));
    }
}
