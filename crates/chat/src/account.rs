//! Accounts: whoever can send, receive and belong to groups.

pub mod find;
pub mod import;

use serde::{Deserialize, Serialize};

use crate::id::{AccountId, Timestamp};

/// An addressable identity with its profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Who it is.
    pub id: AccountId,
    /// Display name. Tencent `Tag_Profile_IM_Nick`, OpenIM `nickname`.
    pub name: String,
    /// Avatar. Tencent `Tag_Profile_IM_Image`, OpenIM `faceURL`.
    pub face_url: String,
    /// The app's own data about it. OpenIM `ex`.
    pub custom_data: String,
    /// When it was imported or registered.
    pub created: Timestamp,
}
