//! Analyses the text of a gate's command without running it: options, variables, unsafe patterns.

use std::sync::LazyLock;

use regex::Regex;

/// Returns the last value of `--name=N` or `--name N`.
pub fn option(command: &str, name: &str) -> Option<u64> {
    let words: Vec<&str> = command.split_whitespace().collect();
    words.iter().enumerate().rev().find_map(|(i, word)| {
        let rest = word.strip_prefix("--")?.strip_prefix(name)?;
        match rest.strip_prefix('=') {
            Some(value) => value.parse().ok(),
            None if rest.is_empty() => words.get(i + 1)?.parse().ok(),
            None => None,
        }
    })
}

/// Whether the command runs the trainer, whose output format is known.
pub fn is_trainer(command: &str) -> bool {
    command.contains("nmoe.train")
}

/// Returns how many samples one measurement yields after the warm-up, and how many a verdict needs; `None` if the text does
/// not tell.
///
/// The trainer prints at step 1 and then every `log_every` steps (default 10). `warmup` is the `warmup_steps` of the
/// registry. `threshold` is true for the verdict from one pair.
pub fn samples(command: &str, warmup: Option<u64>, threshold: bool) -> Option<(u64, u64)> {
    let steps = option(command, "steps")?;
    let every = match option(command, "log_every") {
        Some(every) => every.max(1),
        None if is_trainer(command) => 10,
        None => 1,
    };
    let windows = every > 1;
    let lines = if windows {
        u64::from(steps > 0) + steps / every
    } else {
        steps
    };
    let skipped = match warmup {
        Some(limit) if windows => u64::from(limit > 0) + limit / every,
        Some(limit) => limit,
        None if windows => 1,
        None if threshold => 0,
        None => 5.max(steps.div_ceil(4)),
    };
    let need = match (threshold, windows) {
        (true, _) => 2,
        (false, true) => 3,
        (false, false) => 10,
    };
    Some((lines.saturating_sub(skipped), need))
}

/// Returns the variables that a command reads and does not set: each name once, with its text (`$NAME` or `${NAME`).
pub fn variables(command: &str) -> Vec<(&str, &str)> {
    static READ: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"\$(\{?)([A-Z_][A-Z0-9_]*)(:?[-=?+])?").ok());
    let mut found: Vec<(&str, &str)> = Vec::new();
    for captures in READ.iter().flat_map(|r| r.captures_iter(command)) {
        let (Some(whole), Some(name)) = (captures.get(0), captures.get(2)) else {
            continue;
        };
        let has_default = captures.get(1).is_some_and(|b| !b.is_empty()) && captures.get(3).is_some();
        let quoted = in_single_quotes(&command[..whole.start()]) || command[..whole.start()].ends_with('\\');
        let set = sets(command, name.as_str());
        if !has_default && !quoted && !set && !found.iter().any(|(n, _)| *n == name.as_str()) {
            found.push((name.as_str(), whole.as_str()));
        }
    }
    found
}

fn sets(command: &str, name: &str) -> bool {
    command.match_indices(name).any(|(at, _)| {
        let before = command[..at].chars().next_back();
        let starts = before.is_none_or(|c| c.is_whitespace() || c == ';' || c == '(');
        let after = &command[at + name.len()..];
        starts && (after.starts_with('=') || command[..at].trim_end().ends_with("for"))
    })
}

fn in_single_quotes(before: &str) -> bool {
    let (mut single, mut double) = (false, false);
    for c in before.chars() {
        match c {
            '\'' if !double => single = !single,
            '"' if !single => double = !double,
            _ => {}
        }
    }
    single
}

/// Returns the word of a command that reaches a container engine: a client, a socket, or the variable that names one.
pub fn engine(command: &str) -> Option<&str> {
    static WORD: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r"(?m)(?:^|[;&|(]|\$\(|\b(?:exec|then|do|time|xargs)\b)\s*(?:[A-Z_]+=\S*\s+)*(?:\S*/)?(docker|podman|nerdctl|ctr|crictl)(?:\s|$)|(\S*(?:docker|podman|containerd|crio)\.sock)\b|\b(DOCKER_HOST|CONTAINER_HOST)\b",
        )
        .ok()
    });
    let found = WORD.as_ref()?.captures(command)?;
    (1..=3)
        .find_map(|group| found.get(group))
        .map(|word| word.as_str())
}

/// A part of a command that a gate must not contain.
pub struct UnsafePattern<'t> {
    pub text: &'t str,
    pub why: &'static str,
    pub instead: &'static str,
}

