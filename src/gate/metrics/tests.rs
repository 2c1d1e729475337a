//! Tests of the metric reader: the table of forms, and what a table of lines cannot say.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use proptest::prelude::*;

use super::*;
use crate::domain::metric::{Decimal, Reduce, Take};
use crate::domain::results::Unreadable;

pub(super) fn take(metrics: &[Metric], pieces: &[&[u8]]) -> IndexMap<String, Measured> {
    let mut meter = Meter::new(metrics).unwrap();
    for piece in pieces {
        meter.push(piece);
    }
    meter.finish()
}

fn node_tps(output: impl AsRef<[u8]>) -> Vec<f64> {
    take(&[], &[output.as_ref()])
        .swap_remove(NODE_TPS)
        .map(|m| m.samples.values().to_vec())
        .unwrap_or_default()
}

fn values(metric: &Metric, output: &str) -> Vec<f64> {
    let metrics = [metric.clone(), Metric::named("step")];
    take(&metrics, &[output.as_bytes()])
        .swap_remove(&metric.name)
        .map(|m| {
            assert_eq!(m.refused, 0, "{:?}", m.notes);
            m.samples.values().to_vec()
        })
        .unwrap_or_default()
}

/// A line of the table with its escapes.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let next = rest[at + 1..].chars().next().unwrap();
        let mut skip = 2;
        match next {
            't' => out.push('\t'),
            'n' => out.push('\n'),
            'r' => out.push('\r'),
            'e' => out.push('\u{1b}'),
            '\\' => out.push('\\'),
            'u' => {
                let end = rest[at..].find('}').unwrap();
                let code = u32::from_str_radix(&rest[at + 3..at + end], 16).unwrap();
                out.push(char::from_u32(code).unwrap());
                skip = end + 1;
            }
            other => panic!("\\{other}"),
        }
        rest = &rest[at + skip..];
    }
    out.push_str(rest);
    out
}

fn declared(spec: &str) -> Metric {
    let (name, keys) = spec.split_once(' ').unwrap_or((spec, ""));
    let mut metric = Metric {
        unit: Some("tok/s".to_owned()),
        ..Metric::named(name)
    };
    let mut rest = keys;
    while let Some((key, after)) = rest.split_once('=') {
        // The last key may have blanks in its value.
        let last = matches!(key, "label" | "pattern");
        let (value, more) = if last {
            (after, "")
        } else {
            after.split_once(' ').unwrap_or((after, ""))
        };
        match key {
            "unit" => metric.unit = Some(value.to_owned()).filter(|v| !v.is_empty()),
            "decimal" => metric.decimal = Some(Decimal::Comma),
            "scale" => metric.scale = value.parse().ok(),
            "label" => metric.label = Some(value.to_owned()),
            "pattern" => metric.pattern = Some(value.to_owned()),
            other => panic!("{other}"),
        }
        rest = more;
    }
    metric
}

/// A value without the last digits, which conversion rounds.
fn shown(value: f64) -> String {
    let text = if value.is_finite() {
        format!("{value:.11e}").parse::<f64>().unwrap().to_string()
    } else {
        value.to_string()
    };
    text.to_lowercase()
}

/// Every form is read right, or refused with the reason that the table gives.
#[test]
fn forms_are_read_right_or_refused() {
    let table = include_str!("../../../tests/fixtures/metrics/forms.txt");
    let (mut rows, mut wrong) = (0, Vec::new());
    for row in table.lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        rows += 1;
        let (spec, rest) = row.split_once(" | ").unwrap();
        let (line, expected) = rest.rsplit_once(" | ").unwrap();
        let metric = declared(spec);
        let line = if metric.pattern.is_some() {
            line.to_owned()
        } else {
            unescaped(line)
        };
        let mut meter = Meter::only([&metric]).unwrap();
        meter.push(line.as_bytes());
        meter.end();
        let (_, read) = meter.measured().next().unwrap();
        let mut got: Vec<String> = read.samples.values().iter().map(|v| shown(*v)).collect();
        if let Some((_, why)) = read.unreadable() {
            got.push("!".to_owned());
            got.push(serde_json::to_value(why).unwrap().as_str().unwrap().to_owned());
        }
        let got = if got.is_empty() {
            "-".to_owned()
        } else {
            got.join(" ")
        };
        if got != expected {
            wrong.push(format!("{row}\n    read: {got}"));
        }
    }
    assert!(rows >= 60, "{rows} rows");
    assert!(
        wrong.is_empty(),
        "{} of {rows}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn shape_shows_no_text() {
    let read = take(&[], &[b"node_tps: 5secret-token,42 <b> `x`\n"])
        .swap_remove(NODE_TPS)
        .unwrap();
    let (note, _) = read.unreadable().unwrap();
    assert_eq!(note.shape, "9aaaaaa-aaaaa,99 ?a? ?a?");
    assert!(Unreadable::is_shape(&note.shape));
    let series = read.series();
    assert_eq!((series.p50, series.samples.len()), (None, 0));
    assert_eq!(series.unreadable.unwrap().count, 1);
}

