//! Not a listed subcommand: the processes that `run` starts around a gate. In a container and in a PID namespace, this program
//! is also process 1.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd as _;

use crate::domain::exit::Exit;
use crate::gate::container::init::{self, Streams};
use crate::gate::container::protocol;
use crate::system::pid_namespace;

/// Runs the subcommand of these arguments, if it is one of this file.
pub fn run(args: &[OsString]) -> Option<anyhow::Result<Exit>> {
    let program = args.get(2..).unwrap_or_default();
    let run: fn(&[OsString], Streams) -> io::Result<()> = match args.get(1)?.to_str()? {
        protocol::SUBCOMMAND => |_, streams| {
            let names: Vec<OsString> = std::env::vars_os().map(|(name, _)| name).collect();
            init::run(streams, &names)
        },
        pid_namespace::ENTRY => |program, streams| pid_namespace::enter(program, streams.input),
        pid_namespace::INIT => |program, streams| {
            let streams = pid_namespace::Streams {
                caller: streams.input,
                entry: streams.output,
                output: streams.reports,
            };
            pid_namespace::init(program, streams)
        },
        _ => return None,
    };
    let ran = streams().and_then(|streams| run(program, streams));
    Some(ran.map(|()| Exit::Passed).map_err(Into::into))
}

fn streams() -> io::Result<Streams> {
    Ok(Streams {
        input: io::stdin().as_fd().try_clone_to_owned()?,
        output: io::stdout().as_fd().try_clone_to_owned()?,
        reports: io::stderr().as_fd().try_clone_to_owned()?,
    })
}
