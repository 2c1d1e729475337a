# Common tasks. `just` lists them; each is a command that also works without just.

export NMOE_GATES_REQUIRE_TOOLS := "1"
program := justfile_directory() / "dist/nmoe-gates-x86_64-unknown-linux-gnu"

[private]
default:
    @just --list --unsorted

# Build the program (debug)
build:
    cargo build --locked --bin nmoe-gates

# Run the unit tests and the suite; FILTER selects tests by name
test *FILTER:
    cargo test --workspace --locked -- --skip slow_ {{ FILTER }}

# Run everything that CI runs
test-all:
    ./scripts/test

# Run the suite against the release program that users get
test-shipped: release
    NMOE_GATES_BIN={{ program }} cargo test --locked --test suite

# Check formatting, lints, workflows and dependencies
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items --locked
    scripts/ci/lint-workflows
    scripts/ci/check-dependencies

# Build the documentation site into target/site
docs:
    scripts/ci/build-docs

# Measure everything on a quiet machine, and write docs/explanation/benchmarks.md
bench:
    benches/all

# Run the long verifications: faults, attacks, kernels, inspection, static analysis, reproducible build
verify: release
    scripts/verify/faults
    scripts/verify/attacks
    scripts/verify/kernels
    scripts/verify/inspection {{ program }}
    scripts/verify/static {{ program }}
    scripts/verify/reproducible

# Build the release program into dist/
release:
    scripts/build-release
