//! Checks what the forms ask for outside of the block: the summary, the safety boxes, and the order of the sections.
//!
//! GitHub writes the answers of a form below headings, and an answer may contain further headings. Only the labels of the
//! form begin a section.

use crate::document::Document;
use crate::document::markdown::{Heading, Outline};
use crate::document::source::Span;
use crate::lint::codes::attestation::ATTESTATION_NOT_FIRST;
use crate::lint::codes::document as codes;
use crate::lint::diagnostics::Diagnostics;

/// A form: the labels of its sections, without case, hyphens and remarks in brackets.
struct Form {
    sections: &'static [&'static str],
    /// Sections that show that the body was written with the form.
    marks: &'static [&'static str],
    /// The section with the safety boxes, the last one that the author fills in.
    confirmation: &'static str,
    boxes: usize,
}

const ISSUE: Form = Form {
    sections: &["summary", "agent contract", "notes", "public safety confirmation"],
    marks: &["summary", "notes (optional)"],
    confirmation: "public safety confirmation",
    boxes: 1,
};

const PULL: Form = Form {
    sections: &[
        "pr attestation",
        "summary",
        "links",
        "public safety",
        "reviewer focus",
    ],
    marks: &["summary", "links", "reviewer focus"],
    confirmation: "public safety",
    boxes: 2,
};

/// Checks the sections of the issue form.
pub fn issue_form(diagnostics: &mut Diagnostics<'_>, outline: &Outline) {
    summary(diagnostics, outline, &ISSUE);
    confirmation(diagnostics, outline, &ISSUE);
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
    summary(diagnostics, outline, &PULL);
    confirmation(diagnostics, outline, &PULL);
}

/// Reports an empty summary. It ends where the next section of the form begins.
fn summary(diagnostics: &mut Diagnostics<'_>, outline: &Outline, form: &Form) {
    let headings = &outline.headings;
    let Some(at) = headings.iter().position(|h| begins(h, "summary")) else {
        return;
    };
    let text = diagnostics.source().text();
    let next = headings[at + 1..]
        .iter()
        .find(|h| form.sections.contains(&label(h).as_str()));
    let section = headings[at].span.end..next.map_or(text.len(), |next| next.span.start);
    // The text of a heading, and what a comment hides, do not count as an answer.
    let mut skipped: Vec<&Span> = headings
        .iter()
        .map(|h| &h.span)
        .chain(&outline.comments)
        .collect();
    skipped.sort_by_key(|span| span.start);
    let mut answer = String::new();
    let mut from = section.start;
    for span in skipped
        .into_iter()
        .filter(|s| s.start >= section.start && s.start < section.end)
    {
        answer.push_str(text.get(from..span.start).unwrap_or_default());
        from = from.max(span.end);
    }
    answer.push_str(text.get(from..section.end).unwrap_or_default());
    if !answer.replace("\\n", "\n").lines().any(says_something) {
        diagnostics
            .report(&codes::EMPTY_SUMMARY, &headings[at].span, "the summary is empty")
            .help = Some("describe in a few sentences what changes and why".to_owned());
    }
}

/// Whether a line has content. `_No response_` and a bullet that ends with a colon are part of the form.
fn says_something(line: &str) -> bool {
    let line = line.trim();
    let unfilled = line.starts_with("- ") && line.ends_with(':');
    !line.is_empty() && line != "-" && !line.eq_ignore_ascii_case("_no response_") && !unfilled
}

/// Checks that the body has all safety boxes of the form, and that they are ticked. A body without sections of the form
/// needs no boxes.
fn confirmation(diagnostics: &mut Diagnostics<'_>, outline: &Outline, form: &Form) {
    if diagnostics.has(&codes::UNCLOSED_FENCE) {
        // The unclosed block contains the rest of the body.
        return;
    }
    let headings = &outline.headings;
    let with = |wanted: &dyn Fn(&str) -> bool| -> Vec<usize> {
        (0..headings.len())
            .filter(|&n| wanted(&label(&headings[n])))
            .collect()
    };
    // A heading with the form's own label counts before others, which an answer may contain.
    let mut sections = with(&|label| label == form.confirmation);
    if sections.is_empty() {
        sections = with(&|label| label.contains("public safety"));
    }
    let Some(&last) = sections.last() else {
        if let Some(heading) = headings
            .iter()
            .find(|h| form.marks.iter().any(|mark| begins(h, mark)))
        {
            let message = "the public-safety confirmation of the form is missing";
            diagnostics
                .report(&codes::MISSING_CONFIRMATION, &heading.span, message)
                .help = Some(format!(
                "add the section `Public-safety` with its {}",
                counted(form.boxes)
            ));
        }
        return;
    };
    let boxes_of = |at: usize| {
        let here = &headings[at];
        let next = headings[at + 1..].iter().find(|next| next.level <= here.level);
        let section = here.span.end..next.map_or(usize::MAX, |next| next.span.start);
        outline
            .boxes
            .iter()
            .filter(move |b| section.contains(&b.span.start))
    };
    for open in sections.iter().flat_map(|&at| boxes_of(at)).filter(|b| !b.ticked) {
        // No fix is offered, because only the author can confirm the statement.
        let finding = diagnostics.report(
            &codes::UNTICKED_BOX,
            &open.span,
            "this confirmation is not ticked",
        );
        finding.help = Some("check that it is true, then tick it: `[x]`".to_owned());
    }
    // GitHub appends this section after the answers, so an equal heading inside an answer comes before it.
    let found = boxes_of(last).count();
    if found < form.boxes {
        let message = format!("the section has {found} tick boxes; the form has {}", form.boxes);
        diagnostics
            .report(&codes::MISSING_CONFIRMATION, &headings[last].span, message)
            .help = Some(format!(
            "restore the {} of the form and tick them",
            counted(form.boxes)
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

/// Returns the label that a heading shows, in the form of [`Form::sections`].
fn label(heading: &Heading) -> String {
    let text = heading.text.to_lowercase().replace('-', " ");
    let remark = text.rfind('(').filter(|_| text.ends_with(')'));
    text[..remark.unwrap_or(text.len())].trim().to_owned()
}

fn begins(heading: &Heading, word: &str) -> bool {
    heading.text.to_lowercase().starts_with(word)
}
