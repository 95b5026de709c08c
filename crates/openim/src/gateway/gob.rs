//! gob, Go's own encoding, as far as the gateway speaks it (`spec/openim/gateway.md`, section 4.1).
//!
//! A frame is a stream of its own: definitions of types, and then one value. What a value means is said by the names in its
//! definition, not by their order, so whatever definition a client brings is read; what we do not know of it is skipped.

use std::collections::HashMap;
use std::sync::LazyLock;

use thiserror::Error;

/// An honest frame defines one type. More than this are an attack on our memory.
const MAX_TYPES: usize = 32;

/// An honest type has six fields.
const MAX_FIELDS: usize = 64;

/// Types within types, in what is skipped. A value nests as deep as its type, which could contain itself.
const MAX_DEPTH: usize = 16;

/// It is not what Go would have written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not gob: {0}")]
pub(crate) struct NotGob(&'static str);

type Read<T> = Result<T, NotGob>;

/// A field of the value, if it is of a kind that we know what to do with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Field<'a> {
    Int(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// Reads a frame's value: the fields of one struct, each by its name. What is zero is absent, as gob leaves it out.
pub(crate) fn fields(frame: &[u8]) -> Read<Vec<(&str, Field<'_>)>> {
    let mut frame = Input(frame);
    let mut types = Types::default();
    loop {
        let mut message = frame.part()?;
        let id = message.int()?;
        if id >= 0 {
            return types.fields_of(id, &mut message);
        }
        let id = id.checked_neg().ok_or(NotGob("a type's id"))?;
        types.define(id, &mut message)?;
    }
}

// === Reading ===

/// What is left to read.
#[derive(Clone, Copy, Debug)]
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Read<u8> {
        let (first, rest) = self.0.split_first().ok_or(NotGob("it breaks off"))?;
        self.0 = rest;
        Ok(*first)
    }

    fn bytes(&mut self, count: u64) -> Read<&'a [u8]> {
        let count = usize::try_from(count).map_err(|_| NotGob("a length"))?;
        let (taken, rest) = self.0.split_at_checked(count).ok_or(NotGob("it breaks off"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// Small numbers are a byte; of others the byte says how many follow, most significant first.
    fn uint(&mut self) -> Read<u64> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(first.into());
        }
        let count = first.wrapping_neg();
        if count > 8 {
            return Err(NotGob("a number of more than 64 bits"));
        }
        Ok(self.bytes(count.into())?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// The sign is the lowest bit.
    fn int(&mut self) -> Read<i64> {
        let bits = self.uint()?;
        let magnitude = (bits >> 1).cast_signed();
        Ok(if bits & 1 == 1 { !magnitude } else { magnitude })
    }

    /// A length, and so many bytes.
    fn part(&mut self) -> Read<Self> {
        let length = self.uint()?;
        self.bytes(length).map(Self)
    }

    fn text(&mut self) -> Read<&'a str> {
        str::from_utf8(self.part()?.0).map_err(|_| NotGob("a text that is not UTF-8"))
    }

    /// The fields of a struct that are there: each with its number, which `read` has to consume. Numbers are deltas.
    fn structure(&mut self, mut read: impl FnMut(&mut Self, usize) -> Read<()>) -> Read<()> {
        let mut next = 0_usize;
        loop {
            let delta = self.uint()?;
            if delta == 0 {
                return Ok(());
            }
            let number = usize::try_from(delta - 1).ok().and_then(|skipped| next.checked_add(skipped));
            let number = number.filter(|number| *number < MAX_FIELDS).ok_or(NotGob("a field's number"))?;
            read(self, number)?;
            next = number + 1;
        }
    }
}

/// The types that everybody knows.
const BOOL: i64 = 1;
const INT: i64 = 2;
const UINT: i64 = 3;
const FLOAT: i64 = 4;
const BYTES: i64 = 5;
const STRING: i64 = 6;
const COMPLEX: i64 = 7;

/// A type that a frame has defined.
#[derive(Debug)]
enum Type<'a> {
    Struct(Vec<(&'a str, i64)>),
    /// A slice or an array: elements of one type.
    List(i64),
    Map(i64, i64),
    /// What encodes itself: bytes.
    Opaque,
}

#[derive(Debug, Default)]
struct Types<'a>(HashMap<i64, Type<'a>>);

impl<'a> Types<'a> {
    /// Reads a definition. Its fields are the kinds of types that there are, and one of them is there.
    fn define(&mut self, id: i64, input: &mut Input<'a>) -> Read<()> {
        let mut defined = None;
        input.structure(|input, kind| {
            let mut elements = (0, 0);
            let mut fields = Vec::new();
            input.structure(|input, number| match (kind, number) {
                // The type's own name and number, once more.
                (_, 0) => input.structure(|input, number| match number {
                    0 => input.text().map(drop),
                    1 => input.int().map(drop),
                    _ => Err(NotGob("a definition")),
                }),
                (0 | 1 | 3, 1) => input.int().map(|id| elements.0 = id),
                (0, 2) => input.int().map(drop),
                (3, 2) => input.int().map(|id| elements.1 = id),
                (2, 1) => {
                    let count = input.uint()?;
                    if count > MAX_FIELDS as u64 {
                        return Err(NotGob("more fields than any type has"));
                    }
                    for _ in 0..count {
                        let mut field = ("", 0);
                        input.structure(|input, number| match number {
                            0 => input.text().map(|name| field.0 = name),
                            1 => input.int().map(|id| field.1 = id),
                            _ => Err(NotGob("a definition")),
                        })?;
                        fields.push(field);
                    }
                    Ok(())
                }
                _ => Err(NotGob("a definition")),
            })?;
            defined = Some(match kind {
                0 | 1 => Type::List(elements.0),
                2 => Type::Struct(std::mem::take(&mut fields)),
                3 => Type::Map(elements.0, elements.1),
                4..=6 => Type::Opaque,
                _ => return Err(NotGob("a kind of type that there is not")),
            });
            Ok(())
        })?;
        if self.0.len() == MAX_TYPES {
            return Err(NotGob("more types than any frame needs"));
        }
        self.0.insert(id, defined.ok_or(NotGob("a definition of nothing"))?);
        Ok(())
    }

    fn fields_of(&self, id: i64, input: &mut Input<'a>) -> Read<Vec<(&'a str, Field<'a>)>> {
        let Some(Type::Struct(known)) = self.0.get(&id) else { return Err(NotGob("a value that is no struct")) };
        let mut fields = Vec::with_capacity(known.len());
        input.structure(|input, number| {
            let (name, kind) = *known.get(number).ok_or(NotGob("a field that is not defined"))?;
            let field = match kind {
                INT => Field::Int(input.int()?),
                STRING => Field::Text(input.text()?),
                BYTES => Field::Bytes(input.part()?.0),
                _ => return self.skip(kind, input, 0),
            };
            fields.push((name, field));
            Ok(())
        })?;
        Ok(fields)
    }

    fn skip(&self, id: i64, input: &mut Input<'a>, depth: usize) -> Read<()> {
        if depth == MAX_DEPTH {
            return Err(NotGob("types within types without end"));
        }
        match id {
            BOOL | INT | UINT | FLOAT => input.uint().map(drop),
            BYTES | STRING => input.part().map(drop),
            COMPLEX => input.uint().and_then(|_| input.uint()).map(drop),
            _ => match self.0.get(&id).ok_or(NotGob("a type that is not defined"))? {
                Type::Struct(known) => input.structure(|input, number| {
                    let (_, kind) = *known.get(number).ok_or(NotGob("a field that is not defined"))?;
                    self.skip(kind, input, depth + 1)
                }),
                // Each element takes a byte at least, so a length that lies soon breaks off.
                Type::List(element) => (0..input.uint()?).try_for_each(|_| self.skip(*element, input, depth + 1)),
                Type::Map(key, value) => (0..input.uint()?).try_for_each(|_| {
                    self.skip(*key, input, depth + 1)?;
                    self.skip(*value, input, depth + 1)
                }),
                Type::Opaque => input.part().map(drop),
            },
        }
    }
}

// === Writing ===

/// The first number that a program's own types get.
const FIRST_TYPE: i64 = 65;

/// Writes frames of one struct.
#[derive(Debug)]
pub(crate) struct Encoder {
    /// The same before each value: every frame is a stream of its own.
    definition: Vec<u8>,
}

/// Answers and pushes.
pub(crate) static RESPONSE: LazyLock<Encoder> = LazyLock::new(|| {
    Encoder::new(
        "Resp",
        &[
            ("ReqIdentifier", INT),
            ("MsgIncr", STRING),
            ("OperationID", STRING),
            ("ErrCode", INT),
            ("ErrMsg", STRING),
            ("Data", BYTES),
        ],
    )
});

impl Encoder {
    fn new(name: &str, fields: &[(&str, i64)]) -> Self {
        let mut body = Vec::new();
        put_int(&mut body, -FIRST_TYPE);
        // The third kind of type is a struct; then its name and number, and its fields.
        body.extend([3, 1, 1]);
        put_bytes(&mut body, name.as_bytes());
        body.push(1);
        put_int(&mut body, FIRST_TYPE);
        body.extend([0, 1]);
        put_uint(&mut body, fields.len() as u64);
        for (name, kind) in fields {
            body.push(1);
            put_bytes(&mut body, name.as_bytes());
            body.push(1);
            put_int(&mut body, *kind);
            body.push(0);
        }
        body.extend([0, 0]);
        let mut definition = Vec::with_capacity(body.len() + 1);
        put_bytes(&mut definition, &body);
        Self { definition }
    }

    /// A frame with these fields, in the order of the definition. What is zero or empty is left out.
    pub(crate) fn frame(&self, fields: &[Field<'_>]) -> Vec<u8> {
        let length: usize = fields.iter().map(|field| field.length()).sum();
        let mut body = Vec::with_capacity(length + 16);
        put_int(&mut body, FIRST_TYPE);
        let mut delta = 1;
        for field in fields {
            if field.is_zero() {
                delta += 1;
                continue;
            }
            put_uint(&mut body, delta);
            match field {
                Field::Int(number) => put_int(&mut body, *number),
                Field::Text(text) => put_bytes(&mut body, text.as_bytes()),
                Field::Bytes(bytes) => put_bytes(&mut body, bytes),
            }
            delta = 1;
        }
        body.push(0);
        let mut frame = Vec::with_capacity(self.definition.len() + body.len() + 9);
        frame.extend_from_slice(&self.definition);
        put_bytes(&mut frame, &body);
        frame
    }
}

impl Field<'_> {
    fn is_zero(&self) -> bool {
        match self {
            Self::Int(number) => *number == 0,
            Self::Text(text) => text.is_empty(),
            Self::Bytes(bytes) => bytes.is_empty(),
        }
    }

    /// At most so many bytes, written.
    fn length(&self) -> usize {
        10 + match self {
            Self::Int(_) => 0,
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
        }
    }
}

fn put_uint(out: &mut Vec<u8>, number: u64) {
    match u8::try_from(number) {
        Ok(small) if small < 0x80 => out.push(small),
        _ => {
            let bytes = number.to_be_bytes();
            let zeros = number.leading_zeros() as usize / 8;
            out.push(((8 - zeros) as u8).wrapping_neg());
            out.extend_from_slice(&bytes[zeros..]);
        }
    }
}

fn put_int(out: &mut Vec<u8>, number: i64) {
    let bits = (number << 1) ^ (number >> 63);
    put_uint(out, bits.cast_unsigned());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_uint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests;
