//! Everything but messages that a backend is asked about before it happens: groups, topics, members, blocks, accounts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chat::account::find::FindAccounts;
use chat::account::import::{Existing, ImportAccounts, Importing, NewAccount};
use chat::command::Actor;
use chat::event::Event;
use chat::group::add_members::{AddMembers, Adding, Strangers};
use chat::group::create::{CreateGroup, FirstMember, OtherRules};
use chat::group::create_topic::CreateTopic;
use chat::group::find::{FindGroups, ListMembers};
use chat::group::update::UpdateGroup;
use chat::group::{Group, GroupKind, GroupProfile, GroupStatus, Joining};
use chat::id::{AccountId, GroupId, Timestamp};
use chat::member::{JoinSource, Member, Role};
use chat::port::MemberQuery;
use chat::question::group::GroupEdit;
use chat::question::member::{MemberEdit, MembersEdit};
use chat::question::{Edit, Question, Verdict};
use chat::refusal::AskFailure;
use chat::relation::block::{BlockAccounts, Blocking};
use chat::{Error, Refusal};
use tokio::sync::Barrier;

use crate::stage::{NOW, Stage, as_account, in_time, refusal, text, to_group};

cases! {
    a_group_is_asked_about_as_it_would_be,
    a_group_that_is_refused_is_not_made,
    what_is_refused_anyway_is_not_asked_about,
    a_group_is_made_as_the_backend_wants_it,
    a_group_that_the_backend_changed_is_judged_again,
    a_group_whose_id_is_taken_meanwhile,
    a_topic_is_asked_about,
    a_topic_of_a_community_that_is_dissolved_meanwhile,
    newcomers_are_asked_about_and_nobody_else,
    whom_the_backend_refuses_stays_out_and_the_others_come_in,
    all_are_refused,
    new_members_are_as_the_backend_wants_them,
    a_new_member_whom_the_backend_changed_is_judged_again,
    a_group_that_fills_meanwhile,
    a_group_that_is_dissolved_while_members_are_asked_about,
    an_inviter_who_is_removed_meanwhile,
    a_backend_may_add_the_same_members_while_it_is_asked,
    an_update_is_asked_about_once,
    an_update_is_what_the_backend_makes_of_it,
    an_update_that_is_refused_changes_nothing,
    an_update_that_changes_nothing_is_not_asked_about,
    a_backend_may_change_the_same_group_while_it_is_asked,
    an_owner_who_is_one_no_more_when_the_backend_answers,
    each_block_is_asked_about_alone,
    a_target_that_is_blocked_meanwhile,
    many_blocks_are_asked_about_a_few_at_a_time,
    only_unknown_accounts_are_asked_about,
    accounts_are_made_known_as_the_backend_wants_them,
    whom_the_backend_leaves_out_is_not_made_known,
    a_list_of_accounts_that_breaks_a_rule,
    an_account_that_is_made_known_meanwhile,
    what_ringback_does_by_itself_is_asked_of_nobody,
}

fn no(code: i64) -> Refusal {
    Refusal::Rejected { code: Some(code), info: "no".into(), detail: String::new() }
}

/// From now on everything is answered like this.
fn always(stage: &Stage, verdict: Verdict) {
    stage.backend.answers_everything(move |_| std::future::ready(verdict.clone()));
}

/// From now on everything is allowed, after this has happened.
fn meanwhile<F: Future<Output = ()> + Send + 'static>(
    stage: &Stage,
    deed: impl Fn(Stage) -> F + Send + Sync + 'static,
) {
    let behind = stage.clone();
    stage.backend.answers_everything(move |_| {
        let deed = deed(behind.clone());
        async move {
            deed.await;
            Verdict::Allow
        }
    });
}

fn asked_once(stage: &Stage) -> Question {
    let questions = stage.backend.questions();
    let [question] = &questions[..] else { panic!("{questions:?}") };
    question.clone()
}

fn create(kind: GroupKind, members: &[(&str, Role)]) -> CreateGroup {
    let first = |(id, role): &(&str, Role)| FirstMember {
        account: (*id).into(),
        role: *role,
        custom_fields: Default::default(),
    };
    CreateGroup {
        id: "g".into(),
        id_is_made_up: true,
        kind,
        owner: Some("a".into()),
        profile: GroupProfile { name: "old".into(), introduction: "kept".into(), ..GroupProfile::default() },
        joining: None,
        member_limit: None,
        rules: OtherRules::default(),
        members: members.iter().map(first).collect(),
        has_topics: false,
    }
}

