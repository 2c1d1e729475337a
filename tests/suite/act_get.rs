//! Runs the action from another repository with act: every source of the program, and an attack on each source.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::act::{act, read, stand_ins};
use crate::driver::{Sandbox, git};
use crate::get_program::{Releases, releases};
use crate::support::digest::sha256;
use crate::support::program::program;
use crate::support::registry::registry;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The name by which the other repository's workflow uses the action.
const ACTION: &str = "octo-tools/nmoe-gates";

/// Another repository whose only workflow uses the action, the action's repository, and a runner.
struct ActionFixture {
    sandbox: Sandbox,
    env: Vec<String>,
}

struct ActRun {
    passed: bool,
    log: String,
}

impl ActRun {
    #[track_caller]
    fn says(&self, passed: bool, what: &str) -> &Self {
        assert!(
            self.passed == passed && self.log.contains(what),
            "{what:?}\n{}",
            self.log
        );
        self
    }
}

/// Returns a script that calls the program under test and is small enough to be released here.
fn wrapper() -> String {
    format!("#!/bin/sh\nexec '{}' \"$@\"\n", program().display())
}

/// Returns a program that prints this version and leaves a mark where it is run.
fn evil(sandbox: &Sandbox) -> String {
    format!(
        "#!/bin/sh\ntouch '{}'\necho 'nmoe-gates {VERSION}'\n",
        sandbox.path("owned").display()
    )
}

impl ActionFixture {
    /// Creates the repositories with these lines in the action's checksums.txt (`{asset}` is this machine's) and these inputs.
    fn new(checksums: &str, inputs: &str) -> Self {
        let sandbox = Sandbox::new();
        let asset = format!(
            "{VERSION}/nmoe-gates-{}-unknown-linux-gnu",
            std::env::consts::ARCH
        );
        let action = sandbox.path("action");
        std::fs::create_dir_all(action.join("scripts")).unwrap();
        for file in ["action.yml", "Cargo.toml", "scripts/get", "scripts/action"] {
            std::fs::copy(Path::new(ROOT).join(file), action.join(file)).unwrap();
        }
        std::fs::write(action.join("checksums.txt"), checksums.replace("{asset}", &asset)).unwrap();
        sandbox.registry(&registry().tier_a("cpu:one", "echo the gate ran"));
        sandbox.file(
            ".github/workflows/gates.yml",
            format!(
                "on: [push]\npermissions: {{}}\njobs:\n  gates:\n    runs-on: ubuntu-latest\n    steps:\n      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1\n        with:\n          persist-credentials: false\n      - id: gates\n        uses: {ACTION}@v0\n        with:\n          command: run\n          tier: a\n{inputs}      - run: echo \"overall is $OVERALL\"\n        env:\n          OVERALL: ${{{{ steps.gates.outputs.overall }}}}\n"
            ),
        );
        sandbox.git(["init", "--quiet"]);
        sandbox.git(["add", "."]);
        sandbox.git(["commit", "--quiet", "--message", "Use the action"]);
        git(
            &sandbox.path("."),
            ["clone", "--quiet", "--bare", "repo", "origin.git"],
        );
        std::fs::create_dir(sandbox.path("bin")).unwrap();
        ActionFixture {
            sandbox,
            env: Vec::new(),
        }
    }

    /// Serves the release page of the action's repository from this server.
    fn releases(mut self, page: &Releases) -> Self {
        self.env.push(format!("NMOE_GATES_RELEASES={}", page.url));
        self
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push(format!("{name}={value}"));
        self
    }

