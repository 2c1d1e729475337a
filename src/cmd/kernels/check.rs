//! `kernels check`: runs the checks that a GPU gate runs before its command.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;

use crate::cmd::context::{Context, Format, print, print_json_line};
use crate::cmd::help::{self, Help};
use crate::cmd::kernels::driver as machine;
use crate::domain::exit::{Exit, NoVerdict};
use crate::domain::path_pattern::PathPattern;
use crate::domain::registry::Target;
use crate::domain::verdict::{Reason, Verdict};
use crate::kernel::driver::{LIMITS, Need, check_machine, probe};
use crate::kernel::host::{Limits, SIZE};
use crate::kernel::load::{CheckRow, Loading, load};
use crate::kernel::snapshot::Snapshot;
use crate::kernel::verify::{self, Proof, Rules, outputs, prove};
use crate::terminal::Text;
use cuda_inspect::inspect::Inspection;

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: help::TEXT_OR_JSON,
    codes: help::VERDICTS,
    variables: help::OF_KERNELS,
    examples: &["kernels check build/libkernels.so --gpus 8"],
};

/// Arguments of `kernels check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Check these libraries (default: the libraries of the registry, in the subject).
    #[arg(value_name = "LIB", required_if_eq("cpu", "true"))]
    libraries: Vec<PathBuf>,
    /// Require this number of GPUs.
    #[arg(long, value_name = "N", default_value_t = 1)]
    gpus: u32,
    /// Check host builds of the libraries with the same ABI. Needs no GPU, and proves nothing about device code.
    #[arg(long)]
    cpu: bool,
    /// Stop the loading of a library, and each self-check, after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
    /// Stop a library that occupies more than this much memory of the host.
    #[arg(long, value_name = "MIB", default_value_t = 16384)]
    memory: u64,
}

/// Runs `kernels check`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let format = context.format(HELP.formats)?;
    let limits = Limits {
        step: Duration::from_secs(args.timeout),
        memory: args.memory << 20,
        ..Limits::default()
    };
    if args.cpu {
        run_cpu(args, &limits, format)
    } else {
        run_target(context, args, limits, format)
    }
}

fn run_cpu(args: &Args, limits: &Limits, format: Format) -> anyhow::Result<Exit> {
    let (mut text, mut rows, mut worst) = (Text::new(), Vec::new(), Exit::Passed);
    for path in &args.libraries {
        let library = Snapshot::take(path)
            .map_err(|error| anyhow::anyhow!("cannot read {}: {error}", path.display()))?;
        let loading = load(&library, limits, None).map_err(|error| NoVerdict(error.to_string()))?;
        let verdict = loading.verdict();
        worst = match (worst, verdict) {
            (Exit::Failed, _) | (_, Verdict::Fail) => Exit::Failed,
            (worst, Verdict::Pass) => worst,
            _ => Exit::NoVerdict,
        };
        rows.push(json!({
            "path": path.display().to_string(),
            "verdict": verdict,
            "failure": failure_json(&loading),
            "checks": checks_json(&loading.rows),
            "leftovers": loading.leftovers,
            "duration_s": loading.seconds,
        }));
        text.line(format_args!("{}", path.display()));
        loading.rows.iter().for_each(|checked| row(&mut text, checked));
        failure_text(&mut text, &loading);
        text.line(format_args!(
            "  {} on the CPU; this proves nothing about device code",
            verdict.as_str()
        ));
    }
    if format == Format::Json {
        print_json_line(&json!({"schema": 1, "cpu": true, "host_bytes": SIZE, "libraries": rows}))?;
    } else {
        print(&text)?;
    }
    Ok(worst)
}

