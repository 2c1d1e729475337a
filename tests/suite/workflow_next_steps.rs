//! Goes from a plan to a merge with only the `next` steps that the program prints.

use std::path::PathBuf;

use serde_json::json;

use crate::driver::git;
use crate::repo_fixture::{RepoFixture, commit, write};

/// A user who follows only `next`. The test plays the parts that need a decision, and GitHub.
struct Agent<'a> {
    fixture: &'a RepoFixture,
    dir: PathBuf,
    did: Vec<String>,
}

/// A step as the program prints it.
#[derive(Clone)]
struct Step {
    who: String,
    what: String,
    command: String,
    argv: Vec<String>,
}

fn step(command: &str) -> Step {
    Step {
        who: String::new(),
        what: String::new(),
        command: command.to_owned(),
        argv: command.split(' ').map(str::to_owned).collect(),
    }
}

impl Agent<'_> {
    /// Runs a command of the program as printed, and returns its `next`.
    fn run(&mut self, argv: &[String]) -> Vec<Step> {
        let words: Vec<&str> = argv[1..]
            .iter()
            .map(String::as_str)
            .chain(["--format", "json"])
            .collect();
        let out = self.fixture.call(&self.dir, &words).any_code();
        let json = out.json();
        if let Some(worktree) = json["worktree"].as_str() {
            assert!(worktree.starts_with('/'), "{worktree}");
        }
        json["next"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|step| {
                let text = |key: &str| step[key].as_str().unwrap_or_default().to_owned();
                let words = step["argv"].as_array().into_iter().flatten();
                Step {
                    who: text("who"),
                    what: text("what"),
                    command: text("command"),
                    argv: words.map(|word| word.as_str().unwrap().to_owned()).collect(),
                }
            })
            .collect()
    }

    /// Follows steps, depth first, until it has followed one that begins with this text.
    fn follow(&mut self, steps: Vec<Step>) {
        let mut left: std::collections::VecDeque<_> = steps.into();
        while let Some(Step {
            who,
            what,
            command,
            mut argv,
        }) = left.pop_front()
        {
            assert!(self.did.len() < 40, "{:#?}", self.did);
            if argv.first().is_some_and(|program| program == "sh") {
                // The test knows the output of `gh`.
                assert_eq!(
                    argv[2],
                    "nmoe-gates ready \"$(gh pr view issue/01-core --json number --jq .number -R octo-org/trainer)\""
                );
                argv = step("nmoe-gates ready 11").argv;
            }
            if !argv.is_empty() {
                self.did.push(command.clone());
            }
            match argv.first().map_or("", String::as_str) {
                "nmoe-gates" => {
                    let more = self.run(&argv);
                    // A list of alternatives: any step is correct.
                    let more = if command == "nmoe-gates plan" {
                        more[..1].to_vec()
                    } else {
                        more
                    };
                    for step in more.into_iter().rev() {
                        left.push_front(step);
                    }
                }
                "cd" => {
                    self.dir = PathBuf::from(&argv[1]);
                    write(&self.dir, "nmoe/train.py", "A\nb\nc\nd\ne\nf\n");
                }
                "git" => {
                    git(&self.dir, &argv[1..]);
                }
                "gh" => {
                    let command = command.strip_suffix(" -R octo-org/trainer").unwrap();
                    for step in self.github(command) {
                        left.push_back(step);
                    }
                }
                _ => {
                    assert_eq!((who.as_str(), command.as_str()), ("author", ""), "{what}");
                    self.did.push(what.clone());
                    if what == "commit the work" {
                        commit(&self.dir);
                        continue;
                    }
                    let (_, rest) = what.split_once("describe in ").unwrap();
                    let file = rest.split(' ').next().unwrap();
                    let block = std::fs::read_to_string(file).unwrap();
                    let body = format!(
                        "{block}\n## Summary\n- Work.\n\n## Links\n- Fixes: #1\n\n## Public-safety (required)\n- [x] No internal names.\n- [x] No credentials.\n\n## Reviewer focus\n- all\n"
                    );
                    std::fs::write(file, body).unwrap();
                }
            }
        }
    }

    /// Does the part of GitHub and of its users.
    fn github(&mut self, command: &str) -> Vec<Step> {
        let head = git(&self.dir, ["rev-parse", "HEAD"]).trim().to_owned();
        if let Some(rest) = command.strip_prefix("gh pr create --title '[01] core' --body-file ") {
            let branch = git(&self.dir, ["branch", "--show-current"]).trim().to_owned();
            let file = rest
                .strip_suffix(&format!(" --base master --head {branch}"))
                .unwrap();
            let body = std::fs::read_to_string(file).unwrap();
            self.fixture.api.pull(11, &branch, &head, &"0".repeat(40), &body);
            Vec::new()
        } else if command == "gh pr review 11 --approve" {
            let review = json!({"user": {"login": "reviewer"}, "state": "APPROVED", "commit_id": head});
            self.fixture.api.state().reviews.insert(11, vec![review]);
            Vec::new()
        } else if command.starts_with("gh workflow run tier-b.yml -f pr_number=11 ") {
            self.fixture.tier_b(1, &head);
            vec![step("nmoe-gates ready 11")]
        } else {
            assert_eq!(
                command,
                format!("gh pr merge 11 --merge --match-head-commit {head}")
            );
            self.fixture.merge(1, false);
            Vec::new()
        }
    }
}

