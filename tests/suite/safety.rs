//! Tests `lint safety`: every kind of input, correct positions, and no output of a secret.

use std::io::Write as _;
use std::process::Stdio;

use regex::Regex;

use crate::driver::Sandbox;
use crate::terminal::Terminal;

/// Returns a string in the form of a token, concatenated here so that no scanner finds it in this file.
fn token() -> String {
    format!("gh{}_{}", "p", "k6A7i3VrORqhnKaJQhDojJYh3IVY1W2uyglY")
}

/// Returns an address of a private network, concatenated for the same reason.
fn address(last: u8) -> String {
    format!("10.{}.3.{last}", 20)
}

#[test]
fn files_folders_and_stdin_are_scanned() {
    let sandbox = Sandbox::new();
    let text = format!("first\n→ token {} end\n", token());
    sandbox
        .file("docs/notes.md", &text)
        .file("clean.md", "ssh <user>@<host>, see 192.0.2.17\n")
        .file("wide.txt", utf16(&text))
        .file("blob.bin", [b"\x80\0\xff\0".as_slice(), text.as_bytes()].concat());
    let report = sandbox
        .gates(["lint", "safety", "--format", "json"])
        .run()
        .exits(1)
        .json();
    let found: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| {
            format!(
                "{} {} {}:{}",
                f["path"].as_str().unwrap(),
                f["code"].as_str().unwrap(),
                f["line"],
                f["column"]
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            "blob.bin github-token null:null",
            "docs/notes.md github-token 2:9",
            "wide.txt github-token 2:9"
        ]
    );
    assert_eq!(report["summary"]["documents"], 4);

    sandbox.gates(["lint", "safety", "clean.md"]).run().exits(0);
    sandbox
        .gates(["lint", "safety", "no-such-file"])
        .run()
        .exits(2)
        .reports("error: cannot read no-such-file: No such file");
    let report = sandbox
        .gates(["lint", "safety", "-", "--format", "json"])
        .stdin(text)
        .run()
        .exits(1)
        .json();
    assert_eq!(report["findings"][0]["path"], serde_json::Value::Null);
}

fn utf16(text: &str) -> Vec<u8> {
    std::iter::once(0xfeff)
        .chain(text.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect()
}

#[test]
fn long_scan_reports_progress() {
    let sandbox = Sandbox::new();
    let (mut terminal, slave) = Terminal::open();
    let mut child = sandbox
        .gates(["lint", "safety", "-"])
        .into_command()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(slave)
        .spawn()
        .unwrap();
    // The input ends only after the terminal has shown progress.
    let mut text = child.stdin.take().unwrap();
    text.write_all("a line that says nothing\n".repeat(100_000).as_bytes())
        .unwrap();
    terminal.until(&Regex::new("… 0 files, 2 MB so far\r\n").unwrap());
    text.write_all(token().as_bytes()).unwrap();
    drop(text);
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn no_format_shows_secret() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "a.md",
        format!("{}\nhost blue-{}-b200-07.internal.corp\n", token(), "heron"),
    );
    for format in ["human", "json", "github", "sarif"] {
        let out = sandbox
            .gates(["lint", "safety", "-v", "--format", format])
            .run()
            .exits(1);
        let said = format!("{}{}", out.stdout, out.stderr);
        assert!(said.contains("github-token") && said.contains("a.md"), "{said}");
        assert!(!said.contains("k6A7i3") && !said.contains("heron"), "{said}");
    }
}

#[test]
fn ignored_untracked_files_are_skipped() {
    let sandbox = Sandbox::new();
    sandbox.git(["init", "-q"]);
    sandbox
        .file(".gitignore", "build/\n")
        .file("build/tracked.txt", token())
        .file("build/scratch.txt", token());
    sandbox.git(["add", "-f", ".gitignore", "build/tracked.txt"]);
    let out = sandbox.gates(["lint", "safety"]).run().exits(1);
    assert!(
        out.stdout.contains("tracked.txt") && !out.stdout.contains("scratch.txt"),
        "{}",
        out.stdout
    );
    sandbox
        .gates(["lint", "safety", "build/scratch.txt"])
        .run()
        .exits(1)
        .prints("build/scratch.txt:1:1: error[github-token]: a");
}

