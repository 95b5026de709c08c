//! Who becomes part of an app: `ImportAccounts`, `CreateGroup`, `AddMembers`, `BlockAccounts`, when many do it at once.

use chat::Refusal;
use chat::account::find::FindAccounts;
use chat::account::import::{Existing, ImportAccounts, NewAccount};
use chat::command::Actor;
use chat::group::add_members::{AddMembers, Adding, Strangers};
use chat::group::create::{CreateGroup, FirstMember, OtherRules};
use chat::group::find::ListMembers;
use chat::group::{GroupKind, GroupProfile, GroupStatus};
use chat::id::AccountId;
use chat::member::{JoinSource, Role};
use chat::port::MemberQuery;
use chat::relation::block::{BlockAccounts, Blocking};

use crate::stage::{Stage, all_at_once, as_account, refusal};

cases! {
    importing_all_or_none,
    members_are_listed_as_they_were_named,
    a_group_is_made_once,
    of_many_who_make_the_same_group_one_does,
    each_account_hears_what_became_of_it,
    how_a_member_came_in,
    where_nobody_can_be_added,
    no_more_get_in_than_there_is_room_for,
    many_who_add_the_same_accounts_to_an_almost_full_group,
    blocking_tells_each_target_apart,
    a_list_of_blocks_is_full_at_a_thousand,
}

fn add(accounts: &[&str]) -> AddMembers {
    let accounts = accounts.iter().copied().map(AccountId::new).collect();
    AddMembers { group: "g".into(), accounts, reason: String::new(), strangers: Strangers::Skip }
}

fn create(owner: &str, members: &[&str]) -> CreateGroup {
    let first =
        |id: &&str| FirstMember { account: (*id).into(), role: Role::Member, custom_fields: Default::default() };
    CreateGroup {
        id: "g".into(),
        id_is_made_up: false,
        kind: GroupKind::Public,
        owner: Some(owner.into()),
        profile: GroupProfile::default(),
        joining: None,
        member_limit: None,
        rules: OtherRules::default(),
        members: members.iter().map(first).collect(),
        has_topics: false,
    }
}

async fn import(stage: &Stage, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|number| format!("m{number}")).collect();
    let accounts = names.iter().map(|name| NewAccount::bare(name.as_str().into())).collect();
    stage.app(ImportAccounts { accounts, existing: Existing::Update }).await.unwrap();
    names
}

async fn importing_all_or_none(stage: Stage) {
    let accounts = ["d", "a", "e"].map(|id| NewAccount { name: Some("new".into()), ..NewAccount::bare(id.into()) });
    let command = |existing| ImportAccounts { accounts: accounts.to_vec(), existing };
    assert_eq!(refusal(stage.app(command(Existing::Refuse)).await), Refusal::AccountExists("a".into()));
    let found = stage.app(FindAccounts(vec!["a".into(), "d".into(), "e".into()])).await.unwrap();
    assert_eq!(found.iter().map(|account| account.name.as_str()).collect::<Vec<_>>(), [""]);
    stage.app(command(Existing::Update)).await.unwrap();
    let found = stage.app(FindAccounts(vec!["a".into(), "d".into(), "e".into()])).await.unwrap();
    assert_eq!(found.iter().map(|account| account.name.as_str()).collect::<Vec<_>>(), ["new"; 3]);
    assert_eq!(refusal(stage.run(&as_account("a"), command(Existing::Update)).await), Refusal::NotPermitted);
}

async fn members_are_listed_as_they_were_named(stage: Stage) {
    let group = stage.app(create("b", &["c", "a"])).await.unwrap();
    assert_eq!(group, stage.group().await, "the answer is what is stored");
    let list = ListMembers { group: "g".into(), query: MemberQuery { limit: 10, ..MemberQuery::default() } };
    let (_, members) = stage.app(list).await.unwrap();
    let members: Vec<_> = members.iter().map(|member| (member.account.as_str(), member.role)).collect();
    assert_eq!(members, [("b", Role::Owner), ("c", Role::Member), ("a", Role::Member)]);
}

async fn a_group_is_made_once(stage: Stage) {
    stage.app(create("a", &[])).await.unwrap();
    let taken = |yours| Refusal::GroupExists { id: "g".into(), yours };
    assert_eq!(refusal(stage.app(create("a", &[])).await), taken(true));
    assert_eq!(refusal(stage.app(create("b", &[])).await), taken(false));
    assert_eq!(refusal(stage.run(&as_account("a"), create("b", &[])).await), Refusal::NotPermitted);
    let strangers = CreateGroup { id: "h".into(), ..create("a", &["nobody"]) };
    assert_eq!(refusal(stage.app(strangers).await), Refusal::NoAccount("nobody".into()));
}

async fn of_many_who_make_the_same_group_one_does(stage: Stage) {
    let results = all_at_once(64, |number| {
        let stage = stage.clone();
        let owner = ["a", "b"][number % 2];
        async move { (owner, stage.app(create(owner, &[])).await) }
    });
    let (made, refused): (Vec<_>, Vec<_>) = results.await.into_iter().partition(|(_, result)| result.is_ok());
    assert_eq!(made.len(), 1);
    for (owner, result) in refused {
        assert_eq!(refusal(result), Refusal::GroupExists { id: "g".into(), yours: owner == made[0].0 });
    }
    assert_eq!(stage.group().await.member_count, 1);
}

