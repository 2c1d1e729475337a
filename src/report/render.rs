//! Renders a page for people from a template, within the size limit of the place that shows it.
//!
//! A page that is too long loses its plots, then the gates that passed, then all rows but the counts. A table is never cut.

use std::path::Path;

use minijinja::value::{Serde, Value};
use minijinja::{Environment, Error, context};
use serde::Serialize;

use crate::domain::ids::GateId;
use crate::github::api::LONGEST_BODY;
use crate::report::templates;
use crate::report::view::View;

/// A place that shows a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// A terminal or a log.
    Terminal,
    /// A job summary on GitHub.
    Summary,
    /// A comment on a pull request.
    Comment,
    /// One self-contained HTML file.
    Html,
}

impl Page {
    fn template(self) -> &'static str {
        match self {
            Page::Terminal => "terminal.txt",
            Page::Summary => "summary.md",
            Page::Comment => "comment.md",
            Page::Html => "report.html",
        }
    }

    /// Maximum size in bytes: GitHub accepts 1 MiB for a job summary, and fewer characters for a comment.
    pub fn limit(self) -> usize {
        match self {
            Page::Summary => 1 << 20,
            Page::Comment => LONGEST_BODY,
            Page::Terminal | Page::Html => usize::MAX,
        }
    }
}

/// The level of detail, most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Everything.
    Full,
    /// No plots.
    NoPlots,
    /// Only gates that did not pass.
    OpenGates,
    /// Only the counts.
    Counts,
}

impl Detail {
    const ALL: [Detail; 4] = [Detail::Full, Detail::NoPlots, Detail::OpenGates, Detail::Counts];
}

/// The last output of one gate, for a page on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tail {
    /// The gate.
    pub gate: GateId,
    /// The last lines.
    pub lines: Vec<String>,
    /// The file with more of them.
    pub path: String,
}

/// Options for rendering.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// A folder with templates that replace the embedded ones.
    pub templates: Option<&'a Path>,
    /// Whether a terminal page uses colour.
    pub color: bool,
    /// The last output of the gates that did not pass. Pages that are published never show it.
    pub tails: &'a [Tail],
    /// The most bytes, if the caller adds text. By default, the limit of the page.
    pub room: Option<usize>,
}

/// A rendered page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The text of the page.
    pub text: String,
    /// The error in the replaced templates, if the embedded ones were used instead.
    pub complaint: Option<String>,
}

/// Renders a page. An error means that the embedded templates are broken, which a test prevents.
pub fn page(view: &View, page: Page, options: &Options<'_>) -> Result<Rendered, Error> {
    let mut complaint = None;
    if let Some(dir) = options.templates {
        let replaced = if dir.is_dir() {
            templates::environment(Some(dir)).and_then(|env| fitting(&env, view, page, options))
        } else {
            let why = format!("{} is not a folder", dir.display());
            Err(Error::new(minijinja::ErrorKind::TemplateNotFound, why))
        };
        match replaced {
            Ok(text) => return Ok(Rendered { text, complaint }),
            Err(error) => complaint = Some(format!("{error:#}")),
        }
    }
    let text = fitting(&templates::environment(None)?, view, page, options)?;
    Ok(Rendered { text, complaint })
}

/// Renders the page with as much detail as fits.
fn fitting(env: &Environment<'_>, view: &View, page: Page, options: &Options<'_>) -> Result<String, Error> {
    let limit = options.room.unwrap_or(page.limit());
    let template = env.get_template(page.template())?;
    let report = Value::from(Serde(view));
    let tails = Value::from(Serde(match page {
        Page::Terminal | Page::Html => options.tails,
        Page::Summary | Page::Comment => &[],
    }));
    for detail in Detail::ALL {
        let text = template.render(context! {
            report => report.clone(),
            plots => detail == Detail::Full,
            rows => detail != Detail::Counts,
            passed => matches!(detail, Detail::Full | Detail::NoPlots),
            color => options.color,
            tails => tails.clone(),
        })?;
        if text.len() <= limit {
            return Ok(text);
        }
    }
    Err(Error::new(
        minijinja::ErrorKind::InvalidOperation,
        format!("{} is longer than {limit} bytes even as counts", page.template()),
    ))
}
