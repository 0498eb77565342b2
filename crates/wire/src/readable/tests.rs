use super::*;

const BASE: &str = "https://docs.example/guide/start?x";

fn text(html: &str) -> String {
    read(html, BASE, Style::Text).content
}

fn markdown(html: &str) -> String {
    read(html, BASE, Style::Markdown).content
}

#[test]
fn text_is_what_a_reader_sees() {
    for (html, expect) in [
        ("<p>One  two\n three</p><p>Four", "One two three\n\nFour"),
        ("a<b>b</b>c <i>d</i>, e", "abc d, e"),
        ("ig<b>nore</b> <span>all</span>", "ignore all"),
        ("x<script>var a = '<p>no</p>';</script>y", "xy"),
        ("x<style>p { }</style>y<!-- c -->z", "xyz"),
        ("<p hidden>no<p>yes</p>", "yes"),
        ("<p hidden>no</p>yes", "yes"),
        ("<div style='display: none'>a<div>b</div>c</div>d", "d"),
        ("<div aria-hidden=true>a</div>b", "b"),
        ("a &amp; b &lt;c&gt; &#x41;", "a & b <c> A"),
        ("one<br>two", "one\ntwo"),
        (
            "<ul><li>a<li>b<ol><li>c</li><li>d</ol></ul>",
            "- a\n- b\n  1. c\n  2. d",
        ),
        ("<ul><li><p>a</p></li><li><p>b</p></li></ul>", "- a\n- b"),
        (
            "<table><tr><th>a<th>b<tr><td>1<td>2</table>",
            "a | b\n1 | 2",
        ),
        ("<pre>\n  a\n    b\n</pre>c", "  a\n    b\n\nc"),
        ("<img src=i.png alt='A cat'><img src=j.png>", "[A cat]"),
        ("<h1>T</h1>text", "T\n\ntext"),
        ("<p>open <a href=/x>link", "open link"),
        ("", ""),
        ("no tags", "no tags"),
        ("a < b > c <", "a < b > c <"),
    ] {
        assert_eq!(text(html), expect, "{html}");
    }
}

#[test]
fn markdown_keeps_headings_links_and_code() {
    for (html, expect) in [
        ("<h2>T</h2>x", "## T\n\nx"),
        (
            "a <a href='../b'>link</a> c",
            "a [link](https://docs.example/b) c",
        ),
        (
            "<a href='#top'>top</a> <a href='javascript:x()'>x</a>",
            "top x",
        ),
        ("use <code>ls -l</code> now", "use `ls -l` now"),
        ("<pre>a\nb</pre>", "```\na\nb\n```"),
        ("<pre><code>a\nb</code></pre>c", "```\na\nb\n```\n\nc"),
        ("<blockquote><p>a</p><p>b</blockquote>c", "> a\n\n> b\n\nc"),
        (
            "<table><tr><th>a<th>b</tr><tr><td>1<td>2</tr></table>",
            "| a | b |\n| --- | --- |\n| 1 | 2 |",
        ),
        (
            "<img src=/i.png alt=Cat>",
            "![Cat](https://docs.example/i.png)",
        ),
        ("a<hr>b", "a\n\n---\n\nb"),
    ] {
        assert_eq!(markdown(html), expect, "{html}");
    }
}

#[test]
fn the_main_content_is_told_from_what_is_around_it() {
    let long = "The content of this page. ".repeat(8);
    let around = "<header>Site</header><nav><a href=/a>Menu</a></nav>";
    for (html, has, lacks) in [
        (
            format!("{around}<main><header>Head</header>{long}</main><footer>Foot</footer>"),
            "Head",
            "Foot",
        ),
        (
            format!("{around}<p>before</p><article>{long}</article>after"),
            "The content",
            "before",
        ),
        (
            format!("{around}<article>short</article><p>rest</p>"),
            "rest",
            "Menu",
        ),
        (
            format!("{around}<main>{long}<aside>ads</aside></main>"),
            "The content",
            "ads",
        ),
        ("<nav>only this</nav>".to_owned(), "only this", "-"),
    ] {
        let content = text(&html);
        assert!(
            content.contains(has) && !content.contains(lacks),
            "{content}"
        );
    }
}

#[test]
fn titles_and_links_are_told() {
    let html = "<html><head><title> A\n page &amp; more </title><base href='/root/'></head>
        <body><svg><title>icon</title></svg><a href=one>One</a><a href=one>One</a>
        <a href='mailto:a@b.example'>mail</a><a href='file:///etc/passwd'>no</a><a href=two> </a>";
    let page = read(html, BASE, Style::Text);
    assert_eq!(page.title.as_deref(), Some("A page & more"));
    let links: Vec<_> = page.links.iter().map(|it| (&*it.text, &*it.url)).collect();
    let expect = [
        ("One", "https://docs.example/root/one"),
        ("mail", "mailto:a@b.example"),
    ];
    assert_eq!(links, expect);
    let many: String = (0..LINKS_MAX + 9)
        .map(|n| format!("<a href=/{n}>{n}</a>"))
        .collect();
    assert_eq!(read(&many, BASE, Style::Text).links.len(), LINKS_MAX);
}

#[test]
fn html_is_told_by_type_and_by_beginning() {
    for (kind, content, expect) in [
        (Some("text/html; charset=utf-8"), "", true),
        (Some("application/xhtml+xml"), "", true),
        (Some("text/plain"), "<html>", false),
        (None, " <!DOCTYPE html><p>", true),
        (None, "<html lang=en><p>", true),
        (None, "{\"a\": 1}", false),
        (Some(""), "<HTML><head><title>", true),
    ] {
        assert_eq!(is_html(kind, content), expect, "{kind:?} {content}");
    }
}
