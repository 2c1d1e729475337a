//! From a document to the plain types, without judging what they say: the first defect ends the reading.
//!
//! `lint` tells everything that is wrong and where; this is for whoever needs the values of a document that is in order.

use serde::de::DeserializeOwned;

use crate::document::Defect;
use crate::document::block;
use crate::document::mapped::Mapped;
use crate::document::source::Source;
use crate::document::yaml;
use crate::domain::attestation::Attestation;
use crate::domain::contract::Contract;

/// Top-level key of a contract.
pub const CONTRACT_KEY: &str = "nmoe";
/// Top-level key of an attestation.
pub const ATTESTATION_KEY: &str = "nmoe_pr";

/// The contract of an issue's body or a bare file.
pub fn contract(source: &Source) -> Result<Contract, Defect> {
    read(source, CONTRACT_KEY)
}

/// The attestation of a pull request's body or a bare file.
pub fn attestation(source: &Source) -> Result<Attestation, Defect> {
    read(source, ATTESTATION_KEY)
}

fn read<T: DeserializeOwned>(source: &Source, key: &str) -> Result<T, Defect> {
    let found = block::find(source, key);
    let Some(block) = found.block else {
        return Err(found.defects.into_iter().next().unwrap_or(Defect {
            kind: "no-block",
            span: 0..0,
            message: format!("there is no YAML block with the key `{key}`"),
            help: None,
        }));
    };
    let (_, defects) = yaml::parse(&block.content);
    if let Some(defect) = defects.into_iter().next() {
        return Err(defect);
    }
    // From the text and not from a value: only so do ids and commits stay text.
    serde_yaml::from_str(block.content.text()).map_err(|error| unusable(&block.content, &error))
}

fn unusable(content: &Mapped, error: &serde_yaml::Error) -> Defect {
    let text = content.text();
    let at = error.location().map_or(0, |l| l.index().min(text.len()));
    let at = text.floor_char_boundary(at);
    let end = text[at..].find('\n').map_or(text.len(), |n| at + n);
    let mut message = error.to_string();
    if let Some(at) = message.find(" at line ") {
        message.truncate(at);
    }
    Defect {
        kind: "wrong-type",
        span: content.span(&(at..end)),
        message,
        help: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_commits_stay_what_was_written() {
        for id in [
            "01", "03a", "08", "1188731", "1e10000", "0x10", "1_000", "12.50", "\"09\"",
        ] {
            let text = format!(
                "nmoe_pr:\n  issue: {id}\n  pr_sha: {id}\n  risk: hot\ngates_passed:\n  tier_a: [{id}]\n  tier_b: []\n"
            );
            let read = attestation(&Source::new(None, text)).unwrap();
            let plain = id.trim_matches('"');
            assert_eq!(read.nmoe_pr.issue, plain);
            assert_eq!(read.nmoe_pr.pr_sha, plain);
            assert_eq!(read.gates_passed.tier_a, [plain]);
        }
    }

    #[test]
    fn the_first_defect_ends_the_reading_and_has_its_place() {
        let text = "x\n\n```yaml\nnmoe_pr:\n  issue: 01\n  issue: 02\n```\n";
        let defect = attestation(&Source::new(None, text)).unwrap_err();
        assert_eq!((defect.kind, &text[defect.span]), ("duplicate-key", "issue"));
    }
}
