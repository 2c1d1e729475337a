//! Builds the web addresses of the repository and the documentation pages.
//!
//! The site has one page per finding code and reason; `scripts/ci/build-docs` makes them. The addresses must stay stable, because
//! stored SARIF logs contain them.

/// The documentation site, without a slash at the end. `site_url` in zensical.toml must be equal; a test compares them.
pub const SITE: &str = "https://noumena-network.github.io/nmoe-gates";

/// The repository of the program, from Cargo.toml.
pub const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

/// Returns the action of this version as a workflow names it: `OWNER/NAME@vVERSION`.
pub fn action() -> String {
    let name = REPOSITORY.trim_start_matches("https://github.com/");
    format!("{name}@v{}", env!("CARGO_PKG_VERSION"))
}

/// Returns the address of the page of a finding code or a reason.
pub fn of_code(code: &str) -> String {
    format!("{SITE}/reference/codes/{code}/")
}
