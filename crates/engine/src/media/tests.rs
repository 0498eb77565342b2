//! Drawings and pretences, each whole and byte by byte.

use super::{Declared, Seen, Watch, active_parts};

fn declared(kind: &str) -> Declared {
    let mut declared = Declared::default();
    if !kind.is_empty() {
        declared.hear("Content-Type", kind.as_bytes());
    }
    declared
}

fn watch(kind: &str, content: &[u8], piece: usize) -> Vec<&'static str> {
    let Some(mut watch) = Watch::of(&declared(kind)) else {
        return Vec::new();
    };
    let mut seen: Vec<Seen> = content
        .chunks(piece)
        .flat_map(|piece| watch.feed(piece))
        .collect();
    seen.extend(watch.end());
    let mut ids: Vec<_> = seen.iter().map(|own| own.rule.id).collect();
    ids.dedup();
    ids
}

/// What is seen in an SVG drawing, and what is left of it when that is cut.
const DRAWINGS: &[(&str, &str, &str)] = &[
    (
        "<svg><path d='M0 0'/></svg>",
        "",
        "<svg><path d='M0 0'/></svg>",
    ),
    (
        "<svg><a href='https://x.example/'>x</a></svg>",
        "",
        "<svg><a href='https://x.example/'>x</a></svg>",
    ),
    (
        "<svg><use href='#a'/><rect style='fill:url(#g)'/></svg>",
        "",
        "<svg><use href='#a'/><rect style='fill:url(#g)'/></svg>",
    ),
    (
        "<svg><image href='data:image/png;base64,AA=='/></svg>",
        "",
        "<svg><image href='data:image/png;base64,AA=='/></svg>",
    ),
    (
        "<svg><!-- <script> --><text>one &lt;script&gt;</text></svg>",
        "",
        "<svg><!-- <script> --><text>one &lt;script&gt;</text></svg>",
    ),
    (
        "<svg><script>alert(1)</script><g/></svg>",
        "svg-script",
        "<svg><g/></svg>",
    ),
    (
        "<svg><script href='x.js'/><g/></svg>",
        "svg-script",
        "<svg><g/></svg>",
    ),
    (
        "<svg><script><script></script></script><g/></svg>",
        "svg-script",
        "<svg><g/></svg>",
    ),
    (
        "<svg><x:SCRIPT>1</x:SCRIPT></svg>",
        "svg-script",
        "<svg></svg>",
    ),
    ("<svg><script>1", "svg-script", "<svg>"),
    (
        "<svg onload='x()' width='1'></svg>",
        "svg-script",
        "<svg  width='1'></svg>",
    ),
    (
        "<svg><g onClick = \"x()\"/></svg>",
        "svg-script",
        "<svg><g /></svg>",
    ),
    (
        "<svg><a href='java&#115;cript:x()'>y</a></svg>",
        "svg-script",
        "<svg><a >y</a></svg>",
    ),
    (
        "<svg><a xlink:href=' java\tscript:x()'>y</a></svg>",
        "svg-script",
        "<svg><a >y</a></svg>",
    ),
    (
        "<svg><set attributeName='onload' to='x()'/></svg>",
        "svg-script",
        "<svg><set  to='x()'/></svg>",
    ),
    (
        "<svg><animate values='#a;javascript:x()'/></svg>",
        "svg-script",
        "<svg><animate /></svg>",
    ),
    (
        "<!DOCTYPE svg [<!ENTITY a 'b'>]><svg>&a;</svg>",
        "svg-script",
        "<svg>&a;</svg>",
    ),
    (
        "<svg><foreignObject><p>hi</p></foreignObject></svg>",
        "svg-foreign",
        "<svg></svg>",
    ),
    (
        "<svg><image href='https://x.example/p'/></svg>",
        "svg-external",
        "<svg><image /></svg>",
    ),
    (
        "<svg><use xlink:href='//x.example/p#a'/></svg>",
        "svg-external",
        "<svg><use /></svg>",
    ),
    (
        "<svg><rect style='fill:url(\"https://x.example/\")'/></svg>",
        "svg-external",
        "<svg><rect /></svg>",
    ),
    (
        "<svg><style>@import 'https://x.example/';</style></svg>",
        "svg-external",
        "<svg><style></style></svg>",
    ),
    (
        "<svg><style>a{fill:url(#b)}</style></svg>",
        "",
        "<svg><style>a{fill:url(#b)}</style></svg>",
    ),
    (
        "<?xml-stylesheet href='https://x.example/'?><svg/>",
        "svg-external",
        "<svg/>",
    ),
];

