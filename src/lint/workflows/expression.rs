//! Evaluates expressions of workflows as far as their possible values follow from the file: runner labels and names of jobs.
//!
//! A value that the file does not determine contains `UNKNOWN`. Must not know what a value is used for.

use std::cell::Cell;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value as Json;

use crate::document::node::Node;

/// The place of a text that the file does not determine.
pub(super) const UNKNOWN: char = '\u{0}';

/// The number of values that are kept for one text. More values become one unknown value.
const MAX_VALUES: usize = 256;

/// The number of expressions that one value may lead to, one inside the other.
const MAX_STEPS: u8 = 8;

/// The work for one text: an evaluation is one unit, and so are 64 bytes of results. Afterwards, each value is unknown.
const BUDGET: usize = 10_000;

/// How deep and how long the evaluation of a text may go on.
#[derive(Clone, Copy)]
struct Limit<'b> {
    steps: u8,
    left: &'b Cell<usize>,
}

impl Limit<'_> {
    /// Goes one step deeper; nothing if a limit is reached.
    fn deeper(self) -> Option<Self> {
        let steps = self.steps.checked_sub(1)?;
        self.spend(1).then_some(Limit { steps, ..self })
    }

    /// Whether the budget allows this work.
    fn spend(self, units: usize) -> bool {
        self.left.set(self.left.get().saturating_sub(units));
        self.left.get() > 0
    }

    /// Whether the budget allows values of this length.
    fn pays_for(self, values: &[String]) -> bool {
        self.spend(values.iter().map(String::len).sum::<usize>() / 64)
    }
}

