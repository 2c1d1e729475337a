//! The kernel host: executes one request in a separate process, so that a crash in foreign code ends only this process.
//!
//! Standard input is the library, standard output is the socket to `nmoe-gates`, and standard error is a pipe for the
//! output of the library. The host exits with `_exit`, so that no destructor of a library runs.
//! Must not decide whether a library or a GPU is acceptable.

mod channel;
mod checks;
mod driver;
#[cfg(all(
    target_env = "gnu",
    not(target_feature = "crt-static"),
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod glibc_compat;
mod nvml;

use kernel_host::{Reply, Request, VERSION};

use crate::channel::Channel;

fn main() {
    channel::reset_fault_signals();
    let mut channel = Channel::open();
    match channel.request() {
        Some(Request::Load {
            version: VERSION,
            path,
        }) => {
            channel.send(&Reply::Hello { version: VERSION });
            checks::run(&mut channel, path);
        }
        Some(Request::Driver { version: VERSION }) => {
            channel.send(&Reply::Hello { version: VERSION });
            driver::run(&mut channel);
            nvml::run(&mut channel);
        }
        Some(Request::Watch { version: VERSION }) => {
            channel.send(&Reply::Hello { version: VERSION });
            nvml::watch(&mut channel);
        }
        _ => channel.refuse("request", 0, "the request is invalid or has another version"),
    }
    channel.send(&Reply::Done {});
    channel::exit_now(0);
}
