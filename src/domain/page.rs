//! Builds the web addresses of the documentation pages.
//!
//! The site has one page per finding code and reason; `scripts/ci/build-docs` makes them. The addresses must stay stable, because
//! stored SARIF logs contain them.

/// The documentation site, without a slash at the end. `site_url` in zensical.toml must be equal; a test compares them.
pub const SITE: &str = "https://noumena-network.github.io/nmoe-gates";

/// Returns the address of the page of a finding code or a reason.
pub fn of_code(code: &str) -> String {
    format!("{SITE}/reference/codes/{code}/")
}
