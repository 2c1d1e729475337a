//! Tests that each trap of YAML and of path patterns is found, with the way out in its help.

use serde_json::Value;

use crate::driver::Sandbox;
use crate::support::contract::contract;
use crate::support::results::REGISTRY;

fn checkout() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox
        .file("configs/gates/gates.toml", REGISTRY)
        .file("nmoe/train.py", "");
    sandbox
}

fn lint(sandbox: &Sandbox, body: &str) -> Vec<Value> {
    let json = sandbox
        .gates(["lint", "contract", "-", "--format", "json"])
        .stdin(body)
        .run()
        .findings();
    json["findings"].as_array().unwrap().clone()
}

#[test]
fn help_of_yaml_trap_names_way_out() {
    let good = contract("07", "loader").allow("nmoe/**").yaml();
    let sandbox = checkout();
    assert_eq!(lint(&sandbox, &good), Vec::<Value>::new());
    for (before, after, code, help) in [
        (
            "issue: 07",
            "issue: #12",
            "empty-value",
            "YAML reads `#12` as a comment",
        ),
        (
            "slug: loader",
            "slug: #loader",
            "empty-value",
            "YAML reads `#loader` as a comment",
        ),
        ("[nmoe/**]", "[**]", "invalid-yaml", "needs quotes: `\"**\"`"),
        (
            "[nmoe/**]",
            "[nmoe/a, **/b.py]",
            "invalid-yaml",
            "needs quotes: `\"**/b.py\"`",
        ),
        ("[nmoe/**]", "[*.py]", "invalid-yaml", "needs quotes: `\"*.py\"`"),
        (
            "allow: [nmoe/**]",
            "allow:\n    - **/x",
            "invalid-yaml",
            "needs quotes: `\"**/x\"`",
        ),
        (
            "[nmoe/**]",
            "[*nmoe]",
            "invalid-yaml",
            "needs quotes: `\"*nmoe\"`",
        ),
        (
            "  slug: loader",
            "\tslug: loader",
            "invalid-yaml",
            "indent it with spaces",
        ),
        ("  slug: loader", "\u{a0} slug: loader", "invalid-yaml", "U+00A0"),
        ("slug: loader", "slug:\u{a0}loader", "invalid-yaml", "U+00A0"),
        (
            "issue: 07",
            "issue: “07”",
            "invalid-issue-id",
            "typographic quotation marks",
        ),
        ("[nmoe/**]", "[“nmoe/**”]", "invalid-glob", "not a quotation mark"),
        (
            "  slug: loader",
            "    slug: loader",
            "invalid-yaml",
            "indent this key as far as the key above",
        ),
        (
            "  slug: loader",
            " slug: loader",
            "invalid-yaml",
            "indent keys of one map",
        ),
        (
            "slug: loader",
            "slug: a: b",
            "invalid-yaml",
            "put text that contains `: ` into quotes",
        ),
        (
            "- TOML-only configuration; container-first",
            "- {a,b}",
            "wrong-type",
            "`{` begins a map",
        ),
    ] {
        let body = good.replacen(before, after, 1);
        assert_ne!(body, good, "{after}");
        let found = lint(&sandbox, &body);
        assert!(
            found
                .iter()
                .any(|f| f["code"] == code && f["help"].as_str().unwrap_or_default().contains(help)),
            "{after}: {found:#?}"
        );
    }
}

