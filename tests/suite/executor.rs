//! Tests gates with an executor: the registry decides where they run, and what cannot run there is refused.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::run_fixture::{Run, RunFixture};

const JOBS: &str = "[executor.two]\nkind = \"slurm\"\n[executor.two.slurm]\npartition = \"b200\"\n";

#[test]
fn wrong_executors_are_found() {
    let fixture = RunFixture::new();
    fixture
        .raw("[executor.jobs]\nkind = \"slurm\"\n[executor.jobs.slurm]\npartition = \"--wrap=id\"\n")
        .raw("[executor.here]\nkind = \"local\"\n")
        .raw("[executor.pods]\nkind = \"kubernetes\"\n")
        .gate_with("cpu:job", "true", "nodes = 2\nexecutor = \"jobs\"")
        .gate_with("cpu:unknown", "true", "executor = \"job\"")
        .gate_with("cpu:wide", "true", "nodes = 2\nexecutor = \"here\"")
        .gate_with("cpu:none", "true", "nodes = 0")
        .raw("[gates.\"perf:job\"]\ntier = \"b\"\nkind = \"perf\"\ncompare_gate = \"cpu:job\"\nexecutor = \"jobs\"");
    let out = fixture
        .call(&["lint", "registry", "--format", "json"])
        .run()
        .exits(1)
        .json();
    let mut found: Vec<(String, String)> = out["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| {
            let text = |key: &str| f[key].as_str().unwrap_or_default().to_owned();
            (text("code"), text("message"))
        })
        .collect();
    found.sort();
    let wanted = [
        ("cannot-submit", "`cpu:none` cannot run on 0 nodes"),
        ("cannot-submit", "`cpu:wide` cannot run on 2 nodes"),
        ("cannot-submit", "`pods` does not say what its pods are"),
        (
            "cannot-submit",
            "`perf:job` compares `cpu:job`, which runs in a job",
        ),
        (
            "cannot-submit",
            "`perf:job` is of kind perf and cannot be submitted",
        ),
        ("unknown-executor", "there is no executor `job`"),
    ];
    for (code, message) in wanted {
        assert!(
            found.contains(&(code.to_owned(), message.to_owned())),
            "{code}: {found:#?}"
        );
    }
    let (code, message) = found.last().unwrap();
    assert_eq!((found.len(), code.as_str()), (7, "wrong-type"), "{found:#?}");
    assert!(message.contains("partition"), "{message}");
}

#[test]
fn gate_without_usable_executor_is_refused() {
    let fixture = RunFixture::new();
    fixture
        .raw("[executor.pods]\nkind = \"kubernetes\"\n")
        .gate_with("cpu:pods", "true", "nodes = 2\nexecutor = \"pods\"")
        .gate_with("cpu:wide", "true", "nodes = 2");
    for id in ["cpu:pods", "cpu:wide"] {
        let run = fixture.run(&["--gate", id]).exits(3);
        assert_eq!(run.gate(id)["reason"], "no_executor");
        assert_eq!(run.gate(id)["status"], "invalid");
    }
}

#[test]
fn rehearsal_submits_no_job() {
    let fixture = RunFixture::new();
    fixture.raw(JOBS).gate_with(
        "cpu:job",
        "exit 9",
        "nodes = 2\nexecutor = \"two\"\nrehearse = \"echo rehearsed\"",
    );
    let run = fixture
        .run(&["--gate", "cpu:job", "--rehearse"])
        .exits(0)
        .prints("rehearsed");
    assert_eq!(run.gate("cpu:job")["status"], "pass");
}

/// The names of the nodes. No rule of the redactor knows them.
const NODES: [&str; 2] = ["heliotrope", "chrysanthemum"];

