//! Reports the place of a panic and ends the process with one exit code, in a debug and in a release build alike.
//!
//! A panic's message often quotes what was worked on, and that may be private. Must not depend on what that was.

use std::fmt;
use std::io::Write as _;
use std::panic::Location;

/// Exit code of a process that panicked: `EX_SOFTWARE` of `sysexits.h`.
pub const EXIT_CODE: u8 = 70;

/// Makes every panic from here on, in any thread, print its location and end the process with [`EXIT_CODE`].
pub fn end_the_process() {
    std::panic::set_hook(Box::new(|info| {
        // A closed standard error is no reason to end differently.
        let _ = write!(std::io::stderr().lock(), "{}", Said(info.location()));
        std::process::exit(EXIT_CODE.into());
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
            super::end_the_process();
            let document = format!("ü{}", "-heron-b200-07");
            assert!(!document[..1].is_empty());
        }
        let out = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("system::panics::tests::a_panic_keeps_what_it_was_about_to_itself")
            .env(AGAIN, "1")
            .env("RUST_BACKTRACE", "full")
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(super::EXIT_CODE.into()));
        let said = String::from_utf8(out.stderr).unwrap() + &String::from_utf8(out.stdout).unwrap();
        assert!(said.contains("has a defect at src/system/panics.rs:"), "{said}");
        assert!(!said.contains("heron"), "{said}");
    }
}
