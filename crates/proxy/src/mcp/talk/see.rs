//! All that a message holds, judged.

use carboy_engine::{Fault, Surface, SurfaceKind};
use carboy_wire::mcp::{Frame, Kind, Message, TOOLS_LIST, redacted, surfaces};

use crate::gate::{Pass, Refused};

/// Judges all that a message holds. Returns it anew where the policy had some of it replaced.
pub(super) fn see(
    pass: &mut Pass,
    message: &Message<'_>,
    method: Option<&str>,
) -> Result<Option<String>, Refused> {
    // What tools are is never changed: it is what a person accepted, or refused.
    let lists_tools = method == Some(TOOLS_LIST) && matches!(message.kind, Kind::Result { .. });
    if !pass.redacts() || lists_tools {
        surfaces(message, method, |surface| pass.push(surface).map(drop))?;
        return Ok(None);
    }
    if let Some(call) = message.call() {
        // Exemptions may name it.
        pass.push(Surface {
            kind: SurfaceKind::Tool,
            name: "",
            bytes: call.tool.as_bytes(),
        })?;
    }
    let redacted = redacted(message, |surface| pass.redact(surface));
    let again = redacted
        .as_deref()
        .map(|text| Frame::parse(text.as_bytes()));
    let message = match &again {
        None => message,
        Some(frame) => match frame.as_ref().map(|frame| &frame.messages[..]) {
            Ok([Ok(message)]) => message,
            Ok(_) | Err(_) => {
                let fault = "a message that cannot be rewritten";
                return Err(pass.end_with(Fault::Unsupported(fault.into())));
            }
        },
    };
    surfaces(message, method, |surface| match surface.kind {
        SurfaceKind::Tool => Ok(()),
        _ => pass.push(surface).map(drop),
    })?;
    Ok(redacted)
}
