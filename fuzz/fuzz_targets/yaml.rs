//! Compares the YAML parser with yaml_serde. Input without errors here must parse there, with the same keys in the same order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use nmoe_gates::document::{MappedText, Node, yaml};
use serde_yaml::Value;

fn same(ours: &Node, theirs: &Value) -> bool {
    if ours.entries().is_empty() {
        return true;
    }
    let Value::Mapping(map) = theirs else { return false };
    map.len() == ours.entries().len()
        && ours.entries().iter().zip(map).all(|(entry, (key, value))| {
            key.as_str().is_none_or(|key| key == entry.key) && same(&entry.node, value)
        })
}

fuzz_target!(|text: String| {
    let (root, defects) = yaml::parse(&MappedText::lines_of(&text, 0));
    if let (Some(root), true) = (root, defects.is_empty()) {
        match serde_yaml::from_str::<Value>(&text) {
            Ok(theirs) => assert!(same(&root, &theirs), "{text:?}"),
            Err(error) => panic!("{error}: {text:?}"),
        }
    }
});
