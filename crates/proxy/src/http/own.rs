//! What the gate answers itself on its forward listener: `/health` and `/fetch`.
//!
//! Only origin-form targets come here, so that no absolute-form URL is ever exempt from policy for
//! its path.

use ::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION, USER_AGENT};
use ::http::{Method, Request, Response, StatusCode, response};
use bytes::Bytes;
use carboy_wire::http::{Origin, request_target};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Serialize;

use super::exchange::{Ask, refuse};
use super::{Body, Client};
use crate::gate::Refused;
use crate::limits::FETCH_CONTENT_BYTES_MAX;

/// A page of the gate's own.
pub(crate) enum Page {
    /// `GET /health`.
    Health,
    /// `GET /fetch?url=`; the URL, decoded.
    Fetch(Option<String>),
}

#[derive(Serialize)]
struct Health<'a> {
    status: &'static str,
    version: &'a str,
    mode: &'static str,
    policy: String,
    crossings: u64,
    refusals: u64,
}

#[derive(Serialize)]
struct Fetched<'a> {
    url: &'a str,
    status: u16,
    content_type: Option<&'a str>,
    location: Option<&'a str>,
    title: Option<String>,
    /// The content as text; `null` where it is not text.
    content: Option<&'a str>,
    bytes: usize,
}

#[derive(Serialize)]
struct Problem<'a> {
    error: &'a str,
}

impl Page {
    /// The page that a request asks for, if it is one.
    pub(crate) fn of(client: &Client, request: &Request<Incoming>) -> Option<Self> {
        let uri = request.uri();
        if client.origin != Origin::Forward || uri.authority().is_some() {
            return None;
        }
        if request.method() != Method::GET {
            return None;
        }
        match uri.path() {
            "/health" if client.gate.health_version().is_some() => Some(Self::Health),
            "/fetch" => Some(Self::Fetch(wanted_url(uri.query().unwrap_or_default()))),
            _ => None,
        }
    }

    pub(crate) async fn answer(self, client: &Client) -> Response<Body> {
        match self {
            Self::Health => health(client),
            Self::Fetch(Some(url)) => fetch(client, &url).await,
            Self::Fetch(None) => {
                problem("say what to fetch: /fetch?url=https%3A%2F%2Fexample.com%2F")
            }
        }
    }
}

fn health(client: &Client) -> Response<Body> {
    let engine = client.gate.engine();
    let totals = client.gate.totals();
    json(
        StatusCode::OK,
        &Health {
            status: "ok",
            version: client.gate.health_version().unwrap_or_default(),
            mode: engine.policy().mode().as_str(),
            policy: engine.policy().digest().to_string(),
            crossings: totals.crossings,
            refusals: totals.refusals,
        },
    )
}

/// Fetches a URL through the same gate as any request.
async fn fetch(client: &Client, url: &str) -> Response<Body> {
    let Ok(request) = Request::get(url)
        .header(USER_AGENT, FETCH_USER_AGENT)
        .body(())
    else {
        return problem("the URL is not one");
    };
    let (head, ()) = request.into_parts();
    let asking = match request_target(&head, &Origin::Forward) {
        Ok(target) => Ask::open(&client.gate, head, target),
        Err(fault) => Err(refuse(client, Some(&Method::GET), fault)),
    };
    let crossed = match asking {
        Ok(ask) => ask.cross(&client.gate, None).await,
        Err(refused) => Err(refused),
    };
    match crossed {
        Ok(response) => fetched(url, response).await,
        Err(refused) => refused_json(&refused),
    }
}

async fn fetched(url: &str, response: Response<Body>) -> Response<Body> {
    let (head, body) = response.into_parts();
    let content = match Limited::new(body, FETCH_CONTENT_BYTES_MAX).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) => return broken(&*error),
    };
    let text = std::str::from_utf8(&content).ok();
    json(
        StatusCode::OK,
        &Fetched {
            url,
            status: head.status.as_u16(),
            content_type: text_of(&head, CONTENT_TYPE),
            location: text_of(&head, LOCATION),
            title: text.and_then(title),
            content: text,
            bytes: content.len(),
        },
    )
}

/// The content broke off: it was refused, or is longer than what fits.
fn broken(error: &(dyn std::error::Error + Send + Sync + 'static)) -> Response<Body> {
    match error.downcast_ref::<super::body::BodyError>() {
        Some(broken) => refused_json(broken.refused()),
        None => json(
            StatusCode::BAD_GATEWAY,
            &Problem {
                error: "the content is longer than /fetch returns; ask for it directly",
            },
        ),
    }
}

fn refused_json(refused: &Refused) -> Response<Body> {
    let accept = HeaderValue::from_static("application/json");
    super::exchange::refusal_response(refused, Some(&accept), false)
}

fn problem(error: &str) -> Response<Body> {
    json(StatusCode::BAD_REQUEST, &Problem { error })
}

fn json<T: Serialize>(status: StatusCode, value: &T) -> Response<Body> {
    let mut text = serde_json::to_vec(value).expect("texts and numbers are JSON");
    text.push(b'\n');
    let mut response = Response::new(Body::own(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn text_of(head: &response::Parts, name: ::http::HeaderName) -> Option<&str> {
    head.headers.get(name)?.to_str().ok()
}

/// The text of the first `<title>`.
fn title(html: &str) -> Option<String> {
    let lower = html.to_ascii_lowercase();
    let open = lower.find("<title")?;
    let start = open + lower[open..].find('>')? + 1;
    let end = start + lower[start..].find("</title")?;
    Some(html[start..end].trim().to_owned())
}

/// The decoded value of `url` in a query (application/x-www-form-urlencoded).
fn wanted_url(query: &str) -> Option<String> {
    let item = query
        .split('&')
        .find_map(|item| item.strip_prefix("url="))?;
    let spaced = item.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced)
        .decode_utf8()
        .ok()?;
    (!decoded.is_empty()).then(|| decoded.into_owned())
}

/// What `/fetch` calls itself to the far end.
const FETCH_USER_AGENT: &str = concat!("carboy-fetch/", env!("CARGO_PKG_VERSION"));
