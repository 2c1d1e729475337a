//! `images`: exactly the Docker environment decides, in the order in which images are built on each other.

use crate::driver::Place;

fn place() -> Place {
    let place = Place::new();
    place.git(["init", "-q"]);
    for name in ["base", "train", "runner"] {
        place.file(
            &format!("docker/Dockerfile.{name}"),
            format!("FROM {name}\nRUN true\nRUN true\n"),
        );
    }
    place
        .file("nmoe/train.py", "pass\n")
        .file("docker/Dockerfile.lab", "FROM lab\n");
    place.git(["add", "."]);
    place.git(["commit", "-qm", "Begin"]);
    place
}

fn rebuilt(place: &Place) -> Vec<String> {
    place.git(["add", "-A"]);
    place.git(["commit", "-qm", "Change"]);
    let out = place
        .gates(["images", "--base", "HEAD~1", "--head", "HEAD", "--format", "json"])
        .run()
        .exits(0);
    let json = out.json();
    let names = json["rebuild"].as_array().unwrap();
    names.iter().map(|n| n.as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_image_and_what_is_built_on_it() {
    for (change, expected) in [
        ("docker/Dockerfile.base", vec!["base", "train", "runner"]),
        ("docker/Dockerfile.train", vec!["train", "runner"]),
        ("docker/Dockerfile.runner", vec!["runner"]),
        ("docker/Dockerfile.lab", vec![]),
        ("nmoe/train.py", vec![]),
        ("docker/Dockerfile.runner.md", vec![]),
    ] {
        let place = place();
        place.file(change, "FROM other\n");
        assert_eq!(rebuilt(&place), expected, "{change}");
    }
}

#[test]
fn moves_and_removals_count_and_modes_do_not() {
    let first = place();
    first.git(["mv", "docker/Dockerfile.train", "docker/Dockerfile.old"]);
    assert_eq!(rebuilt(&first), ["train", "runner"]);
    let second = place();
    second.git(["rm", "-q", "docker/Dockerfile.runner"]);
    assert_eq!(rebuilt(&second), ["runner"]);
    let third = place();
    third.git(["update-index", "--chmod=+x", "docker/Dockerfile.base"]);
    third.git(["commit", "-qm", "Mode"]);
    let out = third
        .gates(["images", "--base", "HEAD~1", "--head", "HEAD"])
        .run()
        .exits(0);
    insta::assert_snapshot!(out.stdout, @r"
    keep    base     nothing changed in docker/Dockerfile.base
    keep    train    nothing changed in docker/Dockerfile.train, docker/requirements-train.txt
    keep    runner   nothing changed in docker/Dockerfile.runner
    ");
}

#[test]
fn settings_name_what_else_is_environment() {
    let place = place();
    place.file(
        "configs/nmoe-gates.toml",
        "[[images]]\nname = \"base\"\nfiles = [\"docker/Dockerfile.base\"]\n\n[[images]]\nname = \"train\"\nfiles = [\"docker/Dockerfile.train\", \"docker/requirements*.txt\"]\n",
    );
    place.file("docker/requirements-train.txt", "numpy\n");
    assert_eq!(rebuilt(&place), ["train"]);
}

#[test]
fn a_push_event_tells_the_change_and_a_new_branch_builds_all() {
    let place = place();
    place
        .file("docker/Dockerfile.train", "FROM x\n")
        .git(["commit", "-qam", "Change"]);
    let id = |rev: &str| place.git(["rev-parse", rev]).trim().to_owned();
    for (before, expected) in [(id("HEAD~1"), 2), ("0".repeat(40), 3)] {
        let event = format!(
            "{{\"before\": \"{before}\", \"after\": \"{}\", \"ref\": \"refs/heads/master\"}}",
            id("HEAD")
        );
        std::fs::write(place.path("event.json"), event).unwrap();
        let out = place
            .gates(["images", "--format", "json"])
            .env("GITHUB_EVENT_PATH", place.path("event.json"))
            .run()
            .exits(0);
        assert_eq!(
            out.json()["rebuild"].as_array().unwrap().len(),
            expected,
            "{before}"
        );
    }
    place.gates(["images"]).run().exits(2);
    place
        .gates(["images", "--base", "nowhere", "--head", "HEAD"])
        .run()
        .exits(2);
}
