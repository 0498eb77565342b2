//! What a crossing holds: each kind of surface, and streams.

use super::course::Patience;
use super::{Inspection, hidden};
use crate::crossing::{CrossingKind, Direction, Surface, SurfaceKind, Time};
use crate::detect::Check;
use crate::entropy::{self, Load, Where};
use crate::finding::{Action, Class, Finding, Locus, Severity};
use crate::host::Host;
use crate::known::is_piece;
use crate::refusal::{self, Way};
use crate::rules::Rule;
use crate::scan::{BudgetSpent, EventForm, Parties, Sighting, Stream};
use crate::session::{Meter, Session};
use crate::{presigned, shape};

/// The longest `content-encoding` that is kept: ten codings.
const ENCODING_BYTES_MAX: usize = 128;
/// The longest path that exemptions are matched against.
const PATH_BYTES_MAX: usize = 4096;
/// The longest name of a surface that a finding repeats. A longer one may be content.
const NAME_BYTES_MAX: usize = 48;
/// Segments of a path that are followed over crossings.
const SEGMENTS_MAX: usize = 16;
/// No credential that a rule describes is shorter.
const CUT_BYTES_MIN: usize = 16;

impl Inspection {
    pub(super) fn push_host(&mut self, raw: &[u8], now: Time) {
        let same = matches!(&self.target.host, Host::Name(name) if name.as_bytes() == raw);
        if !same {
            self.scan(SurfaceKind::Host, "", raw, now);
        }
    }

    pub(super) fn push_url(&mut self, url: &[u8], now: Time) {
        let parts = shape::Parts::of(url);
        self.keep_path(parts.path(url));
        self.signed = presigned::Form::of(parts.query(url).strip_prefix(b"?").unwrap_or_default());
        let mut wrong = Vec::new();
        let length_max = self.engine.policy.limits().url_bytes as usize;
        shape::judge(url, length_max, &mut wrong);
        for (rule, at) in wrong {
            self.sight(rule, SurfaceKind::Url, "", at, url, now);
        }
        if self.is_stopped() {
            return;
        }
        let mut found = Vec::new();
        let scanned = self.scan_into(SurfaceKind::Url, url, &mut found);
        self.settle_scan(scanned, SurfaceKind::Url);
        for sighting in found {
            let offset = usize::try_from(sighting.offset).unwrap_or(usize::MAX);
            let (kind, key) = parts.locate(url, offset);
            self.judge(sighting, kind, &shown_name(key), now);
        }
        self.url.clear();
        self.url
            .extend_from_slice(&url[..url.len().min(length_max)]);
    }

    pub(super) fn keep_path(&mut self, path: &[u8]) {
        let path = &path[..path.len().min(PATH_BYTES_MAX)];
        self.path = String::from_utf8_lossy(path).into_owned();
    }

    /// Whether the scan of the URL has seen these bytes.
    pub(super) fn is_seen(&self, bytes: &[u8]) -> bool {
        memchr::memmem::find(&self.url, bytes).is_some()
    }

    pub(super) fn push_path(&mut self, next: Surface<'_>, session: &Session, now: Time) {
        self.keep_path(next.bytes);
        // That of a message was judged when its WebSocket was opened.
        let is_message = self.kind == CrossingKind::WsMessage;
        if self.kind.direction() == Direction::Inbound || is_message {
            return;
        }
        if !self.is_seen(next.bytes) {
            self.scan(next.kind, next.name, next.bytes, now);
        }
        for part in next.bytes.split(|b| matches!(b, b'/' | b';')) {
            self.segments.add(part);
        }
        for segment in next.bytes.split(|b| *b == b'/') {
            let part = Surface {
                bytes: segment,
                ..next
            };
            self.judge_load(part, Where::Segment, session, now);
        }
        // How deep a segment is tells its place.
        for (depth, segment) in next
            .bytes
            .split(|b| *b == b'/')
            .enumerate()
            .take(SEGMENTS_MAX)
        {
            let part = Surface {
                bytes: segment,
                name: &depth.to_string(),
                ..next
            };
            self.trail(part, session, now);
        }
    }

