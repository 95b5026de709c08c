//! Many endpoints, and some of them dead: whoever is there hears everything in order, whoever sends is answered, and what
//! the dead ones are owed waits for them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tests::{Answer, Call, Endpoint, Follower, Gate, Manner, Receiver, Rogue, Setup, Stage, Tencent, group_text};

const SEND_GROUP: &str = "group_open_http_svc/send_group_msg";
const AFTER: &str = "Group.CallbackAfterSendMsg";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// First arrivals, repeats left out: the `MsgSeq`s by endpoint (its path) and group.
fn firsts(calls: &[Call]) -> BTreeMap<(&str, &str), Vec<i64>> {
    let (mut ids, mut arrived) = (BTreeSet::new(), BTreeMap::<_, Vec<_>>::new());
    for call in calls {
        if ids.insert(&call.headers["webhook-id"]) {
            let group = call.body["GroupId"].as_str().expect("GroupId");
            let seq = call.body["MsgSeq"].as_i64().expect("MsgSeq");
            arrived.entry((call.path.as_str(), group)).or_default().push(seq);
        }
    }
    arrived
}

/// Every endpoint heard each of the groups' messages, in order; and so it seems to those who look at headers alone.
fn heard_everything(calls: &[Call], endpoints: usize, groups: usize, messages: usize) {
    let arrived = firsts(calls);
    assert_eq!(arrived.len(), endpoints * groups, "{:?}", arrived.keys());
    for (whose, seqs) in arrived {
        assert_eq!(seqs, (1..=messages as i64).collect::<Vec<_>>(), "{whose:?}");
    }
    assert_eq!(Follower::of(calls).lengths(), vec![messages; endpoints * groups]);
}

/// Waits until there are so many calls without repeats.
async fn wait_for_events(what: &str, backend: &Receiver, events: usize) -> Vec<Call> {
    let (mut ids, mut read) = (BTreeSet::new(), 0);
    let all = |calls: &[Call]| {
        ids.extend(calls[read..].iter().map(|call| call.headers["webhook-id"].clone()));
        read = calls.len();
        ids.len() >= events
    };
    backend.wait_until(what, all).await
}

/// An endpoint that is told of group messages, and whose calls are signed.
fn endpoint(base: &str, name: &str) -> Endpoint {
    unsigned(base, name).secret(SECRET)
}

/// One without a secret. What a receiver follows is there all the same.
fn unsigned(base: &str, name: &str) -> Endpoint {
    Endpoint::tencent(format!("{base}/{name}")).named(name).hears([AFTER])
}

/// Sends to groups `g0`, `g1`, … at the same time, to each group one message after the other.
async fn send(tencent: &Tencent, groups: usize, seqs: std::ops::RangeInclusive<i64>) {
    let to_group = |group: usize| {
        let (tencent, seqs) = (tencent.clone(), seqs.clone());
        tokio::spawn(async move {
            for n in seqs {
                let body = group_text(&format!("g{group}"), "alice", &format!("{n}"));
                assert_eq!(tencent.ok(SEND_GROUP, body).await["MsgSeq"], n);
            }
        })
    };
    for sends in (0..groups).map(to_group).collect::<Vec<_>>() {
        sends.await.expect("every send is answered");
    }
}

async fn make_groups(tencent: &Tencent, groups: usize) {
    for group in 0..groups {
        tencent.create_group(&format!("g{group}"), "alice", &["bob"]).await;
    }
}

/// A hundred endpoints: five refuse connections and five hang for longer than all the sends may take.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_dead_endpoints_harm_none_of_ninety_others() {
    const GROUPS: usize = 5;
    const MESSAGES: usize = 20;
    const EVENTS: usize = GROUPS * MESSAGES;
    let refusing = Rogue::start(Manner::Refuses).await;
    let (hanging, gate) = (Receiver::start().await, Gate::closed());
    hanging.answers(AFTER, Answer::go_on().held_by(&gate));
    let mut setup = Setup::new();
    for n in 0..5 {
        let hangs = endpoint(&hanging.url(""), &format!("hangs{n}"));
        let refuses = endpoint(&refusing.url(""), &format!("refuses{n}"));
        // Of those that hang, some hold all their places for as long as this takes, and the others are found dead.
        setup = setup.endpoint(hangs.timeout(if n < 3 { "50s" } else { "500ms" })).endpoint(refuses);
    }
    let healthy = |url: &str| (0..89).map(|n| endpoint(url, &format!("healthy{n}"))).collect::<Vec<_>>();
    let stage = Stage::with(setup, |url| [healthy(url), vec![unsigned(url, "unsigned")]].concat()).await;
    make_groups(&stage.tencent, GROUPS).await;

    let start = Instant::now();
    send(&stage.tencent, GROUPS, 1..=MESSAGES as i64).await;
    assert!(start.elapsed() < Duration::from_secs(40), "a send waited for an endpoint: {:?}", start.elapsed());
    let calls = wait_for_events("all at the healthy ones", &stage.backend, 90 * EVENTS).await;
    heard_everything(&calls, 90, GROUPS, MESSAGES);
    assert_eq!(calls.len(), 90 * EVENTS, "nobody is told twice because others are dead");

    // Nothing of theirs went by meanwhile: each of those that hang knows the first of each group at most.
    let begun = hanging.calls();
    assert!(firsts(&begun).values().all(|seqs| *seqs == [1]), "{:?}", firsts(&begun));
    let at_work: BTreeSet<_> = begun.iter().map(|call| &call.path).collect();
    assert_eq!(at_work.len(), 5, "all five were called");

    gate.open();
    let address = refusing.address();
    drop(refusing);
    let back = Receiver::at(address).await;
    for (which, backend) in [("hung", &hanging), ("refused", &back)] {
        let calls = wait_for_events(&format!("all at those that {which}"), backend, 5 * EVENTS).await;
        heard_everything(&calls, 5, GROUPS, MESSAGES);
    }
}

/// It is away from the start, for more events than are ever read ahead, and while the server dies again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_is_away_all_the_time_hears_everything_in_order_at_last() {
    const GROUPS: usize = 30;
    const PHASES: i64 = 4;
    const PHASE: i64 = 25;
    let away = Rogue::start(Manner::Refuses).await;
    let address = away.address();
    let setup = Setup::new().endpoint(endpoint(&away.url(""), "away"));
    // The other one is there all the time.
    let mut stage = Stage::with(setup, |url| vec![unsigned(url, "there")]).await;
    make_groups(&stage.tencent, GROUPS).await;
    for phase in 0..PHASES {
        send(&stage.tencent, GROUPS, phase * PHASE + 1..=(phase + 1) * PHASE).await;
        stage.server.crash_and_restart().await;
        stage.tencent = stage.server.tencent();
    }
    let messages = (PHASES * PHASE) as usize;
    let calls = wait_for_events("all at the one that was there", &stage.backend, GROUPS * messages).await;
    heard_everything(&calls, 1, GROUPS, messages);

    drop(away);
    let back = Receiver::at(address).await;
    let calls = wait_for_events("all at the one that was away", &back, GROUPS * messages).await;
    heard_everything(&calls, 1, GROUPS, messages);
}
