//! Checks what the forms ask for outside of the block: the summary, the safety boxes, and the order of the sections.

use crate::document::Document;
use crate::document::markdown::{Heading, Outline};
use crate::lint::codes::attestation::ATTESTATION_NOT_FIRST;
use crate::lint::codes::document as codes;
use crate::lint::diagnostics::Diagnostics;

/// Checks the sections of the issue form.
pub fn issue_form(diagnostics: &mut Diagnostics<'_>, outline: &Outline) {
    summary(diagnostics, outline);
    confirmation(diagnostics, outline, 1, &["summary", "notes (optional)"]);
}

/// Checks the sections of the pull-request form.
pub fn pr_form<T>(diagnostics: &mut Diagnostics<'_>, document: &Document<T>) {
    let outline = &document.outline;
    if let Some(opening) = document.block.as_ref().and_then(|b| b.opening.as_ref()) {
        let before = outline
            .headings
            .iter()
            .find(|h| h.span.start < opening.start && !h.text.to_lowercase().contains("attestation"));
        if let Some(heading) = before {
            let message = format!("the attestation is after the section `{}`", heading.text);
            diagnostics.report(&ATTESTATION_NOT_FIRST, opening, message).help =
                Some("move it to the top of the description".to_owned());
        }
    }
    summary(diagnostics, outline);
    confirmation(diagnostics, outline, 2, &["summary", "links", "reviewer focus"]);
}

fn summary(diagnostics: &mut Diagnostics<'_>, outline: &Outline) {
    let headings = &outline.headings;
    let Some(at) = headings.iter().position(|h| says(h, "summary")) else {
        return;
    };
    let section = section(diagnostics.source().text(), headings, at);
    if !section.replace("\\n", "\n").lines().any(says_something) {
        diagnostics
            .report(&codes::EMPTY_SUMMARY, &headings[at].span, "the summary is empty")
            .help = Some("describe in a few sentences what changes and why".to_owned());
    }
}

/// Whether a line has content. A comment, `_No response_` and a bullet that ends with a colon are part of the form.
fn says_something(line: &str) -> bool {
    let line = line.trim();
    let unfilled = line.starts_with("- ") && line.ends_with(':');
    let comment = line.starts_with("<!--") && line.ends_with("-->");
    !line.is_empty() && line != "-" && !line.eq_ignore_ascii_case("_no response_") && !unfilled && !comment
}

/// Checks that the body has all safety boxes of the form, and that they are ticked. A body without sections of the form
/// needs no boxes.
fn confirmation(diagnostics: &mut Diagnostics<'_>, outline: &Outline, boxes: usize, form: &[&str]) {
    if diagnostics.has(&codes::UNCLOSED_FENCE) {
        // The unclosed block contains the rest of the body.
        return;
    }
    let headings = &outline.headings;
    let is_safety = |h: &Heading| h.text.to_lowercase().replace('-', " ").contains("public safety");
    let Some(at) = headings.iter().position(is_safety) else {
        if let Some(heading) = headings.iter().find(|h| form.iter().any(|f| says(h, f))) {
            let message = "the public-safety confirmation of the form is missing";
            diagnostics
                .report(&codes::MISSING_CONFIRMATION, &heading.span, message)
                .help = Some(format!(
                "add the section `Public-safety` with its {}",
                counted(boxes)
            ));
        }
        return;
    };
    let end = headings.get(at + 1).map_or(usize::MAX, |next| next.span.start);
    let inside: Vec<_> = outline
        .boxes
        .iter()
        .filter(|b| b.span.start >= headings[at].span.end && b.span.start < end)
        .collect();
    for open in inside.iter().filter(|b| !b.ticked) {
        // No fix is offered, because only the author can confirm the statement.
        let finding = diagnostics.report(
            &codes::UNTICKED_BOX,
            &open.span,
            "this confirmation is not ticked",
        );
        finding.help = Some("check that it is true, then tick it: `[x]`".to_owned());
    }
    if inside.len() < boxes {
        let message = format!(
            "the section has {} tick boxes; the form has {boxes}",
            inside.len()
        );
        diagnostics
            .report(&codes::MISSING_CONFIRMATION, &headings[at].span, message)
            .help = Some(format!(
            "restore the {} of the form and tick them",
            counted(boxes)
        ));
    }
}

fn counted(boxes: usize) -> String {
    if boxes == 1 {
        "tick box".to_owned()
    } else {
        format!("{boxes} tick boxes")
    }
}

fn says(heading: &Heading, word: &str) -> bool {
    heading.text.to_lowercase().starts_with(word)
}

fn section<'t>(text: &'t str, headings: &[Heading], at: usize) -> &'t str {
    let end = headings.get(at + 1).map_or(text.len(), |next| next.span.start);
    text.get(headings[at].span.end..end).unwrap_or_default()
}
