//! Invariants of WebSocket frames.

use bytes::BytesMut;
use carboy_wire::websocket::{
    Control, Event, Frame, Inflater, Opcode, Reader, Sender, TextCheck, Violation, write_frame,
};

/// What a message or a control frame says, and how the reading ended.
type Said = (Vec<(Opcode, bool, Vec<u8>)>, Option<Violation>);

/// Frames say the same however they are cut; what was read is read again when it is written anew; and
/// neither text nor compressed content is read in two ways.
pub fn ws_frames(data: &[u8]) {
    for sender in [Sender::Client, Sender::Server] {
        let whole = read(sender, data.chunks(data.len().max(1)));
        for size in [1, 2, 3, 7] {
            assert_eq!(read(sender, data.chunks(size)), whole, "pieces of {size}");
        }
        written_again(sender, &whole.0);
    }
    content(data);
}

fn read<'a>(sender: Sender, pieces: impl Iterator<Item = &'a [u8]>) -> Said {
    let mut reader = Reader::new(sender, true);
    let (mut input, mut said) = (BytesMut::new(), Vec::new());
    let mut open: Option<(Opcode, bool, Vec<u8>)> = None;
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match reader.next(&mut input) {
                Ok(None) => break,
                Ok(Some(Event::Start {
                    kind,
                    is_compressed,
                })) => {
                    let before = open.replace((Opcode::Message(kind), is_compressed, Vec::new()));
                    assert!(before.is_none(), "a message within another");
                }
                Ok(Some(Event::Data(bytes))) => {
                    open.as_mut()
                        .expect("a message is open")
                        .2
                        .extend_from_slice(&bytes);
                }
                Ok(Some(Event::End)) => said.push(open.take().expect("a message is open")),
                Ok(Some(Event::Control(control))) => said.push(control_said(control)),
                Err(violation) => return (said, Some(violation)),
            }
        }
        assert_eq!(reader.is_within(), open.is_some());
    }
    (said, None)
}

fn control_said(control: Control) -> (Opcode, bool, Vec<u8>) {
    let (opcode, payload) = match control {
        Control::Ping(payload) => (Opcode::Ping, payload),
        Control::Pong(payload) => (Opcode::Pong, payload),
        Control::Close(close) => (Opcode::Close, close.payload().clone()),
    };
    assert!(payload.len() <= 125, "a long control frame");
    (opcode, false, payload.to_vec())
}

fn written_again(sender: Sender, said: &[(Opcode, bool, Vec<u8>)]) {
    let mut bytes = BytesMut::new();
    for (opcode, is_compressed, payload) in said {
        let frame = Frame {
            is_final: true,
            is_compressed: *is_compressed,
            opcode: *opcode,
            mask: (sender == Sender::Client).then_some([1, 2, 3, 4]),
            length: 0,
        };
        write_frame(&mut bytes, frame, payload);
    }
    let again = read(sender, bytes.chunks(bytes.len().max(1)));
    assert_eq!(again, (said.to_vec(), None));
}

fn content(data: &[u8]) {
    let is_text = |size: usize| {
        let mut check = TextCheck::default();
        let pushed = data.chunks(size).try_for_each(|piece| check.push(piece));
        pushed.and_then(|()| check.end()).is_ok()
    };
    let inflated = |size: usize| {
        let (mut inflater, mut out) = (Inflater::new(false), Vec::new());
        let mut visit = |chunk: &[u8]| {
            out.extend_from_slice(chunk);
            Ok::<(), Violation>(())
        };
        let pushed = data
            .chunks(size)
            .try_for_each(|piece| inflater.push(piece, &mut visit));
        let ended = pushed.and_then(|()| inflater.end(&mut visit));
        ended.map(|()| out)
    };
    assert_eq!(is_text(1), std::str::from_utf8(data).is_ok());
    assert_eq!(is_text(3), is_text(1));
    // A small input that becomes a large one is the same in pieces.
    assert_eq!(inflated(data.len().max(1)), inflated(5));
}
