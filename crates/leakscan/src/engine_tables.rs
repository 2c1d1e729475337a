//! The keywords of all rules and what they trigger, prepared by the build script.

use crate::keywords::Keywords;
use crate::prefilter::Literals;
use crate::prefilter::Windows;
use crate::prefilter_windows::Window;
use crate::rule::Rule;

include!(concat!(env!("OUT_DIR"), "/engine_tables.rs"));
