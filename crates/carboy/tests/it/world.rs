//! The world outside the bottle: a local server with everything that real clients ask for.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::{Request, Response, StatusCode};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::runtime::Runtime;

use crate::origin::{Authority, Body, Handler, Origin};
use crate::support::Place;

/// The host that everything is at.
pub(crate) const HOST: &str = "files.test";
/// Content without secrets that does not look like noise, so that any scanner has work to do.
const FILLER: &str = "The quick brown fox jumps over the lazy dog, 0123456789 times over. ";
/// How much is sent at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// The running server.
pub(crate) struct World {
    origin: Origin,
    authority_pem: String,
    received: Arc<AtomicU64>,
}

/// The threads that all servers of these tests run on.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    })
}

impl World {
    /// Serves `files` and git repositories in it over HTTPS.
    pub(crate) fn over_tls(files: &Path) -> Self {
        let authority = Authority::new(&[HOST]).unwrap();
        Self::start(files, Some(authority.server), authority.certificate_pem)
    }

    /// The same over HTTP.
    pub(crate) fn over_http(files: &Path) -> Self {
        Self::start(files, None, String::new())
    }

    fn start(files: &Path, tls: Option<Arc<rustls::ServerConfig>>, authority_pem: String) -> Self {
        let received = Arc::new(AtomicU64::new(0));
        let handler = handler(files.to_owned(), Arc::clone(&received));
        let origin = runtime().block_on(Origin::serve(tls, handler)).unwrap();
        Self {
            origin,
            authority_pem,
            received,
        }
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        let scheme = if self.authority_pem.is_empty() {
            "http"
        } else {
            "https"
        };
        format!("{scheme}://{HOST}:{}{path}", self.port())
    }

    pub(crate) fn port(&self) -> u16 {
        self.origin.address().port()
    }

    /// Bytes of bodies that arrived at `/sink`.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// The options of `carboy run` and `carboy proxy` under which this world can be reached and
    /// nothing else can.
    pub(crate) fn options(&self, place: &Place) -> Vec<String> {
        self.options_with(place, "")
    }

    /// The same, with more lines in the policy.
    pub(crate) fn options_with(&self, place: &Place, lines: &str) -> Vec<String> {
        let port = self.port();
        let policy = format!(
            "version: 1\nmode: strict\negress:\n  allow: [{HOST}]\n  private: [\"{HOST}:{port}\"]\n\
             {lines}"
        );
        let mut options = vec![
            "--policy".to_owned(),
            text(place.write("policy.yaml", policy)),
        ];
        let hosts = place.write("hosts", format!("127.0.0.1 {HOST} other.test\n"));
        options.extend(["--hosts".to_owned(), text(hosts)]);
        if !self.authority_pem.is_empty() {
            let pem = place.write("world.pem", &self.authority_pem);
            options.extend(["--upstream-ca".to_owned(), text(pem)]);
        }
        options
    }
}

fn text(path: PathBuf) -> String {
    path.to_str().unwrap().to_owned()
}

fn handler(files: PathBuf, received: Arc<AtomicU64>) -> Handler {
    Arc::new(move |request| {
        let (files, received) = (files.clone(), Arc::clone(&received));
        Box::pin(async move {
            match answer(&files, &received, request).await {
                Ok(response) => response,
                Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
            }
        })
    })
}

async fn answer(
    files: &Path,
    received: &AtomicU64,
    request: Request<Incoming>,
) -> io::Result<Response<Body>> {
    let path = request.uri().path().to_owned();
    match path.split('/').nth(1).unwrap_or_default() {
        "hello" => Ok(plain(StatusCode::OK, "hello from outside")),
        "bytes" => Ok(filler(
            path.rsplit('/')
                .next()
                .and_then(|it| it.parse().ok())
                .unwrap_or(0),
        )),
        "sink" => sink(received, request.into_body()).await,
        "git" => git(files, request).await,
        _ => Ok(file(files, &path)),
    }
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let body = Full::new(text.into())
        .map_err(|never| match never {})
        .boxed();
    Response::builder().status(status).body(body).unwrap()
}

fn file(files: &Path, path: &str) -> Response<Body> {
    let mut at = files.join(path.trim_start_matches('/'));
    if at.is_dir() {
        at = at.join("index.html");
    }
    match std::fs::read(&at) {
        Ok(content) => {
            let mut response = plain(StatusCode::OK, content);
            // pip reads an index only if it says that it is one.
            if at.ends_with("index.html") && path.starts_with("/simple") {
                let kind = hyper::header::HeaderValue::from_static("text/html");
                response.headers_mut().insert("content-type", kind);
            }
            response
        }
        Err(_) => plain(StatusCode::NOT_FOUND, "no such file"),
    }
}

fn filler(length: u64) -> Response<Body> {
    let chunk = Bytes::from(FILLER.repeat(CHUNK_BYTES / FILLER.len()));
    let body = BodyExt::boxed(Filler {
        chunk,
        left: length,
    });
    Response::builder()
        .header("content-length", length)
        .body(body)
        .unwrap()
}

/// A body of so many bytes, never more than a chunk of them in memory.
struct Filler {
    chunk: Bytes,
    left: u64,
}

impl hyper::body::Body for Filler {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let size = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(self.chunk.len());
        self.left -= size as u64;
        Poll::Ready((size > 0).then(|| Ok(Frame::data(self.chunk.slice(..size)))))
    }
}

async fn sink(received: &AtomicU64, mut body: Incoming) -> io::Result<Response<Body>> {
    let mut total = 0;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(io::Error::other)?.into_data() {
            total += data.len() as u64;
            received.fetch_add(data.len() as u64, Ordering::Relaxed);
        }
    }
    Ok(plain(StatusCode::OK, total.to_string()))
}

/// Git's own server side, as a CGI program (git-http-backend(1), RFC 3875).
async fn git(files: &Path, request: Request<Incoming>) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let header = |name| {
        let value = head.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let path = head.uri.path().trim_start_matches("/git");
    let mut backend = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", files)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        // The repository may be another user's; it is this test's all the same.
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", head.method.as_str())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("REMOTE_USER", "test")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = backend.stdin.take().unwrap();
    tokio::spawn(async move { input.write_all(&body).await });
    let output = backend.wait_with_output().await?;
    cgi_response(&output.stdout)
}

fn cgi_response(output: &[u8]) -> io::Result<Response<Body>> {
    let end = output
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .ok_or_else(|| io::Error::other("the backend gave no head"))?;
    let head = String::from_utf8_lossy(&output[..end]);
    let mut response = plain(StatusCode::OK, output[end + 4..].to_vec());
    for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
        match name {
            "Status" => {
                let code = value.split(' ').next().unwrap_or_default();
                *response.status_mut() = code.parse().map_err(io::Error::other)?;
            }
            name => {
                let name: hyper::header::HeaderName = name.parse().map_err(io::Error::other)?;
                response
                    .headers_mut()
                    .append(name, value.parse().map_err(io::Error::other)?);
            }
        }
    }
    Ok(response)
}
