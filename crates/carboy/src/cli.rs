//! The command line.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use crate::canaries::Kind;
use crate::output::Format;

/// Run an AI agent in a sealed bottle: nothing crosses its wall but what the policy allows.
#[derive(Debug, Parser)]
#[command(
    name = "carboy",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit codes: 0 all well, 1 a finding or a refusal, 2 a usage or set-up \
                        error. `carboy run` returns the command's own code."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a command in a bottle
    Run(RunArgs),
    /// Serve the gate alone, as an HTTP and SOCKS proxy for any client
    Proxy(ProxyArgs),
    /// Put the gate between a client and a server of the model context protocol
    #[command(subcommand)]
    Mcp(McpCommand),
    /// List the calls that wait for your leave, and answer them
    Approvals {
        #[command(subcommand)]
        command: Option<ApprovalsCommand>,
    },
    /// Judge a URL or a text without sending it anywhere
    Check(CheckArgs),
    /// Look for credentials and personal data in files, git history and patches
    Scan(ScanArgs),
    /// Validate and print policies
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Verify the records of what was decided
    #[command(subcommand)]
    Receipts(ReceiptsCommand),
    /// Manage the kept certificate authority of `carboy proxy`
    #[command(subcommand)]
    Ca(CaCommand),
    /// Make decoys that tell of a leak when they are seen
    #[command(subcommand)]
    Canary(CanaryCommand),
    /// Open a bottle and try to get out of it
    Selftest(SelftestArgs),
    /// Show an allowed request, two refusals and a caught escape, offline
    Demo(DemoArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page, or write one page a command into a directory
    Man {
        /// The directory to write to
        #[arg(value_hint = ValueHint::DirPath)]
        dir: Option<PathBuf>,
    },
    /// Print the version
    Version,
    /// Play the demo's scenes in the bottle that this runs in
    #[command(name = "__demo", hide = true)]
    DemoScenes {
        /// The URL prefix that the policy allows
        allowed: String,
        /// One that it does not
        denied: String,
        /// An address outside
        direct: SocketAddr,
    },
    /// Try to get out of the bottle that this runs in
    #[command(name = "__probe", hide = true)]
    Probe {
        /// The one attempt to make
        #[arg(long)]
        only: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) policy: PolicyArg,
    #[command(flatten)]
    pub(crate) upstream: UpstreamArgs,
    /// How the command sees the workspace
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    pub(crate) workspace: WorkspaceMode,
    /// The workspace [default: the current directory]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) workspace_dir: Option<PathBuf>,
    /// Give the command a variable: NAME copies it from here, NAME=VALUE sets it (repeatable)
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// Show the command one more path, read-only (repeatable)
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) read_only: Vec<PathBuf>,
    /// Show the command one more path, writable (repeatable)
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) read_write: Vec<PathBuf>,
    /// Plant decoys in the bottle: credentials that nothing honest uses, refused wherever they go
    #[arg(long)]
    pub(crate) canary: bool,
    /// Go on when this machine lacks a layer of confinement, and say what is lost
    #[arg(long)]
    pub(crate) best_effort: bool,
    /// Print the plan and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How to print the plan of --dry-run, and the closing line
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
    /// Print neither refusals nor the closing line
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// The command and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "CMD"
    )]
    #[arg(value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<std::ffi::OsString>,
}

/// How a bottle sees the workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum WorkspaceMode {
    /// Writable; changes are made in place
    #[default]
    Bind,
    /// Writable; changes are kept aside and the workspace stays as it is
    Overlay,
    /// Not there at all
    None,
}

