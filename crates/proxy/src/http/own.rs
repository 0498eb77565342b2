//! What the gate answers itself on its forward listener: `/health`, `/proxy.pac` and `/fetch`.
//!
//! Only origin-form targets come here, so that no absolute-form URL is ever exempt from policy for
//! its path.

use ::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, HOST, HeaderValue, LOCATION,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, USER_AGENT,
};
use ::http::uri::Authority;
use ::http::{Method, Request, Response, StatusCode, response};
use bytes::Bytes;
use carboy_engine::{Fault, Host, Surface, SurfaceKind};
use carboy_wire::http::{Origin, request_target};
use carboy_wire::login::Given;
use carboy_wire::readable::{self, Link, Readable, Style};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::Serialize;

use super::exchange::{Ask, refuse};
use super::{Body, Client};
use crate::gate::{Asked, Refused};
use crate::limits::FETCH_CONTENT_BYTES_MAX;
use crate::login::NOT_ADMITTED;

/// A page of the gate's own.
pub(crate) enum Page {
    /// `GET /health`.
    Health,
    /// `GET /proxy.pac`; the authority by which the client knows the gate.
    Pac(Option<String>),
    /// `GET /fetch?url=&format=`.
    Fetch(Option<Wanted>),
}

/// What is to be fetched.
pub(crate) struct Wanted {
    url: String,
    form: Form,
}

/// How it is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// JSON, with what is to read as text.
    Text,
    /// Markdown, and nothing else.
    Markdown,
    /// JSON, with the content as it came.
    Raw,
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
    /// The content as text, of a page what is to read; `null` where it is not text.
    content: Option<&'a str>,
    links: &'a [Link],
    /// The content's length as it came.
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
            "/proxy.pac" => Some(Self::Pac(own_authority(request))),
            "/fetch" => Some(Self::Fetch(Wanted::of(uri.query().unwrap_or_default()))),
            _ => None,
        }
    }

    pub(crate) async fn answer(self, client: &Client) -> Response<Body> {
        match self {
            Self::Health => health(client),
            Self::Pac(Some(authority)) => pac(&authority),
            Self::Pac(None) => problem("say in `Host` by which name you know the gate"),
            Self::Fetch(Some(wanted)) => fetch(client, &wanted).await,
            Self::Fetch(None) => problem(
                "say what to fetch: /fetch?url=https%3A%2F%2Fexample.com%2F, and if need be how: \
                 &format=text, markdown or raw",
            ),
        }
    }
}

/// Whether a request gives the proxy's login, if that is wanted. What tells nothing is for all.
pub(crate) fn is_admitted(client: &Client, request: &Request<Incoming>) -> bool {
    let Some(login) = &client.login else {
        return true;
    };
    match Page::of(client, request) {
        Some(Page::Health | Page::Pac(_)) => true,
        Some(Page::Fetch(_)) | None => {
            let given = request.headers().get(PROXY_AUTHORIZATION);
            let given = given.and_then(Given::of_header);
            given.is_some_and(|given| login.admits(&given))
        }
    }
}

/// Asks a client for the login (RFC 9110, section 11.7.1). What follows may be meant for a tunnel, so
/// the connection ends.
pub(crate) fn ask_login(client: &Client, method: &Method) -> Response<Body> {
    let fault = Fault::Unsupported(NOT_ADMITTED.into());
    let refused = refuse(client, Some(method), fault);
    let mut response = super::exchange::refusal_response(&refused, None, *method == Method::HEAD);
    *response.status_mut() = StatusCode::PROXY_AUTHENTICATION_REQUIRED;
    let headers = response.headers_mut();
    let realm = HeaderValue::from_static("Basic realm=\"carboy\"");
    headers.insert(PROXY_AUTHENTICATE, realm);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
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
async fn fetch(client: &Client, wanted: &Wanted) -> Response<Body> {
    let Ok(request) = Request::get(&wanted.url)
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
        Ok(ask) => {
            let asked = ask.asked();
            let response = ask.cross(&client.gate, None).await;
            response.map(|response| (asked, response))
        }
        Err(refused) => Err(refused),
    };
    match crossed {
        Ok((asked, response)) => fetched(client, wanted, &asked, response).await,
        Err(refused) => refused_json(&refused),
    }
}

