//! GraphQL: parses a query and selects its fields from the data of the stand-in; and closing references, as GitHub links them.
//!
//! A field that the stand-in does not know is an error, so that a test cannot pass on an answer that GitHub would not give.

use serde_json::{Map, Value, json};

use crate::fake_github::{State, actor};

/// The branch that pull requests target.
pub const DEFAULT_BRANCH: &str = "master";

/// Returns whether a pull request merges cleanly; null while the job is running.
pub type Mergeable<'m> = dyn FnMut(u64, &State) -> Value + 'm;

/// A field of a query: the name of the answer, the name of the field, its arguments and its selection.
struct Field {
    alias: String,
    name: String,
    arguments: Map<String, Value>,
    fields: Vec<Field>,
}

/// Executes a query. `mergeable` is asked only if the query names it.
pub fn execute(mergeable: &mut Mergeable<'_>, state: &State, body: &Value) -> Value {
    let mut parser = Parser {
        tokens: tokens(text(&body["query"])),
        at: 0,
        variables: body["variables"].clone(),
    };
    let selected = parser.operation().and_then(|fields| {
        let root = if text(&body["query"]).contains("mergeable") {
            root(mergeable, state)
        } else {
            root(&mut |_, _| Value::Null, state)
        };
        select(&root, &fields)
    });
    match selected {
        Ok(data) => json!({ "data": data }),
        Err(message) => json!({"data": null, "errors": [{ "message": message }]}),
    }
}

/// Returns all data, in the shape of GitHub's schema. A list is a connection.
fn root(mergeable: &mut Mergeable<'_>, state: &State) -> Value {
    let numbers: Vec<u64> = state.pulls.keys().copied().collect();
    let pulls: Vec<Value> = numbers
        .into_iter()
        .map(|number| {
            let pull = &state.pulls[&number];
            let linked = pull["base"]["ref"] == DEFAULT_BRANCH;
            let closing = if linked { closing_references(text(&pull["body"])) } else { Vec::new() };
            let reviews = state.reviews.get(&number).cloned().unwrap_or_default();
            let mergeable = match pull["state"] == "open" {
                true => mergeable(number, state),
                false => Value::Null,
            };
            json!({
                "number": number, "title": pull["title"], "body": pull["body"], "isDraft": pull["draft"],
                "state": if pull["merged"] == true { json!("MERGED") } else { upper(&pull["state"]) },
                "merged": pull["merged"], "author": pull["user"], "authorAssociation": pull["author_association"],
                "headRefName": pull["head"]["ref"], "headRefOid": pull["head"]["sha"],
                "baseRefName": pull["base"]["ref"], "baseRefOid": pull["base"]["sha"],
                "isCrossRepository": pull["head"]["repo"]["full_name"] != pull["base"]["repo"]["full_name"],
                "mergeable": match mergeable { Value::Bool(true) => "MERGEABLE", Value::Bool(false) => "CONFLICTING", _ => "UNKNOWN" },
                "reviews": reviews.iter().map(|r| json!({"state": r["state"], "author": actor(text(&r["user"]["login"])),
                    "authorAssociation": r["author_association"], "submittedAt": r["submitted_at"],
                    "commit": {"oid": r["commit_id"]}})).collect::<Vec<_>>(),
                "comments": comments(state, number),
                "includesCreatedEdit": state.edits.get(&number).is_some_and(|edits| edits.iter().any(|edit| edit["original"] == true)),
                "userContentEdits": state.edits.get(&number).into_iter().flatten().rev().cloned().collect::<Vec<_>>(),
                "closingIssuesReferences": closing.iter().filter_map(|n| state.issues.get(n)).map(|issue| issue_of(state, issue)).collect::<Vec<_>>(),
            })
        })
        .collect();
    let issues: Vec<Value> = state
        .issues
        .values()
        .filter(|issue| issue.get("pull_request").is_none())
        .map(|issue| issue_of(state, issue))
        .collect();
    let commits = state
        .statuses
        .iter()
        .map(|(sha, all)| (sha.clone(), commit(sha, all)));
    let commits: Map<String, Value> = commits.collect();
    json!({
        "viewer": {"login": state.login},
        "repository": {"issues": issues, "pullRequests": pulls, "objects": commits, "defaultBranchRef": {"name": DEFAULT_BRANCH}},
    })
}

/// Returns a commit with the newest status of each context.
fn commit(sha: &str, all: &[Value]) -> Value {
    let mut contexts: Vec<Value> = Vec::new();
    for status in all {
        if contexts.iter().all(|newer| newer["context"] != status["context"]) {
            contexts.push(
                json!({"context": status["context"], "state": upper(&status["state"]),
                "description": status["description"], "targetUrl": status["target_url"],
                "createdAt": status["created_at"], "creator": actor(text(&status["creator"]["login"]))}),
            );
        }
    }
    json!({"oid": sha, "status": {"contexts": contexts}})
}