#[test]
fn odd_values_are_counted_and_kept() {
    let read = take(
        &[],
        &[b"node_tps: nan\nnode_tps: 0\nnode_tps: -5\nnode_tps: 8\nnode_tps: inf\n"],
    )
    .swap_remove(NODE_TPS)
    .unwrap();
    assert_eq!(read.samples.count(), 5);
    let odd = read.samples.odd();
    assert_eq!((odd.not_finite, odd.zero, odd.negative), (2, 1, 1));
    assert_eq!(read.samples.median(), Some(0.0));
    assert_eq!(read.series().not_finite, 2);
}

#[test]
fn pattern_needs_one_group() {
    for pattern in ["(", "tps: [0-9]+", "(tps): ([0-9]+)"] {
        let metric = Metric {
            pattern: Some(pattern.to_owned()),
            ..Metric::named("bad")
        };
        assert!(Meter::new(&[metric]).is_err(), "{pattern}");
    }
}

fn utf16(text: &str, big: bool, mark: bool) -> Vec<u8> {
    let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
    units
        .flat_map(|u| if big { u.to_be_bytes() } else { u.to_le_bytes() })
        .collect()
}

#[test]
fn utf16_is_detected_wherever_it_is_cut() {
    let text = "step: 1 𝄞 node_tps: 118,750\r\nstep: 2 node_tps: 118,751\r\n";
    for (big, mark) in [(false, true), (true, true), (false, false), (true, false)] {
        let bytes = utf16(text, big, mark);
        for size in [1, 2, 3, 7, 64, 1000] {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            let read = take(&[], &pieces).swap_remove(NODE_TPS).unwrap();
            assert_eq!(
                read.samples.values(),
                [118_750.0, 118_751.0],
                "{big} {mark} {size}"
            );
        }
    }
    assert_eq!(node_tps(utf16("node_tps: 5", false, true)), [5.0]);
    assert_eq!(node_tps(b"\xef\xbb\xbfnode_tps: 5"), [5.0]);
    assert_eq!(node_tps(b"\0\0node_tps: 5\0\n"), [5.0]);
}

#[test]
fn steps_belong_to_the_values_beside_them() {
    let tps = Metric::named("tps");
    let steps = |log: &str| {
        let metrics = [tps.clone(), Metric::named("step")];
        take(&metrics, &[log.as_bytes()])["tps"].samples.steps().to_vec()
    };
    let some = |steps: &[u64]| steps.iter().map(|s| Some(*s)).collect::<Vec<_>>();
    assert_eq!(steps("step: 1 tps: 5\nstep: 2 tps: 6\n"), some(&[1, 2]));
    assert_eq!(steps("tps: 5 step: 1\ntps: 6 step: 2\n"), some(&[1, 2]));
    assert_eq!(steps("step: 1 tps: 5 step: 2 tps: 6\n"), some(&[1, 2]));
    assert_eq!(steps("tps: 5 step: 1 tps: 6 step: 2\n"), some(&[1, 2]));
    assert_eq!(steps("step: 1\ntps: 5\nstep: 2\ntps: 6\n"), some(&[1, 2]));
    assert_eq!(steps("step: 10\ntps: 5\ntps: 6\n"), [Some(10), None]);
    assert_eq!(steps("step: 888.45 tps: 5\n"), [None]);
    let table = "step,tps\n1,5\n2,6\n";
    assert_eq!(steps(table), some(&[1, 2]));
}

