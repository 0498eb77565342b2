//! DNS messages (RFC 1035): one question in, one answer out.
//!
//! Names are answered with addresses that the caller made up, so an answer is one record at most and
//! never needs truncating: the longest name, one address, and one extended error stay under the
//! 512 bytes that every client accepts (RFC 1035, section 4.2.1).

use std::net::IpAddr;

use hickory_proto::op::{
    Edns, Header, Message, MessageType, Metadata, OpCode, Query, ResponseCode,
};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

/// The longest question that is read: one name, one EDNS record, and padding (RFC 8467) to spare.
pub const QUESTION_MAX: usize = 4096;

/// How long a client may remember an answer, in seconds. A name keeps its address for the bottle's
/// life, so this only bounds how long a refusal after a policy change goes unnoticed.
pub const TTL_SECONDS: u32 = 60;

/// The UDP payload that answers say is accepted.
const PAYLOAD_MAX: u16 = 1232;

/// The longest text in an extended error; keeps every answer under 512 bytes.
const EXTRA_TEXT_MAX: usize = 120;

/// EDNS option 15: Extended DNS Error (RFC 8914, section 2).
const EXTENDED_ERROR: u16 = 15;

/// The header's length (RFC 1035, section 4.1.1).
const HEADER: usize = 12;

/// What a datagram or TCP message from a client is.
#[derive(Debug)]
pub enum Received {
    /// A well-formed question.
    Question(Box<Question>),
    /// Something else, and the error that answers it.
    Reject(Vec<u8>),
    /// Something that must not be answered: a fragment of a header, or itself an answer
    /// (answering answers makes loops).
    Ignore,
}

/// One question, and what is needed to answer it.
#[derive(Debug, Clone)]
pub struct Question {
    request: Metadata,
    query: Query,
    edns: bool,
    name: String,
    kind: QuestionKind,
}

/// What a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuestionKind {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Service bindings (`HTTPS`, `SVCB`; RFC 9460). They are answered with nothing, so that no
    /// client learns ECH keys or is led to QUIC.
    ServiceBinding,
    /// The name of an address.
    Reverse(IpAddr),
    /// Any other record type, by its number.
    Other(u16),
}

/// Why a question is not answered with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rcode {
    /// The name does not exist, as far as the bottle is concerned. Clients give up at once, where
    /// `REFUSED` and `SERVFAIL` make them ask again.
    NameError,
    /// The record type is not served.
    Refused,
    /// No answer can be given now.
    ServerFailure,
}

/// Reads a message.
pub fn read(message: &[u8]) -> Received {
    let Ok(header) = Header::read(&mut BinDecoder::new(message)) else {
        return Received::Ignore;
    };
    let request = header.metadata;
    if message.len() < HEADER || request.message_type != MessageType::Query {
        return Received::Ignore;
    }
    if request.op_code != OpCode::Query {
        return reject(&request, ResponseCode::NotImp);
    }
    let counts = header.counts;
    // At most an OPT and a signature besides the question.
    if counts.queries != 1 || counts.answers > 0 || counts.authorities > 0 || counts.additionals > 2
    {
        return reject(&request, ResponseCode::FormErr);
    }
    let Ok(parsed) = Message::from_vec(message) else {
        return reject(&request, ResponseCode::FormErr);
    };
    question(parsed)
}

fn question(mut parsed: Message) -> Received {
    let request = parsed.metadata;
    let Some(query) = parsed.queries.pop() else {
        return reject(&request, ResponseCode::FormErr);
    };
    if query.query_class != DNSClass::IN {
        return reject(&request, ResponseCode::Refused);
    }
    if parsed.edns.as_ref().is_some_and(|edns| edns.version() != 0) {
        return reject(&request, ResponseCode::BADVERS);
    }
    Received::Question(Box::new(Question {
        name: spelt(&query.name),
        kind: QuestionKind::of(&query),
        edns: parsed.edns.is_some(),
        request,
        query,
    }))
}

/// The name as the client spelt it, without the root's dot. Bytes that no host name has are
/// escaped as in a zone file, so that none can pass for a dot.
fn spelt(name: &Name) -> String {
    let mut text = name.to_ascii();
    if text.len() > 1 && text.ends_with('.') {
        text.pop();
    }
    text
}

