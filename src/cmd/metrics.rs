//! `metrics`: prints what the metric reader reads from a log, and what it does not read.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};

use crate::cmd::context::{Context, Format, print, print_json};
use crate::cmd::help::{self, Help};
use crate::cmd::input_files;
use crate::domain::exit::Exit;
use crate::domain::metric::{Direction, Metric, NODE_TPS};
use crate::domain::next_step::own_line;
use crate::domain::preset::Preset;
use crate::gate::metrics::{Encoding, Measured, Meter, Unread};
use crate::perf::samples;
use crate::report::number::quantity;
use crate::terminal::Text;

/// The examples, formats, exit codes and variables of `try`.
pub const TRY_HELP: Help = Help {
    formats: help::TEXT_OR_JSON,
    codes: help::ASKS,
    variables: help::OF_TERMINAL,
    examples: &[
        "metrics try train.log",
        "metrics try train.log.gz --preset torchtitan",
        "metrics try train.log --name loss --name lr",
    ],
};

/// Arguments of `metrics`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print what is read from a log, what is not, and why.
    ///
    /// Without --gate, --preset or --name, the command tries `node_tps` and every preset. The log can be compressed (gzip,
    /// zstd) or UTF-16. Exits with 3 if a metric or a number was not read.
    Try(TryArgs),
}

#[derive(Debug, clap::Args)]
struct TryArgs {
    /// Read this log; `-` is standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Read the metrics of this gate of the registry.
    #[arg(long, value_name = "ID", conflicts_with = "preset")]
    gate: Option<String>,
    /// Read the metrics of this trainer or server.
    #[arg(long, value_name = "NAME")]
    preset: Option<Named>,
    /// Read the number with this name. Can be given more than once.
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,
}

/// A preset, as a value on the command line.
#[derive(Clone, Copy, Debug)]
struct Named(Preset);

impl clap::ValueEnum for Named {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [Named; 9] = {
            let mut all = [Named(Preset::Torchtitan); 9];
            let mut at = 0;
            while at < all.len() {
                all[at] = Named(Preset::ALL[at]);
                at += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.0.as_str()))
    }
}

/// Runs `metrics`.
pub fn run(context: &Context, args: &Args) -> anyhow::Result<Exit> {
    match &args.what {
        Command::Try(args) => try_log(context, args),
    }
}

/// Metrics that belong together, and the meter that reads them.
struct Reader {
    preset: Option<Preset>,
    meter: Meter,
    /// Whether the user named these metrics.
    asked: bool,
}

fn try_log(context: &Context, args: &TryArgs) -> anyhow::Result<Exit> {
    let format = context.format(TRY_HELP.formats)?;
    let mut readers = readers(context, args)?;
    let log = input_files::log(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    let mut source = log.reader;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let read = source
            .read(&mut buffer)
            .with_context(|| format!("cannot read {}", args.file.display()))?;
        if read == 0 {
            break;
        }
        for reader in &mut readers {
            reader.meter.push(&buffer[..read]);
        }
    }
    let mut encoding = None;
    let (mut lines, mut found) = (0, Vec::new());
    for mut reader in readers {
        reader.meter.end();
        encoding = encoding.or(reader.meter.encoding());
        lines = reader.meter.line_count().unwrap_or(0);
        let metrics: Vec<Measured> = reader.meter.measured().map(|(_, m)| m).collect();
        let told = |m: &Measured| m.metric.name != "step" && (m.samples.count() > 0 || m.refused > 0);
        if reader.asked || metrics.iter().any(told) {
            found.push((reader.preset, metrics));
        }
    }
    let mut all = found
        .iter()
        .flat_map(|(_, metrics)| metrics)
        .filter(|m| m.metric.name != "step");
    let named = !args.names.is_empty();
    let read = !found.is_empty() && all.all(|m| m.refused == 0 && (m.samples.count() > 0 || !named));
    let some = found
        .iter()
        .any(|(_, metrics)| metrics.iter().any(|m| m.samples.count() > 0));
    let facts = Facts {
        compression: log.compression,
        encoding: match encoding {
            Some(Encoding::Utf16Le | Encoding::Utf16Be) => "UTF-16",
            _ => "UTF-8",
        },
        lines,
    };
    match format {
        Format::Json => print_json(&as_json(&facts, &found))?,
        _ => print(&as_text(&args.file.display().to_string(), &facts, &found))?,
    }
    Ok(if read && some {
        Exit::Passed
    } else {
        Exit::NoVerdict
    })
}

/// The properties of a log.
struct Facts {
    compression: Option<&'static str>,
    encoding: &'static str,
    lines: u64,
}

fn readers(context: &Context, args: &TryArgs) -> anyhow::Result<Vec<Reader>> {
    let reader = |preset: Option<Preset>, metrics: &[Metric], asked: bool| -> anyhow::Result<Reader> {
        let meter = Meter::only(metrics).map_err(|why| anyhow!(why))?;
        Ok(Reader {
            preset,
            meter: meter.counting_lines(),
            asked,
        })
    };
    let mut asked: Vec<Metric> = args.names.iter().map(|name| Metric::named(name)).collect();
    if let Some(id) = &args.gate {
        let registry = context.registry()?.value;
        let gate = registry.gates.get(id).ok_or_else(|| {
            anyhow!(
                "cannot read the metrics of `{id}`: the registry has no such gate\nhelp: `{}` prints all",
                own_line(&["gates", "list"])
            )
        })?;
        asked.extend(gate.reads());
        if asked.iter().all(|m| m.name != NODE_TPS) {
            asked.push(Metric::node_tps());
        }
    }
    asked.extend(
        args.preset
            .map(|Named(preset)| preset.metrics())
            .unwrap_or_default(),
    );
    if !asked.is_empty() {
        if asked.iter().all(|m| m.name != "step") {
            asked.push(Metric::named("step"));
        }
        return Ok(vec![reader(
            args.preset.map(|Named(preset)| preset),
            &asked,
            true,
        )?]);
    }
    let mut readers = vec![reader(None, &[Metric::node_tps(), Metric::named("step")], false)?];
    for preset in Preset::ALL {
        readers.push(reader(Some(*preset), &preset.metrics(), false)?);
    }
    Ok(readers)
}

