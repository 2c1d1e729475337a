//! `metrics try`, presets by trainer, and what `perf compare` and `run` make of numbers that cannot be read.

use std::io::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::driver::{Outcome, Sandbox};
use crate::run_fixture::RunFixture;

fn preset_log(name: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/metrics/presets");
    std::fs::read(root.join(format!("{name}.log"))).unwrap()
}

/// The metrics of a log, as `metrics try --format json` prints them.
fn tried(sandbox: &Sandbox, log: &[u8], args: &[&str], code: i32) -> Value {
    sandbox.file("try.log", log);
    let mut all = vec!["metrics", "try", "try.log", "--format", "json"];
    all.extend(args);
    sandbox.gates(all).run().exits(code).json()
}

fn metric<'v>(json: &'v Value, name: &str) -> &'v Value {
    json["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .find(|m| m["name"] == name)
        .unwrap_or_else(|| panic!("{name} in {json}"))
}

/// A metric, its number of samples, and their median.
type Expected = (&'static str, u64, f64);

#[test]
fn preset_reads_its_trainers_log() {
    let sandbox = Sandbox::new();
    let expected: &[(&str, &[Expected])] = &[
        (
            "torchtitan",
            &[
                ("tps", 12, 7286.5),
                ("tflops", 12, 390.25),
                ("mfu", 12, 39.46),
                ("loss", 12, 7.35),
                ("memory", 1, 45.24),
            ],
        ),
        (
            "megatron",
            &[
                ("iteration_ms", 12, 5368.1),
                ("tflops", 12, 243.5),
                ("loss", 12, 9.35),
                ("grad_norm", 12, 3.25),
            ],
        ),
        ("nemo", &[("step_s", 10, 0.6195), ("loss", 10, 10.55)]),
        (
            "deepspeed",
            &[("samples_per_s", 12, 61.565), ("memory", 1, 19.25)],
        ),
        (
            "hf-trainer",
            &[
                ("loss", 10, 1.95),
                ("it_per_s", 10, 1.39),
                ("samples_per_s", 1, 6.709),
                ("steps_per_s", 1, 0.839),
                ("train_loss", 1, 1.95),
            ],
        ),
        (
            "nanogpt",
            &[("iter_ms", 12, 567.44), ("loss", 12, 4.045), ("mfu", 12, 41.25)],
        ),
        (
            "maxtext",
            &[
                ("step_s", 12, 1.25),
                ("tps", 12, 8678.258),
                ("tflops", 12, 216.055),
                ("loss", 12, 11.75),
            ],
        ),
        (
            "vllm",
            &[
                ("generation_tps", 12, 34.75),
                ("prompt_tps", 12, 3545.0),
                ("output_tps", 1, 2241.42),
                ("requests_per_s", 1, 5.77),
                ("ttft_ms", 1, 5399.1),
                ("tpot_ms", 1, 18.25),
            ],
        ),
        (
            "sglang",
            &[
                ("generation_tps", 12, 4599.75),
                ("output_tps", 1, 1163.42),
                ("input_tps", 1, 2236.9),
                ("ttft_ms", 1, 88.5),
            ],
        ),
    ];
    for (preset, metrics) in expected {
        let json = tried(&sandbox, &preset_log(preset), &["--preset", preset], 0);
        for (name, count, median) in *metrics {
            let found = metric(&json, name);
            assert_eq!(found["count"], *count, "{preset} {name}: {found}");
            let p50 = found["p50"].as_f64().unwrap();
            assert!((p50 - median).abs() < 1e-6 * median, "{preset} {name}: {p50}");
            assert_eq!(found["refused"], 0, "{preset} {name}: {found}");
            assert_eq!(found["restarts"], 0, "{preset} {name}: {found}");
        }
        // Without a preset, the log's own is found.
        let any = tried(&sandbox, &preset_log(preset), &[], 0);
        let presets: Vec<&Value> = any["metrics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| &m["preset"])
            .collect();
        assert!(
            presets.iter().any(|p| p.as_str() == Some(*preset)),
            "{preset}: {presets:?}"
        );
    }
}

#[test]
fn packed_and_utf16_logs_are_read() {
    let sandbox = Sandbox::new();
    let log = "step: 1 node_tps: 118,750\nstep: 2 node_tps: 118,751\n";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(log.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = ruzstd::encoding::compress_to_vec(log.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
    let utf16: Vec<u8> = [0xfeff]
        .into_iter()
        .chain(log.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    let twice = |once: &[u8]| [once, once].concat();
    for (bytes, compression, encoding, count) in [
        (twice(&gzip), "gzip", "UTF-8", 4),
        (twice(&zstd), "zstd", "UTF-8", 4),
        (gzip.clone(), "gzip", "UTF-8", 2),
        (utf16, "", "UTF-16", 2),
    ] {
        let json = tried(&sandbox, &bytes, &["--name", "node_tps"], 0);
        assert_eq!(json["compression"].as_str().unwrap_or_default(), compression);
        assert_eq!(json["encoding"], encoding);
        assert_eq!(metric(&json, "node_tps")["count"], count);
    }
    sandbox.file("cut.log.gz", &gzip[..gzip.len() / 2]);
    let out = sandbox.gates(["metrics", "try", "cut.log.gz"]).run().exits(2);
    assert!(out.stderr.contains("cut.log.gz"), "{}", out.stderr);
}

#[test]
fn unread_number_is_shown_by_shape() {
    let sandbox = Sandbox::new();
    let json = tried(
        &sandbox,
        b"tps: 5\ntps: 5secret\ntps: none\ntps 5\n",
        &["--name", "tps"],
        3,
    );
    let tps = metric(&json, "tps");
    assert_eq!(tps["reason"], "unreadable_number");
    let why: Vec<(&Value, &Value, &Value)> = tps["not_read"]
        .as_array()
        .unwrap()
        .iter()
        .map(|n| (&n["line"], &n["why"], &n["shape"]))
        .collect();
    assert_eq!(why.len(), 3);
    assert_eq!(
        (why[0].0.as_u64(), why[0].1.as_str(), why[0].2.as_str()),
        (Some(2), Some("half_read"), Some("9aaaaaa"))
    );
    let out = sandbox
        .gates(["metrics", "try", "try.log", "--name", "tps"])
        .run()
        .exits(3);
    assert!(out.stdout.contains("line 2, `9aaaaaa`"), "{}", out.stdout);
    assert!(!out.stdout.contains("secret"), "{}", out.stdout);
}

/// Logs of steps whose values are written by a function of the value.
fn logs(sandbox: &Sandbox, side: &str, level: f64, write: impl Fn(f64) -> String) -> Vec<String> {
    (0..4u32)
        .map(|n| {
            let name = format!("{side}{n}.log");
            let level =
                level * (1.0 + f64::from((n * 37 + u32::from(side.as_bytes()[0]) * 11) % 13) / 2000.0);
            let text: String = (1..=24)
                .map(|s| {
                    format!(
                        "step: {s} node_tps: {}\n",
                        write(level * (1.0 + f64::from((s * 7 + n * 3) % 5) / 500.0))
                    )
                })
                .collect();
            sandbox.file(&name, text);
            name
        })
        .collect()
}

fn compare(sandbox: &Sandbox, base: Vec<String>, head: Vec<String>) -> Outcome {
    let mut args = vec![
        "perf".to_owned(),
        "compare".to_owned(),
        "--format".to_owned(),
        "json".to_owned(),
        "--baseline".to_owned(),
    ];
    args.extend(base);
    args.push("--head".to_owned());
    args.extend(head);
    sandbox.gates(args).run()
}

/// Half the speed with a decimal comma, thousands lost or gained, another suffix: never a verdict from a misread number.
#[test]
fn misread_speed_never_passes() {
    let sandbox = Sandbox::new();
    let base = || logs(&sandbox, "base", 118_750.0, |v| format!("{v:.1}"));
    let grouped = |v: f64| format!("{},{:03}", v as u64 / 1000, v as u64 % 1000);
    let forms: [(&str, &dyn Fn(f64) -> String); 4] = [
        ("comma", &|v| format!("{v:.1}").replace('.', ",")),
        ("both", &|v| grouped(v).replace(',', ".") + ",50"),
        ("blank", &|v| grouped(v).replace(',', " ")),
        ("hex", &|v| format!("{:#x}", v as u64)),
    ];
    for (name, form) in forms {
        let out = compare(&sandbox, base(), logs(&sandbox, name, 59_375.0, form)).exits(3);
        let json = out.json();
        assert_eq!(
            (&json["status"], &json["reason"]),
            (&"invalid".into(), &"unreadable_number".into()),
            "{name}"
        );
    }
    // Forms that can be read, at half the speed.
    for (name, form) in [
        (
            "k",
            &(|v: f64| format!("{:.3}k", v / 1000.0)) as &dyn Fn(f64) -> String,
        ),
        ("grouped", &grouped),
        ("under", &|v| grouped(v).replace(',', "_")),
    ] {
        let out = compare(&sandbox, base(), logs(&sandbox, name, 59_375.0, form)).exits(1);
        assert_eq!(out.json()["status"], "fail", "{name}");
    }
    // Thousands on one side, decimals on the other.
    let point = logs(&sandbox, "point", 118.75, |v| format!("{v:.3}"));
    let out = compare(&sandbox, logs(&sandbox, "thousand", 118_750.0, grouped), point).exits(3);
    assert_eq!(out.json()["reason"], "unreadable_number");
}

/// A unit that is not known, or that only one side prints, is never dropped.
#[test]
fn unknown_unit_word_never_passes() {
    let sandbox = Sandbox::new();
    let scaled = |by: f64, word: &'static str| move |v: f64| format!("{:.4}{word}", v / by);
    for (n, (base, head)) in [
        (scaled(1e6, " mln"), scaled(1e3, " tys")),
        (scaled(1e6, " mln tokens/s"), scaled(1e3, " tsd tokens/s")),
        (scaled(1e6, " Mega tokens/s"), scaled(1e3, " kilo tokens/s")),
        (scaled(60.0, ""), scaled(1.0, " tpm")),
        (scaled(8.0, ""), scaled(1.0, " foo")),
    ]
    .into_iter()
    .enumerate()
    {
        let base = logs(&sandbox, &format!("b{n}"), 118_750.0, base);
        let head = logs(&sandbox, &format!("h{n}"), 59_375.0, head);
        let json = compare(&sandbox, base, head).exits(3).json();
        assert_eq!(
            (&json["status"], &json["reason"]),
            (&"invalid".into(), &"unreadable_number".into()),
            "{n}: {json}"
        );
    }
}

#[test]
fn restart_counts_from_last_start() {
    let sandbox = Sandbox::new();
    let base = logs(&sandbox, "base", 118_750.0, |v| format!("{v:.1}"));
    let head = logs(&sandbox, "head", 95_000.0, |v| format!("{v:.1}"));
    for (base, head) in base.iter().zip(&head) {
        let first = std::fs::read(sandbox.repo().join(base)).unwrap();
        let second = std::fs::read(sandbox.repo().join(head)).unwrap();
        sandbox.file(head, [first, second].concat());
    }
    let json = compare(&sandbox, base, head).exits(1).json();
    assert_eq!(json["status"], "fail");
    let notes = json["notes"].to_string();
    assert!(notes.contains("the steps begin again"), "{notes}");
}

#[test]
fn run_withholds_partly_read_value() {
    let stage = RunFixture::new();
    stage.gate("cpu:x", "printf 'node_tps: 5\\nnode_tps: 118750,5\\n'");
    let run = stage.run(&["--gate", "cpu:x"]).exits(0).prints("node_tps: 5");
    let gate = &run.results["results"]["cpu:x"];
    assert_eq!(gate["status"], "pass");
    assert_eq!(gate["node_tps_p50"], Value::Null);
    let series = &gate["metrics"]["node_tps"];
    assert_eq!(series["unreadable"]["count"], 1);
    assert_eq!(series["unreadable"]["shape"], "999999,9");
    assert_eq!(series["samples"], serde_json::json!([]));
}

#[test]
fn preset_of_a_gate_is_shown_and_checked() {
    let stage = RunFixture::new();
    stage.gate_with(
        "cpu:x",
        "true",
        "preset = \"torchtitan\"\nmetrics = [{ name = \"tps\", reduce = \"sum\" }]",
    );
    let out = stage.call(&["gates", "show", "cpu:x"]).run().exits(0);
    assert!(out.stdout.contains("preset: torchtitan"), "{}", out.stdout);
    assert!(
        out.stdout
            .contains("reads: tps, after `tps`, in tok/s, the sum of all ranks, higher is better"),
        "{}",
        out.stdout
    );
    assert!(
        out.stdout.contains("reads: loss, after `loss`, lower is better"),
        "{}",
        out.stdout
    );
}
