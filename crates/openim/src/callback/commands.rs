//! The names of all webhooks. Those that Ringback does not call yet are legal in a configuration all the same.

/// Asked before a one-to-one message.
pub(crate) const BEFORE_SEND_SINGLE: &str = "callbackBeforeSendSingleMsgCommand";
/// Told after a one-to-one message.
pub(crate) const AFTER_SEND_SINGLE: &str = "callbackAfterSendSingleMsgCommand";
/// Asked before a group message.
pub(crate) const BEFORE_SEND_GROUP: &str = "callbackBeforeSendGroupMsgCommand";
/// Told after a group message.
pub(crate) const AFTER_SEND_GROUP: &str = "callbackAfterSendGroupMsgCommand";
/// Asked after the other questions, whether to change the message.
pub(crate) const BEFORE_MSG_MODIFY: &str = "callbackBeforeMsgModifyCommand";
/// Asked before an account blocks another; once for each.
pub(crate) const BEFORE_ADD_BLACK: &str = "callbackBeforeAddBlackCommand";
/// Asked before a group is made.
pub(crate) const BEFORE_CREATE_GROUP: &str = "callbackBeforeCreateGroupCommand";
/// Asked right before members are written, however they came.
pub(crate) const BEFORE_MEMBERS_JOIN: &str = "callbackBeforeMembersJoinGroupCommand";
/// Asked before accounts are invited to a group.
pub(crate) const BEFORE_INVITE: &str = "callbackBeforeInviteJoinGroupCommand";
/// Asked before a group is changed by the older form.
pub(crate) const BEFORE_SET_GROUP_INFO: &str = "callbackBeforeSetGroupInfoCommand";
/// Asked before a group is changed by the newer form.
pub(crate) const BEFORE_SET_GROUP_INFO_EX: &str = "callbackBeforeSetGroupInfoExCommand";
/// Asked before accounts are made known.
pub(crate) const BEFORE_USER_REGISTER: &str = "callbackBeforeUserRegisterCommand";

/// Every command of OpenIM 3.8 (`webhooks.jsonl`), in its order.
pub(crate) const ALL: [&str; 52] = [
    BEFORE_SEND_SINGLE,
    AFTER_SEND_SINGLE,
    BEFORE_SEND_GROUP,
    AFTER_SEND_GROUP,
    BEFORE_MSG_MODIFY,
    "callbackAfterMsgSaveDBCommand",
    // COMPAT: after a message was revoked; the name is OpenIM's.
    "callbackBeforeAfterMsgCommand",
    "callbackAfterSingleMsgReadCommand",
    "callbackAfterGroupMsgReadCommand",
    "callbackBeforeOfflinePushCommand",
    "callbackBeforeOnlinePushCommand",
    "callbackBeforeGroupOnlinePushCommand",
    "callbackAfterUserOnlineCommand",
    "callbackAfterUserOfflineCommand",
    "callbackAfterUserKickOffCommand",
    "callbackBeforeAddFriendCommand",
    "callbackAfterAddFriendCommand",
    "callbackBeforeAddFriendAgreeCommand",
    "callbackAfterAddFriendAgreeCommand",
    "callbackAfterDeleteFriendCommand",
    "callbackBeforeSetFriendRemarkCommand",
    "callbackAfterSetFriendRemarkCommand",
    "callbackBeforeImportFriendsCommand",
    "callbackAfterImportFriendsCommand",
    BEFORE_ADD_BLACK,
    "callbackAfterRemoveBlackCommand",
    BEFORE_CREATE_GROUP,
    "callbackAfterCreateGroupCommand",
    BEFORE_MEMBERS_JOIN,
    BEFORE_INVITE,
    "callbackBeforeJoinGroupCommand",
    "callbackAfterJoinGroupCommand",
    "callbackAfterQuitGroupCommand",
    "callbackAfterKickGroupCommand",
    "callbackAfterDisMissGroupCommand",
    "callbackAfterTransferGroupOwnerCommand",
    BEFORE_SET_GROUP_INFO,
    "callbackAfterSetGroupInfoCommand",
    BEFORE_SET_GROUP_INFO_EX,
    "callbackAfterSetGroupInfoExCommand",
    "callbackBeforeSetGroupMemberInfoCommand",
    "callbackAfterSetGroupMemberInfoCommand",
    BEFORE_USER_REGISTER,
    "callbackAfterUserRegisterCommand",
    "callbackBeforeUpdateUserInfoCommand",
    "callbackAfterUpdateUserInfoCommand",
    "callbackBeforeUpdateUserInfoExCommand",
    "callbackAfterUpdateUserInfoExCommand",
    "callbackBeforeCreateSingleChatConversationsCommand",
    "callbackAfterCreateSingleChatConversationsCommand",
    "callbackBeforeCreateGroupChatConversationsCommand",
    "callbackAfterCreateGroupChatConversationsCommand",
];

/// Whether a webhook asks: the names say so, but for one.
pub(crate) fn is_question(command: &str) -> bool {
    // COMPAT: see above, this one tells.
    ALL.contains(&command) && command.starts_with("callbackBefore") && command != "callbackBeforeAfterMsgCommand"
}
