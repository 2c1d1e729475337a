//! `kernels inspect`: prints the contents of a kernel library, as a table or as JSON.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use cuda_inspect::arch::Arch;
use cuda_inspect::cubin::Usage;
use cuda_inspect::fault::Fault;
use cuda_inspect::inspect::{EntryReport, Inspection, inspect};
use serde_json::json;

use crate::cmd::context::{Context, Format, print, print_data, print_json_line};
use crate::cmd::help::{self, Help};
use crate::domain::exit::Exit;
use crate::kernel::pins::{self, Pins};
use crate::kernel::snapshot::{Snapshot, SnapshotError};
use crate::terminal::Text;

/// The examples, formats, exit codes and variables of the command.
pub const HELP: Help = Help {
    formats: help::TEXT_OR_JSON,
    codes: help::CHECKS,
    variables: help::OF_TERMINAL,
    examples: &["kernels inspect build/libkernels.so"],
};

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
    /// Fail if a kernel uses more registers, stack, shared memory or spills than this TOML file allows (`["KERNEL"]`, `registers = 64`).
    #[arg(long, value_name = "FILE")]
    pin: Option<PathBuf>,
    /// Print pins that the libraries exactly keep, for `--pin` and the registry, and nothing else.
    #[arg(long, conflicts_with_all = ["pin", "base", "format"])]
    print_pins: bool,
    /// List the kernels whose use differs from this earlier build of the libraries. Can be given more than once.
    #[arg(long, value_name = "LIB")]
    base: Vec<PathBuf>,
    /// Accept relocatable code for other targets with this digest next to a linked image. Can be given more than once.
    #[arg(long, value_name = "SHA256")]
    allow_foreign: Vec<String>,
}

/// Runs `kernels inspect`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    let format = context.format(HELP.formats)?;
    let pins = args.pin.as_deref().map(read_pins).transpose()?;
    let (mut text, mut rows, mut clean) = (Text::new(), Vec::new(), true);
    let mut used: Vec<Usage> = Vec::new();
    for path in &args.libraries {
        let mut inspection = look(path, args.arch, &args.expect)?;
        inspection.allow_foreign(args.allow_foreign.iter().map(String::as_str));
        clean &= inspection.is_clean();
        used.extend(inspection.usage().cloned());
        match format {
            Format::Json => rows.push(as_json(path, &inspection)),
            _ => describe(&mut text, path, &inspection),
        }
    }
    if args.print_pins {
        print_data(&toml::to_string(&pins::pins_of(used.iter())).context("cannot write the pins")?)?;
        return Ok(Exit::Passed);
    }
    let exceeded = pins.map_or_else(Vec::new, |pins| pins::exceeded(&pins, used.iter()));
    let mut before = Vec::new();
    for path in &args.base {
        before.extend(look(path, args.arch, &[])?.usage().cloned());
    }
    let changes = if args.base.is_empty() {
        Vec::new()
    } else {
        pins::changes(before.iter(), used.iter())
    };
    if format == Format::Json {
        let mut value = json!({"schema": 1, "clean": clean, "libraries": rows});
        if args.pin.is_some() {
            value["exceeded"] = json!(exceeded);
        }
        if !args.base.is_empty() {
            value["changes"] = json!(changes);
        }
        print_json_line(&value)?;
    } else {
        for line in &exceeded {
            text.line(format_args!("exceeds its pin: {line}"));
        }
        for change in &changes {
            text.line(change.message());
        }
        if !args.base.is_empty() && changes.is_empty() {
            text.line("every kernel uses what it used before");
        }
        print(&text)?;
    }
    Ok(if clean && exceeded.is_empty() {
        Exit::Passed
    } else {
        Exit::Failed
    })
}

fn look(path: &Path, arch: Arch, expected: &[String]) -> anyhow::Result<Inspection> {
    match Snapshot::take(path) {
        Ok(snapshot) => Ok(inspect(snapshot.bytes(), arch, expected)),
        Err(error @ SnapshotError::Io(_)) => anyhow::bail!("cannot read {}: {error}", path.display()),
        Err(error) => anyhow::bail!(
            "cannot read {}: {error}\nhelp: name a library file",
            path.display()
        ),
    }
}

fn read_pins(path: &Path) -> anyhow::Result<Pins> {
    let failed = || format!("cannot read the pins in {}", path.display());
    let text = std::fs::read_to_string(path).with_context(failed)?;
    let pins: Pins = toml::from_str(&text).with_context(failed)?;
    anyhow::ensure!(!pins.is_empty(), "{} pins no kernel", path.display());
    Ok(pins)
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
        "foreign": inspection.foreign,
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
        // Code that is not machine code has names, but no numbers.
        for (at, kernel) in entry.kernels.iter().enumerate() {
            match entry.usage.get(at) {
                Some(usage) => text.line(format_args!("      {kernel}  {}", words(usage))),
                None => text.line(format_args!("      {kernel}")),
            };
        }
    }
    text.line(format_args!("  {}", inspection.verdict()));
    if inspection.faults.len() > 1 {
        for fault in inspection.faults.iter().map(Fault::to_string) {
            text.line(format_args!("    - {}", fault));
        }
    }
}

fn words(usage: &Usage) -> String {
    let Usage {
        registers,
        stack,
        shared,
        spills,
        ..
    } = usage;
    format!("{registers} registers, {stack} bytes stack, {shared} bytes shared, {spills} spills")
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
