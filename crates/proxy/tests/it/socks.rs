//! SOCKS clients.

use std::sync::Arc;

use carboy_proxy::{Login, Role};
use tokio::io::AsyncReadExt;

use crate::support::{Client, OPEN, Setup, Stand, Upstreams, body, status};
use crate::tls::{Authority, ask, name, trusting};

const GREETING: &[u8] = &[5, 1, 0];

/// A request for a name.
fn named(command: u8, host: &str, port: u16) -> Vec<u8> {
    let length = u8::try_from(host.len()).unwrap();
    [
        &[5, command, 0, 3, length],
        host.as_bytes(),
        &port.to_be_bytes(),
    ]
    .concat()
}

fn numeric(address: [u8; 4], port: u16) -> Vec<u8> {
    [&[5, 1, 0, 1], &address[..], &port.to_be_bytes()].concat()
}

async fn answer<const N: usize>(client: &mut Client) -> [u8; N] {
    let mut bytes = [0; N];
    client.0.read_exact(&mut bytes).await.unwrap();
    bytes
}

/// Sends a request and gives the reply's code.
async fn request(stand: &Stand, request: &[u8]) -> (Client, u8) {
    let mut client = stand.client().await;
    client.send(GREETING).await;
    assert_eq!(answer(&mut client).await, [5, 0]);
    client.send(request).await;
    let [version, code, ..] = answer::<10>(&mut client).await;
    assert_eq!(version, 5);
    (client, code)
}

/// A connection to a name; none where the policy refuses it.
pub async fn open(stand: &Stand, host: &str, port: u16) -> Option<Client> {
    match request(stand, &named(1, host, port)).await {
        (client, 0) => Some(client),
        (mut client, code) => {
            assert_eq!(code, 2, "{host}");
            assert_eq!(client.rest().await, "");
            None
        }
    }
}

