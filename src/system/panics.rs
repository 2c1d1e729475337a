//! Reports the source location of a panic and exits with a fixed code, in debug and release builds.
//!
//! A panic message often quotes the data in use, which may be private, so this module never reports the message.
//! Must not depend on any other module.

use std::fmt;
use std::panic::Location;

/// Exit code of a process that panicked: `EX_SOFTWARE` of `sysexits.h`.
pub const EXIT_CODE: u8 = 70;

/// Installs a panic hook for all threads: pass the location to `print`, then exit with [`EXIT_CODE`].
pub fn exit_on_panic(print: fn(fmt::Arguments<'_>)) {
    std::panic::set_hook(Box::new(move |info| {
        print(format_args!("{}", PanicReport(info.location())));
        std::process::exit(EXIT_CODE.into());
    }));
}

/// The report. The type has no field for the message, so the message cannot leak.
struct PanicReport<'a>(Option<&'a Location<'a>>);

impl fmt::Display for PanicReport<'_> {
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
            "The panic message is hidden because it may quote private data. Please report the line above and the command."
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
mod tests {
    use std::process::Command;

    /// Set in the child process, which runs the same test and panics.
    const CHILD: &str = "NMOE_GATES_TEST_PANICS";

    #[test]
    fn a_panic_does_not_print_its_message() {
        if std::env::var_os(CHILD).is_some() {
            super::exit_on_panic(|report| eprint!("{report}"));
            let document = format!("ü{}", "-heron-b200-07");
            assert!(!document[..1].is_empty());
        }
        let out = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("system::panics::tests::a_panic_does_not_print_its_message")
            .env(CHILD, "1")
            .env("RUST_BACKTRACE", "full")
            .output()
            .unwrap();
        assert_eq!(out.status.code(), Some(super::EXIT_CODE.into()));
        let printed = String::from_utf8(out.stderr).unwrap() + &String::from_utf8(out.stdout).unwrap();
        assert!(
            printed.contains("has a defect at src/system/panics.rs:"),
            "{printed}"
        );
        assert!(!printed.contains("heron"), "{printed}");
    }
}
