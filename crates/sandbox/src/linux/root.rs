//! The private file system: every mount is made detached, attached to a new root, and the old
//! root is let go.

use std::ffi::{CStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags,
};

use super::sys;
use crate::{Error, Layer, Mount, Replaced};

// `linux/mount.h`, for mount_setattr(2).
const READ_ONLY: u64 = 1;
const NO_SUID: u64 = 2;
const NO_DEV: u64 = 4;

/// Where the new root is put before it becomes the root; any directory that every system has.
const BASES: &[&str] = &["/tmp", "/run", "/mnt", "/usr"];

/// Entries of a process file system that everyone may read and that tell of other users.
const PROC_HIDDEN: &[&str] = &["keys", "key-users"];

type Result<T> = std::result::Result<T, Error>;

/// Builds the new root and moves into it.
pub(super) fn enter(mounts: &[Mount]) -> Result<()> {
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::REC | MountPropagationFlags::PRIVATE,
    )
    .map_err(|cause| refused("make the mounts private", cause))?;
    // Sources are opened first: the new root may come to lie over one of them.
    let prepared = mounts.iter().map(prepare).collect::<Result<Vec<_>>>()?;
    let root = attach_root()?;
    for (mount, tree) in mounts.iter().zip(prepared) {
        place(root.as_fd(), mount, tree)?;
    }
    sys::set_mount_attributes(root.as_fd(), READ_ONLY | NO_SUID | NO_DEV, false)
        .map_err(|cause| failed("make the root read-only", &cause))?;
    change_root(root)
}

fn failed(step: impl Into<String>, cause: &io::Error) -> Error {
    let error = Error::os(Layer::Files, step, cause);
    match cause.raw_os_error() {
        Some(libc::ENOSYS) => error.remedy("the native bottle needs Linux 5.13 or newer"),
        _ => error,
    }
}

fn refused(step: impl Into<String>, cause: rustix::io::Errno) -> Error {
    failed(step, &cause.into())
}

fn change_root(root: OwnedFd) -> Result<()> {
    rustix::process::fchdir(&root).map_err(|cause| refused("enter the new root", cause))?;
    rustix::process::pivot_root(".", ".").map_err(|cause| refused("change the root", cause))?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)
        .map_err(|cause| refused("let go of the old root", cause))?;
    rustix::process::chdir("/").map_err(|cause| refused("enter the new root", cause))
}

/// What can be opened before the new root exists.
fn prepare(mount: &Mount) -> Result<Option<OwnedFd>> {
    match mount {
        Mount::Bind {
            source,
            writable,
            devices,
            ..
        } => bind(source, *writable, *devices).map(Some),
        Mount::Overlay {
            lower, upper, work, ..
        } => overlay(lower, upper, work).map(Some),
        Mount::Tmpfs { mode, .. } => tmpfs(*mode).map(Some),
        Mount::Copy { .. } => tmpfs(COPY_MODE).map(Some),
        Mount::Proc { .. } => process_files().map(Some),
        Mount::Devpts { .. } => terminals().map(Some),
        Mount::Directory { .. }
        | Mount::Symlink { .. }
        | Mount::File { .. }
        | Mount::Layered { .. } => Ok(None),
    }
}

fn bind(source: &Path, writable: bool, devices: bool) -> Result<OwnedFd> {
    let show = |cause: io::Error| failed(format!("show {}", source.display()), &cause);
    let tree = clone_tree(CWD, source).map_err(|cause| show(cause.into()))?;
    let mut attributes = NO_SUID;
    if !writable {
        attributes |= READ_ONLY;
    }
    if !devices {
        attributes |= NO_DEV;
    }
    sys::set_mount_attributes(tree.as_fd(), attributes, true).map_err(show)?;
    Ok(tree)
}

fn clone_tree(at: BorrowedFd<'_>, path: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    rustix::mount::open_tree(at, path, flags)
}

/// Makes a file system of its own kind from `options`.
fn new_mount(kind: &str, options: &[(&str, Option<&[u8]>)]) -> rustix::io::Result<OwnedFd> {
    let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        match value {
            Some(value) => rustix::mount::fsconfig_set_string(&context, *key, *value)?,
            None => rustix::mount::fsconfig_set_flag(&context, *key)?,
        }
    }
    rustix::mount::fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

