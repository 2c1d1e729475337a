//! Writes the sections of a published comment around the table: notices, the proposed registry, and earlier runs.
//!
//! The Markdown contains only fixed words, numbers, hexadecimal ids and quoted names.

use std::fmt::Write as _;

use crate::domain::contract::Contract;
use crate::domain::ids::short;
use crate::domain::proposal::Proposal;
use crate::domain::resolution::Resolution;
use crate::domain::resolution::Source;
use crate::domain::resolution::Standing;
use crate::domain::settings::TierAProof;
use crate::report::escape::Sink;
use crate::report::escape::cell;
use crate::report::escape::code;
use crate::report::escape::text;
use crate::report::number;

/// Maximum number of earlier runs that are shown.
const SHOWN: usize = 10;

/// An earlier run of the same pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// Its outcome, one word.
    pub outcome: String,
    /// The head commit of the run.
    pub head: Option<String>,
    /// Start of the run, RFC 3339 in UTC.
    pub at: Option<String>,
    /// The number of gates per verdict, in a few words.
    pub says: String,
    /// Address of the log.
    pub url: Option<String>,
}

/// Formats a notice above the table. The sentence must not contain text of others.
pub fn notice(sentence: &str) -> String {
    format!("> [!WARNING]\n> {sentence}\n\n")
}

/// Formats the section that replaces a refused table.
pub fn refusal(bundle: Option<&str>, why: &str, about: &str) -> String {
    let bundle = bundle
        .map(|bundle| format!(": {}", code(Sink::Markdown, bundle)))
        .unwrap_or_default();
    format!(
        "### Gates{bundle} — ⚠️ refused\n\n**Nothing was proven: {why}.** The expected commit is {}.\n\n\
         See the log of the job. Run the gates again. If this happens again, find out what in the change modifies the records of the run.\n",
        code(Sink::Markdown, about)
    )
}

/// Formats the gates of Tier A that the contract requires and the run does not contain.
pub fn tier_a(attested: &[String], missing: &[String], proof: TierAProof) -> String {
    let list = |ids: &[String]| listed(ids.iter().map(String::as_str));
    let mut text = String::new();
    if !attested.is_empty() {
        text += &format!(
            "\nTier A: attested by the author, not run here: {}.\n",
            list(attested)
        );
    }
    if !missing.is_empty() {
        let lacks = match proof {
            TierAProof::Attest => "not attested** for this head",
            TierAProof::Run => "not run** here",
        };
        text += &format!("\nTier A: **{lacks}: {}.\n", list(missing));
    }
    text
}

/// Formats the registry that the pull request proposes. Rows beyond `room` bytes are counted.
pub fn proposal(proposal: &Proposal, source: Source, room: usize) -> String {
    let (title, says) = match source {
        Source::Base => (
            "proposed, not active",
            "This change edits the registry of gates. The table above uses the registry of the base. The following changes take effect after the merge.",
        ),
        Source::Proposed => (
            "proposed, and active by choice of a maintainer",
            "This change edits the registry of gates, and a maintainer chose to run the proposed definitions. The table above uses them.",
        ),
    };
    let mut out = format!("\n<details open><summary>Registry: {title}</summary>\n\n{says}\n\n");
    if proposal.sha256.is_none() {
        out += "The change removes the registry.\n";
    } else if !proposal.readable {
        out += "The proposed file is not a valid registry.\n";
    } else if proposal.changes.is_empty() {
        out += "No gate, bundle or target changes, only comments or the order.\n";
    } else {
        out += "| What | Name | Change | Keys |\n|:--|:--|:--|:--|\n";
        let mut more = proposal.more + proposal.changes.len();
        for change in &proposal.changes {
            let keys: Vec<String> = change.keys.iter().map(|key| code(Sink::Markdown, key)).collect();
            let row = format!(
                "| {} | {} | {} | {} |\n",
                change.table.as_str(),
                cell(&code(Sink::Markdown, &change.name)),
                change.how.as_str(),
                cell(&keys.join(", "))
            );
            if out.len() + row.len() > room {
                break;
            }
            out += &row;
            more -= 1;
        }
        if more > 0 {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "\nand {more} more.");
        }
    }
    out += "\n</details>\n";
    out
}

/// What a contract agrees, under the budget of the policy.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    pub contract: &'a Contract,
    pub policy_pct: f64,
}

/// Maximum number of paths and gates of a contract that are shown.
const TERMS: usize = 30;

/// Lists names in code, and counts those that are too many.
fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = names.len().saturating_sub(TERMS);
    let mut shown: Vec<String> = names.take(TERMS).map(|name| code(Sink::Markdown, name)).collect();
    if more > 0 {
        shown.push(format!("and {more} more"));
    }
    shown.join(", ")
}

