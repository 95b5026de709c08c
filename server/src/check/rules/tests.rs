use std::collections::BTreeSet;

use chat::id::Timestamp;
use webhook::filter::{Criteria, Filter};
use webhook::operator::{ShownRequest, Tested};

use super::super::facts::{Breaker, Command, Pause};
use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_795_255_200_000);

fn command(name: &str, is_question: bool, is_produced: bool) -> Command {
    Command { name: name.to_owned(), is_question, is_produced, is_of_groups: Some(name.starts_with("Group.")) }
}

/// An endpoint about which nothing is wrong.
fn good() -> Facts {
    Facts {
        name: "app".to_owned(),
        url: "http://backend/callback".to_owned(),
        timeout: Duration::from_secs(2),
        max_age: Duration::from_secs(7 * 86_400),
        is_signed: true,
        commands: vec![
            command("C2C.CallbackBeforeSendMsg", true, true),
            command("C2C.CallbackAfterSendMsg", false, true),
        ],
        wants_all: false,
        filter: Filter::default(),
        has_proxy: false,
        reached: Reached::Yes(Duration::from_millis(3)),
        calls: vec![called(Some(200), "told", true)],
        standing: Standing::Known(Box::new(up())),
    }
}

fn up() -> Status {
    Status {
        endpoint: "app".to_owned(),
        state: "up".to_owned(),
        calls: 10,
        success: Some(1.0),
        p99_millis: 5.0,
        breaker: Breaker { state: "closed".to_owned(), ..Breaker::default() },
        ..Status::default()
    }
}

