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
    "callbackBeforeAddBlackCommand",
    "callbackAfterRemoveBlackCommand",
    "callbackBeforeCreateGroupCommand",
    "callbackAfterCreateGroupCommand",
    "callbackBeforeMembersJoinGroupCommand",
    "callbackBeforeInviteJoinGroupCommand",
    "callbackBeforeJoinGroupCommand",
    "callbackAfterJoinGroupCommand",
    "callbackAfterQuitGroupCommand",
    "callbackAfterKickGroupCommand",
    "callbackAfterDisMissGroupCommand",
    "callbackAfterTransferGroupOwnerCommand",
    "callbackBeforeSetGroupInfoCommand",
    "callbackAfterSetGroupInfoCommand",
    "callbackBeforeSetGroupInfoExCommand",
    "callbackAfterSetGroupInfoExCommand",
    "callbackBeforeSetGroupMemberInfoCommand",
    "callbackAfterSetGroupMemberInfoCommand",
    "callbackBeforeUserRegisterCommand",
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