fn topic() -> CreateTopic {
    CreateTopic { group: "g".into(), id: "t".into(), profile: GroupProfile::default() }
}

fn add(accounts: &[&str]) -> AddMembers {
    let accounts = ids(accounts);
    AddMembers { group: "g".into(), accounts, reason: "come in".into(), strangers: Strangers::Skip }
}

fn update() -> UpdateGroup {
    UpdateGroup { group: Some("g".into()), ..UpdateGroup::default() }
}

fn named(name: &str) -> UpdateGroup {
    UpdateGroup { name: Some(name.into()), ..update() }
}

fn block(targets: &[&str]) -> BlockAccounts {
    BlockAccounts { owner: "a".into(), targets: ids(targets) }
}

fn import(names: &[&str], existing: Existing) -> ImportAccounts {
    let new = |id: &&str| NewAccount { name: Some("new".into()), ..NewAccount::bare((*id).into()) };
    ImportAccounts { accounts: names.iter().map(new).collect(), existing }
}

fn ids(ids: &[&str]) -> Vec<AccountId> {
    ids.iter().copied().map(AccountId::new).collect()
}

fn refusing(refused: &[&str]) -> Verdict {
    let refused = BTreeSet::from_iter(ids(refused));
    Verdict::Modify(MembersEdit { refused, ..MembersEdit::default() }.into())
}

fn changing(id: &str, edit: MemberEdit) -> MembersEdit {
    MembersEdit { changed: BTreeMap::from([(id.into(), edit)]), ..MembersEdit::default() }
}

async fn members(stage: &Stage) -> Vec<Member> {
    let query = MemberQuery { limit: 2000, ..MemberQuery::default() };
    stage.app(ListMembers { group: "g".into(), query }).await.unwrap().1
}

async fn member_names(stage: &Stage) -> Vec<String> {
    members(stage).await.iter().map(|member| member.account.to_string()).collect()
}

async fn groups(stage: &Stage, names: &[&str]) -> Vec<Group> {
    let groups = stage.app(FindGroups(names.iter().copied().map(GroupId::new).collect())).await.unwrap();
    groups.into_iter().map(|(group, _)| group).collect()
}

/// The names of those of these accounts that are known.
async fn known(stage: &Stage, names: &[&str]) -> Vec<(String, String)> {
    let found = stage.app(FindAccounts(ids(names))).await.unwrap();
    found.into_iter().map(|account| (account.id.to_string(), account.name)).collect()
}

async fn a_group_is_asked_about_as_it_would_be(stage: Stage) {
    stage.app(CreateGroup { id: "before".into(), ..create(GroupKind::Public, &[]) }).await.unwrap();
    stage.app(CreateGroup { id: "other".into(), ..create(GroupKind::Work, &[]) }).await.unwrap();
    always(&stage, Verdict::Allow);
    let made = stage.app(create(GroupKind::Public, &[("b", Role::Admin), ("c", Role::Member)])).await.unwrap();
    let Question::BeforeCreateGroup(asked) = asked_once(&stage) else { panic!() };
    assert_eq!(Group { member_count: 3, ..asked.group.clone() }, made);
    assert_eq!((asked.id_is_made_up, asked.owned), (true, 1), "of that kind");
    assert_eq!((&asked.occasion.actor, asked.occasion.time), (&Actor::App("admin".into()), NOW));
    assert_eq!(made, stage.group().await);
    assert_eq!(asked.members, members(&stage).await);
    let roles: Vec<_> = asked.members.iter().map(|member| (member.account.as_str(), member.role)).collect();
    assert_eq!(roles, [("a", Role::Owner), ("b", Role::Admin), ("c", Role::Member)]);
}

async fn a_group_that_is_refused_is_not_made(stage: Stage) {
    let down = Refusal::BackendFailed(AskFailure::Timeout);
    for (verdict, expected) in [
        (Verdict::Reject(no(10_111)), no(10_111)),
        (Verdict::Discard, Refusal::rejected()), // nothing looks made
        (Verdict::Reject(down.clone()), down),
    ] {
        always(&stage, verdict);
        assert_eq!(refusal(stage.app(create(GroupKind::Public, &[])).await), expected);
    }
    assert_eq!(stage.backend.questions().len(), 3);
    assert_eq!(groups(&stage, &["g"]).await, []);
}

