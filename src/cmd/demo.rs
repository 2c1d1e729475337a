//! `demo`: runs the complete workflow, from a contract to a table of results, in a sample repository.
//!
//! Every step calls this program, and prints the command as a user would type it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail};

use crate::cmd::context::{Context, Format, print};
use crate::cmd::help::{self, Help};
use crate::domain::exit::Exit;
use crate::domain::paths;
use crate::git::Git;
use crate::terminal::Text;

/// The files of the sample repository, by path.
const SAMPLE: [(&str, &str); 8] = [
    ("README.md", include_str!("../../examples/demo/README.md")),
    (
        paths::REGISTRY,
        include_str!("../../examples/demo/configs/gates/gates.toml"),
    ),
    (
        "configs/tiny.toml",
        include_str!("../../examples/demo/configs/tiny.toml"),
    ),
    (
        "nmoe/__init__.py",
        include_str!("../../examples/demo/nmoe/__init__.py"),
    ),
    ("nmoe/train.py", include_str!("../../examples/demo/nmoe/train.py")),
    (
        "letters/train.py",
        include_str!("../../examples/demo/letters/train.py"),
    ),
    (MODEL, "{}\n"),
    (".gitignore", "__pycache__/\n"),
];
/// The configuration of the trainer whose numbers are compared.
const MODEL: &str = "letters/model.json";
/// The variants of that trainer: the folder, the folder of the baseline, and the configuration.
const VARIANTS: [(&str, &str, &str); 5] = [
    ("same", "repo", "{ \"comment\": \"the same model\" }"),
    (
        "digit",
        "repo",
        "{ \"loss_scale\": 1.000001, \"loss_scale_from\": 3 }",
    ),
    ("forgets", "repo", "{ \"checkpoint_forgets\": [\"first\"] }"),
    ("unordered", "repo", "{ \"unordered\": true }"),
    (
        "unordered-same",
        "unordered",
        "{ \"unordered\": true, \"comment\": \"the same model\" }",
    ),
];
/// The new content of `configs/tiny.toml` in the pull request of the sample.
const CHANGE: &str = include_str!("../../examples/demo/change.toml");
const ISSUE: &str = include_str!("../../examples/demo/issue.md");
const PULL_REQUEST: &str = include_str!("../../examples/demo/pull_request.md");
const BRANCH: &str = "issue/01-bigger-batch";

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: &[Format::Human],
    codes: help::RUNS_GATES,
    variables: help::OF_TERMINAL,
    examples: &["demo", "demo --keep sample"],
};

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Unpack the sample into this new or empty folder and keep it (default: a temporary folder).
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

/// One call of this program.
struct Step {
    says: &'static str,
    args: Vec<String>,
    /// The exit code that the step must have.
    code: i32,
}

/// Runs `demo`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    context.format(HELP.formats)?;
    let cancelled = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&cancelled)).context("cannot listen for signals")?;
    }
    let temporary;
    let place = match &args.keep {
        Some(dir) => {
            fresh(dir)?;
            dir.canonicalize()
                .with_context(|| format!("cannot use {}", dir.display()))?
        }
        None => {
            temporary = tempfile::TempDir::with_prefix("nmoe-gates-demo-").context("cannot make a folder")?;
            temporary.path().to_owned()
        }
    };
    let commits = unpack(&place).context("cannot unpack the sample")?;
    let Commits {
        base, head, merge, ..
    } = &commits;
    let until = match args.keep {
        Some(_) => "",
        None => " until the end of this demo",
    };
    print(
        Text::new()
            .line("This is a sample training repository. One trainer only counts steps; the other one, letters/train.py, computes real losses.")
            .line(format_args!(
                "It is in {}{until}, with a pull request and its trial merge:",
                place.display()
            ))
            .line(format_args!("  base {base}, head {head}, merge {merge}"))
            .line(format_args!("  NMOE_RUN_ROOT is {}/runs", place.display())),
    )?;
    let color = context.color(&std::io::stdout());
    let steps = steps(&commits);
    for (at, step) in steps.iter().enumerate() {
        print(
            Text::new()
                .line("")
                .line(format_args!("=== {} of {}: {}", at + 1, steps.len(), step.says))
                .line(format_args!("$ nmoe-gates {}", step.args.join(" "))),
        )?;
        if step.args.iter().any(|arg| arg == FORGED) {
            forge(&place)?;
        }
        let code = call(&place, &step.args, color)?;
        if cancelled.load(Ordering::Relaxed) {
            return Ok(Exit::Interrupted);
        }
        if code != Some(step.code) {
            print(Text::new().line("").line(format_args!(
                "This step should have ended with exit code {}, so the demo stops.",
                step.code
            )))?;
            return Ok(Exit::Failed);
        }
        if step.code != 0 {
            print(Text::new().line(format_args!("(exit code {}, as it must be)", step.code)))?;
        }
    }
    print(Text::new().line("").line(
        "This was the sample. Next, in your repository: `nmoe-gates lint contract`, `run --tier a`, and Tier B by a maintainer.",
    ))?;
    Ok(Exit::Passed)
}

