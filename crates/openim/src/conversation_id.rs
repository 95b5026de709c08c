//! Conversation ids on the wire: `si_<a>_<b>`, `sg_<group>` (`spec/openim/semantics.md`, section 3).

use chat::conversation::ConversationId;
use chat::id::{AccountId, GroupId};

/// The wire's id; `None` for a topic, which OpenIM does not have.
pub(crate) fn show(conversation: &ConversationId) -> Option<String> {
    match conversation {
        ConversationId::Direct(one, other) => Some(format!("si_{one}_{other}")),
        ConversationId::Group(group) => Some(format!("sg_{group}")),
        ConversationId::Topic(..) => None,
    }
}

/// Whether it is a conversation of notifications. They are empty: notifications are not stored yet.
pub(crate) fn is_notification(id: &str) -> bool {
    id.starts_with("n_")
}

/// The conversation of that id, as `viewer` means it; `None` if it cannot be theirs.
///
/// COMPAT: user ids may contain the underscore that separates them, so the id says who the two are only to somebody who
/// is one of them, and in rare cases not even then (the ids of `a_b_a` with `b_a` and with `a_b` are equal). The
/// reading in which the viewer comes first is taken.
pub(crate) fn parse(id: &str, viewer: &AccountId) -> Option<ConversationId> {
    if let Some(group) = id.strip_prefix("sg_") {
        return (!group.is_empty()).then(|| ConversationId::Group(GroupId::from(group)));
    }
    let pair = id.strip_prefix("si_")?;
    let after = pair.strip_prefix(viewer.as_str()).and_then(|rest| rest.strip_prefix('_'));
    let before = pair.strip_suffix(viewer.as_str()).and_then(|rest| rest.strip_suffix('_'));
    [after, before].into_iter().flatten().find_map(|peer| {
        let conversation = ConversationId::direct(viewer.clone(), AccountId::from(peer));
        (!peer.is_empty() && show(&conversation).as_deref() == Some(id)).then_some(conversation)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_is_read_by_one_of_the_two_only() {
        let (a, b) = (AccountId::new("al_ice"), AccountId::new("b_ob"));
        let conversation = ConversationId::direct(a.clone(), b.clone());
        let id = show(&conversation).unwrap();
        assert_eq!(id, "si_al_ice_b_ob");
        assert_eq!(parse(&id, &a), Some(conversation.clone()));
        assert_eq!(parse(&id, &b), Some(conversation));
        assert_eq!(parse(&id, &AccountId::new("eve")), None);
        assert_eq!(parse("si_b_ob_al_ice", &a), None, "ids are sorted");
        for odd in ["", "si_", "sg_", "si_al_ice", "si_al_ice_", "n_al_ice_b_ob", "xx"] {
            assert_eq!(parse(odd, &a), None, "{odd}");
        }
    }

    proptest! {
        #[test]
        fn every_conversation_is_found_again(a in "[a-c_]{1,6}", b in "[a-c_]{1,6}") {
            let (a, b) = (AccountId::new(a), AccountId::new(b));
            let id = show(&ConversationId::direct(a.clone(), b)).unwrap();
            let found = parse(&id, &a);
            prop_assert_eq!(found.and_then(|conversation| show(&conversation)), Some(id));
        }
    }
}