/// Clients of SLURM that run a job at once on this machine, each rank as another node.
const CLIENTS: [(&str, &str); 5] = [
    (
        "sbatch",
        "printf '%s\\n' \"$@\" > STATE/args; env > STATE/env\n\
         for word; do case $word in --chdir=*) cd \"${word#*=}\";; esac; done\n\
         setsid bash -c 'bash job.sh; echo $? > STATE/code' >> job.log 2>&1 < /dev/null & echo 7",
    ),
    (
        "srun",
        "for word; do shift; case $word in --ntasks=*) ranks=${word#*=};; --label) break;; esac; done\n\
         status=0; names=(heliotrope chrysanthemum); export SLURM_JOB_NODELIST=heliotrope,chrysanthemum\n\
         for rank in $(seq 0 $((ranks - 1))); do\n\
           test -e STATE/absent-$rank && continue\n\
           { SLURM_PROCID=$rank SLURMD_NODENAME=${names[rank]} \"$@\" 2>&1 | sed -u \"s/^/$rank: /\"; exit ${PIPESTATUS[0]}; } &\n\
           ids+=\" $!\"\n\
         done\n\
         echo 'srun: launched on heliotrope'\n\
         test -e STATE/absent-1 && sleep 2 && pkill -TERM -f \"run-rank $PWD|rank-of $PWD\"\n\
         for id in $ids; do wait $id || status=1; done; exit $status",
    ),
    (
        "scontrol",
        "code=$(cat STATE/code 2>/dev/null) || code=\n\
         case $code in '') state=RUNNING;; 0) state=COMPLETED;; *) state=FAILED;; esac\n\
         echo \"JobId=7 JobName=x JobState=$state Restarts=0 ExitCode=0:0\"",
    ),
    ("scancel", "echo \"$@\" >> STATE/cancelled"),
    ("squeue", "true"),
];

/// A checkout with one gate of two nodes, and with clients of SLURM.
struct Cluster(RunFixture);

impl Cluster {
    fn new(cmd: &str) -> Self {
        let fixture = RunFixture::new();
        fixture
            .raw("[executor.two]\nkind = \"slurm\"\npoll_s = 1\n[executor.two.slurm]\npartition = \"b200\"\n")
            .gate_with(
                "cpu:job",
                cmd,
                "nodes = 2\nexecutor = \"two\"\ntimeout_s = 60\nmetrics = [{ name = \"step\" }, { name = \"tps\", reduce = \"sum\" }]",
            );
        fixture.sandbox.git(["init", "-q"]);
        fixture.sandbox.git(["add", "-A"]);
        fixture.sandbox.git(["commit", "-qm", "Begin"]);
        let state = fixture.sandbox.path("home/state");
        std::fs::create_dir_all(&state).unwrap();
        let cluster = Cluster(fixture);
        for (client, script) in CLIENTS {
            cluster.client(client, script);
        }
        cluster
    }

    fn client(&self, name: &str, script: &str) {
        let state = self.0.sandbox.path("home/state");
        let text = format!("#!/bin/bash\n{script}\n").replace("STATE", state.to_str().unwrap());
        let file = self.0.sandbox.path(&format!("home/bin/{name}"));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn state(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.sandbox.path(&format!("home/state/{name}"))).unwrap_or_default()
    }

    /// Runs the gate, which is submitted.
    #[track_caller]
    fn run(&self, code: i32) -> Run {
        self.start().exits(code).prints("job: ")
    }

    #[track_caller]
    fn start(&self) -> Run {
        self.start_with(&["--gate", "cpu:job"], "GITHUB_TOKEN", "ghp_forbidden")
    }

    #[track_caller]
    fn start_with(&self, args: &[&str], name: &str, value: &str) -> Run {
        let path = self.search_path();
        self.0.run_with(args, &[("PATH", path.as_str()), (name, value)])
    }

    fn search_path(&self) -> String {
        let bin = self.0.sandbox.path("home/bin");
        format!("{}:{}", bin.display(), std::env::var("PATH").unwrap())
    }

    /// Adds a gate that runs on this machine before the job, and commits everything.
    fn before(&self, cmd: &str) {
        self.0.gate("cpu:first", cmd);
        self.0.sandbox.git(["add", "-A"]);
        self.0.sandbox.git(["commit", "-qm", "First"]);
    }
}

/// Where the folder of the only job is, for a command of the gate.
const FOLDER: &str = "folder=$(echo ../home/results.json.jobs/*)";