/// Access to a member by index: `github.event['pull_request']`.
static INDEX: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"\[\s*['"]([\w-]+)['"]\s*\]"#).ok());

/// Rewrites `a['b']` as `a.b`.
pub(super) fn dotted(text: &str) -> String {
    INDEX.as_ref().map_or_else(
        || text.to_owned(),
        |index| index.replace_all(text, ".$1").into_owned(),
    )
}

/// The values that expressions of a job can refer to.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    /// `strategy.matrix` of the job.
    pub(super) matrix: Option<&'a Node>,
    /// `inputs` of the events that start the workflow.
    pub(super) inputs: &'a [(String, Vec<String>)],
    /// `env` of the workflow and of the job.
    pub(super) env: [Option<&'a Node>; 2],
}

impl Scope<'_> {
    /// Returns the possible values of a text with expressions.
    pub(super) fn values(self, text: &str) -> Vec<String> {
        self.values_within_budget(text).unwrap_or_else(unknown)
    }

    /// Returns the possible values of a text; nothing if it takes too long to find them.
    pub(super) fn values_within_budget(self, text: &str) -> Option<Vec<String>> {
        let left = Cell::new(BUDGET);
        let limit = Limit {
            steps: MAX_STEPS,
            left: &left,
        };
        let values = self.expand(text, limit);
        limit.spend(0).then_some(values)
    }

    fn expand(self, text: &str, limit: Limit<'_>) -> Vec<String> {
        let Some(limit) = limit.deeper() else {
            return unknown();
        };
        let mut values = vec![String::new()];
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${{") {
            let (expression, after) = after.split_once("}}").unwrap_or((after, ""));
            let ends = self.evaluate(&dotted(expression), limit);
            values = product(&values, before, &ends);
            if !limit.pays_for(&values) {
                return unknown();
            }
            rest = after;
        }
        for value in &mut values {
            value.push_str(rest);
        }
        if limit.pays_for(&values) {
            values
        } else {
            unknown()
        }
    }

    fn evaluate(self, expression: &str, limit: Limit<'_>) -> Vec<String> {
        let Some(limit) = limit.deeper() else {
            return unknown();
        };
        let expression = unwrapped(expression.trim());
        let choices = split(expression, "||");
        if choices.len() > 1 {
            return bounded(
                choices
                    .into_iter()
                    .flat_map(|choice| self.evaluate(choice, limit))
                    .collect(),
            );
        }
        if let Some(last) = split(expression, "&&").split_off(1).pop() {
            return self.evaluate(last, limit);
        }
        if let Some(literal) = literal(expression) {
            return vec![literal];
        }
        match call(expression) {
            Some((name, arguments)) if name.eq_ignore_ascii_case("format") => self.format(&arguments, limit),
            Some((name, arguments)) if name.eq_ignore_ascii_case("fromjson") => {
                let json = arguments.first().map(|json| self.evaluate(json, limit));
                bounded(
                    json.into_iter()
                        .flatten()
                        .flat_map(|json| elements(&json))
                        .collect(),
                )
            }
            Some((name, arguments)) if name.eq_ignore_ascii_case("join") => self.join(&arguments, limit),
            Some(_) => unknown(),
            None => self.member(expression, limit),
        }
    }

    fn format(self, arguments: &[&str], limit: Limit<'_>) -> Vec<String> {
        let Some((pattern, arguments)) = arguments.split_first() else {
            return unknown();
        };
        let mut values = self.evaluate(pattern, limit);
        for (n, argument) in arguments.iter().enumerate() {
            let place = format!("{{{n}}}");
            let ends = self.evaluate(argument, limit);
            if values.len() * ends.len() > MAX_VALUES {
                return unknown();
            }
            let each = |value: &String| {
                ends.iter()
                    .map(|end| value.replace(&place, end))
                    .collect::<Vec<_>>()
            };
            values = bounded(values.iter().flat_map(each).collect());
        }
        values
    }

    fn join(self, arguments: &[&str], limit: Limit<'_>) -> Vec<String> {
        let Some((list, separator)) = arguments.split_first() else {
            return unknown();
        };
        let separator = match separator.first() {
            Some(separator) => self.evaluate(separator, limit).swap_remove(0),
            None => ",".to_owned(),
        };
        vec![self.evaluate(list, limit).join(&separator)]
    }

    /// Returns the values of `matrix.x`, `inputs.x` or `env.x`.
    fn member(self, path: &str, limit: Limit<'_>) -> Vec<String> {
        let mut names = path.split('.').map(str::trim);
        let context = names.next().unwrap_or_default().to_ascii_lowercase();
        let path: Vec<&str> = names.collect();
        match (context.as_str(), path.as_slice()) {
            ("matrix", path) if !path.is_empty() => self.matrix.map_or_else(unknown, |matrix| {
                let found = self.of_matrix(matrix, path, limit);
                if found.is_empty() {
                    unknown()
                } else {
                    bounded(found)
                }
            }),
            ("inputs", [name]) => {
                let input = self
                    .inputs
                    .iter()
                    .find(|(input, _)| input.eq_ignore_ascii_case(name));
                input.map_or_else(unknown, |(_, values)| values.clone())
            }
            ("env", [name]) => {
                let mut nodes = self.env.iter().rev().flatten();
                let text = nodes.find_map(|env| member(env, name)?.text());
                text.map_or_else(unknown, |text| self.expand(text, limit))
            }
            _ => unknown(),
        }
    }

    fn of_matrix(self, matrix: &Node, path: &[&str], limit: Limit<'_>) -> Vec<String> {
        let Some(text) = matrix.text() else {
            let included = matrix.get("include").map(|list| self.below(list, path, limit));
            let own = self.below(matrix, path, limit);
            return own.into_iter().chain(included.unwrap_or_default()).collect();
        };
        // The complete matrix is an expression.
        let Some(json) = text.split_once("${{").and_then(|(_, rest)| rest.split_once("}}")) else {
            return unknown();
        };
        match call(json.0.trim()).and_then(|(_, arguments)| literal(arguments.first()?)) {
            Some(json) => match serde_json::from_str::<Json>(&json) {
                Ok(json) => members(&json, path),
                Err(_) => unknown(),
            },
            None => unknown(),
        }
    }

    /// Returns the texts at a path of keys, where each list stands for its items.
    fn below(self, node: &Node, path: &[&str], limit: Limit<'_>) -> Vec<String> {
        if !node.items().is_empty() {
            return node
                .items()
                .iter()
                .flat_map(|item| self.below(item, path, limit))
                .collect();
        }
        if let Some(text) = node.text() {
            let found = self.expand(text, limit);
            // An expression in place of a list has members that are not known.
            return if path.is_empty() { found } else { unknown() };
        }
        let Some((first, rest)) = path.split_first() else {
            return Vec::new();
        };
        member(node, first)
            .map(|node| self.below(node, rest, limit))
            .unwrap_or_default()
    }
}

/// Returns a member of a context. GitHub ignores the case of its name.
fn member<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    let mut entries = node.entries().iter();
    let entry = entries.find(|entry| entry.key.eq_ignore_ascii_case(name))?;
    Some(&entry.node)
}