#[derive(Debug, Args)]
pub(crate) struct ProxyArgs {
    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) policy: PolicyArg,
    #[command(flatten)]
    pub(crate) upstream: UpstreamArgs,
    /// Write the public certificate of the proxy's authority to a file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) ca_cert_out: Option<PathBuf>,
    /// Which certificate authority signs: one of this run, or the kept one of `carboy ca init`
    #[arg(long, value_enum, default_value_t, value_name = "WHICH")]
    pub(crate) ca: CaChoice,
    /// Serve HOST as if it were the far end at URL, and nothing else (repeatable)
    #[arg(long, value_name = "HOST=URL")]
    pub(crate) reverse: Vec<String>,
    /// The variable that holds user:password, which clients must give
    #[arg(long, value_name = "VARIABLE", conflicts_with = "reverse")]
    pub(crate) login: Option<String>,
    /// The name that receipts give to the client
    #[arg(long, value_name = "NAME", default_value = "proxy")]
    pub(crate) name: String,
    /// Print no refusals
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum McpCommand {
    /// Run a server and judge each message on its standard input and output
    Wrap(Box<WrapArgs>),
    /// Serve a remote server to clients on this machine, and judge each message between them
    Proxy(Box<McpProxyArgs>),
    /// Speak to a remote server for a client that starts its servers, and judge each message between them
    Connect(Box<McpConnectArgs>),
    /// Show and accept what is kept of servers' tools
    #[command(subcommand)]
    Tools(McpToolsCommand),
    /// Look over the servers that clients on this machine are told to use
    Scan(McpScanArgs),
    /// Have a client reach its servers through `carboy mcp wrap` and `carboy mcp connect`
    Install(McpInstallArgs),
    /// Have a client reach its servers as it did before
    Uninstall(McpClientArgs),
}

#[derive(Debug, Args)]
pub(crate) struct WrapArgs {
    #[command(flatten)]
    pub(crate) policy: PolicyArg,
    /// What the server is called in refusals, receipts and policies, and under which its tools are
    /// kept [default: made from the command]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Give the server a variable: NAME copies it from here, NAME=VALUE sets it (repeatable)
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(crate) env: Vec<String>,
    /// Run the server in a bottle: it reaches the network only through the gate
    #[arg(long)]
    pub(crate) bottle: bool,
    /// How the server sees the workspace
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "HOW",
        requires = "bottle"
    )]
    pub(crate) workspace: WorkspaceMode,
    /// The workspace [default: the current directory]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, requires = "bottle")]
    pub(crate) workspace_dir: Option<PathBuf>,
    /// Show the server one more path, read-only (repeatable)
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath, requires = "bottle")]
    pub(crate) read_only: Vec<PathBuf>,
    /// Show the server one more path, writable (repeatable)
    #[arg(long, value_name = "PATH", value_hint = ValueHint::AnyPath, requires = "bottle")]
    pub(crate) read_write: Vec<PathBuf>,
    /// Go on when this machine lacks a layer of confinement, and say what is lost
    #[arg(long, requires = "bottle")]
    pub(crate) best_effort: bool,
    #[command(flatten)]
    pub(crate) upstream: UpstreamArgs,
    /// Print no refusals
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// The server and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "SERVER"
    )]
    #[arg(value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<std::ffi::OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct McpProxyArgs {
    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: SocketAddr,
    /// The server's URL, as a client would be given it
    #[arg(long = "upstream", value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) remote: String,
    #[command(flatten)]
    pub(crate) far: McpFarArgs,
}

#[derive(Debug, Args)]
pub(crate) struct McpConnectArgs {
    #[command(flatten)]
    pub(crate) far: McpFarArgs,
    /// The server's URL
    #[arg(value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) remote: String,
}

