//! What the documents promise about the repository itself.

use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn every_direct_dependency_has_its_reason() {
    let manifest: toml::Table = toml::from_str(&read("Cargo.toml")).unwrap();
    let page = read("docs/architecture.md");
    let table = page.split("## Direct dependencies").nth(1).unwrap();
    let named: Vec<&str> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" | ").next())
        .flat_map(|names| names.split(", "))
        .collect();
    for section in ["dependencies", "dev-dependencies"] {
        for name in manifest[section].as_table().unwrap().keys() {
            assert!(
                named.contains(&name.as_str()),
                "`{name}` has no line in the table of docs/architecture.md"
            );
        }
    }
}

#[test]
fn workflows_interpolate_nothing_into_scripts_and_pin_every_action() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/workflows");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("action.yml"));
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut script: Option<usize> = None;
        for line in text.lines() {
            let indent = line.len() - line.trim_start().len();
            if script.is_some_and(|at| !line.trim().is_empty() && indent <= at) {
                script = None;
            }
            let bare = line.trim_start().trim_start_matches("- ");
            if bare.starts_with("run:") {
                script = Some(indent);
            }
            assert!(
                script.is_none() || !line.contains("${{"),
                "{}: {line}",
                file.display()
            );
            if let Some(action) = bare.strip_prefix("uses: ").filter(|a| !a.starts_with("./")) {
                let (pin, version) = action.split_once(" # v").expect(action);
                let sha = pin.split('@').nth(1).unwrap();
                assert!(
                    sha.len() == 40 && sha.bytes().all(|b| b.is_ascii_hexdigit()),
                    "{action}"
                );
                assert!(!version.is_empty());
            }
        }
    }
}

#[test]
fn links_between_pages_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md"), root.join("CONTRIBUTING.md")];
    pages.extend(
        std::fs::read_dir(root.join("docs"))
            .unwrap()
            .map(|e| e.unwrap().path()),
    );
    for page in pages.iter().filter(|p| p.extension().is_some_and(|e| e == "md")) {
        let text = std::fs::read_to_string(page).unwrap();
        for event in pulldown_cmark::Parser::new(&text) {
            let pulldown_cmark::Event::Start(pulldown_cmark::Tag::Link { dest_url, .. }) = event else {
                continue;
            };
            let target = dest_url.split('#').next().unwrap();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let path = page.parent().unwrap().join(target);
            assert!(path.exists(), "{}: {dest_url} leads nowhere", page.display());
        }
    }
}
