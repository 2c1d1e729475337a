//! `kernels check`: load a library in the kernel host and run its self-checks.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::cmd::NoJudgement;
use crate::cmd::context::{Context, Format, print};
use crate::kernel::host::Limits;
use crate::kernel::load::{Loading, load};
use crate::kernel::snapshot::Snapshot;
use crate::model::exit::Exit;
use crate::model::verdict::Verdict;

/// Arguments of `kernels check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Libraries to load.
    #[arg(value_name = "LIB", required = true)]
    libraries: Vec<PathBuf>,
    /// They are host builds with the same ABI: no GPU is asked for, and nothing is proven of device code.
    #[arg(long, required = true)]
    cpu: bool,
    /// Seconds that loading, or one self-check, may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
}

/// Runs `kernels check`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Human, Format::Json])?;
    let limits = Limits {
        step: Duration::from_secs(args.timeout),
        ..Limits::default()
    };
    let (mut text, mut rows, mut good) = (String::new(), Vec::new(), true);
    for path in &args.libraries {
        let library = Snapshot::take(path).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
        let loading = load(&library, &limits).map_err(|error| NoJudgement(error.to_string()))?;
        good &= loading.verdict() == Verdict::Pass;
        match format {
            Format::Json => rows.push(as_json(path, &loading)),
            _ => describe(&mut text, path, &loading),
        }
    }
    if format == Format::Json {
        text = format!("{}\n", json!({"schema": 1, "libraries": rows}));
    }
    print(&text)?;
    Ok(if good { Exit::Passed } else { Exit::Failed })
}

fn as_json(path: &Path, loading: &Loading) -> serde_json::Value {
    let failure = loading
        .failure
        .as_ref()
        .map(|f| json!({"code": f.word, "stage": f.stage, "message": f.says}));
    json!({
        "path": path.display().to_string(),
        "verdict": loading.verdict(),
        "failure": failure,
        "checks": loading.checks,
        "leftovers": loading.leftovers,
        "duration_s": loading.seconds,
    })
}

fn describe(text: &mut String, path: &Path, loading: &Loading) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{}", path.display());
    for (check, detail) in loading.checks.iter().zip(&loading.details) {
        let _ = writeln!(text, "  {:<8} {:<32} {detail}", check.status.as_str(), check.name);
    }
    if let Some(failure) = &loading.failure {
        let stage = if failure.stage.is_empty() {
            "start"
        } else {
            &failure.stage
        };
        let _ = writeln!(
            text,
            "  {}, at stage {stage}: {}",
            failure.word,
            failure.says.escape_debug()
        );
    }
    if loading.leftovers > 0 {
        let _ = writeln!(
            text,
            "  it left {} processes behind, which were ended",
            loading.leftovers
        );
    }
    let _ = writeln!(text, "  {}", loading.verdict().as_str());
}