/// How a remote server is spoken to.
#[derive(Debug, Args)]
pub(crate) struct McpFarArgs {
    /// Send the server a header whose value is in a variable, such as authorization=MCP_TOKEN
    /// (repeatable)
    #[arg(long, value_name = "NAME=VARIABLE")]
    pub(crate) header_env: Vec<String>,
    /// Send the server a header whose value is in a file, which is read again when it changes (repeatable)
    #[arg(long, value_name = "NAME=PATH")]
    pub(crate) header_file: Vec<String>,
    /// What the server is called, and under which its tools are kept [default: made from the URL]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) policy: PolicyArg,
    #[command(flatten)]
    pub(crate) upstream: UpstreamArgs,
    /// Print no refusals
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct McpScanArgs {
    /// A configuration file: JSON with or without comments, TOML or YAML (repeatable) [default:
    /// those of all clients that are known, the user's and the project's here]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Vec<PathBuf>,
    /// Start the local servers that are found, each in a bottle, and judge what they say of their tools
    #[arg(long)]
    pub(crate) start: bool,
    #[command(flatten)]
    pub(crate) policy: PolicyArg,
    /// How to print what is found
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct McpInstallArgs {
    #[command(flatten)]
    pub(crate) client: McpClientArgs,
    /// Leave remote servers as they are
    #[arg(long)]
    pub(crate) local_only: bool,
    #[command(flatten)]
    pub(crate) policy: PolicyArg,
}

#[derive(Debug, Args)]
pub(crate) struct McpClientArgs {
    /// The client
    #[arg(value_enum)]
    pub(crate) client: Option<McpClient>,
    /// A configuration file instead of the client's own (repeatable)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Vec<PathBuf>,
    /// Print what would change, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// A client of the model context protocol whose configuration is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum McpClient {
    ClaudeCode,
    ClaudeDesktop,
    Cursor,
    Vscode,
    Codex,
    Gemini,
    Zed,
    Windsurf,
    Jetbrains,
    Cline,
    Opencode,
    /// Its YAML is read, not edited
    Continue,
    /// Its YAML is read, not edited
    Goose,
}

#[derive(Debug, Subcommand)]
pub(crate) enum McpToolsCommand {
    /// Print the tools that are kept, and whether they changed
    List {
        /// A server's name, or its beginning [default: all]
        server: Option<String>,
        /// How to print them
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Print how tools changed since they were accepted
    Diff {
        /// A server's name, or its beginning [default: all]
        server: Option<String>,
        /// How to print it
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Take a server's changed tools for what is right from now on
    Accept {
        /// The server's name, or its beginning
        server: String,
    },
}

/// Which certificate authority signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum CaChoice {
    /// One made at start; its key lives in memory only
    #[default]
    Ephemeral,
    /// The one that `carboy ca init` made
    Kept,
}

#[derive(Debug, Args)]
pub(crate) struct PolicyArg {
    /// A policy file, or a preset: strict, balanced, audit
    #[arg(long, value_name = "FILE|PRESET", value_hint = ValueHint::FilePath)]
    pub(crate) policy: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct UpstreamArgs {
    /// Addresses of names, in /etc/hosts form; they are asked before DNS
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) hosts: Option<PathBuf>,
    /// More authorities that upstream certificates may be signed by, in PEM
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) upstream_ca: Option<PathBuf>,
    /// The proxy that all connections go through: http://HOST:PORT or https://HOST:PORT
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(crate) upstream_proxy: Option<String>,
    /// The variable that holds user:password for the upstream proxy
    #[arg(long, value_name = "VARIABLE", requires = "upstream_proxy")]
    pub(crate) upstream_proxy_login: Option<String>,
    /// Names, addresses and networks that are reached without the upstream proxy (repeatable)
    #[arg(
        long,
        value_name = "RULE",
        value_delimiter = ',',
        requires = "upstream_proxy"
    )]
    pub(crate) no_proxy: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) what: CheckWhat,
    /// Judge as content that comes in, not as content that goes out
    #[arg(long)]
    pub(crate) inbound: bool,
    #[command(flatten)]
    pub(crate) policy: PolicyArg,
    /// How to print the verdict
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct CheckWhat {
    /// A URL, or - for a text on standard input
    #[arg(value_name = "URL|-")]
    pub(crate) url: Option<String>,
    /// A text, judged as a body
    #[arg(long)]
    pub(crate) text: Option<String>,
    /// A file, judged as a body
    #[arg(long, value_hint = ValueHint::FilePath)]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ScanArgs {
    /// Files and directories, or - for standard input; with --git and --staged, what to look at in
    /// the repository [default: the current directory, or all of the repository]
    #[arg(value_name = "PATH", value_hint = ValueHint::AnyPath)]
    pub(crate) paths: Vec<PathBuf>,
    /// Scan what each commit of a range adds, such as main..HEAD; --all takes every commit
    #[arg(long, value_name = "RANGE", allow_hyphen_values = true, group = "what")]
    pub(crate) git: Option<String>,
    /// Scan what is staged for the next commit
    #[arg(long, group = "what")]
    pub(crate) staged: bool,
    /// Scan what a unified diff adds; - reads it from standard input
    #[arg(long, value_name = "FILE|-", value_hint = ValueHint::FilePath, group = "what")]
    pub(crate) diff: Option<PathBuf>,
    /// The repository of --git, --staged and --install-hook
    #[arg(long, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) repo: PathBuf,
    /// What to look for (repeatable) [default: secret, personal]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "CLASS")]
    pub(crate) class: Vec<ScanClass>,
    /// The least severity for which the scan fails
    #[arg(long, value_enum, default_value_t, value_name = "SEVERITY")]
    pub(crate) fail_on: FailOn,
    /// Leave out what a pattern in the form of .gitignore matches (repeatable)
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
    /// Scan also what .gitignore and .ignore files name
    #[arg(long)]
    pub(crate) no_ignore: bool,
    /// Do not fail for the findings that this file has
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) baseline: Option<PathBuf>,
    /// Write all findings to a file for --baseline, and do not fail
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) write_baseline: Option<PathBuf>,
    /// How many threads scan [default: as many as there are cores]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) threads: Option<NonZeroUsize>,
    /// How to print the findings
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: ScanFormat,
    /// Install a git hook that scans each commit before it is made, and scan nothing
    #[arg(long, conflicts_with_all = ["paths", "what", "baseline", "write_baseline"])]
    pub(crate) install_hook: bool,
    /// Replace another pre-commit hook
    #[arg(long, requires = "install_hook")]
    pub(crate) force: bool,
}

