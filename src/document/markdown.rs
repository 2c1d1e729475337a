//! Reads the outline of a Markdown body: fenced blocks, headings and tick boxes, each with its span in the document.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::document::source::Span;
use crate::document::source_map::MappedText;

/// The parts of a body that the linter needs, in order. Spans are those of the document.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    pub fences: Vec<Fence>,
    /// Headings of every level. A heading in a quote or a list belongs to that text and is not listed.
    pub headings: Vec<Heading>,
    /// HTML comments, which GitHub does not show.
    pub comments: Vec<Span>,
    pub boxes: Vec<TickBox>,
}

#[derive(Clone, Debug)]
pub struct Fence {
    /// The first word of the info string in lower case; can be empty.
    pub info: String,
    /// The text inside, without the indentation of the fence.
    pub content: MappedText,
    /// The span with both fences.
    pub span: Span,
    /// The span of the opening line.
    pub opening: Span,
    pub closed: bool,
}

#[derive(Clone, Debug)]
pub struct Heading {
    /// The text without markup.
    pub text: String,
    /// 1 for the largest heading, 6 for the smallest.
    pub level: u8,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub struct TickBox {
    pub ticked: bool,
    /// The span of the `[ ]` or `[x]`.
    pub span: Span,
}

/// Reads the outline of a body.
pub fn outline(body: &MappedText) -> Outline {
    let mut outline = Outline::default();
    read(body, &mut outline, 0);
    outline
}

fn read(body: &MappedText, outline: &mut Outline, depth: u8) {
    let text = body.text();
    let mut heading: Option<String> = None;
    let mut nested = 0_usize;
    let mut code: Option<(Option<String>, MappedText)> = None;
    for (event, range) in Parser::new_ext(text, Options::ENABLE_TASKLISTS).into_offset_iter() {
        match event {
            Event::Start(Tag::BlockQuote(_) | Tag::Item) => nested += 1,
            Event::End(TagEnd::BlockQuote(_) | TagEnd::Item) => nested = nested.saturating_sub(1),
            Event::Start(Tag::HtmlBlock) | Event::InlineHtml(_) => {
                let found = comments(&text[range.clone()]);
                outline
                    .comments
                    .extend(found.map(|at| body.span(&(range.start + at.start..range.start + at.end))));
            }
            Event::Start(Tag::Heading { .. }) if nested == 0 => heading = Some(String::new()),
            Event::End(TagEnd::Heading(level)) => {
                if let Some(text) = heading.take() {
                    outline.headings.push(Heading {
                        text: text.trim().to_owned(),
                        level: level as u8,
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
                code = Some((info, MappedText::default()));
            }
            Event::End(TagEnd::CodeBlock) => match code.take() {
                Some((Some(info), inner)) => outline.fences.push(fence(body, &range, info, inner)),
                // If the whole body is indented, its fences are inside one indented code block.
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

/// Returns the spans of the comments of an HTML text. A comment that is not closed reaches to its end.
fn comments(html: &str) -> impl Iterator<Item = Span> + '_ {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + html[from..].find("<!--")?;
        let end = html[start..]
            .find("-->")
            .map_or(html.len(), |at| start + at + "-->".len());
        from = end;
        Some(start..end)
    })
}

fn fence(body: &MappedText, range: &Span, info: String, inner: MappedText) -> Fence {
    let text = &body.text()[range.clone()];
    let first = text.find('\n').unwrap_or(text.len());
    let mark = text.trim_start().chars().next().unwrap_or('`');
    let width = text.trim_start().chars().take_while(|&c| c == mark).count();
    let last = text.trim_end().rsplit('\n').next().unwrap_or_default();
    let last = last.trim_matches(|c: char| c.is_whitespace() || c == '>');
    // The last line closes the block if it consists of fence characters and is not part of the content.
    let closed = text.trim_end().contains('\n')
        && last.chars().all(|c| c == mark)
        && last.chars().count() >= width
        && inner.full_span().end <= range.start + text.trim_end().len() - last.len();
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
