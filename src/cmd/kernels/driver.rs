//! `kernels driver`: compares the GPUs of this machine with the needs of a gate.

use std::time::Duration;

use serde_json::json;

use crate::cmd::context::{Context, Format, print, print_json_line};
use crate::cmd::help::{self, Help};
use crate::domain::exit::{Exit, NoVerdict};
use crate::domain::registry::Target;
use crate::kernel::driver::{self, Driver, Need, Probe, UnsuitableMachine, check_machine, probe};
use crate::kernel::health::HealthMonitor;
use crate::kernel::host::Limits;
use crate::terminal::Text;

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: help::TEXT_OR_JSON,
    codes: help::ASKS,
    variables: help::OF_KERNELS,
    examples: &["kernels driver", "kernels driver --gpus 8"],
};

/// Arguments of `kernels driver`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Require this number of GPUs.
    #[arg(long, value_name = "N", default_value_t = 1)]
    gpus: u32,
    /// Stop each step of the driver after this many seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = driver::LIMITS.step.as_secs())]
    timeout: u64,
    /// Watch the GPUs for this many seconds instead, and print what would have disturbed a measurement.
    #[arg(long, value_name = "SECONDS", conflicts_with = "gpus")]
    watch: Option<u64>,
}

/// Runs `kernels driver`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let format = context.format(HELP.formats)?;
    let limit = Duration::from_secs(args.timeout);
    let limits = Limits {
        step: limit,
        whole: 2 * limit,
        ..driver::LIMITS
    };
    if let Some(seconds) = args.watch {
        return watch(&limits, Duration::from_secs(seconds), format);
    }
    let asked = probe(&limits);
    let judged = check_machine(&asked, &Need::of(&Target::default(), args.gpus));
    match format {
        Format::Json => print_json_line(&as_json(&asked, &judged))?,
        _ => print(&describe(&asked, &judged))?,
    }
    Ok(if judged.is_ok() {
        Exit::Passed
    } else {
        Exit::NoVerdict
    })
}

/// Reads NVML twice, and prints what happened between the readings.
fn watch(limits: &Limits, time: Duration, format: Format) -> anyhow::Result<Exit> {
    let silent = || NoVerdict("cannot read the health of the GPUs: NVML does not answer".to_owned());
    let mut monitor = HealthMonitor::start(limits).ok_or_else(silent)?;
    let before = monitor.read().ok_or_else(silent)?;
    std::thread::sleep(time);
    let after = monitor.read().ok_or_else(silent)?;
    let issues = after.issues_since(&before);
    if format == Format::Json {
        print_json_line(
            &json!({"schema": 1, "before": before.gpus(), "after": after.gpus(), "troubles": issues}),
        )?;
    } else {
        let mut text = Text::new();
        if issues.is_empty() {
            text.line(format_args!(
                "{} GPUs, and nothing disturbed them",
                after.gpus().len()
            ));
        }
        for issue in &issues {
            text.line(issue);
        }
        print(&text)?;
    }
    Ok(if issues.is_empty() {
        Exit::Passed
    } else {
        Exit::NoVerdict
    })
}
/// Formats the answer of the driver and the result of the check as one object.
/// The answer and the judgement as one object.
pub fn as_json(asked: &Probe, judged: &Result<Driver, UnsuitableMachine>) -> serde_json::Value {
    let driver = match asked {
        Probe::Answered(driver) => json!(driver),
        _ => json!(null),
    };
    match judged {
        Ok(_) => json!({"schema": 1, "fits": true, "driver": driver}),
        Err(refusal) => json!({
            "schema": 1,
            "fits": false,
            "reason": refusal.reason,
            "found": refusal.found,
            "needed": refusal.needed,
            "driver": driver,
        }),
    }
}
/// Formats the answer of the driver and the result of the check as lines.
/// The answer and the judgement as lines.
pub fn describe(asked: &Probe, judged: &Result<Driver, UnsuitableMachine>) -> Text {
    let mut text = Text::new();
    if let Probe::Answered(driver) = asked {
        let version = driver.version.as_deref().unwrap_or("unknown");
        text.line(format_args!(
            "driver {version}, CUDA {}.{}",
            driver.cuda.0, driver.cuda.1
        ));
        for (index, gpu) in driver.gpus.iter().enumerate() {
            let (major, minor) = gpu.capability;
            let memory = gpu.memory >> 30;
            text.line(format_args!(
                "  {index}  {}  {major}.{minor}  {memory} GiB",
                gpu.name
            ));
        }
        if driver.health.is_empty() {
            text.line(format_args!(
                "NVML does not answer, so other processes, throttling and memory errors are unknown"
            ));
        }
    }
    match judged {
        Ok(_) => text.line(format_args!("this machine is suitable")),
        Err(refusal) => text.line(format_args!("{}: {}", refusal.reason.as_str(), refusal.message())),
    };
    text
}