/// A `deny` pattern with such a character looks right in a review, and matches nothing.
#[test]
fn deceptive_pattern_is_error_everywhere() {
    let sandbox = checkout();
    sandbox.git(["init", "-q", "-b", "master"]);
    sandbox.file("nmoe/csrc/rdep.cu", "a\n");
    sandbox.git(["add", "-A"]);
    sandbox.git(["commit", "-qm", "Begin"]);
    sandbox.git(["checkout", "-qb", "issue/07-loader"]);
    sandbox.file("nmoe/csrc/rdep.cu", "b\n");
    sandbox.git(["commit", "-qam", "Change a denied file"]);
    for (deny, part) in [
        ("“nmoe/csrc/**”", "not a quotation mark"),
        ("nmoe/csrc\u{a0}/**", "U+00A0"),
        ("nmoe/\u{200b}csrc/**", "U+200B"),
        ("nmoe/cs\u{ad}rc/**", "U+00AD"),
        ("nmoe/\u{200f}csrc/**", "U+200F"),
        ("nmoe/\u{441}src/**", "U+0441"),
        ("nmoe\u{2215}csrc/**", "U+2215) at character 5"),
        ("nmoe/csrc/rdep\u{a4f8}cu", "U+A4F8) at character 15"),
        ("nmoe/cs\u{ab81}c/**", "U+AB81"),
        (" nmoe/csrc/**", "a space at character 1"),
        ("nmoe/csrc/** ", "a space at character 13"),
        (":(glob)nmoe/csrc/**", "write `nmoe/csrc/**`"),
        (":/nmoe/csrc/**", "write `nmoe/csrc/**`"),
        (":!nmoe/csrc/**", "put `nmoe/csrc/**` into `deny`"),
        ("!nmoe/csrc/**", "put `nmoe/csrc/**` into `deny`"),
    ] {
        let body = contract("07", "loader")
            .allow("nmoe/**")
            .deny(&format!("\"{deny}\""))
            .yaml();
        let found = lint(&sandbox, &body);
        assert!(
            found
                .iter()
                .any(|f| f["code"] == "invalid-glob" && f["help"].as_str().unwrap().contains(part)),
            "{found:#?}"
        );
        std::fs::write(sandbox.path("issue.yml"), &body).unwrap();
        let scope = sandbox
            .gates(["lint", "scope", "--contract", "../issue.yml", "--format", "json"])
            .run()
            .findings();
        let first = &scope["findings"][0];
        assert_eq!(first["code"], "invalid-glob", "{scope:#}");
        assert!(first["help"].as_str().unwrap().contains(part), "{scope:#}");
    }
    let registry = format!("[target.b200]\nkernels = [\"nmoe/\u{200b}csrc/*.so\"]\n{REGISTRY}");
    sandbox.file("configs/gates/gates.toml", registry);
    sandbox
        .gates(["lint", "registry"])
        .run()
        .exits(1)
        .prints("error[invalid-glob]");
}

#[test]
fn invariant_needs_whole_words_or_its_id() {
    let sandbox = checkout();
    let sentence = "No NCCL all-to-all on the MoE path";
    let good = contract("07", "loader").allow("nmoe/**").yaml();
    let missing = |text: &str| {
        let found = lint(&sandbox, &good.replacen(sentence, text, 1));
        found.iter().any(|f| f["code"] == "missing-invariant")
    };
    for text in [
        "no-nccl-a2a",
        "NCCL all-to-all is forbidden on the MoE path",
        "Never use ncclAllToAll or any a2a; RDEP only",
        "\"Moe path: all to all is avoided\"",
    ] {
        assert!(!missing(text), "{text}");
    }
    for text in [
        "NCCL all-to-all on the MoE path where bandwidth allows",
        "Nothing but NCCL all-to-all on the MoE path",
        "Use NCCL all-to-all freely on the MoE path",
        "no-nccl-a2x",
    ] {
        assert!(missing(text), "{text}");
    }
    let ids = good.replacen(
        "    - B200-only (sm_100a); fail off-target\n    - No NCCL all-to-all on the MoE path\n    \
         - TOML-only configuration; container-first\n",
        "    - b200-only\n    - no-nccl-a2a\n    - toml-container\n",
        1,
    );
    assert_eq!(lint(&sandbox, &ids), Vec::<Value>::new());
}

