use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(5);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A breaker and what time it is.
struct Play {
    breaker: Breaker,
    now: Instant,
}

impl Play {
    fn new() -> Self {
        let now = Instant::now();
        Self { breaker: Breaker::new(now), now }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    fn enter(&mut self) -> Entry {
        self.breaker.enter(self.now)
    }

    /// Asks, and gives when.
    fn ask(&mut self) -> Instant {
        assert_eq!(self.enter(), Entry::Ask);
        self.now
    }

    fn leave(&mut self, asked: Instant, outcome: Outcome) {
        self.breaker.leave(asked, outcome, self.now);
    }

    fn answer(&mut self, asked: Instant) {
        self.leave(asked, Outcome::Answered(self.now - asked));
    }

    /// One question that takes this long and ends so.
    fn one(&mut self, took: Duration, outcome: Outcome) {
        let asked = self.ask();
        self.wait(took);
        self.leave(asked, outcome);
    }

    fn look(&mut self) -> State {
        self.breaker.look(self.now);
        self.breaker.state()
    }

    fn open(&mut self) {
        for _ in 0..DEAD_AFTER {
            self.one(MOMENT, Outcome::Unreachable);
        }
        assert_eq!(self.breaker.state(), State::Open);
    }
}

#[test]
fn three_failures_in_a_row_open_it_and_say_how() {
    let deaths = [
        (Outcome::TimedOut, Death::Silent),
        (Outcome::Unreachable, Death::Broken),
        (Outcome::ServerError(MOMENT), Death::Broken),
    ];
    for (outcome, death) in deaths {
        let mut play = Play::new();
        for _ in 1..DEAD_AFTER {
            play.one(MOMENT, outcome);
            assert_eq!(play.breaker.state(), State::Closed);
        }
        play.one(MOMENT, outcome);
        assert_eq!((play.breaker.state(), play.breaker.death()), (State::Open, Some(death)));
        assert_eq!(play.enter(), Entry::Shut(death));
    }
}

#[test]
fn an_answer_in_between_starts_the_count_again() {
    let mut play = Play::new();
    for _ in 0..10 {
        play.one(MOMENT, Outcome::TimedOut);
        play.one(MOMENT, Outcome::Unreachable);
        play.one(MOMENT, Outcome::Answered(MOMENT));
    }
    assert_eq!(play.breaker.state(), State::Closed);
    assert_eq!(play.breaker.view(play.now).failures, 0);
}

/// It is no failure and no answer: the round that failed before it still counts, and the silence goes on.
#[test]
fn what_was_given_up_says_nothing() {
    let mut play = Play::new();
    play.one(MOMENT, Outcome::TimedOut);
    for _ in 0..100 {
        play.one(MOMENT, Outcome::GivenUp);
        assert_eq!((play.breaker.state(), play.breaker.view(play.now).failures), (State::Closed, 1));
    }
    play.ask();
    play.wait(LEAST_PATIENCE - 102 * MOMENT);
    assert_eq!(play.look(), State::Closed);
    play.wait(MOMENT);
    assert_eq!(play.look(), State::Open);
}

/// A stall of one deadline: all that were waiting fail together, and count once.
#[test]
fn what_fails_together_is_one_round() {
    let mut play = Play::new();
    for round in 1..=DEAD_AFTER {
        let asked: Vec<Instant> = (0..64).map(|_| play.ask()).collect();
        play.wait(seconds(2));
        assert_eq!(play.look(), State::Closed, "before round {round} has failed");
        for asked in asked {
            play.leave(asked, Outcome::TimedOut);
        }
        assert_eq!(play.breaker.view(play.now).failures, round);
    }
    assert_eq!(play.breaker.state(), State::Open);
}

/// What was asked before an answer and fails after it says nothing against the answer.
#[test]
fn a_failure_is_older_than_the_answer_that_overtook_it() {
    let mut play = Play::new();
    let slow: Vec<Instant> = (0..10).map(|_| play.ask()).collect();
    play.wait(SECOND);
    play.one(MOMENT, Outcome::Answered(MOMENT));
    for asked in slow {
        play.leave(asked, Outcome::TimedOut);
    }
    assert_eq!(play.breaker.view(play.now).failures, 0);
}

#[test]
fn silence_opens_it_however_long_the_deadlines_are() {
    let mut play = Play::new();
    play.one(MOMENT, Outcome::Answered(MOMENT));
    let first = play.ask();
    assert_eq!(play.breaker.look_at(), Some(first + LEAST_PATIENCE));
    play.wait(LEAST_PATIENCE - MOMENT);
    play.ask();
    assert_eq!(play.look(), State::Closed);
    play.wait(MOMENT);
    assert_eq!((play.look(), play.breaker.death()), (State::Open, Some(Death::Silent)));
    // Both are given up, and nothing is left of them.
    play.leave(first, Outcome::GivenUp);
    play.leave(first, Outcome::GivenUp);
    play.wait(FIRST_PAUSE);
    assert_eq!(play.enter(), Entry::Probe(Death::Silent));
    play.breaker.probed(Outcome::Answered(MOMENT), play.now);
    assert_eq!((play.look(), play.breaker.look_at()), (State::Closed, None));
}

/// Only time in which somebody waits is silence, and it adds up over questions until something is answered.
#[test]
fn nobody_asks_is_not_silence() {
    let mut play = Play::new();
    play.one(seconds(5), Outcome::GivenUp);
    play.wait(seconds(3600));
    play.ask();
    play.wait(seconds(2));
    assert_eq!(play.look(), State::Closed, "7 s");
    play.wait(SECOND);
    assert_eq!(play.look(), State::Open, "8 s");

    let mut play = Play::new();
    play.one(seconds(5), Outcome::GivenUp);
    play.one(seconds(2), Outcome::Answered(seconds(2)));
    play.one(seconds(7), Outcome::GivenUp);
    assert_eq!(play.look(), State::Closed, "the answer ended the silence");
}

/// A server that says 5xx may be dead, and is not silent.
#[test]
fn a_server_error_ends_the_silence() {
    let mut play = Play::new();
    let (first, _second) = (play.ask(), play.ask());
    play.wait(seconds(7));
    play.leave(first, Outcome::ServerError(MOMENT));
    play.wait(seconds(7));
    assert_eq!(play.look(), State::Closed);
    play.wait(SECOND);
    assert_eq!(play.look(), State::Open);
}

/// Every answer takes 20 s, and comes: alone, once that is known, and among many.
#[test]
fn slow_is_not_dead() {
    let mut play = Play::new();
    for answers in 0..1000 {
        let asked = play.ask();
        if answers > 0 {
            play.wait(seconds(20));
            assert_eq!(play.look(), State::Closed, "after {answers} answers");
        }
        play.leave(asked, Outcome::Answered(seconds(20)));
    }
    assert_eq!(play.breaker.patience(), seconds(40));

    // Nothing is known yet, and 40 wait, put half a second apart: from the first answer on there is always one.
    let mut play = Play::new();
    play.breaker.slowest.note(seconds(20), play.now);
    let mut waiting = std::collections::VecDeque::new();
    for _ in 0..1000 {
        waiting.push_back(play.ask());
        if waiting.len() > 40 {
            let asked = waiting.pop_front().unwrap();
            play.answer(asked);
        }
        play.wait(SECOND / 2);
        assert_eq!(play.look(), State::Closed);
    }
}

/// An endpoint that was never heard of and takes 20 s looks dead at first; its probe teaches the breaker.
#[test]
fn a_slow_endpoint_is_learnt_from_its_probe() {
    let mut play = Play::new();
    let asked = play.ask();
    play.wait(seconds(8));
    assert_eq!(play.look(), State::Open);
    play.leave(asked, Outcome::GivenUp);
    play.wait(FIRST_PAUSE);
    assert_eq!(play.enter(), Entry::Probe(Death::Silent));
    play.wait(seconds(20));
    play.breaker.probed(Outcome::Answered(seconds(20)), play.now);
    let asked = play.ask();
    play.wait(seconds(20));
    assert_eq!(play.look(), State::Closed);
    play.answer(asked);
}

#[test]
fn how_slow_it_was_is_forgotten_with_time_and_traffic() {
    let mut play = Play::new();
    play.one(seconds(20), Outcome::Answered(seconds(20)));
    for _ in 0..10 * REMEMBERED_ANSWERS {
        play.one(Duration::ZERO, Outcome::Answered(MOMENT));
    }
    assert_eq!(play.breaker.patience(), seconds(40), "much traffic, no time");
    let mut rare = Play::new();
    rare.one(seconds(20), Outcome::Answered(seconds(20)));
    for _ in 0..10 {
        rare.wait(100 * REMEMBERED_FOR);
        rare.one(MOMENT, Outcome::Answered(MOMENT));
    }
    assert_eq!(rare.breaker.patience(), seconds(40), "much time, no traffic");
    for _ in 0..2 {
        play.wait(REMEMBERED_FOR);
        for _ in 0..=REMEMBERED_ANSWERS {
            play.one(Duration::ZERO, Outcome::Answered(MOMENT));
        }
    }
    assert_eq!(play.breaker.patience(), LEAST_PATIENCE);
}

#[test]
fn probes_are_one_at_a_time_and_further_and_further_apart() {
    let mut play = Play::new();
    play.open();
    for pause in [1, 2, 4, 8, 15, 15, 15] {
        let view = play.breaker.view(play.now);
        assert_eq!((view.state, view.next_probe), (State::Open, Some(seconds(pause))));
        play.wait(seconds(pause) - MOMENT);
        assert_eq!(play.enter(), Entry::Shut(Death::Broken));
        play.wait(MOMENT);
        assert_eq!(play.enter(), Entry::Probe(Death::Broken));
        assert_eq!(play.enter(), Entry::Shut(Death::Broken), "one probe at a time");
        assert_eq!(play.breaker.view(play.now).state, State::HalfOpen);
        play.breaker.probed(Outcome::Unreachable, play.now);
    }
    play.wait(LONGEST_PAUSE);
    assert_eq!(play.enter(), Entry::Probe(Death::Broken));
    play.breaker.probed(Outcome::TimedOut, play.now);
    assert_eq!(play.enter(), Entry::Shut(Death::Silent), "it is dead in the way that was seen last");
    play.wait(LONGEST_PAUSE);
    assert_eq!(play.enter(), Entry::Probe(Death::Silent));
    play.breaker.probed(Outcome::GivenUp, play.now);
    assert_eq!(play.breaker.view(play.now).next_probe, Some(LONGEST_PAUSE), "a probe that was not made is made again");
    play.wait(LONGEST_PAUSE);
    assert_eq!(play.enter(), Entry::Probe(Death::Silent));
    play.breaker.probed(Outcome::Answered(MOMENT), play.now);
    let view = play.breaker.view(play.now);
    assert_eq!((view.state, view.failures, view.next_probe), (State::Closed, 0, None));
    play.open();
    assert_eq!(play.breaker.view(play.now).next_probe, Some(FIRST_PAUSE), "the next outage starts from the beginning");
}

/// An answer that came while it opened, and after: both are answers.
#[test]
fn any_answer_closes_it() {
    let mut play = Play::new();
    let late = play.ask();
    play.open();
    play.leave(late, Outcome::Answered(MOMENT));
    assert_eq!(play.breaker.state(), State::Closed);
}

/// What may happen to an endpoint.
#[derive(Clone, Copy, Debug)]
enum Step {
    Wait(u64),
    Ask,
    /// The oldest or newest question ends so, a probe among them.
    End {
        newest: bool,
        outcome: u8,
    },
    EndProbe(u8),
    Look,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..20_000u64).prop_map(Step::Wait),
        (0..50u64).prop_map(Step::Wait),
        Just(Step::Ask),
        Just(Step::Ask),
        (any::<bool>(), 0..5u8).prop_map(|(newest, outcome)| Step::End { newest, outcome }),
        (0..5u8).prop_map(Step::EndProbe),
        Just(Step::Look),
    ]
}

