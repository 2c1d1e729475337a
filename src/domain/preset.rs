//! Defines the metrics of trainers and servers with a known log format, so that a registry needs no patterns for them.
//!
//! If such a program changes its format, change its table here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::metric::{Direction, Metric, Take};

/// A trainer or server with a known log format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "each is the program of that name")]
pub enum Preset {
    Torchtitan,
    Megatron,
    Nemo,
    Deepspeed,
    HfTrainer,
    Nanogpt,
    Maxtext,
    Vllm,
    Sglang,
}

/// The definition of one metric of a preset.
struct Row {
    name: &'static str,
    found: Found,
    unit: &'static str,
    direction: Direction,
    rate: Option<&'static str>,
    take: Option<Take>,
}

/// How a metric is found.
enum Found {
    Label(&'static str),
    Pattern(&'static str),
}

use Direction::{Higher, Lower};
use Found::{Label, Pattern};

const fn row(name: &'static str, found: Found, unit: &'static str, direction: Direction) -> Row {
    Row {
        name,
        found,
        unit,
        direction,
        rate: None,
        take: None,
    }
}

const fn take(row: Row, take: Take) -> Row {
    Row {
        take: Some(take),
        ..row
    }
}

impl Preset {
    /// Every preset.
    pub const ALL: &'static [Preset] = &[
        Preset::Torchtitan,
        Preset::Megatron,
        Preset::Nemo,
        Preset::Deepspeed,
        Preset::HfTrainer,
        Preset::Nanogpt,
        Preset::Maxtext,
        Preset::Vllm,
        Preset::Sglang,
    ];

    /// Returns the name in the registry.
    pub fn as_str(self) -> &'static str {
        match self {
            Preset::Torchtitan => "torchtitan",
            Preset::Megatron => "megatron",
            Preset::Nemo => "nemo",
            Preset::Deepspeed => "deepspeed",
            Preset::HfTrainer => "hf-trainer",
            Preset::Nanogpt => "nanogpt",
            Preset::Maxtext => "maxtext",
            Preset::Vllm => "vllm",
            Preset::Sglang => "sglang",
        }
    }

    /// Returns the metrics. `step` is the first, if the program prints steps.
    pub fn metrics(self) -> Vec<Metric> {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        self.rows()
            .iter()
            .map(|row| Metric {
                name: row.name.to_owned(),
                label: match row.found {
                    Label(label) if label != row.name => text(label),
                    _ => None,
                },
                pattern: match row.found {
                    Pattern(pattern) => text(pattern),
                    Label(_) => None,
                },
                unit: text(row.unit),
                direction: row.direction,
                rate: row.rate.map(str::to_owned),
                take: row.take,
                ..Metric::default()
            })
            .collect()
    }