    /// Puts a program on the runner's PATH before everything else.
    fn on_path(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.sandbox.path("bin").join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    fn run(&self) -> Option<ActRun> {
        let act = act()?;
        let here = |name: &str| self.sandbox.path(name).display().to_string();
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", here("bin"));
        let output = Command::new(act)
            .args(["push", "--workflows", ".github/workflows/gates.yml"])
            .arg("--platform=ubuntu-latest=-self-hosted")
            .args(["--no-skip-checkout", "--no-cache-server", "--action-offline-mode"])
            .args(["--action-cache-path", &here("home/act")])
            .args(stand_ins())
            .arg(format!("--local-repository={ACTION}@v0={}", here("action")))
            .args(["--secret", "GITHUB_TOKEN=a-token"])
            .args(["--env", &format!("STAND_IN_ORIGIN={}", here("origin.git"))])
            .args(["--env", &format!("STAND_IN_ARTIFACTS={}", here("artifacts"))])
            .args(self.env.iter().flat_map(|pair| ["--env", pair]))
            .current_dir(self.sandbox.repo())
            .env_clear()
            .env("PATH", path)
            .env("HOME", here("home"))
            .env("TMPDIR", here("tmp"))
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let ran = ActRun {
            passed: output.status.success(),
            log: [output.stdout, output.stderr]
                .map(|b| String::from_utf8_lossy(&b).into_owned())
                .concat(),
        };
        assert!(
            !self.sandbox.path("owned").exists(),
            "something untrusted was run\n{}",
            ran.log
        );
        Some(ran)
    }
}

/// Returns the line of checksums.txt for a program.
fn listed(text: impl AsRef<[u8]>) -> String {
    format!("{}  {{asset}}\n", sha256(text))
}

#[test]
fn slow_act_program_from_input_or_image() {
    let fixture = ActionFixture::new("", &format!("          binary: {}\n", program().display()));
    let Some(ran) = fixture.run() else { return };
    ran.says(true, "named by the input")
        .says(true, "the gate ran")
        .says(true, "overall is pass");

    let fixture = ActionFixture::new(&listed(wrapper()), "").on_path("nmoe-gates", wrapper());
    fixture
        .run()
        .unwrap()
        .says(true, "found on PATH, as released")
        .says(true, "overall is pass");
}

#[test]
fn slow_act_download_is_checked_by_digest() {
    let page = releases(200, wrapper().as_bytes());
    let Some(ran) = ActionFixture::new(&listed(wrapper()), "").releases(&page).run() else {
        return;
    };
    ran.says(true, "downloaded and verified")
        .says(true, "overall is pass");
    // A program that was planted on PATH is ignored.
    let fixture = ActionFixture::new(&listed(wrapper()), "").releases(&page);
    let planted = evil(&fixture.sandbox);
    let fixture = fixture.on_path("nmoe-gates", planted);
    fixture
        .run()
        .unwrap()
        .says(true, "is not the program that was released")
        .says(true, "downloaded and verified");
}

#[test]
fn slow_act_damaged_download_fails_job() {
    let fixture = ActionFixture::new(&listed(wrapper()), "");
    let page = releases(200, evil(&fixture.sandbox).as_bytes());
    let Some(ran) = fixture.releases(&page).run() else {
        return;
    };
    ran.says(false, "Nothing of it was run");
    let half = wrapper();
    let page = releases(200, &half.as_bytes()[..half.len() / 2]);
    let ran = ActionFixture::new(&listed(wrapper()), "")
        .releases(&page)
        .run()
        .unwrap();
    ran.says(false, "truncated, or tampered with");
}

#[test]
fn slow_act_attestation_is_verified_with_gh() {
    let gh = |answer: &str| {
        format!(
            "#!/bin/sh\n[ \"$1 $2 $4 $5\" = \"attestation verify --repo {ACTION}\" ] || exit 9\n[ -n \"$GH_TOKEN\" ] || exit 8\n{answer}\n"
        )
    };
    let page = releases(200, wrapper().as_bytes());
    for (answer, passed, said) in [
        ("exit 0", true, "has a build attestation of octo-tools/nmoe-gates"),
        (
            "echo 'no attestations found for subject' >&2; exit 1",
            false,
            "no valid build attestation",
        ),
        (
            "echo 'HTTP 403: Resource not accessible' >&2; exit 1",
            true,
            "could not be asked",
        ),
    ] {
        let fixture = ActionFixture::new(&listed(wrapper()), "")
            .releases(&page)
            .on_path("gh", gh(answer));
        let Some(ran) = fixture.run() else { return };
        ran.says(passed, said);
    }
}

/// Returns a replacement for cargo whose build is the real program.
fn cargo(sandbox: &Sandbox) -> String {
    let out = sandbox.path("built");
    let program = out.join(format!(
        "{}-unknown-linux-gnu/release/nmoe-gates",
        std::env::consts::ARCH
    ));
    format!(
        "#!/bin/sh\ncase $1 in\nbuild) mkdir -p '{dir}'; cp '{from}' '{to}'; echo builds >>'{log}' ;;\nmetadata) echo '{{\"target_directory\":\"{out}\"}}' ;;\nesac\n",
        dir = program.parent().unwrap().display(),
        from = sandbox.path("bin/real").display(),
        to = program.display(),
        log = sandbox.path("builds").display(),
        out = out.display(),
    )
}

#[test]
fn slow_act_built_program_is_cached_on_request() {
    // The release does not exist, or the proxy is down.
    let gone = releases(404, b"");
    for (cache, builds) in [("true", 1), ("false", 2)] {
        let fixture =
            ActionFixture::new(&listed("x"), &format!("          cache: {cache}\n")).releases(&gone);
        let cargo = cargo(&fixture.sandbox);
        let fixture = fixture.on_path("cargo", cargo).on_path("real", wrapper());
        let Some(ran) = fixture.run() else { return };
        ran.says(true, "could not be downloaded")
            .says(true, "built from source")
            .says(true, "overall is pass");
        let _ = std::fs::remove_dir_all(fixture.sandbox.path("built"));
        fixture.run().unwrap().says(true, "overall is pass");
        let log = std::fs::read_to_string(fixture.sandbox.path("builds")).unwrap();
        assert_eq!(log.lines().count(), builds, "cache: {cache}");
    }
}

#[test]
fn slow_act_offline_or_wrong_machine_fails_clearly() {
    // No release, no network, no cargo.
    let Some(ran) = ActionFixture::new("", "").run() else {
        return;
    };
    ran.says(false, "lists no release")
        .says(false, "no cargo to build it");
    // The proxy of the release is down, and cargo is absent.
    let fixture = ActionFixture::new(&listed("x"), "")
        .env("http_proxy", "http://127.0.0.1:1")
        .env("NMOE_GATES_RELEASES", "http://releases.example/download");
    fixture
        .run()
        .unwrap()
        .says(false, "could not be downloaded")
        .says(false, "no cargo to build it");
    // Offline with the program in the image: no request is made.
    let page = releases(200, b"");
    let fixture = ActionFixture::new(&listed(wrapper()), "")
        .releases(&page)
        .on_path("nmoe-gates", wrapper());
    fixture.run().unwrap().says(true, "overall is pass");
    assert!(page.asked.lock().unwrap().is_empty());
    // The program of another machine, once named as input and once in the image.
    let other = other_machine();
    let fixture = ActionFixture::new("", "");
    let named = fixture.sandbox.path("named");
    std::fs::write(&named, &other).unwrap();
    std::fs::set_permissions(&named, std::fs::Permissions::from_mode(0o755)).unwrap();
    let inputs = format!("          binary: {}\n", named.display());
    ActionFixture::new("", &inputs)
        .run()
        .unwrap()
        .says(false, "cannot be run on this machine");
    let ran = ActionFixture::new("", "")
        .on_path("nmoe-gates", other)
        .run()
        .unwrap();
    ran.says(false, "cannot be run on this machine")
        .says(false, "no cargo to build it");
}

/// Returns this test program's first bytes with an unknown machine type.
fn other_machine() -> Vec<u8> {
    let mut bytes = std::fs::read(program()).unwrap();
    bytes.truncate(1 << 16);
    // `e_machine`: 0xfeed.
    bytes[18] = 0xed;
    bytes[19] = 0xfe;
    bytes
}

#[test]
fn action_version_equals_release_version() {
    let said = read("checksums.txt");
    for line in said.lines().filter(|line| !line.starts_with('#')) {
        let (digest, name) = line.split_once("  ").unwrap();
        assert!(digest.len() == 64 && name.contains("/nmoe-gates-"), "{line}");
    }
}
