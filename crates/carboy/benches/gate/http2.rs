//! HTTP/2: streams that share one connection, through the gate and past it.

use std::convert::Infallible;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};

use hyper::client::conn::http2::{SendRequest, handshake};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::door::Door;
use crate::groups::{ROUNDS, STRETCH, block_on};
use crate::load::median;
use crate::origin::text;
use crate::subject::{Bench, HOST};
use crate::table::Table;

/// Streams that are kept busy.
const STREAMS: usize = 16;

pub(crate) fn http2(table: &mut Table) -> Result<()> {
    let bench = Bench::new()?;
    let mut origin_tls = ServerConfig::clone(&bench.origin_tls);
    origin_tls.alpn_protocols = vec![b"h2".to_vec()];
    let origin = start(origin_tls)?;
    let gate = bench.gate()?;
    let host = format!("{HOST}:{}", origin.port());
    let offering = |tls: Arc<rustls::ClientConfig>| {
        let mut tls = rustls::ClientConfig::clone(&tls);
        tls.alpn_protocols = vec![b"h2".to_vec()];
        Arc::new(tls)
    };
    let direct = Door {
        dial: origin,
        connect: None,
        tls: Some((HOST, offering(bench.direct_tls()?))),
        prefix: String::new(),
        host: host.clone(),
    };
    let intercepted = Door {
        dial: gate.address,
        connect: Some(host),
        tls: Some((HOST, offering(gate.tls.clone()))),
        ..direct.clone()
    };
    let (mut through, mut past) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        past.push(block_on(stretch(&direct))??);
        through.push(block_on(stretch(&intercepted))??);
    }
    let through = median(&mut through).context("a stretch")?;
    let past = median(&mut past).context("a stretch")?;
    table.add(
        &format!("HTTP/2 intercepted, 100 B, {STREAMS} streams of 1 connection"),
        "none set",
        &format!("{through}/s"),
        &format!("{past}/s"),
        &format!("{:.2} of direct", through as f64 / past as f64),
    );
    Ok(())
}

/// An origin that answers every request with 100 bytes, on a thread of its own.
fn start(tls: ServerConfig) -> Result<std::net::SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    thread::spawn(move || {
        let served = block_on(async move {
            let listener = TcpListener::from_std(listener)?;
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let acceptor = acceptor.clone();
                tokio::task::spawn_local(async move {
                    let stream = acceptor.accept(stream).await?;
                    let server = http2::Builder::new(Local);
                    let serving = server.serve_connection(TokioIo::new(stream), service_fn(answer));
                    // A client that goes away is no failure.
                    let _ = serving.await;
                    anyhow::Ok(())
                });
            }
            #[expect(unreachable_code, reason = "the loop's type")]
            anyhow::Ok(())
        });
        eprintln!("the HTTP/2 origin ended: {served:?}");
    });
    Ok(address)
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(&text()[..100]))))
}

/// Answers a second.
async fn stretch(door: &Door) -> Result<u64> {
    let stream = door.open().await?;
    let (sender, connection) = handshake(Local, TokioIo::new(stream)).await?;
    tokio::task::spawn_local(connection);
    let start = Instant::now();
    let end = start + STRETCH;
    let asking: Vec<_> = (0..STREAMS)
        .map(|_| tokio::task::spawn_local(ask_until(sender.clone(), door.host.clone(), end)))
        .collect();
    let mut answers = 0;
    for one in asking {
        answers += one.await??;
    }
    Ok((answers as f64 / start.elapsed().as_secs_f64()) as u64)
}

async fn ask_until(
    mut sender: SendRequest<Empty<Bytes>>,
    host: String,
    end: Instant,
) -> Result<u64> {
    let mut answers = 0;
    while Instant::now() < end {
        let request = Request::get(format!("https://{host}/100")).body(Empty::new())?;
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        ensure!(response.status() == 200, "answered: {}", response.status());
        let body = response.into_body().collect().await?.to_bytes();
        ensure!(body.len() == 100, "the answer is cut");
        answers += 1;
    }
    Ok(answers)
}

/// Runs HTTP/2's own tasks on the thread that it is on.
#[derive(Clone, Copy)]
struct Local;

impl<F: Future<Output: 'static> + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}
