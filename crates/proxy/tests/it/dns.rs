//! The DNS sockets.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use carboy_proxy::{Names, serve_dns_tcp, serve_dns_udp};
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::support::{OPEN, Stand};

const DENYING: &str = "version: 1\negress:\n  deny: ['*.refused.example']\n";

struct Resolver {
    udp: UdpSocket,
    server: SocketAddr,
    tcp: SocketAddr,
}

impl Resolver {
    async fn of(stand: &Stand) -> Self {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let resolver = Self {
            udp: UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            server: server.local_addr().unwrap(),
            tcp: listener.local_addr().unwrap(),
        };
        tokio::spawn(serve_dns_udp(Arc::clone(&stand.gate), server));
        tokio::spawn(serve_dns_tcp(Arc::clone(&stand.gate), listener));
        resolver
    }

    async fn ask(&self, name: &str, kind: RecordType) -> Message {
        let question = question(name, kind);
        self.udp.send_to(&question, self.server).await.unwrap();
        let mut answer = [0; 512];
        let read = self.udp.recv(&mut answer);
        let length = timeout(Duration::from_secs(10), read)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(answer[..2], question[..2]);
        Message::from_vec(&answer[..length]).unwrap()
    }

    async fn address(&self, name: &str, kind: RecordType) -> Option<IpAddr> {
        let answer = self.ask(name, kind).await;
        assert_eq!(
            answer.metadata.response_code,
            ResponseCode::NoError,
            "{name}"
        );
        answer.answers.first().map(|record| match &record.data {
            RData::A(a) => a.0.into(),
            RData::AAAA(aaaa) => aaaa.0.into(),
            other => panic!("not an address: {other:?}"),
        })
    }

    async fn code(&self, name: &str, kind: RecordType) -> ResponseCode {
        self.ask(name, kind).await.metadata.response_code
    }
}

