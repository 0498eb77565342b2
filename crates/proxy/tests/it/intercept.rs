//! TLS interception.

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::support::{OPEN, Setup, Stand, body, status};
use crate::tls::{Authority, ask, connector, name, shown, terse, trusting, tunnel, up_tunnel};

async fn stand(policy: &str, authority: &Authority) -> Stand {
    Stand::with(Setup {
        policy,
        authorities: authority.files(),
        ..Setup::default()
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http1_is_read_inside_tls() {
    let authority = Authority::new();
    let up = authority.upstream("up.example").await;
    let stand = stand(OPEN, &authority).await;
    let host = format!("up.example:{}", up.port());
    for alpn in [&["http/1.1"][..], &[]] {
        let tcp = tunnel(stand.address, &host).await;
        let client = trusting(&stand.gate, alpn);
        let mut stream = client.connect(name("up.example"), tcp).await.unwrap();
        let response = ask(&mut stream, &host, "/a").await;
        assert_eq!(status(&response), 200, "{response}");
        assert!(
            body(&response).starts_with("GET /a HTTP/1.1\r\n"),
            "{response}"
        );
    }
    assert_eq!(
        stand.finish().await.lines(),
        ["tunnel allow", "http-request allow", "http-response allow"].repeat(2)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_is_read_inside_tls() {
    let authority = Authority::new();
    let up = authority.upstream("up.example").await;
    let stand = stand(OPEN, &authority).await;
    let host = format!("up.example:{}", up.port());
    let tcp = tunnel(stand.address, &host).await;
    let client = trusting(&stand.gate, &["h2", "http/1.1"]);
    let stream = client.connect(name("up.example"), tcp).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));

    let io = TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .unwrap();
    tokio::spawn(connection);
    for (authority, expect) in [
        (&*host, 200),
        // Fronting: the same connection, another host.
        (&*format!("other.example:{}", up.port()), 421),
    ] {
        let request = Request::get(format!("https://{authority}/a"))
            .body(Empty::<bytes::Bytes>::new())
            .unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), expect, "{authority}");
        response.into_body().collect().await.unwrap();
    }
    drop(sender);
    let done = stand.finish().await;
    assert_eq!(done.reasons, ["target_mismatch"]);
    assert_eq!(up.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_header_that_names_another_host_is_refused() {
    let authority = Authority::new();
    let up = authority.upstream("up.example").await;
    let stand = stand(OPEN, &authority).await;
    let tcp = up_tunnel(&stand, up.port()).await;
    let client = trusting(&stand.gate, &[]);
    let mut stream = client.connect(name("up.example"), tcp).await.unwrap();
    let response = ask(&mut stream, "other.example", "/").await;
    assert!((400..500).contains(&status(&response)), "{response}");
    assert_eq!(up.connections(), 0);
    assert_eq!(
        stand.finish().await.lines(),
        ["tunnel allow", "http-request block target_mismatch"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_name_that_is_not_the_tunnels_is_refused() {
    let authority = Authority::new();
    let up = authority.upstream("other.example").await;
    let stand = stand(OPEN, &authority).await;
    for connect in ["up.example", "127.0.0.1"] {
        let tcp = tunnel(stand.address, &format!("{connect}:{}", up.port())).await;
        let client = trusting(&stand.gate, &[]);
        let error = client
            .connect(name("other.example"), tcp)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("UnrecognisedName"), "{error}");
    }
    assert_eq!(up.connections(), 0);
    let done = stand.finish().await;
    assert_eq!(
        done.lines(),
        ["tunnel allow", "tunnel block target_mismatch"].repeat(2)
    );
    assert!(
        !done.text.contains("other.example"),
        "an unverified name is not quoted"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_needs_no_server_name() {
    let authority = Authority::new();
    let up = authority.upstream("127.0.0.1").await;
    let stand = stand(OPEN, &authority).await;
    let host = format!("127.0.0.1:{}", up.port());
    let tcp = tunnel(stand.address, &host).await;
    let client = trusting(&stand.gate, &[]);
    let mut stream = client.connect(name("127.0.0.1"), tcp).await.unwrap();
    let response = ask(&mut stream, &host, "/").await;
    assert_eq!(status(&response), 200, "{response}");
    stand.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_cannot_prove_itself_gets_nothing() {
    let trusted = Authority::new();
    let stranger = Authority::new();
    let stand = stand(OPEN, &trusted).await;
    for up in [
        stranger.upstream("up.example").await,
        trusted.upstream("other.example").await,
    ] {
        let host = format!("up.example:{}", up.port());
        let tcp = tunnel(stand.address, &host).await;
        let client = trusting(&stand.gate, &["http/1.1"]);
        let mut stream = client.connect(name("up.example"), tcp).await.unwrap();
        let response = ask(&mut stream, &host, "/secret-path").await;
        assert_eq!(status(&response), 502, "{response}");
        assert!(
            response.contains("carboy-reason: upstream_certificate"),
            "{response}"
        );
        assert_eq!(up.seen(), "");
    }
    stand.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_trust_the_authority_is_on_record() {
    let authority = Authority::new();
    let up = authority.upstream("up.example").await;
    let stand = stand(OPEN, &authority).await;
    let tcp = up_tunnel(&stand, up.port()).await;
    let pinned = connector(authority.inner.certificate_der(), &[]);
    pinned.connect(name("up.example"), tcp).await.unwrap_err();
    let done = stand.finish().await;
    assert_eq!(done.lines(), ["tunnel allow", "tunnel block unsupported"]);
    assert_eq!(up.connections(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clear_http_in_a_tunnel_is_read_too() {
    let up = crate::support::Upstreams::echo().await;
    let stand = Stand::open(OPEN).await;
    let host = format!("up.example:{}", up.port());
    let mut client = crate::support::Client(tunnel(stand.address, &host).await);
    client
        .send(format!(
            "GET /a HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ))
        .await;
    assert_eq!(status(&client.rest().await), 200);
    assert_eq!(
        stand.finish().await.lines(),
        ["tunnel allow", "http-request allow", "http-response allow"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leaf_is_the_bottles_own_and_cached() {
    let authority = Authority::new();
    let up = authority.upstream("up.example").await;
    let stand = stand(OPEN, &authority).await;
    let mut leaves = Vec::new();
    for _ in 0..2 {
        let tcp = up_tunnel(&stand, up.port()).await;
        let stream = trusting(&stand.gate, &[])
            .connect(name("up.example"), tcp)
            .await
            .unwrap();
        leaves.push(shown(&stream));
    }
    assert_eq!(leaves[0], leaves[1]);
    stand.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nonsense_after_a_record_header_is_refused() {
    let stand = Stand::open(OPEN).await;
    let mut client = crate::support::Client(tunnel(stand.address, "up.example:443").await);
    client.send([0x16, 3, 1, 0, 4, 9, 9, 9, 9]).await;
    let alert = client.rest().await;
    assert!(
        alert.as_bytes().starts_with(&[0x15, 3, 3, 0, 2, 2]),
        "{alert:?}"
    );
    assert_eq!(
        stand.finish().await.lines(),
        ["tunnel allow", "tunnel block malformed"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_and_terse_clients_are_served() {
    let authority = Authority::new();
    let up = authority.upstream("up.example").await;
    let stand = stand(OPEN, &authority).await;
    let host = format!("up.example:{}", up.port());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let tcp = tunnel(stand.address, &host).await;
        let client = terse(&stand.gate, version);
        let mut stream = client.connect(name("up.example"), tcp).await.unwrap();
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version.version));
        let response = ask(&mut stream, &host, "/").await;
        assert_eq!(status(&response), 200, "{response}");
    }
    stand.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_for_another_protocol_is_refused() {
    let authority = Authority::new();
    let up = authority.upstream("up.example").await;
    let stand = stand(OPEN, &authority).await;
    let tcp = up_tunnel(&stand, up.port()).await;
    let client = trusting(&stand.gate, &["imap"]);
    let error = client.connect(name("up.example"), tcp).await.unwrap_err();
    assert!(
        error.to_string().contains("NoApplicationProtocol"),
        "{error}"
    );
    assert_eq!(
        stand.finish().await.lines(),
        ["tunnel allow", "tunnel block unsupported"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_connections_at_once_are_served() {
    let authority = Authority::new();
    let up = authority.upstream("up.example").await;
    let stand = stand(OPEN, &authority).await;
    let host = format!("up.example:{}", up.port());
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..200 {
        let (address, host) = (stand.address, host.clone());
        let client = trusting(&stand.gate, &["http/1.1"]);
        clients.spawn(async move {
            let tcp = tunnel(address, &host).await;
            let mut stream = client.connect(name("up.example"), tcp).await.unwrap();
            status(&ask(&mut stream, &host, "/").await)
        });
    }
    assert!(clients.join_all().await.iter().all(|status| *status == 200));
    assert_eq!(stand.finish().await.receipts.len(), 600);
}
