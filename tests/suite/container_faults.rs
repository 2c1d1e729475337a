//! Tests `run --container` on machines and checkouts that are not the usual ones, with a stand-in for the engines.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;

use crate::container::{ContainerFixture, disown, stand_in};
use crate::run_fixture::Run;

impl ContainerFixture {
    /// Makes the stand-in behave as the file with this name says.
    fn engine_is(&self, behaviour: &str) -> &Self {
        std::fs::write(self.0.sandbox.path("bin").join(behaviour), "").unwrap();
        self
    }

    /// Runs a gate whose container cannot be used. Returns the message.
    fn refuses(&self) -> String {
        self.0.gate("cpu:x", "true");
        let run: Run = self.run(&["--gate", "cpu:x"]).exits(3);
        assert_eq!(run.results["refused"], "container_failed");
        run.out.stderr.to_string()
    }
}

#[test]
fn unreachable_daemon_is_named_with_another_engine() {
    let fixture = ContainerFixture::new();
    let said = fixture.engine_is("unreachable").refuses();
    assert!(
        said.contains("cannot reach the daemon of docker: Cannot connect"),
        "{said}"
    );
    assert!(said.contains("\n  help: start the daemon"), "{said}");
    assert!(!said.contains("--engine apptainer"), "{said}");

    let fixture = ContainerFixture::new();
    stand_in(&fixture.0.sandbox, "podman");
    let said = fixture.engine_is("unreachable").refuses();
    assert!(said.contains("or use `--engine podman`"), "{said}");
}

#[test]
fn refused_download_names_login_and_load() {
    let said = ContainerFixture::new().engine_is("empty").refuses();
    for text in [
        "`docker pull --quiet` failed: denied",
        "`docker login registry.example`",
        "`docker load`",
    ] {
        assert!(said.contains(text), "{text}: {said}");
    }
}

/// podman-docker installs a script `docker` that starts Podman, and Podman has other options.
#[test]
fn docker_that_is_podman_gets_podman_options() {
    let fixture = ContainerFixture::new();
    stand_in(&fixture.0.sandbox, "podman");
    let docker = fixture.0.sandbox.path("bin/docker");
    std::fs::write(&docker, "#!/bin/sh\nexec podman \"$@\"\n").unwrap();
    std::fs::set_permissions(&docker, std::fs::Permissions::from_mode(0o755)).unwrap();
    fixture.0.gate("cpu:x", "true");
    fixture.run(&["--gate", "cpu:x"]).exits(0);
    let removals = fixture.calls("rm");
    assert!(removals[0].contains(&"--time".to_owned()), "{removals:?}");
    // Who names docker gets docker or an answer.
    let refused = || fixture.run(&["--engine", "docker", "--gate", "cpu:x"]).exits(3);
    let said = refused().out.stderr.to_string();
    assert!(
        said.contains("cannot use docker: the docker on PATH starts podman"),
        "{said}"
    );
    assert!(said.contains("help: use `--engine podman`"), "{said}");
}

/// A wrapper of the real docker may mention Podman.
#[test]
fn docker_that_mentions_podman_stays_docker() {
    let fixture = ContainerFixture::new();
    let bin = fixture.0.sandbox.path("bin");
    std::fs::rename(bin.join("docker"), bin.join("docker.real")).unwrap();
    let docker = bin.join("docker");
    let real = bin.join("docker.real");
    let script = format!(
        "#!/bin/sh\n# podman is not used here\nexec '{}' \"$@\"\n",
        real.display()
    );
    std::fs::write(&docker, script).unwrap();
    std::fs::set_permissions(&docker, std::fs::Permissions::from_mode(0o755)).unwrap();
    fixture.0.gate("cpu:x", "true");
    fixture.run(&["--engine", "docker", "--gate", "cpu:x"]).exits(0);
    assert_eq!(fixture.calls("run").len(), 1);
}

/// The engine ends containers when its daemon stops. That says nothing about the change.
#[test]
fn container_stopped_from_outside_is_invalid() {
    let fixture = ContainerFixture::new();
    // In the container, the parent of the command is its first process.
    fixture.0.gate("cpu:x", "kill -TERM $PPID; sleep 60");
    let run = fixture.run(&["--gate", "cpu:x"]).exits(3);
    assert_eq!(run.gate("cpu:x")["status"], "invalid");
    assert_eq!(run.gate("cpu:x")["reason"], "container_failed");
    assert!(
        run.out
            .stdout
            .contains("the container was stopped from outside of this run"),
        "{}",
        run.out.stdout
    );
}

#[test]
fn values_with_newlines_reach_the_gate() {
    let keys = "requires = [\"T_VALUE\"]";
    let value = "one\n\"two\"=\\n $HOME\u{e9}\n";
    let fixture = ContainerFixture::new();
    fixture.0.gate_with("cpu:x", "printf '<%s>' \"$T_VALUE\"", keys);
    disown(&fixture.0.sandbox.repo());
    let args = ["--container", "--gate", "cpu:x"];
    let with = |value: &OsStr| {
        let path = fixture.path();
        fixture
            .0
            .run_with(&args, &[("PATH", OsStr::new(&path)), ("T_VALUE", value)])
    };
    let run = with(OsStr::new(value)).exits(0);
    assert!(
        run.out.stdout.contains(format!("<{value}>").as_str()),
        "{}",
        run.out.stdout
    );
    // The first process gets its task as JSON.
    let run = with(OsStr::from_bytes(b"caf\xe9")).exits(3);
    assert_eq!(run.gate("cpu:x")["reason"], "container_failed");
    assert!(
        run.out.stdout.contains("cannot pass T_VALUE to the container"),
        "{}",
        run.out.stdout
    );
}

/// The checkout of a submodule, and a worktree with a relative link, find their git folder only at their own path.
#[test]
fn relative_git_link_keeps_the_path() {
    let fixture = ContainerFixture::new();
    fixture.0.gate("cpu:x", "true");
    let sandbox = &fixture.0.sandbox;
    let tree = sandbox.path("a tree, linked");
    sandbox.git(["init", "-q"]);
    sandbox.git(["add", "."]);
    sandbox.git(["commit", "-qm", "All"]);
    sandbox.git(["worktree", "add", "-q", "--detach", tree.to_str().unwrap()]);
    disown(&tree);
    let options = || {
        let run = fixture.0.run_with(
            &[
                "--container",
                "--gate",
                "cpu:x",
                "--subject",
                tree.to_str().unwrap(),
            ],
            &[
                ("PATH", fixture.path()),
                ("HOME", sandbox.path("home").display().to_string()),
            ],
        );
        run.exits(0);
        fixture.calls("run").last().unwrap().join(" ")
    };
    let folder = sandbox.repo().join(".git");
    let link = std::fs::read_to_string(tree.join(".git")).unwrap();
    assert!(link.starts_with("gitdir: /"), "{link}");
    let absolute = options();
    assert!(absolute.contains("--workdir /workspace "), "{absolute}");
    let shared = format!("source={0},target={0},readonly=true", folder.display());
    assert!(absolute.contains(&shared), "{absolute}");

    let (_, name) = link.trim().rsplit_once('/').unwrap();
    std::fs::write(
        tree.join(".git"),
        format!("gitdir: ../repo/.git/worktrees/{name}\n"),
    )
    .unwrap();
    let relative = options();
    let quoted = format!("\"source={0}\",\"target={0}\" --mount", tree.display());
    assert!(relative.contains(&quoted), "{relative}");
    assert!(
        relative.contains(&format!("--workdir {} ", tree.display())),
        "{relative}"
    );
    assert!(relative.contains(&shared), "{relative}");
}
