//! Codes about documents as such: where the block stands, whether it can be read, which keys it has.

use crate::domain::finding::codes;

codes! {
    NO_BLOCK = "no-block", Error,
        "The document has no readable block",
        "A contract is the fenced YAML block with the top-level key `nmoe`, and an attestation is the block with `nmoe_pr`. The fence is three backticks or three tildes, with the language `yaml`, `yml` or none. A file that contains only YAML needs no fence.",
        "Please make attention faster.",
        "```yaml\nnmoe:\n  issue: 03a\n  …\n```";
    SEVERAL_BLOCKS = "several-blocks", Error,
        "The document has two blocks of the same kind",
        "It is not clear which block counts. Keep one block. If an older block must stay, quote it as plain text.",
        "```yaml\nnmoe: …\n```\n\n```yaml\nnmoe: …\n```",
        "```yaml\nnmoe: …\n```";
    UNCLOSED_FENCE = "unclosed-fence", Error,
        "The block's fence is never closed",
        "The rest of the document is shown as code and read as YAML. Close the fence on a separate line, with the same mark and at least the same length.",
        "```yaml\nnmoe:\n  issue: 03a\n\n## Summary",
        "```yaml\nnmoe:\n  issue: 03a\n```\n\n## Summary";
    LITERAL_NEWLINES = "literal-newlines", Error,
        "The body contains `\\n` instead of line endings",
        "A shell or a JSON encoder escaped the text twice. GitHub shows one long line and no block. Pass the text as a file, for example with `gh issue create --body-file FILE`. The rest of the document is checked as if the line endings were real.",
        "## Summary\\n- faster\\n```yaml\\nnmoe:\\n",
        "## Summary\n- faster\n```yaml\nnmoe:";
    BLOCK_TOO_LARGE = "block-too-large", Error,
        "The block has more than 64 KiB",
        "A contract has about two thousand bytes. Larger blocks are refused without reading them, so that no text can use excessive time.",
        "", "";
    TOO_DEEP = "too-deep", Error,
        "The block nests too deeply",
        "The forms need four levels. Deep nesting is refused immediately, so that no text can use excessive time.",
        "nmoe: [[[[[[[[…]]]]]]]]",
        "nmoe:\n  depends_on: [\"01\"]";
    INVALID_YAML = "invalid-yaml", Error,
        "The block is not YAML",
        "The position is where the parser stopped; the mistake is there or just before. Common causes: a tab as indentation, a missing colon or a missing space after it, an unclosed quote or bracket, text with `: ` or ` #` that needs quotes.",
        "nmoe:\n  issue 03a",
        "nmoe:\n  issue: 03a";
    AMBIGUOUS_YAML = "ambiguous-yaml", Error,
        "Two YAML readers disagree about the block",
        "Two parsers read the block: one for values and one for positions. If they disagree, the meaning of the contract is not clear, so the block is refused. Use the plain style of the form.",
        "", "";
    YAML_ANCHOR = "yaml-anchor", Error,
        "The block uses an anchor or an alias",
        "People read a contract. With an alias, the value is not visible where it applies. Write the value out.",
        "allow: &paths [nmoe/model.py]\ndeny: *paths",
        "allow: [nmoe/model.py]\ndeny: [docker/**]";
    YAML_TAG = "yaml-tag", Error,
        "The block uses a YAML tag",
        "Tags such as `!!str` or `!include` change the meaning of a value. Ids and commits are always text here, so a tag is not needed.",
        "issue: !!str 01",
        "issue: 01";
    DUPLICATE_KEY = "duplicate-key", Error,
        "A key occurs twice in one map or table",
        "Parsers differ in which value they use. Keep one.",
        "risk: hot\nrisk: cold",
        "risk: hot";
    INVALID_TOML = "invalid-toml", Error,
        "The file is not TOML",
        "Several syntax errors may be listed. Fix the first one first; the others may follow from it.",
        "timeout_s = = 60",
        "timeout_s = 60";
    MISSING_KEY = "missing-key", Error,
        "A required key is missing",
        "The position is the parent of the missing key. `nmoe-gates schema` prints all keys.",
        "nmoe:\n  issue: 03a",
        "nmoe:\n  issue: 03a\n  slug: attention\n  …";
    UNKNOWN_KEY = "unknown-key", Error,
        "An unknown key",
        "The key has no effect. Most often it is a misspelling. Put information without a key into the text around the block. In an attestation, a key that resembles no known key is a warning.",
        "scope:\n  alow: [nmoe/**]",
        "scope:\n  allow: [nmoe/**]";
    WRONG_TYPE = "wrong-type", Error,
        "A value of the wrong type",
        "A list where text is needed, text where a number is needed, or a sentence with `: ` in it that YAML reads as a map and that needs quotes.",
        "invariants:\n  - TOML-only: no flags",
        "invariants:\n  - \"TOML-only: no flags\"";
    INVALID_VALUE = "invalid-value", Error,
        "A value that is not in its list of allowed values",
        "The help lists the allowed values. The comparison is exact, including upper and lower case.",
        "risk: data",
        "risk: cold";
    EMPTY_VALUE = "empty-value", Error,
        "A key without a value, or a list without entries",
        "Fill it in, or remove the key if it is optional.",
        "scope:\n  allow: []",
        "scope:\n  allow:\n    - nmoe/attention/**";
    UNFILLED_PLACEHOLDER = "unfilled-placeholder", Error,
        "A placeholder of the form is not filled in",
        "Replace words such as `<sha>`, `<number>`, `pass|fail` or `TODO` with the actual value.",
        "pr_sha: <sha>",
        "pr_sha: 472a452";
    DUPLICATE_ENTRY = "duplicate-entry", Warning,
        "A list names the same thing twice",
        "This is harmless, but one of the two entries may be a mistake.",
        "required: [cpu:import, cpu:import]",
        "required: [cpu:import, cpu:compileall]";
    EMPTY_SUMMARY = "empty-summary", Warning,
        "The summary is empty",
        "The contract says what may change. The summary says why.",
        "### Summary (what + why)\n\n_No response_",
        "### Summary (what + why)\n\nLocal attention halves the cost of long contexts.";
    UNTICKED_BOX = "unticked-box", Error,
        "A public-safety box is not ticked",
        "The boxes confirm that the text, the commits and the code contain no private data. Read them, check, and tick them.",
        "- [ ] No internal hostnames …",
        "- [x] No internal hostnames …";
    MISSING_CONFIRMATION = "missing-confirmation", Error,
        "The public-safety confirmation of the form is missing",
        "Both forms end with boxes that confirm that the text contains no private data. Keep these boxes in the body.",
        "## Public-safety\n- nothing private",
        "## Public-safety (required)\n- [x] …\n- [x] …";
}
