//! Where events of a stream end (HTML standard, section 9.2.6).

use carboy_engine::EventForm;
use memchr::{memmem, memrchr};

/// The most bytes of an event's end.
const END_BYTES_MAX: usize = 3;

/// The end of the last event that is whole; none where there is none. What stands before `looked` was
/// looked through before, and held none.
pub fn whole_events(form: EventForm, bytes: &[u8], looked: usize) -> Option<usize> {
    let from = looked.saturating_sub(END_BYTES_MAX);
    let fresh = bytes.get(from..)?;
    let end = match form {
        EventForm::Lines => memrchr(b'\n', fresh).map(|at| at + 1),
        EventForm::Sent => {
            let ends = [&b"\n\n"[..], b"\r\r", b"\n\r\n"];
            let last = |end: &&[u8]| memmem::rfind(fresh, end).map(|at| at + end.len());
            ends.iter().filter_map(last).max()
        }
    };
    end.map(|end| from + end)
}

#[cfg(test)]
mod tests {
    use super::whole_events;
    use carboy_engine::EventForm;

    #[test]
    fn ends_of_events() {
        for (form, text, expect) in [
            (EventForm::Sent, "data: a\n\ndata: b", Some(9)),
            (EventForm::Sent, "data: a\r\n\r\ndata: b\r\n", Some(11)),
            (EventForm::Sent, "data: a\r\rdata: b", Some(9)),
            (EventForm::Sent, "data: a\ndata: b\n", None),
            (EventForm::Sent, "", None),
            (EventForm::Lines, "{}\n[]\n{", Some(6)),
            (EventForm::Lines, "{}", None),
        ] {
            let bytes = text.as_bytes();
            assert_eq!(whole_events(form, bytes, 0), expect, "{text:?}");
            // However much of it was looked through before its end came.
            let looked = expect.unwrap_or(bytes.len()) - usize::from(expect.is_some());
            assert_eq!(
                whole_events(form, bytes, looked),
                expect,
                "{text:?} from {looked}"
            );
        }
    }
}
