//! Lists the files that steer agents or gates. Must not read files.

/// Names of files and folders, at any depth; with `/`, beginnings of paths.
const STEERING: [&str; 68] = [
    // Instructions of agents.
    "AGENT.md",
    "AGENTS.md",
    "AGENTS.override.md",
    "CLAUDE.md",
    "CLAUDE.local.md",
    "CRUSH.md",
    "GEMINI.md",
    "QWEN.md",
    "SKILL.md",
    "WARP.md",
    "copilot-instructions.md",
    ".aider.conf.yml",
    ".augment-guidelines",
    ".clinerules",
    ".continuerules",
    ".cursorrules",
    ".goosehints",
    ".roomodes",
    ".roorules",
    ".rules",
    ".windsurfrules",
    ".github/agents",
    ".github/chatmodes",
    ".github/copilot-setup-steps.yml",
    ".github/hooks",
    ".github/instructions",
    ".github/prompts",
    ".github/skills",
    // Settings, servers and plugins of agents.
    "crush.json",
    "opencode.json",
    "opencode.jsonc",
    ".agent",
    ".agents",
    ".amazonq",
    ".augment",
    ".claude",
    ".claude-plugin",
    ".codex",
    ".continue",
    ".crush.json",
    ".cursor",
    ".factory",
    ".gemini",
    ".goose",
    ".junie",
    ".kilocode",
    ".kiro",
    ".mcp.json",
    ".opencode",
    ".openhands",
    ".qwen",
    ".roo",
    ".trae",
    ".windsurf",
    ".vscode/mcp.json",
    // Reviews, workflows and checks of commits.
    "CODEOWNERS",
    "action.yaml",
    "action.yml",
    ".coderabbit.yaml",
    ".github/actions",
    ".github/workflows",
    ".husky",
    ".pre-commit-config.yaml",
    ".pre-commit-config.yml",
    "lefthook.yml",
    "lefthook.yaml",
    // The policy of this program.
    "configs/gates",
    "configs/nmoe-gates.toml",
];

/// Returns the entry of the list that a path is, or is below of. File systems can ignore case, so the comparison does.
pub fn name_in(path: &str) -> Option<&'static str> {
    let is_below = |name: &str| {
        let start = path.get(..name.len());
        let rest = path.as_bytes().get(name.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(name)) && rest.is_none_or(|next| *next == b'/')
    };
    STEERING.into_iter().find(|name| match name.contains('/') {
        true => is_below(name),
        false => path.split('/').any(|part| part.eq_ignore_ascii_case(name)),
    })
}

/// Whether a pattern contains the part of the name that a reader recognises: the name without its extension, or `.github`.
pub fn is_named_by(name: &str, pattern: &str) -> bool {
    let folder = name.split_once('/').map(|(folder, _)| folder);
    let known = match folder.filter(|folder| folder.starts_with('.')) {
        Some(folder) => folder,
        None => {
            let stem = name.get(1..).and_then(|rest| rest.find('.'));
            stem.map_or(name, |dot| &name[..dot + 1])
        }
    };
    pattern.to_ascii_lowercase().contains(&known.to_ascii_lowercase())
}
