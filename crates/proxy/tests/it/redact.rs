//! Requests in which secrets are replaced.

use crate::support::{Stand, Upstreams, status};

/// In two parts, so that no scanner takes this file for a leak. It is made up.
const TOKEN: [&str; 2] = ["glpat-", "Zx8kQ2mNv5Wb7RtY3uLp"];

const REDACT: &str = "version: 1
egress:
  private: ['127.0.0.0/8']
inspect:
  secret: redact
";

async fn post(stand: &Stand, up: &Upstreams, path: &str, fields: &str, body: &str) -> String {
    let length = match fields.contains("chunked") {
        true => String::new(),
        false => format!("Content-Length: {}\r\n", body.len()),
    };
    let request = format!(
        "POST {} HTTP/1.1\r\nHost: up.example:{}\r\nConnection: close\r\n{length}{fields}\r\n{body}",
        up.url(path),
        up.port(),
    );
    stand.ask(&request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn head_and_body_reach_the_upstream_without_the_secret() {
    let up = Upstreams::echo().await;
    let stand = Stand::open(REDACT).await;
    let token = TOKEN.concat();
    let response = post(
        &stand,
        &up,
        &format!("/say?a=1&note={token}&b=2"),
        &format!("X-Note: see {token}\r\nContent-Type: application/json\r\n"),
        &format!(r#"{{"text":"my key is {token}"}}"#),
    )
    .await;
    assert_eq!(status(&response), 200, "{response}");
    let seen = up.seen();
    assert!(!seen.contains(&token), "{seen}");
    let body = r#"{"text":"my key is <carboy:gitlab-token:1>"}"#;
    for part in [
        "/say?a=1&note=%3Ccarboy%3Agitlab-token%3A1%3E&b=2 ",
        "see <carboy:gitlab-token:1>\r\n",
        &format!("content-length: {}\r\n", body.len()),
        body,
    ] {
        assert!(seen.contains(part), "{part} in {seen}");
    }
    let done = stand.finish().await;
    assert_eq!(done.lines(), ["http-request allow", "http-response allow"]);
    assert!(done.text.contains(r#""action":"redact""#), "{}", done.text);
    assert!(!done.text.contains(&token));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_cannot_be_changed_is_inspected_as_ever() {
    let token = TOKEN.concat();
    for (fields, body, expect) in [
        // What is encoded cannot be replaced.
        (
            "",
            data_encoding::BASE64.encode(format!("it is {token}").as_bytes()),
            403,
        ),
        (
            "Transfer-Encoding: chunked\r\n",
            "5\r\nhello\r\n0\r\n\r\n".to_owned(),
            200,
        ),
        ("", "nothing to hide".to_owned(), 200),
    ] {
        let up = Upstreams::echo().await;
        let stand = Stand::open(REDACT).await;
        let response = post(&stand, &up, "/", fields, &body).await;
        assert_eq!(status(&response), expect, "{body}: {response}");
        assert!(!up.seen().contains(&token), "{body}");
        stand.finish().await;
    }
}