    pub(super) fn push_query(&mut self, next: Surface<'_>, session: &Session, now: Time) {
        if !self.is_seen(next.bytes) {
            self.scan(next.kind, next.name, next.bytes, now);
        }
        self.queries.add(next.bytes);
        self.trail(next, session, now);
        let place = self.place_of_item(next.name.as_bytes());
        self.judge_load(next, place, session, now);
    }

    pub(super) fn push_header(&mut self, next: Surface<'_>, session: &Session, now: Time) {
        if next.name.eq_ignore_ascii_case("content-encoding") && next.kind == SurfaceKind::Header {
            self.keep_encoding(next.bytes);
        }
        if next.name.eq_ignore_ascii_case("content-type") && next.kind == SurfaceKind::Header {
            self.is_form = hidden::is_form(next.bytes);
            self.events = EventForm::of(next.bytes);
        }
        if next.kind == SurfaceKind::Header {
            self.hear_of_content(next.name, next.bytes);
        }
        match next.name.eq_ignore_ascii_case("cookie") {
            true => crumbs(next.bytes).for_each(|crumb| self.headers.add(crumb)),
            false => self.headers.add(next.bytes),
        }
        if self.is_clean(next.kind, next.bytes) {
            return;
        }
        let mut found = Vec::new();
        let scanned = self.scan_afresh(next.kind, next.bytes, &mut found);
        let is_clean = scanned.is_ok() && found.is_empty();
        self.settle_scan(scanned, next.kind);
        for sighting in found {
            self.judge(sighting, next.kind, &shown_name(next.name.as_bytes()), now);
        }
        let load = self.judge_load(next, entropy::place_of_header(next.name), session, now);
        if is_clean && load == Load::default() {
            self.keep_clean(next.kind, next.bytes);
        }
    }

    pub(super) fn keep_encoding(&mut self, value: &[u8]) {
        let value = String::from_utf8_lossy(&value[..value.len().min(ENCODING_BYTES_MAX)]);
        if self.encoding.len() + value.len() <= 2 * ENCODING_BYTES_MAX {
            if !self.encoding.is_empty() {
                self.encoding.push_str(", ");
            }
            self.encoding.push_str(&value);
        }
    }

    /// A credential cut over several segments of a path, query items, cookies, headers or arguments is
    /// whole where they meet.
    pub(super) fn judge_joined(&mut self, now: Time) {
        if self.kind.direction() == Direction::Inbound {
            return;
        }
        let segments = std::mem::take(&mut self.segments);
        let queries = std::mem::take(&mut self.queries);
        let headers = std::mem::take(&mut self.headers);
        let texts = std::mem::take(&mut self.texts);
        for (joined, kind) in [
            (segments, SurfaceKind::Path),
            (queries, SurfaceKind::Query),
            (headers, SurfaceKind::Header),
            (texts, SurfaceKind::Argument),
        ] {
            let is_short = joined.bytes().len() < CUT_BYTES_MIN;
            if joined.pieces() < 2 || is_short || self.is_stopped() {
                continue;
            }
            let mut found = Vec::new();
            let scanned = self.scan_into(kind, joined.bytes(), &mut found);
            self.settle_scan(scanned, kind);
            found.retain(|own| {
                own.rule.class == Class::Secret
                    && own.severity >= Severity::High
                    // What is known by its surroundings is not known by those of the next value.
                    && !own.rule.checks.contains(&Check::Setting)
                    && joined.is_cut(own.offset, own.len)
                    && !self.docket.has(own.rule.id, kind)
            });
            for sighting in found {
                self.judge(sighting, kind, "", now);
            }
        }
    }

