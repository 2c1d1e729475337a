//! Recognises tests, copied sources of third parties, documentation and recipes of images by the path of a file.
//!
//! Names and passwords in such files are often invented. The rules say which of their leaks are only warnings there.

use crate::kinds::LoweredIn;

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// None of the others, or not known.
    Other,
    /// Documentation and examples.
    Documentation,
    /// The recipe of a container image.
    Image,
    /// Tests, fixtures, and sources of third parties.
    Tests,
}

/// Words in the names of folders of tests and of third-party sources.
const TESTS: &str =
    " test tests testing testdata testsuite fixture fixtures mock mocks vendor vendored thirdparty ";

/// Words in the names of folders of documentation.
const DOCUMENTATION: &str =
    " doc docs documentation example examples tutorial tutorials sample samples blog blogs ";

impl Role {
    /// The role of a file. The path is relative to the checkout, because folders above it say nothing about the file.
    pub fn of(path: &str) -> Self {
        let path = path.to_ascii_lowercase();
        let (folders, file) = path.rsplit_once(['/', '\\']).unwrap_or(("", &path));
        let stem = file.split_once('.').map_or(file, |(stem, _)| stem);
        let is_test_file = file.starts_with("test_")
            || stem.ends_with("_test")
            || stem.ends_with("_tests")
            || file.contains(".test.")
            || file.contains(".spec.")
            || matches!(file, "conftest.py" | "tests.rs" | "test.rs");
        let mut role = Role::Other;
        for folder in folders.split(['/', '\\']) {
            if matches!(
                folder,
                "third_party" | "third-party" | "node_modules" | "e2e" | "t"
            ) || words(folder, TESTS)
                || is_self_signed(folder)
            {
                return Role::Tests;
            }
            if words(folder, DOCUMENTATION) {
                role = Role::Documentation;
            }
        }
        let is_recipe = file.starts_with("dockerfile")
            || file.starts_with("containerfile")
            || file.ends_with(".dockerfile")
            || file.ends_with(".def");
        match role {
            _ if is_test_file || is_self_signed(file) => Role::Tests,
            Role::Other if is_recipe => Role::Image,
            // The page of a component. The page of the whole checkout can name real machines.
            Role::Other if !folders.is_empty() && file.starts_with("readme") => Role::Documentation,
            role => role,
        }
    }

    /// Whether a leak is only a warning in a file of this role.
    pub fn lowers(self, lowered_in: LoweredIn) -> bool {
        match self {
            Role::Other => false,
            Role::Image => lowered_in == LoweredIn::Images,
            Role::Documentation => lowered_in == LoweredIn::Documentation,
            Role::Tests => lowered_in != LoweredIn::Nowhere,
        }
    }
}

/// Whether the certificates and keys of a folder or file are made for tests.
fn is_self_signed(name: &str) -> bool {
    ["self-signed", "self_signed", "selfsigned", "snakeoil"]
        .iter()
        .any(|word| name.contains(word))
}

/// Whether a word of a folder's name is in a list.
fn words(folder: &str, list: &str) -> bool {
    folder
        .split(['_', '-', '.'])
        .any(|word| !word.is_empty() && list.contains(&format!(" {word} ")))
}

/// Where the tests inside a Rust source begin.
pub fn inline_tests(text: &[u8]) -> Option<usize> {
    let marker = b"#[cfg(test)]";
    memchr::memmem::find_iter(text, marker).find(|at| {
        let after = &text[at + marker.len()..text.len().min(at + marker.len() + 120)];
        let item = after.trim_ascii_start();
        item.starts_with(b"mod ") || item.starts_with(b"#[")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_tell_the_role() {
        for path in [
            "tests/a.py",
            "unit_tests/a.py",
            "crates/uv-test/src/lib.rs",
            "vendor/github.com/a/b.go",
            "src/test_a.py",
            "src/a_test.go",
            "web/a.spec.ts",
            "testing/conftest.py",
            "t/unit/a.py",
            "examples/tls/self_signed_certs/key.pem",
        ] {
            assert_eq!(Role::of(path), Role::Tests, "{path}");
        }
        for path in [
            "docs/a.md",
            "examples/train.yaml",
            "docs_src/a.py",
            "discovery/README.md",
        ] {
            assert_eq!(Role::of(path), Role::Documentation, "{path}");
        }
        for path in ["Dockerfile", "docker/Dockerfile.B200", "containers/train.def"] {
            assert_eq!(Role::of(path), Role::Image, "{path}");
        }
        for path in [
            "",
            "README.md",
            "src/latest/a.rs",
            "scripts/test.sh",
            "contest/a.py",
            "notes.md",
        ] {
            assert_eq!(Role::of(path), Role::Other, "{path}");
        }
    }
}