async fn what_is_refused_anyway_is_not_asked_about(stage: Stage) {
    stage.has_group(GroupKind::Community).await;
    stage.app(topic()).await.unwrap();
    stage.change_group(|group| group.rules.member_limit = 2).await;
    always(&stage, Verdict::Allow);
    refusal(stage.app(create(GroupKind::Public, &[])).await);
    refusal(stage.app(CreateGroup { id: "h".into(), ..create(GroupKind::Public, &[("nobody", Role::Member)]) }).await);
    refusal(stage.app(CreateGroup { id: "h".into(), ..create(GroupKind::Work, &[("b", Role::Admin)]) }).await);
    refusal(stage.run(&as_account("b"), create(GroupKind::Public, &[])).await);
    assert_eq!(refusal(stage.app(topic()).await), Refusal::TopicExists("t".into()));
    refusal(stage.run(&as_account("b"), CreateTopic { id: "u".into(), ..topic() }).await);
    assert_eq!(refusal(stage.app(add(&["c"])).await), Refusal::GroupFull { limit: 2 });
    refusal(stage.app(AddMembers { strangers: Strangers::RefuseAll, ..add(&["c", "nobody"]) }).await);
    refusal(stage.run(&as_account("c"), add(&["c"])).await);
    refusal(stage.run(&as_account("b"), named("new")).await);
    refusal(stage.run(&as_account("b"), block(&["c"])).await);
    refusal(stage.run(&as_account("b"), import(&["d"], Existing::Update)).await);
    refusal(stage.app(import(&["d", "a"], Existing::Refuse)).await);
    assert_eq!(stage.backend.questions(), []);
}

async fn a_group_is_made_as_the_backend_wants_it(stage: Stage) {
    let text = |text: &str| Some(text.to_owned());
    let b = MemberEdit { role: Some(Role::Admin), name_card: text("Bee"), ..MemberEdit::default() };
    let a = MemberEdit { role: Some(Role::Member), custom_data: text("data"), ..MemberEdit::default() };
    let refused = BTreeSet::from_iter(ids(&["c", "a"]));
    let edit = GroupEdit {
        id: Some("h".into()),
        name: text("new"),
        joining: Some(Joining::Closed),
        members: MembersEdit { refused, ..changing("b", b).then(changing("a", a)) },
        ..GroupEdit::default()
    };
    always(&stage, Verdict::Modify(edit.into()));
    let made = stage.app(create(GroupKind::Public, &[("b", Role::Member), ("c", Role::Member)])).await.unwrap();
    assert_eq!(groups(&stage, &["g", "h"]).await, std::slice::from_ref(&made));
    let profile = (made.profile.name.as_str(), made.profile.introduction.as_str());
    assert_eq!((made.id.as_str(), profile, made.rules.joining), ("h", ("new", "kept"), Joining::Closed));
    assert_eq!(made.member_count, 2);
    let query = MemberQuery { limit: 10, ..MemberQuery::default() };
    let (_, members) = stage.app(ListMembers { group: "h".into(), query }).await.unwrap();
    let shown = |member: &Member| (member.account.to_string(), member.role, member.name_card.clone());
    let shown: Vec<_> = members.iter().map(shown).collect();
    assert_eq!(shown, [("a".into(), Role::Owner, String::new()), ("b".into(), Role::Admin, "Bee".into())]);
    assert_eq!(members[0].custom_data, "data");
}

async fn a_group_that_the_backend_changed_is_judged_again(stage: Stage) {
    let admin = MemberEdit { role: Some(Role::Admin), ..MemberEdit::default() };
    always(&stage, Verdict::Modify(GroupEdit { members: changing("b", admin), ..GroupEdit::default() }.into()));
    let result = refusal(stage.app(create(GroupKind::Work, &[("b", Role::Member)])).await);
    assert!(matches!(result, Refusal::GroupTypeForbids(_)), "{result:?}");

    stage.backend.answers_everything(|question| {
        let Question::BeforeCreateGroup(creation) = question else { panic!("{question:?}") };
        let id = if creation.group.id == "g".into() { None } else { Some("g".into()) };
        std::future::ready(Verdict::Modify(GroupEdit { id, ..GroupEdit::default() }.into()))
    });
    stage.app(create(GroupKind::Public, &[])).await.unwrap();
    let other = CreateGroup { id: "h".into(), ..create(GroupKind::Public, &[]) };
    assert_eq!(refusal(stage.app(other).await), Refusal::GroupExists { id: "g".into(), yours: true });
    assert_eq!(groups(&stage, &["h"]).await, []);
}

