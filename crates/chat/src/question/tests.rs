use std::collections::{BTreeMap, BTreeSet};

use super::account::{Registration, WantedBlock};
use super::group::{GroupCreation, GroupEdit, GroupUpdate};
use super::member::{MemberAddition, MemberEdit, MembersEdit};
use super::*;
use crate::conversation::ConversationId;
use crate::element::Element;
use crate::group::{Group, GroupKind, Joining};
use crate::id::AccountId;
use crate::member::{Member, Role};

const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn occasion() -> Occasion {
    Occasion { id: EventId::new(NOW, 7), actor: Actor::App("admin".into()), origin: Origin::default(), time: NOW }
}

fn members() -> Vec<Member> {
    [("a", Role::Owner), ("b", Role::Member), ("c", Role::Member)]
        .map(|(id, role)| Member::new(id.into(), role, NOW))
        .to_vec()
}

fn creation() -> GroupCreation {
    let group = Group { owner: Some("a".into()), ..Group::sample(GroupKind::Public) };
    GroupCreation { occasion: occasion(), group, id_is_made_up: true, members: members(), owned: 0 }
}

fn refusing(ids: &[&str]) -> MembersEdit {
    let refused = ids.iter().copied().map(AccountId::new).collect();
    MembersEdit { refused, ..MembersEdit::default() }
}

fn changing(id: &str, edit: MemberEdit) -> MembersEdit {
    MembersEdit { changed: BTreeMap::from([(id.into(), edit)]), ..MembersEdit::default() }
}

fn named(name: &str) -> MemberEdit {
    MemberEdit { name_card: Some(name.into()), ..MemberEdit::default() }
}

fn addition() -> Question {
    let addition = MemberAddition {
        occasion: occasion(),
        group: Group::sample(GroupKind::Public),
        members: members(),
        reason: String::new(),
    };
    Question::BeforeAddMembers(Box::new(addition))
}

fn left(question: &Question) -> Vec<&str> {
    let Question::BeforeAddMembers(addition) = question else { panic!("{question:?}") };
    addition.members.iter().map(|member| member.account.as_str()).collect()
}

#[test]
fn the_next_endpoint_is_asked_about_those_whom_the_one_before_let_in() {
    let mut question = addition();
    question.apply(refusing(&["b", "stranger"]).into());
    assert_eq!(left(&question), ["a", "c"]);
    question.apply(refusing(&["a"]).into());
    assert!(!question.is_settled());
    question.apply(refusing(&["c"]).into());
    assert_eq!(left(&question), [""; 0]);
    assert!(question.is_settled());
}

#[test]
fn refusals_add_up_and_of_two_changes_the_later_wins_part_by_part() {
    let first = MembersEdit { refused: BTreeSet::from(["b".into()]), ..changing("a", named("one")) };
    let muted = MemberEdit { muted_until: Some(NOW), ..named("two") };
    let second = MembersEdit { refused: BTreeSet::from(["c".into()]), ..changing("a", muted.clone()) };
    let role = MemberEdit { role: Some(Role::Admin), ..MemberEdit::default() };
    let both = first.clone().then(changing("a", role.clone())).then(second);
    let expected = MemberEdit { role: Some(Role::Admin), ..muted };
    assert_eq!(both.refused, BTreeSet::from(["b".into(), "c".into()]));
    assert_eq!(both.changed, BTreeMap::from([("a".into(), expected)]));
    assert_eq!(first.clone().then(MembersEdit::default()), first);
    assert_eq!(MembersEdit::default().then(first.clone()), first);
}

#[test]
fn a_new_member_is_changed_in_what_is_named_and_nothing_else() {
    let edit = MemberEdit {
        role: Some(Role::Admin),
        name_card: Some("Bee".into()),
        face_url: Some("face".into()),
        muted_until: Some(NOW),
        custom_data: Some("data".into()),
    };
    let mut changed = members();
    changing("b", edit).then(changing("stranger", named("x"))).apply_to(&mut changed);
    let mut expected = members();
    expected[1] = Member {
        role: Role::Admin,
        name_card: "Bee".into(),
        face_url: "face".into(),
        muted_until: NOW,
        custom_data: "data".into(),
        ..expected[1].clone()
    };
    assert_eq!(changed, expected);
}