fn tmpfs(mode: u32) -> Result<OwnedFd> {
    tmpfs_tree(mode).map_err(|cause| failed("make a private directory in memory", &cause))
}

fn tmpfs_tree(mode: u32) -> io::Result<OwnedFd> {
    let mode = format!("{mode:o}");
    let tree = new_mount("tmpfs", &[("mode", Some(mode.as_bytes()))])?;
    sys::set_mount_attributes(tree.as_fd(), NO_DEV, false)?;
    Ok(tree)
}

fn terminals() -> Result<OwnedFd> {
    new_mount(
        "devpts",
        &[("mode", Some(b"0620")), ("ptmxmode", Some(b"0666"))],
    )
    .map_err(|cause| Error::os(Layer::Terminal, "make private terminals", &cause.into()))
}

fn process_files() -> Result<OwnedFd> {
    new_mount("proc", &[]).map_err(|cause| {
        Error::os(
            Layer::Proc,
            "show the bottle's own processes",
            &cause.into(),
        )
        .remedy(
            "the kernel allows this only where /proc is whole; inside a container, start it with \
             an unmasked /proc (docker: `--security-opt systempaths=unconfined`)",
        )
    })
}

fn overlay(lower: &Path, upper: &Path, work: &Path) -> Result<OwnedFd> {
    let [lower, upper, work] = [lower, upper, work].map(layer_name);
    let options = [
        ("lowerdir", Some(lower.as_slice())),
        ("upperdir", Some(upper.as_slice())),
        ("workdir", Some(work.as_slice())),
        ("userxattr", None),
    ];
    let tree = new_mount("overlay", &options).map_err(|cause| {
        Error::os(
            Layer::Overlay,
            "lay the workspace's changes aside",
            &cause.into(),
        )
        .remedy(
            "overlays need a state directory on a file system with user attributes that is not \
             an overlay itself (ext4, xfs, btrfs); or use `--workspace bind`",
        )
    })?;
    sys::set_mount_attributes(tree.as_fd(), NO_DEV, false)
        .map_err(|cause| failed("lay the workspace's changes aside", &cause))?;
    Ok(tree)
}

/// A path as overlayfs reads it, where `:` parts layers and `\` escapes.
pub(super) fn layer_name(path: &Path) -> Vec<u8> {
    let mut name = Vec::new();
    for byte in path.as_os_str().as_bytes() {
        if matches!(byte, b':' | b'\\') {
            name.push(b'\\');
        }
        name.push(*byte);
    }
    name
}

fn attach_root() -> Result<OwnedFd> {
    let base = BASES
        .iter()
        .find(|base| std::fs::symlink_metadata(base).is_ok_and(|found| found.is_dir()))
        .ok_or_else(|| Error::new(Layer::Files, "find a directory to build the new root on"))?;
    let root = tmpfs(0o755)?;
    attach(root.as_fd(), CWD, Path::new(base))
        .map_err(|cause| refused("attach the new root", cause))?;
    Ok(root)
}

fn attach(tree: BorrowedFd<'_>, at: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<()> {
    let mut flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    if path.as_os_str().is_empty() {
        flags |= MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    }
    rustix::mount::move_mount(tree, "", at, path, flags)
}

