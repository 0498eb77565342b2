//! What vetting a client's bytes costs, beside what parsing them costs.

use carboy_wire::http1::Framing;

const HEAD: &[u8] = b"POST /v1/messages?beta=true HTTP/1.1\r\n\
    Host: api.example.com\r\n\
    User-Agent: agent/1.2.3 (external, cli)\r\n\
    Accept: application/json\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9\r\n\
    Authorization: Bearer 0123456789abcdef0123456789abcdef0123456789abcdef\r\n\
    Connection: keep-alive\r\n\
    Content-Type: application/json\r\n\
    Cache-Control: no-cache\r\n\
    X-Request-Id: 0190b1c2-7e11-7c3c-9f3a-5f6d2a4f0c11\r\n\
    Content-Length: 0\r\n\r\n";

fn main() {
    divan::main();
}

#[divan::bench]
fn vet_a_head(bencher: divan::Bencher<'_, '_>) {
    bencher
        .counter(divan::counter::BytesCount::new(HEAD.len()))
        .bench(|| Framing::new().advance(divan::black_box(HEAD)));
}

#[divan::bench]
fn httparse_a_head(bencher: divan::Bencher<'_, '_>) {
    bencher
        .counter(divan::counter::BytesCount::new(HEAD.len()))
        .bench(|| {
            let mut fields = [httparse::EMPTY_HEADER; 32];
            let mut request = httparse::Request::new(&mut fields);
            let parsed = request.parse(divan::black_box(HEAD));
            parsed.is_ok_and(|status| status.is_complete())
        });
}

#[divan::bench]
fn vet_a_mebibyte_in_chunks(bencher: divan::Bencher<'_, '_>) {
    let chunk = [b"4000\r\n", &b"x".repeat(0x4000)[..], b"\r\n"].concat();
    let mut bytes = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    bytes.extend_from_slice(&chunk.repeat(64));
    bencher
        .counter(divan::counter::BytesCount::new(bytes.len()))
        .bench(|| Framing::new().advance(divan::black_box(&bytes)));
}
