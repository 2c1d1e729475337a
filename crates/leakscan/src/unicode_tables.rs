//! The tables of Unicode that the build script generates.

include!(concat!(env!("OUT_DIR"), "/unicode_tables.rs"));
