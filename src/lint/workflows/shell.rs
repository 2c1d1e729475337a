//! Reads scripts as commands, without the quotes and line continuations that can hide a word from a search.
//!
//! Knows nothing about changes: the caller marks the words that a change controls with `MARK`. Must not run anything.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use crate::lint::workflows::expression::dotted;

/// Stands for a text that a change controls.
pub(super) const MARK: char = '\u{1}';

/// A pattern that is compiled once. A pattern that does not compile matches nothing; a test compiles each.
pub(super) type Pattern = LazyLock<Option<Regex>>;

/// Defines patterns.
macro_rules! patterns {
    ($($(#[$doc:meta])* $name:ident = $pattern:expr;)*) => {
        $($(#[$doc])* pub(super) static $name: $crate::lint::workflows::shell::Pattern =
            std::sync::LazyLock::new(|| regex::Regex::new($pattern).ok());)*
        #[cfg(test)]
        #[test]
        fn patterns_compile() {
            $(assert!($name.is_some(), stringify!($name));)*
        }
    };
}
pub(super) use patterns;

/// Whether a pattern matches.
pub(super) fn has(pattern: &Pattern, text: &str) -> bool {
    pattern.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

patterns! {
    /// Takes a pull request by its number.
    BY_NUMBER = r"\bgh\s+(-\S+\s+([^-\s]\S*\s+)?)*pr\s+(-\S+\s+([^-\s]\S*\s+)?)*checkout\b|\bhub\s+(pr\s+)?checkout\b|\bgit\s.*\b(fetch|pull|clone|checkout)\b.*\bpull/";
    /// Moves code into the repository, by a name.
    FETCHES = r"\bgit\s.*\b(fetch|pull|clone|checkout|switch|reset|worktree|merge|rebase|cherry-pick|restore|submodule)\b";
    /// Puts code of the repository into a folder.
    PLACES = r"\bgit\s.*\b(checkout|switch|merge|rebase|reset|restore|worktree|pull|clone|cherry-pick)(\s|$)|\b(gh|hub)\s+(-\S+\s+([^-\s]\S*\s+)?)*(pr\s+|repo\s+)?(-\S+\s+([^-\s]\S*\s+)?)*(checkout|clone)\b";
    /// The name of a remote that a command adds.
    ADDED_REMOTE = r"\bremote\s+add\s+(?:-\S+\s+)*(\w\S*)";
    /// Puts single files of a commit, or a patch, into a folder.
    EXTRACTS = r"\bgit\s.*\b(apply|am|read-tree)\b|\bgit\s.*\barchive\b.*(\|.*\b(tar|bsdtar)\b|\s(-o|--output)\b)|\bgit\s.*\b(show|cat-file)\b.*>\s*\S*(\.(py|sh|bash|js|mjs|cjs|ts|rb|pl|ps1|toml|cfg|mk)|[Mm]akefile|Dockerfile|action\.ya?ml|package\.json)(\s|$)|^\s*patch\s";
    /// Writes the difference of a change to a file.
    SAVES_DIFF = r"\bgh\s.*\bpr\s.*\bdiff\b.*>|\b(curl|wget)\b.*\.(diff|patch)\b";
    /// Enters a folder.
    ENTERS = r"^\s*(cd|pushd)\s";
    /// Gives a file to a shell, or to the environment of later steps.
    FEEDS = r"\|\s*(sudo\s+)?(ba|z|da|k)?sh(\s|$)|\b(ba|z|da|k)?sh\s+(-\S+\s+)*<\s*\S|^\s*(cat|tee|sed|grep|head|tail|awk|cp)\b.*(>>?|\btee\b.*|\s)\s*\$?\{?(GITHUB_ENV|GITHUB_PATH)\b|\bfind\s.*-exec(dir)?\s+((ba|z|da)?sh|python3?|node|\{\})\s";
    /// Takes from a remote repository.
    FROM_REMOTE = r"\bgit\s.*\b(fetch|pull|remote\s+update)\b";
    /// A branch of the own repository, which only people with write access can push.
    OWN_BRANCH = "\\borigin\\s+\\+?refs/heads/\u{1}";
    /// Lets a remote name stand for the repository of a change.
    MOVES_REMOTE = "\\bgit\\s.*\\bremote\\s.*\\b(set-url|add)\\b.*\u{1}|\\bgit\\s.*\\b(remote\\.|url\\.|insteadOf\\b).*\u{1}|\\bgit\\s.*\\burl\\.\u{1}";
    /// An input of an action that holds commands.
    SCRIPT_INPUT = r"(?i)script|run|command|cmd|args|context|source|entrypoint";
    /// The name of a branch that a command creates, which is not code.
    NEW_BRANCH = r"\s-[bBcC]\s+(\$\{\{[^}]*\}\}|\S+)";
    /// Downloads code, and unpacks or runs it.
    DOWNLOADS = "\\bgh\\s+repo\\s+clone\\b.*\u{1}|\\b(curl|wget|gh\\s+api)\\b.*\u{1}.*\\b(archive|tarball|zipball)\\b|\\b(curl|wget|gh\\s+api)\\b.*\\b(archive|tarball|zipball)\\b.*\u{1}|\\b(curl|wget|gh\\s+(api|pr\\s+diff))\\b.*\u{1}.*\\|\\s*(sudo\\s+)?((ba|z|da|k)?sh|tar|bsdtar|patch|git\\s.*\\b(apply|am)|python3?|node|perl|ruby)\\b|\\b(ba|z|da|k)?sh\\s.*\\b(curl|wget)\\b.*\u{1}";
    /// Installs code from a repository or an address.
    INSTALLS = "\\b(pip3?|pipx|uv|uvx|poetry|pdm|conda|npm|pnpm|yarn|npx|bun|bunx|cargo|go|gem|composer|nix|deno|rye|pixi)\\s.*((git\\+|github:|gitlab:|bitbucket:|://|@|#|--(rev|branch|tag|git|from|ref)[ =])\\S*\u{1}|\\b(install|add|get|i)\\s+\u{1})";
    /// Runs or pulls an image, or builds one from an address.
    IMAGES = r"\b(docker|podman|nerdctl|buildah|skopeo|crane|oras|apptainer|singularity)\b.*\b(run|pull|create|copy|exec|build|bud|from)\b";
    BUILDS = r"\b(build|bud|buildx)\b";
    /// Downloads an artifact of a run.
    ARTIFACT = r"\bgh\s+run\s+download\b|actions/(artifacts/|runs/.*/artifacts)|downloadArtifact|artifacts_url|archive_download_url";
    /// The folder that `gh run download` or `unzip` writes to.
    FOLDER = r"\s(?:-D|--dir|-d)[ =](\S+)";
    /// Runs a file of the workspace, where a command begins.
    RUNS = concat!(
        r"(^|\||\$\s|\b(?:sudo|exec|time|env|xargs|then|do|else|nohup|if|!)\s)\s*(?:\w+=\S*\s+)*(",
        r"[\w.$~{}-]+/\S+|/tmp/\S+",
        r"|(bash|sh|zsh|dash|source|\.)\s+(-[A-Zabd-z]\S*\s+)*[\w./$~{}-]*[\w}][./]\S*",
        r"|(python3?|node|ruby|perl|php|pwsh)\s+(-[A-Zabdf-ln-z]\S*\s+)*[\w./$~{}-]*[\w}][./]\S*",
        r"|(make|cmake|ninja|just|tox|nox|pytest|mvn|gradle|rake|bazel|ctest|yarn)",
        r"|(npm|pnpm|yarn|bun)\s+(ci|i|install|run|test|start|build|exec)",
        r"|pip3?\s+install\s(.*\s)?(\.|\.\[\S*|\S+\.(whl|txt|gz)|\S*/\S*\*\S*|-e\s.*)",
        r"|cargo\s+(\+\S+\s+)?(run|build|test|bench|check|clippy)|go\s+(run|build|test|generate)",
        r"|docker\s+(run|build|compose)\s.*|chmod\s+\S*(\+x|7).*",
        r")(\s|$)",
    );
    /// Reads a file.
    READS = r"\b(cat|jq|head|tail|read|source|awk|sed|grep)\b|readFile|\bopen\b|<";
    /// Writes variables of later steps.
    EXPORTS = r"GITHUB_ENV|exportVariable|set-env";
    /// A name of an environment variable, as scripts read it.
    VARIABLE = r"\$env:([A-Za-z_]\w*)|\$\{?[!#]?([A-Za-z_]\w*)|%([A-Za-z_]\w*)%|\b(?:environ|getenv)\W+(?:get\W+)?([A-Za-z_]\w*)|\bprocess\.env\.([A-Za-z_]\w*)";
    /// A name in a program.
    WORD = r"[A-Za-z_]\w*";
    /// A name that a command assigns.
    ASSIGNS = r"(?:^|[\s{])(?:export\s+|local\s+|readonly\s+|declare\s+(?:-\w+\s+)?|const\s+|let\s+|var\s+)?([A-Za-z_]\w*)(?:\s*=[^=]|<<)|\bfor\s+([A-Za-z_]\w*)\s+in\b|\bread\s+(?:-\w+\s+)*([A-Za-z_]\w*)|\bexportVariable\s+([A-Za-z_]\w*)|::set-env\s+name=([A-Za-z_]\w*)";
}

/// Returns the commands of a script. A pipeline is one command.
pub(super) fn commands(script: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut command = String::new();
    let mut rest = dotted(script);
    rest = rest.replace("\\\r\n", " ").replace("\\\n", " ");
    let mut text = rest.as_str();
    while let Some(c) = text.chars().next() {
        let mut taken = c.len_utf8();
        match c {
            '$' if text.starts_with("${{") => {
                taken = text.find("}}").map_or(text.len(), |end| end + 2);
                command.push_str(&text[..taken]);
            }
            '\'' | '"' | '\\' | ')' | ']' => {}
            ',' | '[' | '(' => command.push(' '),
            '\n' if !goes_on(&command) => commands.push(std::mem::take(&mut command)),
            '\n' => command.push(' '),
            ';' => commands.push(std::mem::take(&mut command)),
            '&' | '|' if text[1..].starts_with(c) => {
                taken = 2;
                commands.push(std::mem::take(&mut command));
            }
            c => command.push(c),
        }
        text = &text[taken..];
    }
    commands.push(command);
    commands.retain(|command| {
        let command = command.trim_start();
        !command.is_empty() && !command.starts_with('#') && !command.starts_with("//")
    });
    commands
}

/// Whether a command goes on in the next line: a pipeline, or the arguments of a call.
fn goes_on(command: &str) -> bool {
    // Opening brackets and commas are blanks now, so a call that goes on ends with a blank.
    command.trim_end().ends_with('|') || command.ends_with(' ') && !command.trim().is_empty()
}

/// Replaces the environment variables of this set by `MARK`, with what follows the name in `${NAME:-other}`.
pub(super) fn mark_variables(text: &str, names: &BTreeSet<String>) -> String {
    let Some(pattern) = VARIABLE.as_ref().filter(|_| !names.is_empty()) else {
        return text.to_owned();
    };
    let (mut marked, mut at) = (String::with_capacity(text.len()), 0);
    while let Some(found) = pattern.captures_at(text, at) {
        let Some(name) = found.iter().skip(1).flatten().next() else {
            break;
        };
        let end = name.end();
        if names.contains(name.as_str()) {
            marked.push_str(&text[at..found.get(0).map_or(at, |all| all.start())]);
            marked.push(MARK);
            let after = &text[end..];
            let length = after.find(|c: char| c.is_whitespace() || c == '/' || c == '}');
            let length = length.unwrap_or(after.len());
            at = end + length + usize::from(after[length..].starts_with('}'));
        } else {
            marked.push_str(&text[at..end]);
            at = end;
        }
    }
    marked.push_str(&text[at..]);
    marked
}

/// Replaces the names of this set by `MARK`.
pub(super) fn mark_words(text: &str, names: &BTreeSet<String>) -> String {
    let mark = |found: &regex::Captures<'_>| match names.contains(&found[0]) {
        true => MARK.to_string(),
        false => found[0].to_owned(),
    };
    match WORD.as_ref().filter(|_| !names.is_empty()) {
        Some(pattern) => pattern.replace_all(text, mark).into_owned(),
        None => text.to_owned(),
    }
}

/// Returns the name of the remote that a command adds.
pub(super) fn added_remote(command: &str) -> Option<String> {
    let found = ADDED_REMOTE.as_ref()?.captures(command)?;
    Some(found[1].to_owned())
}

/// Returns the names that a command assigns.
pub(super) fn assigned(command: &str) -> Vec<String> {
    let captures = ASSIGNS.as_ref().map(|pattern| pattern.captures_iter(command));
    let names = captures.into_iter().flatten();
    names
        .filter_map(|found| {
            found
                .iter()
                .skip(1)
                .flatten()
                .next()
                .map(|name| name.as_str().to_owned())
        })
        .collect()
}

/// Whether a marked command takes code and runs it, or puts it where the next command runs it.
pub(super) fn takes(marked: &str) -> bool {
    has(&DOWNLOADS, marked) || has(&INSTALLS, marked) || takes_image(marked)
}

/// Options of container engines whose next word is a value.
const VALUED: [&str; 13] = [
    "-e",
    "--env",
    "-v",
    "--volume",
    "-l",
    "--label",
    "-p",
    "--publish",
    "--name",
    "-w",
    "--workdir",
    "-t",
    "--tag",
];

/// Whether a marked command uses an image whose name is marked.
fn takes_image(marked: &str) -> bool {
    if !has(&IMAGES, marked) {
        return false;
    }
    let builds = has(&BUILDS, marked);
    let mut is_value = false;
    marked.split_whitespace().any(|word| {
        let is_option = word.starts_with('-');
        let after_option = std::mem::replace(&mut is_value, VALUED.contains(&word));
        let names = match builds {
            true => word.contains("://") || word.contains(".git#"),
            false => word.starts_with(MARK) || word.contains(':') || word.contains('@'),
        };
        word.contains(MARK) && !is_option && !after_option && names
    })
}
