//! Against bytes that Go's own `encoding/gob` has written, and round trips.

use proptest::prelude::*;

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// Written by Go: `GeneralWsReq{ReqIdentifier: 1001, SendID: "u1", OperationID: "op1", MsgIncr: "u1_1", Data: …}`.
const GO_REQUEST: &str = "66ff810301010c47656e6572616c577352657101ff82000106010d5265714964656e746966696572010400\
    0105546f6b656e010c00010653656e644944010c00010b4f7065726174696f6e4944010c0001074d7367496e6372010c00010444617461010a0000\
    001cff8201fe07d20202753101036f7031010475315f3101040a02753100";

/// Written by Go: a `Resp`, as the first type of its process, and so with 65 where the spec's example has 66.
const GO_RESPONSE: &str = "60ff81030101045265737001ff82000106010d5265714964656e74696669657201040001074d7367496e6372010c00010b4f706572\
    6174696f6e4944010c000107457272436f646501040001064572724d7367010c00010444617461010a000000";

fn response<'a>(
    identifier: i64,
    increment: &'a str,
    operation: &'a str,
    code: i64,
    message: &'a str,
    data: &'a [u8],
) -> Vec<u8> {
    RESPONSE.frame(&[
        Field::Int(identifier),
        Field::Text(increment),
        Field::Text(operation),
        Field::Int(code),
        Field::Text(message),
        Field::Bytes(data),
    ])
}

#[test]
fn a_request_of_gos_is_read() {
    let frame = hex(GO_REQUEST);
    let expected = vec![
        ("ReqIdentifier", Field::Int(1001)),
        ("SendID", Field::Text("u1")),
        ("OperationID", Field::Text("op1")),
        ("MsgIncr", Field::Text("u1_1")),
        ("Data", Field::Bytes(&[0x0a, 0x02, 0x75, 0x31])),
    ];
    assert_eq!(fields(&frame), Ok(expected));
}

#[test]
fn responses_are_what_go_writes() {
    for (written, value) in [
        (
            response(1001, "u1_1", "op1", 0, "", &hex("0a060a0278791005")),
            "1cff8201fe07d2010475315f3101036f703103080a060a027879100500",
        ),
        (
            response(1003, "u1_2", "op2", 1302, "BlockedByPeer", &[]),
            "25ff8201fe07d6010475315f3201036f703201fe0a2c010d426c6f636b656442795065657200",
        ),
        (response(2002, "", "", 0, "", &[]), "07ff8201fe0fa400"),
        (response(0, "", "", 0, "", &[]), "03ff8200"),
    ] {
        assert_eq!(written, hex(&format!("{GO_RESPONSE}{value}")), "{value}");
    }
}

/// Go: `struct{ Extra []map[string]float64; When time.Time; Flag bool; Deep struct{ N uint }; SendID string }`, by hand after
/// the same rules: every kind of type that can be defined comes before the field that is wanted.
#[test]
fn what_is_not_known_is_skipped() {
    let mut frame = Vec::new();
    let message = |frame: &mut Vec<u8>, body: &[u8]| put_bytes(frame, body);
    let define = |frame: &mut Vec<u8>, id: i64, kind: u8, rest: &[u8]| {
        let mut body = Vec::new();
        put_int(&mut body, -id);
        body.push(kind + 1);
        body.push(1);
        body.push(2);
        put_int(&mut body, id);
        body.push(0);
        body.extend_from_slice(rest);
        body.extend([0, 0]);
        message(frame, &body);
    };
    let structure = |fields: &[(&str, i64)]| {
        let mut rest = vec![1];
        put_uint(&mut rest, fields.len() as u64);
        for (name, id) in fields {
            rest.push(1);
            put_bytes(&mut rest, name.as_bytes());
            rest.push(1);
            put_int(&mut rest, *id);
            rest.push(0);
        }
        rest
    };
    let kinds = [("Extra", 66), ("When", 68), ("Flag", BOOL), ("Deep", 69), ("SendID", STRING)];
    define(&mut frame, 65, 2, &structure(&kinds));
    // A slice of maps from strings to floats.
    define(&mut frame, 66, 1, &[1, 0xff, 67 * 2]);
    define(&mut frame, 67, 3, &[1, 12, 1, 8]);
    define(&mut frame, 68, 4, &[]);
    define(&mut frame, 69, 2, &structure(&[("N", UINT)]));
    let mut value = Vec::new();
    put_int(&mut value, 65);
    value.extend([1, 1, 2, 1, b'a', 0x7f, 1, b'b', 0xfe, 0xf0, 0x3f]);
    value.extend([1, 3, 1, 2, 3]);
    value.extend([1, 1]);
    value.extend([1, 1, 7, 0]);
    value.extend([1, 2, b'u', b'1', 0]);
    message(&mut frame, &value);
    assert_eq!(fields(&frame), Ok(vec![("SendID", Field::Text("u1"))]));
}

