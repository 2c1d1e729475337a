//! `kernels inspect`: prints the contents of a kernel library, as a table or as JSON.

use std::path::{Path, PathBuf};

use cuda_inspect::arch::Arch;
use cuda_inspect::fault::Fault;
use cuda_inspect::inspect::{EntryReport, Inspection, inspect};
use serde_json::json;

use crate::cmd::context::{Context, Format, print, print_json_line};
use crate::domain::exit::Exit;
use crate::kernel::snapshot::{Snapshot, SnapshotError};
use crate::terminal::Text;

/// Arguments of `kernels inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Inspect these shared objects, object files, cubins or containers.
    #[arg(value_name = "LIB", required = true)]
    libraries: Vec<PathBuf>,
    /// Require this architecture for every entry.
    #[arg(long, default_value_t = Arch::SM_100A)]
    arch: Arch,
    /// Require this kernel in each library. Can be given more than once.
    #[arg(long, value_name = "KERNEL")]
    expect: Vec<String>,
}

/// Runs `kernels inspect`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let format = context.format(&[Format::Human, Format::Json])?;
    let (mut text, mut rows, mut clean) = (Text::new(), Vec::new(), true);
    for path in &args.libraries {
        let inspection = match Snapshot::take(path) {
            Ok(snapshot) => inspect(snapshot.bytes(), args.arch, &args.expect),
            Err(error @ SnapshotError::Io(_)) => anyhow::bail!("cannot read {}: {error}", path.display()),
            Err(error) => anyhow::bail!(
                "cannot read {}: {error}\nhelp: name a library file",
                path.display()
            ),
        };
        clean &= inspection.is_clean();
        match format {
            Format::Json => rows.push(as_json(path, &inspection)),
            _ => describe(&mut text, path, &inspection),
        }
    }
    if format == Format::Json {
        print_json_line(&json!({"schema": 1, "clean": clean, "libraries": rows}))?;
    } else {
        print(&text)?;
    }
    Ok(if clean { Exit::Passed } else { Exit::Failed })
}

fn as_json(path: &Path, inspection: &Inspection) -> serde_json::Value {
    let faults: Vec<_> = inspection
        .faults
        .iter()
        .map(|fault| json!({"code": fault.as_str(), "message": fault.to_string()}))
        .collect();
    json!({
        "path": path.display().to_string(),
        "kind": inspection.kind,
        "size": inspection.size,
        "sha256": inspection.sha256,
        "wanted": inspection.wanted.to_string(),
        "clean": inspection.is_clean(),
        "verdict": inspection.verdict(),
        "faults": faults,
        "entries": inspection.entries,
        "needs": inspection.needs,
    })
}

fn describe(text: &mut Text, path: &Path, inspection: &Inspection) {
    text.line(format_args!("{}", path.display()));
    text.line(format_args!(
        "  sha256 {}, {} bytes",
        inspection.sha256, inspection.size
    ));
    for entry in &inspection.entries {
        text.line(format_args!("  {}", row(entry)));
        for kernel in &entry.kernels {
            text.line(format_args!("      {}", kernel));
        }
    }
    text.line(format_args!("  {}", inspection.verdict()));
    if inspection.faults.len() > 1 {
        for fault in inspection.faults.iter().map(Fault::to_string) {
            text.line(format_args!("    - {}", fault));
        }
    }
}

fn row(entry: &EntryReport) -> String {
    let arch = Arch {
        sm: entry.sm,
        variant: entry.variant,
    };
    let word = |value: serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    format!(
        "{:<7} {:<9} {:>10} bytes  {:<4}  {}+{:#x}",
        word(json!(entry.kind)),
        arch.to_string(),
        entry.size,
        word(json!(entry.compression)),
        entry.section.unwrap_or("file"),
        entry.offset,
    )
}
