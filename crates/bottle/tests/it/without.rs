//! A kernel that lacks something: refuses some system calls, then becomes this executable again.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::process::Command;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// `without FEATURE ARGUMENTS...`
pub(crate) fn main(arguments: &[String]) {
    let (number, rules, errno) = match arguments[0].as_str() {
        "landlock" => (libc::SYS_landlock_create_ruleset, Vec::new(), libc::ENOSYS),
        "netfilter" => (libc::SYS_socket, vec![netfilter()], libc::EPROTONOSUPPORT),
        "mount-attributes" => (libc::SYS_mount_setattr, Vec::new(), libc::ENOSYS),
        other => panic!("what is {other}?"),
    };
    let filter = SeccompFilter::new(
        BTreeMap::from([(number, rules)]),
        SeccompAction::Allow,
        SeccompAction::Errno(errno as u32),
        TargetArch::try_from(std::env::consts::ARCH).expect("a table"),
    );
    let program = BpfProgram::try_from(filter.expect("a filter")).expect("a program");
    seccompiler::apply_filter(&program).expect("a filter");
    let executable = std::env::current_exe().expect("a name");
    panic!("{}", Command::new(executable).args(&arguments[1..]).exec());
}

fn netfilter() -> SeccompRule {
    let is = |argument, value: libc::c_int| {
        let value = value as u64;
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value)
            .expect("a condition")
    };
    SeccompRule::new(vec![
        is(0, libc::AF_NETLINK),
        is(2, libc::NETLINK_NETFILTER),
    ])
    .expect("a rule")
}