#[test]
fn settings_replace_invariants_and_moe_path() {
    let sandbox = checkout();
    let dense = contract("07", "loader").allow("nmoe/**").yaml().replacen(
        "No NCCL all-to-all on the MoE path",
        "Bitwise equal losses",
        1,
    );
    let codes = |sandbox: &Sandbox| -> Vec<String> {
        let found = lint(sandbox, &dense);
        found
            .iter()
            .map(|f| f["code"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(codes(&sandbox), ["missing-invariant"]);
    sandbox.file(
        "configs/nmoe-gates.toml",
        "[moe]\npath = []\n[[contracts.invariants]]\nid = \"same-loss\"\ntext = \"equal losses\"\nany = [\"equal losses\"]\n",
    );
    assert_eq!(codes(&sandbox), [""; 0]);
    sandbox.file("nmoe/moe.py", "dist.all_to_all_single(x, y)\n");
    sandbox
        .gates(["kernels", "collectives"])
        .run()
        .exits(0)
        .reports("no findings");
    sandbox.file("configs/nmoe-gates.toml", "[moe]\npath = [\"nmoe/moe.py\"]\n");
    sandbox
        .gates(["kernels", "collectives"])
        .run()
        .exits(1)
        .prints("all-to-all through NCCL");
}

#[test]
fn target_other_than_b200_is_error() {
    let sandbox = checkout();
    let lint = |head: &str| {
        sandbox.file(
            "configs/gates/gates.toml",
            format!("{head}\n[gates.\"cpu:a\"]\ntier = \"a\"\ncmd = \"true\"\n"),
        );
        let json = sandbox
            .gates(["lint", "registry", "--format", "json"])
            .run()
            .findings();
        let found = json["findings"].as_array().unwrap();
        found
            .iter()
            .map(|f| f["code"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for head in [
        "[meta]\ntarget = \"banana\"",
        "[meta]\ntarget = \"h100\"",
        "[target.h100]\nkernels = []",
        "[target.h100]\narch = \"sm_90a\"",
    ] {
        assert_eq!(lint(head), ["off-target-definition"], "{head}");
    }
    for head in [
        "[meta]\ntarget = \"b200\"",
        "",
        "[meta]\ntarget = \"gb200\"\n[target.gb200]\narch = \"sm_100a\"",
    ] {
        assert_eq!(lint(head), [""; 0], "{head}");
    }
}

/// In git a submodule is a folder, so a pattern with a slash at its end names it.
#[test]
fn slash_at_end_covers_submodule() {
    let sandbox = checkout();
    sandbox.git(["init", "-q", "-b", "master"]);
    crate::driver::git(&sandbox.path(""), ["init", "-q", "library"]);
    let library = sandbox.path("library");
    let commit = |text: &str| {
        std::fs::write(library.join("file"), text).unwrap();
        crate::driver::git(&library, ["add", "-A"]);
        crate::driver::git(&library, ["commit", "-qm", "Change"]);
    };
    commit("1");
    sandbox.git(["submodule", "--quiet", "add", "../library", "vendor/library"]);
    sandbox.git(["add", "-A"]);
    sandbox.git(["commit", "-qm", "Begin"]);
    sandbox.git(["checkout", "-qb", "issue/07-loader"]);
    commit("2");
    crate::driver::git(&sandbox.repo().join("vendor/library"), ["pull", "-q"]);
    sandbox.git(["commit", "-qam", "Bump"]);
    let scope = |allow: &str, deny: &str| {
        let body = contract("07", "loader").allow(allow).deny(deny).yaml();
        std::fs::write(sandbox.path("issue.yml"), body).unwrap();
        let json = sandbox
            .gates(["lint", "scope", "--contract", "../issue.yml", "--format", "json"])
            .run()
            .findings();
        let found = json["findings"].as_array().unwrap();
        found
            .iter()
            .map(|f| f["code"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(scope("\"**\"", "vendor/library/"), ["denied-path"]);
    assert_eq!(scope("\"**\"", "\"vendor/*/\""), ["denied-path"]);
    assert_eq!(scope("vendor/library/", ""), [""; 0]);
    assert_eq!(scope("\"vendor/library/*\"", ""), ["out-of-scope"]);
}
