//! `openim/get_c2c_unread_msg_num`: unread one-to-one messages, in all or per peer.

use chat::id::AccountId;
use chat::message::unread::CountUnread;
use chat::refusal::Refusal;
use serde_json::{Value, json};

use crate::body::Fields;
use crate::envelope::{Error, Failure, Reply};
use crate::gate::Call;

const MAX_PEERS: usize = 10;

pub(super) async fn run(call: &Call<'_>, mut body: Fields) -> Result<Reply, Error> {
    let account = body.account("To_Account", 90003)?;
    let peers = body.strings("Peer_Account", 90008)?;
    let unknown = |error| match error {
        chat::Error::Refused(Refusal::NoAccount(id)) => {
            Error::from(Failure::new(90003, format!("the account {id:?} does not exist")))
        }
        other => other.into(),
    };
    let Some(peers) = peers else {
        let total = call.run(CountUnread { account, peer: None }).await.map_err(unknown)?;
        return Ok(Reply::new().with("AllC2CUnreadMsgNum", total));
    };
    if peers.len() > MAX_PEERS {
        return Err(Failure::new(90001, format!("Peer_Account may have at most {MAX_PEERS} entries")).into());
    }
    // Whether the account itself exists is answered once, not once per peer.
    call.run(CountUnread { account: account.clone(), peer: None }).await.map_err(unknown)?;
    let (mut counts, mut errors): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    for peer in peers {
        let count = CountUnread { account: account.clone(), peer: Some(AccountId::new(&*peer)) };
        match call.run(count).await {
            Ok(count) => counts.push(json!({ "Peer_Account": peer, "C2CUnreadMsgNum": count })),
            Err(chat::Error::Refused(Refusal::NoAccount(_))) => {
                errors.push(json!({ "Peer_Account": peer, "ErrorCode": 70107 }));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let reply = Reply::new().with("C2CUnreadMsgNumList", counts);
    Ok(if errors.is_empty() { reply } else { reply.with("ErrorList", errors) })
}
