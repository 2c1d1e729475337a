//! Says whether a client named `docker` is Podman: podman-docker installs a link or a script with that name.
//!
//! Must not start processes.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// The part of a client that says whether the client is a script.
const SCRIPT: u64 = 4096;

/// Whether a client is a link to Podman or a script that starts Podman.
pub fn is_podman(client: &Path) -> bool {
    let target = client.canonicalize().unwrap_or_default();
    if target.file_name().is_some_and(|name| name == "podman") {
        return true;
    }
    let mut start = Vec::new();
    let read = File::open(target).and_then(|file| file.take(SCRIPT).read_to_end(&mut start));
    read.is_ok() && start.starts_with(b"#!") && starts_podman(&String::from_utf8_lossy(&start))
}

/// Whether `podman` is the first word of a line, or follows `exec`.
fn starts_podman(script: &str) -> bool {
    script.lines().any(|line| {
        let words = line.split_whitespace();
        let words: Vec<&str> = words.take_while(|word| !word.starts_with('#')).collect();
        let mut pairs = words.windows(2);
        words.first().is_some_and(|word| is_command(word))
            || pairs.any(|pair| pair[0] == "exec" && is_command(pair[1]))
    })
}

/// Whether a word of a script is the command `podman`, perhaps with its folder or in quotes.
fn is_command(word: &str) -> bool {
    let quoted = |quote| word.strip_prefix(quote)?.strip_suffix(quote);
    let word = quoted('"').or_else(|| quoted('\'')).unwrap_or(word);
    word.rsplit('/').next() == Some("podman")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_commands_make_a_script_podman() {
        for (script, is_podman) in [
            // podman-docker of Debian and of Fedora.
            (
                "[ -e /etc/containers/nodocker ] || \\\necho \"Emulate Docker CLI using podman.\" >&2\nexec /usr/bin/podman \"$@\"",
                true,
            ),
            ("exec podman \"$@\"", true),
            ("exec \"/opt/bin/podman\" \"$@\"", true),
            ("if true; then exec podman \"$@\"; fi", true),
            ("  podman \"$@\" # as docker", true),
            ("# not podman\nexec /usr/libexec/docker \"$@\"", false),
            ("exec docker.real \"$@\" # exec podman \"$@\"", false),
            ("echo 'podman is not used'\nexec docker.real \"$@\"", false),
            ("command -v podman && echo hint\nexec docker.real \"$@\"", false),
            ("exec podman-to-docker \"$@\"", false),
            ("PATH=/opt/podman:$PATH\nexec docker.real \"$@\"", false),
        ] {
            assert_eq!(starts_podman(script), is_podman, "{script}");
        }
    }
}
