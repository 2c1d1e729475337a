//! Embeds verdicts in a published comment as an HTML comment, which programs can read and people do not see.
//!
//! Results from a comment are as untrusted as any results file. The caller must check who wrote the comment.

use crate::domain::ids::Sha256;
use crate::domain::results::{GateResult, Results};
use crate::report::read;

/// Start of the line. JSON and ` -->` follow.
const OPEN: &str = "<!-- nmoe-gates results ";

/// End of the line.
const CLOSE: &str = " -->";

/// Maximum length of the line. A selection of several hundred gates gets no line; programs read its results file instead.
pub const MOST: usize = 12 << 10;

/// What a comment embeds: the JSON of verdicts, reasons and evidence. The run uploads the same bytes as an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedded {
    json: String,
}

impl Embedded {
    /// Embeds these results. Returns nothing if the line would be too long.
    pub fn new(results: &Results) -> Option<Self> {
        let abridged = Results {
            results: results
                .results
                .iter()
                .map(|(id, gate)| {
                    let image = gate.image.clone();
                    let abridged = GateResult {
                        supplied_by: gate.supplied_by.clone(),
                        // A run in containers usually has one image, which the evidence names.
                        image: image.filter(|image| Some(image) != results.evidence.image.as_ref()),
                        ..GateResult::new(gate.status, gate.reason)
                    };
                    (id.clone(), abridged)
                })
                .collect(),
            ..results.clone()
        };
        // JSON can escape these characters, so no value can end the HTML comment.
        let json = serde_json::to_string(&abridged)
            .ok()?
            .replace('-', r"\u002d")
            .replace('<', r"\u003c")
            .replace('>', r"\u003e");
        let embedded = Embedded { json };
        (embedded.line().len() <= MOST).then_some(embedded)
    }

    /// Finds what a comment embeds.
    pub fn of(body: &str) -> Option<Self> {
        let line = body
            .lines()
            .map(str::trim_end)
            .find(|line| line.starts_with(OPEN))?;
        let json = line.strip_prefix(OPEN)?.strip_suffix(CLOSE)?;
        Some(Embedded {
            json: json.to_owned(),
        })
    }

    /// Returns the line of the comment.
    pub fn line(&self) -> String {
        format!("{OPEN}{}{CLOSE}", self.json)
    }

    /// Returns the bytes that the run uploads.
    pub fn bytes(&self) -> &[u8] {
        self.json.as_bytes()
    }

    /// Returns the digest of these bytes.
    pub fn digest(&self) -> Sha256 {
        Sha256::of(self.bytes())
    }

    /// Returns the name of the artifact with these bytes. No other content has this name.
    pub fn artifact(&self) -> String {
        format!("evidence-{}.json", self.digest())
    }

    /// Parses the results.
    ///
    /// # Errors
    /// They do not follow the schema.
    pub fn results(&self) -> Result<Results, read::Refusal> {
        read::bytes(self.bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::evidence::Evidence;
    use crate::domain::ids::GateId;
    use crate::domain::verdict::{Overall, Reason, Verdict};

    fn results(gates: usize) -> Results {
        let ids: Vec<GateId> = (0..gates)
            .map(|n| format!("cpu:g--{n}").parse().unwrap())
            .collect();
        let mut results = Results {
            schema: 1,
            bundle: Some("full".to_owned()),
            gate_ids: ids.clone(),
            overall: Overall::Pass,
            refused: None,
            uncovered: Vec::new(),
            evidence: Evidence::default(),
            started_at: Some("2026-01-01T00:00:00Z".to_owned()),
            duration_s: Some(2.5),
            results: ids
                .iter()
                .map(|id| (id.clone(), GateResult::new(Verdict::Pass, None)))
                .collect(),
        };
        if let Some(last) = results.results.values_mut().last() {
            *last = GateResult::new(Verdict::Fail, Some(Reason::ExitCode));
            last.supplied_by = Some("octocat".to_owned());
        }
        results.overall = results.evaluate();
        results
    }

    #[test]
    fn embedded_results_survive_and_end_no_comment() {
        let results = results(3);
        let embedded = Embedded::new(&results).unwrap();
        let line = embedded.line();
        assert_eq!(line.matches("--").count(), 2, "{line}");
        let found = Embedded::of(&format!("<!-- first -->\n{line}\r\ntable")).unwrap();
        assert_eq!(found.results().unwrap(), results);
        assert_eq!(found.artifact(), embedded.artifact());
        assert!(Embedded::of("a table").is_none());
        let empty = Embedded::of(&format!("{OPEN}{{}}{CLOSE}")).unwrap();
        assert!(empty.results().is_err());
    }

    #[test]
    fn too_many_gates_are_not_embedded() {
        assert!(Embedded::new(&results(2000)).is_none());
    }
}
