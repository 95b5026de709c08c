//! Messages and events to try things with: one that is plain, one of which nothing is left out.

use chat::account::import::NewAccount;
use chat::conversation::ConversationId;
use chat::element::{
    Carried, Content, Custom, Element, Face, File, Foreign, Image, Location, Merged, Picture, Sound, Video,
};
use chat::event::{EndpointPause, Event, GroupChange, LogEntry, Position, Shard};
use chat::group::update::UpdateGroup;
use chat::group::{Group, GroupKind, GroupProfile, GroupRules, GroupStatus, Joining, Topic};
use chat::id::{MessageId, Timestamp};
use chat::member::{JoinSource, Member, Role};
use chat::message::{Delivery, Keeping, Mention, Message};
use chat::question::account::{Registration, WantedBlock};
use chat::question::group::{GroupCreation, GroupUpdate, TopicCreation};
use chat::question::member::MemberAddition;
use chat::question::{Occasion, Question};
use chat::{Actor, Origin, Platform};
use serde_json::{Map, Value, json};

const TIME: Timestamp = Timestamp::from_millis(1_760_000_000_123);

/// A one-to-one text that nothing is special about.
pub(crate) fn plain() -> Message {
    Message {
        id: MessageId::new(TIME, 7),
        conversation: ConversationId::direct("alice".into(), "bob".into()),
        group_kind: None,
        seq: 0,
        sender: "alice".into(),
        actor: Actor::Account("alice".into()),
        origin: Origin::default(),
        client_id: "c1".into(),
        time: TIME,
        created: Timestamp::from_millis(1_760_000_000_100),
        sender_name: String::new(),
        sender_face: String::new(),
        elements: vec![Element::text("lunch?")],
        custom_data: None,
        mentions: Vec::new(),
        delivery: Delivery::default(),
        carried: None,
    }
}

