//! Everything that leaves arrives at the gate; nothing else leaves.

use std::process::{Command, Stdio};

use super::Case;
use crate::stage::Stage;

pub(super) const CASES: &[Case] = &[
    ("own_loopback_is_untouched", own_loopback),
    ("tcp_arrives_with_its_destination", tcp),
    ("the_host's_loopback_is_not_there", host_loopback),
    ("without_a_gate_there_is_no_network", no_gate),
    ("explicit_proxy_is_told_apart", explicit_proxy),
    ("dns_is_answered_from_where_it_was_asked", dns),
    ("other_datagrams_are_refused_at_once", datagrams),
    ("odd_sockets_do_not_open", odd_sockets),
    ("two_hundred_connections_arrive", many),
    ("names_of_the_bottle_resolve", names),
    ("low_ports_can_be_bound", low_ports),
];

pub(super) const ROOT_CASES: &[Case] = &[("nft_reads_the_rules_as_meant", rules)];

fn own_loopback(stage: &Stage) {
    let probes = [
        "loopback=127.0.0.1:0",
        "loopback=127.1.2.3:0",
        "loopback=[::1]:0",
    ];
    stage.probe(&probes).gives(
        0,
        "loopback=127.0.0.1:0: own\nloopback=127.1.2.3:0: own\nloopback=[::1]:0: own\n",
    );
}

fn tcp(stage: &Stage) {
    for address in [
        "203.0.113.9:443",
        "10.0.0.1:80",
        "169.254.169.254:80",
        "8.8.8.8:22",
        "192.0.2.1:3128",
        "[2001:db8::9]:443",
        "[fd00::1]:5432",
        "[2001:db8::9]:3128",
    ] {
        let expected = format!("tcp={address}: tcp {address}\n from {address}\n");
        stage
            .probe(&[&format!("tcp={address}")])
            .gives(0, &expected);
    }
}

/// Services of the host on its loopback; the same port inside is nobody's.
fn host_loopback(stage: &Stage) {
    for address in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
        let service = std::net::TcpListener::bind(address).expect("a service");
        let port = service.local_addr().expect("an address").port();
        let outcome = stage.probe(&[
            &format!("tcp=127.0.0.1:{port}"),
            &format!("tcp=[::1]:{port}"),
        ]);
        let refused = outcome.out.matches("error Connection refused").count();
        assert_eq!(refused, 2, "{outcome:?}");
    }
}

fn no_gate(stage: &Stage) {
    let executable = crate::stage::executable().to_str().expect("a plain name");
    let probes = [
        "tcp=203.0.113.9:443",
        "tcp=[2001:db8::9]:443",
        "tcp=127.0.0.1:3128",
        "udp=8.8.8.8:53",
    ];
    let command = [&[executable, "probe"], &probes[..]].concat();
    let outcome = stage.bottle(&["--no-gate"], &command);
    let refused = outcome.out.matches("error Connection refused").count();
    assert_eq!(refused, probes.len(), "{outcome:?}");
}

fn explicit_proxy(stage: &Stage) {
    for address in ["127.0.0.1:3128", "[::1]:3128"] {
        let expected = format!("tcp={address}: tcp itself\n from {address}\n");
        stage
            .probe(&[&format!("tcp={address}")])
            .gives(0, &expected);
    }
}

fn dns(stage: &Stage) {
    let places = [
        "8.8.8.8:53",
        "192.0.2.53:53",
        "10.1.2.3:53",
        "[2001:4860:4860::8888]:53",
    ];
    for address in places {
        let expected = format!(
            "udp={address}: answer:question\ntcp={address}: dns {address}\n from {address}\n"
        );
        let probes = [format!("udp={address}"), format!("tcp={address}")];
        stage.probe(&[&probes[0], &probes[1]]).gives(0, &expected);
    }
}

fn datagrams(stage: &Stage) {
    let targets = [
        "8.8.8.8:443",
        "8.8.8.8:123",
        "[2001:db8::1]:443",
        "10.0.0.1:3128",
        "192.0.2.1:5354",
    ];
    for address in targets {
        let expected = format!("refused={address}: at once\n");
        stage
            .probe(&[&format!("refused={address}")])
            .gives(0, &expected);
    }
}

fn odd_sockets(stage: &Stage) {
    let refused = ["raw", "raw6", "packet", "vsock", "alg", "netfilter"];
    for kind in refused {
        let expected = format!("socket={kind}: error Operation not permitted (os error 1)\n");
        stage
            .probe(&[&format!("socket={kind}")])
            .gives(0, &expected);
    }
    let ping = stage.probe(&["socket=ping"]);
    assert!(ping.out.contains("error"), "{ping:?}");
    stage
        .probe(&["socket=route", "socket=unix"])
        .gives(0, "socket=route: open\nsocket=unix: open\n");
}

fn many(stage: &Stage) {
    stage
        .probe(&["connections=200"])
        .gives(0, "connections=200: 200\n");
}

fn names(stage: &Stage) {
    let outcome = stage.shell("hostname; getent hosts localhost >/dev/null && getent ahostsv4 test | head -1 | cut -d' ' -f1; cat /etc/resolv.conf");
    outcome.gives(0, "test\n127.0.0.1\nnameserver 192.0.2.53\n");
}

fn low_ports(stage: &Stage) {
    stage
        .probe(&["loopback=127.0.0.1:80"])
        .gives(0, "loopback=127.0.0.1:80: own\n");
}

const RULES: &str = "table inet carboy {
	chain redirect {
		type nat hook output priority dstnat; policy accept;
		ip daddr 127.0.0.0/8 return
		ip6 daddr ::1 return
		tcp dport 53 redirect to :5354
		udp dport 53 redirect to :5354
		meta l4proto tcp redirect to :3128
	}

	chain refuse {
		type filter hook output priority filter; policy drop;
		ct state established,related accept
		ip daddr 127.0.0.0/8 accept
		ip6 daddr ::1 accept
		meta l4proto tcp reject with tcp reset
		meta l4proto udp accept
		reject
	}

	chain unreachable {
		type filter hook input priority filter; policy drop;
		ct state established,related accept
		ip daddr 127.0.0.0/8 accept
		ip6 daddr ::1 accept
		reject
	}
}
";

/// The `nft` program, where it is installed, must read our hand-built rules back as written.
fn rules(stage: &Stage) {
    if Command::new("nft").arg("--version").output().is_err() {
        println!("skipped: nft is not installed");
        return;
    }
    let mut launcher = stage.launcher(&[], &["sh", "-c", "echo up; exec sleep 100"]);
    let mut child = launcher.stdout(Stdio::piped()).spawn().expect("a launcher");
    super::processes::first_line(&mut child);
    let inside = super::processes::descendants(child.id());
    let last = inside.last().expect("a process inside");
    let network = format!("--net=/proc/{last}/ns/net");
    let listed = Command::new("nsenter")
        .args([&network, "nft", "list", "ruleset"])
        .output();
    child.kill().expect("a kill");
    child.wait().expect("an end");
    let listed = listed.expect("nsenter");
    let text =
        String::from_utf8_lossy(&listed.stdout).replace("priority -100;", "priority dstnat;");
    assert_eq!(text, RULES, "{}", String::from_utf8_lossy(&listed.stderr));
}
