//! Tests how the action gets its program: named, on PATH, downloaded and verified, or built; and an attack on each way.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;

use crate::attack::attack;
use crate::driver::Sandbox;
use crate::support::digest::sha256;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Returns a program that prints this version and leaves a mark where it was run.
fn program(sandbox: &Sandbox, says: &str) -> String {
    format!(
        "#!/bin/sh\necho ran >>'{}'\necho 'nmoe-gates {says}'\n",
        sandbox.path("ran").display()
    )
}

/// The environment of the action: a copy of the action, a PATH, a release page.
struct StepFixture {
    sandbox: Sandbox,
    env: Vec<(String, String)>,
}

struct StepResult {
    code: Option<i32>,
    said: String,
    path: Option<PathBuf>,
}

impl StepFixture {
    /// Creates the action with these lines in checksums.txt; `{asset}` is this machine's.
    fn new(checksums: &str) -> Self {
        let sandbox = Sandbox::new();
        let asset = format!(
            "{VERSION}/nmoe-gates-{}-unknown-linux-gnu",
            std::env::consts::ARCH
        );
        sandbox.file(
            "Cargo.toml",
            format!("[workspace.package]\nversion = \"{VERSION}\"\n"),
        );
        sandbox.file("checksums.txt", checksums.replace("{asset}", &asset));
        sandbox.file("scripts/get", include_str!("../../scripts/get"));
        std::fs::create_dir(sandbox.path("bin")).unwrap();
        StepFixture {
            sandbox,
            env: Vec::new(),
        }
    }

    fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// Puts a program on PATH before everything else.
    fn on_path(self, name: &str, text: &str) -> Self {
        let path = self.sandbox.path("bin").join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    fn was_run(&self) -> bool {
        self.sandbox.path("ran").exists()
    }

    fn get(&self) -> StepResult {
        self.get_with(&[])
    }

    fn get_with(&self, args: &[&str]) -> StepResult {
        let output = self.sandbox.path("output");
        std::fs::write(&output, "").unwrap();
        let path = format!("{}:/usr/bin:/bin", self.sandbox.path("bin").display());
        let mut command = Command::new("bash");
        command
            .arg(self.sandbox.repo().join("scripts/get"))
            .args(args)
            .env_clear()
            .env("PATH", path);
        command
            .env("RUNNER_TEMP", self.sandbox.path("tmp"))
            .env("GITHUB_OUTPUT", &output);
        command.envs(self.env.iter().map(|(n, v)| (n, v)));
        let ended = command.output().unwrap();
        let written = std::fs::read_to_string(output).unwrap();
        StepResult {
            code: ended.status.code(),
            said: String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned(),
            path: written
                .lines()
                .find_map(|l| l.strip_prefix("path="))
                .map(PathBuf::from),
        }
    }
}

/// A release page that gives the same response to every request and records the requests.
pub struct Releases {
    pub url: String,
    pub asked: Arc<Mutex<Vec<String>>>,
}

/// Starts a page with this response.
pub fn releases(status: u16, body: &[u8]) -> Releases {
    let server = tiny_http::Server::http("127.0.0.1:0").unwrap();
    let url = format!("http://{}", server.server_addr());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (seen, body) = (Arc::clone(&asked), body.to_vec());
    // The thread ends with the test process.
    std::thread::spawn(move || {
        for request in server.incoming_requests() {
            seen.lock().unwrap().push(request.url().to_owned());
            let _ = request.respond(tiny_http::Response::from_data(body.clone()).with_status_code(status));
        }
    });
    Releases { url, asked }
}

#[test]
fn input_program_of_other_version_is_refused() {
    for (says, code) in [(VERSION, 0), ("9.9.9", 2)] {
        let fixture = StepFixture::new("");
        let named = fixture.sandbox.path("named");
        std::fs::write(&named, program(&fixture.sandbox, says)).unwrap();
        std::fs::set_permissions(&named, std::fs::Permissions::from_mode(0o755)).unwrap();
        let got = fixture.env("NMOE_GATES_BINARY", named.to_str().unwrap()).get();
        assert_eq!(got.code, Some(code), "{}", got.said);
    }
    let got = StepFixture::new("").env("NMOE_GATES_BINARY", "/nowhere").get();
    assert!(
        got.code == Some(2) && got.said.contains("names no program"),
        "{}",
        got.said
    );
}

/// The cache of a pull request or a merge group is writable for the change, and no digest protects it.
#[test]
fn t18_cache_is_ignored_for_changes() {
    let planted = |event: &str| {
        let fixture = StepFixture::new("")
            .env("NMOE_GATES_CACHE", "true")
            .env("GITHUB_EVENT_NAME", event)
            .on_path("cargo", "#!/bin/sh\nexit 1\n");
        let folder = fixture.sandbox.path("tmp/nmoe-gates-built");
        std::fs::create_dir(&folder).unwrap();
        let kept = folder.join("nmoe-gates");
        std::fs::write(&kept, program(&fixture.sandbox, VERSION)).unwrap();
        std::fs::set_permissions(&kept, std::fs::Permissions::from_mode(0o755)).unwrap();
        let got = fixture.get_with(&["--build"]);
        fixture.was_run() || got.path == Some(kept)
    };
    let naive = planted("push");
    for event in ["pull_request", "pull_request_target", "merge_group"] {
        attack(
            &format!("a planted program in the cache of {event}"),
            naive,
            planted(event),
        );
    }
    let lint = include_str!("../../.github/workflows/pr-lint.yml");
    assert!(!lint.contains("cache:"), "pr-lint.yml asks for a cache");
}

#[test]
fn planted_program_on_path_is_never_run() {
    let released = b"what was released";
    let fixture = StepFixture::new(&format!("{}  {{asset}}\n", sha256(released)));
    let page = releases(200, released);
    let planted = program(&fixture.sandbox, VERSION);
    let fixture = fixture
        .on_path("nmoe-gates", &planted)
        .env("NMOE_GATES_RELEASES", &page.url);
    let got = fixture.get();
    assert_eq!(got.code, Some(0), "{}", got.said);
    assert!(
        !fixture.was_run() && got.said.contains("is not the program that was released"),
        "{}",
        got.said
    );
    assert_eq!(
        std::fs::read(got.path.unwrap()).unwrap(),
        released,
        "the release was taken instead"
    );
    let asked = page.asked.lock().unwrap().clone();
    assert!(
        asked[0].starts_with(&format!("/v{VERSION}/nmoe-gates-")),
        "{asked:?}"
    );

    let fixture = StepFixture::new("");
    let text = program(&fixture.sandbox, VERSION);
    let fixture = fixture.on_path("nmoe-gates", &text);
    assert!(
        fixture.get().said.contains("found on PATH"),
        "an unreleased version goes by its version"
    );

    let fixture = StepFixture::new("");
    let text = program(&fixture.sandbox, VERSION);
    let fixture =
        StepFixture::new(&format!("{}  {{asset}}\n", sha256(text.as_bytes()))).on_path("nmoe-gates", &text);
    assert!(fixture.get().said.contains("as released"));
}

#[test]
fn damaged_download_is_never_run() {
    let fixture = StepFixture::new("");
    let good = program(&fixture.sandbox, VERSION);
    let digest = format!("{}  {{asset}}\n", sha256(good.as_bytes()));
    for body in [
        good.replace("echo ran", "echo owned"),
        good[..good.len() / 2].to_owned(),
        String::new(),
    ] {
        let page = releases(200, body.as_bytes());
        let fixture = StepFixture::new(&digest).env("NMOE_GATES_RELEASES", &page.url);
        let got = fixture.get();
        assert!(
            got.code == Some(2) && got.said.contains("Nothing of it was run"),
            "{}",
            got.said
        );
        assert!(got.path.is_none() && !fixture.was_run());
        let left = std::fs::read_dir(fixture.sandbox.path("tmp")).unwrap().count();
        assert_eq!(left, 0, "the download is gone");
    }
}

#[test]
fn unavailable_release_is_built_or_explained() {
    let cargo =
        "#!/bin/sh\ncase $1 in build) echo built ;; metadata) echo '{\"target_directory\":\"/t\"}' ;; esac\n";
    let digest = format!("{}  {{asset}}\n", sha256(b"x"));
    let missing = releases(404, b"");
    let got = StepFixture::new(&digest)
        .on_path("cargo", cargo)
        .env("NMOE_GATES_RELEASES", &missing.url)
        .get();
    assert!(
        got.code == Some(0) && got.said.contains("built from source"),
        "{}",
        got.said
    );
    let got = StepFixture::new(&digest)
        .env("NMOE_GATES_RELEASES", &missing.url)
        .get();
    assert!(
        got.code == Some(2) && got.said.contains("no cargo to build it"),
        "{}",
        got.said
    );
    // The digest of another machine's release does not apply to this machine.
    let other = StepFixture::new(&format!(
        "{}  {VERSION}/nmoe-gates-riscv64-unknown-linux-gnu\n",
        sha256(b"x")
    ));
    let page = releases(200, b"x");
    let got = other
        .on_path("cargo", cargo)
        .env("NMOE_GATES_RELEASES", &page.url)
        .get();
    assert!(got.said.contains("built from source"), "{}", got.said);
    assert!(page.asked.lock().unwrap().is_empty(), "nothing was downloaded");
}

#[test]
fn each_architecture_downloads_its_release() {
    let body = b"an arm64 program";
    let page = releases(200, body);
    let checksums = format!(
        "{}  {VERSION}/nmoe-gates-aarch64-unknown-linux-gnu\n",
        sha256(body)
    );
    let fixture = StepFixture::new(&checksums).env("NMOE_GATES_RELEASES", &page.url);
    let uname = "#!/bin/sh\ncase $1 in -m) echo aarch64 ;; -s) echo Linux ;; esac\n";
    let got = fixture.on_path("uname", uname).get();
    assert!(got.said.contains("downloaded and verified"), "{}", got.said);
    assert!(page.asked.lock().unwrap()[0].ends_with("/nmoe-gates-aarch64-unknown-linux-gnu"));
    let got = StepFixture::new("")
        .on_path("uname", "#!/bin/sh\necho Darwin\n")
        .get();
    assert!(
        got.code == Some(2) && got.said.contains("use a Linux runner"),
        "{}",
        got.said
    );
}

#[test]
fn proxy_is_used() {
    let body = b"through the proxy";
    let proxy = releases(200, body);
    let fixture = StepFixture::new(&format!("{}  {{asset}}\n", sha256(body)))
        .env("http_proxy", &proxy.url)
        .env("NMOE_GATES_RELEASES", "http://releases.example/download");
    let got = fixture.get();
    assert!(got.said.contains("downloaded and verified"), "{}", got.said);
    assert!(
        proxy.asked.lock().unwrap()[0].starts_with("http://releases.example/download/"),
        "asked for the whole address"
    );
}
