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

    let id = sandbox.git(["rev-parse", "HEAD"]);
    for what in [
        "pure rename",
        "copy",
        "mode",
        "submodule",
        "submodule in a folder",
    ] {
        let sandbox = begun();
        let name = token();
        match what {
            "pure rename" => sandbox.git(["mv", "a.txt", &name]),
            "copy" => {
                std::fs::copy(sandbox.repo().join("a.txt"), sandbox.repo().join(&name)).unwrap();
                sandbox.git(["add", "-A"])
            }
            "mode" => {
                sandbox.git(["mv", "a.txt", &name]);
                sandbox.git(["update-index", "--chmod=+x", &name])
            }
            _ => {
                let path = if what == "submodule" { name } else { name + "/part" };
                let entry = format!("160000,{},{path}", id.trim());
                sandbox.git(["update-index", "--add", "--cacheinfo", &entry])
            }
        };
        let staged = sandbox.gates(["lint", "safety", "--cached"]).run().any_output();
        assert_eq!(staged.code(), Some(1), "{what}: {}", staged.stdout);
        assert!(!staged.stdout.contains(token()), "{what}: {}", staged.stdout);
        sandbox.git(["commit", "-qm", "change"]);
        let ours = found(&sandbox, "");
        attack(what, !naive(&sandbox, &token()), ours.is_empty());
        assert!(
            ours.iter()
                .any(|leak| leak.starts_with("github-token a file name in commit")),
            "{what}: {ours:?}"
        );
    }

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

/// Whether git's own view of the range, and of the tree, shows a leak.
fn log_shows(sandbox: &Sandbox, leak: &str) -> bool {
    let words = ["log", "-p", "--format=%an%n%ae%n%B", "base..HEAD"];
    let log = Command::new("git")
        .args(words)
        .current_dir(sandbox.repo())
        .output();
    String::from_utf8_lossy(&log.unwrap().stdout).contains(leak)
}

#[test]
fn t19_suppression_in_the_same_change() {
    let reason = "the token of an example";
    let allow = format!("nmoe-gates: {} github-token {reason}", "allow");
    let settings =
        format!("[[safety.allow]]\npath = \"**\"\ncode = \"github-token\"\nreason = \"{reason}\"\n");
    for what in [
        "line",
        "line before",
        "older line before",
        "message",
        "settings",
        "baseline",
    ] {
        let sandbox = Sandbox::new();
        sandbox.git(["init", "-q"]);
        let before = format!("# {allow}\nold = \"{}\"\n", token().replace('k', "m"));
        sandbox.file(
            "a.py",
            if what == "older line before" {
                before
            } else {
                "a\n".to_owned()
            },
        );
        commit(&sandbox, "base");
        sandbox.git(["branch", "base"]);
        let line = format!("key = \"{}\"", token());
        let mut message = "change".to_owned();
        match what {
            "message" => message = format!("change\n\n# {allow}\n{line}\n"),
            _ => {
                let text = match what {
                    "line" => format!("{line}  # {allow}\n"),
                    "line before" | "older line before" => format!("# {allow}\n{line}\n"),
                    _ => format!("{line}\n"),
                };
                sandbox.file("a.py", text);
            }
        }
        // What a scan of the checkout of the change itself says.
        let mut own = vec!["lint", "safety", "a.py"];
        match what {
            "settings" => {
                sandbox.file("configs/nmoe-gates.toml", &settings);
            }
            "baseline" => {
                sandbox
                    .gates(["lint", "safety", "a.py", "--write-baseline", "known.txt"])
                    .run()
                    .any_output()
                    .exits(0)
                    .changes(&["repo/known.txt"]);
                own.extend(["--baseline", "known.txt"]);
            }
            _ => {}
        }
        sandbox.file("b.txt", "b\n");
        commit(&sandbox, &message);
        let naive = sandbox.gates(own).run().any_output().code() == Some(0);
        let mut words = vec!["lint", "safety", "--diff", "base..HEAD"];
        if what == "baseline" {
            words.extend(["--baseline", "known.txt"]);
        }
        let repo = sandbox.repo();
        let repo = repo.to_str().unwrap();
        // Spellings of the same checkout.
        for options in [&[][..], &["--subject", repo], &["--repo", ".", "--subject", repo]] {
            let ours = sandbox.gates(options.iter().chain(&words)).run().any_output();
            attack(&format!("{what}, {options:?}"), naive, ours.code() == Some(0));
            assert_eq!(ours.code(), Some(1), "{what}, {options:?}: {}", ours.stdout);
            assert!(ours.stdout.contains("github-token"), "{what}: {}", ours.stdout);
        }
        // A part of the base accepts what the base has.
        sandbox.git(["branch", "-f", "base"]);
        sandbox.file("b.txt", "c\n");
        commit(&sandbox, "next");
        sandbox.gates(&words).run().exits(0);
    }
}

