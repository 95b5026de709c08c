//! `SendMessage` and the backend that is asked before.

use chat::Refusal;
use chat::conversation::ConversationId;
use chat::element::Element;
use chat::event::{Event, NotSent};
use chat::group::update::UpdateGroup;
use chat::group::{GroupKind, GroupStatus};
use chat::id::Timestamp;
use chat::message::Message;
use chat::message::send::{Fate, SendMessage};
use chat::message::unread::CountUnread;
use chat::question::{MessageEdit, Verdict};

use crate::stage::{NOW, Stage, as_account, direct, in_time, refusal, repeatable, text, to, to_group};

cases! {
    it_is_asked_about_what_would_be_sent,
    it_is_not_asked_if_the_caller_says_so,
    it_is_not_asked_about_what_is_refused_anyway,
    a_modified_message_is_what_is_stored_told_and_answered,
    a_modified_message_is_judged_again,
    a_backend_may_take_a_restricted_word_out,
    a_rejected_message_leaves_nothing,
    a_discarded_message_looks_sent_and_leaves_nothing,
    a_recipient_who_blocks_meanwhile,
    a_member_who_is_removed_meanwhile,
    a_group_that_is_dissolved_meanwhile,
    a_group_or_member_that_is_muted_meanwhile,
    a_backend_may_call_back_while_it_is_asked,
}

fn new_text(text: &str) -> Verdict {
    edited(MessageEdit { elements: Some(vec![Element::text(text)]), ..MessageEdit::default() })
}

fn edited(edit: MessageEdit) -> Verdict {
    Verdict::Modify(edit.into())
}

/// What b's message to the group "g" comes to, if this happens while the backend is asked.
async fn meanwhile<F: Future<Output = ()> + Send + 'static>(
    stage: &Stage,
    message: SendMessage,
    deed: impl Fn(Stage) -> F + Send + Sync + 'static,
) -> Refusal {
    let behind = stage.clone();
    stage.backend.answers(move |_| {
        let deed = deed(behind.clone());
        async move {
            deed.await;
            Verdict::Allow
        }
    });
    let actor = chat::Actor::Account(message.sender.clone());
    let refusal = refusal(stage.run(&actor, message).await);
    assert_eq!(stage.backend.asked().len(), 1, "the backend is not asked twice");
    refusal
}

async fn it_is_asked_about_what_would_be_sent(stage: Stage) {
    stage.backend.always(Verdict::Allow);
    let sent = stage.app(text("a", to("b"), "hi")).await.unwrap();
    assert_eq!(sent.fate, Fate::Sent { modified: false });
    assert_eq!(stage.backend.asked(), [Message { seq: 0, ..sent.message }]);
}

async fn it_is_not_asked_if_the_caller_says_so(stage: Stage) {
    stage.backend.always(Verdict::Discard);
    let sent = stage.app(SendMessage { asks: false, ..text("a", to("b"), "hi") }).await.unwrap();
    assert_eq!(sent.fate, Fate::Sent { modified: false });
    assert_eq!(stage.backend.asked(), []);
}

async fn it_is_not_asked_about_what_is_refused_anyway(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    stage.backend.always(Verdict::Allow);
    stage.block("b", "a").await;
    stage.change_group(|group| group.rules.muted = true).await;
    for command in [
        text("a", to("b"), "blocked"),
        text("b", to_group(), "muted"),
        text("c", to_group(), "no member"),
        text("a", to("nobody"), "no account"),
        text("a", to("c"), &"too large".repeat(1000)),
    ] {
        let actor = chat::Actor::Account(command.sender.clone());
        refusal(stage.run(&actor, command).await);
    }
    assert_eq!(stage.backend.asked(), []);
    let as_somebody_else = stage.run(&as_account("c"), text("a", to("c"), "")).await;
    assert_eq!(refusal(as_somebody_else), Refusal::NotPermitted);
    assert_eq!(stage.backend.asked(), []);
}

async fn a_modified_message_is_what_is_stored_told_and_answered(stage: Stage) {
    let edit = MessageEdit {
        elements: Some(vec![Element::text("new"), Element::text("er")]),
        custom_data: Some("data".into()),
        sender_name: Some("name".into()),
        ..MessageEdit::default()
    };
    stage.backend.always(edited(edit.clone()));
    let sent = stage.app(text("a", to("b"), "old")).await.unwrap();
    assert_eq!(sent.fate, Fate::Sent { modified: true });
    let mut expected = stage.backend.asked().remove(0);
    edit.apply_to(&mut expected);
    assert_eq!(sent.message, Message { seq: 1, ..expected });
    assert_eq!(stage.history(&direct()).await, std::slice::from_ref(&sent.message));
    assert_eq!(stage.events().await, [Event::MessageSent(sent.message)]);
}

