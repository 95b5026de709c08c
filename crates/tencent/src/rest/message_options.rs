//! What `sendmsg` and `send_group_msg` have in common: body, control flags, carried fields.

use chat::element::Element;
use chat::message::Delivery;
use serde_json::{Map, Value};

use crate::body::{Fields, missing};
use crate::element::decode_body;
use crate::envelope::Failure;

/// How a service refuses each part of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codes {
    /// A field of the wrong type.
    pub(super) field: i64,
    /// `OfflinePushInfo` that is no object.
    pub(super) push_info: i64,
    /// Whether `decode_body`'s own codes are the service's.
    pub(super) body: Option<i64>,
}

/// The parts of a message that both commands read alike.
#[derive(Debug)]
pub(super) struct Options {
    pub(super) elements: Vec<Element>,
    pub(super) custom_data: Option<String>,
    pub(super) delivery: Delivery,
    /// What the core does not know and the dialect keeps.
    pub(super) carried: Map<String, Value>,
    /// Whether the before-callback is asked.
    pub(super) asks: bool,
}

/// Reads them.
pub(super) fn read(body: &mut Fields, codes: Codes) -> Result<Options, Failure> {
    let message = body.take("MsgBody").ok_or_else(|| missing("MsgBody", codes.body.unwrap_or(90002)))?;
    let elements =
        decode_body(message).map_err(|failure| Failure { code: codes.body.unwrap_or(failure.code), ..failure })?;
    let custom_data = body.string("CloudCustomData", codes.field)?;
    let controls = body.strings("SendMsgControl", codes.field)?.unwrap_or_default();
    let forbidden = body.strings("ForbidCallbackControl", codes.field)?.unwrap_or_default();
    let has = |list: &[String], name: &str| list.iter().any(|item| item == name);

    let mut carried = Map::new();
    let mut no_push = false;
    if let Some(push) = body.take("OfflinePushInfo") {
        let Value::Object(fields) = &push else {
            return Err(Failure::new(codes.push_info, "OfflinePushInfo must be an object"));
        };
        no_push = fields.get("PushFlag").and_then(Value::as_i64) == Some(1);
        carried.insert("OfflinePushInfo".into(), push);
    }
    for name in ["SupportMessageExtension", "IsNeedReadReceipt"] {
        if body.flag(name, codes.field)? {
            carried.insert(name.into(), 1.into());
        }
    }
    let delivery = Delivery {
        no_unread: has(&controls, "NoUnread"),
        no_last_message: has(&controls, "NoLastMsg"),
        no_push,
        no_after_callback: has(&forbidden, "ForbidAfterSendMsgCallback"),
        ..Delivery::default()
    };
    Ok(Options { elements, custom_data, delivery, carried, asks: !has(&forbidden, "ForbidBeforeSendMsgCallback") })
}
