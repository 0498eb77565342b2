//! What messages of the model context protocol hold.

use super::Inspection;
use super::content::shown_name;
use crate::crossing::{Direction, Surface, SurfaceKind, Time};
use crate::detect::Check;
use crate::finding::Class;
use crate::session::Session;

impl Inspection {
    /// A tool's name: of a result, that of the tool that was called. From here on exemptions see it as
    /// the last part of the path, after the method.
    pub(super) fn push_tool(&mut self, next: Surface<'_>, session: &Session, now: Time) {
        let path = format!("{}/{}", self.path, String::from_utf8_lossy(next.bytes));
        self.keep_path(path.as_bytes());
        let tool = String::from_utf8_lossy(next.bytes);
        match self.kind.direction() {
            Direction::Outbound => {
                self.scan(next.kind, "", next.bytes, now);
                self.begin_call(&tool);
            }
            Direction::Inbound => self.begin_answer(&tool, session),
        }
    }

    pub(super) fn push_text(&mut self, next: Surface<'_>, session: &Session, now: Time) {
        if next.kind == SurfaceKind::Argument {
            self.texts.add(next.bytes);
        }
        self.scan(next.kind, next.name, next.bytes, now);
        if next.kind != SurfaceKind::Definition
            && let Some((_, said)) = &mut self.conversation
        {
            said.add_at(next.name, next.bytes);
        }
        if self.kind.direction() == Direction::Inbound {
            match next.kind {
                SurfaceKind::Definition => self.note_definition(next.name, next.bytes),
                SurfaceKind::Message => {
                    self.blocks.add(next.name, next.bytes);
                    self.note_result(next.bytes, session);
                }
                SurfaceKind::Host
                | SurfaceKind::Url
                | SurfaceKind::Path
                | SurfaceKind::Query
                | SurfaceKind::Header
                | SurfaceKind::Trailer
                | SurfaceKind::Body
                | SurfaceKind::Stream
                | SurfaceKind::WsMessage
                | SurfaceKind::Tool
                | SurfaceKind::Argument
                | SurfaceKind::Call => {}
            }
        }
    }

    /// A call as a whole. Its strings have been judged one by one; what they are named makes some of
    /// them a credential.
    pub(super) fn push_call(&mut self, next: Surface<'_>, session: &Session, now: Time) {
        let mut found = Vec::new();
        let scanned = self.scan_afresh(next.kind, next.bytes, &mut found);
        self.settle_scan(scanned, next.kind);
        found.retain(|own| {
            own.rule.class == Class::Secret
                && own.rule.checks.contains(&Check::Setting)
                && !self.docket.has(own.rule.id, SurfaceKind::Argument)
        });
        for sighting in found {
            self.judge(sighting, next.kind, &shown_name(next.name.as_bytes()), now);
        }
        self.judge_call(next.name, next.bytes, session, now);
    }
}