/// Returns the unsafe parts of a command.
pub fn unsafe_patterns(command: &str) -> Vec<UnsafePattern<'_>> {
    static RULES: LazyLock<Vec<(Regex, &str, &str)>> = LazyLock::new(|| {
        [
            (r"\|\|\s*(?:true|:|exit 0)(?:\s|;|\)|$)", "it hides a failure", "let it fail"),
            (r"\bset\s+\+(?:e|o\s+(?:errexit|pipefail))", "it continues after a failure", "let it fail"),
            (r"(?:;|\n)\s*(?:true|:|exit 0)\s*$", "it always ends with 0", "remove it, so that the exit code of the last command counts"),
            (
                r"\b(?:curl|wget)\b[^|;\n]*\|\s*(?:sudo\s+)?(?:ba|da|z|k)?sh\b",
                "it runs what it downloads",
                "put what it needs into the image",
            ),
            (
                r"\b(?:ba|da|z|k)?sh\s+(?:-c\s+)?[\x22']?(?:\$\(|<\()\s*(?:curl|wget)\b",
                "it runs what it downloads",
                "put what it needs into the image",
            ),
            (r"\b(?:sudo|su|doas)\s", "it changes the user", "run as the runner's user"),
            (
                r"\brm\s+(?:-[A-Za-z]+\s+)*-[A-Za-z]*[rR][A-Za-z]*\s+(?:-\S+\s+)*[\x22']?(?:/|~|\$\{?HOME\}?)[\x22']?/?\*?(?:\s|;|$)",
                "it deletes a file system or a home directory",
                "name the directory that the gate created",
            ),
            (r"\$\{\{", "it contains a workflow expression", "pass it as a variable"),
            (r"\beval\s", "it runs text as a command", "write the command itself"),
            (r"(?m)^\s*(?:echo|printf)\s+[\x22']?(?:::|##\[)", "it prints workflow commands", "print plain text"),
            (r"(?:^|[^&>|])&\s*(?:#[^\n]*)?$", "it leaves a background process", "wait for it"),
            (r"\b(?:nohup|setsid|disown)\b", "it lets a process escape", "wait for it"),
        ]
        .into_iter()
        .filter_map(|(pattern, why, instead)| Some((Regex::new(pattern).ok()?, why, instead)))
        .collect()
    });
    let trimmed = command.trim_end();
    RULES
        .iter()
        .filter_map(|(rule, why, instead)| {
            rule.find(trimmed).map(|m| UnsafePattern {
                text: m.as_str().trim(),
                why,
                instead,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_match_output_of_trainer() {
        let run = |args: &str| format!("torchrun -m nmoe.train configs/x.toml {args}");
        assert_eq!(samples(&run("--steps=20"), None, false), Some((2, 3)));
        assert_eq!(samples(&run("--steps=20"), None, true), Some((2, 2)));
        assert_eq!(
            samples(&run("--steps=20 --log_every=1"), None, false),
            Some((15, 10))
        );
        assert_eq!(
            samples(&run("--steps=10 --log_every=1"), None, false),
            Some((5, 10))
        );
        assert_eq!(
            samples(&run("--steps 60 --log_every 10"), None, false),
            Some((6, 3))
        );
        assert_eq!(
            samples(&run("--steps=20 --steps=50"), Some(10), false),
            Some((4, 3))
        );
        assert_eq!(samples("python train.py --steps=12", None, false), Some((7, 10)));
        assert_eq!(samples("make bench", None, false), None);
    }

    #[test]
    fn read_variables_are_found() {
        let command = r#"X=1 run $X ${A} "$B" '$C' \$D ${E:-d} $A $lower"; for F in 1; do echo $F; done""#;
        let names: Vec<_> = variables(command).into_iter().map(|(n, _)| n).collect();
        assert_eq!(names, ["A", "B"]);
    }

    #[test]
    fn commands_that_reach_an_engine_are_found() {
        for (command, word) in [
            ("docker run x", Some("docker")),
            ("cd x && A=1 /usr/bin/podman run x", Some("podman")),
            (
                "curl --unix-socket /var/run/docker.sock http://x",
                Some("/var/run/docker.sock"),
            ),
            ("make DOCKER_HOST=tcp://x:1", Some("DOCKER_HOST")),
            ("python -m docker_notes", None),
            ("grep -q docker README.md", None),
            ("make -C docker all", None),
        ] {
            assert_eq!(engine(command), word, "{command}");
        }
    }

    #[test]
    fn unsafe_patterns_are_found() {
        for bad in [
            "pytest || true",
            "pytest || :",
            "set +e\npytest",
            "pytest; true",
            "pytest\nexit 0\n",
            "curl -s https://example.com/x | bash",
            "bash <(curl -s https://example.com/x)",
            "sudo make",
            "rm -rf /",
            "rm -rf ~/",
            "echo ${{ github.head_ref }}",
            "eval $X",
            "echo ::set-output name=a::b",
            "python serve.py &",
            "nohup python serve.py",
        ] {
            assert_eq!(unsafe_patterns(bad).len(), 1, "{bad}");
        }
        for good in [
            "python -c \"import nmoe\"",
            "a && b",
            "a | b",
            "a 2>&1",
            "test -f x || exit 1",
            "rm -rf build/out",
            "rm -rf /tmp/x",
            "python -m nmoe.train --steps=20 \\\n  --x=${Y}",
            "grep -q true file",
        ] {
            assert!(unsafe_patterns(good).is_empty(), "{good}");
        }
    }
}