/// Formats what a maintainer approves: commits, gates, cost, contract with its terms, and the findings of the lints.
pub fn resolution(resolution: &Resolution, terms: Option<Terms<'_>>) -> String {
    let md = |name: &str| code(Sink::Markdown, name);
    let mut out = String::from("### Tier B: what is to be approved\n\n| What | Which |\n|:--|:--|\n");
    let mut row = |what: &str, which: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "| {what} | {} |", cell(which));
    };
    row("pull request", &resolution.pull.to_string());
    row("head", &md(&resolution.head));
    row(
        "base",
        &format!(
            "{} of branch {}",
            md(&resolution.base),
            md(&resolution.base_branch)
        ),
    );
    row("merge, the commit under test", &md(&resolution.merge));
    let gates: Vec<String> = resolution.gate_ids.iter().map(|id| md(id)).collect();
    let bundle = resolution.bundle.as_deref().map(md).unwrap_or_default();
    row("gates", &format!("{bundle} {}", gates.join(", ")));
    if !resolution.uncovered.is_empty() {
        let more: Vec<String> = resolution.uncovered.iter().map(|id| md(id)).collect();
        row(
            "**not covered**, though the contract requires it",
            &more.join(", "),
        );
    }
    match resolution.gpu_minutes {
        Some(minutes) => row(
            "cost at most",
            &format!("{} GPU-minutes", number::quantity(minutes)),
        ),
        None => row("cost at most", "unlimited: a gate on GPUs has no `timeout_s`"),
    }
    match &resolution.contract {
        None => row(
            "contract",
            "**none**: the pull request closes no issue with a contract",
        ),
        Some(contract) => {
            row(
                "contract",
                &format!("issue {}, {}", contract.issue, md(&contract.sha256)),
            );
            let who = |login: &Option<String>| login.as_deref().map_or("unknown".to_owned(), md);
            let association = contract.association.as_deref().unwrap_or("unknown association");
            row(
                "written by",
                &format!("{}, {}", who(&contract.author), md(association)),
            );
            match contract.standing {
                Standing::Written => {}
                Standing::Adopted => row("adopted by", &who(&contract.adopted_by)),
                Standing::Unconfirmed => row(
                    "**not confirmed**",
                    "nobody with write access wrote or adopted the contract, so a pass stays pending",
                ),
            }
            if let Some(at) = &contract.edited_at {
                row(
                    "last edited",
                    &format!("by {}, {}", who(&contract.editor), md(at)),
                );
            }
        }
    }
    if let Some(Terms { contract, policy_pct }) = terms {
        let names = |names: &[String]| listed(names.iter().map(String::as_str));
        row(
            "gates that the contract requires",
            &listed(contract.gates.required.iter().map(|id| id.as_str())),
        );
        row("may change", &names(&contract.scope.allow));
        if !contract.scope.deny.is_empty() {
            row("must not change", &names(&contract.scope.deny));
        }
        if let Some(perf) = &contract.gates.perf {
            let percent = |value| format!("{} %", number::percent(value, true));
            let mut budget = percent(perf.within(policy_pct));
            if perf.budget_pct < policy_pct {
                let _ = write!(
                    budget,
                    " by the policy; **the contract asks for {}**, and may only be stricter",
                    percent(perf.budget_pct)
                );
            }
            row("throughput budget", &budget);
        }
    }
    let findings = &resolution.findings;
    row(
        "lint of contract and attestation",
        &format!("{} errors, {} warnings", findings.errors, findings.warnings),
    );
    for finding in &findings.shown {
        let _ = writeln!(
            out,
            "\n- {} {}: {}",
            finding.severity.as_str(),
            md(&finding.code),
            text(Sink::Markdown, &finding.message)
        );
    }
    if let Some(proposed) = &resolution.registry.proposed {
        out += &proposal(proposed, resolution.registry.source, usize::MAX);
    }
    out
}

/// Formats the earlier runs, newest first, in a folded section.
pub fn history(past: &[Past]) -> String {
    if past.is_empty() {
        return String::new();
    }
    let mut out = format!(
        "\n<details><summary>Earlier runs: {}</summary>\n\n| Began | Outcome | Head | Gates |\n|:--|:--|:--|:--|\n",
        past.len()
    );
    for run in past.iter().take(SHOWN) {
        let began = run.at.as_deref().unwrap_or("–");
        let began = match &run.url {
            Some(url) => format!("[{began}]({url})"),
            None => began.to_owned(),
        };
        let head = run
            .head
            .as_deref()
            .map_or_else(|| "–".to_owned(), |id| code(Sink::Markdown, short(id)));
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "| {began} | {} | {head} | {} |",
            run.outcome,
            run.says.replace('_', " ")
        );
    }
    out += "\n</details>\n";
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::proposal::{Change, How, Table};

    #[test]
    fn a_hostile_name_stays_in_its_cell() {
        let name = "x` | @team <img src=//e> ](//e)\n::error::".to_owned();
        let change = Change {
            table: Table::Gate,
            name,
            how: How::Added,
            keys: Vec::new(),
        };
        let shown = proposal(
            &Proposal {
                sha256: Some(crate::domain::ids::Sha256::of(b"a registry")),
                readable: true,
                changes: vec![change],
                more: 3,
            },
            Source::Base,
            usize::MAX,
        );
        let row = shown.lines().find(|l| l.starts_with("| gate")).unwrap();
        assert_eq!(
            row,
            "| gate | ``x` \\| @team <img src=//e> ](//e)\\n::error::`` | added |  |"
        );
        assert!(shown.contains("not active") && shown.contains("and 3 more"));
    }
}