async fn a_group_whose_id_is_taken_meanwhile(stage: Stage) {
    let behind = stage.clone();
    stage.backend.answers_everything(move |question| {
        let stage = behind.clone();
        async move {
            let Question::BeforeCreateGroup(creation) = question else { panic!("{question:?}") };
            if creation.group.owner == Some("a".into()) {
                let theirs = CreateGroup { owner: Some("b".into()), ..create(GroupKind::Public, &[]) };
                stage.app(theirs).await.unwrap();
            }
            Verdict::Allow
        }
    });
    let result = in_time(stage.app(create(GroupKind::Public, &[]))).await;
    assert_eq!(refusal(result), Refusal::GroupExists { id: "g".into(), yours: false });
    assert_eq!(stage.group().await.owner, Some("b".into()));
}

async fn a_topic_is_asked_about(stage: Stage) {
    stage.has_group(GroupKind::Community).await;
    always(&stage, Verdict::Reject(no(10_150)));
    let profile = GroupProfile { name: "routes".into(), ..GroupProfile::default() };
    let command = CreateTopic { profile, ..topic() };
    assert_eq!(refusal(stage.run(&as_account("a"), command.clone()).await), no(10_150));
    let Question::BeforeCreateTopic(asked) = asked_once(&stage) else { panic!() };
    let shown = (asked.topic.profile.name.as_str(), asked.group.kind, asked.occasion.actor);
    assert_eq!(shown, ("routes", GroupKind::Community, as_account("a")));
    // It is still to be had.
    always(&stage, Verdict::Allow);
    assert_eq!(stage.app(command).await.unwrap().profile.name, "routes");
}

async fn a_topic_of_a_community_that_is_dissolved_meanwhile(stage: Stage) {
    stage.has_group(GroupKind::Community).await;
    meanwhile(&stage, async |stage: Stage| {
        stage.change_group(|group| group.status = GroupStatus::Dissolved).await;
    });
    assert_eq!(refusal(stage.app(topic()).await), Refusal::GroupDissolved("g".into()));
    assert_eq!(stage.store.inner.topic(&"g".into(), &"t".into()).await.unwrap(), None);
}

async fn newcomers_are_asked_about_and_nobody_else(stage: Stage) {
    use Adding::{Added, AlreadyMember, NoAccount};
    let group = stage.has_group(GroupKind::Public).await;
    stage.app(import(&["d"], Existing::Update)).await.unwrap();
    always(&stage, Verdict::Allow);
    let outcomes = stage.run(&as_account("a"), add(&["c", "nobody", "b", "d", "c"])).await.unwrap();
    assert_eq!(outcomes, [Added, NoAccount, AlreadyMember, Added, AlreadyMember]);
    let Question::BeforeAddMembers(asked) = asked_once(&stage) else { panic!() };
    assert_eq!((asked.group, asked.reason.as_str()), (Group { member_count: 2, ..group }, "come in"));
    let asked: Vec<_> = asked.members.iter().map(|member| (member.account.as_str(), member.source)).collect();
    assert_eq!(asked, [("c", JoinSource::Invited), ("d", JoinSource::Invited)]);
    // Nobody would be new.
    assert_eq!(stage.app(add(&["c", "nobody"])).await.unwrap(), [AlreadyMember, NoAccount]);
    assert_eq!(stage.backend.questions().len(), 1);
}

async fn whom_the_backend_refuses_stays_out_and_the_others_come_in(stage: Stage) {
    use Adding::{Added, AlreadyMember, NoAccount, Refused};
    stage.has_group(GroupKind::Public).await;
    stage.app(import(&["d"], Existing::Update)).await.unwrap();
    always(&stage, refusing(&["c", "b"]));
    let outcomes = stage.app(add(&["c", "b", "d", "c", "nobody"])).await.unwrap();
    assert_eq!(outcomes, [Refused, AlreadyMember, Added, Refused, NoAccount]);
    assert_eq!(member_names(&stage).await, ["a", "b", "d"]);
}

