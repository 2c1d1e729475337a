//! Tests the formats that the help of each command lists.

use crate::driver::Sandbox;
use crate::exit_codes::PAGES;
use crate::support::registry::registry;

/// A format that the help does not list is refused, and a format that it lists is not.
#[test]
fn format_accepts_only_listed_formats() {
    let all = [
        "human", "json", "github", "sarif", "junit", "terminal", "summary", "comment", "html", "in-toto",
        "matrix", "mermaid", "dot",
    ];
    let sandbox = Sandbox::new();
    sandbox
        .registry(&registry().tier_a("cpu:import", "true"))
        .git(["init", "-q"]);
    let mut refusals = 0;
    for (name, help) in PAGES
        .iter()
        .filter(|(_, help)| help.contains("--format <FORMAT>"))
    {
        let list = help.split("--format <FORMAT>").nth(1).unwrap();
        let list = list.split_whitespace().collect::<Vec<_>>().join(" ");
        let list = list
            .split("possible values: ")
            .nth(1)
            .unwrap()
            .split(']')
            .next()
            .unwrap();
        let listed: Vec<&str> = list.split(',').map(str::trim).collect();
        assert!(
            listed.iter().all(|format| all.contains(format)),
            "{name}: {listed:?}"
        );
        let example = help
            .split("Examples:\n")
            .nth(1)
            .unwrap()
            .lines()
            .next()
            .unwrap()
            .trim();
        // `human` is the default of every command. One unlisted format stands for all.
        let unlisted = all.iter().find(|format| !listed.contains(format)).copied();
        for format in listed
            .iter()
            .copied()
            .filter(|format| *format != "human")
            .chain(unlisted)
        {
            let words = example.split(' ').skip(1).chain(["--format", format]);
            let said = sandbox.gates(words).run().any_code().any_output().any_files();
            let refused = said.stderr.contains("this command has no such format");
            refusals += usize::from(refused);
            assert_eq!(
                refused,
                !listed.contains(&format),
                "{name} --format {format}: {}",
                said.stderr
            );
        }
    }
    assert!(refusals > 30, "{refusals}");
}