    pub(super) fn push_stream(&mut self, next: Surface<'_>, session: &Session, now: Time) -> usize {
        let meter = Meter::of(self.kind.direction());
        self.take_in(next.bytes.len() as u64);
        self.spend(meter, next.bytes.len() as u64, session, now);
        if self.is_stopped() {
            return 0;
        }
        let mut stream = self
            .stream
            .take()
            .unwrap_or_else(|| self.open_stream(next.kind));
        if let Some((_, said)) = &mut self.conversation {
            said.add(next.bytes);
        }
        let mut found = Vec::new();
        let mut budget = std::mem::take(&mut self.budget);
        let bench = self.bench(now);
        let holds = |own: &Sighting| {
            !self.is_audit() && bench.action(own, next.kind) >= Some(Action::Redact)
        };
        let released = stream.push(
            &self.engine.scanner,
            next.bytes,
            &holds,
            &mut budget,
            &mut found,
        );
        self.budget = budget;
        for sighting in found {
            self.judge(sighting, next.kind, "", now);
        }
        let mut of_events = 0;
        if stream.is_of_events() && !self.is_stopped() {
            of_events = self.judge_events(&mut stream, Patience::More, session, now);
        }
        self.stream = Some(stream);
        match released {
            Ok(released) => released + of_events,
            Err(BudgetSpent) => {
                self.settle_scan(Err(BudgetSpent), next.kind);
                next.bytes.len()
            }
        }
    }

    pub(super) fn open_stream(&self, kind: SurfaceKind) -> Stream {
        let encoding =
            (!self.encoding.is_empty() && kind == SurfaceKind::Body).then_some(&*self.encoding);
        let stream = Stream::new(kind, self.kind.direction(), encoding);
        let stream = stream.watched(self.watch(kind));
        match self.events.filter(|_| kind == SurfaceKind::Body) {
            Some(form) => stream.of_events(form),
            None => stream,
        }
    }

    /// What may be released of a stream whose next bytes are not at hand.
    pub(super) fn lull_stream(&mut self, now: Time) -> usize {
        let Some(mut stream) = self.stream.take() else {
            return 0;
        };
        let kind = self.stream_kind();
        let bench = self.bench(now);
        let holds =
            |own: &Sighting| !self.is_audit() && bench.action(own, kind) >= Some(Action::Redact);
        let released = stream.lull(&self.engine.scanner, &holds);
        self.stream = Some(stream);
        released
    }

    pub(super) fn pause_stream(&mut self, session: &Session, now: Time) -> usize {
        let Some(mut stream) = self.stream.take() else {
            return 0;
        };
        if stream.is_of_events() {
            let released = self.judge_events(&mut stream, Patience::Last, session, now);
            self.stream = Some(stream);
            return released;
        }
        let kind = self.stream_kind();
        let mut found = Vec::new();
        let bench = self.bench(now);
        let holds =
            |own: &Sighting| !self.is_audit() && bench.action(own, kind) >= Some(Action::Redact);
        let released = stream.pause(&self.engine.scanner, &holds, &mut found);
        self.stream = Some(stream);
        for sighting in found {
            self.judge(sighting, kind, "", now);
        }
        released
    }

    fn stream_kind(&self) -> SurfaceKind {
        match self.kind {
            CrossingKind::TcpConnection | CrossingKind::TcpResponse | CrossingKind::Tunnel => {
                SurfaceKind::Stream
            }
            CrossingKind::DnsQuery | CrossingKind::HttpRequest | CrossingKind::HttpResponse => {
                SurfaceKind::Body
            }
            CrossingKind::McpRequest | CrossingKind::McpResponse => SurfaceKind::Message,
            CrossingKind::WsMessage | CrossingKind::WsReply => SurfaceKind::WsMessage,
        }
    }

    pub(super) fn finish_stream(&mut self, session: &Session, now: Time) {
        let Some(mut stream) = self.stream.take() else {
            return;
        };
        let kind = self.stream_kind();
        let mut found = Vec::new();
        let mut budget = std::mem::take(&mut self.budget);
        let bench = self.bench(now);
        let holds =
            |own: &Sighting| !self.is_audit() && bench.action(own, kind) >= Some(Action::Redact);
        let ended = stream.finish(&self.engine.scanner, &holds, &mut budget, &mut found);
        self.budget = budget;
        self.settle_scan(ended, kind);
        for sighting in found {
            self.judge(sighting, kind, "", now);
        }
        if stream.is_of_events() && !self.is_stopped() {
            self.judge_events(&mut stream, Patience::Last, session, now);
        }
    }

