//! Who is called by name in a message: `atUserIDList` on the wire.

use chat::id::AccountId;
use chat::message::Mention;

/// Stands for everybody in an at-list.
const EVERYBODY: &str = "AtAllTag";

/// From the wire's list.
pub(crate) fn read(list: &[String]) -> Vec<Mention> {
    let mention = |id: &String| match id.as_str() {
        EVERYBODY => Mention::All,
        id => Mention::Account(AccountId::from(id)),
    };
    list.iter().map(mention).collect()
}

/// As the wire's list.
pub(crate) fn list(mentions: &[Mention]) -> Vec<String> {
    let id = |mention: &Mention| match mention {
        Mention::All => EVERYBODY.to_owned(),
        Mention::Account(account) => account.to_string(),
    };
    mentions.iter().map(id).collect()
}