#[test]
fn t19_baseline_becomes_a_link() {
    for name in [b"evil.txt".as_slice(), b"evil\xff.txt"] {
        let sandbox = begun();
        sandbox.file("configs/nmoe-gates.toml", "[safety]\nbaseline = \"known.txt\"\n");
        sandbox.file("known.txt", "# none\n");
        commit(&sandbox, "base");
        sandbox.git(["branch", "-f", "base"]);
        sandbox.file("a.py", format!("key = \"{}\"\n", token()));
        sandbox
            .gates(["lint", "safety", "a.py", "--write-baseline", "known.txt"])
            .run()
            .any_output()
            .exits(0)
            .changes(&["repo/known.txt"]);
        let known = sandbox.repo().join("known.txt");
        std::fs::rename(&known, sandbox.repo().join(OsStr::from_bytes(name))).unwrap();
        std::os::unix::fs::symlink(OsStr::from_bytes(name), &known).unwrap();
        commit(&sandbox, "change");
        // A link of the user leads to the same file.
        let link = sandbox.path("known-link");
        std::os::unix::fs::symlink(&known, &link).unwrap();
        let link = link.to_str().unwrap();
        let naive = sandbox
            .gates(["lint", "safety", "a.py"])
            .run()
            .any_output()
            .code()
            == Some(0);
        for option in [
            &[][..],
            &["--baseline", link],
            &["--baseline", "configs/../known.txt"],
        ] {
            let words = ["lint", "safety", "--diff", "base..HEAD"];
            let ours = sandbox.gates(words.iter().chain(option)).run().any_output();
            attack(&format!("{name:?}, {option:?}"), naive, ours.code() == Some(0));
            assert_eq!(ours.code(), Some(1), "{option:?}: {}", ours.stdout);
        }
    }
}

#[test]
fn error_of_git_is_its_cause() {
    let sandbox = begun();
    sandbox.file("nmoe/moe.py", "a\n");
    // Keeps the MoE path from being empty.
    sandbox.file("nmoe/model.py", "b = 1\n");
    commit(&sandbox, "files");
    sandbox.git(["branch", "-f", "base"]);
    sandbox.file("nmoe/moe.py", "b\n");
    commit(&sandbox, "change");
    let id = sandbox.git(["rev-parse", "HEAD:nmoe/moe.py"]);
    let (folder, rest) = id.trim().split_at(2);
    std::fs::remove_file(sandbox.repo().join(".git/objects").join(folder).join(rest)).unwrap();
    // git would read this file instead.
    std::fs::remove_file(sandbox.repo().join("nmoe/moe.py")).unwrap();
    sandbox
        .gates(["kernels", "collectives", "--diff", "base..HEAD"])
        .run()
        .exits(2)
        .reports(&format!(
            "git diff-tree failed with exit code 128: fatal: unable to read {}",
            id.trim()
        ));
}

/// A file that is new in the MoE path, and that git cannot read, was not scanned.
#[test]
fn unread_new_file_of_moe_path_fails() {
    let sandbox = begun();
    sandbox.file("nmoe/model.py", "b = 1\n");
    commit(&sandbox, "files");
    sandbox.git(["branch", "-f", "base"]);
    sandbox.file("nmoe/moe.py", "b\n");
    commit(&sandbox, "change");
    let id = sandbox.git(["rev-parse", "HEAD:nmoe/moe.py"]);
    let (folder, rest) = id.trim().split_at(2);
    std::fs::remove_file(sandbox.repo().join(".git/objects").join(folder).join(rest)).unwrap();
    std::fs::remove_file(sandbox.repo().join("nmoe/moe.py")).unwrap();
    let out = sandbox
        .gates(["kernels", "collectives", "--diff", "base..HEAD"])
        .run()
        .any_output();
    assert_eq!(out.code(), Some(1), "{}", out.stdout);
    assert!(out.stdout.contains("unread-file"), "{}", out.stdout);
}

