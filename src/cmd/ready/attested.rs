//! Whether recorded results are the ones that the report job signed: `gh` verifies the signature, and what was signed is held to
//! what the results say.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::domain::results::Results;
use crate::github::config::Repository;
use crate::report::intoto;

/// The predicate that the report job signs.
const PREDICATE: &str = "https://in-toto.io/attestation/test-result/v0.1";

/// The workflow that may sign.
const SIGNER: &str = ".github/workflows/tier-b.yml";

/// Verifies a file of results; the error says why it does not count.
pub fn verify(path: &Path, results: &Results, repository: &Repository) -> Result<(), String> {
    let expected = intoto::statement(results).map_err(|error| error.to_string())?;
    let output = Command::new("gh")
        .args(["attestation", "verify"])
        .arg(path)
        .args(["--repo", &repository.to_string()])
        .args(["--signer-workflow", &format!("{repository}/{SIGNER}")])
        .args(["--predicate-type", PREDICATE, "--format", "json"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(|error| {
            format!(
                "`gh` cannot be run ({}); install it to have signatures verified",
                error.kind()
            )
        })?;
    if !output.status.success() {
        return Err(format!("`gh attestation verify` found no signature of {SIGNER}"));
    }
    let verified: Value =
        serde_json::from_slice(&output.stdout).map_err(|_| "`gh` printed no JSON; update it".to_owned())?;
    let says_the_same = |one: &Value| {
        let statement = &one["verificationResult"]["statement"];
        statement["predicateType"] == PREDICATE && statement["predicate"] == expected["predicate"]
    };
    if verified.as_array().into_iter().flatten().any(says_the_same) {
        Ok(())
    } else {
        Err("what was signed is not what these results say".to_owned())
    }
}
