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

/// Several events in one call. Nobody subscribes to it: what it holds is subscribed to.
pub(crate) const BATCH: &str = "batch";

/// All that an endpoint may subscribe to.
pub(crate) const ALL: [&str; 5] = [MESSAGE_SENT, MESSAGE_NOT_SENT, GROUP_CHANGED, ENDPOINT_PAUSED, MESSAGE_SENDING];