/// Writes a commit with these headers and this message on top of `HEAD`, and makes the branch point to it.
fn commit_object(sandbox: &Sandbox, headers: &str, message: &[u8]) {
    let who = "a <a@example.com> 1700000000 +0000";
    commit_object_by(sandbox, [who, who], headers, message);
}

/// Writes a commit by this author and this committer, as `commit_object` does.
fn commit_object_by(sandbox: &Sandbox, [author, committer]: [&str; 2], headers: &str, message: &[u8]) {
    let tree = sandbox.git(["rev-parse", "HEAD^{tree}"]);
    let parent = sandbox.git(["rev-parse", "HEAD"]);
    let mut object = format!(
        "tree {}\nparent {}\nauthor {author}\ncommitter {committer}\n{headers}\n",
        tree.trim(),
        parent.trim()
    )
    .into_bytes();
    object.extend_from_slice(message);
    sandbox.file("../object", object);
    let id = sandbox.git(["hash-object", "-t", "commit", "-w", "--literally", "../object"]);
    sandbox.git(["reset", "-q", "--hard", id.trim()]);
}

#[test]
fn t19_leak_in_stored_commit() {
    let token = token();
    for (what, headers, message) in [
        ("other header", format!("x-note {token}\n"), b"change\n".to_vec()),
        (
            "signature",
            format!(
                "gpgsig -----BEGIN PGP SIGNATURE-----\n Comment: {token}\n \n -----END PGP SIGNATURE-----\n"
            ),
            b"change\n".to_vec(),
        ),
        (
            "tag of a merge",
            format!(
                "mergetag object {}\n type commit\n tag v1\n tagger a <a@example.com> 1700000000 +0000\n \n {token}\n",
                "1".repeat(40)
            ),
            b"change\n".to_vec(),
        ),
        ("encoding", format!("encoding {token}\n"), b"change\n".to_vec()),
        (
            "after a zero byte",
            String::new(),
            format!("change\0\n{token}\n").into_bytes(),
        ),
        (
            "stored in another encoding",
            "encoding IBM037\n".to_owned(),
            format!("change {token}\n").into_bytes(),
        ),
    ] {
        let sandbox = begun();
        commit_object(&sandbox, &headers, &message);
        let stored = sandbox.git(["cat-file", "commit", "HEAD"]);
        let naive = stored.contains(&token) && !log_shows(&sandbox, &token);
        let ours = found(&sandbox, "");
        attack(what, naive, ours.is_empty());
        assert!(ours[0].starts_with("github-token "), "{what}: {ours:?}");
    }
}

#[test]
fn t19_leak_after_address_of_identity() {
    let token = token();
    let who = "a <a@example.com> 1700000000 +0000";
    for hidden in [
        format!("a <a@example.com> {token} 1700000000 +0000"),
        format!("a <a@example.com> 1700000000 +0000 {token}"),
        format!("a <a@example.com> {token} <b@example.com> 1700000000 +0000"),
        format!("a <a@example.com>{token}"),
    ] {
        for people in [[hidden.as_str(), who], [who, &hidden]] {
            let sandbox = begun();
            commit_object_by(&sandbox, people, "", b"change\n");
            let naive = !log_shows(&sandbox, &token);
            let ours = found(&sandbox, "");
            attack(&hidden, naive, ours.is_empty());
            assert!(
                ours[0].starts_with("github-token headers of commit"),
                "{hidden}: {ours:?}"
            );
        }
    }
}

#[test]
fn t19_leak_in_annotated_tag() {
    let sandbox = begun();
    sandbox.file("a.txt", "b\n");
    commit(&sandbox, "change");
    sandbox.git(["tag", "-a", "v1", "-m", &token()]);
    sandbox.git(["tag", "-a", "v2", "-m", "a tag of a tag", "v1"]);
    for tag in ["v1", "v2", "refs/tags/v2"] {
        let naive = !log_shows(&sandbox, &token());
        let out = sandbox
            .gates(["lint", "safety", "--diff", &format!("base..{tag}")])
            .run()
            .any_output();
        attack(tag, naive, out.code() == Some(0));
        assert!(out.stdout.contains("message of the tag"), "{}", out.stdout);
    }
}

