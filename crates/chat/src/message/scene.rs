//! The facts about where a message goes, what of them has to hold when it is committed, and failed deliveries.

use super::Message;
use crate::chat::Context;
use crate::conversation::ConversationId;
use crate::event::{Event, NotSent};
use crate::group::Group;
use crate::id::{AccountId, GroupId};
use crate::policy::{Exempt, Scene};
use crate::port::{Assertion, Changes, Write};
use crate::refusal::{Error, Refusal};

/// The facts.
pub(super) async fn look(
    cx: &Context<'_>,
    conversation: &ConversationId,
    sender: &AccountId,
    exempt: Exempt,
) -> Result<Scene, Error> {
    match conversation {
        ConversationId::Direct(..) => {
            let blocked = match conversation.peer_of(sender) {
                Some(recipient) if !exempt.blocks => cx.store().is_blocked(recipient, sender).await?,
                _ => false,
            };
            Ok(Scene::Direct { blocked })
        }
        ConversationId::Group(id) => look_at_group(cx, id, sender).await,
        ConversationId::Topic(id, topic) => {
            let scene = look_at_group(cx, id, sender).await?;
            if cx.store().topic(id, topic).await?.is_none() {
                return Err(Refusal::NoTopic(topic.clone()).into());
            }
            Ok(scene)
        }
    }
}

async fn look_at_group(cx: &Context<'_>, id: &GroupId, sender: &AccountId) -> Result<Scene, Error> {
    let group: Option<Group> = cx.store().groups(std::slice::from_ref(id)).await?.pop();
    let group = group.ok_or_else(|| Refusal::NoGroup(id.clone()))?;
    let member = cx.store().member(id, sender).await?;
    Ok(Scene::Group { group: Box::new(group), member: member.map(Box::new) })
}

/// What the rules relied on.
pub(super) fn assertions(message: &Message, exempt: Exempt) -> Vec<Assertion> {
    let sender = &message.sender;
    let mut assertions = Vec::new();
    match &message.conversation {
        conversation @ ConversationId::Direct(..) if !exempt.blocks => {
            let recipient = conversation.peer_of(sender);
            assertions.extend(recipient.map(|recipient| Assertion::NotBlocked(recipient.clone(), sender.clone())));
        }
        ConversationId::Direct(..) => {}
        ConversationId::Group(group) | ConversationId::Topic(group, _) => {
            assertions.push(Assertion::GroupOpen(group.clone()));
            if !exempt.membership {
                assertions.push(Assertion::IsMember(group.clone(), sender.clone()));
            }
        }
    }
    assertions
}

/// What is told of a message that the rules refuse: a block and a restricted word are failed deliveries.
pub(super) fn failed_delivery(refusal: &Refusal) -> Option<NotSent> {
    match refusal {
        Refusal::Blocked => Some(NotSent::Blocked),
        Refusal::RestrictedWord => Some(NotSent::RestrictedWord),
        _ => None,
    }
}

/// Records that a message could not be delivered; the answer is the refusal, or why even that failed.
pub(super) async fn not_sent(cx: &Context<'_>, message: Message, reason: NotSent) -> Error {
    let event = Event::MessageNotSent { message, reason };
    let changes = Changes { assertions: Vec::new(), writes: vec![Write::Append(Box::new(event))] };
    match cx.commit(changes).await {
        Ok(_) => Refusal::from(reason).into(),
        Err(error) => error,
    }
}
