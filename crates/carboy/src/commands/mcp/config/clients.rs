//! The clients that are known, and where they keep their configuration.
//!
//! From their documentation, as it was in November 2026:
//!
//! | client | source |
//! |---|---|
//! | VS Code | <https://code.visualstudio.com/docs/agents/reference/mcp-configuration> |
//! | Windsurf | <https://docs.windsurf.com/windsurf/cascade/mcp>, <https://docs.windsurf.com/plugins/cascade/mcp> |
//! | Zed | <https://zed.dev/docs/ai/mcp> |
//! | Cline | <https://docs.cline.bot/getting-started/config>, for its files below `~/.cline` |
//! | OpenCode | <https://opencode.ai/v2/docs/mcp-servers/>, and `/v1/docs/mcp-servers/` for the older form |
//! | Continue | <https://docs.continue.dev/customize/deep-dives/mcp> |
//! | Goose | <https://block.github.io/goose/docs/guides/config-files> |

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::cli::McpClient;
use crate::paths;

/// Below the home, below the directory where macOS keeps settings, and below a project.
struct Places {
    home: &'static [&'static str],
    macos: &'static [&'static str],
    project: &'static [&'static str],
}

/// Where macOS programs keep their settings, below the home.
const MACOS_SETTINGS: &str = "Library/Application Support";

/// Of VS Code, here and as the far side of a connection.
const VSCODE: [&str; 4] = [
    ".config/Code/User/mcp.json",
    ".config/Code/User/settings.json",
    ".vscode-server/data/User/mcp.json",
    // The form that Copilot reads elsewhere, too.
    ".copilot/mcp-config.json",
];

/// Of Cline, as an extension and by itself.
const CLINE: [&str; 2] = [
    ".config/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json",
    ".cline/data/settings/cline_mcp_settings.json",
];

fn places(client: McpClient) -> Places {
    let (home, macos, project): (&[_], &[_], &[_]) = match client {
        McpClient::ClaudeCode => (
            &[".claude.json", ".claude/settings.json"],
            &[],
            &[".mcp.json"],
        ),
        McpClient::ClaudeDesktop => (
            &[".config/Claude/claude_desktop_config.json"],
            &["Claude/claude_desktop_config.json"],
            &[],
        ),
        McpClient::Cursor => (&[".cursor/mcp.json"], &[], &[".cursor/mcp.json"]),
        McpClient::Vscode => (
            &VSCODE,
            &["Code/User/mcp.json", "Code/User/settings.json"],
            &[".vscode/mcp.json"],
        ),
        McpClient::Codex => (&[".codex/config.toml"], &[], &[".codex/config.toml"]),
        McpClient::Gemini => (&[".gemini/settings.json"], &[], &[".gemini/settings.json"]),
        McpClient::Zed => (&[".config/zed/settings.json"], &[], &[".zed/settings.json"]),
        McpClient::Windsurf => (
            &[
                ".codeium/windsurf/mcp_config.json",
                // Its plugin for JetBrains.
                ".codeium/mcp_config.json",
            ],
            &[],
            &[],
        ),
        McpClient::Jetbrains => (
            &[
                ".junie/mcp/mcp.json",
                ".config/github-copilot/intellij/mcp.json",
            ],
            &[],
            &[".junie/mcp/mcp.json"],
        ),
        McpClient::Cline => (
            &CLINE,
            &["Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json"],
            &[],
        ),
        McpClient::Opencode => (
            &[
                ".config/opencode/opencode.json",
                ".config/opencode/opencode.jsonc",
            ],
            &[],
            &[
                "opencode.json",
                "opencode.jsonc",
                ".opencode/opencode.json",
                ".opencode/opencode.jsonc",
            ],
        ),
        McpClient::Continue => (&[".continue/config.yaml"], &[], &[".continue/config.yaml"]),
        McpClient::Goose => (&[".config/goose/config.yaml"], &[], &[]),
    };
    Places {
        home,
        macos,
        project,
    }
}

/// The files of a client that are there: the user's, and those of the project here.
pub(super) fn files(client: McpClient) -> Result<Vec<PathBuf>> {
    let mut files = candidates(client)?;
    files.retain(|path| path.is_file());
    Ok(files)
}

/// The same, where there must be one.
///
/// # Errors
/// When there is none.
pub(super) fn files_of(client: McpClient) -> Result<Vec<PathBuf>> {
    let files = files(client)?;
    if files.is_empty() {
        let looked: Vec<_> = candidates(client)?
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        bail!(
            "no configuration of that client is here; looked for {}. Name another with --config FILE",
            looked.join(", ")
        );
    }
    Ok(files)
}

fn candidates(client: McpClient) -> Result<Vec<PathBuf>> {
    let (home, here) = (paths::home()?, env::current_dir()?);
    let Places {
        home: own,
        macos,
        project,
    } = places(client);
    let below =
        |root: &Path, files: &[&str]| files.iter().map(|file| root.join(file)).collect::<Vec<_>>();
    let mut files = below(&home, own);
    files.extend(below(&home.join(MACOS_SETTINGS), macos));
    files.extend(below(&here, project));
    files.sort();
    files.dedup();
    Ok(files)
}
