//! Tests the scripts for runner images and releases: which runner, which images in which order, which text.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use crate::driver::{Sandbox, git, scrubbed};
use crate::support::program::program;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn script(name: &str) -> Command {
    let mut command = Command::new("bash");
    command
        .arg(Path::new(ROOT).join("scripts").join(name))
        .env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap());
    command
}

fn out(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// Serves a page of releases as GitHub's API does, for one version.
pub fn releases(digest: &str) -> String {
    let server = tiny_http::Server::http("127.0.0.1:0").unwrap();
    let url = format!("http://{}", server.server_addr());
    let body = serde_json::json!({
        "tag_name": "v2.337.0",
        "assets": [
            {"name": "actions-runner-linux-arm64-2.337.0.tar.gz", "digest": format!("sha256:{}", "0".repeat(64))},
            {"name": "actions-runner-linux-x64-2.337.0.tar.gz", "digest": digest},
        ],
    })
    .to_string();
    std::thread::spawn(move || {
        for request in server.incoming_requests() {
            let known = [
                "/repos/actions/runner/releases/latest",
                "/repos/actions/runner/releases/tags/v2.337.0",
            ];
            let status = if known.contains(&request.url()) { 200 } else { 404 };
            let _ = request.respond(tiny_http::Response::from_string(body.clone()).with_status_code(status));
        }
    });
    url
}

#[test]
fn latest_runner_is_found_with_digest() {
    let digest = "a".repeat(64);
    let url = releases(&format!("sha256:{digest}"));
    for version in ["latest", "2.337.0", "v2.337.0"] {
        let ended = script("release/runner-version")
            .arg(version)
            .env("GITHUB_API_URL", &url)
            .output()
            .unwrap();
        assert_eq!(
            out(&ended).0,
            format!("version=2.337.0\nsha256={digest}\n"),
            "{:?}",
            out(&ended)
        );
    }
    for (version, said) in [("2.1.0", "404"), ("; rm -rf /", "is not a version")] {
        let ended = script("release/runner-version")
            .arg(version)
            .env("GITHUB_API_URL", &url)
            .output()
            .unwrap();
        assert!(
            !ended.status.success() && out(&ended).1.contains(said),
            "{:?}",
            out(&ended)
        );
        assert_eq!(out(&ended).0, "");
    }
    let silent = releases("");
    let ended = script("release/runner-version")
        .arg("latest")
        .env("GITHUB_API_URL", &silent)
        .output()
        .unwrap();
    assert!(
        !ended.status.success() && out(&ended).1.contains("states no SHA-256"),
        "{:?}",
        out(&ended)
    );
}

#[test]
fn images_use_digest_of_parent() {
    let sandbox = Sandbox::new();
    git(&sandbox.repo(), ["init", "-q"]);
    sandbox.file(
        "scripts/release/build-images",
        std::fs::read(Path::new(ROOT).join("scripts/release/build-images")).unwrap(),
    );
    sandbox.file("Cargo.toml", "version = \"1.2.3\"\n");
    sandbox.git(["add", "-A"]);
    sandbox.git(["commit", "-q", "-m", "x"]);
    // A docker that records its arguments and knows a digest for every name.
    let docker = format!(
        "#!/bin/sh\ncase \"$2\" in imagetools) echo \"sha256:of-${{4##*:}}\" ;; *) echo \"$*\" >>'{}' ;; esac\n",
        sandbox.path("asked").display()
    );
    std::fs::create_dir(sandbox.path("bin")).unwrap();
    std::fs::write(sandbox.path("bin/docker"), docker).unwrap();
    std::fs::set_permissions(sandbox.path("bin/docker"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let build = |images: &[&str]| {
        let path = format!(
            "{}:{}",
            sandbox.path("bin").display(),
            std::env::var("PATH").unwrap()
        );
        let mut command = Command::new("bash");
        command
            .arg(sandbox.repo().join("scripts/release/build-images"))
            .args(images)
            .env_clear()
            .env("PATH", path);
        command
            .env("IMAGE", "registry.example/octo/gates")
            .output()
            .unwrap()
    };
    let ended = build(&["base", "train"]);
    assert!(ended.status.success(), "{:?}", out(&ended));
    let asked = std::fs::read_to_string(sandbox.path("asked")).unwrap();
    let lines: Vec<&str> = asked.lines().collect();
    assert_eq!(lines.len(), 2, "{asked}");
    assert!(
        lines[0].contains("docker/Dockerfile.base")
            && lines[0].contains("TOOL_VERSION=1.2.3")
            && !lines[0].contains("BASE_IMAGE"),
        "{asked}"
    );
    assert!(
        lines[1].contains("BASE_IMAGE=registry.example/octo/gates@sha256:of-base"),
        "{asked}"
    );
    let ended = build(&["nviz"]);
    assert!(
        ended.status.code() == Some(2) && out(&ended).1.contains("no image `nviz`"),
        "{:?}",
        out(&ended)
    );
}

#[test]
fn release_notes_are_own_changelog_section() {
    let sandbox = Sandbox::new();
    sandbox.file(
        "scripts/release/changelog-section",
        std::fs::read(Path::new(ROOT).join("scripts/release/changelog-section")).unwrap(),
    );
    sandbox.file(
        "CHANGELOG.md",
        "# Changelog\n\n## Unreleased\n\n## 1.2.0 (2026-01-01)\n\n- this\n\n## 1.2.0-rc\n- not\n",
    );
    let section = |version: &str| {
        Command::new("bash")
            .arg(sandbox.repo().join("scripts/release/changelog-section"))
            .arg(version)
            .output()
            .unwrap()
    };
    assert_eq!(out(&section("1.2.0")).0, "- this\n");
    assert!(!section("9.9.9").status.success());
}

#[test]
fn share_archive_is_reproducible() {
    let sandbox = Sandbox::new();
    let pack = |name: &str| {
        let archive = sandbox.path(name);
        let mut call = scrubbed(Path::new(ROOT).join("scripts/release/package-share"));
        call.arg(program()).arg(&archive);
        assert!(call.current_dir(sandbox.repo()).status().unwrap().success());
        std::fs::read(archive).unwrap()
    };
    assert_eq!(pack("one.tar.gz"), pack("two.tar.gz"));
    let unpacked = Command::new("tar")
        .arg("-xzf")
        .arg(sandbox.path("one.tar.gz"))
        .current_dir(sandbox.repo())
        .status();
    assert!(unpacked.unwrap().success());
    for (file, holds) in [
        ("man/man1/nmoe-gates.1", ".TH nmoe-gates"),
        ("man/man1/nmoe-gates-run.1", "heartbeat"),
        (
            "bash-completion/completions/nmoe-gates",
            "-F _nmoe_gates nmoe-gates",
        ),
        ("zsh/site-functions/_nmoe-gates", "#compdef nmoe-gates"),
        (
            "fish/vendor_completions.d/nmoe-gates.fish",
            "complete -c nmoe-gates",
        ),
        ("nmoe-gates/contract.schema.json", "\"$schema\""),
    ] {
        let text = std::fs::read_to_string(sandbox.repo().join(file)).expect(file);
        assert!(text.contains(holds), "{file} has no {holds}");
    }
}

/// Runs a verification script that takes minutes, and prints its output if it fails.
#[track_caller]
pub fn proves<S: AsRef<OsStr>>(name: &str, args: &[S]) {
    let ended = Command::new(Path::new(ROOT).join("scripts").join(name))
        .args(args)
        .output()
        .unwrap();
    assert!(ended.status.success(), "{:?}", out(&ended));
}

#[test]
#[ignore = "two release builds"]
fn slow_builds_in_different_folders_are_identical() {
    proves::<&str>("verify/reproducible", &[]);
}

#[test]
#[ignore = "installs and starts an engine, and builds images; only root can"]
fn slow_containers_build_and_run_gates() {
    if rustix::process::geteuid().is_root() {
        proves(
            "verify/containers",
            &["--program".as_ref(), program().as_os_str()],
        );
    } else {
        eprintln!("SKIPPED, NOT PASSED: no image was built, since only root can start an engine");
    }
}
