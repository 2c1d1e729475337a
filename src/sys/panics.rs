//! What a defect of this program says when it ends the process: where it is, and nothing of what it was about.
//!
//! A panic's message often quotes what was worked on, and that may be private. Knows nothing of what that was.

use std::fmt;
use std::io::Write as _;
use std::panic::Location;

/// Has every panic from here on tell its place alone.
pub fn keep_to_themselves() {
    std::panic::set_hook(Box::new(|info| {
        // A closed standard error is nobody listening.
        let _ = write!(std::io::stderr().lock(), "{}", Said(info.location()));
    }));
}

/// What is said of a panic: by its type it cannot hold the message.
struct Said<'a>(Option<&'a Location<'a>>);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = env!("CARGO_PKG_VERSION");
        match self.0 {
            Some(at) => writeln!(
                f,
                "nmoe-gates {version} has a defect at {}:{}",
                at.file(),
                at.line()
            )?,
            None => writeln!(f, "nmoe-gates {version} has a defect")?,
        }
        writeln!(
            f,
            "What it was working on may be private and is not shown. Please report the line above and the command."
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
mod tests {
    use std::process::Command;

    /// The test again, in a process of its own, where it is the one that panics.
    const AGAIN: &str = "NMOE_GATES_TEST_PANICS";

    #[test]
    fn a_panic_keeps_what_it_was_about_to_itself() {
        if std::env::var_os(AGAIN).is_some() {
            super::keep_to_themselves();
            let document = format!("ü{}", "-heron-b200-07");
            assert!(!document[..1].is_empty());
        }
        let out = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("sys::panics::tests::a_panic_keeps_what_it_was_about_to_itself")
            .env(AGAIN, "1")
            .env("RUST_BACKTRACE", "full")
            .output()
            .unwrap();
        assert!(!out.status.success());
        let said = String::from_utf8(out.stderr).unwrap() + &String::from_utf8(out.stdout).unwrap();
        assert!(said.contains("has a defect at src/sys/panics.rs:"), "{said}");
        assert!(!said.contains("heron"), "{said}");
    }
}
