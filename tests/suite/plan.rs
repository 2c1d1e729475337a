//! Tests `plan`: waves, hotspots, cycles and missing dependencies in folders, on GitHub, and in branches that conflict.

use crate::driver::Sandbox;
use crate::fake_github::FakeGitHub;
use crate::support::contract::contract;

#[test]
fn folder_is_planned() {
    let sandbox = Sandbox::new();
    sandbox
        .file(
            "work/a.md",
            contract("01", "one")
                .hotspots("nmoe/train.py")
                .allow("nmoe/train.py")
                .section(),
        )
        .file(
            "work/b.md",
            contract("02", "two")
                .depends_on("\"01\"")
                .allow("docs/**")
                .section(),
        )
        .file(
            "work/c.md",
            contract("03a", "three").allow("\"nmoe/*.py\"").section(),
        )
        .file(
            "work/d.yml",
            contract("04", "four")
                .depends_on("03a, 02")
                .hotspots("CHANGELOG.md")
                .allow("CHANGELOG.md")
                .section(),
        )
        .file("work/notes.md", "nothing here");
    let json = sandbox
        .gates(["plan", "work", "--format", "json"])
        .expect()
        .stdout_json()
        .check()
        .json();
    assert_eq!(json["waves"], serde_json::json!([["01"], ["02", "03a"], ["04"]]));
    assert_eq!(json["critical_path"], serde_json::json!(["01", "02", "04"]));
    assert_eq!(json["hotspots"][0]["path"], "nmoe/train.py");
    assert_eq!(json["hotspots"][0]["contracts"], serde_json::json!(["01", "03a"]));
    assert_eq!(json["next"][0]["command"], "nmoe-gates start 01 --contract work");

    let out = sandbox.gates(["plan", "work"]).expect().stdout_any().check();
    insta::assert_snapshot!(out.stdout, @r"
    wave  contract   after    exclusive
    1     01-one              nmoe/train.py
    2     02-two     01
    2     03a-three           nmoe/config.py, nmoe/moe.py, nmoe/train.py
    3     04-four    03a, 02

    critical path: 01 → 02 → 04

    hotspot        kind  means      contracts
    nmoe/train.py  core  exclusive  01, 03a

    next: nmoe-gates start 01 --contract work
    ");
    let out = sandbox
        .gates(["plan", "work", "--format", "mermaid"])
        .expect()
        .stdout_any()
        .check();
    insta::assert_snapshot!(out.stdout, @r#"
    flowchart LR
      subgraph wave1["wave 1"]
        c0["01 one"]
      end
      subgraph wave2["wave 2"]
        c1["02 two"]
        c2["03a three"]
      end
      subgraph wave3["wave 3"]
        c3["04 four"]
      end
      c0 --> c1
      c2 --> c3
      c1 --> c3
      c0 -. "nmoe/train.py" .- c2
    "#);
    sandbox
        .gates(["plan", "work", "--format", "dot"])
        .expect()
        .stdout_matches(r"digraph plan \{.* c0 -> c1;.*\}\n")
        .check();
}

#[test]
fn broken_contracts_are_findings() {
    let sandbox = Sandbox::new();
    sandbox
        .file(
            "w/1.md",
            contract("01", "a").depends_on("02").allow("a").section(),
        )
        .file(
            "w/2.md",
            contract("02", "b").depends_on("01").allow("b").section(),
        )
        .file("w/3.md", contract("03", "c").depends_on("3").allow("c").section())
        .file("w/4.md", contract("04", "d").allow("d").section())
        .file("w/5.md", contract("04", "again").allow("d").section())
        .file("w/6.md", "text\n\n```yaml\nnmoe:\n  issue: [\n```\n");
    let json = sandbox
        .gates(["plan", "w", "--format", "json"])
        .expect()
        .status(1)
        .stdout_json()
        .check()
        .json();
    let findings: Vec<(&str, &str)> = json["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (f["code"].as_str().unwrap(), f["message"].as_str().unwrap()))
        .collect();
    assert_eq!(
        findings[0],
        ("duplicate-contract", "contract `04` is already in w/4.md")
    );
    assert_eq!(findings[1].0, "unreadable-contract");
    assert_eq!(
        findings[2],
        ("dependency-cycle", "contracts wait for each other: 01 → 02 → 01")
    );
    assert_eq!(
        findings[3],
        ("missing-dependency", "there is no contract `3`: 03 → 3")
    );
    assert_eq!(json["findings"][1]["line"], 5);
    assert!(
        json["findings"][3]["help"]
            .as_str()
            .unwrap()
            .contains("did you mean `03`")
    );
    assert_eq!(json["waves"], serde_json::json!([["04"]]));
    assert_eq!(json["blocked"].as_array().unwrap().len(), 3);

    sandbox
        .gates(["plan", "w/3.md", "--done", "3"])
        .expect()
        .stdout_any()
        .check();
    sandbox
        .gates(["plan", "nowhere.md"])
        .expect()
        .status(2)
        .stderr_matches("error: [^\n]*nowhere.md: No such file [^\n]*\n")
        .check();
    sandbox
        .gates(["plan", "w", "--format", "sarif"])
        .expect()
        .status(2)
        .stderr_matches("error: [^\n]*sarif[^\n]*\n  help: [^\n]* human, json, mermaid, dot\n")
        .check();
}

#[test]
fn open_issues_of_every_page_are_planned() {
    let api = FakeGitHub::start();
    api.state().page = 2;
    for n in 1..=5 {
        let depends = if n > 1 {
            format!("0{}", n - 1)
        } else {
            String::new()
        };
        api.issue(
            n,
            "Work",
            &contract(&format!("0{n}"), "x")
                .depends_on(&depends)
                .allow("x")
                .section(),
        );
    }
    api.issue(6, "A question", "no contract in it");
    let sandbox = Sandbox::new();
    let json = api
        .serves(sandbox.gates(["plan", "--format", "json"]))
        .expect()
        .stdout_json()
        .check()
        .json();
    assert_eq!(json["waves"].as_array().unwrap().len(), 5);
    assert_eq!(json["contracts"][4]["path"], "issue #5");
}

#[test]
fn conflicting_branches_are_hotspots() {
    let sandbox = Sandbox::new();
    sandbox.git(["init", "-q"]);
    sandbox.file("shared.txt", "base\n").git(["add", "."]);
    sandbox.git(["commit", "-qm", "base"]);
    for (issue, text) in [("01", "one\n"), ("02", "two\n"), ("03", "base\n")] {
        sandbox.git(["checkout", "-q", "-b", &format!("issue/{issue}-x"), "master"]);
        sandbox
            .file("shared.txt", text)
            .file(&format!("own{issue}"), "own");
        sandbox.git(["add", "."]);
        sandbox.git(["commit", "-qm", "work"]);
        sandbox.git(["checkout", "-q", "master"]);
        let own = format!("own{issue}");
        std::fs::create_dir_all(sandbox.path("work")).unwrap();
        std::fs::write(
            sandbox.path(&format!("work/{issue}.md")),
            contract(issue, "x").allow(&own).section(),
        )
        .unwrap();
    }
    let json = sandbox
        .gates(["plan", "../work", "--format", "json"])
        .expect()
        .stdout_json()
        .check()
        .json();
    assert_eq!(json["hotspots"][0]["kind"], "conflict");
    assert_eq!(json["hotspots"][0]["path"], "shared.txt (01 and 02)");
    assert_eq!(json["waves"], serde_json::json!([["01", "03"], ["02"]]));
}

/// B11: `plan` named contracts in progress, for ever.
#[test]
fn taken_contracts_and_hotspots_are_not_next() {
    let sandbox = crate::start::world();
    for (id, allow) in [("03", "tools/a.py"), ("04", "tools/a.py"), ("05", "tools/b.py")] {
        let text = contract(id, "x").hotspots(allow).allow(allow).section();
        std::fs::write(sandbox.path(&format!("work/{id}.md")), text).unwrap();
    }
    let next = || -> Vec<String> {
        let out = sandbox
            .gates(["plan", "../work", "--format", "json"])
            .run()
            .exits(0);
        let next = out.json()["next"].as_array().unwrap().clone();
        next.iter()
            .map(|step| step["command"].as_str().unwrap().to_owned())
            .collect()
    };
    let start = |id: &str| format!("nmoe-gates start {id} --contract ../work");
    assert_eq!(next(), [start("01"), start("03"), start("05")]);
    let started = sandbox.gates(["start", "03", "--contract", "../work"]).run();
    started.exits(0).prints("started 03");
    assert_eq!(next(), [start("01"), start("05")], "04 changes the file of 03");
    let human = sandbox.gates(["plan", "../work"]).run().exits(0);
    human.prints("in work:\n  03: claimed by ");
    // A claimed contract does not stop who asks for the other one, but is named.
    let out = sandbox
        .gates(["start", "04", "--contract", "../work"])
        .run()
        .exits(0);
    out.prints("warning[hotspot-taken]: `tools/a.py` is also changed by 03, which is claimed");
}

/// B13: more than 50 pages of closed issues were an error. The newest are read first, and reading stops at the wanted one.
#[test]
fn merged_dependency_is_found_among_many_closed_issues() {
    let api = FakeGitHub::start();
    api.state().page = 10;
    let sandbox = Sandbox::new();
    for n in 1..=560 {
        api.issue(n, "Work", "no contract");
        api.state().issues.get_mut(&n).unwrap()["state"] = "closed".into();
    }
    let close = |n: u64, id: &str| {
        api.issue(n, "Work", &contract(id, "x").allow("x").section());
        let mut state = api.state();
        let issue = state.issues.get_mut(&n).unwrap();
        (issue["state"], issue["state_reason"]) = ("closed".into(), "completed".into());
    };
    close(555, "01");
    api.issue(
        600,
        "Work",
        &contract("02", "x").depends_on("\"01\"").allow("x").section(),
    );
    let plan = || {
        let out = api.serves(sandbox.gates(["plan", "--format", "json"])).run();
        out.exits(0).json()["waves"].clone()
    };
    assert_eq!(plan(), serde_json::json!([["02"]]));
    let lists = |api: &FakeGitHub| {
        api.log()
            .iter()
            .filter(|line| line.contains("state=closed"))
            .count()
    };
    assert_eq!(lists(&api), 1, "{:#?}", api.log());
    close(555, "other");
    close(3, "01");
    assert_eq!(plan(), serde_json::json!([["02"]]), "56 pages");
}

/// Every user can open an issue, so a contract must not make a plan take minutes.
#[test]
fn contracts_with_thousands_of_patterns_are_refused() {
    let sandbox = Sandbox::new();
    for n in 10..30 {
        let patterns: Vec<String> = (0..5000).map(|i| format!("\"a?b{i}*c{n}/**\"")).collect();
        sandbox.file(
            &format!("contracts/{n}.yml"),
            format!(
                "nmoe:\n  issue: {n}\n  slug: x\n  kind: feature\n  risk: cold\n  complexity: S\n  depends_on: []\n  merge_hotspots: []\n\
scope:\n  allow: [{}]\n  deny: []\n",
                patterns.join(", ")
            ),
        );
    }
    let call = sandbox.gates(["plan", "contracts", "--format", "json"]);
    // Seconds of processor time, for a debug build.
    let output = call
        .under(&["bash", "-c", "ulimit -t 10; exec \"$@\"", "bounded"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.matches("at most 500").count(), 20, "{said}");
}

/// Contracts of strangers whose patterns must be compared in pairs. The time grows with the number of contracts, and not faster.
#[test]
fn slow_hostile_patterns_take_linear_time() {
    let mut times = Vec::new();
    for count in [20, 40, 80] {
        let sandbox = Sandbox::new();
        let shared = |id: &str| contract(id, "honest").allow("nmoe/data/loader.py").section();
        sandbox
            .file("w/01.md", shared("01"))
            .file("w/02.md", shared("02"));
        for n in 0..count {
            let patterns: Vec<String> = (0..450).map(|m| format!("\"*/x{n}y{m}/*\"")).collect();
            let id = format!("9{n:02}");
            let text = contract(&id, "hostile").allow(&patterns.join(", ")).section();
            sandbox.file(&format!("w/{id}.md"), text);
        }
        let shell = ["bash", "-c", "TIMEFORMAT=%U; time \"$@\"", "timed"];
        let call = sandbox.gates(["plan", "w", "--format", "json"]);
        let output = call.under(&shell).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let planned = plan["waves"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|wave| wave.as_array().unwrap())
            .count();
        assert_eq!(planned, count + 2);
        let path = "nmoe/data/loader.py";
        let spots = plan["hotspots"].as_array().unwrap();
        assert!(
            spots
                .iter()
                .any(|spot| spot["path"] == path && spot["contracts"] == serde_json::json!(["01", "02"]))
        );
        assert_eq!(plan["findings"][0]["code"], "plan-limit");
        let stderr = String::from_utf8_lossy(&output.stderr);
        times.push(stderr.lines().last().unwrap().parse::<f64>().unwrap());
    }
    // To compare all pairs would take 16 times as long.
    assert!(times[2] < times[0] * 8.0, "{times:?}");
}

/// An empty plan would look as if nothing were to be done.
#[test]
fn folder_without_contracts_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.file("docs/notes.md", "No contract here.\n");
    sandbox
        .gates(["plan", "docs"])
        .run()
        .exits(2)
        .reports("error: cannot plan docs: no contract was found");
}
