//! WebSocket framing (RFC 6455, section 5) from a server's side, without any I/O: bytes in, messages out.
//!
//! Promises: a message, whatever its fragments, has at most [`MAX_MESSAGE`] bytes; text is UTF-8; nothing that a peer
//! sends makes it panic or hold more than one message. Refuses, with the close code that the peer is to get: unmasked
//! frames, reserved bits and opcodes, lengths that are not minimal, fragmented or long control frames, fragments out of
//! turn, malformed close frames.

use bytes::{Buf as _, BytesMut};

/// Bytes of one message, all fragments together.
pub(super) const MAX_MESSAGE: usize = 1024 * 1024;
/// Bytes of one control frame's payload (section 5.5).
const MAX_CONTROL: usize = 125;

/// What kind of frame or message it is (section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xa => Some(Self::Pong),
            _ => None,
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xa,
        }
    }

    const fn is_control(self) -> bool {
        self.bits() >= 0x8
    }
}

/// What the peer did wrong; each has its close code (section 7.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Violation {
    /// 1002
    Protocol,
    /// 1007: text that is not UTF-8.
    Text,
    /// 1009
    TooBig,
}

impl Violation {
    /// The close code that the peer gets.
    pub(super) const fn code(self) -> u16 {
        match self {
            Self::Protocol => 1002,
            Self::Text => 1007,
            Self::TooBig => 1009,
        }
    }
}

/// A whole message or a control frame; never [`Opcode::Continuation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) opcode: Opcode,
    pub(super) payload: Vec<u8>,
}

/// Puts messages together from whatever bytes have come so far.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// What has come and is not a whole frame yet.
    pub(super) buffer: BytesMut,
    /// The fragments of a message that is not whole yet.
    open: Option<Message>,
}

