//! Runs release.yml and build-runner.yml with act. Replacements stand for GitHub, a registry and steps that take minutes.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::act::{act, read, stand_ins};
use crate::driver::{Sandbox, git};
use crate::support::digest::sha256;
use crate::support::program::{folder, program};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const VERSION: &str = env!("CARGO_PKG_VERSION");
const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

/// A clone of the files that these workflows read, and a runner whose programs record their arguments.
struct ReleaseFixture {
    sandbox: Sandbox,
}

struct ActRun {
    passed: bool,
    log: String,
}

impl ReleaseFixture {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let tracked = Command::new("git")
            .args([
                "ls-files",
                "--cached",
                "--others",
                "--exclude-standard",
                "action.yml",
                "Cargo.toml",
                "checksums.txt",
                ".github/workflows",
                "scripts",
                "docker",
            ])
            .current_dir(ROOT)
            .output()
            .unwrap();
        for file in String::from_utf8(tracked.stdout).unwrap().lines() {
            sandbox.file(file, "");
            std::fs::copy(Path::new(ROOT).join(file), sandbox.repo().join(file)).unwrap();
        }
        sandbox.git(["init", "--quiet"]);
        std::fs::create_dir(sandbox.path("bin")).unwrap();
        ReleaseFixture { sandbox }
    }

    fn commit(&self) -> String {
        self.sandbox.git(["add", "--all"]);
        self.sandbox
            .git(["commit", "--quiet", "--allow-empty", "--message", "A commit"]);
        self.sandbox.git(["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// Puts a program on the runner that appends its arguments to `asked`, and then runs this script.
    fn program(&self, name: &str, then: &str) {
        let path = self.sandbox.path("bin").join(name);
        let asked = self.sandbox.path("asked");
        std::fs::write(
            &path,
            format!(
                "#!/bin/bash\necho \"{name} $*\" >>'{}'\n{then}\n",
                asked.display()
            ),
        )
        .unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Sets the script that replaces the test suite of `release.yml`.
    fn suite(&self, script: &str) {
        std::fs::write(self.sandbox.path("suite"), script).unwrap();
    }

    fn asked(&self) -> String {
        std::fs::read_to_string(self.sandbox.path("asked")).unwrap_or_default()
    }

    fn run(
        &self,
        workflow: &str,
        event: &str,
        payload: &serde_json::Value,
        args: &[String],
    ) -> Option<ActRun> {
        let act = act()?;
        let here = |name: &str| self.sandbox.path(name).display().to_string();
        let _ = std::fs::remove_dir_all(self.sandbox.path("origin.git"));
        git(
            &self.sandbox.path("."),
            ["clone", "--quiet", "--bare", "repo", "origin.git"],
        );
        std::fs::write(self.sandbox.path("event.json"), payload.to_string()).unwrap();
        let ours = folder().display();
        let output = Command::new(act)
            .args([event, "--workflows", &format!(".github/workflows/{workflow}")])
            .args(
                ["ubuntu-latest", "ubuntu-24.04", "ubuntu-24.04-arm"]
                    .map(|l| format!("--platform={l}=-self-hosted")),
            )
            .args(["--no-skip-checkout", "--no-cache-server", "--action-offline-mode"])
            .args([
                "--action-cache-path",
                &here("home/act"),
                "--eventpath",
                &here("event.json"),
            ])
            .args(stand_ins())
            .args([
                "--secret",
                "GITHUB_TOKEN=a-token",
                "--env",
                "GITHUB_REPOSITORY=octo-org/gates",
            ])
            .args(["--env", &format!("STAND_IN_ORIGIN={}", here("origin.git"))])
            .args(["--env", &format!("STAND_IN_ARTIFACTS={}", here("artifacts"))])
            .args(args)
            .current_dir(self.sandbox.repo())
            .env_clear()
            .env(
                "PATH",
                format!("{}:{ours}:{}", here("bin"), std::env::var("PATH").unwrap()),
            )
            .env("HOME", here("home"))
            .env("TMPDIR", here("tmp"))
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Some(ActRun {
            passed: output.status.success(),
            log: [output.stdout, output.stderr]
                .map(|b| String::from_utf8_lossy(&b).into_owned())
                .concat(),
        })
    }
}

/// Creates a fixture whose commit can be released if its programs have these digests.
fn releasable(listed: &str) -> ReleaseFixture {
    let fixture = ReleaseFixture::new();
    // `scripts/verify/reproducible` covers the build, which takes minutes; here the build result is the real program.
    let built = "#!/bin/bash\nset -e\ncase $1 in *-musl) mkdir -p dist; cp /bin/true \"dist/nmoe-gates-$1\"; exit ;; esac\nmkdir -p dist\nprintf '#!/bin/sh\\nexec \"%s\" \"$@\"\\n' '@PROGRAM@' >\"dist/nmoe-gates-$1\"\nchmod 755 \"dist/nmoe-gates-$1\"\n(cd dist && sha256sum \"nmoe-gates-$1\" >\"nmoe-gates-$1.sha256\")\n";
    fixture.sandbox.file(
        "scripts/build-release",
        built.replace("@PROGRAM@", program().to_str().unwrap()),
    );
    // `python_wheel.rs` covers the packing.
    fixture.sandbox.file(
        "scripts/release/build-wheel",
        "#!/bin/bash\nset -e\nmkdir -p \"$2\"\ncp \"$1\" \"$2/nmoe_gates-${1#*nmoe-gates-}.whl\"\n",
    );
    let lines: String = TARGETS
        .iter()
        .map(|t| format!("{listed}  {VERSION}/nmoe-gates-{t}\n"))
        .collect();
    fixture.sandbox.file("checksums.txt", lines);
    fixture.sandbox.file(
        "CHANGELOG.md",
        format!("# Changelog\n\n## {VERSION}\n\n- What is new.\n\n## 0.0.1\n\n- What is old.\n"),
    );
    // The suite of this fixture records the file that it was given, and then runs `suite`.
    fixture.program(
        "cargo",
        &format!(
            "case $1 in\ncyclonedx) echo '{{\"bomFormat\":\"CycloneDX\"}}' >nmoe-gates_bin.cdx.json ;;\n\
             test) echo \"tested $(sha256sum <\"$NMOE_GATES_BIN\" | cut -d' ' -f1) $(basename \"$NMOE_GATES_BIN\")\" >>'{asked}'\n\
             \"$NMOE_GATES_BIN\" --version && . '{suite}' ;;\nesac",
            asked = fixture.sandbox.path("asked").display(),
            suite = fixture.sandbox.path("suite").display(),
        ),
    );
    fixture.suite("true");
    fixture.program(
        "docker",
        "while [ \"$1\" != scripts/build-release ]; do shift; done; exec \"$@\"",
    );
    for installs in ["sudo", "rustup", "make", "readelf"] {
        fixture.program(installs, "");
    }
    fixture.program("gh", "[ \"$2\" != create ] || { shift 8; cat \"$1\"; }");
    fixture.commit();
    fixture
}

fn released() -> String {
    sha256(format!("#!/bin/sh\nexec \"{}\" \"$@\"\n", program().display()))
}

fn tag(version: &str) -> serde_json::Value {
    json!({"ref": format!("refs/tags/v{version}"), "repository": {"full_name": "octo-org/gates"}})
}

#[test]
fn slow_act_release_is_drafted() {
    let fixture = releasable(&released());
    let Some(ran) = fixture.run("release.yml", "push", &tag(VERSION), &[]) else {
        return;
    };
    assert!(ran.passed, "{}", ran.log);
    let asked = fixture.asked();
    assert!(
        asked.contains("cargo install --locked cargo-cyclonedx@"),
        "{asked}"
    );
    let draft = asked
        .lines()
        .find(|l| l.starts_with("gh release create"))
        .expect(&ran.log);
    assert!(
        draft.contains(&format!("v{VERSION} --draft --verify-tag")),
        "{draft}"
    );
    for target in TARGETS {
        for suffix in ["", ".sha256", ".cdx.json"] {
            assert!(
                draft.contains(&format!("dist/nmoe-gates-{target}{suffix}")),
                "{target}{suffix}: {draft}"
            );
        }
        let kinds = fixture
            .sandbox
            .path(&format!("artifacts/attested/nmoe-gates-{target}.kinds"));
        assert_eq!(std::fs::read_to_string(kinds).unwrap(), "provenance\nsbom\n");
        let wheel = format!("nmoe_gates-{target}.whl");
        assert!(draft.contains(&format!("dist/{wheel}")), "{draft}");
        assert!(fixture.sandbox.path("artifacts/attested").join(wheel).exists());
    }
    for file in [
        "SHA256SUMS",
        "nmoe-gates-share.tar.gz",
        "nmoe-gates-x86_64-unknown-linux-musl",
    ] {
        assert!(draft.contains(&format!("dist/{file}")), "{draft}");
    }
    // The suite tested the drafted files, before the draft.
    let before = asked.split("gh release create").next().unwrap();
    for target in TARGETS {
        let tested = format!("tested {} nmoe-gates-{target}", released());
        assert!(before.contains(&tested), "{asked}");
    }
    // The release was tried on its own repository.
    assert!(
        ran.log.contains(&format!("nmoe-gates {VERSION}")) && ran.log.contains("Gates: demo"),
        "{}",
        ran.log
    );
    assert!(!ran.log.contains("Move the major tag"), "{}", ran.log);
}

#[test]
fn slow_act_wrong_bytes_or_version_drafts_nothing() {
    let other = releasable(&"0".repeat(64));
    let Some(ran) = other.run("release.yml", "push", &tag(VERSION), &[]) else {
        return;
    };
    assert!(
        !ran.passed && !other.asked().contains("release create"),
        "{}",
        ran.log
    );
    let fixture = releasable(&released());
    let ran = fixture.run("release.yml", "push", &tag("9.9.9"), &[]).unwrap();
    assert!(!ran.passed && !fixture.asked().contains("gh "), "{}", ran.log);
}

#[test]
fn slow_act_failed_suite_drafts_nothing() {
    let fixture = releasable(&released());
    fixture.suite("false");
    let Some(ran) = fixture.run("release.yml", "push", &tag(VERSION), &[]) else {
        return;
    };
    assert!(
        !ran.passed && fixture.asked().contains("tested ") && !fixture.asked().contains("release create"),
        "{}",
        ran.log
    );
}

#[test]
fn slow_act_musl_artifact_cannot_replace_release_file() {
    let fixture = releasable(&released());
    // The musl artifact also contains a file with the name of a tested file.
    fixture.program("make", "echo other >dist/nmoe-gates-x86_64-unknown-linux-gnu");
    let Some(ran) = fixture.run("release.yml", "push", &tag(VERSION), &[]) else {
        return;
    };
    assert!(
        !ran.passed && !fixture.asked().contains("release create"),
        "{}",
        ran.log
    );
    assert!(
        ran.log.contains("does not belong to x86_64-unknown-linux-musl"),
        "{}",
        ran.log
    );
}

#[test]
fn slow_act_file_changed_after_test_drafts_nothing() {
    let fixture = releasable(&released());
    // The suite is the last step of its job, and changes the file that the draft would use.
    fixture.suite("echo >>\"$STAND_IN_ARTIFACTS/$TARGET/nmoe-gates-$TARGET\"");
    let Some(ran) = fixture.run("release.yml", "push", &tag(VERSION), &[]) else {
        return;
    };
    assert!(
        !ran.passed && !fixture.asked().contains("release create"),
        "{}",
        ran.log
    );
    assert!(ran.log.contains("has the digest"), "{}", ran.log);
}

#[test]
fn release_files_match_exact_names_and_digests() {
    let sandbox = Sandbox::new();
    let script = "scripts/release/take-release";
    sandbox.file(script, std::fs::read(Path::new(ROOT).join(script)).unwrap());
    let (gnu, musl) = (TARGETS[0], "x86_64-unknown-linux-musl");
    let digest = sha256(b"program");
    sandbox.file("checksums.txt", format!("{digest}  1.2.3/nmoe-gates-{gnu}\n"));
    sandbox.file(&format!("artifacts/{gnu}/nmoe-gates-{gnu}"), "program");
    sandbox.file(&format!("artifacts/{gnu}/nmoe-gates-share.tar.gz"), "pages");
    sandbox.file(&format!("artifacts/{musl}/nmoe-gates-{musl}"), "other");
    let take = |version: &str, targets: &[&str]| {
        let _ = std::fs::remove_dir_all(sandbox.repo().join("dist"));
        let out = Command::new("bash")
            .args([script, "artifacts", "dist", version])
            .args(targets)
            .current_dir(sandbox.repo())
            .output()
            .unwrap();
        let said = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.success(), said.is_empty(), "{said}");
        said
    };
    let proven = format!("{musl}={}", sha256(b"other"));
    assert_eq!(take("1.2.3", &[gnu, &proven]), "");
    assert_eq!(
        std::fs::read(sandbox.repo().join(format!("dist/nmoe-gates-{gnu}"))).unwrap(),
        b"program"
    );
    // An unknown version, an unknown digest, another digest, no artifact.
    assert!(take("1.2.4", &[gnu]).contains("no digest of"));
    assert!(take("1.2.3", &[musl]).contains("no digest of"));
    assert!(take("1.2.3", &[&format!("{musl}={digest}")]).contains("has the digest"));
    assert!(take("1.2.3", &[&format!("none={digest}")]).contains("holds no"));
    // The name of another target with correct bytes; a name of no target; a link; a directory.
    for (extra, content) in [
        (format!("nmoe-gates-{gnu}"), "program"),
        ("nmoe-gates-share.tar.gz".to_owned(), "pages"),
        ("SHA256SUMS".to_owned(), ""),
        (".hidden".to_owned(), ""),
    ] {
        let file = format!("artifacts/{musl}/{extra}");
        sandbox.file(&file, content);
        assert!(
            take("1.2.3", &[gnu, &proven]).contains("does not belong to"),
            "{extra}"
        );
        std::fs::remove_file(sandbox.repo().join(file)).unwrap();
    }
    let program = sandbox.repo().join(format!("artifacts/{musl}/nmoe-gates-{musl}"));
    std::fs::remove_file(&program).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", &program).unwrap();
    assert!(take("1.2.3", &[gnu, &proven]).contains("is not a regular file"));
    std::fs::remove_file(&program).unwrap();
    std::fs::create_dir(&program).unwrap();
    assert!(take("1.2.3", &[gnu, &proven]).contains("is not a regular file"));
}

#[test]
fn slow_act_release_is_published_everywhere() {
    let fixture = releasable(&released());
    let download = format!(
        "*release\\ download*whl*) mkdir -p \"${{@: -1}}\"; echo wheel >\"${{@: -1}}/nmoe_gates.whl\" ;;\n\
         *release\\ download*) mkdir -p \"${{@: -1}}\"; for target in {}; do\n\
         printf '#!/bin/sh\\nexec \"%s\" \"$@\"\\n' '{}' >\"${{@: -1}}/nmoe-gates-$target\"; done ;;",
        TARGETS.join(" "),
        program().display()
    );
    fixture.program(
        "gh",
        &format!("case \"$*\" in\n{download}\n*/releases\\ --jq*) printf 'v1.2.9\\nv1.2.10\\nv2.0.0\\n' ;;\n*/commits/*) printf '%040d\\n' 7 ;;\n*PATCH*) exit 1 ;;\nesac"),
    );
    fixture.program(
        "docker",
        "case \"$*\" in login*) cat >/dev/null ;; *imagetools*) echo \"sha256:of-${4##*:}\" ;; esac",
    );
    for tag in ["v1.2.9", "v1.2.10"] {
        fixture.sandbox.git(["tag", tag]);
    }
    let event = json!({"action": "published", "release": {"tag_name": "v1.2.10", "prerelease": false}});
    let Some(ran) = fixture.run("release.yml", "release", &event, &[]) else {
        return;
    };
    assert!(ran.passed, "{}", ran.log);
    let asked = fixture.asked();
    let moved = format!("-f ref=refs/tags/v1 -f sha={:040}", 7);
    assert!(asked.contains(&moved), "{asked}");
    assert!(
        !ran.log.contains("Hold the tag"),
        "nothing is built again\n{}",
        ran.log
    );
    // PyPI gets the wheels of the release, after their attestation was verified for this tag.
    assert!(fixture.sandbox.path("artifacts/pypi/nmoe_gates.whl").exists());
    let verified =
        "gh attestation verify wheels/nmoe_gates.whl --repo octo-org/gates --source-ref refs/tags/v1.2.10";
    assert!(asked.contains(verified), "{asked}");
    // The image holds the released programs for both machines, and is attested by digest.
    let built = asked
        .lines()
        .find(|line| line.starts_with("docker buildx build"))
        .expect(&asked);
    for part in [
        "--platform linux/amd64,linux/arm64",
        &format!("--tag ghcr.io/octo-org/gates:{VERSION}"),
        "--push",
    ] {
        assert!(built.contains(part), "{built}");
    }
    let attested = std::fs::read_to_string(fixture.sandbox.path("artifacts/attested/images")).unwrap();
    assert_eq!(attested, format!("ghcr.io/octo-org/gates@sha256:of-{VERSION}\n"));
    // An older release that is published later does not move the tag back.
    std::fs::remove_file(fixture.sandbox.path("asked")).unwrap();
    let event = json!({"action": "published", "release": {"tag_name": "v1.2.9", "prerelease": false}});
    let ran = fixture.run("release.yml", "release", &event, &[]).unwrap();
    assert!(
        ran.passed && !fixture.asked().contains("refs/tags/v1 "),
        "{}",
        fixture.asked()
    );
}

/// Installs a docker that knows a digest for every name.
fn docker(fixture: &ReleaseFixture) {
    fixture.program(
        "docker",
        "case \"$2\" in imagetools) echo \"sha256:of-${4##*:}\" ;; esac\ncat >/dev/null </dev/stdin || true",
    );
}

#[test]
fn slow_act_changed_environment_rebuilds_images() {
    for (path, built) in [
        ("docker/Dockerfile.train", vec!["train", "runner"]),
        ("docker/requirements-train.txt", vec!["train", "runner"]),
        ("docker/Dockerfile.base", vec!["base", "train", "runner"]),
        ("src/lib.rs", vec![]),
        ("docker/runner-scale-set.yaml", vec![]),
    ] {
        let fixture = ReleaseFixture::new();
        docker(&fixture);
        let before = fixture.commit();
        let text = std::fs::read_to_string(fixture.sandbox.repo().join(path)).unwrap_or_default();
        fixture.sandbox.file(path, text + "\n# changed\n");
        let after = fixture.commit();
        let event = json!({"before": before, "after": after, "ref": "refs/heads/master"});
        let image = [
            "--var".to_owned(),
            "IMAGE_REPOSITORY=registry.example/octo/gates".to_owned(),
        ];
        let Some(ran) = fixture.run("build-runner.yml", "push", &event, &image) else {
            return;
        };
        assert!(ran.passed, "{path}\n{}", ran.log);
        let asked = fixture.asked();
        let names: Vec<&str> = asked
            .lines()
            .filter_map(|l| l.strip_prefix("docker buildx build --file docker/Dockerfile."))
            .map(|l| l.split(' ').next().unwrap())
            .collect();
        assert_eq!(names, built, "{path}\n{}", ran.log);
        assert_eq!(
            asked.contains("docker login registry.example"),
            !built.is_empty(),
            "{path}"
        );
    }
}

#[test]
fn slow_act_manual_dispatch_rebuilds_runner() {
    let fixture = ReleaseFixture::new();
    docker(&fixture);
    fixture.commit();
    let digest = "a".repeat(64);
    let url = crate::release::releases(&format!("sha256:{digest}"));
    let args = [
        "--var".to_owned(),
        "IMAGE_REPOSITORY=registry.example/octo/gates".to_owned(),
        "--input".to_owned(),
        "runner_version=latest".to_owned(),
        "--env".to_owned(),
        format!("GITHUB_API_URL={url}"),
    ];
    let event = json!({"ref": "refs/heads/master", "inputs": {"runner_version": "latest"}});
    let Some(ran) = fixture.run("build-runner.yml", "workflow_dispatch", &event, &args) else {
        return;
    };
    assert!(ran.passed, "{}", ran.log);
    let asked = fixture.asked();
    assert!(
        asked.contains(&format!(
            "RUNNER_VERSION=2.337.0 --build-arg RUNNER_SHA256={digest}"
        )),
        "{asked}"
    );
    assert_eq!(asked.matches("docker buildx build").count(), 3, "{asked}");
}

#[test]
fn version_has_one_source() {
    let cargo = read("Cargo.toml");
    assert_eq!(cargo.matches(&format!("version = \"{VERSION}\"")).count(), 1);
    for member in ["kernel-host/Cargo.toml", "nmoe-csrc/Cargo.toml"] {
        assert!(read(member).contains("version.workspace = true"), "{member}");
    }
}