#[test]
fn t19_history_that_only_this_clone_rewrites() {
    for what in ["replacement", "graft", "shallow"] {
        let sandbox = begun();
        sandbox.file("a.txt", format!("{}\n", token()));
        commit(&sandbox, "add");
        let leaky = sandbox.git(["rev-parse", "HEAD"]);
        sandbox.file("a.txt", "clean\n");
        commit(&sandbox, "remove");
        let (base, head) = (
            sandbox.git(["rev-parse", "base"]),
            sandbox.git(["rev-parse", "HEAD"]),
        );
        let (base, head, leaky) = (base.trim(), head.trim(), leaky.trim());
        match what {
            "replacement" => {
                let tree = sandbox.git(["rev-parse", "base^{tree}"]);
                let clean = sandbox.git(["commit-tree", "-p", base, "-m", "add", tree.trim()]);
                sandbox.git(["update-ref", &format!("refs/replace/{leaky}"), clean.trim()]);
            }
            "graft" => {
                sandbox.file(".git/info/grafts", format!("{head} {base}\n"));
            }
            _ => {
                sandbox.file(".git/shallow", format!("{head}\n"));
            }
        }
        let naive = !log_shows(&sandbox, &token());
        let ours = found(&sandbox, "");
        attack(what, naive, ours.is_empty());
        assert!(ours[0].starts_with("github-token "), "{what}: {ours:?}");
    }
    // A clone that really lacks the commits.
    let sandbox = begun();
    for text in ["b\n", "c\n"] {
        sandbox.file("a.txt", text);
        commit(&sandbox, "change");
    }
    let origin = format!("file://{}", sandbox.repo().display());
    sandbox.git(["clone", "-q", "--depth", "1", &origin, "../clone"]);
    sandbox.git([
        "-C",
        "../clone",
        "fetch",
        "-q",
        "--depth",
        "1",
        "origin",
        "base:base",
    ]);
    let clone = sandbox.path("clone");
    sandbox
        .gates([
            "--repo",
            clone.to_str().unwrap(),
            "lint",
            "safety",
            "--diff",
            "base..HEAD",
        ])
        .run()
        .exits(2)
        .reports("cannot read the history of the range: the clone is shallow");
}