fn reject(request: &Metadata, code: ResponseCode) -> Received {
    let mut answer = Message::error_msg(request.id, request.op_code, code);
    if code == ResponseCode::BADVERS {
        answer.set_edns(Edns::new());
    }
    answer.to_vec().map_or(Received::Ignore, Received::Reject)
}

impl QuestionKind {
    fn of(query: &Query) -> Self {
        match query.query_type {
            RecordType::A => Self::A,
            RecordType::AAAA => Self::Aaaa,
            RecordType::HTTPS | RecordType::SVCB => Self::ServiceBinding,
            RecordType::PTR => match query.name.parse_arpa_name() {
                Ok(net) if net.prefix_len() == net.max_prefix_len() => Self::Reverse(net.addr()),
                Ok(_) | Err(_) => Self::Other(u16::from(RecordType::PTR)),
            },
            other => Self::Other(u16::from(other)),
        }
    }
}

impl Question {
    /// The name as the client spelt it, without the last dot. Bytes that no host name has are
    /// escaped as in a zone file (RFC 1035, section 5.1).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is asked for.
    pub fn kind(&self) -> QuestionKind {
        self.kind
    }

    /// Whether the name is one that means the asker's own machine (RFC 6761, section 6.3).
    pub fn is_localhost(&self) -> bool {
        let last = self.name.rsplit('.').next();
        last.is_some_and(|label| label.eq_ignore_ascii_case("localhost"))
    }

    /// The answer with one address. None at all when the address is of the other family, or the
    /// question was not for addresses.
    pub fn answer_address(&self, address: IpAddr) -> Vec<u8> {
        match (self.kind, address) {
            (QuestionKind::A, IpAddr::V4(v4)) => self.answer(RData::A(A(v4))),
            (QuestionKind::Aaaa, IpAddr::V6(v6)) => self.answer(RData::AAAA(AAAA(v6))),
            _ => self.answer_empty(),
        }
    }

    /// The answer with the name of an address; the name error when `name` is no DNS name.
    pub fn answer_name(&self, name: &str) -> Vec<u8> {
        match Name::from_ascii(name) {
            Ok(mut name) => {
                name.set_fqdn(true);
                self.answer(RData::PTR(PTR(name)))
            }
            Err(_) => self.answer_error(Rcode::NameError, ""),
        }
    }

    /// The answer that the name exists but has no such record.
    pub fn answer_empty(&self) -> Vec<u8> {
        encode(&self.response(ResponseCode::NoError))
    }

    /// An error. `why` goes along as an extended error (RFC 8914, code 15 "Blocked") when the
    /// client speaks EDNS; it is cut to 120 bytes.
    pub fn answer_error(&self, code: Rcode, why: &str) -> Vec<u8> {
        let mut message = self.response(match code {
            Rcode::NameError => ResponseCode::NXDomain,
            Rcode::Refused => ResponseCode::Refused,
            Rcode::ServerFailure => ResponseCode::ServFail,
        });
        if let Some(edns) = message.edns.as_mut().filter(|_| !why.is_empty()) {
            edns.options_mut().insert(extended_error(why));
        }
        encode(&message)
    }

    fn answer(&self, data: RData) -> Vec<u8> {
        let mut message = self.response(ResponseCode::NoError);
        message.add_answer(Record::from_rdata(
            self.query.name.clone(),
            TTL_SECONDS,
            data,
        ));
        encode(&message)
    }

    fn response(&self, code: ResponseCode) -> Message {
        let mut message = Message::response(self.request.id, OpCode::Query);
        message.metadata = Metadata::response_from_request(&self.request);
        message.metadata.recursion_available = true;
        message.metadata.response_code = code;
        message.add_query(self.query.clone());
        if self.edns {
            let mut edns = Edns::new();
            edns.set_max_payload(PAYLOAD_MAX);
            message.set_edns(edns);
        }
        message
    }
}

/// Info-code 15, "Blocked" (RFC 8914, section 4.16), and a text for people.
fn extended_error(why: &str) -> EdnsOption {
    let mut end = why.len().min(EXTRA_TEXT_MAX);
    while !why.is_char_boundary(end) {
        end -= 1;
    }
    let mut data = 15_u16.to_be_bytes().to_vec();
    data.extend_from_slice(&why.as_bytes()[..end]);
    EdnsOption::Unknown(EXTENDED_ERROR, data)
}

fn encode(message: &Message) -> Vec<u8> {
    message
        .to_vec()
        .expect("a message of one decoded question and one record of ours encodes")
}

#[cfg(test)]
mod tests;
