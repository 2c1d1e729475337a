//! T19: plants private data in the environment and in the output of a gate, and looks for them in every output of the program.

use serde_json::{Value, json};

use crate::attack::attack;
use crate::driver::Sandbox;
use crate::fake_github::{FakeGitHub, REPOSITORY};

/// The planted names and values, concatenated here so that no scanner finds them in this file.
fn planted() -> Vec<(&'static str, String)> {
    vec![
        ("GITHUB_TOKEN", format!("gh{}_{}", "p", "aZ3kQ9".repeat(6))),
        (
            "AWS_SECRET_ACCESS_KEY",
            format!("wJ{}", "alrXUtn9FEMIkQ7MDENGbPxRfiCY".repeat(2))
                .chars()
                .take(40)
                .collect(),
        ),
        ("HOSTNAME", "gpu-node-17.pool.corp.example".to_owned()),
        ("POD_NAME", "nmoe-runner-x7k2p-worker-0".to_owned()),
        ("POD_NAMESPACE", "team-secret-ns".to_owned()),
        ("KUBERNETES_SERVICE_HOST", format!("10.{}.4.7", 96)),
        ("NMOE_DATA_PATH", "/mnt/lustre-secret/corpora/v7".to_owned()),
        ("NMOE_PRIVATE_TERMS", "project-heron".to_owned()),
    ]
}

#[test]
fn t19_planted_secrets_appear_nowhere() {
    let (sandbox, api) = (Sandbox::new(), FakeGitHub::start());
    // The gate prints its environment and secrets that the change contains.
    let by_heart: String = planted()
        .iter()
        .map(|(name, value)| format!("echo 'export {name}={value}'\n"))
        .collect();
    let registry = format!(
        "[gates.\"cpu:tell\"]\ntier = \"a\"\ncmd = '''\nenv\nhostname || true\n{}\necho \"reading $NMOE_DATA_PATH/shard-0\"\nexit 1\n'''\nrequires = [\"NMOE_DATA_PATH\"]\n[bundles]\ntell = [\"cpu:tell\"]\n",
        by_heart.replace("'''", "")
    );
    sandbox.file("configs/gates/gates.toml", &registry);
    sandbox.git(["init", "--quiet"]);
    sandbox.git(["add", "."]);
    sandbox.git(["commit", "--quiet", "--message", "base"]);
    let head = sandbox.git(["rev-parse", "HEAD"]).trim().to_owned();
    api.pull(5, "issue/01-x", &head, &head, "");

    let with = |mut call: crate::driver::Call| {
        for (name, value) in planted() {
            call = call.env(name, value);
        }
        call.env("GITHUB_ACTIONS", "true")
    };
    let run = with(sandbox.gates(["run", "--bundle", "tell", "--results", "../results.json"]))
        .run()
        .exits(1);
    let naive = format!(
        "{by_heart}{}",
        planted()
            .iter()
            .map(|(n, v)| format!("{n}={v}\n"))
            .collect::<String>()
    );

    assert!(
        run.stdout.contains("reading ${NMOE_DATA_PATH}/shard-0"),
        "{}",
        run.stdout
    );
    // Asking the runner to mask a name would write the name into the log, which `tee` keeps.
    assert!(!run.stdout.contains("::add-mask::"), "{}", run.stdout);
    let mut places: Vec<(String, String)> = vec![
        ("the job's log".to_owned(), run.stdout.to_string()),
        ("the job's talk".to_owned(), run.stderr.to_string()),
        (
            "results".to_owned(),
            std::fs::read_to_string(sandbox.path("results.json")).unwrap(),
        ),
        (
            "journal".to_owned(),
            std::fs::read_to_string(sandbox.path("results.json.journal")).unwrap(),
        ),
    ];
    for format in [
        "summary", "comment", "terminal", "json", "junit", "sarif", "html", "in-toto", "github",
    ] {
        let out = with(sandbox.gates(["report", "../results.json", "--format", format]))
            .run()
            .exits(0);
        places.push((format!("report --format {format}"), out.stdout + &out.stderr));
    }
    let publish = with(sandbox.gates(["publish", "../results.json", "--pr", "5"]));
    // The planted token belongs to another user; publishing has its own token.
    let publish = api.serves(publish).run().exits(0);
    places.push(("publish's talk".to_owned(), publish.stdout + &publish.stderr));
    places.push(("the comment".to_owned(), api.comments(5).concat()));
    let statuses: Value = json!(api.state().statuses);
    places.push(("the commit status".to_owned(), statuses.to_string()));
    assert!(places.iter().any(|(_, text)| text.contains("cpu:tell")) && !REPOSITORY.is_empty());

    let mut found = Vec::new();
    for (name, value) in planted() {
        assert!(naive.contains(&value));
        for (output, text) in &places {
            if text.contains(&value) {
                found.push(format!("{name} in {output}"));
            }
        }
    }
    attack(&format!("{found:#?}"), true, !found.is_empty());
}
