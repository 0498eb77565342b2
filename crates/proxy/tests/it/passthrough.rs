//! TLS that is relayed unread.

use crate::support::{OPEN, Setup, Stand, status};
use crate::tls::{Authority, ask, connector, name, shown, tunnel, up_tunnel};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_sees_the_upstreams_own_certificate() {
    let authority = Authority::new();
    let up = authority.upstream("up.example").await;
    let policy = format!("{OPEN}tls:\n  passthrough: [up.example]\n");
    let stand = Stand::open(&policy).await;
    let host = format!("up.example:{}", up.port());
    let tcp = tunnel(stand.address, &host).await;
    let client = connector(authority.inner.certificate_der(), &[]);
    let mut stream = client.connect(name("up.example"), tcp).await.unwrap();
    let leaf = authority
        .inner
        .leaf(&carboy_engine::Host::parse("up.example").unwrap())
        .unwrap();
    assert_eq!(shown(&stream), leaf.cert[0]);
    let response = ask(&mut stream, &host, "/unread").await;
    assert_eq!(status(&response), 200, "{response}");
    let done = stand.finish().await;
    assert_eq!(done.lines(), ["tunnel allow", "tunnel allow"]);
    assert!(!done.text.contains("unread"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_is_dialled_only_where_it_may_go() {
    let authority = Authority::new();
    let up = authority.upstream("up.example").await;
    let policy = "version: 1\ntls:\n  passthrough: [up.example]\n";
    let stand = Stand::with(Setup {
        policy,
        ..Setup::default()
    })
    .await;
    let tcp = up_tunnel(&stand, up.port()).await;
    let client = connector(authority.inner.certificate_der(), &[]);
    let error = client.connect(name("up.example"), tcp).await.unwrap_err();
    assert!(error.to_string().contains("AccessDenied"), "{error}");
    assert_eq!(up.connections(), 0);
    assert_eq!(
        stand.finish().await.lines(),
        ["tunnel allow", "tunnel block address_refused"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passed_through_name_cannot_front_for_another() {
    let authority = Authority::new();
    let up = authority.upstream("other.example").await;
    let policy = format!("{OPEN}tls:\n  passthrough: [up.example, other.example]\n");
    let stand = Stand::open(&policy).await;
    let tcp = up_tunnel(&stand, up.port()).await;
    let client = connector(authority.inner.certificate_der(), &[]);
    client
        .connect(name("other.example"), tcp)
        .await
        .unwrap_err();
    assert_eq!(up.connections(), 0);
    assert_eq!(stand.finish().await.reasons, ["target_mismatch"]);
}
