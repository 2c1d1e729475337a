//! Turns leaks into findings.

use leakscan::kinds::Kind;
use leakscan::kinds::Severity;
use leakscan::located::LocatedLeak;
use leakscan::located::Place;
use leakscan::scan::Leak;
use leakscan::scan_files::LISTED;
use leakscan::scan_files::Rest;
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
    /// The fingerprint; `None` if the finding is about a suppression.
    pub fingerprint: Option<String>,
}

/// The findings of a scan in the order of their discovery. Keeps the first ones, and counts the others.
#[derive(Default)]
pub struct Found {
    listed: Vec<LeakFinding>,
    rest: usize,
    worst: Option<Finding>,
}

impl Found {
    /// Adds findings.
    pub fn extend(&mut self, found: impl IntoIterator<Item = LeakFinding>) {
        for leak in found {
            if self.listed.len() < LISTED {
                self.listed.push(leak);
                continue;
            }
            self.rest += 1;
            if self
                .worst
                .as_ref()
                .is_none_or(|worst| worst.severity < leak.finding.severity)
            {
                self.worst = Some(leak.finding);
            }
        }
    }

    /// Returns the listed findings, and one for the others.
    pub fn finish(mut self) -> Vec<LeakFinding> {
        let rest = self
            .worst
            .map(|worst| rest(self.rest, worst.code, worst.severity));
        self.listed.extend(rest);
        self.listed
    }
}

/// Makes a finding about the leaks that a scan does not list.
fn rest(count: usize, code: &'static Code, severity: domain::Severity) -> LeakFinding {
    let message = format!("{count} more leaks of this scan are not listed");
    let finding = Finding::new(code, message).severity(severity);
    LeakFinding {
        finding: finding.help("Fix the listed leaks first, or scan a part of the files."),
        fingerprint: None,
    }
}

/// Makes a finding about the files that a scan does not list; `None` if it lists all.
pub fn of_rest(leaks: &Rest) -> Option<LeakFinding> {
    let (severity, kind) = leaks.worst?;
    Some(rest(leaks.count, codes::of_kind(kind), codes::severity(severity)))
}

/// The help of every finding in a commit whose text the final files do not have.
pub const HISTORY: &str = "The history of the branch keeps it. Squash or rebase the branch, so that no commit contains it; if it is a credential, revoke it at its issuer first.";

/// Turns a leak of a document into a finding.
pub fn of_document(source: &Source, leak: &Leak) -> Finding {
    let span = leak.shown_span(source.text().as_bytes());
    let mut finding = finding(leak.kind, leak.severity, &leak.fingerprint).at(Region::of(source, &span));
    finding.path = source.name().map(str::to_owned);
    finding
}

/// Turns the report of a file into findings, in the order of their places.
pub fn of_file(path: &str, report: TextReport) -> Vec<LeakFinding> {
    let unlisted = report.leaks.last().filter(|_| report.unlisted > 0).map(|last| {
        let message = format!("{} more leaks in this text are not listed", report.unlisted);
        LeakFinding {
            finding: Finding::new(codes::of_kind(last.kind), message)
                .in_path(path)
                .help("Fix the listed leaks first, or scan a part of the text."),
            fingerprint: None,
        }
    });
    let mut found: Vec<LeakFinding> = report.leaks.into_iter().map(|leak| located(path, leak)).collect();
    found.extend(unlisted);
    if !report.problems.is_empty() {
        found.extend(report.problems.iter().map(|problem| of_problem(path, problem)));
        found.sort_by_key(|found| found.finding.region);
    }
    found
}

fn located(path: &str, leak: LocatedLeak) -> LeakFinding {
    let mut finding = finding(leak.kind, leak.severity, &leak.fingerprint).in_path(path);
    match leak.place {
        Place::Lines(lines) => finding = finding.at(region(lines)),
        Place::Byte(byte) => finding.message = format!("{} at byte {byte} of a binary file", finding.message),
    }
    LeakFinding {
        finding,
        fingerprint: Some(leak.fingerprint),
    }
}

impl LeakFinding {
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
    let finding = Finding::new(codes::of_kind(kind), kind.title)
        .in_path(name)
        .help(help);
    LeakFinding {
        finding,
        fingerprint: None,
    }
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
    LeakFinding {
        finding: finding.at(region(problem.region)).in_path(path),
        fingerprint: None,
    }
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
