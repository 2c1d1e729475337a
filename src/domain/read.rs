//! Parses a document for its value alone.

use crate::document::{Defect, Document, Source};
use crate::domain::attestation::Attestation;
use crate::domain::contract::Contract;

/// Top-level key of a contract.
pub const CONTRACT_KEY: &str = "nmoe";

/// The contract of an issue's body or a bare file.
pub fn contract(source: &Source) -> Result<Contract, Defect> {
    Document::parse(source.clone()).value
}

/// The attestation of a pull request's body or a bare file.
pub fn attestation(source: &Source) -> Result<Attestation, Defect> {
    Document::parse(source.clone()).value
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