/// A message to a topic that has everything a message can have.
pub(crate) fn full() -> Message {
    Message {
        conversation: ConversationId::Topic("@TGS#_g".into(), "@TGS#_g@TOPIC#_t".into()),
        group_kind: Some(GroupKind::Community),
        actor: Actor::App("administrator".into()),
        origin: Origin { platform: Platform::Web, ip: Some([192, 0, 2, 7].into()), operation: "op-77".into() },
        sender_name: "Alice".into(),
        sender_face: "https://cdn.example.com/alice.png".into(),
        elements: every_element(),
        custom_data: Some(r#"{"order":7}"#.into()),
        mentions: vec![Mention::All, Mention::Account("bob".into())],
        delivery: Delivery {
            keeping: Keeping::OnlineOnly,
            no_unread: true,
            no_last_message: true,
            not_to_sender: true,
            no_push: true,
            no_after_callback: true,
            only_to: vec!["bob".into(), "carol".into()],
        },
        carried: carried(json!({"OfflinePushInfo": {"Title": "Alice"}})),
        ..plain()
    }
}

/// One element of each kind, with every field; one of them with fields of a dialect.
pub(crate) fn every_element() -> Vec<Element> {
    let text = |text: &str| Some(text.to_owned());
    let picture = |size: i64| {
        let url = Some(format!("https://cdn.example.com/{size}.png"));
        Some(Picture { url, size: Some(size), width: Some(640), height: Some(480) })
    };
    let contents = [
        Content::Face(Face { index: Some(1), data: text("smile") }),
        Content::Location(Location {
            description: text("Alexanderplatz"),
            latitude: Some(52.5219),
            longitude: Some(13.4132),
        }),
        Content::Custom(Custom {
            data: text("LV1"),
            description: text("level"),
            extension: text("x"),
            sound: text("dingdong.aiff"),
        }),
        Content::Image(Image {
            id: text("i1"),
            format: Some(3),
            original: picture(9000),
            large: picture(3000),
            thumbnail: picture(300),
        }),
        Content::Sound(Sound {
            id: text("s1"),
            url: text("https://cdn.example.com/s1.amr"),
            size: Some(6000),
            seconds: Some(4),
        }),
        Content::Video(Video {
            id: text("v1"),
            url: text("https://cdn.example.com/v1.mp4"),
            size: Some(900_000),
            seconds: Some(12),
            format: text("mp4"),
            snapshot_id: text("v1s"),
            snapshot_url: text("https://cdn.example.com/v1.jpg"),
            snapshot_size: Some(800),
            snapshot_width: Some(640),
            snapshot_height: Some(480),
            snapshot_format: text("jpg"),
        }),
        Content::File(File {
            id: text("f1"),
            url: text("https://cdn.example.com/f1"),
            size: Some(77),
            name: text("menu.pdf"),
        }),
        Content::Merged(Merged {
            title: text("Chat of alice and bob"),
            digest: Some(vec!["alice: lunch?".into(), "bob: yes".into()]),
            count: Some(2),
            fallback: text("[merged]"),
        }),
    ];
    let foreign = Content::Foreign(Foreign { kind: "114".into(), text: "so true".into() });
    let quote = Element {
        content: foreign,
        carried: Carried::of("openim", object(json!({"contentType": 114, "content": {"quoteMessage": {"seq": 3}}}))),
    };
    let carrying = Element { carried: carried(json!({"Loud": true})), ..Element::text("lunch?") };
    let mut elements = vec![carrying];
    elements.extend(contents.map(Element::from));
    elements.push(quote);
    elements
}

/// One element of each kind, without any field that may be left out.
pub(crate) fn bare_elements() -> Vec<Element> {
    let contents = [
        Content::Face(Face::default()),
        Content::Location(Location::default()),
        Content::Custom(Custom::default()),
        Content::Image(Image::default()),
        Content::Sound(Sound::default()),
        Content::Video(Video::default()),
        Content::File(File::default()),
        Content::Merged(Merged::default()),
        Content::Foreign(Foreign::default()),
    ];
    contents.map(Element::from).into_iter().chain([Element::text("")]).collect()
}

/// A change of all that can change.
pub(crate) fn group_change() -> GroupChange {
    let text = |text: &str| Some(text.to_owned());
    GroupChange {
        id: MessageId::new(TIME, 8),
        group: "climbers".into(),
        kind: GroupKind::Public,
        actor: Actor::App("administrator".into()),
        origin: Origin { ip: Some([192, 0, 2, 7].into()), operation: "op-78".into(), ..Origin::default() },
        time: TIME,
        name: text("Climbers"),
        introduction: text("Up."),
        announcement: text("Tuesday at six"),
        face_url: text("https://cdn.example.com/climbers.png"),
    }
}

/// One question of each kind, in which nothing that may be said is left out.
pub(crate) fn questions() -> [Question; 7] {
    let group = || {
        let mut custom_fields = Map::new();
        custom_fields.insert("level".into(), "3".into());
        Group {
            id: "climbers".into(),
            kind: GroupKind::Public,
            owner: Some("alice".into()),
            creator: Some("administrator".into()),
            profile: GroupProfile {
                name: "Climbers".into(),
                introduction: "Up.".into(),
                announcement: "Tuesday at six".into(),
                face_url: "https://cdn.example.com/climbers.png".into(),
                custom_data: r#"{"city":"Berlin"}"#.into(),
                custom_fields,
            },
            rules: GroupRules {
                joining: Joining::Approval,
                muted: false,
                member_limit: 6000,
                hides_members: false,
                forbids_befriending: true,
                approves_invitations: true,
            },
            status: GroupStatus::Open,
            has_topics: false,
            created: TIME,
            updated: TIME,
            version: 1,
            member_count: 2,
            announced: None,
        }
    };
    let mut custom_fields = Map::new();
    custom_fields.insert("grade".into(), "6a".into());
    let bob = Member {
        source: JoinSource::Invited,
        inviter: Some("alice".into()),
        name_card: "Bob".into(),
        face_url: "https://cdn.example.com/bob.png".into(),
        muted_until: Timestamp::from_millis(1_760_000_600_000),
        custom_fields,
        custom_data: "x".into(),
        ..Member::new("bob".into(), Role::Member, TIME)
    };
    let members = vec![Member::new("alice".into(), Role::Owner, TIME), bob.clone()];
    let update = UpdateGroup {
        group: Some("climbers".into()),
        name: Some("Climbers!".into()),
        introduction: Some("Up and down.".into()),
        announcement: Some(String::new()),
        face_url: Some("https://cdn.example.com/new.png".into()),
        custom_data: Some("{}".into()),
        custom_fields: object(json!({"level": null})),
        joining: Some(Joining::Free),
        muted: Some(true),
        member_limit: Some(500),
        hides_members: Some(true),
        forbids_befriending: Some(false),
        approves_invitations: Some(false),
        ..UpdateGroup::default()
    };
    let topic = Topic {
        id: "@TGS#_g@TOPIC#_t".into(),
        group: "climbers".into(),
        profile: group().profile,
        creator: Some("alice".into()),
        created: TIME,
    };
    let account = NewAccount {
        id: "carol".into(),
        name: Some("Carol".into()),
        face_url: Some("https://cdn.example.com/carol.png".into()),
        custom_data: Some("{}".into()),
    };
    let (id_is_made_up, owned) = (true, 4);
    [
        Question::BeforeSend(Box::new(plain())),
        Question::BeforeCreateGroup(Box::new(GroupCreation {
            occasion: occasion(),
            group: group(),
            id_is_made_up,
            members,
            owned,
        })),
        Question::BeforeCreateTopic(Box::new(TopicCreation { occasion: occasion(), group: group(), topic })),
        Question::BeforeAddMembers(Box::new(MemberAddition {
            occasion: occasion(),
            group: group(),
            members: vec![bob],
            reason: "climbs well".into(),
        })),
        Question::BeforeUpdateGroup(Box::new(GroupUpdate { occasion: occasion(), group: group(), update })),
        Question::BeforeBlock(Box::new(WantedBlock {
            occasion: occasion(),
            owner: "alice".into(),
            target: "bob".into(),
        })),
        Question::BeforeRegister(Box::new(Registration {
            occasion: occasion(),
            accounts: vec![account, NewAccount::bare("dave".into())],
        })),
    ]
}

fn occasion() -> Occasion {
    Occasion {
        id: MessageId::new(TIME, 10),
        actor: Actor::App("administrator".into()),
        origin: Origin { ip: Some([192, 0, 2, 7].into()), operation: "op-79".into(), ..Origin::default() },
        time: TIME,
    }
}

/// An endpoint's pause.
pub(crate) fn pause() -> EndpointPause {
    EndpointPause {
        id: MessageId::new(TIME, 9),
        endpoint: "app".into(),
        time: TIME,
        reason: "gone".into(),
        detail: "it answered 410 Gone".into(),
    }
}

/// An event in the log.
pub(crate) fn entry(event: Event, unread: Option<u64>) -> LogEntry {
    LogEntry { shard: Shard(0), position: Position(1), event, unread }
}

fn carried(fields: Value) -> Option<Carried> {
    Carried::of("tencent", object(fields))
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}
