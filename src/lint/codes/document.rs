//! Codes about documents as such: where the block stands, whether it can be read, which keys it has.

codes! {
    NO_BLOCK = "no-block", Error,
        "The document holds no block that can be read",
        "A contract is the fenced YAML block with the top-level key `nmoe`, an attestation the one with `nmoe_pr`. The fence is ``` or ~~~, marked `yaml`, `yml` or not at all. A file that is nothing but YAML needs no fence.",
        "Please make attention faster.",
        "```yaml\nnmoe:\n  issue: 03a\n  …\n```";
    SEVERAL_BLOCKS = "several-blocks", Error,
        "The document holds two blocks of the same kind",
        "Which of them counts would be a guess. Keep one; quote an older one as plain text if it must stay.",
        "```yaml\nnmoe: …\n```\n\n```yaml\nnmoe: …\n```",
        "```yaml\nnmoe: …\n```";
    UNCLOSED_FENCE = "unclosed-fence", Error,
        "The block's fence is never closed",
        "Everything behind it is shown as code and read as YAML. Close it with the same mark, at least as long, on a line of its own.",
        "```yaml\nnmoe:\n  issue: 03a\n\n## Summary",
        "```yaml\nnmoe:\n  issue: 03a\n```\n\n## Summary";
    LITERAL_NEWLINES = "literal-newlines", Error,
        "The body holds `\\n` in place of line ends",
        "A shell or a JSON encoder escaped the text twice. GitHub shows one long line and no block. Pass the text as a file, for example with `gh issue create --body-file FILE`. The rest of the document is judged as if its line ends were real.",
        "## Summary\\n- faster\\n```yaml\\nnmoe:\\n",
        "## Summary\n- faster\n```yaml\nnmoe:";
    BLOCK_TOO_LARGE = "block-too-large", Error,
        "The block has more than 64 KiB",
        "A contract has about two thousand bytes. Larger blocks are refused unread, so that no text can keep the reader busy.",
        "", "";
    TOO_DEEP = "too-deep", Error,
        "The block nests too deeply",
        "The forms need four levels. Deep nesting is refused at once, so that no text can keep the reader busy.",
        "nmoe: [[[[[[[[…]]]]]]]]",
        "nmoe:\n  depends_on: [\"01\"]";
    INVALID_YAML = "invalid-yaml", Error,
        "The block is not YAML",
        "The place is where the reader noticed; the slip is there or just before. Usual causes: a tab as indentation, a missing colon or space after it, an unclosed quote or bracket, text with `: ` or ` #` that needs quotes.",
        "nmoe:\n  issue 03a",
        "nmoe:\n  issue: 03a";
    AMBIGUOUS_YAML = "ambiguous-yaml", Error,
        "Two YAML readers disagree about the block",
        "The block is read twice, for its values and for its places. Where the two readings differ nobody can say what was agreed to, so the block is refused. Write it in the plain style of the form.",
        "", "";
    YAML_ANCHOR = "yaml-anchor", Error,
        "The block uses an anchor or an alias",
        "A contract is read by people. What an alias stands for is not written where it counts; write the value out.",
        "allow: &paths [nmoe/model.py]\ndeny: *paths",
        "allow: [nmoe/model.py]\ndeny: [docker/**]";
    YAML_TAG = "yaml-tag", Error,
        "The block uses a YAML tag",
        "Tags such as `!!str` or `!include` change how a reader takes a value. Ids and commits are text here whatever they look like, so no tag is needed.",
        "issue: !!str 01",
        "issue: 01";
    DUPLICATE_KEY = "duplicate-key", Error,
        "A key stands twice in one map or table",
        "Readers differ in which of the two they take. Keep one.",
        "risk: hot\nrisk: cold",
        "risk: hot";
    INVALID_TOML = "invalid-toml", Error,
        "The file is not TOML",
        "Every syntax error that the reader could get past is listed; mend the first of them first.",
        "timeout_s = = 60",
        "timeout_s = 60";
    MISSING_KEY = "missing-key", Error,
        "A required key is missing",
        "The place is the key that should hold it. `nmoe-gates schema` prints which keys there are.",
        "nmoe:\n  issue: 03a",
        "nmoe:\n  issue: 03a\n  slug: attention\n  …";
    UNKNOWN_KEY = "unknown-key", Error,
        "A key that the form does not have",
        "Nobody reads it, so what it says is lost; most often it is a misspelling. What has no key belongs into the text around the block.",
        "scope:\n  alow: [nmoe/**]",
        "scope:\n  allow: [nmoe/**]";
    WRONG_TYPE = "wrong-type", Error,
        "A value of the wrong type",
        "A list where text is needed, text where a number is needed, or a sentence with `: ` in it that YAML reads as a map and that needs quotes.",
        "invariants:\n  - TOML-only: no flags",
        "invariants:\n  - \"TOML-only: no flags\"";
    INVALID_VALUE = "invalid-value", Error,
        "A value outside of its closed set",
        "The help names the set. Words are compared exactly, in lower case where the form has lower case.",
        "risk: data",
        "risk: cold";
    EMPTY_VALUE = "empty-value", Error,
        "A key without a value, or a list without entries",
        "Fill it in, or remove the key where it is optional.",
        "scope:\n  allow: []",
        "scope:\n  allow:\n    - nmoe/attention/**";
    UNFILLED_PLACEHOLDER = "unfilled-placeholder", Error,
        "A placeholder of the form was left in",
        "Words such as `<sha>`, `<number>`, `pass|fail` or `TODO` stand for something that you know and the reader does not.",
        "pr_sha: <sha>",
        "pr_sha: 472a452";
    DUPLICATE_ENTRY = "duplicate-entry", Warning,
        "A list names the same thing twice",
        "Harmless, but one of the two may have been meant to be something else.",
        "required: [cpu:import, cpu:import]",
        "required: [cpu:import, cpu:compileall]";
    EMPTY_SUMMARY = "empty-summary", Warning,
        "The summary says nothing",
        "The contract says what may change; only the summary says what for.",
        "### Summary (what + why)\n\n_No response_",
        "### Summary (what + why)\n\nLocal attention halves the cost of long contexts.";
    UNTICKED_BOX = "unticked-box", Error,
        "A public-safety box is not ticked",
        "The boxes confirm that nothing private is in the text, the commits or the code. Read what they say, check, and tick them.",
        "- [ ] No internal hostnames …",
        "- [x] No internal hostnames …";
    MISSING_CONFIRMATION = "missing-confirmation", Error,
        "The public-safety confirmation of the form is missing",
        "Both forms end with boxes that confirm that nothing private is in the text. A body that follows the form keeps them.",
        "## Public-safety\n- nothing private",
        "## Public-safety (required)\n- [x] …\n- [x] …";
}
