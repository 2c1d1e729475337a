//! Defines how the output of a gate is transformed before it is written or kept. Must not write anything.

use leakscan::redact::Redactor;

/// Transforms the output of a gate before it is written.
pub trait Filter {
    /// Appends the part of the input that is ready to `out`, and keeps the rest.
    fn push(&mut self, input: &[u8], out: &mut Vec<u8>);
    /// Appends the rest to `out`.
    fn finish(&mut self, out: &mut Vec<u8>);
}

impl Filter for Redactor {
    fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        Redactor::push(self, input, out);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        Redactor::finish(self, out);
    }
}
