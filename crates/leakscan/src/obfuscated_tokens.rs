//! Tokens spelled in another way than they are used: backwards, letter by letter, as numbers, in a cipher of children.

use crate::false_positives::is_plausible_secret;
use crate::false_positives::looks_random;
use crate::kinds::CLOUD_KEY;
use crate::kinds::GITHUB_TOKEN;
use crate::kinds::HARD_CODED_SECRET;
use crate::kinds::MODEL_API_KEY;
use crate::rule::Rule;

/// The rules of this family. As numbers and in base 32 they look for how `ghp_`, `hf_`, `sk-` and `AKIA` begin.
pub static RULES: &[Rule] = &[
    // Backwards.
    Rule::line(
        &GITHUB_TOKEN,
        &["_phg", "_ohg", "_uhg", "_shg", "_rhg"],
        r"\b([0-9A-Za-z]{36}_[pousr]hg)\b",
    )
    .accept_if(looks_random),
    Rule::line(&MODEL_API_KEY, &["_fh"], r"\b([0-9A-Za-z]{34}_fh)\b").accept_if(looks_random),
    // Letter by letter.
    Rule::line(
        &GITHUB_TOKEN,
        &["g h p _ ", "g h s _ ", "g h o _ ", "g.h.p._.", "g,h,p,_,"],
        r"\b(g[ .,]h[ .,][pso][ .,]_(?:[ .,][0-9A-Za-z]){30,})",
    ),
    Rule::line(
        &MODEL_API_KEY,
        &["h f _ ", "h.f._.", "h,f,_,"],
        r"\b(h[ .,]f[ .,]_(?:[ .,][0-9A-Za-z]){30,})",
    ),
    Rule::line(&CLOUD_KEY, &["a k i a "], r"\b(A K I A(?: [A-Z0-9]){16})\b"),
    // By numbers: decimal, hexadecimal, octal, as a dump.
    Rule::line(
        &HARD_CODED_SECRET,
        &[
            "103, 104, 112, 95",
            "103,104,112,95",
            "104, 102, 95",
            "104,102,95",
            "115, 107, 45",
            "115,107,45",
            "65, 75, 73, 65",
            "65,75,73,65",
        ],
        r"\b((?:\d{2,3},\s?){19,}\d{2,3})\b",
    )
    .accept_if(is_plausible_secret),
    Rule::line(
        &HARD_CODED_SECRET,
        &[
            "67 68 70 5f",
            "68 66 5f",
            "41 4b 49 41",
            "67:68:70:5f",
            "41:4b:49:41",
        ],
        r"(?i)\b((?:[0-9a-f]{2}[ :]){19,}[0-9a-f]{2})\b",
    ),
    Rule::line(
        &HARD_CODED_SECRET,
        &["6768 705f", "6768 735f", "414b 4941", "6866 5f"],
        r"(?i)\b((?:[0-9a-f]{4} ){4,}[0-9a-f]{4})\b",
    ),
    Rule::line(
        &HARD_CODED_SECRET,
        &["\\147\\150\\160\\137", "\\150\\146\\137", "\\101\\113\\111\\101"],
        r"((?:\\{1,2}[0-7]{3}){16,})",
    ),
    // Thirteen letters on, and in base 32.
    Rule::at(
        &GITHUB_TOKEN,
        &["tuc_", "tub_", "tuf_"],
        r"tu[cbf]_[0-9A-Za-z]{36}\b",
    )
    .accept_if(looks_random),
    Rule::at(&MODEL_API_KEY, &["uf_"], r"uf_[0-9A-Za-z]{34}\b").accept_if(looks_random),
    Rule::at(
        &HARD_CODED_SECRET,
        &["m5uhax", "nbtf6", "nbtf7", "iffusq"],
        r"(?:M5UHAX|NBTF[67]|IFFUSQ)[A-Z2-7]{26,}",
    )
    .accept_if(looks_random),
];
