//! Reads the Rust sources of this repository: which paths a file uses, outside tests and comments.
//!
//! The syntax tree comes from `syn`, so a path is found however it is written: renamed, in a glob, in a macro, or below `super`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use regex::Regex;
use syn::visit::Visit;

/// The paths that a file uses, from the root of its crate (`crate::git::Git`) or of another crate (`std::env::var`).
pub type Paths = BTreeSet<String>;

/// The files that each file uses, by module name.
pub type Uses = BTreeMap<String, BTreeSet<String>>;

/// Returns the text of each source file of a folder, by its path below the folder.
pub fn sources_of(root: &Path) -> BTreeMap<String, String> {
    let mut found = Vec::new();
    list(root, &mut found);
    assert!(found.len() > 5, "no sources found under {}", root.display());
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect()
}

fn list(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Returns the module of a file below `src`.
pub fn module_of(name: &str) -> String {
    name.trim_end_matches(".rs")
        .trim_end_matches("/mod")
        .replace('/', "::")
}

/// Returns the paths that the code of a file uses. Items for tests do not count.
pub fn paths_of(name: &str, text: &str) -> Paths {
    let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut reader = Reader {
        name,
        module: match module_of(name).as_str() {
            "lib" | "main" => Vec::new(),
            module => module.split("::").map(str::to_owned).collect(),
        },
        scopes: vec![Scope::of(&file.items)],
        paths: Paths::new(),
    };
    reader.visit_file(&file);
    reader.paths
}

/// Returns the string literals of a file outside its tests.
pub fn strings_of(name: &str, text: &str) -> BTreeSet<String> {
    struct Strings(BTreeSet<String>);

    impl<'a> Visit<'a> for Strings {
        fn visit_item(&mut self, item: &'a syn::Item) {
            if !is_for_tests(item) {
                syn::visit::visit_item(self, item);
            }
        }

        fn visit_lit_str(&mut self, literal: &'a syn::LitStr) {
            self.0.insert(literal.value());
        }

        fn visit_macro(&mut self, called: &'a syn::Macro) {
            let tokens = called.tokens.to_string();
            let quoted = Regex::new(r#""([^"\\]*)""#).unwrap();
            self.0
                .extend(quoted.captures_iter(&tokens).map(|found| found[1].to_owned()));
        }
    }

    let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut strings = Strings(BTreeSet::new());
    strings.visit_file(&file);
    strings.0
}

/// Returns the texts of the errors that a file makes with `bail!`, `anyhow!` or `.context("…")`, outside tests.
pub fn errors_of(name: &str, text: &str) -> Vec<String> {
    struct Errors(Vec<String>);

    impl<'a> Visit<'a> for Errors {
        fn visit_item(&mut self, item: &'a syn::Item) {
            if !is_for_tests(item) {
                syn::visit::visit_item(self, item);
            }
        }

        fn visit_macro(&mut self, called: &'a syn::Macro) {
            let last = called
                .path
                .segments
                .last()
                .map(|segment| segment.ident.to_string());
            let tokens = called.tokens.to_string();
            let first = Regex::new(r#"^"((?:[^"\\]|\\.)*)""#).unwrap();
            if matches!(last.as_deref(), Some("bail" | "anyhow"))
                && let Some(text) = first.captures(&tokens)
            {
                self.0.push(text[1].to_owned());
            }
        }

        fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
            if call.method == "context"
                && let Some(syn::Expr::Lit(literal)) = call.args.first()
                && let syn::Lit::Str(text) = &literal.lit
            {
                self.0.push(text.value());
            }
            syn::visit::visit_expr_method_call(self, call);
        }
    }

    let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut errors = Errors(Vec::new());
    errors.visit_file(&file);
    errors.0
}

/// Returns the names of the tests in a file.
pub fn tests_of(name: &str, text: &str) -> Vec<String> {
    struct Tests(Vec<String>);

    impl<'a> Visit<'a> for Tests {
        fn visit_item_fn(&mut self, item: &'a syn::ItemFn) {
            if item
                .attrs
                .iter()
                .any(|attribute| attribute.path().is_ident("test"))
            {
                self.0.push(item.sig.ident.to_string());
            }
        }
    }

    let file = syn::parse_file(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut tests = Tests(Vec::new());
    tests.visit_file(&file);
    tests.0
}

/// Returns the modules that have a file of their own and exist only in tests.
pub fn test_modules(sources: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (name, text) in sources {
        let parent = match module_of(name).as_str() {
            "lib" | "main" => String::new(),
            module => format!("{module}::"),
        };
        let items = syn::parse_file(text).unwrap().items;
        found.extend(items.iter().filter_map(|item| match item {
            syn::Item::Mod(one) if for_tests(&one.attrs) => Some(format!("{parent}{}", one.ident)),
            _ => None,
        }));
    }
    found
}

/// The names that the items of one module or block introduce.
#[derive(Default)]
struct Scope {
    /// The path of each imported name.
    imported: BTreeMap<String, Vec<String>>,
    /// The child modules.
    children: BTreeSet<String>,
}

impl Scope {
    fn of<'i>(items: impl IntoIterator<Item = &'i syn::Item>) -> Scope {
        let mut scope = Scope::default();
        for item in items {
            match item {
                syn::Item::Use(one) => {
                    for (name, path) in leaves(&one.tree) {
                        scope.imported.insert(name, path);
                    }
                }
                syn::Item::Mod(one) => {
                    scope.children.insert(one.ident.to_string());
                }
                _ => {}
            }
        }
        scope
    }
}

/// Returns the paths of a `use` tree with the names that they get.
fn leaves(tree: &syn::UseTree) -> Vec<(String, Vec<String>)> {
    match tree {
        syn::UseTree::Path(path) => {
            let head = path.ident.to_string();
            let mut inner = leaves(&path.tree);
            for (name, rest) in &mut inner {
                if rest.is_empty() {
                    name.clone_from(&head);
                }
                rest.insert(0, head.clone());
            }
            inner
        }
        syn::UseTree::Name(name) if name.ident == "self" => vec![(String::new(), Vec::new())],
        syn::UseTree::Name(name) => vec![(name.ident.to_string(), vec![name.ident.to_string()])],
        syn::UseTree::Rename(rename) if rename.ident == "self" => {
            vec![(rename.rename.to_string(), Vec::new())]
        }
        syn::UseTree::Rename(rename) => vec![(rename.rename.to_string(), vec![rename.ident.to_string()])],
        syn::UseTree::Glob(_) => vec![("*".to_owned(), vec!["*".to_owned()])],
        syn::UseTree::Group(group) => group.items.iter().flat_map(leaves).collect(),
    }
}

struct Reader<'n> {
    name: &'n str,
    module: Vec<String>,
    scopes: Vec<Scope>,
    paths: Paths,
}

impl Reader<'_> {
    /// Adds a path, as it is written in the current module.
    fn add(&mut self, written: Vec<String>) {
        let mut written = written;
        for scope in self.scopes.iter().rev() {
            if let Some(path) = scope.imported.get(&written[0]).filter(|path| **path != written) {
                written.splice(0..1, path.iter().cloned());
                break;
            }
        }
        let supers = written.iter().take_while(|part| *part == "super").count();
        let relative = supers > 0
            || written[0] == "self"
            || self
                .scopes
                .last()
                .is_some_and(|s| s.children.contains(&written[0]));
        let skipped = supers + usize::from(written[0] == "self");
        let path: Vec<String> = match relative {
            true => {
                let kept = self
                    .module
                    .len()
                    .checked_sub(supers)
                    .unwrap_or_else(|| panic!("{}: too many `super`", self.name));
                std::iter::once("crate".to_owned())
                    .chain(self.module[..kept].iter().cloned())
                    .chain(written.into_iter().skip(skipped))
                    .collect()
            }
            false => written,
        };
        self.paths.insert(path.join("::"));
    }
}

