//! Turns leaks into findings.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use leakscan::kinds::Kind;
use leakscan::kinds::Severity;
use leakscan::located::LocatedLeak;
use leakscan::located::Place;
use leakscan::rest::Rest;
use leakscan::scan::Leak;
use leakscan::scan_files::LISTED;
use leakscan::scan_text::TextReport;
use leakscan::suppression::SuppressionError;
use leakscan::suppression::SuppressionProblem;

use crate::document::Source;
use crate::domain::finding as domain;
use crate::domain::finding::Code;
use crate::domain::finding::Finding;
use crate::domain::finding::Region;
use crate::leaks::codes;

/// The help of every finding about a credential.
const ROTATE: &str = "Removing the credential from the text is not enough, because it may have been copied. Revoke it at its issuer first, then replace it with a variable or a secret of the repository.";

/// The help of every other finding.
const REPLACE: &str = "Write a placeholder such as <host>, or a variable; `nmoe-gates explain` tells more.";

/// A finding in a file, with the fingerprint of its leak.
#[derive(Clone, Debug)]
pub struct LeakFinding {
    /// The finding, with its path and region.
    pub finding: Finding,
    /// The fingerprint; `None` if the finding is not about one leak in a text.
    pub fingerprint: Option<String>,
    /// How many findings that are not listed this one states; 0 if it is a finding itself.
    pub stands_for: usize,
}

/// The findings of a scan in the order of their discovery. Keeps the first ones, and counts the others.
#[derive(Default)]
pub struct Found {
    listed: Vec<LeakFinding>,
    rest: Counts,
}

impl Found {
    /// Adds findings.
    pub fn extend(&mut self, found: impl IntoIterator<Item = LeakFinding>) {
        for leak in found {
            if self.listed.len() < LISTED {
                self.listed.push(leak);
            } else {
                let Finding { code, severity, .. } = leak.finding;
                self.rest.add(code, severity, leak.stands_for.max(1));
            }
        }
    }

    /// Returns the listed findings, and those about the others.
    pub fn finish(mut self) -> Vec<LeakFinding> {
        self.listed.extend(self.rest.findings("of this scan"));
        self.listed
    }
}

/// The number of findings of each severity and code that a scan does not list. So none hides another one, and each can be suppressed.
#[derive(Default)]
struct Counts(BTreeMap<(Reverse<domain::Severity>, &'static str), (&'static Code, usize)>);

impl Counts {
    fn add(&mut self, code: &'static Code, severity: domain::Severity, count: usize) {
        let (_, number) = self.0.entry((Reverse(severity), code.id)).or_insert((code, 0));
        *number += count;
    }

    fn of(rest: &Rest) -> Self {
        let mut counts = Counts::default();
        for (severity, kind, count) in &rest.leaks {
            counts.add(codes::of_kind(kind), codes::severity(*severity), *count);
        }
        for (reason, count) in &rest.problems {
            let code = match reason {
                SuppressionError::UnknownKind | SuppressionError::NoReason => &codes::BAD_ALLOWANCE,
                SuppressionError::Unused => &codes::UNUSED_ALLOWANCE,
            };
            counts.add(code, code.severity, *count);
        }
        counts
    }

    /// Returns a finding for each code and severity, the most severe first.
    fn findings(self, place: &str) -> impl Iterator<Item = LeakFinding> {
        self.0
            .into_iter()
            .map(move |((Reverse(severity), _), (code, count))| {
                let what = if codes::is_leak(code) { "leaks" } else { "findings" };
                let message = format!("{count} more {what} {place} are not listed");
                let finding = Finding::new(code, message).severity(severity);
                let help = "Fix the listed findings first, or scan less at once.";
                LeakFinding {
                    stands_for: count,
                    ..LeakFinding::new(finding.help(help))
                }
            })
    }
}

/// Returns the findings about what a scan of files does not list.
pub fn of_rest(rest: &Rest) -> impl Iterator<Item = LeakFinding> {
    Counts::of(rest).findings("of this scan")
}

/// The help of every finding in a commit whose text the final files do not have.
pub const HISTORY: &str = "The history of the branch keeps it. Squash or rebase the branch, so that no commit contains it; if it is a credential, revoke it at its issuer first.";

