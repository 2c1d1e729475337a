//! Tests `images`: only changes of the Docker environment rebuild images, in the order in which images depend on each other.

use crate::driver::Sandbox;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.git(["init", "-q"]);
    for name in ["base", "train", "runner"] {
        sandbox.file(
            &format!("docker/Dockerfile.{name}"),
            format!("FROM {name}\nRUN true\nRUN true\n"),
        );
    }
    sandbox
        .file("nmoe/train.py", "pass\n")
        .file("docker/Dockerfile.lab", "FROM lab\n");
    sandbox.git(["add", "."]);
    sandbox.git(["commit", "-qm", "Begin"]);
    sandbox
}

fn rebuilt(sandbox: &Sandbox) -> Vec<String> {
    sandbox.git(["add", "-A"]);
    sandbox.git(["commit", "-qm", "Change"]);
    let out = sandbox
        .gates(["images", "--base", "HEAD~1", "--head", "HEAD", "--format", "json"])
        .run()
        .exits(0);
    let json = out.json();
    let names = json["rebuild"].as_array().unwrap();
    names.iter().map(|n| n.as_str().unwrap().to_owned()).collect()
}

#[test]
fn changed_image_rebuilds_dependents() {
    for (change, expected) in [
        ("docker/Dockerfile.base", vec!["base", "train", "runner"]),
        ("docker/Dockerfile.train", vec!["train", "runner"]),
        ("docker/Dockerfile.runner", vec!["runner"]),
        ("docker/Dockerfile.lab", vec![]),
        ("nmoe/train.py", vec![]),
        ("docker/Dockerfile.runner.md", vec![]),
    ] {
        let sandbox = sandbox();
        sandbox.file(change, "FROM other\n");
        assert_eq!(rebuilt(&sandbox), expected, "{change}");
    }
}

#[test]
fn moves_and_removals_rebuild_but_modes_do_not() {
    let first = sandbox();
    first.git(["mv", "docker/Dockerfile.train", "docker/Dockerfile.old"]);
    assert_eq!(rebuilt(&first), ["train", "runner"]);
    let second = sandbox();
    second.git(["rm", "-q", "docker/Dockerfile.runner"]);
    assert_eq!(rebuilt(&second), ["runner"]);
    let third = sandbox();
    third.git(["update-index", "--chmod=+x", "docker/Dockerfile.base"]);
    third.git(["commit", "-qm", "Mode"]);
    let out = third
        .gates(["images", "--base", "HEAD~1", "--head", "HEAD"])
        .run()
        .exits(0);
    insta::assert_snapshot!(out.stdout, @r"
    keep    base     nothing changed in docker/Dockerfile.base
    keep    train    nothing changed in docker/Dockerfile.train,
                     docker/requirements-train.txt
    keep    runner   nothing changed in docker/Dockerfile.runner
    ");
}

#[test]
fn settings_add_environment_paths() {
    let sandbox = sandbox();
    sandbox.file(
        "configs/nmoe-gates.toml",
        "[[images]]\nname = \"base\"\nfiles = [\"docker/Dockerfile.base\"]\n\n[[images]]\nname = \"train\"\nfiles = [\"docker/Dockerfile.train\", \"docker/requirements*.txt\"]\n",
    );
    sandbox.file("docker/requirements-train.txt", "numpy\n");
    assert_eq!(rebuilt(&sandbox), ["train"]);
}

#[test]
fn push_event_selects_images() {
    let sandbox = sandbox();
    sandbox
        .file("docker/Dockerfile.train", "FROM x\n")
        .git(["commit", "-qam", "Change"]);
    let id = |rev: &str| sandbox.git(["rev-parse", rev]).trim().to_owned();
    for (before, expected) in [(id("HEAD~1"), 2), ("0".repeat(40), 3)] {
        let event = format!(
            "{{\"before\": \"{before}\", \"after\": \"{}\", \"ref\": \"refs/heads/master\"}}",
            id("HEAD")
        );
        std::fs::write(sandbox.path("event.json"), event).unwrap();
        let out = sandbox
            .gates(["images", "--format", "json"])
            .env("GITHUB_EVENT_PATH", sandbox.path("event.json"))
            .run()
            .exits(0);
        assert_eq!(
            out.json()["rebuild"].as_array().unwrap().len(),
            expected,
            "{before}"
        );
    }
    sandbox
        .gates(["images"])
        .run()
        .exits(2)
        .reports("error: cannot find the change: GITHUB_EVENT_PATH");
    sandbox
        .gates(["images", "--base", "nowhere", "--head", "HEAD"])
        .run()
        .exits(2)
        .reports("error: cannot find the commit `nowhere`");
}

#[test]
fn copied_files_outside_the_list_are_findings() {
    let sandbox = sandbox();
    sandbox.file(
        "docker/Dockerfile.train",
        "FROM base\nARG LIST=docker/requirements-train.txt\nCOPY ${LIST} /opt/\nCOPY docker/extra /opt/\n",
    );
    sandbox.file("docker/requirements-train.txt", "numpy\n");
    sandbox.file("docker/extra/list.txt", "x\n");
    sandbox.file(
        "docker/Dockerfile.runner",
        "FROM rust AS tool\nCOPY . .\nFROM train\nCOPY --from=tool /x /x\n",
    );
    sandbox.git(["add", "-A"]);
    sandbox.git(["commit", "-qm", "Copy"]);
    let images = |code: i32| {
        let args = ["images", "--base", "HEAD~1", "--head", "HEAD", "--format", "json"];
        sandbox.gates(args).run().exits(code).json()
    };
    let findings = images(1)["findings"].clone();
    assert_eq!(findings.as_array().unwrap().len(), 1, "{findings}");
    assert_eq!(findings[0]["code"], "copy-outside-images");
    assert_eq!(
        (&findings[0]["line"], &findings[0]["path"]),
        (&4.into(), &"docker/Dockerfile.train".into())
    );
    assert!(
        findings[0]["message"]
            .as_str()
            .unwrap()
            .contains("docker/extra/list.txt")
    );
    let settings = "[[images]]\nname = \"train\"\nfiles = [\"docker/Dockerfile.train\", \"docker/*.txt\", \"docker/extra/**\"]\n";
    sandbox.file("configs/nmoe-gates.toml", settings);
    assert!(images(0)["findings"].as_array().unwrap().is_empty());
}

/// The images of this repository copy nothing that does not rebuild them.
#[test]
fn own_dockerfiles_copy_listed_files() {
    let root = env!("CARGO_MANIFEST_DIR");
    let args = [
        "images",
        "--subject",
        root,
        "--repo",
        root,
        "--base",
        "HEAD",
        "--head",
        "HEAD",
        "--format",
        "json",
    ];
    let found = Sandbox::new().gates(args).run().exits(0).json();
    assert_eq!(found["findings"], serde_json::json!([]));
}
