//! Group types, roles and join options in Tencent's words.

use chat::group::{GroupKind, Joining};
use chat::member::Role;

/// COMPAT: a type has an old and a new name; both are accepted, and the old ones are answered, as the samples show
/// (`spec/tencent/rules.md`, section 6).
pub(crate) fn parse(name: &str) -> Option<GroupKind> {
    Some(match name {
        "Private" | "Work" => GroupKind::Work,
        "Public" => GroupKind::Public,
        "ChatRoom" | "Meeting" => GroupKind::Meeting,
        "AVChatRoom" => GroupKind::Live,
        "Community" => GroupKind::Community,
        _ => return None,
    })
}

/// The type's name on the wire.
pub(crate) fn name(kind: GroupKind) -> &'static str {
    match kind {
        GroupKind::Work => "Private",
        GroupKind::Public => "Public",
        GroupKind::Meeting => "ChatRoom",
        GroupKind::Live => "AVChatRoom",
        GroupKind::Community => "Community",
    }
}

/// What follows `@TGS#` in a generated group id, as in all samples.
pub(crate) fn id_letter(kind: GroupKind) -> char {
    match kind {
        GroupKind::Work => '1',
        GroupKind::Public => '2',
        GroupKind::Meeting => '3',
        GroupKind::Live => 'a',
        GroupKind::Community => 'c',
    }
}

pub(crate) fn parse_joining(name: &str) -> Option<Joining> {
    Some(match name {
        "FreeAccess" => Joining::Free,
        "NeedPermission" => Joining::Approval,
        "DisableApply" => Joining::Closed,
        _ => return None,
    })
}

pub(crate) fn joining_name(joining: Joining) -> &'static str {
    match joining {
        Joining::Free => "FreeAccess",
        Joining::Approval => "NeedPermission",
        Joining::Closed => "DisableApply",
    }
}

pub(crate) fn parse_role(name: &str) -> Option<Role> {
    Some(match name {
        "Owner" => Role::Owner,
        "Admin" => Role::Admin,
        "Member" => Role::Member,
        _ => return None,
    })
}

pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Owner => "Owner",
        Role::Admin => "Admin",
        Role::Member => "Member",
    }
}