/// Whether an item exists only in tests.
fn is_for_tests(item: &syn::Item) -> bool {
    for_tests(match item {
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    })
}

fn for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && attribute
                    .parse_args::<syn::Ident>()
                    .is_ok_and(|word| word == "test"))
    })
}

impl<'a> Visit<'a> for Reader<'_> {
    fn visit_item(&mut self, item: &'a syn::Item) {
        if !is_for_tests(item) {
            syn::visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'a syn::ItemMod) {
        assert!(
            !item
                .attrs
                .iter()
                .any(|attribute| attribute.path().is_ident("path")),
            "{}: `#[path]` hides a file from the layers",
            self.name
        );
        if let Some((_, items)) = &item.content {
            self.module.push(item.ident.to_string());
            self.scopes.push(Scope::of(items));
            syn::visit::visit_item_mod(self, item);
            self.scopes.pop();
            self.module.pop();
        }
    }

    fn visit_block(&mut self, block: &'a syn::Block) {
        let items = block.stmts.iter().filter_map(|statement| match statement {
            syn::Stmt::Item(item) => Some(item),
            _ => None,
        });
        let scope = Scope {
            children: self.scopes.last().map(|s| s.children.clone()).unwrap_or_default(),
            ..Scope::of(items)
        };
        self.scopes.push(scope);
        syn::visit::visit_block(self, block);
        self.scopes.pop();
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        for (_, path) in leaves(&item.tree) {
            self.add(path);
        }
    }

    /// `pub(super)` names a module without using it.
    fn visit_visibility(&mut self, _: &'a syn::Visibility) {}

    fn visit_path(&mut self, path: &'a syn::Path) {
        self.add(path.segments.iter().map(|s| s.ident.to_string()).collect());
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'a syn::Macro) {
        self.add(
            called
                .path
                .segments
                .iter()
                .map(|s| s.ident.to_string() + "!")
                .collect(),
        );
        // The arguments of a macro are tokens and not a tree, so find the paths in them.
        let tokens = called.tokens.to_string();
        let path = Regex::new(r"\b\w+(?: ?:: ?\w+)+|\b\w+ ?!").unwrap();
        for found in path.find_iter(&tokens) {
            let found = found.as_str().replace(' ', "");
            self.add(found.split("::").map(str::to_owned).collect());
        }
    }
}

/// Returns the files that each file of a crate uses.
pub fn uses(sources: &BTreeMap<String, String>) -> Uses {
    let modules: BTreeSet<String> = sources.keys().map(|name| module_of(name)).collect();
    let file_of = |path: &str| {
        let parts: Vec<&str> = path.split("::").skip(1).collect();
        (1..=parts.len())
            .rev()
            .map(|n| parts[..n].join("::"))
            .find(|module| modules.contains(module))
    };
    sources
        .iter()
        .map(|(name, text)| {
            let module = module_of(name);
            let used = paths_of(name, text)
                .iter()
                .filter(|path| path.starts_with("crate::"))
                .filter_map(|path| file_of(path))
                .filter(|file| *file != module)
                .collect();
            (module, used)
        })
        .collect()
}

/// Returns groups of files that reach each other in both directions, each group sorted.
pub fn circles(uses: &Uses) -> Vec<Vec<String>> {
    let reach = |from: &str| {
        let (mut seen, mut left) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(file) = left.pop() {
            for next in uses.get(&file).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    left.push(next.clone());
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&String, BTreeSet<String>> = uses.keys().map(|file| (file, reach(file))).collect();
    let mut groups = BTreeSet::new();
    for (file, others) in &reached {
        if others.contains(*file) {
            let back = |other: &&String| reached.get(*other).is_some_and(|r| r.contains(*file));
            groups.insert(others.iter().filter(back).cloned().collect::<Vec<_>>());
        }
    }
    groups.into_iter().collect()
}