/// The commits of the sample.
struct Commits {
    base: String,
    head: String,
    merge: String,
    /// A head with a change that the contract does not allow.
    sneaky: String,
    /// The baseline of the variants without an order of summation.
    unordered: String,
}

/// The results that a hand has edited.
const FORGED: &str = "../forged.json";

fn steps(commits: &Commits) -> Vec<Step> {
    let Commits {
        base,
        head,
        sneaky,
        unordered,
        ..
    } = commits;
    let red = |code, says, line: &str| Step {
        says,
        args: line.split(' ').map(str::to_owned).collect(),
        code,
    };
    let step = |says, line: &str| red(0, says, line);
    vec![
        step(
            "the issue is a contract; check whether it is complete",
            "lint contract ../issue.md",
        ),
        step(
            "the pull request is an attestation; compare it with the contract and the changed files",
            &format!(
                "lint attestation ../pull_request.md --contract ../issue.md --base {base} --head {head} --branch {BRANCH}"
            ),
        ),
        step("the registry defines the gates; check it", "lint registry"),
        step(
            "select the gates, and check that they cover the contract",
            "gates resolve --bundle demo --contract ../issue.md",
        ),
        step(
            "Tier A, as the author of the change runs it",
            "run --tier a --results ../tier-a.json",
        ),
        step(
            "a rehearsal of a B200 bundle on this machine; its results prove nothing",
            "run --bundle b200 --rehearse --results ../rehearsal.json",
        ),
        step(
            "the bundle, as a maintainer runs it on a B200; the gates of this sample need no GPU",
            "run -qq --bundle demo --contract ../issue.md --results ../results.json",
        ),
        step(
            "the report: a job summary and a comment show the same table",
            "report ../results.json",
        ),
        step(
            "a numeric gate compares every digit of a trainer; this change computes the same",
            &format!("run --bundle letters --subject ../same --baseline-ref {base} --results ../same.json"),
        ),
        step(
            "a base that is not deterministic is reported, and its change is not blamed",
            &format!(
                "run --bundle letters --subject ../unordered-same --baseline-ref {unordered} --results ../unordered.json"
            ),
        ),
        red(
            1,
            "a change in the sixth digit of the loss, from step 3 on",
            &format!("run --bundle letters --subject ../digit --baseline-ref {base} --results ../digit.json"),
        ),
        red(
            1,
            "a checkpoint that forgets a part of the optimizer, so that a resumed run is another run",
            &format!(
                "run --bundle resume --subject ../forgets --baseline-ref {base} --results ../forgets.json"
            ),
        ),
        red(
            1,
            "a commit that edits a file outside of the contract's scope",
            &format!("lint scope --contract ../issue.md --base {base} --head {sneaky}"),
        ),
        red(1, "a file with a credential", "lint safety ../leak.py"),
        red(
            1,
            "a gate that hangs without output",
            "run --gate demo:hang --results ../hang.json",
        ),
        red(
            1,
            "a change that makes the trainer 20 % slower, with a budget of 10 %",
            "perf compare --baseline ../base-1.log ../base-2.log ../base-3.log --head ../head-1.log ../head-2.log ../head-3.log \
             --budget-pct -10",
        ),
        red(
            2,
            "the results of the hanging gate, after a hand wrote `pass` over their verdict",
            &format!("report {FORGED}"),
        ),
    ]
}

/// Writes `pass` over the overall verdict of the gate that hangs.
fn forge(place: &Path) -> anyhow::Result<()> {
    let honest = std::fs::read_to_string(place.join("hang.json")).context("cannot read the results")?;
    let forged = honest.replacen("\"overall\": \"fail\"", "\"overall\": \"pass\"", 1);
    write(&place.join("forged.json"), &forged)
}

