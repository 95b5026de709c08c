//! The order of judgement for a message, in one place.
//!
//! Shape and size → rights → mute and block → *before-callbacks* → what they changed is judged again → restricted words
//! → commit. (`spec/tencent/rules.md` section 7: a mute precedes and suppresses the before-callback; a content filter
//! comes after it and does not suppress the after-callback.)
//!
//! Each function here is pure: facts in, refusal out.

use aho_corasick::AhoCorasick;

use crate::group::{Group, GroupStatus};
use crate::id::Timestamp;
use crate::member::{Member, Role};
use crate::message::Message;
use crate::refusal::Refusal;

/// At most this many elements in a message: enough for any real one, and bounds what a decoder builds.
pub const MAX_ELEMENTS: usize = 500;

/// Which rules a send is exempt from, because its dialect says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exempt {
    /// The recipient's blocks do not matter.
    pub blocks: bool,
    /// The sender need not be a member of the group.
    pub membership: bool,
    /// Mutes do not matter.
    pub mutes: bool,
}

/// What the rules need to know about where a message goes.
#[derive(Clone, Debug)]
pub enum Scene {
    /// To an account.
    Direct {
        /// Whether the recipient has blocked the sender.
        blocked: bool,
    },
    /// To a group.
    Group {
        /// The group.
        group: Box<Group>,
        /// The sender's membership.
        member: Option<Box<Member>>,
    },
}

/// Shape and size.
pub fn check_shape(message: &Message, max_message_bytes: usize) -> Result<(), Refusal> {
    if message.elements.is_empty() {
        return Err(Refusal::invalid("elements", "a message needs at least one"));
    }
    if message.elements.len() > MAX_ELEMENTS {
        return Err(Refusal::TooMany { what: "elements", limit: MAX_ELEMENTS });
    }
    let bytes = size_of(message);
    if bytes > max_message_bytes {
        return Err(Refusal::MessageTooLarge { bytes, limit: max_message_bytes });
    }
    Ok(())
}

/// Rights, mutes and blocks. `Err(Refusal::Blocked)` is a failed delivery rather than a forbidden act.
pub fn check_scene(message: &Message, scene: &Scene, exempt: Exempt, now: Timestamp) -> Result<(), Refusal> {
    match scene {
        Scene::Direct { blocked } => {
            if *blocked && !exempt.blocks {
                return Err(Refusal::Blocked);
            }
        }
        Scene::Group { group, member } => {
            if group.status == GroupStatus::Dissolved {
                return Err(Refusal::GroupDissolved(group.id.clone()));
            }
            if member.is_none() && !exempt.membership {
                return Err(Refusal::NotMember { group: group.id.clone(), account: message.sender.clone() });
            }
            if !exempt.mutes {
                check_mutes(group, member.as_deref(), now)?;
            }
        }
    }
    Ok(())
}

fn check_mutes(group: &Group, member: Option<&Member>, now: Timestamp) -> Result<(), Refusal> {
    if member.is_some_and(|member| member.muted_until > now) {
        return Err(Refusal::MemberMuted);
    }
    let may_speak_when_muted = member.is_some_and(|member| member.role >= Role::Admin);
    if group.rules.muted && !may_speak_when_muted {
        return Err(Refusal::GroupMuted);
    }
    Ok(())
}

/// Whether a restricted word occurs in what a person would read of the message.
pub fn has_restricted_word(message: &Message, words: &RestrictedWords) -> bool {
    message.elements.iter().any(|element| words.occur_in(element.readable()))
}

/// Bytes of what the sender decides: elements, custom data and carried fields, in their stored form.
fn size_of(message: &Message) -> usize {
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(message.custom_data.as_ref().map_or(0, String::len));
    // Counting cannot fail, and none of these types can fail to serialize.
    let _ = serde_json::to_writer(&mut count, &message.elements);
    let _ = serde_json::to_writer(&mut count, &message.carried);
    count.0
}

/// Words that no message may contain; letter case does not matter.
#[derive(Clone, Debug, Default)]
pub struct RestrictedWords(Option<AhoCorasick>);

impl RestrictedWords {
    /// Prepares a list; empty words are ignored. Fails only on a list of gigabytes.
    pub fn new(words: &[String]) -> Result<Self, String> {
        let words: Vec<String> = words.iter().map(|word| word.to_lowercase()).filter(|word| !word.is_empty()).collect();
        if words.is_empty() {
            return Ok(Self(None));
        }
        AhoCorasick::new(words).map(|automaton| Self(Some(automaton))).map_err(|error| error.to_string())
    }

    /// Whether any of them occurs.
    pub fn occur_in(&self, text: &str) -> bool {
        self.0.as_ref().is_some_and(|automaton| automaton.is_match(&text.to_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restricted_words_ignore_case_in_every_script() {
        let words = RestrictedWords::new(&["Spam".into(), "ЗАПРЕТ".into(), String::new()]).unwrap();
        assert!(words.occur_in("buy SPAM now") && words.occur_in("это запрет"));
        assert!(!words.occur_in("ham") && !words.occur_in(""));
        assert!(!RestrictedWords::default().occur_in("spam"));
    }
}
