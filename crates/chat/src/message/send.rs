//! `SendMessage`: the command that Ringback exists for. Read it top to bottom.

use async_trait::async_trait;

use super::{Delivery, Keeping, Mention, Message, RepeatKey, scene};
use crate::chat::{Context, commit_refused};
use crate::command::{Actor, Command};
use crate::conversation::ConversationId;
use crate::element::{Carried, Element};
use crate::id::{AccountId, ClientMessageId, GroupId, Timestamp, TopicId};
use crate::policy::{self, Exempt, Scene};
use crate::port::{Assertion, Changes, CommitError, Write};
use crate::question::{Edit, Otherwise, Question, Verdict};
use crate::refusal::{AskFailure, Error, Refusal};
use crate::turns::Affair;

/// How often a commit is tried again when a fact changed between the rules and the commit. Each try starts from fresh
/// facts, so a second conflict in a row is already rare.
const MAX_CONFLICTS: usize = 3;

/// Sends a message.
#[derive(Clone, Debug)]
pub struct SendMessage {
    /// Whom it is from.
    pub sender: AccountId,
    /// Where it goes.
    pub to: Destination,
    /// The sender's own id; `None`: the server's id stands in.
    pub client_id: Option<ClientMessageId>,
    /// What recognises a repeat of it.
    pub repeat: Option<RepeatKey>,
    /// When it was sent, if not now; only the app may say so.
    pub time: Option<Timestamp>,
    /// When it was made, by the sender's clock.
    pub created: Option<Timestamp>,
    /// Shown name; `None`: the account's.
    pub sender_name: Option<String>,
    /// Shown avatar; `None`: the account's.
    pub sender_face: Option<String>,
    /// The content.
    pub elements: Vec<Element>,
    /// The app's own data beside it.
    pub custom_data: Option<String>,
    /// Who is called by name.
    pub mentions: Vec<Mention>,
    /// How it is delivered.
    pub delivery: Delivery,
    /// The dialect's own fields.
    pub carried: Option<Carried>,
    /// Rules that do not apply.
    pub exempt: Exempt,
    /// Whether sending marks the conversation as read by the sender.
    pub reads: bool,
    /// Whether the app's backend is asked.
    pub asks: bool,
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// One-to-one.
    Account(AccountId),
    /// To a group.
    Group(GroupId),
    /// To a topic of a community.
    Topic(GroupId, TopicId),
}

/// A message that was sent, or looks sent.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The message as stored, with its seq; as it was asked about, if it was discarded.
    pub message: Message,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a message that its sender is told was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was sent.
    Sent {
        /// The app's backend changed it.
        modified: bool,
    },
    /// It had been sent before; this is the message of that time.
    Repeated,
    /// The app's backend had it dropped.
    Discarded,
}

#[async_trait]
impl Command for SendMessage {
    type Reply = Sent;
    const NAME: &'static str = "send_message";

