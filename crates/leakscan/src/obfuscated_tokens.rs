//! Tokens spelled in another way than they are used: backwards, letter by letter, as numbers, in a cipher of children.

use crate::false_positives::looks_random;
use crate::rule::Rule;

include!(concat!(env!("OUT_DIR"), "/obfuscated_tokens.rs"));
