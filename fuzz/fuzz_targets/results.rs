//! Renders untrusted results. Accepted results must render in every format, and Markdown must not contain images.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nmoe_gates::report::{page, read, view::View};
use pulldown_cmark::{Event, Options, Parser, Tag};

fuzz_target!(|bytes: &[u8]| {
    let Ok(results) = read::bytes(bytes) else { return };
    let view = View::new(&results, "node_tps_p50", &Links::default());
    for page in [page::Page::Terminal, page::Page::Summary, page::Page::Comment, page::Page::Html] {
        let Ok(rendered) = page::render(&view, page, &page::Options::default()) else { continue };
        if matches!(page, page::Page::Summary | page::Page::Comment) {
            for event in Parser::new_ext(&rendered.text, Options::ENABLE_TABLES) {
                assert!(!matches!(event, Event::Start(Tag::Image { .. })), "{}", rendered.text);
            }
        }
    }
});