#[test]
fn commit_range_checks_added_lines() {
    let sandbox = Sandbox::new();
    sandbox.git(["init", "-q"]);
    sandbox.file("net.txt", format!("old {}\nb\nc\n", address(4)));
    sandbox.git(["add", "."]);
    sandbox.git(["commit", "-qm", "one"]);
    sandbox.file(
        "net.txt",
        format!("old {}\nb\nnew {}\nc\n", address(4), address(5)),
    );
    sandbox.file("ä b.txt", token());
    sandbox.git(["add", "."]);
    sandbox.git([
        "commit",
        "-qm",
        "two",
        "-m",
        &format!("as seen on {}", address(6)),
    ]);
    let report = sandbox
        .gates(["lint", "safety", "--diff", "HEAD~1..HEAD", "--format", "json"])
        .run()
        .exits(1)
        .json();
    let found: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| {
            (
                f["path"]
                    .as_str()
                    .unwrap()
                    .split(" commit")
                    .next()
                    .unwrap()
                    .to_owned(),
                f["line"].as_u64().unwrap(),
            )
        })
        .collect();
    let expected =
        [("net.txt", 3), ("ä b.txt", 1), ("message of", 3)].map(|(path, line)| (path.to_owned(), line));
    assert_eq!(found, expected);
    sandbox
        .gates(["lint", "safety", "--diff", "HEAD..HEAD"])
        .run()
        .exits(0)
        .reports("nothing was changed: the range of --diff has no commits");
    sandbox
        .gates(["lint", "safety", "--diff", "--output=x..HEAD"])
        .run()
        .exits(2)
        .reports("error: unexpected argument '--output' found");
}

#[test]
fn suppressions_need_reason_and_expire() {
    let sandbox = Sandbox::new();
    let mark = "nmoe-gates: allow";
    sandbox.file("a.txt", format!("{} # {mark} private-address a made-up example\n# {mark} private-address the next line is an example\n{}\n", address(1), address(2)));
    sandbox.file("docs/b.txt", address(3));
    let settings = |expires: &str| {
        sandbox.file(
            "configs/nmoe-gates.toml",
            format!("[[safety.allow]]\npath = \"docs/**\"\ncode = \"private-address\"\nreason = \"examples\"\nexpires = \"{expires}\"\n"),
        );
    };
    settings("2999-12-31");
    sandbox.gates(["lint", "safety"]).run().exits(0);
    settings("2020-01-31");
    let out = sandbox.gates(["lint", "safety"]).run().exits(1);
    assert!(
        out.stdout.contains("expired-allowance") && out.stdout.contains("docs/b.txt"),
        "{}",
        out.stdout
    );
    settings("soon");
    sandbox
        .gates(["lint", "safety"])
        .run()
        .exits(2)
        .reports("error: configs/nmoe-gates.toml: safety.allow");

    settings("2999-12-31");
    sandbox.file("docs/b.txt", "nothing");
    sandbox.file("a.txt", format!("clean # {mark} private-address nothing is here\nx {mark} no-such-code because\n{} # {mark} private-address\n", address(1)));
    let out = sandbox.gates(["lint", "safety"]).run().exits(1);
    for (code, times) in [
        ("unused-allowance", 2),
        ("bad-allowance", 2),
        ("private-address]", 1),
    ] {
        assert_eq!(out.stdout.matches(code).count(), times, "{code}\n{}", out.stdout);
    }
}

#[test]
fn baseline_hides_known_findings() {
    let sandbox = Sandbox::new();
    sandbox.file("a.txt", format!("peer {}\n", address(1)));
    sandbox
        .gates(["lint", "safety", "--write-baseline", "known.txt"])
        .run()
        .exits(0)
        .reports("wrote 1 known leaks to known.txt")
        .changes(&["repo/known.txt"]);
    let baseline = std::fs::read_to_string(sandbox.repo().join("known.txt")).unwrap();
    assert!(!baseline.contains(&address(1)), "{baseline}");
    sandbox.file("a.txt", format!("\n\npeer {}\n", address(1)));
    sandbox
        .gates(["lint", "safety", "--baseline", "known.txt"])
        .run()
        .exits(0);
    sandbox.file("a.txt", format!("peer {}\npeer {}\n", address(1), address(2)));
    sandbox
        .gates(["lint", "safety", "--baseline", "known.txt"])
        .run()
        .exits(1)
        .prints("a.txt:2:6: error[private-address]: an address");
    sandbox.file("a.txt", "nothing\n");
    let out = sandbox
        .gates(["lint", "safety", "--baseline", "known.txt"])
        .run()
        .exits(0);
    assert!(out.stdout.contains("unused-allowance"), "{}", out.stdout);
}

