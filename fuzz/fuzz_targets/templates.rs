//! Escapes untrusted names for every output format. The result must not contain control characters or leave its table cell.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nmoe_gates::report::escape::{self, Sink};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

fuzz_target!(|name: &str| {
    for sink in [Sink::of("a.txt"), Sink::of("a.md"), Sink::of("a.html")] {
        for said in [escape::code(sink, name), escape::text(sink, name)] {
            assert!(!said.contains(|c: char| c.is_control() && c != '\n'), "{said:?}");
        }
    }
    let cell = escape::cell(&escape::code(Sink::of("a.md"), name));
    let table = format!("| a | b |\n|---|---|\n| {cell} | end |\n");
    let events: Vec<_> = Parser::new_ext(&table, Options::ENABLE_TABLES).collect();
    let cells = events
        .iter()
        .filter(|e| matches!(e, Event::End(TagEnd::TableCell)))
        .count();
    assert_eq!(cells, 4, "{table:?}");
    let foreign = |e: &Event<'_>| {
        matches!(
            e,
            Event::Start(Tag::Link { .. } | Tag::Image { .. }) | Event::InlineHtml(_) | Event::Html(_)
        )
    };
    assert!(!events.iter().any(foreign), "{table:?}");
});