fn place(root: BorrowedFd<'_>, mount: &Mount, tree: Option<OwnedFd>) -> Result<()> {
    let at = |target: &Path| format!("place {}", target.display());
    match mount {
        Mount::Directory { target, mode } => make_directory(root, target)
            .and_then(|made| Ok(rustix::fs::chmodat(made, ".", mode_of(*mode), no_flags())?))
            .map_err(|cause| failed(at(target), &cause)),
        Mount::Symlink { target, text } => {
            link(root, target, text).map_err(|cause| failed(at(target), &cause))
        }
        Mount::File {
            target,
            contents,
            mode,
        } => write_file(root, target, contents, *mode).map_err(|cause| failed(at(target), &cause)),
        Mount::Layered {
            directory,
            replaced,
            links,
            hidden,
        } => stage(root, replaced, links, hidden)
            .and_then(|staging| layer(root, directory, &staging))
            .map_err(|cause| failed(format!("layer {}", directory.display()), &cause)),
        Mount::Bind { target, .. }
        | Mount::Overlay { target, .. }
        | Mount::Tmpfs { target, .. }
        | Mount::Copy { target, .. }
        | Mount::Proc { target }
        | Mount::Devpts { target } => {
            let Some(tree) = tree else { return Ok(()) };
            put(root, target, tree.as_fd()).map_err(|cause| failed(at(target), &cause))?;
            match mount {
                Mount::Proc { .. } => protect_proc(root, target),
                Mount::Copy { files, .. } => fill(tree.as_fd(), files)
                    .map_err(|cause| failed(format!("fill {}", target.display()), &cause)),
                Mount::Bind { .. }
                | Mount::Overlay { .. }
                | Mount::Tmpfs { .. }
                | Mount::Devpts { .. }
                | Mount::Directory { .. }
                | Mount::Symlink { .. }
                | Mount::File { .. }
                | Mount::Layered { .. } => Ok(()),
            }
        }
    }
}

fn no_flags() -> rustix::fs::AtFlags {
    rustix::fs::AtFlags::empty()
}

fn mode_of(bits: u32) -> Mode {
    Mode::from_raw_mode(bits)
}

/// Attaches a tree at `target`, which is made if it is missing.
fn put(root: BorrowedFd<'_>, target: &Path, tree: BorrowedFd<'_>) -> io::Result<()> {
    let kind = FileType::from_raw_mode(rustix::fs::fstat(tree)?.st_mode);
    let point = if kind == FileType::Directory {
        make_directory(root, target)?
    } else {
        make_file(root, target)?
    };
    Ok(attach(tree, point.as_fd(), Path::new(""))?)
}

/// Opens `path` as if `root` were the root, whatever symbolic links say.
fn open_in(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let path = relative(path);
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    Ok(rustix::fs::openat2(
        root,
        path,
        flags | OFlags::CLOEXEC,
        Mode::empty(),
        resolve,
    )?)
}

fn relative(path: &Path) -> PathBuf {
    let inner: PathBuf = path
        .components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect();
    if inner.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        inner
    }
}

fn make_directory(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY;
    match open_in(root, path, flags) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    let (parent, name) = split(root, path)?;
    rustix::fs::mkdirat(&parent, &name, mode_of(0o755))?;
    open_in(root, path, flags)
}

fn make_file(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    match open_in(root, path, OFlags::PATH) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    write_file(root, path, b"", 0o644)?;
    open_in(root, path, OFlags::PATH)
}

/// The opened parent directory of `path`, made if missing, and the last name.
fn split(root: BorrowedFd<'_>, path: &Path) -> io::Result<(OwnedFd, OsString)> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
    let parent = path.parent().unwrap_or(Path::new("/"));
    Ok((make_directory(root, parent)?, name.to_owned()))
}

fn write_file(root: BorrowedFd<'_>, path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let (parent, name) = split(root, path)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(parent, name, flags, mode_of(mode))?;
    File::from(file).write_all(contents)
}

fn fill(directory: BorrowedFd<'_>, files: &[Replaced]) -> io::Result<()> {
    files
        .iter()
        .try_for_each(|file| write_file(directory, &file.path, &file.contents, COPY_MODE))
}

fn link(root: BorrowedFd<'_>, path: &Path, text: &Path) -> io::Result<()> {
    let (parent, name) = split(root, path)?;
    Ok(rustix::fs::symlinkat(text, parent, name)?)
}

/// The mode of a copied directory, and of what is in it.
const COPY_MODE: u32 = 0o755;

/// Where a layer is attached while it is put together.
const STAGING: &str = ".layer";

/// Makes a private directory with what replaces or hides a host directory's entries.
///
/// A character device 0/0 is an overlay's mark for "not there"
/// (`Documentation/filesystems/overlayfs.rst`).
fn stage(
    root: BorrowedFd<'_>,
    replaced: &[Replaced],
    links: &[(PathBuf, PathBuf)],
    hidden: &[PathBuf],
) -> io::Result<OwnedFd> {
    let private = tmpfs_tree(0o755)?;
    put(root, Path::new(STAGING), private.as_fd())?;
    for file in replaced {
        write_file(private.as_fd(), &file.path, &file.contents, 0o644)?;
    }
    for (path, text) in links {
        link(private.as_fd(), path, text)?;
    }
    for path in hidden {
        hide(private.as_fd(), path)?;
    }
    Ok(private)
}