#[test]
fn two_ranks_prove_one_gate() {
    let cluster = Cluster::new(
        "echo \"rank $NMOE_NODE_RANK of $NMOE_NODES, port $((NMOE_MASTER_PORT > 0))\"; for n in 1 2 3; do echo \"step: $n tps: $((n + NMOE_NODE_RANK * 10))\"; done",
    );
    let run = cluster.run(0);
    let gate = run.gate("cpu:job");
    assert_eq!(
        (&gate["status"], &gate["reason"]),
        (&"pass".into(), &serde_json::Value::Null)
    );
    let ranks = gate["ranks"].as_array().unwrap();
    assert_eq!(ranks.len(), 2, "{gate:#}");
    assert!(ranks.iter().all(|rank| rank["status"] == "pass"), "{gate:#}");
    assert_ne!(ranks[0]["node"], ranks[1]["node"]);
    assert_eq!(
        gate["metrics"]["tps"]["samples"],
        serde_json::json!([12.0, 14.0, 16.0])
    );
    let everything = format!("{}{}{}", run.results, run.out.stdout, run.out.stderr);
    assert!(
        !NODES.iter().any(|node| everything.contains(node)),
        "{everything}"
    );
    for printed in ["0: rank 0 of 2, port 1", "1: rank 1 of 2, port 1"] {
        assert!(run.out.stdout.contains(printed), "{}", run.out.stdout);
    }
    assert!(
        run.out.stderr.contains("ranks: 2 of 2 passed"),
        "{}",
        run.out.stderr
    );
    let args = cluster.state("args");
    for option in ["--no-requeue", "--nodes=2", "--partition=b200", "--time=4"] {
        assert!(args.lines().any(|line| line == option), "{args}");
    }
    assert!(!cluster.state("env").contains("ghp_forbidden"));
    let journal = std::fs::read_to_string(cluster.0.results().with_extension("json.journal")).unwrap();
    assert!(journal.contains("\"job\":\"7\""), "{journal}");
}

#[test]
fn job_with_missing_rank_is_invalid() {
    let cluster = Cluster::new("true");
    std::fs::write(cluster.0.sandbox.path("home/state/absent-1"), "").unwrap();
    let run = cluster.run(3);
    let gate = run.gate("cpu:job");
    assert_eq!(
        (&gate["status"], &gate["reason"]),
        (&"invalid".into(), &"rank_missing".into())
    );
    assert_eq!(gate["ranks"][1]["status"], "not_run");
}

#[test]
fn job_of_stopped_run_is_cancelled() {
    let cluster = Cluster::new("for n in $(seq 300); do test -e ../home/go && exit; sleep 0.1; done");
    let results = cluster.0.results();
    let mut run = cluster
        .0
        .call(&["run", "--gate", "cpu:job", "--results", results.to_str().unwrap()])
        .env("PATH", cluster.search_path())
        .into_command()
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let journal = results.with_extension("json.journal");
    while !std::fs::read_to_string(&journal).is_ok_and(|text| text.contains("job_submitted")) {
        assert!(run.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(20));
    }
    let children = format!("/proc/{0}/task/{0}/children", run.id());
    let worker = std::fs::read_to_string(children).unwrap();
    let worker = Pid::from_raw(worker.trim().parse().unwrap()).unwrap();
    // The supervisor continues the worker again and again, then kills it.
    while run.try_wait().unwrap().is_none() {
        let _ = kill_process(worker, Signal::STOP);
        std::thread::sleep(Duration::from_millis(2));
    }
    std::fs::write(cluster.0.sandbox.path("home/go"), "").unwrap();
    let out = run.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(3), "{said}");
    assert!(
        said.contains("the run was stopped by another process; no process of it is left, and what was recorded does not count"),
        "{said}"
    );
    assert!(cluster.state("cancelled").contains("--name=nmoe-"), "{said}");
    let recorded: serde_json::Value = serde_json::from_slice(&std::fs::read(&results).unwrap()).unwrap();
    assert_eq!(recorded["refused"], "supervisor_stopped");
}

#[test]
fn failed_rank_fails_gate() {
    let cluster = Cluster::new("exit $((NMOE_NODE_RANK * 3))");
    let run = cluster.run(1);
    let gate = run.gate("cpu:job");
    assert_eq!((&gate["status"], &gate["rc"]), (&"fail".into(), &3.into()));
    assert_eq!(gate["ranks"][0]["status"], "pass");
}

#[test]
fn code_cannot_write_report_of_rank() {
    let forge = "test $NMOE_NODE_RANK = 1 && exit 3\n\
        while ! test -e $folder/report-1; do sleep 0.05; done\n\
        sed -i 's/\"fail\"/\"pass\"/g; s/\"exit_code\"/null/g' $folder/report-1; test ! -e $folder/key";
    let cluster = Cluster::new(&format!("{FOLDER}\n{forge}"));
    let run = cluster.run(3);
    let gate = run.gate("cpu:job");
    assert_eq!(
        (&gate["status"], &gate["reason"]),
        (&"invalid".into(), &"rank_missing".into())
    );
}

#[test]
fn job_that_changes_journal_fails() {
    let cluster = Cluster::new("test $NMOE_NODE_RANK = 1 || echo x >> ../home/results.json.journal");
    let run = cluster.run(1);
    assert_eq!(run.gate("cpu:job")["reason"], "tampered", "{:#}", run.results);
}