#[test]
fn private_terms_are_never_printed() {
    let sandbox = Sandbox::new();
    sandbox.file("a.md", "one\nthe BLUE_heron cluster\n");
    std::fs::write(sandbox.path("terms"), "# names\nblue-heron\n").unwrap();
    for (name, value) in [
        ("NMOE_PRIVATE_TERMS", "blue heron".to_owned()),
        (
            "NMOE_PRIVATE_TERMS_FILE",
            sandbox.path("terms").display().to_string(),
        ),
    ] {
        for format in ["human", "json", "github", "sarif"] {
            let out = sandbox
                .gates(["lint", "safety", "--format", format])
                .env(name, &value)
                .run()
                .exits(1);
            let said = format!("{}{}", out.stdout, out.stderr).to_lowercase();
            assert!(said.contains("private-term") && !said.contains("heron"), "{said}");
        }
        let json = sandbox
            .gates(["lint", "safety", "--format", "json"])
            .env(name, &value)
            .run()
            .findings();
        let finding = &json["findings"][0];
        // The complete line is replaced, so that the length of the term is hidden too.
        assert_eq!(
            (&finding["line"], &finding["column"], &finding["end_column"]),
            (&2.into(), &1.into(), &23.into())
        );
    }
    let out = sandbox
        .gates(["lint", "safety"])
        .env("NMOE_PRIVATE_TERMS", "ok-name\nre:(heron")
        .run()
        .exits(2);
    assert!(
        out.stderr.contains("line 2") && !out.stderr.contains("heron"),
        "{}",
        out.stderr
    );
}

#[test]
fn huge_files_have_correct_positions() {
    let sandbox = Sandbox::new();
    let mut text = "x".repeat(9 << 20);
    text.push('\n');
    text.push_str(&"a line of a log that says nothing\n".repeat(300_000));
    text.push_str(&format!("peer {}\n", address(1)));
    sandbox.file("big.log", &text);
    let report = sandbox
        .gates(["lint", "safety", "--format", "json"])
        .run()
        .exits(1)
        .json();
    assert_eq!(report["findings"].as_array().unwrap().len(), 1);
    assert_eq!(
        (&report["findings"][0]["line"], &report["findings"][0]["column"]),
        (&300_002.into(), &6.into())
    );
}

#[test]
fn private_terms_are_found_in_documents() {
    let sandbox = Sandbox::new();
    sandbox.file("issue.md", "```yaml\nid: '01'\nslug: blue-heron\n```\n");
    let out = sandbox
        .gates(["lint", "contract", "issue.md"])
        .env("NMOE_PRIVATE_TERMS", "Blue Heron")
        .run()
        .exits(1)
        .reports("note: there is no registry");
    assert!(
        out.stdout.contains("private-term") && !out.stdout.contains("heron"),
        "{}",
        out.stdout
    );
    let out = sandbox
        .gates(["lint", "contract", "issue.md"])
        .env("NMOE_PRIVATE_TERMS", "re:(heron")
        .run()
        .exits(2)
        .reports("note: there is no registry")
        .reports("error: line 1 of the private terms is not a");
    assert!(!out.stderr.contains("heron"), "{}", out.stderr);
}

