use super::*;

fn connect(host: &str, spelt: &str, port: u16) -> Request {
    Request {
        command: Command::Connect,
        host: Host::parse(host).unwrap(),
        port,
        spelt: spelt.into(),
    }
}

/// A request with this command, address type, and what follows.
fn asking(command: u8, kind: u8, rest: &[u8]) -> Vec<u8> {
    [&[5, command, 0, kind], rest].concat()
}

fn named(name: &str, port: u16) -> Vec<u8> {
    let length = [u8::try_from(name.len()).unwrap()];
    let rest = [&length, name.as_bytes(), &port.to_be_bytes()].concat();
    asking(1, 3, &rest)
}

#[test]
fn greetings_ask_as_little_as_they_can() {
    for (sent, expect) in [
        (&[5, 1, 0][..], Method::Open),
        (&[5, 2, 2, 0], Method::Open),
        (&[5, 3, 1, 2, 0x80], Method::Password),
        (&[5, 1, 1], Method::Unacceptable),
        (&[5, 0], Method::Unacceptable),
    ] {
        assert_eq!(
            greeting(sent, false),
            Ok(Some((expect, sent.len()))),
            "{sent:?}"
        );
    }
    assert!(matches!(
        greeting(b"GET / ", false),
        Err(Fault::Malformed(_))
    ));
    for (sent, expect) in [
        (&[5, 2, 2, 0][..], Method::Password),
        (&[5, 1, 0], Method::Unacceptable),
    ] {
        assert_eq!(
            greeting(sent, true),
            Ok(Some((expect, sent.len()))),
            "{sent:?}"
        );
    }
}

#[test]
fn logins_are_read_to_their_end() {
    let given = |name: &[u8], password: &[u8]| Given::of_parts(name, password);
    for (sent, expect) in [
        (&b"\x01\x04user\x04word"[..], given(b"user", b"word")),
        (b"\x01\x00\x00", given(b"", b"")),
        (b"\x01\x01u\x00", given(b"u", b"")),
    ] {
        let whole = Ok(Some((expect, sent.len())));
        assert_eq!(login(sent), whole, "{sent:?}");
        assert_eq!(login(&[sent, &[5, 1, 0]].concat()), whole, "{sent:?}");
    }
    assert!(login(&[5, 1, 0]).is_err());
    let longest = [&[1, 255][..], &[b'u'; 255], &[255], &[b'p'; 255]].concat();
    assert_eq!(longest.len(), MESSAGE_BYTES_MAX);
    let whole = given(&[b'u'; 255], &[b'p'; 255]);
    assert_eq!(login(&longest), Ok(Some((whole, MESSAGE_BYTES_MAX))));
}

#[test]
fn requests_name_a_host_and_a_port() {
    let mapped = [&[0; 10][..], &[0xff, 0xff, 192, 0, 2, 7], &[0, 80]].concat();
    for (sent, expect) in [
        (
            named("Up.Example", 443),
            connect("up.example", "Up.Example", 443),
        ),
        (
            named("192.0.2.7", 80),
            connect("192.0.2.7", "192.0.2.7", 80),
        ),
        (named("0x7f.1", 80), connect("127.0.0.1", "0x7f.1", 80)),
        (
            named("[2001:db8::1]", 80),
            connect("[2001:db8::1]", "[2001:db8::1]", 80),
        ),
        (
            asking(1, 1, &[192, 0, 2, 7, 0, 80]),
            connect("192.0.2.7", "192.0.2.7", 80),
        ),
        (
            asking(1, 4, &mapped),
            connect("192.0.2.7", "::ffff:192.0.2.7", 80),
        ),
    ] {
        let length = sent.len();
        assert_eq!(
            request(&sent),
            Ok(Some((expect.clone(), length))),
            "{sent:?}"
        );
        let early = [&sent[..], b"GET / HTTP/1.1\r\n"].concat();
        assert_eq!(request(&early), Ok(Some((expect, length))), "{sent:?}");
    }
    let udp = asking(3, 1, &[0; 6]);
    let (asked, _) = request(&udp).unwrap().unwrap();
    assert_eq!(asked.command, Command::UdpAssociate);
}

#[test]
fn what_is_not_a_request_is_refused() {
    let malformed = [
        named("", 80),
        named("up.example", 0),
        named("a b", 80),
        named("a%2eexample", 80),
        named("user@up.example", 80),
        asking(1, 3, b"\x02\xff\xfe\x00\x50"),
        vec![5, 1, 1, 1, 192, 0, 2, 7, 0, 80],
        vec![4, 1, 0, 80, 192, 0, 2, 7, 0],
    ];
    for sent in malformed {
        assert!(
            matches!(request(&sent), Err(Fault::Malformed(_))),
            "{sent:?}"
        );
    }
    for sent in [
        asking(9, 1, &[192, 0, 2, 7, 0, 80]),
        asking(1, 2, &[1, 2, 3]),
    ] {
        assert!(
            matches!(request(&sent), Err(Fault::Unsupported(_))),
            "{sent:?}"
        );
    }
}

#[test]
fn more_bytes_do_not_change_an_answer() {
    let request_bytes = named("up.example", 443);
    for end in 0..request_bytes.len() {
        assert_eq!(request(&request_bytes[..end]), Ok(None), "{end}");
    }
    for end in 0..4 {
        assert_eq!(greeting(&[5, 2, 0, 2][..end], false), Ok(None), "{end}");
    }
    for end in 0..7 {
        assert_eq!(login(&b"\x01\x02us\x02pw"[..end]), Ok(None), "{end}");
    }
}

#[test]
fn answers_are_those_of_the_standard() {
    assert_eq!(method(Method::Unacceptable), [5, 0xff]);
    assert_eq!(reply(Reply::NotAllowed)[..4], [5, 2, 0, 1]);
    assert_eq!(reply(Reply::Granted), [5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
}
