//! Tokens written in another way than they are used: reversed, spaced, as numbers, ROT13, base 32.

use crate::false_positives::looks_random;
use crate::rule::Rule;

include!(concat!(env!("OUT_DIR"), "/obfuscated_tokens.rs"));
