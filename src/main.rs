//! Arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    nmoe_gates::cli::main(std::env::args_os()).into()
}
