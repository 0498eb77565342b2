//! TLS that is relayed unread.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tunnel_that_spends_a_budget_is_cut() {
    let authority = Authority::new();
    let up = authority.lines("up.example").await;
    for (key, mode, reasons) in [
        ("upload", "balanced", &["budget"][..]),
        ("download", "balanced", &["budget"]),
        ("upload", "audit", &[]),
    ] {
        let stand = Stand::open(&format!(
            "version: 1\nmode: {mode}\ntls: {{passthrough: [up.example]}}\negress:\n  \
             private: ['127.0.0.0/8']\n  limits: {{session: {{{key}_per_minute: 32KiB}}}}\n"
        ))
        .await;
        let tcp = up_tunnel(&stand, up.port()).await;
        let client = connector(authority.inner.certificate_der(), &[]);
        let mut stream = client.connect(name("up.example"), tcp).await.unwrap();
        let mut answered = [0; 9 + 1024];
        stream.read_exact(&mut answered[..9]).await.unwrap();
        let mut echoed = 0;
        while echoed < 64 && stream.write_all(&[b'x'; 1024]).await.is_ok() {
            if stream.read_exact(&mut answered[..1024]).await.is_err() {
                break;
            }
            echoed += 1;
        }
        match mode {
            "audit" => assert_eq!(echoed, 64, "{key}"),
            _ => assert!((8..32).contains(&echoed), "{key} {echoed}"),
        }
        drop(stream);
        let done = stand.finish().await;
        assert_eq!(done.reasons.len(), 1, "{key} {mode}: told once");
        let blocked: Vec<_> = done
            .receipts
            .iter()
            .filter_map(|it| it["reason"].as_str())
            .collect();
        assert_eq!(blocked, reasons, "{key} {mode}");
    }
}