#[test]
fn ranks_of_other_code_are_refused() {
    let cluster = Cluster::new("true");
    // The checkout changes between the submission and the start of the ranks.
    let sbatch = CLIENTS[0]
        .1
        .replace("setsid", "echo x > \"$OLDPWD/new-file\"\nsetsid");
    cluster.client("sbatch", &sbatch);
    let run = cluster.run(3);
    assert_eq!(run.gate("cpu:job")["reason"], "rank_mismatch");
    assert!(cluster.state("cancelled").starts_with("--name=nmoe-"));
}

#[test]
fn refused_job_is_invalid() {
    let cluster = Cluster::new("true");
    cluster.client(
        "sbatch",
        "echo 'sbatch: error: invalid partition specified' >&2; exit 1",
    );
    let run = cluster.run(3).prints("invalid partition specified");
    assert_eq!(run.gate("cpu:job")["reason"], "job_refused");
    // The answer could have been lost, so the name is cancelled.
    assert!(cluster.state("cancelled").starts_with("--name=nmoe-"));
}

#[test]
fn earlier_gate_cannot_change_template() {
    let cluster = Cluster::new("true");
    let state = cluster.0.sandbox.path("home/state/foreign");
    cluster
        .0
        .raw("[executor.own]\nkind = \"slurm\"\npoll_s = 1\ntemplate = \"job.tpl\"\n")
        .gate_with("cpu:own", "true", "nodes = 2\nexecutor = \"own\"\ntimeout_s = 60");
    cluster.0.sandbox.file(".gitignore", "job.tpl\n").file(
        "job.tpl",
        "#!/bin/bash\nsrun --nodes={{ nodes }} --ntasks={{ nodes }} --label {{ command }}\n",
    );
    cluster.before(&format!("printf 'touch {}' > job.tpl", state.display()));
    let run = cluster
        .start_with(&["--gate", "cpu:first", "--gate", "cpu:own"], "LANG", "C")
        .exits(0)
        .prints("job: ");
    assert_eq!(run.gate("cpu:first")["status"], "pass");
    assert_eq!(run.gate("cpu:own")["status"], "pass", "{:#}", run.results);
    assert!(!state.exists());
    let changed = std::fs::read_to_string(cluster.0.sandbox.repo().join("job.tpl")).unwrap();
    assert!(changed.starts_with("touch"), "{changed}");
}

#[test]
fn earlier_gate_cannot_change_program_of_ranks() {
    let cluster = Cluster::new("true");
    let sandbox = &cluster.0.sandbox;
    let (program, state) = (
        sandbox.path("home/bin/nmoe-gates"),
        sandbox.path("home/state/foreign"),
    );
    std::fs::copy(crate::support::program::folder().join("nmoe-gates"), &program).unwrap();
    let place = program.display();
    cluster.before(&format!(
        "printf '#!/bin/sh\\ntouch {}' > {place}.new && chmod +x {place}.new && mv {place}.new {place}",
        state.display()
    ));
    let results = cluster.0.results();
    let words = ["run", "--gate", "cpu:first", "--gate", "cpu:job", "--results"].map(std::ffi::OsStr::new);
    sandbox
        .gates_of(&program, words.into_iter().chain([results.as_os_str()]))
        .env("PATH", cluster.search_path())
        .run()
        .any_files()
        .exits(0)
        .prints("job: ");
    let results: serde_json::Value = serde_json::from_slice(&std::fs::read(results).unwrap()).unwrap();
    for gate in ["cpu:first", "cpu:job"] {
        assert_eq!(results["results"][gate]["status"], "pass", "{results:#}");
    }
    assert!(!state.exists());
    assert!(std::fs::metadata(program).unwrap().len() < 1000);
}

#[test]
fn names_of_other_nodes_are_redacted() {
    // Rank 0 also writes past its redactor.
    let cluster = Cluster::new(&format!(
        "names=(heliotrope chrysanthemum)\n{FOLDER}\n\
         echo \"peer ${{names[1 - NMOE_NODE_RANK]}} in heliotrope,chrysanthemum\"\n\
         test $NMOE_NODE_RANK = 1 || echo '0: wrote chrysanthemum' >> $folder/job.log"
    ));
    let run = cluster
        .start_with(&["--gate", "cpu:job"], "NMOE_PRIVATE_TERMS", "blue-heron")
        .exits(0)
        .prints("0: peer [host] in [host]\n")
        .prints("1: peer [host] in [host]\n")
        .prints("0: wrote [host]\n");
    let journal = std::fs::read_to_string(cluster.0.results().with_extension("json.journal")).unwrap();
    let everything = format!("{}{}{}{journal}", run.results, run.out.stdout, run.out.stderr);
    assert!(
        !NODES.iter().any(|node| everything.contains(node)),
        "{everything}"
    );
}