#[test]
fn a_type_that_contains_itself_ends() {
    // type 65 is a struct with one field, of type 66; 66 is a slice of 66.
    let mut frame = hex("0dff81 03 01 02 ff82 00 01 01 00 00 00");
    frame.clear();
    let mut body = Vec::new();
    put_int(&mut body, -66);
    body.extend([2, 1, 2]);
    put_int(&mut body, 66);
    body.extend([0, 1]);
    put_int(&mut body, 66);
    body.extend([0, 0]);
    put_bytes(&mut frame, &body);
    body.clear();
    put_int(&mut body, -65);
    body.extend([3, 1, 2]);
    put_int(&mut body, 65);
    body.extend([0, 1, 1, 1, 1, b'x', 1]);
    put_int(&mut body, 66);
    body.extend([0, 0, 0]);
    put_bytes(&mut frame, &body);
    body.clear();
    put_int(&mut body, 65);
    body.push(1);
    body.extend([1; 100]);
    put_bytes(&mut frame, &body);
    assert_eq!(fields(&frame), Err(NotGob("types within types without end")));
}

#[test]
fn what_breaks_off_anywhere_is_refused() {
    let frame = hex(GO_REQUEST);
    for length in 0..frame.len() {
        assert!(fields(&frame[..length]).is_err(), "{length} bytes");
    }
    assert!(fields(&hex("f7ffffffffffffffffff")).is_err(), "a number of nine bytes");
    assert!(fields(&hex("f8ffffffffffffffff00")).is_err(), "longer than memory");
}

proptest! {
    #[test]
    fn numbers_come_back(number: i64) {
        let mut out = Vec::new();
        put_int(&mut out, number);
        let mut input = Input(&out);
        prop_assert_eq!(input.int(), Ok(number));
        prop_assert!(input.0.is_empty());
    }

    #[test]
    fn frames_come_back(identifier: i32, increment: String, code: i32, message: String, data: Vec<u8>) {
        let frame = response(identifier.into(), &increment, "op", code.into(), &message, &data);
        let expected = [
            ("ReqIdentifier", Field::Int(identifier.into())),
            ("MsgIncr", Field::Text(&increment)),
            ("OperationID", Field::Text("op")),
            ("ErrCode", Field::Int(code.into())),
            ("ErrMsg", Field::Text(&message)),
            ("Data", Field::Bytes(&data)),
        ];
        let expected: Vec<_> = expected.into_iter().filter(|(_, field)| !field.is_zero()).collect();
        prop_assert_eq!(fields(&frame), Ok(expected));
    }

    #[test]
    fn nothing_breaks_it(frame: Vec<u8>, place: prop::sample::Index, byte: u8) {
        let _ = fields(&frame);
        let mut frame = hex(GO_REQUEST);
        let place = place.index(frame.len());
        frame[place] = byte;
        let _ = fields(&frame);
    }
}
