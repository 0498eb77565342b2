//! Signing in to a remote server by a client of its own: the server's metadata, and the pages that it names
//! at its own address, by the listener.

use std::sync::Arc;

use ::http::header::{self, HeaderMap, HeaderValue};
use ::http::uri::PathAndQuery;
use ::http::{Method, Response, StatusCode, request};
use bytes::Bytes;
use carboy_engine::{Fault, Surface, SurfaceKind};
use carboy_wire::mcp::{Addresses, SignInPage as Page, holds_messages};
use hyper::body::Incoming;

use super::Front;
use super::far::{Answer, client_fields};
use super::link::whole;
use super::reply::Reply;
use crate::gate::Refused;
use crate::limits::MCP_PAGES_KNOWN_MAX;

/// The type of a form (URL standard, section 5).
const FORM: &str = "application/x-www-form-urlencoded";

/// A request of a sign-in.
pub(super) struct SignIn {
    page: Page,
    path: PathAndQuery,
    addresses: Addresses,
}

impl SignIn {
    /// Of a request, if it is one.
    pub(super) fn of(front: &Front, head: &request::Parts) -> Option<Self> {
        let path = head.uri.path_and_query()?.clone();
        if path.path() == front.remote.endpoint.path() {
            return None;
        }
        let page = front.page_at(path.path())?;
        let is_asked = match page {
            Page::Metadata | Page::Authorize => head.method == Method::GET,
            Page::Exchange => head.method == Method::POST,
        };
        let addresses = addresses(front, &head.headers).filter(|_| is_asked)?;
        Some(Self {
            page,
            path,
            addresses,
        })
    }

    /// Answers it.
    pub(super) async fn answer(
        self,
        front: &Arc<Front>,
        head: &request::Parts,
        body: Incoming,
    ) -> Result<Response<Reply>, Refused> {
        match self.page {
            Page::Authorize => Ok(self.lead_away()),
            Page::Metadata => self.tell(front, head).await,
            Page::Exchange => self.exchange(front, head, body).await,
        }
    }

    /// Sends a person's browser to the server's own page.
    fn lead_away(&self) -> Response<Reply> {
        let url = self.addresses.far_url(self.path.path(), self.path.query());
        let mut response = Reply::status(StatusCode::FOUND);
        match HeaderValue::from_str(&url) {
            Ok(url) => {
                response.headers_mut().insert(header::LOCATION, url);
                response
            }
            Err(_) => Reply::status(StatusCode::BAD_REQUEST),
        }
    }

    async fn tell(
        &self,
        front: &Arc<Front>,
        head: &request::Parts,
    ) -> Result<Response<Reply>, Refused> {
        let remote = &front.remote;
        let fields = client_fields(&head.headers);
        let call = remote.call(Method::GET, &self.path, fields).await?;
        let answer = remote.send(call, Bytes::new()).await?;
        let (head, bytes) = taken(answer).await?;
        if !head.status.is_success() {
            return Ok(Response::from_parts(head, Reply::Whole(Some(bytes))));
        }
        let Some(metadata) = self.addresses.metadata(&bytes) else {
            return Ok(Response::from_parts(head, Reply::Whole(Some(bytes))));
        };
        front.know(metadata.pages);
        Ok(Response::from_parts(
            head,
            Reply::Whole(Some(metadata.json.into())),
        ))
    }

    async fn exchange(
        &self,
        front: &Arc<Front>,
        head: &request::Parts,
        body: Incoming,
    ) -> Result<Response<Reply>, Refused> {
        let Some(bytes) = whole(body).await else {
            return Ok(front.unread());
        };
        // A message is no form, whatever it is said to be, and is refused as what it is.
        let bytes = match is_form(&head.headers) && !holds_messages(&bytes) {
            true => self.addresses.form(&bytes).into(),
            false => bytes,
        };
        let remote = &front.remote;
        let fields = client_fields(&head.headers);
        let mut call = remote.call(Method::POST, &self.path, fields).await?;
        call.says(&bytes)?;
        let (head, bytes) = taken(remote.send(call, bytes).await?).await?;
        Ok(Response::from_parts(head, Reply::Whole(Some(bytes))))
    }
}

/// Leads a client that must sign in to the server's metadata by the listener.
pub(super) fn mend_challenge(front: &Front, asked: &HeaderMap, response: &mut Response<Reply>) {
    let Some(addresses) = addresses(front, asked) else {
        return;
    };
    let headers = response.headers_mut();
    let header::Entry::Occupied(mut challenges) = headers.entry(header::WWW_AUTHENTICATE) else {
        return;
    };
    for value in challenges.iter_mut() {
        let mended = value
            .to_str()
            .ok()
            .and_then(|text| addresses.challenge(text));
        let Some((mended, path)) = mended else {
            continue;
        };
        if let Ok(mended) = HeaderValue::try_from(mended) {
            *value = mended;
            front.know(vec![(path, Page::Metadata)]);
        }
    }
}

/// The server's address, and the listener's as the client names it.
fn addresses(front: &Front, headers: &HeaderMap) -> Option<Addresses> {
    let authority = headers.get(header::HOST)?.to_str().ok()?;
    Some(Addresses::new(front.remote.server.target(), authority))
}

/// All of an answer, judged as any page.
async fn taken(answer: Answer) -> Result<(::http::response::Parts, Bytes), Refused> {
    let Answer {
        mut head,
        body,
        mut pass,
        lease,
    } = answer;
    let Some(bytes) = whole(body).await else {
        let what = "an answer that is not whole, late, or too long";
        return Err(pass.fail(Fault::Upstream(what.into())));
    };
    pass.push(Surface {
        kind: SurfaceKind::Body,
        name: "",
        bytes: &bytes,
    })?;
    pass.close()?;
    lease.give_back();
    head.headers.remove(header::CONTENT_LENGTH);
    Ok((head, bytes))
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers
        .get(header::CONTENT_TYPE)
        .map(HeaderValue::as_bytes)
        .unwrap_or_default();
    kind.to_ascii_lowercase().starts_with(FORM.as_bytes())
}

impl Front {
    /// What a path is for, by itself or by the server's metadata.
    fn page_at(&self, path: &str) -> Option<Page> {
        let known = self.pages.lock();
        let named = known.iter().find(|(own, _)| own == path);
        named.map(|(_, page)| *page).or_else(|| Page::of(path))
    }

    fn know(&self, pages: Vec<(String, Page)>) {
        let mut known = self.pages.lock();
        for (path, page) in pages {
            let is_new = !known.iter().any(|(own, _)| *own == path);
            if is_new && known.len() < MCP_PAGES_KNOWN_MAX {
                known.push((path, page));
            }
        }
    }
}