/// Writes what the red steps read: logs of a slower change, and a credential, which is computed so that this file contains none.
fn write_red_files(place: &Path) -> anyhow::Result<()> {
    for (side, level) in [("base", 50_000), ("head", 40_000)] {
        for n in 1..=3 {
            let line = |step: i32| format!("step: {step}  node_tps: {}\n", level + 10 * n + step % 3);
            write(
                &place.join(format!("{side}-{n}.log")),
                &(1..=40).map(line).collect::<String>(),
            )?;
        }
    }
    const LETTERS: &[u8; 62] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let token: String = (0..36)
        .map(|n| char::from(LETTERS[(n * 23 + 7) % LETTERS.len()]))
        .collect();
    write(&place.join("leak.py"), &format!("TOKEN = \"ghp_{token}\"\n"))
}

/// Calls this program in the sample's checkout and returns its exit code.
fn call(place: &Path, args: &[String], color: bool) -> anyhow::Result<Option<i32>> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let status = Command::new(program)
        .args(args)
        .args(["--color", if color { "always" } else { "never" }])
        .current_dir(place.join("repo"))
        .env("XDG_STATE_HOME", place.join("state"))
        .env("NMOE_RUN_ROOT", place.join("runs"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .status()
        .context("cannot start this program")?;
    Ok(status.code())
}

/// Creates the folder, or checks that it is empty.
fn fresh(dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    if std::fs::read_dir(dir)?.next().is_some() {
        bail!(
            "cannot write the demo into {}: the folder is not empty\nhelp: name a new folder",
            dir.display()
        );
    }
    Ok(())
}

/// Unpacks the sample with its history.
fn unpack(place: &Path) -> anyhow::Result<Commits> {
    let repo = place.join("repo");
    for (path, content) in SAMPLE {
        write(&repo.join(path), content)?;
    }
    let git = Git::at(&repo);
    let run = |args: &[&str]| {
        let identity = [
            "-c",
            "user.name=Sample",
            "-c",
            "user.email=sample@example.com",
            "-c",
            "commit.gpgsign=false",
            "-c",
            "init.defaultBranch=master",
        ];
        let args: Vec<OsString> = identity.iter().chain(args).map(OsString::from).collect();
        git.text(args)
    };
    run(&["init", "--quiet", "--template="])?;
    run(&["add", "."])?;
    run(&["commit", "--quiet", "--message", "The sample"])?;
    run(&["checkout", "--quiet", "-b", BRANCH])?;
    write(&repo.join("configs/tiny.toml"), CHANGE)?;
    run(&[
        "commit",
        "--quiet",
        "--all",
        "--message",
        "Double the tokens of a step",
    ])?;
    let head = run(&["rev-parse", "HEAD"])?;
    write(&repo.join("nmoe/train.py"), "print('no steps')\n")?;
    run(&["commit", "--quiet", "--all", "--message", "Skip the steps"])?;
    let sneaky = run(&["rev-parse", "HEAD"])?;
    run(&["reset", "--quiet", "--hard", &head])?;
    run(&["checkout", "--quiet", "--detach", "master"])?;
    std::fs::create_dir(place.join("runs"))?;
    for (name, baseline, model) in VARIANTS {
        let folder = format!("../{name}");
        let parent = Git::at(place.join(baseline)).text(["rev-parse", "HEAD"])?;
        run(&["worktree", "add", "--quiet", "--detach", &folder, &parent])?;
        write(&place.join(name).join(MODEL), &format!("{model}\n"))?;
        let folder = place.join(name).display().to_string();
        run(&[
            "-C",
            &folder,
            "commit",
            "--quiet",
            "--all",
            "--message",
            "Change the model",
        ])?;
    }
    let unordered = Git::at(place.join("unordered")).text(["rev-parse", "HEAD"])?;
    run(&[
        "merge",
        "--quiet",
        "--no-ff",
        "--message",
        "Merge the change on trial",
        BRANCH,
    ])?;
    let (base, merge) = (run(&["rev-parse", "master"])?, run(&["rev-parse", "HEAD"])?);
    write_red_files(place)?;
    write(&place.join("issue.md"), ISSUE)?;
    let attestation = PULL_REQUEST.replace("@BASE@", &base).replace("@HEAD@", &head);
    write(&place.join("pull_request.md"), &attestation)?;
    Ok(Commits {
        base,
        head,
        merge,
        sneaky,
        unordered,
    })
}

fn write(path: &Path, content: &str) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}