#[test]
fn ownership_is_neither_given_nor_taken() {
    let role = |role| MemberEdit { role: Some(role), ..MemberEdit::default() };
    let mut changed = members();
    changing("b", role(Role::Owner)).then(changing("a", role(Role::Member))).apply_to(&mut changed);
    assert_eq!(changed, members());
}

#[test]
fn a_group_to_be_made_is_changed_in_what_is_named_and_nothing_else() {
    let mut unchanged = creation();
    GroupEdit::default().apply_to(&mut unchanged);
    assert_eq!(unchanged, creation());

    let text = |text: &str| Some(text.to_owned());
    let edit = GroupEdit {
        id: Some("h".into()),
        name: text("name"),
        introduction: text("introduction"),
        announcement: text("announcement"),
        face_url: text("face"),
        custom_data: text("data"),
        joining: Some(Joining::Closed),
        approves_invitations: Some(true),
        hides_members: Some(true),
        members: refusing(&["c"]),
    };
    assert!(!edit.is_empty() && GroupEdit::default().is_empty());
    assert_eq!(edit.clone().then(GroupEdit::default()), edit);
    assert_eq!(GroupEdit::default().then(edit.clone()), edit);
    let mut changed = creation();
    edit.apply_to(&mut changed);
    let mut expected = creation();
    expected.id_is_made_up = false;
    expected.group.id = "h".into();
    expected.group.profile.name = "name".into();
    expected.group.profile.introduction = "introduction".into();
    expected.group.profile.announcement = "announcement".into();
    expected.group.profile.face_url = "face".into();
    expected.group.profile.custom_data = "data".into();
    expected.group.rules.joining = Joining::Closed;
    expected.group.rules.approves_invitations = true;
    expected.group.rules.hides_members = true;
    expected.members.pop();
    assert_eq!(changed, expected);
}

#[test]
fn a_group_keeps_its_owner() {
    let mut changed = creation();
    GroupEdit { members: refusing(&["a", "b"]), ..GroupEdit::default() }.apply_to(&mut changed);
    let left: Vec<&str> = changed.members.iter().map(|member| member.account.as_str()).collect();
    assert_eq!(left, ["a", "c"]);
}

#[test]
fn an_update_stays_about_its_group() {
    let update = UpdateGroup { group: Some("g".into()), name: Some("old".into()), ..UpdateGroup::default() };
    let group = Group::sample(GroupKind::Public);
    let mut question = Question::BeforeUpdateGroup(Box::new(GroupUpdate { occasion: occasion(), group, update }));
    let elsewhere = UpdateGroup { group: Some("h".into()), name: Some("new".into()), ..UpdateGroup::default() };
    question.apply(elsewhere.into());
    let Question::BeforeUpdateGroup(update) = question else { panic!("{question:?}") };
    assert_eq!(
        update.update,
        UpdateGroup { group: Some("g".into()), name: Some("new".into()), ..UpdateGroup::default() }
    );
}

#[test]
fn a_list_of_accounts_is_replaced() {
    let registration = Registration { occasion: occasion(), accounts: vec![NewAccount::bare("a".into())] };
    let mut question = Question::BeforeRegister(Box::new(registration));
    let accounts = vec![NewAccount::bare("b".into())];
    question.apply(Edit::Accounts(accounts.clone()));
    let Question::BeforeRegister(registration) = &question else { panic!("{question:?}") };
    assert_eq!(registration.accounts, accounts);
    assert!(!question.is_settled());
    question.apply(Edit::Accounts(Vec::new()));
    assert!(question.is_settled());
}

#[test]
fn an_edit_of_something_else_changes_nothing() {
    let mut question = addition();
    question.apply(MessageEdit { elements: Some(vec![Element::text("x")]), ..MessageEdit::default() }.into());
    assert_eq!(left(&question), ["a", "b", "c"]);
}

#[test]
fn a_question_is_known_by_its_own_id() {
    let message = Message::sample("a", ConversationId::Group("g".into()));
    let id = message.id;
    assert_eq!(Question::BeforeSend(Box::new(message)).id(), id);
    let block = WantedBlock { occasion: occasion(), owner: "a".into(), target: "b".into() };
    assert_eq!(Question::BeforeBlock(Box::new(block)).id(), occasion().id);
}