#[test]
fn restart_counts_from_the_last_start() {
    let lines = |steps: std::ops::RangeInclusive<u64>, tps: u64, rank: &str| -> String {
        steps.map(|s| format!("{rank}step: {s} tps: {tps}\n")).collect()
    };
    let read = |log: &str| {
        let metrics = [Metric::named("tps"), Metric::named("step")];
        take(&metrics, &[log.as_bytes()]).swap_remove("tps").unwrap()
    };
    for rank in ["", "[rank0] "] {
        for again in [1, 21] {
            let log = lines(1..=30, 100, rank) + &lines(again..=40, 80, rank);
            let read = read(&log);
            assert_eq!(read.told.restarts, 1, "{rank}{again}");
            assert_eq!(read.told.discarded, 30);
            assert_eq!(read.samples.count(), 41 - again);
            assert!(read.samples.values().iter().all(|v| *v == 80.0));
            assert_eq!(read.series().restarts, 1);
        }
    }
    let twice = read(&(lines(1..=30, 1, "") + &lines(1..=30, 2, "") + &lines(1..=30, 3, "")));
    assert_eq!((twice.told.restarts, twice.told.discarded), (2, 60));
    // Ranks that print one after the other, or a little out of order, do not restart.
    let blocks = read(&(lines(1..=30, 1, "[rank0] ") + &lines(1..=30, 2, "[rank1] ")));
    assert_eq!((blocks.told.restarts, blocks.samples.count()), (0, 60));
    let mixed: String = (1..40u64)
        .map(|s| format!("step: {} tps: 1\n", s + s % 2 * 2))
        .collect();
    assert_eq!(read(&mixed).told.restarts, 0);
    // Both ranks restart: one restart.
    let both: String = [1u64..31, 1..41]
        .into_iter()
        .flatten()
        .flat_map(|s| (0..2).map(move |r| format!("[rank{r}]: step: {s} tps: 1\n")))
        .collect();
    let both = read(&both);
    assert_eq!((both.told.restarts, both.samples.count()), (1, 80));
    // One rank restarts before the others have printed their last steps.
    let line = |rank: u64, step: u64, tps: u64| format!("[rank{rank}]: step: {step} tps: {tps}\n");
    let mut skewed: String = (1..=28)
        .flat_map(|s| (0..2).map(move |r| line(r, s, 100)))
        .collect();
    skewed += &[
        line(0, 29, 100),
        line(0, 30, 100),
        line(0, 1, 80),
        line(1, 29, 100),
        line(0, 2, 80),
        line(1, 30, 100),
    ]
    .concat();
    skewed += &(1..=40)
        .map(|s| line(1, s, 80) + &line(0, s + 2, 80))
        .collect::<String>();
    let skewed = read(&skewed);
    assert_eq!((skewed.told.restarts, skewed.told.discarded), (1, 60));
    assert_eq!(skewed.samples.count(), 82);
    assert!(skewed.samples.values().iter().all(|v| *v == 80.0));
    // A validation loop that counts its own steps is none where it prints no sample.
    let val = lines(1..=10, 1, "") + "val step: 1\nval step: 2\n" + &lines(11..=20, 1, "");
    assert_eq!(read(&val).told.restarts, 0);
}

#[test]
fn ranks_are_reduced_by_step() {
    let log: String = (1..=20u64)
        .flat_map(|s| (0..4u64).map(move |r| format!("[rank{r}]: step: {s} tps: {}\n", 100 * (r + 1))))
        .collect();
    for (reduce, expected) in [
        (Reduce::Sum, 1000.0),
        (Reduce::Min, 100.0),
        (Reduce::Max, 400.0),
        (Reduce::Mean, 250.0),
    ] {
        let metric = Metric {
            reduce: Some(reduce),
            ..Metric::named("tps")
        };
        assert_eq!(values(&metric, &log), [expected; 20], "{reduce:?}");
        assert_eq!(
            values(&metric, &log.replace("step: ", "x ")),
            [expected; 20],
            "{reduce:?}"
        );
        // A step that lacks a rank is left out, not taken for a slower one.
        let lost = log.replacen("[rank2]: step: 7 tps: 300\n", "", 1);
        assert_eq!(values(&metric, &lost).len(), 19);
        // The same line twice, as from two streams.
        let double = log.replace(
            "[rank2]: step: 7 tps: 300\n",
            "[rank2]: step: 7 tps: 300\n[rank2]: step: 7 tps: 300\n",
        );
        assert_eq!(values(&metric, &double), [expected; 20]);
        // Without step and rank there is nothing to reduce by.
        assert_eq!(values(&metric, "tps: 1\ntps: 2\n"), [] as [f64; 0]);
    }
}

