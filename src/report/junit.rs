//! Formats results as JUnit XML. A gate without a verdict is an error, because a viewer must not show it green.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use crate::domain::results::{GateResult, Results};
use crate::domain::verdict::Verdict;
use crate::terminal::escape::visible;

/// Returns the XML text.
pub fn xml(results: &Results) -> Result<String, SerializeError> {
    let name = visible(results.bundle.as_deref().unwrap_or("gates"));
    let mut suite = TestSuite::new(&*name);
    let e = &results.evidence;
    for (name, value) in [
        ("merge", e.merge.as_deref()),
        ("head", e.head.as_deref()),
        ("base", e.base.as_deref()),
        ("tool", e.tool.as_deref()),
    ] {
        if let Some(value) = value {
            suite.add_property(Property::new(name, &*visible(value)));
        }
    }
    if e.rehearsal {
        suite.add_property(Property::new("rehearsal", "true"));
    }
    for gate in &results.uncovered {
        suite.add_property(Property::new("uncovered", &*visible(gate)));
    }
    let red = results
        .results
        .values()
        .any(|r| !matches!(r.status, Verdict::Pass | Verdict::NotRun));
    for id in &results.gate_ids {
        if let Some(result) = results.results.get(id) {
            suite.add_test_case(case(id, &name, result, red));
        }
    }
    if let Some(time) = results.duration_s.and_then(seconds) {
        suite.set_time(time);
    }
    let mut report = Report::new("nmoe-gates");
    if let Some(time) = results.duration_s.and_then(seconds) {
        report.set_time(time);
    }
    report.add_test_suite(suite);
    report.to_string()
}

/// `class` is the name of the suite. Viewers identify a test by class and name, so neither may depend on the verdict.
fn case(id: &str, class: &str, result: &GateResult, red: bool) -> TestCase {
    let mut status = match result.status {
        Verdict::Pass => TestCaseStatus::success(),
        Verdict::Fail => TestCaseStatus::non_success(NonSuccessKind::Failure),
        // Viewers show skipped tests as harmless, so another test case of the suite must fail.
        Verdict::NotRun if red => TestCaseStatus::skipped(),
        Verdict::NotRun
        | Verdict::Inconclusive
        | Verdict::Invalid
        | Verdict::Pending
        | Verdict::Cancelled => TestCaseStatus::non_success(NonSuccessKind::Error),
    };
    if result.status != Verdict::Pass {
        status.set_type(result.reason.map_or(result.status.as_str(), |r| r.as_str()));
        if let Some(reason) = result.reason {
            status.set_message(reason.message());
            status.set_description(reason.remedy());
        }
    }
    let mut case = TestCase::new(&*visible(id), status);
    case.set_classname(class);
    if let Some(time) = result.duration_s.and_then(seconds) {
        case.set_time(time);
    }
    if let Some(p50) = result.node_tps_p50 {
        case.add_property(Property::new("node_tps_p50", p50.to_string()));
    }
    case
}

fn seconds(s: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(s).ok()
}