#[test]
fn this_repository_has_no_leaks() {
    Sandbox::new()
        .gates(["lint", "safety"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .run()
        .exits(0);
}

/// Scans a text in a process that may use 300 MB of address space, and returns the exit code and the findings.
fn in_bounded_memory(text: impl AsRef<[u8]>) -> (Option<i32>, serde_json::Value) {
    let sandbox = Sandbox::new();
    sandbox.file("big.log", text);
    let shell = ["bash", "-c", "ulimit -v 300000; exec \"$@\"", "bounded"];
    let call = sandbox.gates(["lint", "safety", "big.log", "--format", "json"]);
    let output = call.under(&shell).output().unwrap();
    (
        output.status.code(),
        serde_json::from_slice(&output.stdout).unwrap(),
    )
}

#[test]
fn slow_memory_is_bounded_for_one_line() {
    let (code, report) = in_bounded_memory(vec![b'x'; 64 << 20]);
    assert_eq!((code, &report["findings"]), (Some(0), &serde_json::json!([])));
}

#[test]
fn slow_findings_are_capped_and_counted() {
    let address = format!("{} ", address(1));
    let count = (64 << 20) / address.len();
    let (code, report) = in_bounded_memory(address.repeat(count));
    let found = report["findings"].as_array().unwrap();
    assert_eq!((code, found.len()), (Some(1), 10_001));
    let rest = format!("{} more leaks in this text are not listed", count - 10_000);
    assert_eq!(found[10_000]["message"], rest);
}

/// The limit is that of the run: the files after the first ones by name are counted only.
#[test]
fn findings_of_all_files_are_capped() {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "c", "d"] {
        sandbox.file(&format!("{name}.log"), format!("{} ", address(1)).repeat(8_000));
    }
    let lint = |args: &[&str]| {
        let out = sandbox
            .gates([&["lint", "safety", "--format", "json"], args].concat())
            .run()
            .exits(1);
        out.findings()
    };
    let report = lint(&[]);
    let found = report["findings"].as_array().unwrap();
    assert_eq!(found.len(), 16_001);
    assert_eq!(found[15_999]["path"], "b.log");
    assert_eq!(
        found[16_000]["message"],
        "16000 more leaks of this scan are not listed"
    );
    assert_eq!(found[16_000]["severity"], "error");
    sandbox.git(["init", "-q"]);
    sandbox.git(["commit", "-qm", "base", "--allow-empty"]);
    sandbox.git(["add", "."]);
    sandbox.git(["commit", "-qm", "logs"]);
    let report = lint(&["--diff", "HEAD~1..HEAD"]);
    let found = report["findings"].as_array().unwrap();
    assert_eq!(found.len(), 20_001);
    assert_eq!(
        found[20_000]["message"],
        "12000 more leaks of this scan are not listed"
    );
}

/// Only the first files by name are listed. An error in a later one still fails the command, also behind warnings of the same text.
#[test]
fn unlisted_errors_fail_scan() {
    let marker = ["nmoe-gates", ": allow "].concat();
    let unused = format!("{marker}private-address a reason\n\n").repeat(8_000);
    let sandbox = Sandbox::new();
    for name in ["a", "b", "c"] {
        sandbox.file(&format!("{name}.md"), &unused);
    }
    let scan = |path: &str, exit| {
        let lint = ["lint", "safety", "--format", "json", path];
        let report = sandbox.gates(lint).run().exits(exit).findings();
        report["findings"].as_array().unwrap().clone()
    };
    let found = scan(".", 0);
    assert_eq!(found.len(), 16_001);
    assert_eq!(
        found[16_000]["message"],
        "8000 more findings of this scan are not listed"
    );
    sandbox.file("z.md", format!("{marker}no-such-code a reason\n"));
    let found = scan(".", 1);
    let rest = |n: usize| {
        (
            found[n]["code"].clone(),
            found[n]["severity"].clone(),
            found[n]["message"].clone(),
        )
    };
    let of = |code: &str, severity: &str, count: usize| {
        let message = format!("{count} more findings of this scan are not listed");
        (code.into(), severity.into(), message.into())
    };
    assert_eq!(rest(16_000), of("bad-allowance", "error", 1));
    assert_eq!(rest(16_001), of("unused-allowance", "warning", 8_000));
    // One text: 10,000 warnings, and then a suppression without a reason.
    sandbox.file("one.md", format!("{}{marker}private-address\n", unused.repeat(2)));
    let found = scan("one.md", 1);
    assert_eq!(found[10_000]["code"], "bad-allowance");
    assert_eq!(found[10_000]["path"], "one.md");
    // One text: 10,000 leaks that are warnings in documentation, and then a token.
    let addresses = format!("{}\n", address(1)).repeat(10_000);
    sandbox.file("docs/peers.md", format!("{addresses}{}\n", token()));
    let found = scan("docs/peers.md", 1);
    assert_eq!(found[0]["severity"], "warning");
    assert_eq!(found[10_000]["code"], "github-token");
    assert_eq!(found[10_000]["severity"], "error");
}

#[test]
fn incomplete_baseline_is_not_written() {
    let sandbox = Sandbox::new();
    let peers = format!("{}\n", address(1)).repeat(8_000);
    for name in ["a", "b", "c"] {
        sandbox.file(&format!("{name}.log"), &peers);
    }
    let write = ["lint", "safety", "--write-baseline", "../known.txt"];
    sandbox
        .gates(write)
        .run()
        .exits(2)
        .reports("error: cannot write ../known.txt: a scan does not list all leaks of so large a text or folder, and 8000 would be missing");
    assert!(!sandbox.path("known.txt").exists());
    sandbox.file("c.log", "");
    sandbox
        .gates(write)
        .run()
        .exits(0)
        .reports("wrote 16000 known leaks to ../known.txt");
    sandbox
        .gates(["lint", "safety", "--baseline", "../known.txt"])
        .run()
        .exits(0);
}

#[test]
fn suppression_in_utf16_is_read_in_diff() {
    let sandbox = Sandbox::new();
    sandbox.git(["init", "-q"]);
    sandbox.git(["commit", "-qm", "base", "--allow-empty"]);
    let text = format!(
        "# nmoe-gates: {} private-address the example of the docs\npeer {}\n",
        "allow",
        address(7)
    );
    sandbox.file("wide.txt", utf16(&text));
    sandbox.git(["add", "."]);
    sandbox.git(["commit", "-qm", "change"]);
    sandbox.gates(["lint", "safety"]).run().exits(0);
    sandbox
        .gates(["lint", "safety", "--diff", "HEAD~1..HEAD"])
        .run()
        .exits(1)
        .prints("which only this change suppresses");
    // The line is not one of the change.
    sandbox.file("wide.txt", utf16(&format!("{text}more\n")));
    sandbox.git(["commit", "-qam", "next"]);
    sandbox
        .gates(["lint", "safety", "--diff", "HEAD~1..HEAD"])
        .run()
        .exits(0);
}

#[test]
fn empty_folder_is_no_clean_answer() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.repo().join("docs")).unwrap();
    sandbox
        .gates(["lint", "safety", "docs"])
        .run()
        .exits(2)
        .reports("error: cannot lint docs: no file below it can be scanned");
    let whole = || sandbox.gates(["lint", "safety"]).run().exits(2);
    whole().reports(": no file below it can be scanned");
    sandbox.git(["init", "-q"]);
    whole().reports(": no file below it can be scanned");
}