fn unknown() -> Vec<String> {
    vec![UNKNOWN.to_string()]
}

fn bounded(values: Vec<String>) -> Vec<String> {
    if values.is_empty() || values.len() > MAX_VALUES {
        unknown()
    } else {
        values
    }
}

fn product(starts: &[String], between: &str, ends: &[String]) -> Vec<String> {
    if starts.len() * ends.len() > MAX_VALUES {
        return unknown();
    }
    let with = |start: &String| {
        ends.iter()
            .map(|end| format!("{start}{between}{end}"))
            .collect::<Vec<_>>()
    };
    starts.iter().flat_map(with).collect()
}

/// Returns the elements of a JSON list, or the text itself.
fn elements(json: &str) -> Vec<String> {
    match serde_json::from_str::<Json>(json) {
        Ok(json) => members(&json, &[]),
        Err(_) => unknown(),
    }
}

/// Returns the texts at a path of keys of a JSON value, where each list stands for its items, and `include` for its parent.
fn members(json: &Json, path: &[&str]) -> Vec<String> {
    match (json, path) {
        (Json::Array(items), path) => items.iter().flat_map(|item| members(item, path)).collect(),
        (Json::Object(map), [first, rest @ ..]) => {
            let own = map.iter().find(|(key, _)| key.eq_ignore_ascii_case(first));
            let own = own.map(|(_, json)| members(json, rest));
            let included = map.get("include").map(|json| members(json, path));
            [own, included].into_iter().flatten().flatten().collect()
        }
        (Json::String(text), []) => vec![text.clone()],
        (json, []) => vec![json.to_string()],
        (_, _) => unknown(),
    }
}

/// Returns a text literal without its quotes.
fn literal(expression: &str) -> Option<String> {
    let inner = expression.strip_prefix('\'')?.strip_suffix('\'')?;
    let plain = inner.replace("''", "\u{1}");
    (!plain.contains('\'')).then(|| plain.replace('\u{1}', "'"))
}

/// Returns the name and the arguments of a function call.
fn call(expression: &str) -> Option<(&str, Vec<&str>)> {
    let (name, rest) = expression.split_once('(')?;
    let is_name = !name.is_empty() && name.trim().bytes().all(|byte| byte.is_ascii_alphanumeric());
    let inner = rest.strip_suffix(')').filter(|_| is_name)?;
    Some((
        name.trim(),
        split(inner, ",").into_iter().map(str::trim).collect(),
    ))
}

/// Removes parentheses around an expression. More than a few are left, and make it unknown.
fn unwrapped(mut expression: &str) -> &str {
    let is_whole = |inner: &&str| {
        let mut depth = 0_i32;
        inner.chars().all(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            depth >= 0
        })
    };
    for _ in 0..MAX_STEPS {
        let inner = expression
            .strip_prefix('(')
            .and_then(|rest| rest.strip_suffix(')'));
        let Some(inner) = inner.filter(is_whole) else {
            break;
        };
        expression = inner.trim();
    }
    expression
}

