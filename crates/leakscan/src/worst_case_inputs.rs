//! Generates texts that make the rules examine as many bytes as possible. Tests check that the work stays linear.
//!
//! The unit of work is an examined byte, not time.

/// Separators between repetitions.
const SEPARATORS: [&str; 9] = ["", "a", "A1", " ", "=", "\n", "-", ".", "\u{200b}"];

/// Texts that trigger many rules, nest encodings, or begin a match that never ends.
const SEEDS: [&str; 51] = [
    "a@",
    "eyJ-",
    "eyJhbGciOi.",
    "sk-",
    "password=",
    "password = \"",
    "://",
    "http://a:b@",
    "/home/",
    "-bcdfg",
    "00:",
    "fd00:",
    "%41",
    "%25%32%35",
    "&#37;&#x25;",
    "\\u0025\\x25",
    "\u{200b}",
    "\u{440}\u{430}",
    "Z2hwX",
    "cGFzc3dvcmQ",
    "70617373776f7264",
    "10.",
    "10.1.2.3,",
    "a.b.svc.",
    "&#",
    "<!--",
    "<!-- <b>",
    "a**x",
    "\u{1b}[1m",
    "\u{1b}]8;;x",
    "\\u{67}",
    "\u{e0101}",
    "BEGIN PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\nMIIE",
    "machine ",
    "ghp_\"\n\"",
    "ghp_\" + \"",
    "=",
    "{\"a\":",
    "~a/",
    "\\\\a1\\",
    "namespace: ",
    concat!("nmoe-gates: ", "allow private-address because it is one "),
    "<password>",
    "a\" + \"",
    "\u{202e}a",
    "NODELIST\n",
    "NAMESPACE   NAME\n",
    " (dot) ",
    "cn=a,dc=",
    "2026 -----BEGIN PRIVATE KEY-----\n2026 MIIE\n",
];

/// Every keyword, every seed with every separator, and random pairs of keywords.
pub fn units() -> impl Iterator<Item = String> {
    let keywords: Vec<&str> = crate::engine::keywords().collect();
    let mut noise = 1u64;
    let mut any = move |n: usize| {
        noise = noise
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(noise >> 33).unwrap_or(0) % n
    };
    let pairs: Vec<String> = (0..400)
        .map(|_| {
            let [first, second] = [keywords[any(keywords.len())], keywords[any(keywords.len())]];
            format!("{first}{}{second}A1 ", SEPARATORS[any(SEPARATORS.len())])
        })
        .collect();
    seeds()
        .chain(keywords.into_iter().map(|keyword| format!("{keyword}A1 = ")))
        .chain(pairs)
}

/// Every seed with every separator.
pub fn seeds() -> impl Iterator<Item = String> {
    SEEDS.into_iter().flat_map(|seed| {
        SEPARATORS
            .iter()
            .map(move |separator| format!("{seed}{separator}"))
    })
}

/// Repeats a unit to about this length.
pub fn text(unit: &str, bytes: usize) -> String {
    unit.repeat(bytes / unit.len())
}

/// Checks that the work for a text, for twice and for four times its length grows linearly.
pub fn assert_linear(unit: &str, [once, twice, four]: [u64; 3]) {
    assert!(
        twice <= once * 5 / 2 + 4096 && four <= twice * 5 / 2 + 4096,
        "{unit:?}: {once}, then {twice}, then {four}"
    );
    assert!(once <= 600 * 2048, "{unit:?}: {once}");
}