/// A class of findings that files can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ScanClass {
    /// Credentials and keys
    Secret,
    /// Card numbers, IBANs, social security numbers
    Personal,
    /// Instructions aimed at an agent that reads the files
    Injection,
}

/// The least severity for which a scan fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum FailOn {
    /// Also what is worth a record only, such as published example keys
    Low,
    /// What is worth a look
    Medium,
    /// Leaks and attacks
    #[default]
    High,
    /// Leaks that give away much
    Critical,
    /// Nothing: all findings are printed
    Never,
}

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ScanFormat {
    /// A line for each finding that fails
    #[default]
    Text,
    /// One JSON document
    Json,
    /// SARIF 2.1.0, for code scanning services
    Sarif,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Say whether a policy is valid
    Check {
        /// A policy file, or a preset
        #[arg(value_name = "FILE|PRESET", value_hint = ValueHint::FilePath)]
        policy: Option<String>,
        /// How to print the answer
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Print the effective policy, defaults included
    Show {
        /// A policy file, or a preset
        #[arg(value_name = "FILE|PRESET", value_hint = ValueHint::FilePath)]
        policy: Option<String>,
        /// How to print the policy; text is YAML
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Print the JSON Schema of policy files
    Schema,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalsCommand {
    /// Print what waits, the oldest first; this is what happens without a command
    List {
        /// How to print it
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Let a call pass
    Allow {
        /// Which, as the list names it
        id: String,
    },
    /// Refuse a call
    Deny {
        /// Which, as the list names it
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReceiptsCommand {
    /// Print this installation's public key, for whoever verifies elsewhere
    Key,
    /// Check every line, the chain and the signatures of a receipts file, or that a directory of
    /// them is whole
    Verify {
        /// The receipts, or their directory [default: the newest file in the state directory]
        #[arg(value_name = "FILE|DIR", value_hint = ValueHint::AnyPath)]
        file: Option<PathBuf>,
        /// The public key, as hexadecimal digits or a file [default: this installation's]
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
        /// Accept a file that is still being written, or whose writer was killed
        #[arg(long)]
        allow_open: bool,
        /// How to print the answer
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CaCommand {
    /// Make the kept authority
    Init {
        /// Replace the one that is there
        #[arg(long)]
        force: bool,
    },
    /// Print where the kept authority is, its fingerprint and its dates
    Show {
        /// How to print it
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
    /// Put its certificate into this system's trust store (Debian's layout; needs root)
    Install {
        /// Say what would be done and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Print its public certificate in PEM, or write it to a file
    Export {
        /// The file to write
        #[arg(value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum CanaryCommand {
    /// Make decoys and remember them: from now on they are refused wherever they turn up
    New {
        /// What it looks like (repeatable)
        #[arg(long, value_enum, value_name = "KIND", default_value = "aws")]
        kind: Vec<Kind>,
        /// Write them to a new file, not to standard output
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        out: Option<PathBuf>,
        /// How to print them; text is NAME=value lines
        #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
        format: Format,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SelftestArgs {
    /// Go on when this machine lacks a layer of confinement
    #[arg(long)]
    pub(crate) best_effort: bool,
    /// How to print the results
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Go on when this machine lacks a layer of confinement
    #[arg(long)]
    pub(crate) best_effort: bool,
    /// How to print what was seen
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) format: Format,
}
