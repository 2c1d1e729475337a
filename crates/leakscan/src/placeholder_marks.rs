//! The words that mark an example, prepared by the build script. Must not know the rules: their checks use it.

use crate::prefilter::Literals;
use crate::prefilter::Windows;
use crate::prefilter_windows::Window;

include!(concat!(env!("OUT_DIR"), "/placeholder_marks.rs"));