    /// What is cut over messages is whole where they meet.
    pub(super) fn judge_sequel(&mut self, now: Time) {
        let Some((conversation, said)) = self.conversation.take() else {
            return;
        };
        let seam = conversation.memory().join(&said);
        if !seam.bytes.is_empty() && !self.is_stopped() {
            let kind = self.stream_kind();
            let mut found = Vec::new();
            let scanned = self.scan_afresh(kind, &seam.bytes, &mut found);
            self.settle_scan(scanned, kind);
            found.retain(|own| seam.is_across(own.offset, own.len));
            self.judge_seam(found, kind, now);
        }
        conversation.memory().keep(&said);
    }

    /// Judges what was seen in joined text.
    fn judge_seam(&mut self, found: Vec<Sighting>, kind: SurfaceKind, now: Time) {
        for mut sighting in found {
            let action = self.bench(now).action(&sighting, kind);
            if !sighting.is_sure_when_joined() || action < Some(Action::Redact) {
                continue;
            }
            sighting.offset = 0;
            sighting.via.insert(0, "over-messages");
            self.judge(sighting, kind, "", now);
        }
    }

    pub(super) fn scan(&mut self, kind: SurfaceKind, name: &str, bytes: &[u8], now: Time) {
        let mut found = Vec::new();
        let scanned = self.scan_into(kind, bytes, &mut found);
        self.settle_scan(scanned, kind);
        for sighting in found {
            self.judge(sighting, kind, &shown_name(name.as_bytes()), now);
        }
    }

    pub(super) fn scan_into(
        &mut self,
        kind: SurfaceKind,
        bytes: &[u8],
        found: &mut Vec<Sighting>,
    ) -> Result<(), BudgetSpent> {
        if self.is_clean(kind, bytes) {
            return Ok(());
        }
        self.scan_afresh(kind, bytes, found)?;
        if found.is_empty() {
            self.keep_clean(kind, bytes);
        }
        Ok(())
    }

    /// Whether these bytes were seen here before, and held nothing.
    fn is_clean(&mut self, kind: SurfaceKind, bytes: &[u8]) -> bool {
        let is_clean = self.engine.clean.has(kind, self.kind.direction(), bytes);
        if is_clean {
            self.budget.earn(bytes.len());
        }
        is_clean
    }

    fn keep_clean(&self, kind: SurfaceKind, bytes: &[u8]) {
        self.engine.clean.keep(kind, self.kind.direction(), bytes);
    }

    pub(super) fn scan_afresh(
        &mut self,
        kind: SurfaceKind,
        bytes: &[u8],
        found: &mut Vec<Sighting>,
    ) -> Result<(), BudgetSpent> {
        let (scanner, direction) = (&self.engine.scanner, self.kind.direction());
        scanner.scan(kind, direction, bytes, &mut self.budget, found)
    }

    pub(super) fn settle_scan(&mut self, scanned: Result<(), BudgetSpent>, kind: SurfaceKind) {
        if scanned.is_err() {
            self.docket
                .refuse(Severity::High, refusal::work_spent(self.named(), kind));
        }
    }

    /// One of the engine's own rules has seen something.
    pub(super) fn sight(
        &mut self,
        rule: &'static Rule,
        kind: SurfaceKind,
        name: &str,
        offset: usize,
        bytes: &[u8],
        now: Time,
    ) {
        self.sight_as(
            rule,
            rule.severity,
            Surface { kind, name, bytes },
            offset,
            now,
        );
    }