/// Puts a read-only view of `directory` with `staging` on top of it.
fn layer(root: BorrowedFd<'_>, directory: &Path, staging: &OwnedFd) -> io::Result<()> {
    let lower = [descriptor_path(staging), layer_name(directory)].join(&b':');
    let options = [("lowerdir", Some(lower.as_slice())), ("userxattr", None)];
    let tree = new_mount("overlay", &options)?;
    sys::set_mount_attributes(tree.as_fd(), READ_ONLY | NO_SUID | NO_DEV, false)?;
    put(root, directory, tree.as_fd())?;
    rustix::process::fchdir(root)?;
    rustix::mount::unmount(STAGING, UnmountFlags::DETACH)?;
    Ok(rustix::fs::unlinkat(
        root,
        STAGING,
        rustix::fs::AtFlags::REMOVEDIR,
    )?)
}

fn descriptor_path(fd: &OwnedFd) -> Vec<u8> {
    use std::os::fd::AsRawFd;
    OsString::from(format!("/proc/self/fd/{}", fd.as_raw_fd())).into_vec()
}

fn hide(layer: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let (parent, name) = split(layer, path)?;
    match rustix::fs::mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
        Err(cause) => Err(cause.into()),
    }
}

/// Covers what acts on, or tells of, the whole machine. Needed because root's bottle is, to the
/// kernel, the machine's root without capabilities, and many of these check only the owner.
fn protect_proc(root: BorrowedFd<'_>, target: &Path) -> Result<()> {
    let failed = |cause: io::Error| Error::os(Layer::Proc, "protect the kernel's controls", &cause);
    let covers = || -> io::Result<()> {
        let proc_root = open_in(root, target, OFlags::RDONLY | OFlags::DIRECTORY)?;
        for entry in rustix::fs::Dir::read_from(&proc_root)? {
            let name = entry?.file_name().to_owned();
            let point = open_entry(proc_root.as_fd(), &name)?;
            match proc_cover(&name, point.as_fd())? {
                ProcCover::None => {}
                ProcCover::ReadOnly => cover(&point, clone_tree(proc_root.as_fd(), &name)?)?,
                ProcCover::Hidden => cover(&point, clone_tree(CWD, c"/dev/null")?)?,
            }
        }
        Ok(())
    };
    covers().map_err(failed)
}

fn open_entry(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(directory, name, flags, Mode::empty())?)
}

/// What is done to one entry of a process file system's root.
enum ProcCover {
    None,
    ReadOnly,
    Hidden,
}

/// Processes are the bottle's own. Of the rest, directories and what can be written become
/// read-only, and what not everyone may read is hidden, as it is from an ordinary user.
fn proc_cover(name: &CStr, entry: BorrowedFd<'_>) -> io::Result<ProcCover> {
    let name = name.to_bytes();
    let mode = rustix::fs::fstat(entry)?.st_mode;
    let bits = Mode::from_raw_mode(mode);
    let any_write = Mode::WUSR | Mode::WGRP | Mode::WOTH;
    Ok(match FileType::from_raw_mode(mode) {
        _ if name
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'.') =>
        {
            ProcCover::None
        }
        FileType::Directory => ProcCover::ReadOnly,
        FileType::RegularFile if PROC_HIDDEN.iter().any(|hidden| hidden.as_bytes() == name) => {
            ProcCover::Hidden
        }
        FileType::RegularFile if !bits.contains(Mode::ROTH) => ProcCover::Hidden,
        FileType::RegularFile if bits.intersects(any_write) => ProcCover::ReadOnly,
        _ => ProcCover::None,
    })
}

fn cover(point: &OwnedFd, tree: OwnedFd) -> io::Result<()> {
    sys::set_mount_attributes(tree.as_fd(), READ_ONLY | NO_SUID, true)?;
    Ok(attach(tree.as_fd(), point.as_fd(), Path::new(""))?)
}