fn issue_of(state: &State, issue: &Value) -> Value {
    let number = issue["number"].as_u64().unwrap();
    let (author, editor) = state
        .editors
        .get(&number)
        .cloned()
        .unwrap_or((text(&issue["user"]["login"]).to_owned(), None));
    let edited = editor.as_ref().map(|_| "2026-01-02T00:00:00Z");
    json!({
        "number": number, "title": issue["title"], "body": issue["body"], "state": upper(&issue["state"]),
        "stateReason": upper(&issue["state_reason"]), "author": actor(&author),
        "authorAssociation": issue["author_association"], "locked": issue["locked"] == true,
        "editor": editor.map(|login| actor(&login)), "lastEditedAt": edited,
        "comments": comments(state, number),
    })
}

fn comments(state: &State, number: u64) -> Vec<Value> {
    let all = state.comments.iter().filter(|comment| comment["issue"] == number);
    all.map(|c| {
        json!({"databaseId": c["id"], "fullDatabaseId": c["id"].to_string(), "body": c["body"],
        "author": actor(text(&c["user"]["login"])), "url": c["html_url"]})
    })
    .collect()
}

fn upper(value: &Value) -> Value {
    value
        .as_str()
        .map_or(Value::Null, |word| word.to_uppercase().into())
}

fn select(of: &Value, fields: &[Field]) -> Result<Value, String> {
    let mut out = Map::new();
    for field in fields {
        let value = match field.name.as_str() {
            "__typename" => of.get("__typename").cloned().unwrap_or_else(|| json!("Object")),
            "issue" | "pullRequest" => {
                let list = &of[if field.name == "issue" {
                    "issues"
                } else {
                    "pullRequests"
                }];
                let found = list
                    .as_array()
                    .into_iter()
                    .flatten()
                    .find(|one| one["number"] == field.arguments["number"]);
                found
                    .cloned()
                    .ok_or_else(|| format!("Could not resolve to {} with the number", field.name))?
            }
            // A commit without a status. The stand-in does not look for commits that do not exist.
            "object" => {
                let sha = text(&field.arguments["oid"]);
                let found = of["objects"].get(sha).cloned();
                found.unwrap_or_else(|| json!({"oid": sha, "status": null}))
            }
            name => of
                .get(name)
                .cloned()
                .ok_or_else(|| format!("Field '{name}' doesn't exist"))?,
        };
        let value = match value {
            // The only list that is not a connection.
            Value::Array(all) if field.name == "contexts" => Value::Array(
                all.iter()
                    .map(|one| select(one, &field.fields))
                    .collect::<Result<_, _>>()?,
            ),
            Value::Array(all) => connection(all, field)?,
            Value::Object(_) => select(&value, &field.fields)?,
            plain => plain,
        };
        out.insert(field.alias.clone(), value);
    }
    Ok(Value::Object(out))
}

/// Pages a list: `first` and `after`, or `last`; states filter.
fn connection(all: Vec<Value>, field: &Field) -> Result<Value, String> {
    let states = field.arguments.get("states").cloned().unwrap_or_default();
    let wanted = |one: &Value| {
        states.as_array().is_none_or(|s| s.contains(&one["state"]))
            && (states.is_null() || states.is_array() || states == one["state"])
    };
    let mut all: Vec<Value> = all.into_iter().filter(wanted).collect();
    if field
        .arguments
        .get("orderBy")
        .is_some_and(|order| order["direction"] == "DESC")
    {
        all.reverse();
    }
    let total = all.len();
    let number = |name: &str| {
        field
            .arguments
            .get(name)
            .and_then(Value::as_u64)
            .map(|n| usize::try_from(n).unwrap())
    };
    let start = field
        .arguments
        .get("after")
        .and_then(Value::as_str)
        .map_or(0, |cursor| cursor.parse().unwrap_or(0));
    let size = number("first")
        .or_else(|| number("last"))
        .ok_or("You must provide a `first` or `last` value")?;
    if size > 100 {
        return Err("Requesting more than 100 records exceeds the limit".to_owned());
    }
    let start = if number("first").is_none() {
        total.saturating_sub(size)
    } else {
        start
    };
    let page: Vec<Value> = all.into_iter().skip(start).take(size).collect();
    let end = start + page.len();
    let mut out = Map::new();
    for sub in &field.fields {
        let value = match sub.name.as_str() {
            "totalCount" => json!(total),
            "pageInfo" => select(
                &json!({"hasNextPage": end < total, "endCursor": end.to_string(), "hasPreviousPage": start > 0}),
                &sub.fields,
            )?,
            "nodes" => Value::Array(
                page.iter()
                    .map(|one| select(one, &sub.fields))
                    .collect::<Result<_, _>>()?,
            ),
            other => return Err(format!("Field '{other}' doesn't exist on a connection")),
        };
        out.insert(sub.alias.clone(), value);
    }
    Ok(Value::Object(out))
}