fn question(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::query();
    let mut name = Name::from_ascii(name).unwrap();
    name.set_fqdn(true);
    message.add_query(Query::query(name, kind));
    message.to_vec().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_allowed_name_has_stable_synthetic_addresses() {
    let stand = Stand::open(OPEN).await;
    let dns = Resolver::of(&stand).await;
    let v4 = dns.address("api.example", RecordType::A).await.unwrap();
    let v6 = dns.address("API.Example", RecordType::AAAA).await.unwrap();
    assert!(v4.is_ipv4() && Names::holds(v4) && v6.is_ipv6() && Names::holds(v6));
    assert_eq!(dns.address("api.example", RecordType::A).await, Some(v4));
    assert_eq!(dns.address("api.example", RecordType::HTTPS).await, None);
    for address in [v4, v6] {
        let known = stand.gate.names().name(address, Instant::now());
        assert_eq!(known.as_deref(), Some("api.example"));
    }
    let done = stand.finish().await;
    assert_eq!(done.lines(), ["dns-query allow"; 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_name_does_not_exist() {
    let stand = Stand::open(DENYING).await;
    let dns = Resolver::of(&stand).await;
    let code = dns.code("x.refused.example", RecordType::A).await;
    assert_eq!(code, ResponseCode::NXDomain);
    assert_eq!(
        stand.finish().await.lines(),
        ["dns-query block host_denied"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_in_a_name_is_refused_and_not_kept() {
    let stand = Stand::open(OPEN).await;
    let dns = Resolver::of(&stand).await;
    let token = ["ghp", "_", "a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6q7r8"].concat();
    let code = dns
        .code(&format!("{token}.example.com"), RecordType::A)
        .await;
    assert_eq!(code, ResponseCode::NXDomain);
    let done = stand.finish().await;
    assert_eq!(done.receipts.len(), 1);
    assert_eq!(done.receipts[0]["decision"], "block");
    assert!(!done.text.contains(&token[4..]), "{}", done.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_types_are_refused() {
    let stand = Stand::open(OPEN).await;
    let dns = Resolver::of(&stand).await;
    for kind in [
        RecordType::TXT,
        RecordType::MX,
        RecordType::ANY,
        RecordType::NULL,
    ] {
        assert_eq!(
            dns.code("api.example", kind).await,
            ResponseCode::Refused,
            "{kind}"
        );
    }
    assert_eq!(
        stand.finish().await.lines(),
        ["dns-query block unsupported"; 4]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_host_name_is_refused() {
    let stand = Stand::open(OPEN).await;
    let dns = Resolver::of(&stand).await;
    for name in ["1.2.3.4", "0x7f.1", "a\\.b.example", "."] {
        assert_eq!(
            dns.code(name, RecordType::A).await,
            ResponseCode::NXDomain,
            "{name}"
        );
    }
    assert_eq!(stand.finish().await.receipts.len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn localhost_is_the_askers_own_and_no_crossing() {
    let stand = Stand::open(DENYING).await;
    let dns = Resolver::of(&stand).await;
    let v4 = dns.address("localhost", RecordType::A).await;
    assert_eq!(v4, Some(Ipv4Addr::LOCALHOST.into()));
    let v6 = dns.address("app.localhost", RecordType::AAAA).await;
    assert_eq!(v6, Some(std::net::Ipv6Addr::LOCALHOST.into()));
    assert!(stand.finish().await.receipts.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_asked_back_to_its_name() {
    let stand = Stand::open(OPEN).await;
    let dns = Resolver::of(&stand).await;
    dns.address("api.example", RecordType::A).await.unwrap();
    let answer = dns.ask("1.0.18.198.in-addr.arpa", RecordType::PTR).await;
    let RData::PTR(name) = &answer.answers[0].data else {
        panic!("not a name: {answer}");
    };
    assert_eq!(name.0.to_ascii(), "api.example.");
    let unknown = dns.code("1.2.0.192.in-addr.arpa", RecordType::PTR).await;
    assert_eq!(unknown, ResponseCode::NXDomain);
    let lines = stand.finish().await.lines();
    assert_eq!(
        lines,
        [
            "dns-query allow",
            "dns-query allow",
            "dns-query block unsupported"
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn questions_come_by_tcp_too_and_in_one_go() {
    let stand = Stand::open(OPEN).await;
    let dns = Resolver::of(&stand).await;
    let mut stream = TcpStream::connect(dns.tcp).await.unwrap();
    let mut sent = Vec::new();
    for name in ["a.example", "b.example"] {
        let question = question(name, RecordType::A);
        sent.extend_from_slice(&u16::try_from(question.len()).unwrap().to_be_bytes());
        sent.extend_from_slice(&question);
    }
    stream.write_all(&sent).await.unwrap();
    for last in [1, 2] {
        let length = stream.read_u16().await.unwrap();
        let mut answer = vec![0; length.into()];
        stream.read_exact(&mut answer).await.unwrap();
        let answer = Message::from_vec(&answer).unwrap();
        let expect = RData::A(hickory_proto::rr::rdata::A(Ipv4Addr::new(198, 18, 0, last)));
        assert_eq!(answer.answers[0].data, expect);
    }
    stand.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_is_dropped_and_the_socket_lives() {
    let stand = Stand::open(OPEN).await;
    let dns = Resolver::of(&stand).await;
    for nonsense in [&b""[..], b"\0", &[0xff; 600], &[0; 12]] {
        dns.udp.send_to(nonsense, dns.server).await.unwrap();
    }
    // The twelve zero bytes are a header without a question.
    let mut answer = [0; 512];
    let length = dns.udp.recv(&mut answer).await.unwrap();
    let answer = Message::from_vec(&answer[..length]).unwrap();
    assert_eq!(answer.metadata.response_code, ResponseCode::FormErr);
    assert!(dns.address("api.example", RecordType::A).await.is_some());
    stand.finish().await;
}