fn outcome(number: u8, took: Duration) -> Outcome {
    match number {
        0 => Outcome::Answered(took),
        1 => Outcome::ServerError(took),
        2 => Outcome::TimedOut,
        3 => Outcome::Unreachable,
        _ => Outcome::GivenUp,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever happens: questions are asked while it is closed and only then, there is at most one probe, never before
    /// its pause is over, `look_at` is when looking opens it, and an answer always closes it.
    #[test]
    fn it_keeps_its_rules_whatever_happens(steps in proptest::collection::vec(step(), 0..200)) {
        let mut play = Play::new();
        let mut waiting: Vec<Instant> = Vec::new();
        let mut probe: Option<Instant> = None;
        for step in steps {
            let before = play.breaker.view(play.now);
            match step {
                Step::Wait(millis) => play.wait(Duration::from_millis(millis)),
                Step::Ask => {
                    let shut = play.breaker.shut(play.now);
                    let is_late = play.breaker.look_at().is_some_and(|at| at <= play.now);
                    match play.enter() {
                        Entry::Ask => {
                            prop_assert!(before.state == State::Closed && !is_late && shut.is_none());
                            waiting.push(play.now);
                        }
                        Entry::Probe(_) => {
                            prop_assert_eq!((before.next_probe, shut), (Some(Duration::ZERO), None));
                            prop_assert!(probe.replace(play.now).is_none(), "a second probe");
                            prop_assert_eq!(play.breaker.state(), State::HalfOpen);
                        }
                        Entry::Shut(death) => {
                            prop_assert!(shut == Some(death) || is_late);
                            prop_assert!(
                                is_late || probe.is_some() || before.next_probe.is_some_and(|left| left > Duration::ZERO)
                            );
                        }
                    }
                }
                Step::End { newest, outcome: number } => {
                    let Some(asked) = (if newest { waiting.pop() } else if waiting.is_empty() { None } else { Some(waiting.remove(0)) }) else { continue };
                    let outcome = outcome(number, play.now - asked);
                    play.leave(asked, outcome);
                    if matches!(outcome, Outcome::Answered(_)) {
                        prop_assert_eq!(play.breaker.state(), State::Closed);
                        prop_assert_eq!(play.breaker.view(play.now).failures, 0);
                        // The probe of an outage that is over may still be on its way.
                    }
                }
                Step::EndProbe(number) => {
                    let Some(asked) = probe.take() else { continue };
                    let was = play.breaker.state();
                    let outcome = outcome(number, play.now - asked);
                    play.breaker.probed(outcome, play.now);
                    let expected = match outcome {
                        Outcome::Answered(_) => State::Closed,
                        _ if was == State::HalfOpen => State::Open,
                        _ => was,
                    };
                    prop_assert_eq!(play.breaker.state(), expected);
                }
                Step::Look => {
                    let at = play.breaker.look_at();
                    prop_assert_eq!(at.is_some(), before.state == State::Closed && !waiting.is_empty());
                    let opens = at.is_some_and(|at| at <= play.now);
                    prop_assert_eq!(play.look() != before.state, opens);
                }
            }
            let view = play.breaker.view(play.now);
            prop_assert!(view.next_probe.is_none_or(|pause| pause <= LONGEST_PAUSE));
            prop_assert_eq!(view.next_probe.is_some(), view.state == State::Open);
            prop_assert_eq!(play.breaker.in_flight, waiting.len());
        }
    }

    /// An endpoint that answers everything within its deadline, and never slower than half the least patience, is never
    /// found dead, whatever the traffic.
    #[test]
    fn whoever_answers_in_time_is_alive(traffic in proptest::collection::vec((0..3_000u64, 0..4_000u64), 1..300)) {
        let mut play = Play::new();
        let start = play.now;
        let mut due: Vec<(Instant, Instant)> = Vec::new();
        for (pause, takes) in traffic {
            let at = play.now + Duration::from_millis(pause);
            due.sort();
            while due.first().is_some_and(|(end, _)| *end <= at) {
                let (end, asked) = due.remove(0);
                play.now = end;
                prop_assert_eq!(play.look(), State::Closed);
                play.answer(asked);
            }
            play.now = at;
            prop_assert_eq!(play.enter(), Entry::Ask, "at {:?}", play.now - start);
            due.push((play.now + Duration::from_millis(takes), play.now));
        }
    }

    /// An endpoint whose answers took at most 4 s goes dead while somebody always waits for one: it is open within 8 s of
    /// its last answer, whatever the deadlines are and however many wait.
    #[test]
    fn whoever_goes_dead_is_found_dead_in_time(
        answers in proptest::collection::vec(0..4_000u64, 0..20),
        senders in proptest::collection::vec(10..60_000u64, 1..20),
        refuses in any::<bool>(),
    ) {
        let mut play = Play::new();
        for took in answers {
            let took = Duration::from_millis(took);
            play.one(took, Outcome::Answered(took));
        }
        let death = play.now;
        // Each asks again as soon as its question has failed.
        let mut senders: Vec<(Duration, Instant)> =
            senders.into_iter().map(|deadline| (Duration::from_millis(deadline), play.now)).collect();
        for _ in &senders {
            play.ask();
        }
        while play.breaker.state() == State::Closed {
            let look_at = play.breaker.look_at().unwrap();
            let takes = |deadline: Duration| if refuses { MOMENT } else { deadline };
            let (deadline, asked) = senders.iter_mut().min_by_key(|(deadline, asked)| *asked + takes(*deadline)).unwrap();
            let fails_at = *asked + takes(*deadline);
            play.now = fails_at.min(look_at);
            prop_assert!(play.now <= death + LEAST_PATIENCE, "not found dead");
            if fails_at <= look_at {
                play.breaker.leave(*asked, if refuses { Outcome::Unreachable } else { Outcome::TimedOut }, play.now);
                if play.breaker.enter(play.now) == Entry::Ask {
                    *asked = play.now;
                }
            } else {
                play.breaker.look(play.now);
            }
        }
    }
}
