//! Not a listed subcommand: the processes that `run` starts around a gate. In a container and in a PID namespace, this program
//! is also process 1.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;

use crate::domain::exit::Exit;
use crate::gate::container::init::{self, Streams};
use crate::gate::container::protocol;
use crate::system::pid_namespace;

/// Runs the subcommand of these arguments, if it is one of this file.
pub fn run(args: &[OsString]) -> Option<anyhow::Result<Exit>> {
    let run: fn(Streams) -> io::Result<()> = match args.get(1)?.to_str()? {
        protocol::SUBCOMMAND => |streams| {
            let names: Vec<OsString> = std::env::vars_os().map(|(name, _)| name).collect();
            init::run(streams, &names)
        },
        pid_namespace::SERVER => |streams| {
            // Commands inherit the standard streams of this process.
            rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
            pid_namespace::serve(streams.input)
        },
        _ => return None,
    };
    let ran = streams().and_then(run);
    Some(ran.map(|()| Exit::Passed).map_err(Into::into))
}

fn streams() -> io::Result<Streams> {
    Ok(Streams {
        input: io::stdin().as_fd().try_clone_to_owned()?,
        output: io::stdout().as_fd().try_clone_to_owned()?,
        reports: io::stderr().as_fd().try_clone_to_owned()?,
    })
}