const PROPOSAL: &str = "this change proposes to suppress it; `lint pr` accepts that when a person who may write to the repository approves this head";

/// Turns a leak of a document into a finding.
pub fn of_document(source: &Source, leak: &Leak) -> Finding {
    let span = leak.shown_span(source.text().as_bytes());
    let mut finding = finding(leak.kind, leak.severity, &leak.fingerprint).at(Region::of(source, &span));
    finding.path = source.name().map(str::to_owned);
    finding
}

/// Turns the report of a file into findings, in the order of their places.
pub fn of_file(path: &str, report: TextReport) -> Vec<LeakFinding> {
    let rest = Counts::of(&report.rest).findings("in this text");
    let mut found: Vec<LeakFinding> = report.leaks.into_iter().map(|leak| located(path, leak)).collect();
    if !report.problems.is_empty() {
        found.extend(report.problems.iter().map(|problem| of_problem(path, problem)));
        found.sort_by_key(|found| found.finding.region);
    }
    found.extend(rest.map(|mut rest| {
        rest.finding.path = Some(path.to_owned());
        rest
    }));
    found
}

fn located(path: &str, leak: LocatedLeak) -> LeakFinding {
    let mut finding = finding(leak.kind, leak.severity, &leak.fingerprint).in_path(path);
    match leak.place {
        Place::Lines(lines) => finding = finding.at(region(lines)),
        Place::Byte(byte) => finding.message = format!("{} at byte {byte} of a binary file", finding.message),
    }
    LeakFinding {
        fingerprint: Some(leak.fingerprint),
        ..LeakFinding::new(finding)
    }
}

impl LeakFinding {
    /// A finding without a fingerprint.
    pub fn new(finding: Finding) -> Self {
        LeakFinding {
            finding,
            fingerprint: None,
            stands_for: 0,
        }
    }

    /// Adds that only a suppression of the change itself hides the leak.
    #[must_use]
    pub fn as_proposal(mut self) -> Self {
        self.finding.message += ", which only this change suppresses";
        self.finding.help = Some(PROPOSAL.to_owned());
        self
    }

    /// States that a commit adds the leak, and that no final file has it. The line of a commit is not a line of the final file.
    pub fn in_commit(mut self, commit: &str) -> Self {
        let line = self.finding.region.take().map(|region| region.line);
        let place = line.map_or(String::new(), |line| format!("line {line} of "));
        self.finding.message = format!("{}, in {place}commit {commit}", self.finding.message);
        self.finding.help = Some(HISTORY.to_owned());
        self
    }
}

/// Makes a finding about a leak that has no place in a file.
pub fn of_name(name: &str, kind: &'static Kind, help: &str) -> LeakFinding {
    let finding = Finding::new(codes::of_kind(kind), kind.title);
    LeakFinding::new(finding.in_path(name).help(help))
}

fn of_problem(path: &str, problem: &SuppressionProblem) -> LeakFinding {
    let kind = &problem.kind;
    let finding = match problem.reason {
        SuppressionError::UnknownKind if !codes::TABLE.iter().any(|code| code.id == kind) => Finding::new(
            &codes::BAD_ALLOWANCE,
            format!("there is no code `{kind}` to suppress"),
        ),
        SuppressionError::NoReason => Finding::new(
            &codes::BAD_ALLOWANCE,
            format!("the suppression of `{kind}` has no reason"),
        ),
        SuppressionError::Unused | SuppressionError::UnknownKind => {
            Finding::new(&codes::UNUSED_ALLOWANCE, format!("nothing here is a `{kind}`"))
                .help("Remove the suppression.")
        }
    };
    LeakFinding::new(finding.at(region(problem.region)).in_path(path))
}

fn finding(kind: &Kind, severity: Severity, fingerprint: &str) -> Finding {
    let help = if kind.is_credential { ROTATE } else { REPLACE };
    Finding::new(
        codes::of_kind(kind),
        format!("{} (fingerprint {fingerprint})", kind.title),
    )
    .severity(codes::severity(severity))
    .help(help)
}

fn region(region: leakscan::located::Region) -> Region {
    Region {
        line: region.line,
        column: region.column,
        end_line: region.end_line,
        end_column: region.end_column,
    }
}