struct Parser {
    tokens: Vec<String>,
    at: usize,
    variables: Value,
}

impl Parser {
    fn peek(&self) -> &str {
        self.tokens.get(self.at).map_or("", String::as_str)
    }

    fn take(&mut self) -> String {
        self.at += 1;
        self.tokens.get(self.at - 1).cloned().unwrap_or_default()
    }

    fn operation(&mut self) -> Result<Vec<Field>, String> {
        if self.peek() != "{" {
            if self.take() != "query" {
                return Err("only queries are supported".to_owned());
            }
            // The name and the declared variables do not matter here; the schema check reads them.
            while self.peek() != "{" && !self.peek().is_empty() {
                self.take();
            }
        }
        self.fields()
    }

    fn fields(&mut self) -> Result<Vec<Field>, String> {
        if self.take() != "{" {
            return Err("expected a selection".to_owned());
        }
        let mut fields = Vec::new();
        while self.peek() != "}" {
            let mut name = self.take();
            if name == "." {
                // `... on Commit {}`: an object has only one type here.
                (0..4).for_each(|_| drop(self.take()));
                fields.extend(self.fields()?);
                continue;
            }
            if name.is_empty() {
                return Err("the query ends early".to_owned());
            }
            let alias = name.clone();
            if self.peek() == ":" {
                self.take();
                name = self.take();
            }
            let mut arguments = Map::new();
            if self.peek() == "(" {
                self.take();
                while self.peek() != ")" {
                    let key = self.take();
                    self.take();
                    arguments.insert(key, self.value()?);
                }
                self.take();
            }
            let inner = if self.peek() == "{" {
                self.fields()?
            } else {
                Vec::new()
            };
            fields.push(Field {
                alias,
                name,
                arguments,
                fields: inner,
            });
        }
        self.take();
        Ok(fields)
    }

    fn value(&mut self) -> Result<Value, String> {
        let token = self.take();
        Ok(match token.as_str() {
            "$" => {
                let name = self.take();
                self.variables[name].clone()
            }
            "[" => {
                let mut all = Vec::new();
                while self.peek() != "]" {
                    all.push(self.value()?);
                }
                self.take();
                Value::Array(all)
            }
            "{" => {
                let mut all = Map::new();
                while self.peek() != "}" {
                    let key = self.take();
                    self.take();
                    all.insert(key, self.value()?);
                }
                self.take();
                Value::Object(all)
            }
            word => serde_json::from_str(word).unwrap_or_else(|_| json!(word)),
        })
    }
}

/// Splits a query into names, numbers, strings and marks.
fn tokens(query: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut rest = query.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
    while let Some(first) = rest.chars().next() {
        let length = if first == '"' {
            rest[1..].find('"').map_or(rest.len(), |end| end + 2)
        } else if first.is_alphanumeric() || first == '_' || first == '-' {
            rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '-')
                .unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        all.push(rest[..length].to_owned());
        rest = rest[length..].trim_start_matches(|c: char| c.is_whitespace() || c == ',');
    }
    all
}

/// Returns the issues that a description closes, by GitHub's words; code and HTML comments do not count. Written over the
/// events of a Markdown parser, so that the program's own reader is checked against another one.
pub fn closing_references(body: &str) -> Vec<u64> {
    use pulldown_cmark::{Event, Parser, Tag, TagEnd};
    let (mut prose, mut code) = (String::new(), false);
    for event in Parser::new(body) {
        match event {
            Event::Start(Tag::CodeBlock(_)) => code = true,
            Event::End(TagEnd::CodeBlock) => code = false,
            Event::Text(words) if !code => prose.push_str(&words),
            Event::End(TagEnd::Emphasis | TagEnd::Strong | TagEnd::Link) => {}
            Event::SoftBreak | Event::HardBreak | Event::End(_) => prose.push('\n'),
            Event::Code(_) => prose.push('`'),
            _ => {}
        }
    }
    let pattern = regex::Regex::new(
        r"(?i)\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?):?[ \t]+(?:octo-org/trainer#|https://github\.com/octo-org/trainer/issues/|#)(\d+)\b",
    );
    let mut found: Vec<u64> = Vec::new();
    for one in pattern.unwrap().captures_iter(&prose) {
        let number = one[1].parse().unwrap();
        if !found.contains(&number) {
            found.push(number);
        }
    }
    found
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
