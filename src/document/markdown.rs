//! The outline of a Markdown body: fenced blocks, headings and tick boxes, each with its place in the document.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::document::mapped::Mapped;
use crate::document::source::Span;

/// What a body is made of, as far as anybody here asks. Spans are those of the document.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    /// Fenced code blocks in order.
    pub fences: Vec<Fence>,
    /// Headings in order, of every level.
    pub headings: Vec<Heading>,
    /// Tick boxes in order.
    pub boxes: Vec<TickBox>,
}

/// A fenced code block.
#[derive(Clone, Debug)]
pub struct Fence {
    /// First word of the info string, in lower case; empty where there is none.
    pub info: String,
    /// What stands inside, without the indentation of the fence.
    pub content: Mapped,
    /// The whole block with its fences.
    pub span: Span,
    /// The opening line.
    pub opening: Span,
    /// Whether a closing fence was found.
    pub closed: bool,
}

/// A heading.
#[derive(Clone, Debug)]
pub struct Heading {
    /// Its text, without markup.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// A tick box of a task list.
#[derive(Clone, Debug)]
pub struct TickBox {
    /// Whether it is ticked.
    pub ticked: bool,
    /// The box itself, `[ ]` or `[x]`.
    pub span: Span,
}

/// Reads the outline of a body.
pub fn outline(body: &Mapped) -> Outline {
    let mut outline = Outline::default();
    read(body, &mut outline, 0);
    outline
}

fn read(body: &Mapped, outline: &mut Outline, depth: u8) {
    let text = body.text();
    let mut heading: Option<String> = None;
    let mut code: Option<(Option<String>, Mapped)> = None;
    for (event, range) in Parser::new_ext(text, Options::ENABLE_TASKLISTS).into_offset_iter() {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                if let Some(text) = heading.take() {
                    outline.headings.push(Heading {
                        text: text.trim().to_owned(),
                        span: body.span(&trimmed(body.text(), &range)),
                    });
                }
            }
            Event::Start(Tag::CodeBlock(kind)) => {
                let info = match kind {
                    CodeBlockKind::Fenced(info) => {
                        let word = info.split([' ', '\t', ',', '{']).find(|w| !w.is_empty());
                        Some(word.unwrap_or_default().to_lowercase())
                    }
                    CodeBlockKind::Indented => None,
                };
                code = Some((info, Mapped::default()));
            }
            Event::End(TagEnd::CodeBlock) => match code.take() {
                Some((Some(info), inner)) => outline.fences.push(fence(body, &range, info, inner)),
                // A body that was indented as a whole still holds its fences.
                Some((None, inner)) if depth == 0 && inner.text().contains("nmoe") => {
                    read(&body.compose(inner), outline, depth + 1);
                }
                _ => {}
            },
            Event::TaskListMarker(ticked) => outline.boxes.push(TickBox {
                ticked,
                span: body.span(&range),
            }),
            Event::Text(said) | Event::Code(said) => {
                if let Some((_, inner)) = &mut code {
                    inner.push(&said, range.start);
                } else if let Some(heading) = &mut heading {
                    heading.push_str(&said);
                }
            }
            _ => {}
        }
    }
}

fn fence(body: &Mapped, range: &Span, info: String, inner: Mapped) -> Fence {
    let text = &body.text()[range.clone()];
    let first = text.find('\n').unwrap_or(text.len());
    let mark = text.trim_start().chars().next().unwrap_or('`');
    let width = text.trim_start().chars().take_while(|&c| c == mark).count();
    let last = text.trim_end().rsplit('\n').next().unwrap_or_default();
    let last = last.trim_matches(|c: char| c.is_whitespace() || c == '>');
    // The last line closes the block where it is nothing but the mark and is not itself part of the content.
    let closed = text.trim_end().contains('\n')
        && last.chars().all(|c| c == mark)
        && last.chars().count() >= width
        && inner.extent().end <= range.start + text.trim_end().len() - last.len();
    Fence {
        info,
        span: body.span(range),
        opening: body.span(&trimmed(body.text(), &(range.start..range.start + first))),
        content: body.compose(inner),
        closed,
    }
}

fn trimmed(text: &str, range: &Span) -> Span {
    range.start..range.start + text[range.clone()].trim_end().len()
}
