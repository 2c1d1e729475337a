//! Defines how the output of a gate is transformed before it is written or kept. Must not write anything.

use std::cell::RefCell;
use std::rc::Rc;

use leakscan::identity::Identity;
use leakscan::redact::Redactor;

use crate::leaks::machine;

/// Transforms the output of a gate before it is written.
pub trait Filter {
    /// Appends the part of the input that is ready to `out`, and keeps the rest.
    fn push(&mut self, input: &[u8], out: &mut Vec<u8>);
    /// Appends the rest to `out`.
    fn finish(&mut self, out: &mut Vec<u8>);
}

/// A redactor that learns names of machines while it is in use.
#[derive(Clone, Debug)]
pub struct Learning(Rc<RefCell<(Identity, Redactor)>>);

impl Learning {
    /// Starts with these names.
    pub fn new(identity: Identity) -> Self {
        let redactor = Redactor::new(identity.clone());
        Learning(Rc::new(RefCell::new((identity, redactor))))
    }

    /// Replaces these names of machines too, from the next complete line on.
    pub fn learn<'n>(&self, hosts: impl Iterator<Item = &'n str>) {
        let (identity, redactor) = &mut *self.0.borrow_mut();
        hosts.for_each(|host| machine::host(identity, host));
        redactor.learn(identity.clone());
    }
}

impl Filter for Learning {
    fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        self.0.borrow_mut().1.push(input, out);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.0.borrow_mut().1.finish(out);
    }
}