#[test]
fn rates_come_from_running_totals() {
    let per_step = Metric {
        rate: Some("step".to_owned()),
        unit: Some("ms".to_owned()),
        label: Some("train_time".to_owned()),
        ..Metric::named("step_ms")
    };
    let log: String = (1..=10u64)
        .map(|s| format!("step:{s}/10 train_time:{}ms\n", 120 * s))
        .collect();
    assert_eq!(values(&per_step, &log), [120.0; 9]);
    let elapsed = Metric {
        unit: Some("s".to_owned()),
        ..Metric::named("elapsed")
    };
    let tps = Metric {
        rate: Some("elapsed".to_owned()),
        label: Some("tokens".to_owned()),
        ..Metric::named("tps")
    };
    let log: String = (1..=10u64)
        .map(|s| format!("tokens: {} elapsed: {}s\n", 4096 * s, 2 * s))
        .collect();
    let read = take(&[tps, elapsed], &[log.as_bytes()]);
    assert_eq!(read["tps"].samples.values(), [2048.0; 9]);
}

#[test]
fn one_value_of_a_measurement_is_taken() {
    let of = |take, reduce| Metric {
        take: Some(take),
        reduce,
        ..Metric::named("mem")
    };
    let log = "step: 1 mem: 5\nstep: 2 mem: 9\nstep: 3 mem: 7\n";
    assert_eq!(values(&of(Take::Last, None), log), [7.0]);
    assert_eq!(values(&of(Take::Max, None), log), [9.0]);
    assert_eq!(values(&of(Take::Min, None), log), [5.0]);
    let ranks: String = (1..=3u64)
        .flat_map(|s| (0..2u64).map(move |r| format!("[rank{r}] step: {s} mem: {}\n", s + 10 * r)))
        .collect();
    assert_eq!(values(&of(Take::Last, Some(Reduce::Max)), &ranks), [13.0]);
    assert!(values(&of(Take::Max, None), "mem: 1\nmem: nan\nmem: 2\n")[0].is_nan());
}

#[test]
fn medians() {
    let of = |values: &[f64]| {
        let mut samples = Samples::default();
        values.iter().for_each(|v| samples.push(*v, None));
        samples.median()
    };
    assert_eq!(of(&[]), None);
    assert_eq!(of(&[3.0]), Some(3.0));
    assert_eq!(of(&[3.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(of(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
    assert_eq!(of(&[f64::NAN, f64::INFINITY, 5.0]), Some(5.0));
}

#[test]
fn memory_is_bounded_and_the_count_is_true() {
    let mut samples = Samples::default();
    for n in 0..3_000_000u32 {
        samples.push(f64::from(n), None);
    }
    assert_eq!(samples.count(), 3_000_000);
    assert!(samples.values().len() <= samples::KEPT);
    assert_eq!(samples.values().len(), samples.steps().len());
    assert!((samples.median().unwrap() - 1.5e6).abs() < 10.0);
    let mut meter = Meter::new(&[]).unwrap();
    for _ in 0..64 {
        meter.push(&b"xxxx node_tps: 5, yyyy".repeat(1000));
    }
    assert!(meter.line.capacity() < 1 << 20, "{}", meter.line.capacity());
    assert_eq!(meter.finish()[NODE_TPS].samples.count(), 64_000);
}

proptest! {
    #[test]
    fn where_the_output_is_cut_does_not_matter(
        parts in prop::collection::vec(prop_oneof![
            Just("node_tps: 1,234"), Just("\n"), Just("\r"), Just(" "), Just("\x1b[0m"), Just("node_"), Just("tps: "),
            Just("55"), Just(","), Just("x"), Just("\x1b"), Just("\x1b]a\x07"), Just("step: 3"), Just("[rank1] "), Just("K"),
            Just("step,node_tps\n"), Just("1,5\n"), Just("%"),
        ], 0..30),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let whole: String = parts.concat();
        let mut at: Vec<usize> = cuts.iter().map(|c| c.index(whole.len() + 1)).collect();
        at.sort_unstable();
        let (mut pieces, mut last) = (Vec::new(), 0);
        for cut in at {
            pieces.push(&whole.as_bytes()[last..cut]);
            last = cut;
        }
        pieces.push(&whole.as_bytes()[last..]);
        let metrics = [Metric::named("step")];
        prop_assert_eq!(take(&metrics, &pieces), take(&metrics, &[whole.as_bytes()]));
    }

    /// Whatever a line holds, reading it ends and panics nowhere.
    #[test]
    fn any_bytes_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut line = b"node_tps: ".to_vec();
        line.extend_from_slice(&bytes);
        take(&[Metric::named("step")], &[&line]);
    }
}