#[test]
fn the_active_parts_of_drawings_are_seen_and_can_be_cut() {
    for (drawing, expect, left) in DRAWINGS {
        for kind in [
            "image/svg+xml",
            "IMAGE/SVG+XML; charset=utf-8",
            "application/xml",
            "",
        ] {
            for piece in [1, 7, 4096] {
                let seen = watch(kind, drawing.as_bytes(), piece).join(" ");
                assert_eq!(seen, *expect, "{kind} in pieces of {piece}: {drawing}");
            }
        }
        let mut rest = drawing.as_bytes().to_vec();
        for part in active_parts(&declared("image/svg+xml"), drawing.as_bytes())
            .iter()
            .rev()
        {
            rest.drain(part.range.start as usize..part.range.end as usize);
        }
        assert_eq!(String::from_utf8_lossy(&rest), *left, "{drawing}");
        assert!(watch("image/svg+xml", &rest, 4096).is_empty(), "{left}");
    }
}

/// What hides an active part behind something long, or spells it as only browsers read it.
#[test]
fn active_parts_are_seen_however_they_are_hidden() {
    let long = |text: &str| text.repeat(20_000 / text.len());
    let cases = [
        (
            "svg-script",
            format!("<svg><a href='{}javascript:x()'/></svg>", long(" ")),
        ),
        (
            "svg-script",
            format!("<svg><a href='{}javascript:x()'/></svg>", long("&#x20;")),
        ),
        (
            "svg-script",
            format!(
                "<svg><animate values='{}javascript:x()'/></svg>",
                long("#a;")
            ),
        ),
        (
            "svg-script",
            format!("<svg><a href='&#{}106;avascript:x()'/></svg>", long("0")),
        ),
        (
            "svg-script",
            "<svg><a href='&#x0000000000006A;avascript:x()'/></svg>".to_owned(),
        ),
        (
            "svg-script",
            format!("<svg><{}:script>x()</{0}:script></svg>", long("p")),
        ),
        (
            "svg-script",
            format!("<!--{}--><svg onload='x()'/>", long("a ")),
        ),
        (
            "svg-script",
            "<svg><set attributeName='xlink:href' to='x'/></svg>".to_owned(),
        ),
        (
            "svg-script",
            "<!DOCTYPE svg [<!ATTLIST svg onload CDATA 'x()'>]><svg/>".to_owned(),
        ),
        (
            "svg-script",
            format!(
                "<!DOCTYPE svg [<!--{}--><!ENTITY a 'b'>]><svg/>",
                long("a ")
            ),
        ),
        (
            "svg-script",
            "<!DOCTYPE svg [<!-- ]> --><!ENTITY a '<script>x()</script>'>]><svg/>".to_owned(),
        ),
        (
            "svg-script",
            "<!DOCTYPE svg [<!-- ' --><!ENTITY a 'b'>]><svg/>".to_owned(),
        ),
        (
            "svg-script",
            "<!DOCTYPE svg [<?x ' ?><!ENTITY a 'b'>]><svg/>".to_owned(),
        ),
        (
            "svg-script",
            "<!DOCTYPE svg PUBLIC ']>' '['[<!ENTITY a ']>'>]><svg/>".to_owned(),
        ),
        (
            "svg-external",
            format!(
                "<svg><g style='{}fill:url(http://x.example/)'/></svg>",
                long("a:b;")
            ),
        ),
        (
            "svg-external",
            format!("<svg><style>{}@import 'x'</style></svg>", long("a{b:c}")),
        ),
        (
            "svg-external",
            "<svg><style>@&#105;mport 'x'</style></svg>".to_owned(),
        ),
        (
            "svg-external",
            "<svg><style>@im<!-- -->port 'x'</style></svg>".to_owned(),
        ),
        (
            "svg-external",
            "<svg><g style='fill:u\\72 l( \"\\68ttp://x.example/)'/></svg>".to_owned(),
        ),
        (
            "svg-external",
            "<svg><g style='fill:image-set(\"a\" 1x,\"https://x.example/\" 2x)'/></svg>".to_owned(),
        ),
        (
            "svg-external",
            "<svg><image href='\\\\x.example/a'/></svg>".to_owned(),
        ),
        (
            "svg-external",
            "<svg><h:meta http-equiv='refresh' content='0;url=a'/></svg>".to_owned(),
        ),
        ("svg-foreign", "<svg><h:frame src='a'/></svg>".to_owned()),
        ("", format!("<svg><path d='M{}'/></svg>", long("0 1;"))),
        (
            "",
            format!(
                "<svg><image href='data:image/png;base64,{}'/></svg>",
                long("//http")
            ),
        ),
        (
            "",
            "<svg xmlns:href='http://x.example/' xmlns='http://www.w3.org/2000/svg'/>".to_owned(),
        ),
        (
            "",
            "<!DOCTYPE svg PUBLIC '-//W3C//DTD' 'http://x.example/a.dtd' [<!ELEMENT a ANY>]><svg/>"
                .to_owned(),
        ),
        (
            "",
            "<svg><text title='a &amp;#106; &b c; 50% & more'/></svg>".to_owned(),
        ),
        (
            "",
            "<svg><style>@font-face{src:url(data:font/woff;base64,AA//)}</style></svg>".to_owned(),
        ),
    ];
    for (expect, drawing) in cases {
        for kind in ["image/svg+xml", "text/xml"] {
            for piece in [1, 4096] {
                let seen = watch(kind, drawing.as_bytes(), piece).join(" ");
                assert_eq!(seen, expect, "{kind} in pieces of {piece}: {drawing:.80}");
            }
        }
    }
}

