//! Every callback command of the dialect: what an endpoint may subscribe to.
//!
//! Those that have no event in the core yet are legal in the configuration and are never called.

/// The commands, as on the wire.
pub(super) const ALL: &[&str] = &[
    "State.StateChange",
    "Profile.CallbackPortraitSet",
    "Sns.CallbackPrevFriendAdd",
    "Sns.CallbackPrevFriendResponse",
    "Sns.CallbackFriendAdd",
    "Sns.CallbackFriendDelete",
    "Sns.CallbackBlackListAdd",
    "Sns.CallbackBlackListDelete",
    super::BEFORE_C2C,
    super::AFTER_C2C,
    "C2C.CallbackAfterMsgReport",
    "C2C.CallbackAfterMsgWithDraw",
    super::BEFORE_CREATE_GROUP,
    "Group.CallbackAfterCreateGroup",
    "Group.CallbackBeforeApplyJoinGroup",
    super::BEFORE_INVITE,
    "Group.CallbackAfterNewMemberJoin",
    "Group.CallbackAfterMemberExit",
    super::BEFORE_GROUP,
    super::AFTER_GROUP,
    "Group.CallbackSendMsgException",
    "Group.CallbackAfterRecallMsg",
    "Group.CallbackAfterGroupFull",
    "Group.CallbackAfterGroupDestroyed",
    super::GROUP_CHANGED,
    "Group.CallbackOnMemberStateChange",
    super::BEFORE_CREATE_TOPIC,
    "Group.CallbackAfterCreateTopic",
    "Group.CallbackAfterTopicDestroyed",
    "Group.CallbackAfterTopicInfoChanged",
];

/// Whether a command asks: the names say so (`CallbackBefore…`, `CallbackPrev…`).
pub(super) fn is_question(command: &str) -> bool {
    let (_, what) = command.split_once('.').unwrap_or_default();
    ALL.contains(&command) && (what.starts_with("CallbackBefore") || what.starts_with("CallbackPrev"))
}
