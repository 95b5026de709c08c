//! `CreateTopic`: a community gets another conversation.

use async_trait::async_trait;

use super::{Group, GroupProfile, Topic};
use crate::chat::Context;
use crate::command::{Actor, Command};
use crate::id::{GroupId, TopicId};
use crate::member::Role;
use crate::port::{Assertion, Changes, Write};
use crate::question::Question;
use crate::question::group::TopicCreation;
use crate::refusal::{Error, Refusal};

/// Creates a topic.
#[derive(Clone, Debug)]
pub struct CreateTopic {
    /// In which community.
    pub group: GroupId,
    /// Its id.
    pub id: TopicId,
    /// Its profile.
    pub profile: GroupProfile,
}

#[async_trait]
impl Command for CreateTopic {
    type Reply = Topic;
    const NAME: &'static str = "create_topic";

    async fn run(self, cx: &Context<'_>) -> Result<Topic, Error> {
        // Facts and rules.
        let group = self.judge(cx).await?;
        let creator = cx.actor.account().cloned();
        let topic = Topic {
            id: self.id.clone(),
            group: self.group.clone(),
            profile: self.profile.clone(),
            creator,
            created: cx.now(),
        };

        // Ask. No transaction is open.
        let creation = TopicCreation { occasion: cx.occasion(), group, topic: topic.clone() };
        let question = Question::BeforeCreateTopic(Box::new(creation));
        if cx.is_asked(&question) {
            if cx.store().topic(&self.group, &self.id).await?.is_some() {
                return Err(Refusal::TopicExists(self.id).into());
            }
            cx.ask(question).await?;
            // Much can have happened while we waited.
            self.judge(cx).await?;
        }

        let changes = Changes {
            assertions: vec![
                Assertion::GroupOpen(topic.group.clone()),
                Assertion::NoTopic(topic.group.clone(), topic.id.clone()),
            ],
            writes: vec![Write::AddTopic(Box::new(topic.clone()))],
        };
        cx.commit(changes).await?;
        Ok(topic)
    }
}

impl CreateTopic {
    /// Whether the actor may, and the group takes topics.
    async fn judge(&self, cx: &Context<'_>) -> Result<Group, Error> {
        let group = cx.open_group(&self.group).await?;
        if let Actor::Account(account) = cx.actor
            && cx.check_member(&self.group, account).await?.role < Role::Admin
        {
            return Err(Refusal::NotPermitted.into());
        }
        if !group.has_topics {
            return Err(Refusal::GroupTypeForbids("only a community that was made with topics has them").into());
        }
        Ok(group)
    }
}
