//! The kernel host: it gets one request, loads what it is told to, and may die of it.
//!
//! Standard input is the library, standard output the socket to `nmoe-gates`, standard error a pipe for whatever a
//! library prints. It leaves by `_exit`, so that no destructor of a library runs.

mod checks;
mod driver;
mod link;
mod nvml;
#[cfg(all(
    target_env = "gnu",
    not(target_feature = "crt-static"),
    any(target_arch = "x86_64", target_arch = "aarch64")
))]
mod old;

use kernel_host::{Reply, Request, VERSION};

use crate::link::Link;

fn main() {
    let mut link = Link::open();
    match link.request() {
        Some(Request::Load {
            version: VERSION,
            path,
        }) => {
            link.say(&Reply::Hello { version: VERSION });
            checks::run(&mut link, path);
        }
        Some(Request::Driver { version: VERSION }) => {
            link.say(&Reply::Hello { version: VERSION });
            driver::run(&mut link);
            nvml::run(&mut link);
        }
        Some(Request::Watch { version: VERSION }) => {
            link.say(&Reply::Hello { version: VERSION });
            nvml::watch(&mut link);
        }
        _ => link.refuse("request", 0, "a request of another version"),
    }
    link.say(&Reply::Done {});
    link::leave(0);
}
