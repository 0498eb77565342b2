//! Hosts, patterns over them, and the classes of addresses.

use carboy_engine::{AddressClass, Host, HostPattern};

#[test]
fn every_spelling_has_one_meaning() {
    let cases: &[(&str, &str)] = &[
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("_dmarc.example.com", "_dmarc.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("EXAMPLE。com", "example.com"),
        ("ｅｘａｍｐｌｅ.com", "example.com"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("0x7f.0.0.0x1", "127.0.0.1"),
        ("0177.0.0.01", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("１２７.0.0.1", "127.0.0.1"),
        ("[::1]", "[::1]"),
        ("::1", "[::1]"),
        ("[::ffff:127.0.0.1]", "[::ffff:127.0.0.1]"),
        ("0", "0.0.0.0"),
    ];
    for (text, expected) in cases {
        let host = Host::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(host.to_string(), *expected, "{text}");
        assert_eq!(Host::parse(&host.to_string()), Ok(host), "{text}");
    }
}

#[test]
fn what_is_no_host() {
    let long_label = format!("{}.example", "a".repeat(64));
    let long_name = vec!["abcdefgh"; 32].join(".");
    let cases = [
        "",
        ".",
        "a..b",
        ".a",
        "a b",
        "a%2eb",
        "%31%32%37.0.0.1",
        "a\r\nb",
        "a\0b",
        "1.2.3.4.5",
        "256.1.1.1",
        "0x1ffffffff",
        "a/b",
        "a@b",
        "a:80",
        "[::1",
        "fe80::1%eth0",
        "[fe80::1%25eth0]",
        "a?b",
        "a#b",
        "a\\b",
        "xn--a",
        &long_label,
        &long_name,
    ];
    for text in cases {
        assert!(
            Host::parse(text).is_err(),
            "{text:?} is {:?}",
            Host::parse(text)
        );
    }
}

#[test]
fn sites_are_registrable_domains() {
    let cases = [
        ("a.b.example.com", "example.com"),
        ("example.co.uk", "example.co.uk"),
        ("x.example.co.uk", "example.co.uk"),
        ("someone.github.io", "someone.github.io"),
        ("localhost", "localhost"),
        ("192.0.2.1", "192.0.2.1"),
    ];
    for (host, site) in cases {
        assert_eq!(&*Host::parse(host).expect("a host").site(), site);
    }
}

#[test]
fn patterns_cover_what_they_say() {
    let cases: &[(&str, &str, u16, bool)] = &[
        ("example.com", "example.com", 443, true),
        ("Example.com.", "example.com", 443, true),
        ("example.com", "a.example.com", 443, false),
        ("*.example.com", "a.example.com", 443, true),
        ("*.example.com", "a.b.example.com", 443, true),
        ("*.example.com", "example.com", 443, false),
        ("*.example.com", "badexample.com", 443, false),
        ("example.com:8443", "example.com", 443, false),
        ("example.com:8443", "example.com", 8443, true),
        ("192.0.2.0/24", "192.0.2.77", 80, true),
        ("192.0.2.0/24:80", "192.0.2.77", 81, false),
        ("192.0.2.0/24", "192.0.3.1", 80, false),
        ("192.0.2.1", "[::ffff:192.0.2.1]", 80, true),
        ("[2001:db8::1]:443", "2001:db8::1", 443, true),
        ("2001:db8::/32", "2001:db8:1::1", 443, true),
        ("10.0.0.0/8", "a.example", 80, false),
    ];
    for (pattern, host, port, covered) in cases {
        let parsed =
            HostPattern::parse(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
        let host = Host::parse(host).expect("a host");
        assert_eq!(
            parsed.covers(&host, *port),
            *covered,
            "{pattern} {host}:{port}"
        );
        assert_eq!(
            HostPattern::parse(&parsed.to_string()),
            Ok(parsed),
            "{pattern}"
        );
    }
}

#[test]
fn every_special_address_has_a_class() {
    let cases: &[(&str, &str)] = &[
        ("93.184.216.34", "public"),
        ("8.8.8.8", "public"),
        ("2606:2800:220:1::1", "public"),
        ("2a00:1450::1", "public"),
        ("0.0.0.0", "unspecified"),
        ("0.1.2.3", "unspecified"),
        ("10.0.0.1", "private"),
        ("172.16.0.1", "private"),
        ("172.31.255.255", "private"),
        ("172.32.0.1", "public"),
        ("192.168.1.1", "private"),
        ("100.64.0.1", "carrier-grade NAT"),
        ("100.127.255.255", "carrier-grade NAT"),
        ("100.128.0.1", "public"),
        ("100.100.100.200", "cloud metadata"),
        ("127.0.0.1", "loopback"),
        ("127.255.255.254", "loopback"),
        ("169.254.1.1", "link-local"),
        ("169.254.169.254", "cloud metadata"),
        ("169.254.170.2", "cloud metadata"),
        ("168.63.129.16", "cloud metadata"),
        ("192.0.0.1", "reserved"),
        ("192.0.2.1", "documentation"),
        ("198.18.0.1", "documentation"),
        ("198.19.255.255", "documentation"),
        ("198.51.100.1", "documentation"),
        ("203.0.113.1", "documentation"),
        ("192.88.99.1", "reserved"),
        ("224.0.0.1", "multicast"),
        ("239.255.255.255", "multicast"),
        ("240.0.0.1", "reserved"),
        ("255.255.255.255", "broadcast"),
        ("::", "unspecified"),
        ("::1", "loopback"),
        ("::ffff:10.0.0.1", "private"),
        ("::ffff:169.254.169.254", "cloud metadata"),
        ("::ffff:93.184.216.34", "public"),
        ("::10.0.0.1", "private"),
        ("::93.184.216.34", "transition"),
        ("::ffff:0:127.0.0.1", "loopback"),
        ("64:ff9b::10.0.0.1", "private"),
        ("64:ff9b::93.184.216.34", "transition"),
        ("64:ff9b::a9fe:a9fe", "cloud metadata"),
        ("64:ff9b:1::10.0.0.1", "private"),
        ("100::1", "reserved"),
        ("2001::1", "reserved"),
        ("2001:0:0:0:0:0:f5ff:fffe", "private"),
        ("2001:db8::1", "documentation"),
        ("3fff::1", "documentation"),
        ("2001:10::1", "reserved"),
        ("2001:20::1", "reserved"),
        ("2002:7f00:1::", "loopback"),
        ("2002:5db8:d822::1", "transition"),
        ("2001:4860:4860::8888", "public"),
        ("2606::200:5efe:10.0.0.1", "private"),
        ("5f00::1", "reserved"),
        ("fc00::1", "private"),
        ("fd12:3456::1", "private"),
        ("fd00:ec2::254", "cloud metadata"),
        ("fe80::1", "link-local"),
        ("fec0::1", "private"),
        ("ff02::1", "multicast"),
        ("4000::1", "reserved"),
    ];
    for (addr, class) in cases {
        let parsed = addr.parse().expect("an address");
        assert_eq!(AddressClass::of(parsed).as_str(), *class, "{addr}");
    }
}