/// A check of no change names the reason instead of a count. The documents for programs do not differ.
#[test]
fn check_of_no_change_says_so() {
    let sandbox = Sandbox::new();
    let contract = include_str!("../fixtures/lint/contract.md");
    sandbox.git(["init", "-q"]);
    sandbox.git(["commit", "-qm", "base", "--allow-empty"]);
    std::fs::write(sandbox.path("contract.md"), contract).unwrap();
    let scope = ["lint", "scope", "--contract", "../contract.md"];
    for (args, why) in [
        (&["lint", "safety", "--cached"][..], "no change is staged"),
        (
            &["lint", "safety", "--diff", "HEAD..HEAD"],
            "the range of --diff has no commits",
        ),
        (&[&scope[..], &["--cached"]].concat(), "no change is staged"),
        (
            &[&scope[..], &["--base", "HEAD"]].concat(),
            "every file is as in the base",
        ),
    ] {
        let out = sandbox.gates(args).run().exits(0);
        assert_eq!(out.stderr, format!("nothing was changed: {why}\n"), "{args:?}");
        let json = sandbox
            .gates([args, &["--format", "json"]].concat())
            .run()
            .exits(0);
        assert_eq!(json.json()["findings"], serde_json::json!([]));
    }
    sandbox.file("configs/a.toml", "a = 1\n");
    sandbox.git(["add", "-A"]);
    let out = sandbox.gates(["lint", "safety", "--cached"]).run().exits(0);
    assert_eq!(out.stderr, "no findings in 1 document\n");
}