async fn fetched(
    client: &Client,
    wanted: &Wanted,
    asked: &Asked,
    response: Response<Body>,
) -> Response<Body> {
    let (head, body) = response.into_parts();
    let content = match Limited::new(body, FETCH_CONTENT_BYTES_MAX).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) => return broken(&*error),
    };
    // None was asked for in a coding.
    let is_plain = !head.headers.contains_key(CONTENT_ENCODING);
    let text = readable::decoded(text_of(&head, CONTENT_TYPE), &content);
    let Some(text) = text.filter(|_| is_plain) else {
        return told(wanted, &head, None, content.len());
    };
    let is_page = readable::is_html(text_of(&head, CONTENT_TYPE), &text);
    let page = match is_page {
        true => wanted.read(&text),
        false => Readable {
            content: text.to_string(),
            ..Readable::default()
        },
    };
    // Bytes that are the text were judged as they came.
    if !is_page && text.as_bytes() == &content[..] {
        return told(wanted, &head, Some(&page), content.len());
    }
    match judge(client, asked, &page) {
        Ok(()) => told(wanted, &head, Some(&page), content.len()),
        Err(refused) => refused_json(&refused),
    }
}

/// Judges what was read of a page. It is content of its own, and crosses on its own: what tags keep
/// apart in the page may be one sentence in what is read of it.
fn judge(client: &Client, asked: &Asked, page: &Readable) -> Result<(), Refused> {
    let mut pass = client.gate.open_answer(asked)?;
    let mut said = page.title.clone().unwrap_or_default();
    said.push('\n');
    said.push_str(&page.content);
    for link in &page.links {
        said.push('\n');
        said.push_str(&link.text);
    }
    pass.push(Surface {
        kind: SurfaceKind::Body,
        name: "",
        bytes: said.as_bytes(),
    })?;
    pass.close()
}

fn told(
    wanted: &Wanted,
    head: &response::Parts,
    page: Option<&Readable>,
    bytes: usize,
) -> Response<Body> {
    match (wanted.form, page) {
        (Form::Markdown, Some(page)) => {
            let title = page
                .title
                .as_deref()
                .filter(|_| !page.content.starts_with("# "));
            let title = title
                .map(|title| format!("# {title}\n\n"))
                .unwrap_or_default();
            let text = format!("{title}{}\n", page.content);
            own(head.status, "text/markdown; charset=utf-8", text.into())
        }
        (Form::Text | Form::Raw | Form::Markdown, page) => json(
            StatusCode::OK,
            &Fetched {
                url: &wanted.url,
                status: head.status.as_u16(),
                content_type: text_of(head, CONTENT_TYPE),
                location: text_of(head, LOCATION),
                title: page.and_then(|page| page.title.clone()),
                content: page.map(|page| &*page.content),
                links: page.map(|page| &*page.links).unwrap_or_default(),
                bytes,
            },
        ),
    }
}

impl Wanted {
    fn of(query: &str) -> Option<Self> {
        let form = match item(query, "format").as_deref() {
            None | Some("json" | "text") => Form::Text,
            Some("markdown" | "md") => Form::Markdown,
            Some("raw") => Form::Raw,
            Some(_) => return None,
        };
        let url = item(query, "url").filter(|url| !url.is_empty())?;
        Some(Self { url, form })
    }

    /// What is to read of a page.
    fn read(&self, text: &str) -> Readable {
        let style = match self.form {
            Form::Text | Form::Raw => Style::Text,
            Form::Markdown => Style::Markdown,
        };
        let mut page = readable::read(text, &self.url, style);
        if self.form == Form::Raw {
            text.clone_into(&mut page.content);
        }
        page
    }
}

/// The authority by which a client knows the gate, if it is one.
fn own_authority(request: &Request<Incoming>) -> Option<String> {
    let host = request.headers().get(HOST)?.to_str().ok()?;
    let authority: Authority = host.parse().ok()?;
    // It goes into a script, so it is written anew from its parts.
    let name = Host::parse(authority.host()).ok()?;
    Some(match authority.port_u16() {
        Some(port) => format!("{name}:{port}"),
        None => format!("{name}:80"),
    })
}

/// All goes through the gate, with no way around it: what the gate refuses is not tried without it.
fn pac(authority: &str) -> Response<Body> {
    let script =
        format!("function FindProxyForURL(url, host) {{\n  return \"PROXY {authority}\";\n}}\n");
    own(
        StatusCode::OK,
        "application/x-ns-proxy-autoconfig",
        script.into(),
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
    own(status, "application/json", text.into())
}

fn own(status: StatusCode, content_type: &'static str, text: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::own(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn text_of(head: &response::Parts, name: ::http::HeaderName) -> Option<&str> {
    head.headers.get(name)?.to_str().ok()
}

/// The decoded value of an item of a query (application/x-www-form-urlencoded).
fn item(query: &str, name: &str) -> Option<String> {
    let mut items = query.split('&').filter_map(|item| item.split_once('='));
    let (_, value) = items.find(|(own, _)| *own == name)?;
    let spaced = value.replace('+', " ");
    let decoded = percent_encoding::percent_decode_str(&spaced).decode_utf8();
    decoded.ok().map(|text| text.into_owned())
}

/// What `/fetch` calls itself to the far end.
const FETCH_USER_AGENT: &str = concat!("carboy-fetch/", env!("CARGO_PKG_VERSION"));