    fn rows(self) -> &'static [Row] {
        match self {
            Preset::Torchtitan => {
                const {
                    &[
                        row("step", Label("step"), "", Higher),
                        row("tps", Label("tps"), "tok/s", Higher),
                        row("tflops", Label("tflops"), "TFLOP/s", Higher),
                        row("mfu", Label("mfu"), "%", Higher),
                        row("loss", Label("loss"), "", Lower),
                        row("grad_norm", Label("grad_norm"), "", Lower),
                        take(row("memory", Label("memory"), "GiB", Lower), Take::Max),
                    ]
                }
            }
            Preset::Megatron => {
                const {
                    &[
                        row("step", Pattern(r"\biteration +([0-9]+)/"), "", Higher),
                        row("iteration_ms", Label("elapsed time per iteration"), "ms", Lower),
                        row("tflops", Label("throughput per GPU"), "TFLOP/s/GPU", Higher),
                        row(
                            "tgs",
                            Pattern(r"tokens per gpu per second \(tgs\): ([0-9.]+)"),
                            "",
                            Higher,
                        ),
                        row("loss", Label("lm loss"), "", Lower),
                        row("grad_norm", Label("grad norm"), "", Lower),
                    ]
                }
            }
            Preset::Nemo => {
                const {
                    &[
                        row("step", Label("global_step"), "", Higher),
                        row("step_s", Label("train_step_timing"), "s", Lower),
                        row("tflops", Label("TFLOPS_per_GPU"), "TFLOP/s/GPU", Higher),
                        row("loss", Label("reduced_train_loss"), "", Lower),
                    ]
                }
            }
            Preset::Deepspeed => {
                const {
                    &[
                        row("step", Label("global_step"), "", Higher),
                        row("samples_per_s", Label("CurrSamplesPerSec"), "samples/s", Higher),
                        take(row("memory", Label("MaxMemAllocated"), "GB", Lower), Take::Max),
                    ]
                }
            }
            Preset::HfTrainer => {
                const {
                    &[
                        row("loss", Label("loss"), "", Lower),
                        row("grad_norm", Label("grad_norm"), "", Lower),
                        row(
                            "it_per_s",
                            Pattern(r"[0-9]+/[0-9]+ \[[0-9:]+<[0-9:?]+, *([0-9.]+)(?:it/s|s/it)"),
                            "it/s",
                            Higher,
                        ),
                        take(
                            row(
                                "samples_per_s",
                                Label("train_samples_per_second"),
                                "samples/s",
                                Higher,
                            ),
                            Take::Last,
                        ),
                        take(
                            row("steps_per_s", Label("train_steps_per_second"), "steps/s", Higher),
                            Take::Last,
                        ),
                        take(row("train_loss", Label("train_loss"), "", Lower), Take::Last),
                    ]
                }
            }
            Preset::Nanogpt => {
                const {
                    &[
                        row(
                            "step",
                            Pattern(r"(?:^|[\s:])(?:iter |step:)([0-9]+)[:/]"),
                            "",
                            Higher,
                        ),
                        row(
                            "iter_ms",
                            Pattern(r"\biter [0-9]+:.*\btime ([0-9.]+)ms"),
                            "ms",
                            Lower,
                        ),
                        row("loss", Pattern(r"\biter [0-9]+: loss ([0-9.a-z]+)"), "", Lower),
                        row("mfu", Pattern(r"\bmfu (-?[0-9.]+)%"), "%", Higher),
                        Row {
                            rate: Some("step"),
                            ..row("step_ms", Label("train_time"), "ms", Lower)
                        },
                        take(row("val_loss", Label("val_loss"), "", Lower), Take::Last),
                    ]
                }
            }
            Preset::Maxtext => {
                const {
                    &[
                        row("step", Label("completed step"), "", Higher),
                        row("step_s", Label("seconds"), "s", Lower),
                        row("tflops", Label("TFLOP/s/device"), "TFLOP/s/device", Higher),
                        row("tps", Label("Tokens/s/device"), "tokens/s/device", Higher),
                        row("loss", Label("loss"), "", Lower),
                    ]
                }
            }
            Preset::Vllm => {
                const {
                    &[
                        row(
                            "generation_tps",
                            Label("Avg generation throughput"),
                            "tokens/s",
                            Higher,
                        ),
                        row("prompt_tps", Label("Avg prompt throughput"), "tokens/s", Higher),
                        take(
                            row("output_tps", Label("Output token throughput"), "tok/s", Higher),
                            Take::Last,
                        ),
                        take(
                            row("requests_per_s", Label("Request throughput"), "req/s", Higher),
                            Take::Last,
                        ),
                        take(row("ttft_ms", Label("Mean TTFT"), "ms", Lower), Take::Last),
                        take(row("tpot_ms", Label("Mean TPOT"), "ms", Lower), Take::Last),
                    ]
                }
            }
            Preset::Sglang => {
                const {
                    &[
                        row("generation_tps", Label("gen throughput"), "token/s", Higher),
                        take(
                            row("output_tps", Label("Output token throughput"), "tok/s", Higher),
                            Take::Last,
                        ),
                        take(
                            row("input_tps", Label("Input token throughput"), "tok/s", Higher),
                            Take::Last,
                        ),
                        take(
                            row("requests_per_s", Label("Request throughput"), "req/s", Higher),
                            Take::Last,
                        ),
                        take(row("ttft_ms", Label("Mean TTFT"), "ms", Lower), Take::Last),
                    ]
                }
            }
        }
    }
}
