//! Plants each fault into a clean workflow, and expects exactly one finding on its line.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use super::*;

const CLEAN: &str = r#"name: gates
on: workflow_dispatch
permissions: {}
jobs:
  gates:
    runs-on: b200
    timeout-minutes: 90
    permissions:
      contents: read
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
        with:
          persist-credentials: false
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1
        with:
          ref: ${{ needs.resolve.outputs.merge }}
          path: subject
          persist-credentials: false
      - uses: ./
        with:
          command: run
      - env:
          BUNDLE: ${{ inputs.bundle }}
        run: |
          python - <<'PY'
          import re
          print(re.findall(r"\bnode_tps: ([0-9,]+)", "x\n"))
          PY
"#;

fn codes_of(text: &str) -> Vec<(&'static str, u32)> {
    lint(&Source::new(None, text))
        .iter()
        .map(|f| (f.code.id, f.region.unwrap().line))
        .collect()
}

fn planted(from: &str, to: &str) -> Vec<(&'static str, u32)> {
    assert!(CLEAN.contains(from), "{from}");
    codes_of(&CLEAN.replacen(from, to, 1))
}

#[test]
fn a_clean_workflow_has_no_findings() {
    assert_eq!(codes_of(CLEAN), []);
}

#[test]
fn each_fault_is_found_where_it_stands() {
    let write = planted("      contents: read", "      contents: write");
    assert_eq!(
        write,
        [
            ("workflow-write-beside-change", 9),
            ("workflow-self-hosted-write", 9)
        ]
        .into_iter()
        .rev()
        .collect::<Vec<_>>()
    );
    assert_eq!(
        planted("${{ needs.resolve.outputs.merge }}", "refs/pull/7/merge"),
        [("workflow-moving-ref", 16)]
    );
    assert_eq!(
        planted(
            "          path: subject\n          persist-credentials: false",
            "          path: subject"
        ),
        [("workflow-persisted-credential", 16)]
    );
    assert_eq!(
        planted("          path: subject\n", ""),
        [("workflow-policy-from-change", 18)]
    );
    assert_eq!(
        planted(r#"r"\bnode"#, r#"r"\\bnode"#),
        [("workflow-doubled-backslash", 27)]
    );
    assert_eq!(
        planted(r#""x\n""#, r#""x\\n""#),
        [("workflow-doubled-backslash", 27)]
    );
    assert_eq!(
        planted("import re", "git worktree add ../base"),
        [("workflow-unbuilt-baseline", 26)]
    );
    assert_eq!(
        planted("3d3c42e5aac5ba805825da76410c181273ba90b1", "v7"),
        [("workflow-unpinned-action", 11)]
    );
    assert_eq!(
        planted("permissions: {}\n", "").first().copied(),
        None,
        "each job names its own permissions, so the default never applies"
    );
    assert_eq!(
        planted("on: workflow_dispatch", "on: ["),
        [("workflow-unreadable", 2)]
    );
}

#[test]
fn self_reference_is_untrusted_on_pull_requests() {
    let own = planted("uses: ./", "uses: $/");
    assert_eq!(own, []);
    let text = CLEAN
        .replace("uses: ./", "uses: $/")
        .replace("on: workflow_dispatch", "on: pull_request");
    assert!(
        codes_of(&text).contains(&("workflow-policy-from-change", 19)),
        "{:?}",
        codes_of(&text)
    );
}

#[test]
fn self_reference_is_untrusted_in_merge_queues() {
    let queue = CLEAN
        .replace("uses: ./", "uses: $/")
        .replace("on: workflow_dispatch", "on: [workflow_dispatch, merge_group]");
    let with =
        |condition: &str| codes_of(&queue.replace("    runs-on:", &format!("{condition}    runs-on:")));
    let found = |n| [("workflow-policy-from-change", n)];
    assert_eq!(with(""), found(19));
    assert_eq!(
        with("    if: ${{ github.event_name == 'merge_group' }}\n"),
        found(20)
    );
    assert_eq!(
        with("    if: ${{ github.event_name == 'workflow_dispatch' }}\n"),
        []
    );
    assert_eq!(with("    needs: resolve\n"), []);
}

#[test]
fn dead_runtime_is_found_in_three_places() {
    let pin = "3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1";
    assert_eq!(
        planted(pin, "11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2"),
        [("workflow-dead-runtime", 11)]
    );
    assert_eq!(
        planted(pin, "v4"),
        [("workflow-unpinned-action", 11), ("workflow-dead-runtime", 11)]
    );
    assert_eq!(planted(pin, "3d3c42e5aac5ba805825da76410c181273ba90b1"), []);
    let action = "name: x\npermissions: {}\nruns:\n  using: node20\n  main: x.js\n";
    assert_eq!(codes_of(action), [("workflow-dead-runtime", 4)]);
    assert_eq!(codes_of(&action.replace("node20", "node24")), []);
}

#[test]
fn pull_request_without_rights_is_no_error() {
    let text = "on: pull_request\npermissions: {}\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    permissions:\n      pull-requests: write\n    \
                steps:\n      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1\n        with:\n          \
                ref: ${{ github.head_ref }}\n      - uses: ./.github/actions/setup\n      - run: echo ${{ matrix.target }}\n";
    assert_eq!(codes_of(text), []);
    let own = text.replace(
        "uses: ./.github/actions/setup",
        "uses: ./\n        with:\n          command: run",
    );
    let own = own.replace("        with:\n          ref: ${{ github.head_ref }}\n", "");
    assert_eq!(codes_of(&own), [("workflow-policy-from-change", 10)]);
}

#[test]
fn runner_labels_are_read_in_every_form() {
    let text = "jobs:\n  a:\n    runs-on: b200\n    environment: b200-gates\n  b:\n    runs-on: [self-hosted, Linux, X64, big]\n    environment:\n      name: prod\n  \
                c:\n    runs-on:\n      group: g\n      labels: ubuntu-24.04\n  d:\n    runs-on: ${{ matrix.runner }}\n    environment: ${{ inputs.e }}\n  e:\n    uses: ./x.yml\n";
    let asked: Vec<_> = asked(&Source::new(None, text))
        .into_iter()
        .map(|a| (a.job, a.labels, a.environment))
        .collect();
    let own = |job: &str, labels: &[&str], environment: Option<&str>| {
        let labels: Vec<String> = labels.iter().map(|l| (*l).to_owned()).collect();
        (job.to_owned(), labels, environment.map(str::to_owned))
    };
    let wanted = [
        own("a", &["b200"], Some("b200-gates")),
        own("b", &["big"], Some("prod")),
        own("c", &[], None),
        own("d", &[], None),
        own("e", &[], None),
    ];
    assert_eq!(asked, wanted);
}

#[test]
fn explanation_names_every_known_action() {
    for (action, first) in runtime::FIRST {
        let named = format!("`{action}` v{first}");
        assert!(codes::DEAD_RUNTIME.explain.contains(&named), "{named}");
    }
}
