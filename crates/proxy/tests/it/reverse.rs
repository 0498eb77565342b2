//! Clients that take the gate for the far end itself.

use std::sync::Arc;

use carboy_proxy::Role;
use carboy_proxy::http::Backends;

use crate::support::{OPEN, Setup, Stand, Upstreams, body, status};
use crate::tls::{Authority, ask, name, trusting};

async fn reverse(backends: &[String], policy: &str, authority: Option<&Authority>) -> Stand {
    let mut known = Backends::default();
    for backend in backends {
        known.add(backend).unwrap();
    }
    Stand::with(Setup {
        policy,
        role: Role::Reverse(Arc::new(known)),
        authorities: authority.map(Authority::files).unwrap_or_default(),
        ..Setup::default()
    })
    .await
}

fn get(path: &str, host: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_leads_to_its_far_end() {
    let up = Upstreams::echo().await;
    let port = up.port();
    let stand = reverse(&[format!("api.local=http://up.example:{port}")], OPEN, None).await;
    let response = stand.ask(get("/v1?q=1", "api.local:8899")).await;
    assert!(body(&response).starts_with("GET /v1?q=1 "), "{response}");
    assert!(
        body(&response).contains(&format!("host: up.example:{port}")),
        "{response}"
    );
    for (request, code) in [
        (get("/", "other.example"), 421),
        (get("/", &format!("up.example:{port}")), 421),
        (
            get(&format!("http://up.example:{port}/"), "up.example"),
            421,
        ),
        (
            "CONNECT api.local:443 HTTP/1.1\r\nHost: api.local:443\r\n\r\n".into(),
            501,
        ),
        (get("/health", "other.example"), 421),
    ] {
        assert_eq!(status(&stand.ask(&request).await), code, "{request}");
    }
    assert_eq!(up.connections(), 1);
    let done = stand.finish().await;
    assert_eq!(
        done.lines()[..2],
        ["http-request allow", "http-response allow"]
    );
    assert_eq!(done.receipts[0]["target"]["host"], "up.example");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_far_end_needs_the_policys_leave_and_its_content_is_inspected() {
    let up = Upstreams::echo().await;
    let backend = [format!("api.local=http://up.example:{}", up.port())];
    let stand = reverse(&backend, "version: 1\n", None).await;
    let response = stand.ask(get("/", "api.local")).await;
    assert_eq!(status(&response), 403, "{response}");
    assert_eq!(stand.finish().await.reasons, ["address_refused"]);

    let stand = reverse(&backend, OPEN, None).await;
    let token = ["ghp", "_", "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"].concat();
    let response = stand.ask(get(&format!("/?t={token}"), "api.local")).await;
    assert_eq!(status(&response), 403, "{response}");
    assert_eq!(stand.finish().await.reasons, ["secret"]);
    assert_eq!(up.connections(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_to_the_far_end_lead_back_here() {
    let up = Upstreams::run(|mut far| async move {
        while let Some(request) = far.request().await {
            let to = match request.starts_with("GET /own ") {
                true => format!("http://{}/next", far.stream.local_addr().unwrap()),
                false => "http://login.example/".into(),
            };
            far.say(format!(
                "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"
            ))
            .await;
        }
    })
    .await;
    let stand = reverse(&[format!("api.local=http://{}", up.address)], OPEN, None).await;
    for (path, expect) in [
        ("/own", "location: http://api.local:8899/next\r\n"),
        ("/other", "location: http://login.example/\r\n"),
    ] {
        let response = stand.ask(get(path, "api.local:8899")).await;
        assert!(response.contains(expect), "{response}");
    }
    stand.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_ended_for_the_hosts_that_are_served() {
    let authority = Authority::new();
    let up = authority.upstream("up.example").await;
    let backend = format!("api.local=https://up.example:{}", up.port());
    let stand = reverse(&[backend], OPEN, Some(&authority)).await;
    let client = trusting(&stand.gate, &["http/1.1"]);
    let mut stream = client
        .connect(name("api.local"), stand.client().await.0)
        .await
        .unwrap();
    assert_eq!(status(&ask(&mut stream, "api.local", "/").await), 200);
    let error = client
        .connect(name("up.example"), stand.client().await.0)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("UnrecognisedName"), "{error}");
    let done = stand.finish().await;
    assert_eq!(
        done.lines(),
        [
            "http-request allow",
            "http-response allow",
            "tunnel block target_mismatch"
        ]
    );
}
