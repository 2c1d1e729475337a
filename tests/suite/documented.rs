//! Command lines in README and docs: each is one that the program takes, with those very options; each script that a page names is there.
//! It does not run them: what they do is held by the tests of their own rooms.

use std::path::Path;

use crate::driver::Place;

/// The commands in fenced shell blocks of a page, with the lines that they go on over.
fn commands(page: &str) -> Vec<String> {
    let (mut inside, mut found, mut open) = (None, Vec::<String>::new(), false);
    for line in page.lines().map(str::trim) {
        if let Some(info) = line.strip_prefix("```") {
            inside = inside.is_none().then(|| ["sh", "bash"].contains(&info));
            open = false;
            continue;
        }
        if inside != Some(true) || line.is_empty() || line.starts_with('#') {
            continue;
        }
        let said = line.split(" #").next().unwrap().trim();
        let (said, goes_on) = said
            .strip_suffix('\\')
            .map_or((said, false), |s| (s.trim(), true));
        if open {
            let last = found.last_mut().unwrap();
            last.push(' ');
            last.push_str(said);
        } else {
            found.push(said.to_owned());
        }
        open = goes_on;
    }
    found
}

/// The words of the first simple command that calls the program, up to a pipe, a redirection or the next command. A synopsis is
/// held with all that it has in brackets, and the first of what it lets one choose.
fn words(command: &str) -> Option<Vec<String>> {
    let plain = |word: &str| {
        let word = word.trim_matches(['"', '\'', '[', ']', '…']);
        let word = word.strip_suffix("\\n").unwrap_or(word).replace("<PR>", "1");
        match word.split_once('|') {
            Some((first, _)) if !first.is_empty() => first.to_owned(),
            _ => word,
        }
    };
    let mut words = command
        .split_whitespace()
        .map(plain)
        .skip_while(|w| w != "nmoe-gates");
    words.next()?;
    let ends = |w: &str| ["|", "&&", "||", ";"].contains(&w) || w.starts_with('>') || w.starts_with("2>");
    Some(words.take_while(|w| !ends(w)).collect())
}

#[test]
fn every_documented_command_line_is_one_that_the_program_takes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![
        root.join("README.md"),
        root.join("CONTRIBUTING.md"),
        root.join("templates/init/AGENTS.md"),
    ];
    for entry in std::fs::read_dir(root.join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "md") {
            pages.push(path);
        }
    }
    let place = Place::new();
    let (mut wrong, mut held) = (Vec::new(), 0);
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        let name = page.strip_prefix(root).unwrap().display().to_string();
        for command in commands(&text) {
            if let Some(script) = command
                .split_whitespace()
                .next()
                .filter(|w| w.contains("scripts/"))
                && !root.join(script).is_file()
            {
                wrong.push(format!("{name}: there is no {script}"));
            }
            let Some(words) = words(&command) else { continue };
            held += 1;
            // `--help` stops before anything is done, and only after every word before it was taken.
            let out = place
                .gates(words.iter().map(String::as_str).chain(["--help"]))
                .run();
            if out.code != Some(0) {
                wrong.push(format!("{name}: `{command}`: {}", out.stderr.trim()));
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "{wrong:#?}");
    assert!(held > 40, "only {held} command lines were found");
}

#[test]
fn an_option_that_does_not_exist_is_noticed() {
    let page = "```sh\nnmoe-gates run --tear a   # no such option\n```\n";
    let words = words(&commands(page)[0]).unwrap();
    assert_eq!(words, ["run", "--tear", "a"]);
    let out = Place::new()
        .gates(words.iter().map(String::as_str).chain(["--help"]))
        .run();
    assert_ne!(out.code, Some(0));
}