impl Reader {
    /// The next message, when all of it is there.
    pub(super) fn next(&mut self) -> Result<Option<Message>, Violation> {
        while let Some((head, length)) = Head::parse(&self.buffer)? {
            let held = self.open.as_ref().map_or(0, |open| open.payload.len());
            let payload = usize::try_from(head.payload).ok().filter(|size| *size <= MAX_MESSAGE - held);
            let payload = payload.ok_or(Violation::TooBig)?;
            if self.buffer.len() < length + payload {
                return Ok(None);
            }
            self.buffer.advance(length);
            let mut bytes = self.buffer.split_to(payload).to_vec();
            bytes.iter_mut().zip(head.mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
            if let Some(message) = self.frame(&head, bytes)? {
                return checked(message).map(Some);
            }
        }
        Ok(None)
    }

    /// Takes one frame in; gives the message that it completes (section 5.4).
    fn frame(&mut self, head: &Head, payload: Vec<u8>) -> Result<Option<Message>, Violation> {
        let whole = match (head.opcode, self.open.take()) {
            (Opcode::Continuation, Some(mut open)) => {
                open.payload.extend_from_slice(&payload);
                open
            }
            (Opcode::Continuation, None) => return Err(Violation::Protocol),
            (control, open) if control.is_control() => {
                self.open = open;
                return Ok(Some(Message { opcode: control, payload }));
            }
            (_, Some(_)) => return Err(Violation::Protocol),
            (opcode, None) => Message { opcode, payload },
        };
        if head.last {
            return Ok(Some(whole));
        }
        self.open = Some(whole);
        Ok(None)
    }
}

/// Refuses text that is not UTF-8 and close frames that say nothing sensible (sections 5.5.1, 7.4 and 8.1).
fn checked(message: Message) -> Result<Message, Violation> {
    let text = match message.opcode {
        Opcode::Text => &message.payload[..],
        Opcode::Close => match message.payload.split_first_chunk() {
            Some((code, reason)) if may_be_sent(u16::from_be_bytes(*code)) => reason,
            None if message.payload.is_empty() => &[],
            Some(_) | None => return Err(Violation::Protocol),
        },
        Opcode::Continuation | Opcode::Binary | Opcode::Ping | Opcode::Pong => &[],
    };
    std::str::from_utf8(text).map_err(|_| Violation::Text)?;
    Ok(message)
}

const fn may_be_sent(close_code: u16) -> bool {
    matches!(close_code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The head of one frame from a client.
struct Head {
    last: bool,
    opcode: Opcode,
    payload: u64,
    mask: [u8; 4],
}

impl Head {
    /// The head at the front of `bytes` and its length, when all of it is there.
    fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, Violation> {
        let Some((&[first, second], rest)) = bytes.split_first_chunk() else { return Ok(None) };
        let (last, reserved, masked) = (first & 0x80 != 0, first & 0x70 != 0, second & 0x80 != 0);
        let opcode = Opcode::from_bits(first & 0x0f).filter(|_| masked && !reserved).ok_or(Violation::Protocol)?;
        let short = u64::from(second & 0x7f);
        let (payload, least, rest) = match short {
            126 => match rest.split_first_chunk() {
                Some((long, rest)) => (u64::from(u16::from_be_bytes(*long)), 126, rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((long, rest)) => (u64::from_be_bytes(*long), 0x1_0000, rest),
                None => return Ok(None),
            },
            _ => (short, 0, rest),
        };
        let control = !opcode.is_control() || (last && payload <= MAX_CONTROL as u64);
        if payload < least || payload > i64::MAX as u64 || !control {
            return Err(Violation::Protocol);
        }
        let Some((mask, rest)) = rest.split_first_chunk() else { return Ok(None) };
        Ok(Some((Self { last, opcode, payload, mask: *mask }, bytes.len() - rest.len())))
    }
}

/// One unfragmented frame to a client, which is never masked (section 5.1).
pub(super) fn encode(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x80 | opcode.bits()];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(short @ ..=125), _) => frame.push(short),
        (_, Ok(long)) => {
            frame.push(126);
            frame.extend_from_slice(&long.to_be_bytes());
        }
        (_, Err(_)) => {
            frame.push(127);
            frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame
}

/// A close frame with a code and no words.
pub(super) fn encode_close(code: u16) -> Vec<u8> {
    encode(Opcode::Close, &code.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A client's frame, masked.
    fn client(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0x0f, 0xa5, 0x00, 0xff];
        let mut frame = encode(Opcode::Text, payload);
        frame[0] = first;
        frame[1] |= 0x80;
        let head = frame.len() - payload.len();
        let masked: Vec<u8> = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        frame.truncate(head);
        frame.extend_from_slice(&mask);
        frame.extend_from_slice(&masked);
        frame
    }

    fn read(bytes: &[u8]) -> Result<Vec<Message>, Violation> {
        let mut reader = Reader { buffer: BytesMut::from(bytes), open: None };
        let mut messages = Vec::new();
        while let Some(message) = reader.next()? {
            messages.push(message);
        }
        Ok(messages)
    }

    #[test]
    fn what_a_peer_may_not_send_is_refused_with_its_code() {
        use Violation::{Protocol, Text, TooBig};
        let huge = [&[0x82, 0xff][..], &(MAX_MESSAGE as u64 + 1).to_be_bytes(), &[0; 4]].concat();
        let half = [client(0x02, &vec![0; MAX_MESSAGE]), client(0x80, b"x")].concat();
        let cases: [(&str, Vec<u8>, Violation); 17] = [
            ("no mask", vec![0x81, 0x00], Protocol),
            ("reserved bit", client(0xc1, b"x"), Protocol),
            ("reserved opcode", client(0x83, b"x"), Protocol),
            ("reserved control opcode", client(0x8b, b"x"), Protocol),
            ("fragmented ping", client(0x09, b"x"), Protocol),
            ("long ping", client(0x89, &[0; 126]), Protocol),
            ("16-bit length that fits 7", vec![0x82, 0xfe, 0, 125, 0, 0, 0, 0], Protocol),
            ("64-bit length that fits 16", [&[0x82, 0xff, 0, 0, 0, 0, 0, 0, 255, 255][..], &[0; 4]].concat(), Protocol),
            ("64-bit length with the top bit", [&[0x82, 0xff, 128][..], &[0; 11]].concat(), Protocol),
            ("continuation of nothing", client(0x80, b"x"), Protocol),
            ("message inside a message", [client(0x01, b"x"), client(0x81, b"y")].concat(), Protocol),
            ("close with half a code", client(0x88, &[3]), Protocol),
            ("close with a code that is not sent", client(0x88, &1005_u16.to_be_bytes()), Protocol),
            ("close with broken words", client(0x88, &[3, 232, 0xff]), Text),
            ("broken text", client(0x81, &[0xff]), Text),
            ("frame beyond the limit", huge, TooBig),
            ("fragments beyond the limit", half, TooBig),
        ];
        for (name, bytes, violation) in cases {
            assert_eq!(read(&bytes), Err(violation), "{name}");
        }
    }

    #[test]
    fn a_control_frame_may_come_between_fragments() {
        let bytes = [client(0x01, b"Hel"), client(0x89, b"?"), client(0x80, b"lo")].concat();
        let expected = [(Opcode::Ping, b"?".to_vec()), (Opcode::Text, b"Hello".to_vec())];
        assert_eq!(read(&bytes).unwrap(), expected.map(|(opcode, payload)| Message { opcode, payload }));
    }

    proptest! {
        #[test]
        fn a_message_survives_any_fragments_and_any_arrival(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6),
            step in 1_usize..400,
        ) {
            let last = pieces.len() - 1;
            let frames: Vec<u8> = pieces.iter().enumerate().flat_map(|(n, piece)| {
                let first = if n == 0 { 0x02 } else { 0x00 } | if n == last { 0x80 } else { 0x00 };
                client(first, piece)
            }).collect();
            let mut reader = Reader::default();
            let mut messages = Vec::new();
            for chunk in frames.chunks(step) {
                reader.buffer.extend_from_slice(chunk);
                while let Some(message) = reader.next().unwrap() {
                    messages.push(message);
                }
            }
            prop_assert_eq!(messages, vec![Message { opcode: Opcode::Binary, payload: pieces.concat() }]);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