/// Splits an expression at a separator outside quotes and parentheses.
fn split<'t>(text: &'t str, separator: &str) -> Vec<&'t str> {
    let (mut parts, mut start, mut depth, mut quoted) = (Vec::new(), 0, 0_i32, false);
    for (at, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            _ => {}
        }
        if !quoted && depth == 0 && at >= start && text[at..].starts_with(separator) {
            parts.push(&text[start..at]);
            start = at + separator.len();
        }
        if c == ')' && !quoted {
            depth -= 1;
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use crate::document::source_map::MappedText;
    use crate::document::yaml;

    fn values(matrix: &str, text: &str) -> Vec<String> {
        let tree = yaml::parse(&MappedText::lines_of(matrix, 0)).0.unwrap();
        let inputs = [("n".to_owned(), vec!["1".to_owned(), "2".to_owned()])];
        let scope = Scope {
            matrix: tree.get("matrix"),
            inputs: &inputs,
            env: [None, tree.get("env")],
        };
        scope.values(text)
    }

    #[test]
    fn values_follow_from_the_file() {
        let matrix = "matrix: { a: [x, y], o: [{ n: p }, { n: q }], include: [{ a: z }] }\nenv: { E: 'e-${{ matrix.a }}' }\n";
        for (text, wanted) in [
            ("plain", vec!["plain"]),
            ("${{ matrix.a }}", vec!["x", "y", "z"]),
            ("${{ matrix['a'] }}-${{ 'k' }}", vec!["x-k", "y-k", "z-k"]),
            ("${{ matrix.o.n }}", vec!["p", "q"]),
            ("${{ env.E }}", vec!["e-x", "e-y", "e-z"]),
            ("${{ inputs.n }}/", vec!["1/", "2/"]),
            (
                "${{ inputs.big && 'b200' || 'ubuntu-24.04' }}",
                vec!["b200", "ubuntu-24.04"],
            ),
            ("${{ (matrix.t == 'b') && 'b' || ('c') }}", vec!["b", "c"]),
            ("${{ format('{0}-{1}', 'self', 'hosted') }}", vec!["self-hosted"]),
            ("${{ fromJSON('[\"a\", \"b\"]') }}", vec!["a", "b"]),
            ("${{ join(fromJSON('[\"a\", \"b\"]'), '-') }}", vec!["a-b"]),
            ("it ${{ 'isn''t' }}", vec!["it isn't"]),
            ("${{ vars.X }}-y", vec!["\u{0}-y"]),
            ("${{ matrix.none }}", vec!["\u{0}"]),
        ] {
            assert_eq!(values(matrix, text), wanted, "{text}");
        }
        let json =
            "matrix: '${{ fromJSON(''{\"r\": [\"self-hosted\"], \"include\": [{\"r\": \"b200\"}]}'') }}'\n";
        assert_eq!(values(json, "${{ matrix.r }}"), ["self-hosted", "b200"]);
        let opaque = "matrix: ${{ fromJSON(needs.a.outputs.m) }}\n";
        assert_eq!(values(opaque, "${{ matrix.r }}"), ["\u{0}"]);
    }

    #[test]
    fn names_ignore_case() {
        let matrix = "matrix: { Runs: [x] }\nenv: { E: y }\n";
        assert_eq!(values(matrix, "${{ Matrix.rUNS }}${{ ENV.e }}"), ["xy"]);
    }

    #[test]
    fn long_evaluations_end_unknown() {
        let items = vec!["'${{ matrix.a }}'"; 60].join(", ");
        let lists = [
            (format!("matrix: {{ a: [{items}] }}\n"), "${{ matrix.a }}"),
            (
                format!("env: {{ E: \"{}\" }}\n", "${{ env.E }}".repeat(60)),
                "${{ env.E }}",
            ),
        ];
        for (matrix, text) in &lists {
            let tree = yaml::parse(&MappedText::lines_of(matrix, 0)).0.unwrap();
            let scope = Scope {
                matrix: tree.get("matrix"),
                inputs: &[],
                env: [None, tree.get("env")],
            };
            assert_eq!(scope.values_within_budget(text), None, "{text}");
            assert_eq!(scope.values(text), ["\u{0}"], "{text}");
        }
    }

    #[test]
    fn values_that_refer_to_themselves_end() {
        let matrix = "matrix: { a: ['${{ matrix.a }}'] }\n";
        assert_eq!(values(matrix, "${{ matrix.a }}"), ["\u{0}"]);
        let many: Vec<String> = (0..300).map(|n| n.to_string()).collect();
        let matrix = format!("matrix: {{ a: [{}] }}\n", many.join(", "));
        assert_eq!(values(&matrix, "${{ matrix.a }}"), ["\u{0}"]);
    }
}