#[test]
fn what_is_no_drawing_is_not_read_as_one() {
    let page = b"<html><body onload='x()'><svg><script>1</script></svg>";
    for (kind, content) in [
        ("text/html", &page[..]),
        ("", page),
        ("application/json", b"{\"a\": \"<svg onload=x>\"}"),
        ("text/plain", b"To draw: <svg onload='x()'>"),
        (
            "text/xml",
            b"<project><script>x</script><a href='javascript:x'/></project>",
        ),
    ] {
        assert!(watch(kind, content, 4096).is_empty(), "{kind}");
    }
    let wide: Vec<u8> = "<svg onload='x()'/>"
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    assert_eq!(watch("image/svg+xml", &wide, 4096), ["svg-unreadable"]);
    assert_eq!(
        watch("image/svg+xml", b"\x1f\x8b\x08\0", 4096),
        ["svg-unreadable"]
    );
}

#[test]
fn pretences_are_seen() {
    let mut program = vec![0; 0x80];
    program[..2].copy_from_slice(b"MZ");
    program[0x3c] = 0x60;
    program[0x60..0x64].copy_from_slice(b"PE\0\0");
    let cases: &[(&str, &[u8], &str)] = &[
        ("image/png", b"\x89PNG\r\n\x1a\n rest", ""),
        ("image/jpeg", b"\xff\xd8\xff\xe1 <x:xmpmeta> ", ""),
        ("video/mp4", b"\0\0\0\x18ftypmp42", ""),
        ("image/png", b"Not found", ""),
        ("image/png", b"", ""),
        ("image/png", b" <!DOCTYPE html><p>x", "disguised-page"),
        ("font/woff2", b"<script>x</script>", "disguised-page"),
        ("image/gif", b"GIF89a/*<script>x</script>", "polyglot"),
        (
            "image/jpeg",
            b"\xff\xd8\xff\xe1 <?php system($_GET[0]) ?>",
            "polyglot",
        ),
        ("image/png", b"\x7fELF\x02\x01\x01", "disguised-program"),
        ("audio/mpeg", b"#!/bin/sh\n", "disguised-program"),
        ("image/png", &program, "disguised-program"),
        ("audio/mpeg", b"#! /bin/sh\n", "disguised-program"),
        (
            "image/png",
            b"<!-- a --> <!-- b --><script>x</script>",
            "disguised-page",
        ),
        ("image/png", b"<!-- a --><svg/>", ""),
        ("image/png", b"%PDF-1.7", "content-mismatch"),
        ("application/octet-stream", b"\x7fELF\x02\x01\x01", ""),
        ("text/plain", b"#!/bin/sh\n", ""),
    ];
    for (kind, content, expect) in cases {
        for piece in [1, 4096] {
            let seen = watch(kind, content, piece).join(" ");
            assert_eq!(seen, *expect, "{kind} {}", String::from_utf8_lossy(content));
        }
    }
}

#[test]
fn a_part_that_begins_within_is_not_judged_by_its_first_bytes() {
    let mut rest = declared("image/png");
    rest.hear("content-range", b"bytes 100-199/200");
    assert!(Watch::of(&rest).is_none());
    let mut first = declared("image/png");
    first.hear("content-range", b"bytes 0-199/200");
    assert!(Watch::of(&first).is_some());
}
