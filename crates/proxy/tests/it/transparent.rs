//! Redirected connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use carboy_proxy::Role;
use tokio::net::TcpStream;

use crate::support::{Client, OPEN, Setup, Stand, Upstreams, status};
use crate::tls::{Authority, ask, name, trusting};

/// A gate to which every connection was redirected on its way to `destination`.
async fn redirected(destination: Option<SocketAddr>, authority: Option<&Authority>) -> Stand {
    Stand::with(Setup {
        policy: OPEN,
        role: Role::Transparent(Arc::new(move |_: &TcpStream| Ok(destination))),
        authorities: authority.map(Authority::files).unwrap_or_default(),
        ..Setup::default()
    })
    .await
}

/// The first synthetic address of every pool.
fn synthetic(port: u16) -> SocketAddr {
    ([198, 18, 0, 1], port).into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_synthetic_address_leads_to_its_name() {
    let up = Upstreams::echo().await;
    let stand = redirected(Some(synthetic(up.port())), None).await;
    let given = stand
        .gate
        .names()
        .address("up.example", Instant::now())
        .unwrap();
    assert_eq!(
        SocketAddr::from((given.v4, up.port())),
        synthetic(up.port())
    );
    let host = format!("up.example:{}", up.port());
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let response = stand.ask(request).await;
    assert_eq!(status(&response), 200, "{response}");
    let other = "GET / HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n";
    assert!((400..500).contains(&status(&stand.ask(other).await)));
    assert_eq!(stand.finish().await.reasons, ["target_mismatch"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_to_a_synthetic_address_must_name_its_name() {
    let authority = Authority::new();
    let up = authority.upstream("up.example").await;
    let stand = redirected(Some(synthetic(up.port())), Some(&authority)).await;
    stand
        .gate
        .names()
        .address("up.example", Instant::now())
        .unwrap();
    let client = trusting(&stand.gate, &["http/1.1"]);
    let host = format!("up.example:{}", up.port());

    let mut stream = client
        .connect(name("up.example"), stand.client().await.0)
        .await
        .unwrap();
    assert_eq!(status(&ask(&mut stream, &host, "/").await), 200);
    let error = client
        .connect(name("other.example"), stand.client().await.0)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("UnrecognisedName"), "{error}");
    assert_eq!(stand.finish().await.reasons, ["target_mismatch"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_told_to_a_bare_address_is_resolved_afresh() {
    let authority = Authority::new();
    let up = authority.upstream("up.example").await;
    // Nobody is there: reaching the upstream proves that its name was resolved.
    let dialled = SocketAddr::from(([192, 0, 2, 7], up.port()));
    let stand = redirected(Some(dialled), Some(&authority)).await;
    let client = trusting(&stand.gate, &["http/1.1"]);
    let mut stream = client
        .connect(name("up.example"), stand.client().await.0)
        .await
        .unwrap();
    let host = format!("up.example:{}", up.port());
    assert_eq!(status(&ask(&mut stream, &host, "/").await), 200);
    let done = stand.finish().await;
    assert_eq!(done.receipts[0]["upstream"], up.address.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_synthetic_address_without_a_name_is_refused() {
    let stand = redirected(Some(synthetic(80)), None).await;
    let request = "GET / HTTP/1.1\r\nHost: 198.18.0.1\r\nConnection: close\r\n\r\n";
    assert_eq!(status(&stand.ask(request).await), 403);
    assert_eq!(stand.finish().await.reasons, ["address_refused"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_to_the_gate_itself_is_a_proxys() {
    let up = Upstreams::echo().await;
    let stand = redirected(None, None).await;
    assert_eq!(status(&stand.get(&up.url("/")).await), 200);
    stand.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_on_which_nothing_is_said_is_no_crossing() {
    let stand = redirected(Some(synthetic(443)), None).await;
    let mut client: Client = stand.client().await;
    client.end().await;
    assert_eq!(client.rest().await, "");
    assert!(stand.finish().await.receipts.is_empty());
}