    async fn run(self, cx: &Context<'_>) -> Result<Sent, Error> {
        self.check_rights(cx.actor)?;

        // Facts, and the rules that they decide.
        let (mut message, mut scene) = self.draft(cx).await?;
        if let Err(full) = cx.check_room() {
            return self.refuse(cx, message, full).await;
        }
        policy::check_shape(&message, cx.settings().max_message_bytes)?;
        if let Err(refusal) = policy::check_scene(&message, &scene, self.exempt, cx.now()) {
            return self.refuse(cx, message, refusal).await;
        }

        // Ask. No transaction is open, so a backend may take its time, and may call us meanwhile.
        let question = Question::BeforeSend(Box::new(message));
        let must_ask = self.asks && cx.is_asked(&question);
        let Question::BeforeSend(draft) = question else { unreachable!("it is what it was made as") };
        message = *draft;
        let mut modified = false;
        let mut _turn = None;
        if must_ask {
            if let Some(repeat) = &self.repeat {
                _turn = Some(cx.turns().wait(Affair::Send(message.sender.clone(), repeat.key.clone())).await);
            }
            if let Some(first) = self.find_first(cx, &message).await? {
                return Ok(Sent { message: first, fate: Fate::Repeated });
            }
            if let Some(answer) = self.find_parked(cx, &message).await? {
                return answer;
            }
            let mut verdict = cx.callbacks().ask(Question::BeforeSend(Box::new(message.clone()))).await;
            loop {
                match verdict {
                    Verdict::Modify(Edit::Message(edit)) => {
                        edit.apply_to(&mut message);
                        policy::check_shape(&message, cx.settings().max_message_bytes)?;
                        modified = true;
                        break;
                    }
                    Verdict::Allow | Verdict::Modify(_) => break,
                    Verdict::Reject(refusal) => return Err(refusal.into()),
                    Verdict::Discard => return Ok(Sent { message, fate: Fate::Discarded }),
                    Verdict::Park(terms) => {
                        modified |= !terms.edit.is_empty();
                        terms.edit.clone().apply_to(&mut message);
                        policy::check_shape(&message, cx.settings().max_message_bytes)?;
                        if let Some(answer) = self.park(cx, &message, modified, &terms).await {
                            return answer;
                        }
                        if terms.when_full == Otherwise::Reject {
                            return Err(Refusal::BackendFailed(AskFailure::NoRoomToWait).into());
                        }
                        let question = Question::BeforeSend(Box::new(message.clone()));
                        verdict = cx.callbacks().ask_after(question, &terms.endpoint).await;
                    }
                }
            }
            // Much can have happened while we waited.
            scene = self.look(cx).await?;
            if let Err(refusal) = policy::check_scene(&message, &scene, self.exempt, cx.now()) {
                return self.refuse(cx, message, refusal).await;
            }
        } else if let Some(answer) = self.find_parked(cx, &message).await? {
            // Nobody is asked now, but a backend was, and has not said yet what is to become of it.
            return answer;
        }

        // The content filter sees what would be stored, and its refusal is told of.
        if policy::has_restricted_word(&message, &cx.settings().restricted_words) {
            return self.refuse(cx, message, Refusal::RestrictedWord).await;
        }

        // Commit; what the rules relied on is asserted. Whoever was asked for a retry of it meanwhile, because this one took
        // longer than a turn is waited for, may have had that wait.
        for _ in 0..MAX_CONFLICTS {
            let changes = self.changes(&message, must_ask || cx.parking().has_any());
            match cx.store().commit(changes).await {
                Ok(receipt) => {
                    message.seq = receipt.seqs.first().copied().unwrap_or_default();
                    return Ok(Sent { message, fate: Fate::Sent { modified } });
                }
                Err(CommitError::Repeat(first)) => return Ok(Sent { message: *first, fate: Fate::Repeated }),
                Err(CommitError::Broken(broken)) => {
                    if matches!(broken, Assertion::NothingParked { .. })
                        && let Some(answer) = self.look_up_parked(cx, &message).await?
                    {
                        return answer;
                    }
                    scene = self.look(cx).await?;
                    if let Err(refusal) = policy::check_scene(&message, &scene, self.exempt, cx.now()) {
                        return self.refuse(cx, message, refusal).await;
                    }
                }
                Err(error) => return Err(commit_refused(error)),
            }
        }
        Err(Refusal::StoreUnavailable.into())
    }
}

impl SendMessage {
    /// An account speaks only for itself; the app speaks for anyone.
    fn check_rights(&self, actor: &Actor) -> Result<(), Refusal> {
        match actor {
            Actor::App(_) | Actor::System => Ok(()),
            Actor::Account(id) if *id == self.sender && self.time.is_none() => Ok(()),
            Actor::Account(_) => Err(Refusal::NotPermitted),
        }
    }