async fn all_are_refused(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    always(&stage, refusing(&["c"]));
    assert_eq!(stage.app(add(&["c"])).await.unwrap(), [Adding::Refused]);
    always(&stage, Verdict::Reject(no(10_100)));
    assert_eq!(refusal(stage.app(add(&["c"])).await), no(10_100));
    assert_eq!(member_names(&stage).await, ["a", "b"]);
}

async fn new_members_are_as_the_backend_wants_them(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    let later = Timestamp::from_millis(NOW.millis() + 60_000);
    let edit = MemberEdit {
        role: Some(Role::Admin),
        name_card: Some("Sea".into()),
        face_url: Some("face".into()),
        muted_until: Some(later),
        custom_data: Some("data".into()),
    };
    always(&stage, Verdict::Modify(changing("c", edit.clone()).then(changing("b", edit)).into()));
    assert_eq!(stage.app(add(&["c", "b"])).await.unwrap(), [Adding::Added, Adding::AlreadyMember]);
    let members = members(&stage).await;
    let [_, c, b] = &members[..] else { panic!("{members:?}") };
    let shown = (c.role, c.name_card.as_str(), c.face_url.as_str(), c.muted_until, c.custom_data.as_str());
    assert_eq!(shown, (Role::Admin, "Sea", "face", later, "data"));
    assert_eq!((b.role, b.name_card.as_str()), (Role::Member, ""), "was a member, and not asked about");
    stage.backend.always(Verdict::Allow);
    let muted = refusal(stage.run(&as_account("c"), text("c", to_group(), "hi")).await);
    assert_eq!(muted, Refusal::MemberMuted);
}

async fn a_new_member_whom_the_backend_changed_is_judged_again(stage: Stage) {
    stage.has_group(GroupKind::Work).await;
    let admin = MemberEdit { role: Some(Role::Admin), ..MemberEdit::default() };
    always(&stage, Verdict::Modify(changing("c", admin).into()));
    assert!(matches!(refusal(stage.app(add(&["c"])).await), Refusal::GroupTypeForbids(_)));
    assert_eq!(member_names(&stage).await, ["a", "b"]);
}

async fn a_group_that_fills_meanwhile(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    stage.app(import(&["d"], Existing::Update)).await.unwrap();
    stage.change_group(|group| group.rules.member_limit = 3).await;
    let behind = stage.clone();
    stage.backend.answers_everything(move |question| {
        let stage = behind.clone();
        async move {
            let Question::BeforeAddMembers(addition) = question else { panic!("{question:?}") };
            if addition.members[0].account == "c".into() {
                assert_eq!(stage.app(add(&["d"])).await.unwrap(), [Adding::Added]);
            }
            Verdict::Allow
        }
    });
    assert_eq!(refusal(in_time(stage.app(add(&["c"]))).await), Refusal::GroupFull { limit: 3 });
    assert_eq!(member_names(&stage).await, ["a", "b", "d"]);
}

async fn a_group_that_is_dissolved_while_members_are_asked_about(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    meanwhile(&stage, async |stage: Stage| {
        stage.change_group(|group| group.status = GroupStatus::Dissolved).await;
    });
    assert_eq!(refusal(stage.app(add(&["c"])).await), Refusal::GroupDissolved("g".into()));
    assert_eq!(stage.group().await.member_count, 2);
}

async fn an_inviter_who_is_removed_meanwhile(stage: Stage) {
    stage.has_group(GroupKind::Work).await;
    meanwhile(&stage, async |stage: Stage| stage.remove_b().await);
    let result = refusal(stage.run(&as_account("b"), add(&["c"])).await);
    assert_eq!(result, Refusal::NotMember { group: "g".into(), account: "b".into() });
    assert_eq!(member_names(&stage).await, ["a"]);
}

/// Nobody has to wait for a backend that is being asked, least of all the backend itself.
async fn a_backend_may_add_the_same_members_while_it_is_asked(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    stage.change_group(|group| group.rules.member_limit = 3).await;
    let behind = stage.clone();
    stage.backend.answers_everything(move |question| {
        let stage = behind.clone();
        async move {
            let Question::BeforeAddMembers(addition) = question else { panic!("{question:?}") };
            if addition.reason == "come in" {
                let same = AddMembers { reason: "at once".into(), ..add(&["c"]) };
                assert_eq!(stage.app(same).await.unwrap(), [Adding::Added]);
            }
            Verdict::Allow
        }
    });
    assert_eq!(in_time(stage.app(add(&["c"]))).await.unwrap(), [Adding::AlreadyMember], "and no word of a full group");
    assert_eq!(stage.group().await.member_count, 3);
}

