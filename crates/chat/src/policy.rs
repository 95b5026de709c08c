//! The order of judgement for a message, in one place.
//!
//! Shape and size → rights → mute and block → *before-callbacks* → what they changed is judged again → restricted words
//! → commit. (`spec/tencent/rules.md` section 7: a mute precedes and suppresses the before-callback; a content filter
//! comes after it and does not suppress the after-callback.)
//!
//! Each function here is pure: facts in, refusal out.

use aho_corasick::AhoCorasick;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::group::{Group, GroupStatus};
use crate::id::Timestamp;
use crate::member::{Member, Role};
use crate::message::Message;
use crate::refusal::Refusal;

/// At most this many elements in a message: enough for any real one, and bounds what a decoder builds.
pub const MAX_ELEMENTS: usize = 500;

/// At most so many levels of JSON in what is carried: far more than anybody nests, and half of what a JSON reader follows
/// before it gives up. What was stored must be readable again.
pub const MAX_DEPTH: usize = 64;

/// Which rules a send is exempt from, because its dialect says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    let carried = message.elements.iter().filter_map(|element| element.carried.as_ref()).chain(&message.carried);
    if carried.flat_map(|carried| carried.fields.values()).any(|value| is_deeper(value, MAX_DEPTH)) {
        return Err(Refusal::invalid("elements", format!("JSON is nested more than {MAX_DEPTH} levels deep")));
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

/// Whether JSON is nested deeper than so many levels.
fn is_deeper(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(|item| is_deeper(item, levels - 1)),
        Value::Object(fields) => levels == 0 || fields.values().any(|item| is_deeper(item, levels - 1)),
        _ => false,
    }
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
    use crate::conversation::ConversationId;
    use crate::element::Element;
    use crate::group::GroupKind;

    const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);
    const NOTHING: Exempt = Exempt { blocks: false, membership: false, mutes: false };
    const EVERYTHING: Exempt = Exempt { blocks: true, membership: true, mutes: true };

    fn message() -> Message {
        Message::sample("a", ConversationId::Group("g".into()))
    }

    fn in_group(change: impl FnOnce(&mut Group), member: Option<Member>) -> Scene {
        let mut group = Group::sample(GroupKind::Public);
        change(&mut group);
        Scene::Group { group: Box::new(group), member: member.map(Box::new) }
    }

    fn member(role: Role) -> Option<Member> {
        Some(Member::new("a".into(), role, NOW))
    }

    fn muted_until(role: Role, millis_later: i64) -> Option<Member> {
        let muted_until = Timestamp::from_millis(NOW.millis() + millis_later);
        member(role).map(|member| Member { muted_until, ..member })
    }

    #[test]
    fn who_may_send_where() {
        let blocks = Exempt { blocks: true, ..NOTHING };
        let membership = Exempt { membership: true, ..NOTHING };
        let mutes = Exempt { mutes: true, ..NOTHING };
        let as_is = |_: &mut Group| {};
        let muted = |group: &mut Group| group.rules.muted = true;
        let dissolved = |group: &mut Group| group.status = GroupStatus::Dissolved;
        let not_member = || Err(Refusal::NotMember { group: "g".into(), account: "a".into() });
        let is_dissolved = || Err(Refusal::GroupDissolved("g".into()));
        use Role::{Admin, Member as Plain, Owner};

        for (line, scene, exempt, expected) in [
            (line!(), Scene::Direct { blocked: false }, NOTHING, Ok(())),
            (line!(), Scene::Direct { blocked: true }, NOTHING, Err(Refusal::Blocked)),
            (line!(), Scene::Direct { blocked: true }, Exempt { blocks: false, ..EVERYTHING }, Err(Refusal::Blocked)),
            (line!(), Scene::Direct { blocked: true }, blocks, Ok(())),
            // Membership.
            (line!(), in_group(as_is, member(Plain)), NOTHING, Ok(())),
            (line!(), in_group(as_is, None), NOTHING, not_member()),
            (line!(), in_group(as_is, None), Exempt { membership: false, ..EVERYTHING }, not_member()),
            (line!(), in_group(as_is, None), membership, Ok(())),
            // A member who is muted, whatever the role, until that moment and no longer.
            (line!(), in_group(as_is, muted_until(Plain, 1)), NOTHING, Err(Refusal::MemberMuted)),
            (line!(), in_group(as_is, muted_until(Admin, 1)), NOTHING, Err(Refusal::MemberMuted)),
            (line!(), in_group(as_is, muted_until(Owner, 1)), NOTHING, Err(Refusal::MemberMuted)),
            (line!(), in_group(as_is, muted_until(Plain, 0)), NOTHING, Ok(())),
            (line!(), in_group(as_is, muted_until(Plain, -1)), NOTHING, Ok(())),
            (line!(), in_group(as_is, muted_until(Plain, 1)), mutes, Ok(())),
            (
                line!(),
                in_group(as_is, muted_until(Plain, 1)),
                Exempt { mutes: false, ..EVERYTHING },
                Err(Refusal::MemberMuted),
            ),
            // A group that is muted: the owner and admins may speak.
            (line!(), in_group(muted, member(Plain)), NOTHING, Err(Refusal::GroupMuted)),
            (line!(), in_group(muted, member(Admin)), NOTHING, Ok(())),
            (line!(), in_group(muted, member(Owner)), NOTHING, Ok(())),
            (line!(), in_group(muted, muted_until(Owner, 1)), NOTHING, Err(Refusal::MemberMuted)),
            (line!(), in_group(muted, None), membership, Err(Refusal::GroupMuted)),
            (line!(), in_group(muted, None), NOTHING, not_member()),
            (line!(), in_group(muted, None), EVERYTHING, Ok(())),
            // Nobody sends to a dissolved group.
            (line!(), in_group(dissolved, member(Owner)), NOTHING, is_dissolved()),
            (line!(), in_group(dissolved, None), NOTHING, is_dissolved()),
            (line!(), in_group(dissolved, member(Owner)), EVERYTHING, is_dissolved()),
        ] {
            assert_eq!(check_scene(&message(), &scene, exempt, NOW), expected, "line {line}");
        }
    }

    #[test]
    fn a_message_has_one_element_at_least_and_500_at_most() {
        let with = |count| Message { elements: vec![Element::text(""); count], ..message() };
        assert!(matches!(check_shape(&with(0), usize::MAX), Err(Refusal::Invalid { .. })));
        for count in [1, MAX_ELEMENTS] {
            assert_eq!(check_shape(&with(count), usize::MAX), Ok(()));
        }
        let too_many = Err(Refusal::TooMany { what: "elements", limit: MAX_ELEMENTS });
        assert_eq!(check_shape(&with(MAX_ELEMENTS + 1), usize::MAX), too_many);
    }

    #[test]
    fn the_size_is_that_of_what_the_sender_decides() {
        let size = |message: &Message| match check_shape(message, 0) {
            Err(Refusal::MessageTooLarge { bytes, limit: 0 }) => bytes,
            other => panic!("{other:?}"),
        };
        let plain = size(&message());
        assert_eq!(check_shape(&message(), plain), Ok(()), "the limit itself is allowed");
        let too_large = Err(Refusal::MessageTooLarge { bytes: plain, limit: plain - 1 });
        assert_eq!(check_shape(&message(), plain - 1), too_large);

        let data = Message { custom_data: Some("x".repeat(100)), ..message() };
        assert_eq!(size(&data), plain + 100);
        let text = Message { elements: vec![Element::text("text".to_owned() + &"é".repeat(50))], ..message() };
        assert_eq!(size(&text), plain + 100, "bytes, not letters");
        let fields = serde_json::json!({"field": "x".repeat(100)}).as_object().cloned().unwrap_or_default();
        let carried = crate::element::Carried::of("tencent", fields);
        assert!(size(&Message { carried: carried.clone(), ..message() }) > plain + 100);
        let carrying = Element { carried, ..Element::text("text") };
        assert!(size(&Message { elements: vec![carrying], ..message() }) > plain + 100);
        let named = Message { sender_name: "x".repeat(100), ..message() };
        assert_eq!(size(&named), plain, "not the sender's to decide");
    }

    #[test]
    fn restricted_words_are_looked_for_in_all_that_people_read() {
        let words = RestrictedWords::new(&["spam".into()]).unwrap();
        let with = |elements| Message { elements, ..message() };
        assert!(has_restricted_word(&with(vec![Element::text("ham"), Element::text("no SPAM!")]), &words));
        assert!(!has_restricted_word(&with(vec![Element::text("sp"), Element::text("am")]), &words));
        let unseen = Message { custom_data: Some("spam".into()), ..message() };
        assert!(!has_restricted_word(&unseen, &words));
    }

    #[test]
    fn depth_is_counted_in_levels() {
        let nested = |levels: usize| (0..levels).fold(Value::from(1), |inner, _| Value::from(vec![inner]));
        assert!(!is_deeper(&nested(MAX_DEPTH), MAX_DEPTH));
        assert!(is_deeper(&nested(MAX_DEPTH + 1), MAX_DEPTH));
    }

    #[test]
    fn restricted_words_ignore_case_in_every_script() {
        let words = RestrictedWords::new(&["Spam".into(), "ЗАПРЕТ".into(), String::new()]).unwrap();
        assert!(words.occur_in("buy SPAM now") && words.occur_in("это запрет"));
        assert!(!words.occur_in("ham") && !words.occur_in(""));
        assert!(!RestrictedWords::default().occur_in("spam"));
    }
}
