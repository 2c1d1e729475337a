//! Checks of `doctor` for what the registry needs: programs, variables, files, shared data, GPUs.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::cmd::doctor::check::{Check, State, listed};
use crate::domain::registry::{Gate, Registry, Tier};
use crate::domain::verdict::Reason;
use crate::kernel::driver::{self, Need};
use crate::kernel::host::Limits;
use crate::system::files;

/// Runs every check of this file. A thing that only Tier B needs has the state `tier_b` if it is absent.
pub(super) fn checks(registry: &Registry, subject: &Path, tier_b: State) -> Vec<Check> {
    let mut checks = programs(registry, tier_b);
    checks.extend(environment(registry, tier_b));
    checks.extend(files(registry, subject));
    checks.extend(read_only_data(registry));
    checks.push(gpus(registry, tier_b));
    checks
}

/// Returns each needed variable or file, with the gates that need it.
fn needs<'a>(
    registry: &'a Registry,
    of: impl Fn(&'a Gate) -> &'a [String],
) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut needs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (id, gate) in &registry.gates {
        for need in of(gate) {
            needs.entry(need).or_default().push(id);
        }
    }
    needs
}

/// Checks the programs that the commands of the gates start with.
fn programs(registry: &Registry, tier_b: State) -> Vec<Check> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut needed: BTreeMap<&str, Vec<(&str, Tier)>> = BTreeMap::new();
    for (id, gate) in &registry.gates {
        if let Some(program) = gate.cmd.as_deref().and_then(program) {
            needed.entry(program).or_default().push((id, gate.tier));
        }
    }
    let absent = needed
        .into_iter()
        .filter(|(program, _)| !files::on_path(&path, program));
    absent
        .map(|(program, gates)| {
            let here = gates.iter().any(|(_, tier)| *tier == Tier::A);
            let ids: Vec<&str> = gates.iter().map(|(id, _)| *id).collect();
            Check::not(
                if here { State::Missing } else { tier_b },
                "tools",
                format!(
                    "{program} is not on PATH; the command of {} begins with it",
                    listed(&ids)
                ),
                format!("install {program}, or name in the command what this machine has"),
            )
        })
        .collect()
}

/// Returns the program that a command starts with. Returns nothing for a shell builtin, a path, or a word that needs expansion.
fn program(cmd: &str) -> Option<&str> {
    const SHELLS_OWN: [&str; 22] = [
        "[", ":", "case", "cd", "command", "echo", "eval", "exec", "exit", "export", "false", "for", "if",
        "printf", "set", "source", "test", "trap", "true", "until", "wait", "while",
    ];
    cmd.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip_while(|word| word.contains('='));
        let word = words.next()?;
        let plain = word
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_+.-".contains(&b));
        let named = plain && word.starts_with(|c: char| c.is_ascii_alphanumeric());
        (named && !SHELLS_OWN.contains(&word)).then_some(word)
    })
}

fn environment(registry: &Registry, tier_b: State) -> Vec<Check> {
    let set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    needs(registry, |gate| &gate.requires)
        .into_iter()
        .map(|(name, gates)| {
            if set(name) {
                Check::ok("environment", format!("{name} is set"))
            } else {
                Check::not(
                    tier_b,
                    "environment",
                    format!("{name} is not set; needed by {}", listed(&gates)),
                    "set it in the runner's configuration; its value stays out of issues and pull requests",
                )
            }
        })
        .collect()
}

fn files(registry: &Registry, subject: &Path) -> Vec<Check> {
    needs(registry, |gate| &gate.requires_files)
        .into_iter()
        .filter(|(file, _)| !subject.join(file).is_file())
        .map(|(file, gates)| {
            Check::not(
                State::Missing,
                "files",
                format!("{file} does not exist; needed by {}", listed(&gates)),
                Reason::MissingFile.remedy(),
            )
        })
        .collect()
}

/// Checks that a gate cannot write to data that all runs share.
fn read_only_data(registry: &Registry) -> Vec<Check> {
    let mut checks = Vec::new();
    for name in needs(registry, |gate| &gate.requires).into_keys() {
        let shared = name.contains("DATA") || name.contains("FROZEN");
        let Some(dir) = std::env::var_os(name).filter(|_| shared) else {
            continue;
        };
        if !Path::new(&dir).is_dir() {
            checks.push(Check::not(
                State::Missing,
                "data",
                format!("{name} names no folder"),
                "mount the data there",
            ));
        } else if tempfile::Builder::new()
            .prefix(".nmoe-gates-")
            .tempfile_in(&dir)
            .is_ok()
        {
            checks.push(Check::not(
                State::Hint,
                "data",
                format!("what {name} names can be written"),
                "mount it read-only: every run shares it, and the code of a change could damage it for later runs",
            ));
        } else {
            checks.push(Check::ok("data", format!("what {name} names is read-only")));
        }
    }
    checks
}

fn gpus(registry: &Registry, tier_b: State) -> Check {
    let target = registry.target();
    // A gate in a job needs the GPUs of other machines.
    let here = registry
        .gates
        .values()
        .filter(|g| matches!(registry.submits(g), Ok(None)));
    let most = here.map(|g| g.gpus).max().unwrap_or_default();
    let need = Need::of(&target, most.max(1));
    let limits = Limits {
        step: Duration::from_secs(10),
        whole: Duration::from_secs(15),
        ..Limits::default()
    };
    match driver::check_machine(&driver::probe(&limits), &need) {
        Ok(driver) => Check::ok("gpus", driver::census(&driver)),
        Err(refusal) => Check::not(tier_b, "gpus", refusal.message(), refusal.reason.remedy()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_of_command_is_found() {
        for (cmd, wanted) in [
            ("python -m pytest", Some("python")),
            (
                "\nset -euo pipefail\nA=1 torchrun --n 8 \\\n  -m x\n",
                Some("torchrun"),
            ),
            ("true", None),
            ("./run.sh", None),
            ("\"$PYTHON\" x", None),
            ("( cd x && y )", None),
            ("", None),
        ] {
            assert_eq!(program(cmd), wanted, "{cmd}");
        }
    }
}