async fn each_account_hears_what_became_of_it(stage: Stage) {
    use Adding::{Added, AlreadyMember, NoAccount};
    stage.has_group(GroupKind::Public).await;
    let refused = AddMembers { strangers: Strangers::RefuseAll, ..add(&["c", "nobody"]) };
    assert_eq!(refusal(stage.app(refused).await), Refusal::NoAccount("nobody".into()));
    let outcomes = stage.app(add(&["c", "nobody", "a", "c"])).await.unwrap();
    assert_eq!(outcomes, [Added, NoAccount, AlreadyMember, AlreadyMember]);
    assert_eq!(stage.app(add(&["c", "b"])).await.unwrap(), [AlreadyMember; 2]);
    assert_eq!(stage.app(add(&[])).await.unwrap(), []);
    let group = stage.group().await;
    assert_eq!((group.member_count, group.version), (3, 1));
}

async fn how_a_member_came_in(stage: Stage) {
    import(&stage, 3).await;
    stage.has_group(GroupKind::Work).await;
    for (actor, account) in [(as_account("b"), "m0"), (Actor::App("admin".into()), "m1"), (Actor::System, "m2")] {
        stage.run(&actor, add(&[account])).await.unwrap();
    }
    let list = ListMembers { group: "g".into(), query: MemberQuery { offset: 2, limit: 10, ..MemberQuery::default() } };
    let (_, members) = stage.app(list).await.unwrap();
    let came: Vec<_> = members.iter().map(|m| (m.source, m.inviter.as_ref().map(AccountId::as_str))).collect();
    let expected =
        [(JoinSource::Invited, Some("b")), (JoinSource::Imported, Some("admin")), (JoinSource::Imported, None)];
    assert_eq!(came, expected);
    let stranger = refusal(stage.run(&as_account("c"), add(&["c"])).await);
    assert_eq!(stranger, Refusal::NotMember { group: "g".into(), account: "c".into() });
}

async fn where_nobody_can_be_added(stage: Stage) {
    assert_eq!(refusal(stage.app(add(&["c"])).await), Refusal::NoGroup("g".into()));
    stage.has_group(GroupKind::Live).await;
    assert!(matches!(refusal(stage.app(add(&["c"])).await), Refusal::GroupTypeForbids(_)));
    stage.change_group(|group| (group.kind, group.status) = (GroupKind::Public, GroupStatus::Dissolved)).await;
    assert_eq!(refusal(stage.app(add(&["c"])).await), Refusal::GroupDissolved("g".into()));
}

/// A group of two with room for ten more, and 64 who want in: by ones, and by pairs.
async fn no_more_get_in_than_there_is_room_for(stage: Stage) {
    for at_a_time in [1, 2] {
        let stage = stage.another().await;
        let names = import(&stage, 64).await;
        stage.has_group(GroupKind::Public).await;
        stage.change_group(|group| group.rules.member_limit = 12).await;
        let results = all_at_once(64 / at_a_time, |number| {
            let stage = stage.clone();
            let mine = names[number * at_a_time..][..at_a_time].to_vec();
            async move { stage.app(add(&mine.iter().map(String::as_str).collect::<Vec<_>>())).await }
        });
        let (added, refused): (Vec<_>, Vec<_>) = results.await.into_iter().partition(Result::is_ok);
        assert_eq!(added.len(), 10 / at_a_time);
        for result in refused {
            assert_eq!(refusal(result), Refusal::GroupFull { limit: 12 });
        }
        assert_eq!(stage.group().await.member_count, 12);
    }
}

/// All add the same two accounts, for whom there is just room: each is added once, and nobody hears that it is full.
async fn many_who_add_the_same_accounts_to_an_almost_full_group(stage: Stage) {
    use Adding::{Added, AlreadyMember};
    import(&stage, 2).await;
    stage.has_group(GroupKind::Public).await;
    stage.change_group(|group| group.rules.member_limit = 4).await;
    let results = all_at_once(30, |_| {
        let stage = stage.clone();
        async move { stage.app(add(&["m0", "m1"])).await.unwrap() }
    });
    let results = results.await;
    assert_eq!(results.iter().filter(|outcomes| **outcomes == [Added; 2]).count(), 1);
    assert_eq!(results.iter().filter(|outcomes| **outcomes == [AlreadyMember; 2]).count(), 29);
}

async fn blocking_tells_each_target_apart(stage: Stage) {
    use Blocking::{Added, AlreadyThere, NoAccount};
    let block = |targets: &[&str]| BlockAccounts {
        owner: "a".into(),
        targets: targets.iter().copied().map(AccountId::new).collect(),
    };
    let outcomes = stage.run(&as_account("a"), block(&["b", "nobody", "b"])).await.unwrap();
    assert_eq!(outcomes, [Added, NoAccount, AlreadyThere]);
    assert_eq!(stage.app(block(&["c", "b"])).await.unwrap(), [Added, AlreadyThere]);
    assert_eq!(refusal(stage.run(&as_account("b"), block(&["c"])).await), Refusal::NotPermitted);
}

async fn a_list_of_blocks_is_full_at_a_thousand(stage: Stage) {
    let names: Vec<AccountId> = import(&stage, 1000).await.iter().map(|name| name.as_str().into()).collect();
    let block = |targets: &[AccountId]| BlockAccounts { owner: "a".into(), targets: targets.to_vec() };
    stage.app(block(&names[..999])).await.unwrap();
    let outcomes = stage.app(block(&["b".into(), "c".into(), names[0].clone()])).await.unwrap();
    assert_eq!(outcomes, [Blocking::Added, Blocking::ListFull, Blocking::AlreadyThere]);
}