    /// The same, worse or better than the rule says.
    pub(super) fn sight_as(
        &mut self,
        rule: &'static Rule,
        severity: Severity,
        seen: Surface<'_>,
        offset: usize,
        now: Time,
    ) {
        let Surface { kind, name, bytes } = seen;
        let sighting = Sighting {
            rule,
            also: Vec::new(),
            severity,
            offset: offset as u64,
            len: bytes.len() as u64,
            before: 0,
            via: Vec::new(),
            fingerprint: self.engine.scanner.fingerprint(bytes),
            known: None,
            parties: Parties::default(),
            score: None,
        };
        self.judge(sighting, kind, &shown_name(name.as_bytes()), now);
    }

    pub(super) fn judge(&mut self, sighting: Sighting, kind: SurfaceKind, name: &str, now: Time) {
        if is_piece(sighting.rule) {
            return self.hold_piece(sighting, kind, name);
        }
        if sighting.rule.class == Class::Secret && kind == SurfaceKind::Host {
            self.hide_host();
        }
        if kind == SurfaceKind::Query && self.is_signing(&sighting, name) {
            return;
        }
        let bench = self.bench(now);
        let Some(action) = bench.action(&sighting, kind) else {
            return;
        };
        let is_example = sighting.is_published();
        // What can be replaced or cut out was, before it was pushed.
        let action = match action {
            Action::Redact | Action::Strip => Action::Block,
            action => action,
        };
        let finding = Finding {
            rule: sighting.rule.id.into(),
            class: sighting.rule.class,
            severity: bench.severity(&sighting),
            action,
            locus: Locus {
                surface: kind,
                name: name.into(),
                offset: sighting.offset,
                via: sighting.via,
            },
            fingerprint: sighting.fingerprint,
            score: sighting.score,
        };
        if action == Action::Block {
            let way = Way {
                direction: self.kind.direction(),
                astray: bench.astray(sighting.rule),
                path: shown_path(&self.path),
                is_example,
            };
            let refusal = match sighting.known {
                Some(part) => {
                    let name = self.engine.known().name(part);
                    refusal::known(sighting.rule, name, &finding, self.named(), &way)
                }
                None => refusal::content(
                    sighting.rule,
                    &finding,
                    self.named(),
                    &way,
                    now.unix_seconds,
                ),
            };
            self.docket
                .refuse_by(sighting.rule.severity, finding.severity, refusal);
        }
        self.docket.record(finding);
    }
}

/// The values of a `Cookie` header (RFC 6265, section 4.2.1).
fn crumbs(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b';').map(|crumb| {
        let crumb = crumb.trim_ascii();
        let equals = memchr::memchr(b'=', crumb);
        equals.map_or(crumb, |equals| &crumb[equals + 1..])
    })
}

/// A surface's name as a finding may repeat it: empty where it could be content.
pub(crate) fn shown_name(name: &[u8]) -> String {
    let plain = |b: &u8| {
        b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'[' | b']' | b'/')
    };
    match std::str::from_utf8(name) {
        Ok(text) if name.len() <= NAME_BYTES_MAX && name.iter().all(plain) => text.to_owned(),
        Ok(_) | Err(_) => String::new(),
    }
}

/// A path as an exemption may name it: as far as it is words, then `*`. What was found could stand in
/// the rest.
fn shown_path(path: &str) -> String {
    const SEGMENT_BYTES_MAX: usize = 32;
    const DIGITS_MAX: usize = 3;
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.@~".contains(&b);
    let is_shown = |segment: &&str| {
        let mut digits = segment.split(|c: char| !c.is_ascii_digit());
        segment.len() <= SEGMENT_BYTES_MAX
            && !segment.starts_with("..")
            && segment.bytes().all(is_plain)
            && digits.all(|run| run.len() <= DIGITS_MAX)
            && Load::of(segment.as_bytes(), &mut |_| {}) == Load::default()
    };
    let shown: Vec<_> = path.split('/').take_while(is_shown).collect();
    let whole = shown.len() == path.split('/').count();
    match (path.starts_with('/'), whole) {
        (false, _) => String::new(),
        (true, true) => path.to_owned(),
        (true, false) => format!("{}/*", shown.join("/")),
    }
}
