//! The command's environment: a short allowlist, the gate, the trust store, and what was asked.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::str::FromStr;

use crate::Error;

/// The explicit proxy, as the command sees it.
pub const PROXY_URL: &str = "http://127.0.0.1:3128";

/// The system's certificates and the bottle's own, as the command sees them.
pub const CA_BUNDLE: &str = "/run/carboy/ca-bundle.pem";

/// A directory that holds the bottle's own certificate.
pub(crate) const CA_DIR: &str = "/run/carboy/certs";

/// The same certificates as [`CA_BUNDLE`], in the form that Java reads.
pub(crate) const JAVA_TRUST_STORE: &str = "/run/carboy/cacerts.jks";

/// What is passed on from the host when it is set there: names that say where programs are, who
/// and where the user is, and what the terminal can do, none of which is a credential.
const PASSED: &[&str] = &[
    "PATH",
    "HOME",
    "TERM",
    "COLORTERM",
    "LANG",
    "LANGUAGE",
    "TZ",
    "USER",
    "LOGNAME",
    "SHELL",
    "NO_COLOR",
    "FORCE_COLOR",
    "EDITOR",
    "PAGER",
];

/// Where programs are looked for when the host sets no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const PROXY_NAMES: &[&str] = &[
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
];

/// Every variable by which a common client is told of a certificate bundle.
const BUNDLE_NAMES: &[&str] = &[
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
    "PIP_CERT",
    "CARGO_HTTP_CAINFO",
    "AWS_CA_BUNDLE",
    "DENO_CERT",
    "CODEX_CA_CERTIFICATE",
    "NIX_SSL_CERT_FILE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "HEX_CACERTS_PATH",
    "BUNDLE_SSL_CA_CERT",
    "NPM_CONFIG_CAFILE",
];

/// Own loopback is the only place that is reached without the gate.
const NO_PROXY: &str = "localhost,127.0.0.1,::1";

/// One `--env` request: `NAME=VALUE`, or `NAME` to pass on the host's value.
#[derive(Clone, PartialEq, Eq)]
pub struct Variable {
    name: String,
    value: Option<String>,
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Variable")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl FromStr for Variable {
    type Err = Error;

    fn from_str(text: &str) -> Result<Variable, Error> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let first_ok = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !first_ok || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            // The text after `=` may be a secret, so only the name is repeated.
            return Err(Error::Variable(name.to_owned()));
        }
        Ok(Variable {
            name: name.to_owned(),
            value,
        })
    }
}

/// The command's environment, from the host's and what was asked for.
///
/// # Errors
/// [`Error::Unset`] when a variable is asked for by name and `host` has none.
pub fn environment(
    host: &BTreeMap<OsString, OsString>,
    asked: &[Variable],
) -> Result<BTreeMap<OsString, OsString>, Error> {
    let mut env = passed(host);
    env.extend(gate().map(|(name, value)| (name.into(), value.into())));
    add_asked(&mut env, host, asked)?;
    Ok(env)
}

/// The environment of a command outside a bottle: what is passed on, where temporary files go, and
/// what was asked for.
///
/// # Errors
/// As [`environment`].
pub fn plain_environment(
    host: &BTreeMap<OsString, OsString>,
    asked: &[Variable],
) -> Result<BTreeMap<OsString, OsString>, Error> {
    let mut env = passed(host);
    let place = OsStr::new("TMPDIR");
    env.extend(host.get(place).map(|dir| (place.to_owned(), dir.clone())));
    add_asked(&mut env, host, asked)?;
    Ok(env)
}

fn add_asked(
    env: &mut BTreeMap<OsString, OsString>,
    host: &BTreeMap<OsString, OsString>,
    asked: &[Variable],
) -> Result<(), Error> {
    for variable in asked {
        let value = match &variable.value {
            Some(value) => OsString::from(value),
            None => host
                .get(OsStr::new(&variable.name))
                .cloned()
                .ok_or_else(|| Error::Unset(variable.name.clone()))?,
        };
        env.insert(variable.name.clone().into(), value);
    }
    Ok(())
}

fn passed(host: &BTreeMap<OsString, OsString>) -> BTreeMap<OsString, OsString> {
    let mut env: BTreeMap<OsString, OsString> = host
        .iter()
        .filter(|(name, _)| {
            name.to_str()
                .is_some_and(|name| PASSED.contains(&name) || name.starts_with("LC_"))
        })
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    env.entry("PATH".into())
        .or_insert_with(|| DEFAULT_PATH.into());
    env
}

fn gate() -> impl Iterator<Item = (&'static str, String)> {
    let proxies = PROXY_NAMES.iter().map(|name| (*name, PROXY_URL.to_owned()));
    let bundles = BUNDLE_NAMES
        .iter()
        .map(|name| (*name, CA_BUNDLE.to_owned()));
    let others = [
        ("NO_PROXY", NO_PROXY.to_owned()),
        ("no_proxy", NO_PROXY.to_owned()),
        ("SSL_CERT_DIR", CA_DIR.to_owned()),
        ("JAVA_TOOL_OPTIONS", java_options()),
        // Node's own fetch reads the proxy variables only when told to.
        ("NODE_USE_ENV_PROXY", "1".to_owned()),
        ("CARBOY_BOTTLE", "1".to_owned()),
    ];
    proxies.chain(bundles).chain(others)
}

/// Java reads neither the proxy variables nor PEM bundles.
fn java_options() -> String {
    format!("-Djavax.net.ssl.trustStore={JAVA_TRUST_STORE} -Djavax.net.ssl.trustStoreType=jks")
}
