//! The types of calls: what an endpoint subscribes to, and what stands in `type`.

/// Told when a message was sent.
pub(crate) const MESSAGE_SENT: &str = "message.sent";
/// Told when a message was accepted and could not be delivered.
pub(crate) const MESSAGE_NOT_SENT: &str = "message.not_sent";
/// Told when a group's profile changed.
pub(crate) const GROUP_CHANGED: &str = "group.changed";
/// Told when an endpoint is not called any more.
pub(crate) const ENDPOINT_PAUSED: &str = "endpoint.paused";
/// Asked before a message is sent.
pub(crate) const MESSAGE_SENDING: &str = "message.sending";
/// Asked before a group is made.
pub(crate) const GROUP_CREATING: &str = "group.creating";
/// Asked before a community gets a topic.
pub(crate) const TOPIC_CREATING: &str = "topic.creating";
/// Asked before accounts become members of a group.
pub(crate) const MEMBERS_ADDING: &str = "members.adding";
/// Asked before a group's profile or rules change.
pub(crate) const GROUP_CHANGING: &str = "group.changing";
/// Asked before an account blocks another.
pub(crate) const ACCOUNT_BLOCKING: &str = "account.blocking";
/// Asked before accounts are made known.
pub(crate) const ACCOUNTS_REGISTERING: &str = "accounts.registering";

/// Several events in one call. Nobody subscribes to it: what it holds is subscribed to.
pub(crate) const BATCH: &str = "batch";

/// What is told.
pub(crate) const EVENTS: [&str; 4] = [MESSAGE_SENT, MESSAGE_NOT_SENT, GROUP_CHANGED, ENDPOINT_PAUSED];

/// What is asked.
pub(crate) const QUESTIONS: [&str; 7] = [
    MESSAGE_SENDING,
    GROUP_CREATING,
    TOPIC_CREATING,
    MEMBERS_ADDING,
    GROUP_CHANGING,
    ACCOUNT_BLOCKING,
    ACCOUNTS_REGISTERING,
];