fn get(host: &str, port: u16) -> String {
    format!("GET /inside HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_to_a_name_or_an_address_is_inspected() {
    let up = Upstreams::echo().await;
    let stand = Stand::open(OPEN).await;
    let port = up.port();
    for (asked, host) in [
        (named(1, "up.example", port), "up.example"),
        (named(1, "127.0.0.1", port), "127.0.0.1"),
        (numeric([127, 0, 0, 1], port), "127.0.0.1"),
    ] {
        let (mut client, code) = request(&stand, &asked).await;
        assert_eq!(code, 0, "{host}");
        client.send(get(host, port)).await;
        let response = client.rest().await;
        assert!(body(&response).starts_with("GET /inside "), "{response}");
    }
    let (mut client, _) = request(&stand, &named(1, "up.example", port)).await;
    client.send(get("other.example", port)).await;
    assert_eq!(status(&client.rest().await), 421);
    let exchange = ["http-request allow", "http-response allow"];
    let expect = [
        &["tunnel allow"][..],
        &exchange,
        &exchange,
        &exchange,
        &["tunnel allow", "http-request block target_mismatch"],
    ];
    assert_eq!(stand.finish().await.lines(), expect.concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_may_be_sent_at_once_and_a_login_is_taken() {
    let up = Upstreams::echo().await;
    let stand = Stand::open(OPEN).await;
    let asked = named(1, "up.example", up.port());
    let rest = [&asked[..], get("up.example", up.port()).as_bytes()].concat();
    for hello in [&b"\x05\x01\x00"[..], b"\x05\x01\x02\x01\x04user\x04word"] {
        let mut client = stand.client().await;
        client.send([hello, &rest].concat()).await;
        let response = client.rest().await;
        assert!(response.contains("HTTP/1.1 200 OK"), "{response}");
    }
    assert!(stand.finish().await.reasons.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_intercepted_and_must_name_the_name() {
    let authority = Authority::new();
    let up = authority.upstream("up.example").await;
    let stand = Stand::with(Setup {
        authorities: authority.files(),
        ..Setup::default()
    })
    .await;
    let client = trusting(&stand.gate, &["http/1.1"]);
    let host = format!("up.example:{}", up.port());
    // A client that resolves by itself asks for an address: then the hello's name counts.
    for asked in [
        named(1, "up.example", up.port()),
        numeric([192, 0, 2, 9], up.port()),
    ] {
        let (socket, code) = request(&stand, &asked).await;
        assert_eq!(code, 0);
        let mut stream = client.connect(name("up.example"), socket.0).await.unwrap();
        assert_eq!(status(&ask(&mut stream, &host, "/").await), 200);
    }
    let (socket, _) = request(&stand, &named(1, "up.example", up.port())).await;
    let error = client
        .connect(name("other.example"), socket.0)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("UnrecognisedName"), "{error}");
    assert_eq!(stand.finish().await.reasons, ["target_mismatch"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_tcp_goes_only_where_it_is_listed() {
    let up = Upstreams::run(|mut far| async move {
        far.say("220 ready\r\n").await;
        while far.read().await.is_some() {}
    })
    .await;
    let listed = format!("{OPEN}  tcp: ['up.example:{}']\n", up.port());
    let stand = Stand::open(&listed).await;
    let (mut client, code) = request(&stand, &named(1, "up.example", up.port())).await;
    assert_eq!(code, 0);
    assert_eq!(client.exactly(11).await, "220 ready\r\n");
    drop(client);
    let (mut client, _) = request(&stand, &named(1, "other.example", up.port())).await;
    client.send("SSH-2.0-test\r\n").await;
    assert_eq!(client.rest().await, "");
    assert_eq!(up.connections(), 1);
    assert_eq!(stand.finish().await.reasons, ["host_not_allowed"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_known_to_be_refused_is_not_granted() {
    let stand = Stand::open(&format!("{OPEN}  deny: [other.example]\n")).await;
    for (asked, code) in [
        (named(1, "other.example", 443), 2),
        (named(2, "up.example", 443), 7),
        (named(3, "up.example", 443), 7),
        (named(1, "up example", 443), 1),
        (named(1, "up.example", 0), 1),
    ] {
        let (mut client, given) = request(&stand, &asked).await;
        assert_eq!(given, code, "{asked:?}");
        assert_eq!(client.rest().await, "");
    }
    let expect = [
        "host_denied",
        "unsupported",
        "unsupported",
        "malformed",
        "malformed",
    ];
    assert_eq!(stand.finish().await.reasons, expect);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn version_4_and_other_logins_are_told_no() {
    // No list is to blame for what tells no target.
    let stand = Stand::open("version: 1\nmode: strict\n").await;
    let mut client = stand.client().await;
    client
        .send(b"\x04\x01\x00\x50\x00\x00\x00\x01\x00up.example\x00")
        .await;
    assert_eq!(answer(&mut client).await, [0, 0x5b, 0, 0, 0, 0, 0, 0]);
    assert_eq!(client.rest().await, "");
    let mut client = stand.client().await;
    client.send([5, 1, 1]).await;
    assert_eq!(answer(&mut client).await, [5, 0xff]);
    assert_eq!(client.rest().await, "");
    // One that goes away half-way has asked for nothing.
    stand.client().await.send([5, 1]).await;
    assert_eq!(
        stand.finish().await.lines(),
        ["tunnel block unsupported", "tunnel block unsupported"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_is_wanted_must_be_given() {
    let up = Upstreams::echo().await;
    let stand = Stand::with(Setup {
        role: Role::Private(Arc::new(Login::new("user:word").unwrap())),
        ..Setup::default()
    })
    .await;
    let port = up.port();
    let rest = [
        &named(1, "up.example", port)[..],
        get("up.example", port).as_bytes(),
    ]
    .concat();
    for (hello, answers, is_served) in [
        (
            &b"\x05\x02\x00\x02\x01\x04user\x04word"[..],
            &[5, 2, 1, 0][..],
            true,
        ),
        (
            b"\x05\x02\x00\x02\x01\x04user\x05words",
            &[5, 2, 1, 1],
            false,
        ),
        (b"\x05\x01\x00", &[5, 0xff], false),
    ] {
        let mut client = stand.client().await;
        client.send(hello).await;
        let mut answered = vec![0; answers.len()];
        client.0.read_exact(&mut answered).await.unwrap();
        assert_eq!(answered, answers);
        if is_served {
            client.send(&rest).await;
        }
        assert_eq!(client.rest().await.contains("HTTP/1.1 200 OK"), is_served);
    }
    let ask = |more: &str| {
        let url = up.url("/x");
        format!("GET {url} HTTP/1.1\r\nHost: up.example:{port}\r\n{more}Connection: close\r\n\r\n")
    };
    for (header, code) in [
        ("Proxy-Authorization: Basic dXNlcjp3b3Jk\r\n", 200),
        ("Proxy-Authorization: Basic dXNlcjp3b3Jkcw==\r\n", 407),
        ("Authorization: Basic dXNlcjp3b3Jk\r\n", 407),
        ("", 407),
    ] {
        let response = stand.ask(ask(header)).await;
        assert_eq!(status(&response), code, "{header}");
        let asks = response.contains("proxy-authenticate: Basic realm=\"carboy\"");
        assert_eq!(asks, code == 407, "{response}");
    }
    let page =
        |path: &str| format!("GET {path} HTTP/1.1\r\nHost: gate\r\nConnection: close\r\n\r\n");
    for (path, code) in [
        ("/health", 200),
        ("/proxy.pac", 200),
        ("/fetch?url=http://up.example/", 407),
    ] {
        assert_eq!(status(&stand.ask(page(path)).await), code, "{path}");
    }
    assert!(!up.seen().to_lowercase().contains("proxy-authorization"));
    assert_eq!(stand.finish().await.reasons, ["unsupported"; 6]);
}