    /// The message as it would be sent, and what the rules need to know about where it goes.
    async fn draft(&self, cx: &Context<'_>) -> Result<(Message, Scene), Error> {
        let recipient = match &self.to {
            Destination::Account(recipient) => Some(recipient),
            Destination::Group(_) | Destination::Topic(..) => None,
        };
        let mut wanted = vec![self.sender.clone()];
        wanted.extend(recipient.cloned());
        let accounts = cx.store().accounts(&wanted).await?;
        for id in &wanted {
            if !accounts.iter().any(|account| account.id == *id) {
                return Err(Refusal::NoAccount(id.clone()).into());
            }
        }
        let sender = &accounts[0];
        let scene = self.look(cx).await?;

        let time = self.time.unwrap_or_else(|| cx.now());
        // Of the current time, also if the app says that it was sent at another: ids of events sort by when they were wanted.
        let id = cx.event_id();
        let mut delivery = self.delivery.clone();
        let mut group_kind = None;
        if let Scene::Group { group, .. } = &scene {
            group_kind = Some(group.kind);
            if !group.kind.has_history() {
                delivery.keeping = Keeping::Live;
            }
        }
        let conversation = self.conversation();
        let message = Message {
            id,
            conversation,
            group_kind,
            seq: 0,
            sender: self.sender.clone(),
            actor: cx.actor.clone(),
            origin: cx.origin.clone(),
            client_id: self.client_id.clone().unwrap_or_else(|| ClientMessageId::new(id.to_string())),
            time,
            created: self.created.unwrap_or(time),
            sender_name: self.sender_name.clone().unwrap_or_else(|| sender.name.clone()),
            sender_face: self.sender_face.clone().unwrap_or_else(|| sender.face_url.clone()),
            elements: self.elements.clone(),
            custom_data: self.custom_data.clone(),
            mentions: self.mentions.clone(),
            delivery,
            carried: self.carried.clone(),
        };
        Ok((message, scene))
    }

    /// The facts about where it goes.
    async fn look(&self, cx: &Context<'_>) -> Result<Scene, Error> {
        scene::look(cx, &self.conversation(), &self.sender, self.exempt).await
    }

    fn conversation(&self) -> ConversationId {
        match &self.to {
            Destination::Account(recipient) => ConversationId::direct(self.sender.clone(), recipient.clone()),
            Destination::Group(group) => ConversationId::Group(group.clone()),
            Destination::Topic(group, topic) => ConversationId::Topic(group.clone(), topic.clone()),
        }
    }

    /// Refuses a message, unless it was sent before, when the rules allowed it: a retry gets the first answer. A block
    /// and a restricted word are failed deliveries: they are told of.
    async fn refuse(&self, cx: &Context<'_>, message: Message, refusal: Refusal) -> Result<Sent, Error> {
        if let Some(first) = self.find_first(cx, &message).await? {
            return Ok(Sent { message: first, fate: Fate::Repeated });
        }
        if let Some(answer) = self.find_parked(cx, &message).await? {
            return answer;
        }
        Err(match scene::failed_delivery(&refusal) {
            Some(reason) => scene::not_sent(cx, message, reason).await,
            None => refusal.into(),
        })
    }

    /// The message that this one repeats, if any.
    pub(super) async fn find_first(&self, cx: &Context<'_>, message: &Message) -> Result<Option<Message>, Error> {
        match &self.repeat {
            Some(repeat) => {
                Ok(cx.store().repeat_of(&message.conversation, &message.sender, repeat, message.time).await?)
            }
            None => Ok(None),
        }
    }

    fn changes(&self, message: &Message, may_wait: bool) -> Changes {
        let write = Write::Send { message: Box::new(message.clone()), repeat: self.repeat.clone(), reads: self.reads };
        let mut assertions = scene::assertions(message, self.exempt);
        if may_wait {
            assertions.extend(self.nothing_parked(message));
        }
        Changes { assertions, writes: vec![write] }
    }
}