fn run_target(context: &Context, args: &Args, limits: Limits, format: Format) -> anyhow::Result<Exit> {
    let target = target(context)?;
    let libraries = if args.libraries.is_empty() {
        outputs(&context.subject, &target.kernels)?
    } else {
        // Paths of the user are relative to the current directory. Paths of the registry are relative to the subject.
        let here = std::env::current_dir().context("cannot find the current directory")?;
        if let Some(path) = args.libraries.iter().find(|path| !path.is_file()) {
            anyhow::bail!("cannot read {}: no such file", path.display());
        }
        args.libraries.iter().map(|path| here.join(path)).collect()
    };
    let asked = probe(&LIMITS);
    let judged = check_machine(&asked, &Need::of(&target, args.gpus));
    let rules = Rules {
        target: &target,
        subject: &context.subject,
        nonce: None,
        driver: judged.as_ref().ok(),
        load: judged.is_ok(),
        limits,
    };
    let proofs: Vec<Proof> = libraries.iter().map(|path| prove(path, &rules)).collect();
    let pins = verify::check_pins(&proofs, &target);
    let (verdict, reason) = match (&judged, verify::verdict(&proofs, pins.as_ref())) {
        // A failed library fails on every machine, so report it first.
        (_, failed @ (Verdict::Fail, _)) => failed,
        (Err(refusal), _) => (Verdict::Invalid, Some(refusal.reason)),
        (Ok(_), verdict) => verdict,
    };
    match format {
        Format::Json => print_json_line(&json!({
            "schema": 1,
            "verdict": verdict,
            "reason": reason,
            "machine": machine::as_json(&asked, &judged),
            "libraries": proofs.iter().map(proof_json).collect::<Vec<_>>(),
            "pins": pins.as_ref().map(|row| json!({"status": row.check.status, "message": row.detail})),
        }))?,
        _ => {
            let mut text = machine::describe(&asked, &judged);
            proofs.iter().for_each(|proof| describe(&mut text, proof));
            pins.iter().for_each(|checked| row(&mut text, checked));
            conclude(&mut text, verdict, reason, &target);
            print(&text)?;
        }
    }
    Ok(match verdict {
        Verdict::Pass => Exit::Passed,
        Verdict::Fail => Exit::Failed,
        _ => Exit::NoVerdict,
    })
}

/// Returns the target of the registry, or the default target if the registry does not exist.
fn target(context: &Context) -> anyhow::Result<Target> {
    match context.policy().registry_file()? {
        Some(file) => Ok(file.registry()?.value.target()),
        None => Ok(Target::default()),
    }
}

fn failure_json(loading: &Loading) -> serde_json::Value {
    let failure = loading.failure.as_ref();
    json!(failure.map(|f| json!({"code": f.cause.code(), "stage": f.stage, "message": f.message})))
}

fn proof_json(proof: &Proof) -> serde_json::Value {
    let (verdict, reason) = proof.verdict();
    json!({
        "path": proof.path.display().to_string(),
        "sha256": proof.inspection.as_ref().map(|i| &i.sha256),
        "device_code": proof.inspection.as_ref().map(|i| !i.is_host_only()),
        "stamped": proof.stamp.is_some(),
        "loaded": proof.loading.is_some(),
        "verdict": verdict,
        "reason": reason,
        "faults": proof.inspection.as_ref().map_or(&[][..], |i| &i.faults).iter().map(|f| f.as_str()).collect::<Vec<_>>(),
        "failure": proof.loading.as_ref().map(failure_json),
        "checks": checks_json(&proof.rows),
    })
}

fn describe(text: &mut Text, proof: &Proof) {
    text.line(format_args!("{}", proof.path.display()));
    proof.rows.iter().for_each(|checked| row(text, checked));
    if let Some(loading) = &proof.loading {
        failure_text(text, loading);
    }
    let device_code = proof.inspection.as_ref().is_some_and(Inspection::is_clean);
    if proof.stamp.is_none() && device_code {
        text.line(format_args!("  inspected but not loaded: the library has no stamp, so only the run that builds it can tell that it is fresh"));
    }
}

fn checks_json(rows: &[CheckRow]) -> serde_json::Value {
    json!(rows.iter().map(|row| &row.check).collect::<Vec<_>>())
}

fn row(text: &mut Text, CheckRow { check, detail }: &CheckRow) {
    text.line(format_args!(
        "  {:<8} {:<32} {detail}",
        check.status.as_str(),
        check.name
    ));
}

fn failure_text(text: &mut Text, loading: &Loading) {
    if let Some(failure) = &loading.failure {
        let stage = if failure.stage.is_empty() {
            "start"
        } else {
            &failure.stage
        };
        text.line(format_args!(
            "  {}, at stage {stage}: {}",
            failure.cause.code(),
            failure.message
        ));
    }
    if loading.leftovers > 0 {
        text.line(format_args!(
            "  the library left {} processes behind, which were killed",
            loading.leftovers
        ));
    }
}

fn conclude(text: &mut Text, verdict: Verdict, reason: Option<Reason>, target: &Target) {
    let Some(reason) = reason else {
        text.line(format_args!("{}", verdict.as_str()));
        return;
    };
    text.line(format_args!(
        "{} ({}): {} {}",
        verdict.as_str(),
        reason.as_str(),
        reason.message(),
        reason.remedy()
    ));
    if reason == Reason::KernelMissing {
        let globs = target
            .kernels
            .iter()
            .map(PathPattern::written)
            .collect::<Vec<_>>()
            .join(", ");
        text.line(format_args!(
            "looked for {globs} in the subject; `{}` builds them",
            target.build
        ));
    }
}
