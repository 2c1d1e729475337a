//! Describes the arguments of a subcommand only where the command line can call it. Not a subcommand.
//!
//! Describing the arguments of all subcommands makes every start slower (docs/explanation/benchmarks.md).

use std::cell::RefCell;
use std::ffi::OsString;
use std::ops::Deref;

use clap::{ArgMatches, Args, Command, Error, FromArgMatches};

thread_local! {
    /// The words of the command line that is parsed now. `None` describes all subcommands.
    static WORDS: RefCell<Option<Vec<OsString>>> = const { RefCell::new(None) };
}

/// Calls `describe`, in which only the subcommands that `words` name get their arguments.
pub fn only_called(words: &[OsString], describe: impl FnOnce() -> Command) -> Command {
    WORDS.set(Some(words.to_vec()));
    let command = describe();
    WORDS.set(None);
    command
}

/// Adds arguments to a subcommand that the command line can call.
pub fn describe_called<A: Args>(command: Command) -> Command {
    let called = WORDS.with_borrow(|words| match words {
        Some(words) => words.iter().any(|word| word == command.get_name()),
        None => true,
    });
    match called {
        true => A::augment_args(command),
        false => command,
    }
}

/// Arguments of a subcommand. `clap`'s derive can only describe all subcommands, so each decides for itself.
#[derive(Clone, Debug)]
pub struct Deferred<A>(A);

impl<A> Deref for Deferred<A> {
    type Target = A;

    fn deref(&self) -> &A {
        &self.0
    }
}

impl<A: FromArgMatches> FromArgMatches for Deferred<A> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        A::from_arg_matches(matches).map(Deferred)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        self.0.update_from_arg_matches(matches)
    }
}

impl<A: Args> Args for Deferred<A> {
    fn augment_args(command: Command) -> Command {
        describe_called::<A>(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        A::augment_args_for_update(command)
    }
}
