//! Frames: requests, answers and pushes, in the four forms that connections have them in: JSON or gob, each plain or as
//! gzip (`spec/openim/gateway.md`, section 4).

use std::io::{Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use thiserror::Error;

use super::gob::{self, Field, NotGob};
use crate::error::ApiError;

/// The longest frame that is read (`spec/openim/gateway.md`, section 3).
pub(super) const MAX_FRAME_BYTES: usize = 51_200;

/// What a compressed frame may become: twenty times the longest. Text shrinks to a fifth or a tenth; what shrinks more was
/// made to fill our memory.
const MAX_INFLATED_BYTES: u64 = 20 * MAX_FRAME_BYTES as u64;

/// How the frames of a connection look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) encoding: Encoding,
    pub(super) is_gzip: bool,
}

/// `sdkType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// `js`.
    Json,
    /// `go`: every SDK that is built on the Go core, but for the one in the browser.
    Gob,
}

/// What a client asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Request {
    /// `reqIdentifier`.
    pub(super) identifier: i32,
    pub(super) sender: String,
    /// `operationID`.
    pub(super) operation: String,
    /// `msgIncr`: what the answer is recognised by.
    pub(super) increment: String,
    /// Protocol Buffers.
    pub(super) data: Vec<u8>,
}

/// An answer, or a push, which nobody has asked for: it has no `increment`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) identifier: i32,
    pub(super) increment: String,
    pub(super) operation: String,
    pub(super) code: i64,
    pub(super) message: String,
    /// Protocol Buffers.
    pub(super) data: Vec<u8>,
}

/// A frame that cannot be read: the connection ends.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(super) enum Malformed {
    /// It is no gzip, breaks off, or becomes too large.
    #[error("not gzip, or more than {MAX_INFLATED_BYTES} bytes of it")]
    Gzip,
    /// It is no such object.
    #[error("not the JSON of a request")]
    Json,
    /// It is no such value.
    #[error(transparent)]
    Gob(#[from] NotGob),
}

impl Request {
    /// The answer to it.
    pub(super) fn answer(&self, outcome: Result<Vec<u8>, ApiError>) -> Response {
        let (code, message, data) = match outcome {
            Ok(data) => (0, String::new(), data),
            Err(error) => (error.code, error.message, Vec::new()),
        };
        let (increment, operation) = (self.increment.clone(), self.operation.clone());
        Response { identifier: self.identifier, increment, operation, code, message, data }
    }
}

impl Form {
    /// Every form, in the order of [`Form::index`].
    pub(super) const COUNT: usize = 4;

    /// A number below [`Form::COUNT`].
    pub(super) fn index(self) -> usize {
        usize::from(self.encoding == Encoding::Gob) * 2 + usize::from(self.is_gzip)
    }

    /// Reads a request.
    pub(super) fn read(self, frame: &[u8]) -> Result<Request, Malformed> {
        let mut inflated = Vec::new();
        let plain = if self.is_gzip {
            let mut reader = MultiGzDecoder::new(frame).take(MAX_INFLATED_BYTES + 1);
            reader.read_to_end(&mut inflated).map_err(|_| Malformed::Gzip)?;
            if inflated.len() as u64 > MAX_INFLATED_BYTES {
                return Err(Malformed::Gzip);
            }
            &inflated
        } else {
            frame
        };
        match self.encoding {
            Encoding::Json => Request::from_json(plain),
            Encoding::Gob => Request::from_gob(plain),
        }
    }

    /// Writes an answer or a push.
    pub(super) fn write(self, response: &Response) -> Bytes {
        let plain = match self.encoding {
            Encoding::Json => response.to_json(),
            Encoding::Gob => response.to_gob(),
        };
        if !self.is_gzip {
            return plain.into();
        }
        // The fastest level: frames are small, and each is compressed by itself.
        let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 2 + 32), Compression::fast());
        // Memory takes all that it is given.
        encoder.write_all(&plain).and_then(|()| encoder.finish()).unwrap_or_default().into()
    }
}

/// A request as JSON. Names ignore case, as in Go; what is not named here is not looked at.
impl Request {
    fn from_json(frame: &[u8]) -> Result<Self, Malformed> {
        let Ok(Value::Object(fields)) = serde_json::from_slice(frame) else { return Err(Malformed::Json) };
        let mut request = Self::default();
        for (name, value) in fields {
            if value.is_null() {
                continue;
            }
            let text = || value.as_str().map(str::to_owned).ok_or(Malformed::Json);
            if name.eq_ignore_ascii_case("reqIdentifier") {
                request.identifier = i32::deserialize(&value).map_err(|_| Malformed::Json)?;
            } else if name.eq_ignore_ascii_case("sendID") {
                request.sender = text()?;
            } else if name.eq_ignore_ascii_case("operationID") {
                request.operation = text()?;
            } else if name.eq_ignore_ascii_case("msgIncr") {
                request.increment = text()?;
            } else if name.eq_ignore_ascii_case("data") {
                request.data = STANDARD.decode(text()?).map_err(|_| Malformed::Json)?;
            }
        }
        Ok(request)
    }

    fn from_gob(frame: &[u8]) -> Result<Self, Malformed> {
        let mut request = Self::default();
        for (name, field) in gob::fields(frame)? {
            match (name, field) {
                // A number of more than 32 bits is no request that there is.
                ("ReqIdentifier", Field::Int(number)) => request.identifier = i32::try_from(number).unwrap_or(-1),
                ("SendID", Field::Text(text)) => text.clone_into(&mut request.sender),
                ("OperationID", Field::Text(text)) => text.clone_into(&mut request.operation),
                ("MsgIncr", Field::Text(text)) => text.clone_into(&mut request.increment),
                ("Data", Field::Bytes(bytes)) => bytes.clone_into(&mut request.data),
                _ => {}
            }
        }
        Ok(request)
    }
}