#[test]
fn slow_next_steps_lead_from_plan_to_merge() {
    let fixture = RepoFixture::begin();
    let mut agent = Agent {
        fixture: &fixture,
        dir: fixture.sandbox.repo(),
        did: Vec::new(),
    };
    agent.follow(vec![step("nmoe-gates plan")]);
    let merged = fixture.api.state().pulls[&11]["merged"].clone();
    assert_eq!(merged, true, "{:#?}", agent.did);
    let tree = agent.dir.display().to_string();
    let short: Vec<String> = agent
        .did
        .iter()
        .map(|step| {
            step.replace(&tree, "TREE")
                .split(" --match-head")
                .next()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(
        short,
        [
            "nmoe-gates plan",
            "nmoe-gates start 01",
            "cd TREE",
            "nmoe-gates lint scope --cached",
            "commit the work",
            "nmoe-gates run --tier a",
            "nmoe-gates attest --write TREE.md",
            "describe in TREE.md what you changed and why, name the issue with `Fixes: #N` unless it is there, tick the boxes that you confirm",
            "git push origin HEAD",
            "gh pr create --title '[01] core' --body-file TREE.md --base master --head issue/01-core -R octo-org/trainer",
            "nmoe-gates ready \"$(gh pr view issue/01-core --json number --jq .number -R octo-org/trainer)\"",
            "gh pr review 11 --approve -R octo-org/trainer",
            "gh workflow run tier-b.yml -f pr_number=11 -f bundle=single -f single_gate=b200:moonlight_8x20 -R octo-org/trainer",
            "nmoe-gates ready 11",
            "gh pr merge 11 --merge",
        ]
    );
}

/// A step that forgets `--repo` reads the checkout of the current directory: another one, or none.
#[test]
fn steps_repeat_the_named_directories() {
    let fixture = RepoFixture::begin();
    let elsewhere = fixture.sandbox.path("tmp");
    let repo = fixture.sandbox.repo();
    let next = |dir: &std::path::Path, args: &[&str]| -> Vec<Vec<String>> {
        let dir = dir.to_str().unwrap();
        let args = [args, &["--repo", dir, "--format", "json"]].concat();
        let json = fixture
            .call(&elsewhere, &args)
            .any_code()
            .any_output()
            .any_files()
            .json();
        let steps = json["next"].as_array().unwrap().clone();
        let argv = steps
            .iter()
            .filter_map(|step| serde_json::from_value(step["argv"].clone()).ok());
        argv.collect()
    };
    // Follows the first step of this program, which must find the repository again.
    let follow = |steps: &[Vec<String>]| {
        let own = steps.iter().find(|argv| argv[0] == "nmoe-gates").unwrap();
        assert_eq!(own[1..3], ["--repo", repo.to_str().unwrap()], "{own:?}");
        let words: Vec<&str> = own[1..].iter().map(String::as_str).collect();
        let out = fixture
            .call(&elsewhere, &words)
            .any_code()
            .any_output()
            .any_files();
        assert!(out.code().is_some_and(|code| code < 2), "{own:?}: {}", out.stderr);
    };
    follow(&next(&repo, &["gates", "show", "cpu:import"]));
    follow(&next(&repo, &["gates", "resolve", "--tier", "a"]));
    follow(&next(&repo, &["plan"]));
    // The steps after the `cd` of `start` are for the new worktree.
    let steps = next(&repo, &["start", "04"]);
    assert_eq!(steps[0][0], "cd");
    assert_eq!(steps[1], ["nmoe-gates", "lint", "scope", "--cached"]);
    let tree = PathBuf::from(&steps[0][1]);
    follow(&next(&repo, &["start", "04"]));
    write(&tree, "tools/shared.py", "changed\n");
    commit(&tree);
    fixture.offer(&tree, 4);
    fixture.api.state().pulls.get_mut(&14).unwrap()["merged"] = true.into();
    // `ready` of a pull request that is merged names `start --clean`.
    let steps = next(&repo, &["ready", "14"]);
    assert!(
        steps
            .iter()
            .any(|argv| argv.ends_with(&["start".to_owned(), "--clean".to_owned()])),
        "{steps:?}"
    );
    follow(&steps);

    let shown = tree.display();
    let path = tree.to_str().unwrap();
    let subject = ["run", "--tier", "a", "--subject", path, "--repo", path];
    let file = format!("{shown}.md");
    let command = format!("nmoe-gates --repo {shown} --subject {shown} attest --write {file}");
    fixture
        .call(&elsewhere, &subject)
        .exits(0)
        .reports(&format!("next: write the attestation: {command} (author)"));
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let out = fixture.call(&elsewhere, &words).exits(0).any_output().any_files();
    for step in [
        format!("push the branch: git -C {shown} push origin HEAD"),
        format!("see what blocks the merge: nmoe-gates --repo {shown} --subject {shown} ready \"$(gh "),
    ] {
        assert!(out.stderr.contains(&step), "{}", out.stderr);
    }
}
