//! T19: hides a leak from the lint of a change: in a path that git quotes, in the history, in a name, in an encoding.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

use crate::attack::attack;
use crate::driver::Sandbox;

/// A text in the form of a token, concatenated here so that no scanner finds it in this file.
fn token() -> String {
    format!("gh{}_{}", "p", "k6A7i3VrORqhnKaJQhDojJYh3IVY1W2uyglY")
}

fn address() -> String {
    format!("10.{}.3.7", 20)
}

/// Creates a repository with one commit.
fn begun() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.git(["init", "-q"]);
    sandbox.file("a.txt", "a\n");
    commit(&sandbox, "base");
    sandbox.git(["branch", "base"]);
    sandbox
}

fn commit(sandbox: &Sandbox, message: &str) {
    sandbox.git(["add", "-A"]);
    sandbox.git(["commit", "-qm", message]);
}

/// Writes a file whose name is bytes.
fn file(sandbox: &Sandbox, name: &[u8], text: &str) {
    std::fs::write(sandbox.repo().join(OsStr::from_bytes(name)), text).unwrap();
}

/// Returns the findings of `base..HEAD`, as `CODE PATH`.
#[track_caller]
fn found(sandbox: &Sandbox, terms: &str) -> Vec<String> {
    let call = sandbox.gates(["lint", "safety", "--diff", "base..HEAD", "--format", "json"]);
    let out = call.env("NMOE_PRIVATE_TERMS", terms).run();
    let json = out.findings();
    // No finding shows what was found.
    assert!(
        !out.stdout.contains(token()) && !out.stdout.contains(address()),
        "{}",
        out.stdout
    );
    json["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| format!("{} {}", f["code"].as_str().unwrap(), f["path"].as_str().unwrap()))
        .collect()
}

/// The unprotected variant: opens the files by the names that git prints, in the final tree, and searches their text.
fn naive(sandbox: &Sandbox, leak: &str) -> bool {
    let names = sandbox.git(["diff", "--name-only", "base...HEAD"]);
    names.lines().any(|name| {
        let content = std::fs::read(sandbox.repo().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&content).contains(leak)
    })
}

#[test]
fn t19_file_name_that_git_quotes() {
    for name in [
        b"bell\x07.md".as_slice(),
        b"back\x08space.md",
        b"form\x0cfeed.md",
        b"carriage\rreturn.md",
        b"vertical\x0btab.md",
        b"new\nline.md",
        b"caf\xe9.md",
        b"quote\".md",
        b"back\\slash.md",
    ] {
        let sandbox = begun();
        file(&sandbox, name, &format!("{}\n", token()));
        commit(&sandbox, "change");
        let shown = String::from_utf8_lossy(name).into_owned();
        let ours = found(&sandbox, "");
        attack(&format!("{shown:?}"), !naive(&sandbox, &token()), ours.is_empty());
        assert_eq!(ours, [format!("github-token {shown}")]);
    }
}

#[test]
fn t19_all_to_all_below_quoted_name() {
    let sandbox = begun();
    sandbox.file("configs/nmoe-gates.toml", "[moe]\npath = [\"**\"]\n");
    file(&sandbox, b"caf\xe9.py", "dist.all_to_all(a, b)\n");
    commit(&sandbox, "change");
    let out = sandbox
        .gates([
            "kernels",
            "collectives",
            "--diff",
            "base..HEAD",
            "--format",
            "json",
        ])
        .run()
        .any_output();
    attack(
        "an all-to-all in a file that git quotes",
        !naive(&sandbox, "all_to_all"),
        out.code() == Some(0),
    );
    assert_eq!(out.code(), Some(1));
    assert!(out.stdout.contains("moe-all-to-all"), "{}", out.stdout);
}

#[test]
fn t19_secret_removed_later_in_branch() {
    let sandbox = begun();
    sandbox.file("a.txt", format!("a\nb\n{}\n", token()));
    commit(&sandbox, "add");
    sandbox.file("a.txt", "a\nb\n");
    commit(&sandbox, "remove");
    let ours = found(&sandbox, "");
    attack("added and removed", !naive(&sandbox, &token()), ours.is_empty());
    assert_eq!(ours, ["github-token a.txt"]);
    sandbox
        .gates(["lint", "safety", "--diff", "base..HEAD"])
        .run()
        .exits(1)
        .prints("in line 3 of commit ");
}

#[test]
fn t19_secret_kept_is_reported_once() {
    let sandbox = begun();
    sandbox.file("a.txt", format!("a\n{}\n", token()));
    commit(&sandbox, "add");
    sandbox.file("b.txt", "b\n");
    commit(&sandbox, "more");
    sandbox.git(["mv", "a.txt", "c.txt"]);
    commit(&sandbox, "move");
    assert_eq!(found(&sandbox, ""), ["github-token c.txt"]);
}

#[test]
fn t19_secret_in_merge_commits() {
    // A history without common commits, whose files the merge does not take.
    let sandbox = begun();
    sandbox.git(["checkout", "-q", "--orphan", "other"]);
    sandbox.file("other.txt", token());
    commit(&sandbox, "other");
    sandbox.git(["checkout", "-q", "master"]);
    sandbox.git([
        "merge",
        "-q",
        "-s",
        "ours",
        "--allow-unrelated-histories",
        "-m",
        "merge",
        "other",
    ]);
    let ours = found(&sandbox, "");
    attack("unrelated history", !naive(&sandbox, &token()), ours.is_empty());
    assert_eq!(ours, ["github-token other.txt"]);

    // A merge that adds what neither parent has. A later commit removes it.
    let sandbox = begun();
    sandbox.git(["checkout", "-qb", "side"]);
    sandbox.file("a.txt", "a\nside\n");
    commit(&sandbox, "side");
    sandbox.git(["checkout", "-q", "master"]);
    sandbox.file("a.txt", "ours\na\n");
    commit(&sandbox, "ours");
    sandbox.git(["merge", "-q", "--no-commit", "side"]);
    sandbox.file("a.txt", format!("ours\na\nside\n{}\n", token()));
    commit(&sandbox, "merge");
    sandbox.file("a.txt", "ours\na\nside\n");
    commit(&sandbox, "clean");
    let ours = found(&sandbox, "");
    attack(
        "a merge with its own lines",
        !naive(&sandbox, &token()),
        ours.is_empty(),
    );
    assert_eq!(ours, ["github-token a.txt"]);
}

#[test]
fn t19_leak_in_names() {
    let sandbox = begun();
    let name = format!("{}.md", token());
    file(&sandbox, name.as_bytes(), &format!("{}\n", address()));
    commit(&sandbox, "change");
    let ours = found(&sandbox, "");
    attack("a file name", !naive(&sandbox, &token()), ours.is_empty());
    let id = sandbox.git(["rev-parse", "HEAD"])[..12].to_owned();
    assert_eq!(
        ours,
        [
            "private-address [redacted].md".to_owned(),
            format!("github-token a file name in commit {id}")
        ]
    );

    let sandbox = begun();
    sandbox.git(["checkout", "-qb", "work/blue-heron"]);
    sandbox.file("a.txt", "b\n");
    commit(&sandbox, "change");
    let ours = found(&sandbox, "blue-heron");
    attack("a branch name", !naive(&sandbox, "blue-heron"), ours.is_empty());
    assert_eq!(ours, ["private-term the branch name"]);
}

#[test]
fn t19_file_named_like_an_author() {
    let author = "A <a@trainer-3.(none)>";
    let sandbox = begun();
    sandbox.file(&format!("identity {author}"), "b\n");
    sandbox.git(["add", "-A"]);
    sandbox.git(["commit", "-qm", "change", "--author", author]);
    let ours = found(&sandbox, "");
    attack(
        "a file that is named like the author",
        !naive(&sandbox, "trainer-3"),
        !ours.iter().any(|finding| finding.contains("author of commit")),
    );
}

#[test]
fn t19_machine_or_private_name_as_author() {
    for (name, email, terms, code) in [
        ("A", "root@gpu-node-17.internal", "", "private-host"),
        ("A", "a@trainer-3.(none)", "", "private-host"),
        ("A Heron", "a@example.com", "a heron", "private-term"),
    ] {
        let sandbox = begun();
        sandbox.file("a.txt", "b\n");
        sandbox.git(["add", "-A"]);
        sandbox.git([
            "commit",
            "-qm",
            "change",
            "--author",
            &format!("{name} <{email}>"),
        ]);
        let id = sandbox.git(["rev-parse", "HEAD"])[..12].to_owned();
        let ours = found(&sandbox, terms);
        attack(
            &format!("{name} <{email}>"),
            !naive(&sandbox, email),
            ours.is_empty(),
        );
        assert_eq!(ours, [format!("{code} author of commit {id}")]);
    }
    // An ordinary address is not a leak.
    let sandbox = begun();
    for email in [
        "someone@users.noreply.github.com",
        "me@company.de",
        "me@localhost",
    ] {
        sandbox.file("a.txt", email.replace('@', " at "));
        sandbox.git([
            "commit",
            "-qam",
            "change",
            "--author",
            &format!("Some One <{email}>"),
        ]);
    }
    assert_eq!(found(&sandbox, ""), Vec::<String>::new());
}

#[test]
fn t19_wide_text_without_byte_order_mark() {
    let text = format!("key\n{}\nat {}\n", token(), address());
    let wide = |size: usize, little: bool| -> Vec<u8> {
        let unit = |c: char| {
            let mut unit = vec![0; size];
            unit[if little { 0 } else { size - 1 }] = u8::try_from(c).unwrap();
            unit
        };
        text.chars().flat_map(unit).collect()
    };
    let marked = |mark: &[u8], rest: Vec<u8>| [mark.to_vec(), rest].concat();
    for (what, bytes) in [
        ("UTF-16, little", wide(2, true)),
        ("UTF-16, big", wide(2, false)),
        ("UTF-32, little", wide(4, true)),
        ("UTF-32, big", wide(4, false)),
        ("UTF-32 with a mark", marked(b"\xff\xfe\0\0", wide(4, true))),
        (
            "a zero byte in a text",
            marked(b"a\0\n", text.clone().into_bytes()),
        ),
    ] {
        let sandbox = begun();
        sandbox.file("b.md", &bytes);
        commit(&sandbox, "change");
        let tree = sandbox
            .gates(["lint", "safety", "--format", "json"])
            .run()
            .any_output()
            .findings()["summary"]["errors"]
            .clone();
        let ours = found(&sandbox, "");
        // grep, like the diff of git, takes a file with a zero byte for binary and does not show its lines.
        let grep = Command::new("grep")
            .args(["-n", "-e", &address(), "b.md"])
            .current_dir(sandbox.repo())
            .output()
            .unwrap();
        let shown = String::from_utf8_lossy(&grep.stdout).contains(&format!("at {}", address()));
        attack(what, !shown, ours.len() < 2);
        assert_eq!((ours.len(), tree.as_u64()), (2, Some(2)), "{what}: {ours:?}");
    }
}

#[test]
fn t19_control_character_inside_token() {
    let token = token();
    let (left, right) = token.split_at(token.len() / 2);
    for (what, hidden) in [
        ("zero", "\0"),
        ("three zeros", "\0\0\0"),
        ("start of heading", "\u{1}"),
        ("delete", "\u{7f}"),
    ] {
        for (place, before) in [("text", "key "), ("binary", "\u{1}\0\u{2}\0\0\0\u{3} ")] {
            let sandbox = begun();
            sandbox.file("b.bin", format!("{before}{left}{hidden}{right} end\n"));
            commit(&sandbox, "change");
            let ours = found(&sandbox, "");
            let what = format!("{what} in a {place}");
            attack(&what, !naive(&sandbox, &token), ours != ["github-token b.bin"]);
        }
    }
}

#[test]
fn t19_changed_file_that_cannot_be_read() {
    let sandbox = begun();
    sandbox.file("b.md", token());
    commit(&sandbox, "change");
    let id = sandbox.git(["rev-parse", "HEAD:b.md"]);
    let (folder, rest) = id.trim().split_at(2);
    std::fs::remove_file(sandbox.repo().join(".git/objects").join(folder).join(rest)).unwrap();
    std::fs::remove_file(sandbox.repo().join("b.md")).unwrap();
    let ours = found(&sandbox, "");
    attack("a missing object", !naive(&sandbox, &token()), ours.is_empty());
    assert!(ours.contains(&"unread-file b.md".to_owned()), "{ours:?}");
}
