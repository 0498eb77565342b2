//! What content is by its first bytes, whatever its head says (WHATWG MIME Sniffing, sections 6 and 7).

use memchr::memmem;

/// What content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sniffed {
    /// HTML.
    Page,
    /// Something that a machine runs.
    Program,
    Picture,
    /// Known, and none of those.
    Other,
}

const PICTURES: [&[u8]; 7] = [
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF87a",
    b"GIF89a",
    b"BM",
    b"\0\0\x01\0",
    b"RIFF",
];

const PROGRAMS: [&[u8]; 9] = [
    b"\x7fELF",
    b"\xfe\xed\xfa\xce",
    b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
    b"\0asm",
    b"#!/",
    b"#! /",
];

const OTHERS: [&[u8]; 4] = [b"%PDF-", b"PK\x03\x04", b"\x1f\x8b\x08", b"<?xml"];

/// Tags that begin a page (section 7.1), each followed by a space or `>`.
const TAGS: [&[u8]; 16] = [
    b"<!doctype html",
    b"<html",
    b"<head",
    b"<script",
    b"<iframe",
    b"<h1",
    b"<div",
    b"<font",
    b"<table",
    b"<a",
    b"<style",
    b"<title",
    b"<b",
    b"<body",
    b"<br",
    b"<p",
];

/// What content is, where that is known.
pub(super) fn of(head: &[u8]) -> Option<Sniffed> {
    if begins_page(head) {
        return Some(Sniffed::Page);
    }
    let begins = |marks: &[&[u8]]| marks.iter().any(|mark| head.starts_with(mark));
    if begins(&PROGRAMS) || begins_dos_program(head) {
        return Some(Sniffed::Program);
    }
    if begins(&PICTURES) {
        return Some(Sniffed::Picture);
    }
    begins(&OTHERS).then_some(Sniffed::Other)
}

fn begins_page(head: &[u8]) -> bool {
    let text = past_comments(text(head));
    TAGS.iter().any(|tag| {
        let own = text.get(..tag.len());
        let next = text.get(tag.len());
        own.is_some_and(|own| own.eq_ignore_ascii_case(tag))
            && next.is_some_and(|next| next.is_ascii_whitespace() || *next == b'>')
    })
}

/// Content after the comments that it begins with.
fn past_comments(mut text: &[u8]) -> &[u8] {
    while let Some(comment) = text.strip_prefix(b"<!--") {
        let Some(end) = memmem::find(comment, b"-->") else {
            return text;
        };
        text = comment[end + 3..].trim_ascii_start();
    }
    text
}

/// A program's own header follows where the first one says (Microsoft PE format, section 2).
fn begins_dos_program(head: &[u8]) -> bool {
    let Some(place) = head.get(0x3c..0x40).filter(|_| head.starts_with(b"MZ")) else {
        return false;
    };
    let place = u32::from_le_bytes([place[0], place[1], place[2], place[3]]) as usize;
    head.get(place..)
        .is_some_and(|own| own.starts_with(b"PE\0\0"))
}

/// Whether a picture's first bytes hold what a server or a browser would run.
pub(super) fn holds_script(head: &[u8]) -> bool {
    const MARKS: [&[u8]; 4] = [b"<script", b"<?php", b"<html", b"<!doctype html"];
    let lower = head.to_ascii_lowercase();
    MARKS
        .iter()
        .any(|mark| memmem::find(&lower, mark).is_some())
}

/// Whether content may be XML or HTML, as far as it is there.
pub(super) fn may_be_markup(head: &[u8]) -> bool {
    const MARK: &[u8] = b"\xef\xbb\xbf";
    let is_begun = head.len() < MARK.len() && MARK.starts_with(head);
    is_begun || matches!(text(head).first(), None | Some(b'<'))
}

/// Content without what may stand before it.
fn text(head: &[u8]) -> &[u8] {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    head.trim_ascii_start()
}
