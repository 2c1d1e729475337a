//! Renders untrusted results. Accepted results must render in every format, and Markdown must not contain images.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nmoe_gates::report::links::Links;
use nmoe_gates::report::render::{self, Page};
use nmoe_gates::report::{read, view::View};
use pulldown_cmark::{Event, Options, Parser, Tag};

fuzz_target!(|bytes: &[u8]| {
    let Ok(results) = read::bytes(bytes) else { return };
    let view = View::new(&results, "node_tps_p50", &Links::default());
    for page in [Page::Terminal, Page::Summary, Page::Comment, Page::Html] {
        let Ok(rendered) = render::page(&view, page, &render::Options::default()) else {
            continue;
        };
        if matches!(page, Page::Summary | Page::Comment) {
            for event in Parser::new_ext(&rendered.text, Options::ENABLE_TABLES) {
                assert!(
                    !matches!(event, Event::Start(Tag::Image { .. })),
                    "{}",
                    rendered.text
                );
            }
        }
    }
});