fn called(status: Option<u16>, outcome: &'static str, is_fine: bool) -> Called {
    let request = ShownRequest {
        method: "POST".to_owned(),
        url: String::new(),
        headers: Vec::new(),
        body: serde_json::Value::Null,
    };
    let tested = Tested {
        endpoint: "app".to_owned(),
        command: "C2C.CallbackAfterSendMsg",
        id: "test-1.app".to_owned(),
        request,
        took_millis: 5.0,
        deadline_millis: 2000,
        status,
        answer: String::new(),
        outcome,
        is_fine,
        detail: "in words".to_owned(),
    };
    Called { tested, date: Some(NOW), now: NOW }
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// What is found beyond what is ok, as `level rule`.
fn found(facts: &Facts) -> Vec<String> {
    let findings = judge(facts).into_iter().filter(|finding| finding.level != Level::Ok);
    let findings =
        findings.inspect(|finding| assert!(finding.right.is_some() && !finding.what.is_empty(), "{finding:?}"));
    findings.map(|finding| format!("{:?} {}", finding.level, finding.rule)).collect()
}

/// Changes what is good.
fn with(change: impl FnOnce(&mut Facts)) -> Facts {
    let mut facts = good();
    change(&mut facts);
    facts
}

#[test]
fn of_what_is_good_only_good_is_said() {
    let rules: Vec<_> = judge(&good()).into_iter().map(|finding| (finding.level, finding.rule)).collect();
    let expected = ["subscribed", "reachable", "answers", "standing"].map(|rule| (Level::Ok, rule));
    assert_eq!(rules, expected);
}

#[test]
fn subscriptions() {
    let never = || command("State.StateChange", false, false);
    let asked = || command("C2C.CallbackBeforeSendMsg", true, true);
    let table = [
        (vec![never()], false, "Error never_subscribed"),
        (vec![never(), never()], true, "Error never_subscribed"),
        (vec![asked(), command("C2C.CallbackAfterSendMsg", false, true), never()], false, "Warn never_produced"),
        (vec![asked()], false, "Warn only_asked"),
    ];
    for (commands, wants_all, expected) in table {
        let facts = with(|facts| (facts.commands, facts.wants_all) = (commands, wants_all));
        assert_eq!(found(&facts), [expected], "{:?}", facts.commands);
    }
    // Whoever wants everything is not told what is missing.
    let facts = with(|facts| {
        facts.commands.push(never());
        facts.wants_all = true;
    });
    assert_eq!(found(&facts), [""; 0]);
}

#[test]
fn filters_that_fit_nothing() {
    let criteria = Criteria::default;
    let nothing = [
        Filter {
            only: Criteria { groups: names(&["g"]), receivers: names(&["bob"]), ..criteria() },
            except: Criteria { groups: names(&["g", "h"]), receivers: names(&["bob"]), ..criteria() },
        },
        Filter {
            only: Criteria { senders: names(&["bot"]), ..criteria() },
            except: Criteria { senders: names(&["bot"]), ..criteria() },
        },
        Filter {
            only: Criteria { content_types: names(&["TIMTextElem"]), ..criteria() },
            except: Criteria { content_types: names(&["TIMTextElem"]), ..criteria() },
        },
        // Its commands are about one-to-one messages.
        Filter { only: Criteria { group_types: names(&["Public"]), ..criteria() }, except: criteria() },
        Filter { only: Criteria { groups: names(&["g"]), ..criteria() }, except: criteria() },
    ];
    for filter in nothing {
        assert_eq!(found(&with(|facts| facts.filter = filter.clone())), ["Error filter"], "{filter:?}");
    }
    let something = [
        Filter {
            only: Criteria { groups: names(&["g"]), receivers: names(&["bob"]), ..criteria() },
            except: Criteria { groups: names(&["g"]), ..criteria() },
        },
        Filter {
            only: Criteria { senders: names(&["bot", "alice"]), ..criteria() },
            except: Criteria { senders: names(&["bot"]), ..criteria() },
        },
        Filter { only: criteria(), except: Criteria { senders: names(&["bot"]), ..criteria() } },
    ];
    for filter in something {
        assert_eq!(found(&with(|facts| facts.filter = filter.clone())), [""; 0], "{filter:?}");
    }
    let groups = with(|facts| {
        facts.filter.only.group_types = names(&["Public"]);
        facts.commands.push(command("Group.CallbackAfterSendMsg", false, true));
    });
    assert_eq!(found(&groups), [""; 0]);
}

#[test]
fn the_way_there() {
    let no = |stage| Reached::No(NotReached { stage, detail: "why".to_owned() });
    let table = [
        (no(Stage::Name), "Error name"),
        (no(Stage::Guard), "Error refused"),
        (no(Stage::Proxy), "Error proxy"),
        (no(Stage::Connect), "Error connect"),
        (no(Stage::Tls), "Error tls"),
        (Reached::TooLate, "Error connect"),
        (Reached::Yes(Duration::from_millis(1001)), "Warn slow"),
    ];
    for (reached, expected) in table {
        let facts = with(|facts| (facts.reached, facts.calls) = (reached.clone(), Vec::new()));
        assert_eq!(found(&facts), [expected], "{reached:?}");
    }
    let facts = with(|facts| (facts.reached, facts.has_proxy) = (no(Stage::Connect), true));
    let words = judge(&facts).remove(1).what;
    assert_eq!(words, "http://backend/callback cannot be connected to through the proxy of callbacks.proxy: why");
}

/// An http call is handed to the proxy as it is; only for https the way behind the proxy is tried.
#[test]
fn what_is_behind_a_proxy_is_said_to_be_reached_only_if_it_was() {
    let through = |url: &str| {
        let facts = with(|facts| (facts.url, facts.has_proxy) = (url.to_owned(), true));
        judge(&facts).remove(1).what
    };
    assert_eq!(
        through("http://backend/callback"),
        "the proxy of callbacks.proxy can be connected to (3 ms); only a call (--call) shows whether \
         http://backend/callback can"
    );
    let https = "https://backend/callback can be connected to through the proxy of callbacks.proxy (3 ms)";
    assert_eq!(through("https://backend/callback"), https);
    let slow = with(|facts| (facts.has_proxy, facts.reached) = (true, Reached::Yes(facts.timeout)));
    let words = judge(&slow).remove(1).what;
    assert_eq!(words, "connecting to the proxy of callbacks.proxy took 2000 ms of the 2000 ms that a call has");
}

#[test]
fn answers() {
    let table = [
        (None, "timeout", "Error no_answer"),
        (Some(401), "bad_status", "Error refuses_caller"),
        (Some(403), "bad_status", "Error refuses_caller"),
        (Some(404), "bad_status", "Error path"),
        (Some(405), "bad_status", "Error path"),
        (Some(302), "bad_status", "Error redirect"),
        (Some(410), "gone", "Error gone"),
        (Some(429), "busy", "Warn busy"),
        (Some(503), "busy", "Warn busy"),
        (Some(500), "bad_status", "Error bad_status"),
        (Some(418), "bad_status", "Error bad_status"),
        (Some(200), "unreadable", "Error bad_body"),
        (Some(200), "not_acknowledged", "Error bad_body"),
    ];
    for (status, outcome, expected) in table {
        let facts = with(|facts| facts.calls = vec![called(status, outcome, false)]);
        assert_eq!(found(&facts), [expected], "{status:?} {outcome}");
    }
    let rejects = with(|facts| facts.calls = vec![called(Some(200), "reject", true)]);
    assert_eq!(found(&rejects), ["Warn rejects"]);
    let slow = |millis: u64| with(|facts| facts.calls[0].tested.took_millis = millis as f64);
    assert_eq!(found(&slow(1000)), [""; 0]);
    assert_eq!(found(&slow(1001)), ["Warn slow"]);
    // The command's own deadline counts, and not its endpoint's.
    let own = |took, deadline, timeout| {
        with(|facts| {
            (facts.calls[0].tested.took_millis, facts.calls[0].tested.deadline_millis) = (f64::from(took), deadline);
            facts.timeout = Duration::from_millis(timeout);
        })
    };
    assert_eq!(found(&own(5, 9, 2000)), ["Warn slow"]);
    assert_eq!(found(&own(100, 200, 10)), [""; 0]);
}

#[test]
fn clocks() {
    let date = |millis: i64, is_signed| {
        with(|facts| {
            facts.calls[0].date = Some(Timestamp::from_millis(NOW.millis() + millis));
            facts.is_signed = is_signed;
        })
    };
    for close in [-61_000, 0, 61_000] {
        assert_eq!(found(&date(close, true)), [""; 0], "{close}");
    }
    for far in [-61_001, 61_001, 86_400_000] {
        assert_eq!(found(&date(far, true)), ["Error clock"], "{far}");
        assert_eq!(found(&date(far, false)), ["Warn clock"], "{far}");
    }
    let words = judge(&date(-7_200_000, true)).into_iter().find(|finding| finding.rule == "clock").unwrap().what;
    assert_eq!(words, "its clock is 2h behind ours: it takes signatures for too old or too new");
    assert_eq!(found(&with(|facts| facts.calls[0].date = None)), [""; 0]);
}

#[test]
fn how_it_stands() {
    let state = |state: &str| Status { state: state.to_owned(), ..up() };
    let pause = Pause { reason: "gone".to_owned(), detail: "it answered 410".to_owned(), since: NOW };
    let breaker =
        |state: &str| Status { breaker: Breaker { state: state.to_owned(), seconds: 3, failures: 8 }, ..up() };
    let behind = |lag_seconds| Status { lag_events: 7, lag_seconds, ..up() };
    let days = 86_400;
    let table = [
        (Status { pause: Some(pause), ..state("paused") }, "Error paused"),
        (state("paused"), "Error paused"),
        (state("down"), "Error down"),
        (state("held"), "Warn held"),
        (state("full"), "Error full"),
        (breaker("open"), "Error breaker"),
        (breaker("half_open"), "Error breaker"),
        (behind(61), "Warn behind"),
        (behind(7 * days / 2 + 1), "Error too_far_behind"),
        (Status { failing: 2, ..up() }, "Warn failing"),
        (Status { dead: 1, ..up() }, "Warn dead_letters"),
        (Status { gaps: vec![serde_json::Value::Null], ..up() }, "Warn gaps"),
        (Status { success: Some(0.89), ..up() }, "Warn success"),
        (Status { p99_millis: 1001.0, ..up() }, "Warn slow"),
    ];
    for (status, expected) in table {
        let facts = with(|facts| facts.standing = Standing::Known(Box::new(status.clone())));
        assert_eq!(found(&facts), [expected], "{status:?}");
    }
    for fine in [behind(60), Status { lag_seconds: 100, ..up() }, Status { calls: 0, success: Some(0.0), ..up() }] {
        assert_eq!(found(&with(|facts| facts.standing = Standing::Known(Box::new(fine.clone())))), [""; 0], "{fine:?}");
    }
    assert_eq!(found(&with(|facts| facts.standing = Standing::Missing)), ["Error unknown_to_server"]);
    assert_eq!(found(&with(|facts| facts.standing = Standing::Unknown)), [""; 0]);
}

#[test]
fn what_is_said_once() {
    let found = |endpoints, server: &ServerSeen| -> Vec<_> {
        judge_all(endpoints, server).into_iter().map(|finding| (finding.level, finding.rule)).collect()
    };
    let runs = |millis| ServerSeen::Runs { time: Some(Timestamp::from_millis(NOW.millis() + millis)), now: NOW };
    assert_eq!(found(1, &runs(60_000)), [(Level::Ok, "server")]);
    assert_eq!(found(1, &runs(60_001)), [(Level::Warn, "clock")]);
    assert_eq!(found(0, &runs(0)), [(Level::Error, "no_endpoint"), (Level::Ok, "server")]);
    assert_eq!(found(1, &ServerSeen::Away("away".to_owned())), [(Level::Warn, "server")]);
    assert_eq!(found(1, &ServerSeen::Refuses("no".to_owned())), [(Level::Error, "server")]);
    assert_eq!(found(1, &ServerSeen::Runs { time: None, now: NOW }), [(Level::Ok, "server")]);
}
