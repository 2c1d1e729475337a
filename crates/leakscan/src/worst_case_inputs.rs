//! Makes texts that want to be looked at again and again, for the tests that hold work to the length of a text.
//!
//! Work is counted in bytes that rules look at, never in time.

/// What stands between two repetitions.
const FILLERS: [&str; 9] = ["", "a", "A1", " ", "=", "\n", "-", ".", "\u{200b}"];

/// What keeps a rule looking, hides in layers, or begins and never ends.
const SEEDS: [&str; 48] = [
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

/// Every anchor repeated, every seed with something between, and anchors of two rules by turns.
pub fn units() -> impl Iterator<Item = String> {
    let anchors: Vec<&str> = crate::engine::keywords().collect();
    let mut noise = 1u64;
    let mut any = move |n: usize| {
        noise = noise
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(noise >> 33).unwrap_or(0) % n
    };
    let pairs: Vec<String> = (0..400)
        .map(|_| {
            let [first, second] = [anchors[any(anchors.len())], anchors[any(anchors.len())]];
            format!("{first}{}{second}A1 ", FILLERS[any(FILLERS.len())])
        })
        .collect();
    hostile()
        .chain(anchors.into_iter().map(|anchor| format!("{anchor}A1 = ")))
        .chain(pairs)
}

/// The seeds alone, each with every filler.
pub fn hostile() -> impl Iterator<Item = String> {
    SEEDS
        .into_iter()
        .flat_map(|seed| FILLERS.iter().map(move |filler| format!("{seed}{filler}")))
}

/// A text of about this length.
pub fn text(unit: &str, bytes: usize) -> String {
    unit.repeat(bytes / unit.len())
}

/// Holds the work on a text, on twice and on four times as much of it, to a straight line: each doubling costs what it
/// adds, up to what the ends of a text cost.
pub fn grows_no_faster(unit: &str, [once, twice, four]: [u64; 3]) {
    assert!(
        twice <= once * 5 / 2 + 4096 && four <= twice * 5 / 2 + 4096,
        "{unit:?}: {once}, then {twice}, then {four}"
    );
    assert!(once <= 600 * 2048, "{unit:?}: {once}");
}