#[test]
fn t19_token_split_by_what_nobody_sees() {
    let token = token();
    let (left, right) = token.split_at(token.len() / 2);
    let styled = |digit: u32, upper: u32, lower: u32| -> String {
        let shift =
            |base: u32, c: char, from: char| char::from_u32(base + u32::from(c) - u32::from(from)).unwrap();
        let of = |c: char| match c {
            '0'..='9' => shift(digit, c, '0'),
            'A'..='Z' => shift(upper, c, 'A'),
            'a'..='z' => shift(lower, c, 'a'),
            c => c,
        };
        token.chars().map(of).collect()
    };
    let mut forms: Vec<(String, String)> = [
        ("bidi embedding", "\u{202b}"),
        ("bidi isolate", "\u{2067}"),
        ("khmer vowel", "\u{17b4}"),
        ("braille blank", "\u{2800}"),
        ("annotation", "\u{fff9}"),
        ("annotation end", "\u{fffb}"),
        ("next line", "\u{85}"),
        ("line separator", "\u{2028}"),
        ("C1 control", "\u{88}"),
        ("carriage return", "\r"),
        ("combining mark", "\u{301}"),
        ("enclosing mark", "\u{20dd}"),
        ("musical format", "\u{1d173}"),
        ("shorthand format", "\u{1bca0}"),
        ("number sign", "\u{600}"),
        ("tag", "\u{e0041}"),
        ("two marks", "\u{202c}\u{301}"),
        ("APC", "\u{1b}_x\u{1b}\\"),
        ("DCS", "\u{1b}Pq\u{1b}\\"),
        ("title with a sign of two bytes", "\u{1b}]0;\u{b0}\u{7}"),
        ("PM with eight bits", "\u{9e}x\u{9c}"),
        ("other escape", "\u{1b}="),
        ("comment", "<!-- -->"),
        ("comment over lines", "<!-- a\n b -->"),
        ("empty element", "<a></a>"),
        ("capital tag", "<B>"),
        ("keyboard", "<kbd></kbd>"),
        ("tag with a sign in quotes", "<span title=\"a>b\">"),
        ("processing instruction", "<?x?>"),
        ("CDATA", "<![CDATA["),
        ("several marks", "<ins></ins><!-- x --><mark>"),
        ("left-to-right mark by name", "&lrm;"),
        ("invisible times by name", "&InvisibleTimes;"),
        ("long number", "&#0000000000008203;"),
        ("number without end", "&#8203"),
        ("four asterisks", "****"),
    ]
    .map(|(what, hidden)| (what.to_owned(), format!("{left}{hidden}{right}")))
    .into();
    let long = format!("<!-- {} -->", "x".repeat(600));
    let smuggled = |from: u32| -> String {
        token
            .bytes()
            .map(|byte| char::from_u32(from + u32::from(byte)).unwrap())
            .collect()
    };
    forms.extend([
        ("long comment".to_owned(), format!("{left}{long}{right}")),
        (
            "many long comments".to_owned(),
            token.chars().map(|c| format!("{c}{long}")).collect::<String>() + ".",
        ),
        ("text of tag characters".to_owned(), smuggled(0xe0000)),
        ("text of variation selectors".to_owned(), smuggled(0xe0100 - 16)),
        ("math bold".to_owned(), styled(0x1d7ce, 0x1d400, 0x1d41a)),
        ("math monospace".to_owned(), styled(0x1d7f6, 0x1d670, 0x1d68a)),
        ("wide".to_owned(), styled(0xff10, 0xff21, 0xff41)),
        ("circled".to_owned(), styled(0x30, 0x24b6, 0x24d0)),
        ("accented".to_owned(), token.replacen('a', "\u{e1}", 1)),
        ("digits of another script".to_owned(), styled(0x966, 0x41, 0x61)),
    ]);
    for (what, hidden) in forms {
        let sandbox = begun();
        sandbox.file("a.md", format!("see {hidden} now\n"));
        commit(&sandbox, "change");
        let ours = found(&sandbox, "");
        attack(&what, !naive(&sandbox, &token), ours.is_empty());
        assert_eq!(ours, ["github-token a.md"], "{what}");
    }
}

#[test]
fn t19_address_and_host_disguised() {
    use base64::Engine as _;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let hex = |text: &str| text.bytes().map(|byte| format!("{byte:02x}")).collect::<String>();
    let host = format!("gpu-node-17.{}.internal", "corp");
    let address = format!("10.42.{}.9", 17);
    let other = format!("172.20.{}.9", 17);
    let token = token();
    let model = format!("h{}_{}", "f", "QwErTyUiOpAsDfGhJkLzXcVbNmQwErTyUi");
    let named: Vec<(&String, String, &str)> = ["", ":", "KEY=", "PAT=", "git:"]
        .iter()
        .flat_map(|name| {
            [(&token, "github-token"), (&model, "model-api-key")]
                .map(|(leak, code)| (leak, encode(&format!("{name}{leak}")), code))
        })
        .collect();
    for (leak, hidden, code) in named.into_iter().chain([
        (&address, encode(&address), "private-address"),
        (&address, encode(&format!("to {address}")), "private-address"),
        (&address, hex(&address), "private-address"),
        (&other, encode(&other), "private-address"),
        (&other, hex(&other), "private-address"),
        (&host, host.replacen('.', ".<!-- -->", 1), "private-host"),
        (&host, host.replacen("corp", "<!-- x -->corp", 1), "private-host"),
        (&host, host.replacen('.', "\u{301}.\u{2800}", 1), "private-host"),
        (
            &address,
            address.replace("42", "\u{1d7d2}\u{1d7d0}"),
            "private-address",
        ),
        (&address, address.replacen('.', "\u{ff0e}", 1), "private-address"),
    ]) {
        let sandbox = begun();
        sandbox.file("a.md", format!("see {hidden} now\n"));
        commit(&sandbox, "change");
        let ours = found(&sandbox, "");
        attack(&hidden, !naive(&sandbox, leak), ours.is_empty());
        assert_eq!(ours, [format!("{code} a.md")], "{hidden}");
    }
}