/// Describes for people why a number was not read.
fn why(unread: Unread) -> &'static str {
    match unread {
        Unread::Refused(why) => why.message(),
        Unread::NoNumber => "no number follows the name",
        Unread::NoSign => "neither `:` nor `=` follows the name",
    }
}

fn as_text(file: &str, facts: &Facts, found: &[(Option<Preset>, Vec<Measured>)]) -> Text {
    let mut text = Text::new();
    let compression = facts.compression.map(|c| format!(", {c}")).unwrap_or_default();
    text.line(format_args!(
        "{file}: {}{compression}, {} lines",
        facts.encoding, facts.lines
    ));
    if found.is_empty() {
        text.line(
            "no metric found: the log has neither `node_tps` nor a metric of a preset; name one with --name",
        );
    }
    for (preset, metrics) in found {
        text.line("");
        if let Some(preset) = preset {
            text.line(format_args!("preset {}", preset.as_str()));
        }
        for measured in metrics {
            describe(&mut text, measured);
        }
    }
    text
}

fn describe(text: &mut Text, measured: &Measured) {
    let metric = &measured.metric;
    let samples = &measured.samples;
    let better = match metric.direction {
        Direction::Higher => "higher is better",
        Direction::Lower => "lower is better",
    };
    let unit = measured.unit().map(|u| format!(" {u},")).unwrap_or_default();
    let count = samples.count();
    let noun = if count == 1 { "sample" } else { "samples" };
    let mut steps = samples.steps().iter().flatten();
    let range = match (steps.clone().min(), steps.by_ref().max()) {
        (Some(first), Some(last)) => format!(", steps {first} to {last}"),
        _ => String::new(),
    };
    text.line(format_args!(
        "{}: {count} {noun},{unit} {better}{range}",
        metric.name
    ));
    let values = samples.values();
    if let (Some(first), Some(last), Some(median)) = (values.first(), values.last(), samples.median()) {
        let finite = || values.iter().copied().filter(|v| v.is_finite());
        text.line(format_args!(
            "  first {}, median {}, last {}, from {} to {}",
            quantity(*first),
            quantity(median),
            quantity(*last),
            quantity(finite().reduce(f64::min).unwrap_or(median)),
            quantity(finite().reduce(f64::max).unwrap_or(median))
        ));
    }
    for note in samples::notes(measured) {
        text.line(format_args!("  {note}"));
    }
    for note in &measured.notes {
        let more = match note.count {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        text.line(format_args!(
            "  not read: line {}{more}, `{}`: {}",
            note.line,
            note.shape,
            why(note.why)
        ));
    }
}

fn as_json(facts: &Facts, found: &[(Option<Preset>, Vec<Measured>)]) -> Value {
    let metric = |preset: &Option<Preset>, measured: &Measured| {
        let samples = &measured.samples;
        let number = |v: Option<f64>| v.filter(|v| v.is_finite());
        let odd = samples.odd();
        let finite = || samples.values().iter().copied().filter(|v| v.is_finite());
        let steps = || samples.steps().iter().flatten().copied();
        json!({
            "name": measured.metric.name,
            "preset": preset.map(Preset::as_str),
            "unit": measured.unit(),
            "direction": measured.metric.direction,
            "single": measured.metric.take.is_some(),
            "count": samples.count(),
            "first": number(samples.values().first().copied()),
            "p50": samples.median(),
            "last": number(samples.values().last().copied()),
            "min": finite().reduce(f64::min),
            "max": finite().reduce(f64::max),
            "first_step": steps().min(),
            "last_step": steps().max(),
            "restarts": measured.told.restarts,
            "discarded": measured.told.discarded,
            "partial": measured.told.partial,
            "unplaced": measured.told.unplaced,
            "ranks": measured.told.ranks,
            "not_finite": odd.not_finite,
            "zero": odd.zero,
            "negative": odd.negative,
            "refused": measured.refused,
            "reason": (measured.refused > 0).then_some("unreadable_number"),
            "not_read": measured.notes.iter().map(|note| json!({
                "line": note.line,
                "shape": note.shape,
                "count": note.count,
                "why": match note.why {
                    Unread::Refused(why) => json!(why),
                    other => json!(other),
                },
                "says": why(note.why),
            })).collect::<Vec<_>>(),
        })
    };
    let metrics: Vec<Value> = found
        .iter()
        .flat_map(|(preset, metrics)| metrics.iter().map(move |m| metric(preset, m)))
        .collect();
    json!({
        "schema": 1,
        "compression": facts.compression,
        "encoding": facts.encoding,
        "lines": facts.lines,
        "metrics": metrics,
    })
}
