//! The picture of a walk: who says what to whom, as a message sequence. It is an ordered list that reads well by itself;
//! the lanes and arrows are drawn around it by the style sheet.

use std::fmt::Write as _;

use super::super::pages::escape;
use super::walk::{Role, Step};

/// The picture of `steps`, each of which leads to its own section.
pub(super) fn draw(steps: &[Step]) -> String {
    let heads: String = Role::ALL.iter().map(|role| format!("<span>{}</span>", role.name())).collect();
    let mut html =
        format!("<div class=\"picture\">\n<div class=\"lanes heads\" aria-hidden=\"true\">{heads}</div>\n<ol>\n");
    for (position, step) in steps.iter().enumerate() {
        draw_step(&mut html, position + 1, step);
    }
    html.push_str("</ol>\n</div>\n");
    html
}

fn draw_step(html: &mut String, number: usize, step: &Step) {
    let way = if step.is_seen_by_the_browser() { "front" } else { "back" };
    let _ = writeln!(
        html,
        "<li class=\"{way}\"><a class=\"{}\" href=\"#step-{number}\"><b>{number}</b> <span class=\"unseen\">{} to {}: </span>\
         {}</a>",
        side(step),
        step.from.name(),
        step.to.name(),
        escape(step.title)
    );
    if step.from != step.to {
        html.push_str(&arrow(step.from, step.to, "said"));
        if let Some(answer) = &step.answer {
            let _ = writeln!(html, "<span class=\"{} outcome\">{}</span>", side(step), escape(&outcome(answer)));
            html.push_str(&arrow(step.to, step.from, "answered"));
        }
    }
    html.push_str("</li>\n");
}

/// Where a text stands, so that it is near its arrow.
fn side(step: &Step) -> &'static str {
    match lane(step.from) + lane(step.to) {
        0..=3 => "at-left",
        4..=5 => "at-middle",
        _ => "at-right",
    }
}

/// Lanes count from one.
fn lane(role: Role) -> usize {
    match role {
        Role::Browser => 1,
        Role::Client => 2,
        Role::Server => 3,
        Role::Api => 4,
    }
}

fn arrow(from: Role, to: Role, kind: &str) -> String {
    let (from, to) = (lane(from), lane(to));
    let (low, high, head) = if from < to { (from, to, "rightward") } else { (to, from, "leftward") };
    format!("<span class=\"lanes\" aria-hidden=\"true\"><i class=\"{kind} {head} lane-{low}-{high}\"></i></span>\n")
}

/// The status of an answer: `HTTP/1.1 200 OK` is told as `200 OK`.
fn outcome(answer: &str) -> String {
    let line = answer.lines().next().unwrap_or_default();
    line.strip_prefix("HTTP/1.1 ").unwrap_or("no answer").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_reads_as_a_list() {
        let mut step = Step::new(Role::Client, Role::Server, "A <token>", "");
        step.answer = Some("HTTP/1.1 401 Unauthorized\n\nx".into());
        let html = draw(&[step, Step::new(Role::Server, Role::Browser, "Back", "")]);
        for part in [
            "<b>1</b> <span class=\"unseen\">Client to Authorization Server: </span>A &lt;token&gt;</a>",
            "said rightward lane-2-3",
            "answered leftward lane-2-3",
            "401 Unauthorized",
            "said leftward lane-1-3",
            "href=\"#step-2\"",
        ] {
            assert!(html.contains(part), "{part} is not in {html}");
        }
    }
}