async fn a_modified_message_is_judged_again(stage: Stage) {
    stage.backend.always(new_text(&"x".repeat(1000)));
    let too_large = refusal(stage.app(text("a", to("b"), "small")).await);
    assert!(matches!(too_large, Refusal::MessageTooLarge { limit: 1000, .. }), "{too_large:?}");
    stage.backend.always(edited(MessageEdit { elements: Some(Vec::new()), ..MessageEdit::default() }));
    let empty = refusal(stage.app(text("a", to("b"), "small")).await);
    assert!(matches!(empty, Refusal::Invalid { .. }), "{empty:?}");
    assert_eq!(stage.events().await, []);

    stage.backend.always(new_text("forbidden"));
    assert_eq!(refusal(stage.app(text("a", to("b"), "nice")).await), Refusal::RestrictedWord);
    let events = stage.events().await;
    let [Event::MessageNotSent { message, reason: NotSent::RestrictedWord }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(message.elements, [Element::text("forbidden")], "what would have been stored");
}

async fn a_backend_may_take_a_restricted_word_out(stage: Stage) {
    stage.backend.always(new_text("f*******n"));
    let sent = stage.app(text("a", to("b"), "forbidden")).await.unwrap();
    assert_eq!((sent.fate, sent.message.seq), (Fate::Sent { modified: true }, 1));
}

async fn a_rejected_message_leaves_nothing(stage: Stage) {
    let no = Refusal::Rejected { code: Some(120_001), info: "no".into(), detail: "never".into() };
    stage.backend.always(Verdict::Reject(no.clone()));
    for asked in 1..=2 {
        assert_eq!(refusal(stage.app(repeatable(text("a", to("b"), "forbidden"))).await), no);
        assert_eq!(stage.backend.asked().len(), asked, "a retry is a new attempt");
    }
    assert_eq!(stage.events().await, []);
    assert_eq!(stage.history(&direct()).await, []);
}

async fn a_discarded_message_looks_sent_and_leaves_nothing(stage: Stage) {
    stage.backend.always(Verdict::Discard);
    for asked in 1..=2 {
        let sent = stage.app(repeatable(text("a", to("b"), "forbidden"))).await.unwrap();
        assert_eq!((sent.fate, sent.message.time), (Fate::Discarded, NOW));
        assert_eq!(sent.message, stage.backend.asked().pop().unwrap());
        assert_eq!(stage.backend.asked().len(), asked);
    }
    assert_eq!(stage.events().await, []);
    assert_eq!(stage.history(&direct()).await, []);
    assert_eq!(stage.app(CountUnread { account: "b".into(), peer: None }).await.unwrap(), 0);
    stage.backend.always(Verdict::Allow);
    let sent = stage.app(repeatable(text("a", to("b"), "hi"))).await.unwrap();
    assert_eq!((sent.fate, sent.message.seq), (Fate::Sent { modified: false }, 1), "it was no first");
}

async fn a_recipient_who_blocks_meanwhile(stage: Stage) {
    let result = meanwhile(&stage, text("a", to("b"), "hi"), async |stage: Stage| stage.block("b", "a").await).await;
    assert_eq!(result, Refusal::Blocked);
    let events = stage.events().await;
    assert!(matches!(&events[..], [Event::MessageNotSent { reason: NotSent::Blocked, .. }]), "{events:?}");
}

async fn a_member_who_is_removed_meanwhile(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    let result = meanwhile(&stage, text("b", to_group(), "hi"), async |stage: Stage| stage.remove_b().await).await;
    assert_eq!(result, Refusal::NotMember { group: "g".into(), account: "b".into() });
    assert_eq!(stage.events().await, []);
}

async fn a_group_that_is_dissolved_meanwhile(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    let dissolve = async |stage: Stage| stage.change_group(|group| group.status = GroupStatus::Dissolved).await;
    let result = meanwhile(&stage, text("b", to_group(), "hi"), dissolve).await;
    assert_eq!(result, Refusal::GroupDissolved("g".into()));
    assert_eq!(stage.events().await, []);
}

async fn a_group_or_member_that_is_muted_meanwhile(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    let mute = async |stage: Stage| stage.change_group(|group| group.rules.muted = true).await;
    assert_eq!(meanwhile(&stage, text("b", to_group(), "hi"), mute).await, Refusal::GroupMuted);

    let stage = stage.another().await;
    stage.has_group(GroupKind::Public).await;
    let until = Timestamp::from_millis(NOW.millis() + 1);
    let mute = move |stage: Stage| async move { stage.mute_b(until).await };
    assert_eq!(meanwhile(&stage, text("b", to_group(), "hi"), mute).await, Refusal::MemberMuted);
    assert_eq!(stage.events().await, []);
}

/// It may take its time and use our API for it: nothing is locked while it is asked.
async fn a_backend_may_call_back_while_it_is_asked(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    let behind = stage.clone();
    stage.backend.answers(move |message| {
        let stage = behind.clone();
        async move {
            if message.sender == "b".into() {
                return Verdict::Allow;
            }
            let rename =
                UpdateGroup { group: Some("g".into()), name: Some("renamed".into()), ..UpdateGroup::default() };
            stage.app(rename).await.unwrap();
            // This one is asked about, too, while the first is being asked about.
            stage.app(repeatable(text("b", to_group(), "first"))).await.unwrap();
            Verdict::Allow
        }
    });
    let sent = in_time(stage.app(repeatable(text("a", to_group(), "second")))).await.unwrap();
    assert_eq!(sent.message.seq, 2);
    let history = stage.history(&ConversationId::Group("g".into())).await;
    let texts: Vec<&str> = history.iter().map(|message| message.elements[0].readable()).collect();
    assert_eq!(texts, ["first", "second"]);
    assert_eq!(stage.events().await.len(), 3);
}
