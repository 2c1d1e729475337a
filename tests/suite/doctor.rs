//! `doctor`: what is missing is named with its remedy, and a sound repository is found sound.

use serde_json::Value;

use crate::driver::Place;

const REGISTRY: &str = r#"
[meta]
version = "1"
[gates."cpu:look"]
tier = "a"
cmd = "true"
requires = ["T_DATA_PATH", "T_RUN_ROOT"]
requires_files = ["configs/there.toml", "configs/absent.toml"]
[bundles]
all = ["cpu:look"]
"#;

fn found<'a>(report: &'a Value, name: &str) -> Vec<(&'a str, &'a str)> {
    let checks = report["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|c| c["name"] == name);
    checks
        .map(|c| (c["state"].as_str().unwrap(), c["found"].as_str().unwrap()))
        .collect()
}

#[test]
fn an_empty_folder_lacks_everything_and_each_thing_has_a_remedy() {
    let report = Place::new()
        .gates(["doctor", "--format", "json"])
        .run()
        .exits(1)
        .json();
    assert_eq!(report["ready"], false);
    for check in report["checks"].as_array().unwrap() {
        assert_eq!(check["state"] == "ok", check.get("remedy").is_none(), "{check}");
    }
    for name in ["registry", "forms", "workflows"] {
        assert!(
            found(&report, name).iter().all(|(state, _)| *state == "missing"),
            "{name}: {report}"
        );
    }
}

#[test]
fn the_registrys_needs_are_looked_at_one_by_one() {
    let place = Place::new();
    place
        .file("configs/gates/gates.toml", REGISTRY)
        .file("configs/there.toml", "");
    let data = place.path("data");
    std::fs::create_dir(&data).unwrap();
    let doctor = |extra: &[&str]| {
        let call = place
            .gates(["doctor", "--format", "json"].iter().chain(extra))
            .env("T_DATA_PATH", &data);
        call.run().exits(1).json()
    };
    let report = doctor(&[]);
    assert_eq!(
        found(&report, "environment"),
        [
            ("ok", "T_DATA_PATH is set"),
            ("hint", "T_RUN_ROOT is not set; needed by cpu:look")
        ]
    );
    assert_eq!(
        found(&report, "files"),
        [(
            "missing",
            "configs/absent.toml does not exist; needed by cpu:look"
        )]
    );
    assert_eq!(
        found(&report, "data"),
        [("hint", "what T_DATA_PATH names can be written")]
    );
    assert_eq!(
        std::fs::read_dir(&data).unwrap().count(),
        0,
        "the trial file is gone"
    );
    assert!(
        !report.to_string().contains(data.to_str().unwrap()),
        "a value of the environment is never shown"
    );

    let runner = doctor(&["--runner"]);
    assert_eq!(
        found(&runner, "environment")[1].0,
        "missing",
        "on the runner it is no hint"
    );
    assert_eq!(found(&runner, "gpus")[0].0, "missing");
}