impl Response {
    fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Wire<'a> {
            #[serde(rename = "reqIdentifier")]
            identifier: i32,
            #[serde(rename = "msgIncr")]
            increment: &'a str,
            #[serde(rename = "operationID")]
            operation: &'a str,
            #[serde(rename = "errCode")]
            code: i64,
            #[serde(rename = "errMsg")]
            message: &'a str,
            #[serde(serialize_with = "as_base64")]
            data: &'a [u8],
        }
        fn as_base64<S: Serializer>(data: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
            match data {
                [] => serializer.serialize_none(),
                data => serializer.serialize_str(&STANDARD.encode(data)),
            }
        }
        let Self { identifier, increment, operation, code, message, data } = self;
        let wire = Wire { identifier: *identifier, increment, operation, code: *code, message, data };
        // Strings and numbers always serialise.
        serde_json::to_vec(&wire).unwrap_or_default()
    }

    fn to_gob(&self) -> Vec<u8> {
        gob::RESPONSE.frame(&[
            Field::Int(self.identifier.into()),
            Field::Text(&self.increment),
            Field::Text(&self.operation),
            Field::Int(self.code),
            Field::Text(&self.message),
            Field::Bytes(&self.data),
        ])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JSON: Form = Form { encoding: Encoding::Json, is_gzip: false };
    const FORMS: [Form; Form::COUNT] = [
        JSON,
        Form { is_gzip: true, ..JSON },
        Form { encoding: Encoding::Gob, is_gzip: false },
        Form { encoding: Encoding::Gob, is_gzip: true },
    ];

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn each_form_has_a_number_of_its_own() {
        assert_eq!(FORMS.map(Form::index), [0, 1, 2, 3]);
    }

    #[test]
    fn a_request_of_the_js_sdk_is_read() {
        let frame = br#"{"reqIdentifier":1001,"sendID":"u1","operationID":"op1","msgIncr":"u1_1","data":"CgJ1MQ=="}"#;
        let expected = Request {
            identifier: 1001,
            sender: "u1".into(),
            operation: "op1".into(),
            increment: "u1_1".into(),
            data: vec![0x0a, 0x02, 0x75, 0x31],
        };
        assert_eq!(JSON.read(frame), Ok(expected.clone()));
        assert_eq!(FORMS[1].read(&gzip(frame)), Ok(expected));
    }

    #[test]
    fn names_ignore_case_and_what_is_unknown_is_not_looked_at() {
        let frame = br#"{"REQIDENTIFIER":1,"token":{"a":1},"Data":null,"sendid":"u"}"#;
        assert_eq!(JSON.read(frame), Ok(Request { identifier: 1, sender: "u".into(), ..Request::default() }));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for frame in
            ["", "[]", "1", "{", "{\"sendID\":1}", "{\"data\":\"!\"}", "{\"reqIdentifier\":3000000000}", "\u{1}"]
        {
            assert_eq!(JSON.read(frame.as_bytes()), Err(Malformed::Json), "{frame}");
            assert!(FORMS[1].read(frame.as_bytes()).is_err(), "{frame}");
            assert!(FORMS[2].read(frame.as_bytes()).is_err(), "{frame}");
        }
    }

    #[test]
    fn a_bomb_does_not_go_off() {
        let spaces = vec![b' '; 50 << 20];
        let bomb = gzip(&spaces);
        assert!(bomb.len() <= MAX_FRAME_BYTES, "{} bytes would not even arrive", bomb.len());
        assert_eq!(FORMS[1].read(&bomb), Err(Malformed::Gzip));
        let broken = &gzip(br#"{"reqIdentifier":1001}"#)[..20];
        assert_eq!(FORMS[1].read(broken), Err(Malformed::Gzip));
    }

    #[test]
    fn an_answer_has_what_it_answers() {
        let request = JSON.read(br#"{"reqIdentifier":1003,"operationID":"op2","msgIncr":"u1_2"}"#).unwrap();
        let answer = request.answer(Err(crate::error::Code::Blocked.because("why")));
        let json = JSON.write(&answer);
        let expected = r#"{"reqIdentifier":1003,"msgIncr":"u1_2","operationID":"op2","errCode":1302,"errMsg":"BlockedByPeer","data":null}"#;
        assert_eq!(std::str::from_utf8(&json).unwrap(), expected);
    }

    proptest! {
        /// An answer has all the fields that a request is read from, but for the sender.
        #[test]
        fn frames_come_back_in_every_form(identifier: i32, increment: String, operation: String, data: Vec<u8>) {
            let response = Response { identifier, increment, operation, data, ..Response::default() };
            for form in FORMS {
                let read = form.read(&form.write(&response)).unwrap();
                prop_assert_eq!(read.identifier, response.identifier);
                prop_assert_eq!(&read.increment, &response.increment);
                prop_assert_eq!(&read.operation, &response.operation);
                prop_assert_eq!(&read.data, &response.data);
            }
        }

        #[test]
        fn nothing_breaks_it(frame: Vec<u8>) {
            for form in FORMS {
                let _ = form.read(&frame);
            }
            let _ = FORMS[1].read(&gzip(&frame));
        }
    }
}
