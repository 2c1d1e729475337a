//! Verifies that the report job signed a results file: `gh` verifies the signature, and the signed content is compared with the
//! results.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::domain::results::Results;
use crate::github::config::Repository;
use crate::report::intoto;

/// Whose signatures are accepted.
pub struct Signers<'a> {
    pub repository: &'a Repository,
    /// The files of the workflows.
    pub workflows: &'a [String],
    /// The branch that the run was started on. The same workflow on another branch may belong to any writer.
    pub branch: &'a str,
}

/// Verifies a results file. The error says why the file does not count.
pub fn verify(path: &Path, results: &Results, signers: &Signers<'_>) -> Result<(), String> {
    let mut why = "`publish.workflows` is empty".to_owned();
    for workflow in signers.workflows {
        match signed(path, results, signers, workflow) {
            Ok(()) => return Ok(()),
            Err(error) => why = error,
        }
    }
    Err(why)
}

/// Verifies a signature of one workflow.
fn signed(path: &Path, results: &Results, signers: &Signers<'_>, workflow: &str) -> Result<(), String> {
    let repository = signers.repository;
    let expected = intoto::statement(results).map_err(|error| error.to_string())?;
    let output = Command::new("gh")
        .args(["attestation", "verify"])
        .arg(path)
        .args(["--repo", &repository.to_string()])
        .args(["--signer-workflow", &format!("{repository}/{workflow}")])
        .args(["--source-ref", &format!("refs/heads/{}", signers.branch)])
        .args(["--predicate-type", intoto::PREDICATE, "--format", "json"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .map_err(|error| {
            format!(
                "cannot run `gh`: {}\nhelp: install it to verify signatures",
                error.kind()
            )
        })?;
    if !output.status.success() {
        return Err(format!(
            "`gh attestation verify` found no signature of {workflow} on `{}`",
            signers.branch
        ));
    }
    let verified: Value =
        serde_json::from_slice(&output.stdout).map_err(|_| "`gh` printed no JSON; update it".to_owned())?;
    let is_same = |one: &Value| {
        let statement = &one["verificationResult"]["statement"];
        statement["predicateType"] == intoto::PREDICATE && statement["predicate"] == expected["predicate"]
    };
    if verified.as_array().into_iter().flatten().any(is_same) {
        Ok(())
    } else {
        Err("what was signed is not what these results say".to_owned())
    }
}