#[test]
fn log_replaced_by_pipe_stops_nothing() {
    let cluster = Cluster::new(&format!(
        "{FOLDER}\ntest $NMOE_NODE_RANK = 1 || {{ rm $folder/job.log; mkfifo $folder/job.log; }}"
    ));
    assert_eq!(cluster.run(0).gate("cpu:job")["status"], "pass");
}

#[test]
fn image_of_submitter_is_not_of_job() {
    let cluster = Cluster::new("true");
    let image = format!("sha256:{}", "a".repeat(64));
    let run = cluster
        .start_with(&["--gate", "cpu:job"], "NMOE_IMAGE_DIGEST", &image)
        .exits(0)
        .prints("job: ");
    assert_eq!(
        run.results["evidence"]["image"],
        serde_json::Value::Null,
        "{:#}",
        run.results
    );
    let local = Cluster::new("true");
    local.before("true");
    let run = local.start_with(&["--gate", "cpu:first"], "NMOE_IMAGE_DIGEST", &image);
    assert_eq!(run.exits(0).results["evidence"]["image"], image.as_str());
}

/// Returns the results of a job of two nodes with eight GPUs each, which builds a kernel library. The GPUs have a process after
/// the command of the gate has created the file `busy`.
fn gpu_job(cmd: &str) -> serde_json::Value {
    let cluster = Cluster::new("true");
    let sandbox = &cluster.0.sandbox;
    let container = "tests/fixtures/kernel/sm_100a_zstd.fatbin";
    let container = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(container);
    let gate = format!(
        "[target.b200]\nbuild = \"echo x >> builds; cc -shared -fPIC -o nmoe/csrc/rdep.so nmoe/csrc/rdep.c\"\n\
         [gates.\"b200:job\"]\ntier = \"b\"\ngpus = 8\nnodes = 2\nexecutor = \"two\"\ntimeout_s = 60\ncmd = \"{cmd}\""
    );
    cluster.0.raw(&gate);
    sandbox
        .file("nmoe/csrc/device.fatbin", std::fs::read(container).unwrap())
        .file("nmoe/csrc/rdep.c", crate::kernel_run::WRAPPER)
        .file(".gitignore", "*.so\nbuilds\n");
    sandbox.git(["add", "-A"]);
    sandbox.git(["commit", "-qm", "Kernels"]);
    let busy = sandbox.path("home/busy");
    let processes = format!(
        "-DPROCESSES=({{extern int access(const char *, int); access(\"{}\", 0) == 0;}})",
        busy.display()
    );
    let driver = crate::kernel_driver::b200_with(sandbox, &[&processes]);
    let bin = sandbox.path("home/bin");
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let libraries = driver.display().to_string();
    let run = cluster.0.run_with(
        &["--gate", "b200:job"],
        &[("PATH", path), ("LD_LIBRARY_PATH", libraries)],
    );
    let code = if run.results["overall"] == "pass" { 0 } else { 3 };
    let run = run.exits(code).prints("job: ");
    let builds = std::fs::read_to_string(sandbox.repo().join("builds"));
    assert_eq!(
        builds.unwrap_or_default(),
        "x\n",
        "the library is built once: {:#}",
        run.results
    );
    assert!(cluster.state("args").lines().any(|line| line == "--gres=gpu:8"));
    run.results.clone()
}

#[test]
fn slow_gpu_job_builds_once_and_is_watched() {
    let results = gpu_job("touch ../home/busy; sleep 2; test -e nmoe/csrc/rdep.so");
    let gate = &results["results"]["b200:job"];
    assert_eq!(gate["status"], "pass", "{results:#}");
    assert_eq!(gate["ranks"][1]["busy_gpus"], 1);
    assert_eq!(results["evidence"]["target"], "b200x8");
    let digest = results["evidence"]["kernels"]["nmoe/csrc/rdep.so"].as_str();
    assert_eq!(digest.map(str::len), Some(64));
    let idle = gpu_job("sleep 1");
    let gate = &idle["results"]["b200:job"];
    assert_eq!(gate["reason"], "gpu_idle", "{idle:#}");
}
