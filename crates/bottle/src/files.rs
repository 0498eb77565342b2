//! The bottle's file system: the system's programs, the private places, the shown tools.

use std::path::{Path, PathBuf};

use carboy_sandbox::{Mount, Replaced};

use crate::environment::{CA_BUNDLE, CA_DIR, JAVA_TRUST_STORE};
use crate::host::SECRETS;
use crate::{Error, HostFacts, Spec, Starters, trust};

/// Where resolvers are told to ask. Any address would do, since every query is redirected; this
/// one is from TEST-NET-1 (RFC 5737), so that it belongs to nobody.
const RESOLVER: &str = "192.0.2.53";

/// Device nodes that every program expects.
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

/// Links that every program expects in `/dev`.
const DEVICE_LINKS: &[(&str, &str)] = &[
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Directories that programs expect to be there, empty.
const EMPTY: &[&str] = &[
    "/var/lib",
    "/var/cache",
    "/var/log",
    "/var/spool",
    "/mnt",
    "/srv",
    "/home",
];

/// Sticky and writable by all, as temporary directories are.
const SHARED: u32 = 0o1777;

/// Nobody else's business.
const PRIVATE: u32 = 0o700;

/// The system's programs and settings, read-only.
pub(crate) fn system(spec: &Spec, host: &HostFacts) -> Vec<Mount> {
    let links = host.root_links.iter().map(|(target, text)| Mount::Symlink {
        target: target.clone(),
        text: text.clone(),
    });
    let shown = host
        .system_dirs
        .iter()
        .chain(&host.optional_dirs)
        .chain(&host.hardware_dirs);
    let mut mounts: Vec<Mount> = links.chain(shown.map(|dir| read_only(dir))).collect();
    mounts.push(settings(spec, host));
    mounts.extend(host.private_usr.iter().map(|(dir, hidden)| Mount::Layered {
        directory: dir.clone(),
        replaced: Vec::new(),
        links: Vec::new(),
        hidden: hidden.clone(),
    }));
    mounts
}

fn read_only(path: &Path) -> Mount {
    bind(path, false)
}

fn bind(path: &Path, writable: bool) -> Mount {
    Mount::Bind {
        source: path.into(),
        target: path.into(),
        writable,
        devices: false,
    }
}

/// `/etc`, with the bottle's own answers to who, where and whom to trust.
fn settings(spec: &Spec, host: &HostFacts) -> Mount {
    let name = &spec.name;
    let file = |path: &str, text: String| Replaced {
        path: path.into(),
        contents: text.into(),
    };
    let to = |target: &'static str| move |path: &PathBuf| (path.clone(), PathBuf::from(target));
    let links = host.bundles.iter().map(to(CA_BUNDLE));
    Mount::Layered {
        directory: "/etc".into(),
        replaced: vec![
            file("hostname", format!("{name}\n")),
            file(
                "hosts",
                format!("127.0.0.1 localhost {name}\n::1 localhost ip6-localhost {name}\n"),
            ),
            file("resolv.conf", format!("nameserver {RESOLVER}\n")),
        ],
        links: links
            .chain(host.java_stores.iter().map(to(JAVA_TRUST_STORE)))
            .collect(),
        hidden: host.private_etc.clone(),
    }
}

/// What is the bottle's own, and gone with it.
pub(crate) fn private(spec: &Spec, host: &HostFacts) -> Vec<Mount> {
    let tmpfs = |target: &Path, mode| Mount::Tmpfs {
        target: target.into(),
        mode,
    };
    let mut mounts = vec![
        tmpfs(Path::new("/tmp"), SHARED),
        tmpfs(Path::new("/run"), 0o755),
        tmpfs(Path::new("/var/tmp"), SHARED),
        link("/var/run", "/run"),
        Mount::Proc {
            target: "/proc".into(),
        },
    ];
    let is_link = |dir: &Path| host.root_links.iter().any(|(link, _)| link == dir);
    let empty = EMPTY.iter().map(PathBuf::from).filter(|dir| !is_link(dir));
    mounts.extend(empty.map(|target| Mount::Directory {
        target,
        mode: 0o755,
    }));
    mounts.extend(devices());
    mounts.push(tmpfs(&host.home, PRIVATE));
    mounts.extend(certificates(spec, host));
    mounts
}

fn link(target: &str, text: &str) -> Mount {
    Mount::Symlink {
        target: target.into(),
        text: text.into(),
    }
}

fn devices() -> Vec<Mount> {
    let nodes = DEVICES.iter().map(|name| {
        let path = Path::new("/dev").join(name);
        Mount::Bind {
            source: path.clone(),
            target: path,
            writable: true,
            devices: true,
        }
    });
    let links = DEVICE_LINKS
        .iter()
        .map(|(name, text)| link(&format!("/dev/{name}"), text));
    let mut mounts: Vec<Mount> = nodes.chain(links).collect();
    mounts.push(Mount::Devpts {
        target: "/dev/pts".into(),
    });
    mounts.push(Mount::Tmpfs {
        target: "/dev/shm".into(),
        mode: SHARED,
    });
    mounts
}

fn certificates(spec: &Spec, host: &HostFacts) -> [Mount; 3] {
    let bundle = trust::bundle(&host.system_roots_pem, &spec.ca_certificate_pem);
    let file = |target: PathBuf, contents| Mount::File {
        target,
        contents,
        mode: 0o444,
    };
    [
        file(JAVA_TRUST_STORE.into(), trust::java_store(&bundle)),
        file(CA_BUNDLE.into(), bundle),
        file(
            Path::new(CA_DIR).join("carboy-ca.pem"),
            spec.ca_certificate_pem.clone(),
        ),
    ]
}

/// Tools that `PATH` needs, and what the user asked to see.
pub(crate) fn shown(spec: &Spec, host: &HostFacts) -> Result<Vec<Mount>, Error> {
    let mut mounts: Vec<Mount> = host.tools.iter().map(|path| read_only(path)).collect();
    mounts.extend(host.starters.iter().map(own_starters));
    mounts.extend(search_links(host));
    for path in &spec.read_only {
        check_shown(path, spec)?;
        mounts.push(bind(path, false));
    }
    for path in &spec.read_write {
        check_shown(path, spec)?;
        mounts.push(bind(path, true));
    }
    Ok(mounts)
}

/// A copy of a toolchain's starters, for its manager to write to: the host's own are never changed.
fn own_starters(starters: &Starters) -> Mount {
    let files = starters.scripts.iter().map(|(name, text)| Replaced {
        path: name.into(),
        contents: text.clone(),
    });
    Mount::Copy {
        target: starters.dir.clone(),
        files: files.collect(),
    }
}

/// Directories of `PATH` that are links outside what is shown under their own names.
fn search_links(host: &HostFacts) -> Vec<Mount> {
    let visible = |dir: &Path| {
        let system = host
            .system_dirs
            .iter()
            .chain(&host.tools)
            .any(|shown| dir.starts_with(shown));
        system
            || host
                .root_links
                .iter()
                .any(|(link, _)| dir.starts_with(link))
    };
    let mut links: Vec<Mount> = Vec::new();
    for dir in &host.search {
        let mount = Mount::Symlink {
            target: dir.dir.clone(),
            text: dir.real.clone(),
        };
        if dir.dir != dir.real && !visible(&dir.dir) && !links.contains(&mount) {
            links.push(mount);
        }
    }
    links
}

fn check_shown(path: &Path, spec: &Spec) -> Result<(), Error> {
    let refuse = |reason| {
        Err(Error::Path {
            path: path.into(),
            reason,
        })
    };
    if !path.is_absolute() {
        refuse("it is not an absolute path")
    } else if spec.state_dir.starts_with(path) || path.starts_with(&spec.state_dir) {
        refuse("it holds carboy's own state, or lies in it")
    } else if ["/proc", "/sys", "/dev", "/run"]
        .iter()
        .any(|place| path.starts_with(place))
    {
        refuse("the bottle has its own")
    } else {
        Ok(())
    }
}

/// Whether `path` is a place of credentials in `home`, or lies in one.
pub(crate) fn is_secret(path: &Path, home: &Path) -> bool {
    path.strip_prefix(home)
        .is_ok_and(|below| SECRETS.iter().any(|secret| below.starts_with(secret)))
}