async fn an_update_is_asked_about_once(stage: Stage) {
    let group = stage.has_group(GroupKind::Public).await;
    always(&stage, Verdict::Allow);
    let command = UpdateGroup { muted: Some(true), ..named("new") };
    let changed = stage.run(&as_account("a"), command.clone()).await.unwrap();
    assert_eq!((changed.profile.name.as_str(), changed.rules.muted), ("new", true));
    let Question::BeforeUpdateGroup(asked) = asked_once(&stage) else { panic!() };
    assert_eq!((asked.group, asked.update), (Group { member_count: 2, ..group }, command));
    assert_eq!(asked.occasion.actor, as_account("a"));
}

async fn an_update_is_what_the_backend_makes_of_it(stage: Stage) {
    stage.has_group(GroupKind::Public).await;
    let wanted = UpdateGroup { group: Some("h".into()), introduction: Some("and why".into()), ..named("newer") };
    always(&stage, Verdict::Modify(wanted.into()));
    let changed = stage.app(UpdateGroup { announcement: Some("dropped".into()), ..named("new") }).await.unwrap();
    let profile = GroupProfile { name: "newer".into(), introduction: "and why".into(), ..GroupProfile::default() };
    assert_eq!(changed.profile, profile);
    assert_eq!(changed, stage.group().await);
    let events = stage.events().await;
    let [Event::GroupChanged(change)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((change.name.as_deref(), change.announcement.as_deref()), (Some("newer"), None));

    // It may also come to nothing.
    always(&stage, Verdict::Modify(update().into()));
    assert_eq!(stage.app(named("newest")).await.unwrap(), changed);
    assert_eq!(stage.events().await.len(), 1);
}

async fn an_update_that_is_refused_changes_nothing(stage: Stage) {
    let group = stage.has_group(GroupKind::Public).await;
    always(&stage, Verdict::Reject(no(5001)));
    assert_eq!(refusal(stage.app(named("new")).await), no(5001));
    assert_eq!(stage.group().await, group);
    assert_eq!(stage.events().await, []);
}

async fn an_update_that_changes_nothing_is_not_asked_about(stage: Stage) {
    let group = stage.has_group(GroupKind::Public).await;
    always(&stage, Verdict::Reject(no(5001)));
    for nothing in [update(), UpdateGroup { introduction: Some(String::new()), ..update() }] {
        assert_eq!(stage.app(nothing).await.unwrap(), group);
    }
    assert_eq!(stage.backend.questions(), []);
}

async fn a_backend_may_change_the_same_group_while_it_is_asked(stage: Stage) {
    let made = stage.has_group(GroupKind::Public).await;
    let behind = stage.clone();
    stage.backend.answers_everything(move |question| {
        let stage = behind.clone();
        async move {
            let Question::BeforeUpdateGroup(asked) = question else { panic!("{question:?}") };
            if asked.update.name.as_deref() == Some("outer") {
                let inner = UpdateGroup { introduction: Some("inner".into()), ..named("inner") };
                stage.app(inner).await.unwrap();
            }
            Verdict::Allow
        }
    });
    let changed = in_time(stage.app(named("outer"))).await.unwrap();
    assert_eq!((changed.profile.name.as_str(), changed.profile.introduction.as_str()), ("outer", "inner"));
    assert_eq!(changed.version, made.version + 2);
    assert_eq!(stage.backend.questions().len(), 2);
}

async fn an_owner_who_is_one_no_more_when_the_backend_answers(stage: Stage) {
    stage.has_group(GroupKind::Work).await;
    meanwhile(&stage, async |stage: Stage| stage.remove_b().await);
    let result = refusal(stage.run(&as_account("b"), named("new")).await);
    assert_eq!(result, Refusal::NotMember { group: "g".into(), account: "b".into() });
    assert_eq!(stage.events().await, []);
}

async fn each_block_is_asked_about_alone(stage: Stage) {
    use Blocking::{Added, AlreadyThere, NoAccount, Refused};
    stage.app(import(&["d"], Existing::Update)).await.unwrap();
    stage.block("a", "d").await;
    stage.backend.answers_everything(|question| {
        let Question::BeforeBlock(block) = question else { panic!("{question:?}") };
        let is_minded = block.target == "c".into();
        std::future::ready(if is_minded { Verdict::Reject(no(38_001)) } else { Verdict::Allow })
    });
    let outcomes = stage.app(block(&["b", "nobody", "c", "d", "b"])).await.unwrap();
    assert_eq!(outcomes, [Added, NoAccount, Refused(no(38_001)), AlreadyThere, AlreadyThere]);
    let mut asked: Vec<_> = stage
        .backend
        .questions()
        .into_iter()
        .map(|question| match question {
            Question::BeforeBlock(block) => (block.owner.to_string(), block.target.to_string(), block.occasion.id),
            other => panic!("{other:?}"),
        })
        .collect();
    asked.sort_by(|one, other| one.1.cmp(&other.1));
    assert_eq!(asked.len(), 2);
    assert_eq!((asked[0].0.as_str(), asked[0].1.as_str(), asked[1].1.as_str()), ("a", "b", "c"));
    assert_ne!(asked[0].2, asked[1].2, "two questions");
    let blocked = stage.store.inner.blocks(&"a".into(), &ids(&["b", "c", "d"])).await.unwrap();
    assert_eq!(blocked, (ids(&["b", "d"]), 2));
}

async fn a_target_that_is_blocked_meanwhile(stage: Stage) {
    meanwhile(&stage, async |stage: Stage| stage.block("a", "b").await);
    assert_eq!(stage.app(block(&["b"])).await.unwrap(), [Blocking::AlreadyThere]);
}

/// Eight, to be exact: no fewer, or a thousand would take for ever, and no more, or nobody else would get a turn.
async fn many_blocks_are_asked_about_a_few_at_a_time(stage: Stage) {
    let (now, most, all_there) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(Barrier::new(8)));
    let names: Vec<String> = (0..48).map(|number| format!("m{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    stage.app(import(&names, Existing::Update)).await.unwrap();
    let seen = most.clone();
    stage.backend.answers_everything(move |question| {
        let (now, seen, all_there) = (now.clone(), seen.clone(), all_there.clone());
        async move {
            seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            all_there.wait().await;
            now.fetch_sub(1, Ordering::SeqCst);
            let Question::BeforeBlock(block) = question else { panic!("{question:?}") };
            if block.target.as_str().ends_with('7') { Verdict::Reject(no(38_000)) } else { Verdict::Allow }
        }
    });
    let outcomes = in_time(stage.app(block(&names))).await.unwrap();
    for (name, outcome) in names.iter().zip(outcomes) {
        let expected = if name.ends_with('7') { Blocking::Refused(no(38_000)) } else { Blocking::Added };
        assert_eq!(outcome, expected, "{name}");
    }
    assert_eq!((stage.backend.questions().len(), most.load(Ordering::SeqCst)), (48, 8));
}

async fn only_unknown_accounts_are_asked_about(stage: Stage) {
    always(&stage, Verdict::Allow);
    let outcomes = stage.app(import(&["d", "a", "e", "d"], Existing::Update)).await.unwrap();
    assert_eq!(outcomes, [Importing::Known; 4]);
    let Question::BeforeRegister(asked) = asked_once(&stage) else { panic!() };
    assert_eq!(asked.accounts, import(&["d", "e"], Existing::Update).accounts);
    let new = |id: &str| (id.to_owned(), "new".to_owned());
    assert_eq!(known(&stage, &["d", "a", "e"]).await, [new("d"), new("a"), new("e")]);
    // All are known now.
    stage.app(import(&["d", "a"], Existing::Update)).await.unwrap();
    assert_eq!(stage.backend.questions().len(), 1);

    always(&stage, Verdict::Reject(no(5001)));
    assert_eq!(refusal(stage.app(import(&["f", "a"], Existing::Update)).await), no(5001));
    assert_eq!(refusal(stage.app(import(&["f"], Existing::Refuse)).await), no(5001));
    assert_eq!(known(&stage, &["f"]).await, []);
}

async fn accounts_are_made_known_as_the_backend_wants_them(stage: Stage) {
    let wanted = vec![
        NewAccount { name: Some("Dee".into()), ..NewAccount::bare("d".into()) },
        NewAccount { name: Some("one more".into()), ..NewAccount::bare("x".into()) },
    ];
    always(&stage, Verdict::Modify(Edit::Accounts(wanted)));
    assert_eq!(stage.app(import(&["d"], Existing::Refuse)).await.unwrap(), [Importing::Known]);
    let expected = [("d".to_owned(), "Dee".to_owned()), ("x".to_owned(), "one more".to_owned())];
    assert_eq!(known(&stage, &["d", "x"]).await, expected);
}

async fn whom_the_backend_leaves_out_is_not_made_known(stage: Stage) {
    always(&stage, Verdict::Modify(Edit::Accounts(Vec::new())));
    assert_eq!(refusal(stage.app(import(&["d", "e"], Existing::Refuse)).await), Refusal::rejected());
    assert_eq!(stage.app(import(&["d"], Existing::Update)).await.unwrap(), [Importing::Refused]);
    // Others are known in their place: that is no refusal.
    always(&stage, Verdict::Modify(Edit::Accounts(vec![NewAccount::bare("z".into())])));
    assert_eq!(stage.app(import(&["d"], Existing::Refuse)).await.unwrap(), [Importing::Refused]);
    assert_eq!(known(&stage, &["d", "z"]).await, [("z".to_owned(), String::new())]);

    for (existing, names) in [(Existing::Refuse, ["d", "e", "f"]), (Existing::Update, ["g", "h", "a"])] {
        let wanted = vec![NewAccount::bare(names[1].into())];
        always(&stage, Verdict::Modify(Edit::Accounts(wanted)));
        let outcomes = stage.app(import(&names, existing)).await.unwrap();
        let last = if existing == Existing::Refuse { Importing::Refused } else { Importing::Known };
        assert_eq!(outcomes, [Importing::Refused, Importing::Known, last]);
    }
    let known: Vec<_> = known(&stage, &["d", "e", "f", "g", "h", "a"]).await;
    let known: Vec<_> = known.iter().map(|(id, name)| (id.as_str(), name.as_str())).collect();
    assert_eq!(known, [("e", ""), ("h", ""), ("a", "new")], "who was known is updated all the same");
}

async fn a_list_of_accounts_that_breaks_a_rule(stage: Stage) {
    let twice = vec![NewAccount::bare("d".into()), NewAccount::bare("d".into())];
    let many: Vec<NewAccount> =
        (0..1001).map(|number| NewAccount::bare(format!("m{number}").as_str().into())).collect();
    for wanted in [twice, many, vec![NewAccount::bare("d".into()), NewAccount::bare("a".into())]] {
        always(&stage, Verdict::Modify(Edit::Accounts(wanted)));
        let result = stage.app(import(&["d"], Existing::Refuse)).await;
        assert!(matches!(result, Err(Error::Refused(_))), "{result:?}");
    }
    assert_eq!(known(&stage, &["d"]).await, []);
}

async fn an_account_that_is_made_known_meanwhile(stage: Stage) {
    let theirs = async |stage: Stage| {
        let new = NewAccount { face_url: Some("face".into()), ..NewAccount::bare("d".into()) };
        stage.run(&Actor::System, ImportAccounts { accounts: vec![new], existing: Existing::Update }).await.unwrap();
    };
    meanwhile(&stage, theirs);
    assert_eq!(refusal(stage.app(import(&["d"], Existing::Refuse)).await), Refusal::AccountExists("d".into()));
    assert_eq!(known(&stage, &["d"]).await, [("d".to_owned(), String::new())]);

    let stage = stage.another().await;
    meanwhile(&stage, theirs);
    assert_eq!(stage.app(import(&["d"], Existing::Update)).await.unwrap(), [Importing::Known]);
    let account = stage.app(FindAccounts(ids(&["d"]))).await.unwrap().remove(0);
    assert_eq!((account.name.as_str(), account.face_url.as_str()), ("new", "face"));
}

async fn what_ringback_does_by_itself_is_asked_of_nobody(stage: Stage) {
    always(&stage, Verdict::Reject(no(1)));
    stage.run(&Actor::System, import(&["d"], Existing::Update)).await.unwrap();
    stage.run(&Actor::System, create(GroupKind::Public, &[])).await.unwrap();
    assert_eq!(stage.run(&Actor::System, add(&["d"])).await.unwrap(), [Adding::Added]);
    assert_eq!(stage.backend.questions(), []);
}
