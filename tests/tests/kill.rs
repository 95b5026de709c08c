//! The promises under SIGKILL: acked is durable, and every event calls back, in order, at least once.
//!
//! Three hundred times (over PostgreSQL a hundred) the real binary is killed at a random moment under load in both
//! dialects, and started again on the same data. Whoever had no answer asks again with the same key. At the end the
//! history, seen through both dialects, and what both endpoints heard are compared with what was acked; and whoever looked
//! at the headers alone has seen no hole. Over PostgreSQL, fifty times more: the binary, a backend of PostgreSQL, or all of
//! PostgreSQL.
//!
//! `RINGBACK_KILL_ROUNDS` says how often, and `RINGBACK_SEED` plays the same moments again.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tests::audit::Stored;
use tests::traffic::{Round, Traffic, endpoints};
use tests::{Cluster, Follower, Receiver, Server, Setup, Store, say};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Long enough for a round to have commits, progress saved and calls in flight, over PostgreSQL too.
const LONGEST_LOAD: Duration = Duration::from_millis(500);
/// The same over SQLite, which is faster: there the rounds are many.
const LONGEST_OF_MANY: Duration = Duration::from_millis(250);
/// One round in so many is killed while it starts.
const STARTUP_KILLS: u64 = 10;

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

/// A server under load, round after round.
struct Siege {
    rounds: u64,
    longest_load: Duration,
    rng: StdRng,
    since: Instant,
    backend: Receiver,
    server: Server,
    traffic: Traffic,
    /// Rounds in which sends were in the air when it happened.
    hit: usize,
}

impl Siege {
    async fn begin(rounds: u64, longest_load: Duration, setup: Setup) -> Self {
        let rounds = number_from("RINGBACK_KILL_ROUNDS").unwrap_or(rounds);
        let seed = number_from("RINGBACK_SEED").unwrap_or_else(|| u64::from(rand::random::<u32>()));
        say(&format!("kill: {rounds} rounds, RINGBACK_SEED={seed}"));
        let since = Instant::now();
        let mut rng = StdRng::seed_from_u64(seed);
        let backend = Receiver::start().await;
        let [signed, unsigned] = endpoints(&backend);
        let server = setup.endpoint(signed.secret(SECRET)).endpoint(unsigned).start().await;
        let traffic = Traffic::prepare(&server, rng.random()).await;
        Self { rounds, longest_load, rng, since, backend, server, traffic, hit: 0 }
    }

    /// Has everybody send for a random while. In one round of many the server has died while it started before.
    async fn load(&mut self, round: u64) -> Round {
        if round.is_multiple_of(STARTUP_KILLS) {
            self.server.kill();
            self.server.launch();
            tokio::time::sleep(Duration::from_millis(self.rng.random_range(0..60))).await;
            self.server.kill();
            self.server.launch();
            self.server.ready().await;
        }
        let load = self.traffic.begin(&self.server);
        tokio::time::sleep(self.longest_load.mul_f64(self.rng.random())).await;
        self.hit += usize::from(load.is_busy());
        load
    }

    async fn kill_and_restart(&mut self, load: Round) {
        self.server.kill();
        self.traffic.end(load).await;
        self.server.launch();
        self.server.ready().await;
    }

    /// Everybody gets the answer that it waits for, from the server as it runs.
    async fn recover(&mut self, load: Round) {
        load.enough();
        assert_eq!(self.traffic.end(load).await, 0, "the server hung up");
    }

    /// Compares what was promised with what is there.
    async fn end(mut self) {
        let acked = self.traffic.settle(&self.server).await;
        let (tencent, openim) = self.traffic.clients(&self.server);
        let stored = Stored::read(&openim).await;
        stored.is_exactly(&acked);
        stored.is_shown_by(&tencent, &acked).await;
        let (calls, repeats) = stored.is_told_to(&self.backend).await;
        let follower = Follower::of(&calls);
        let at_both: Vec<_> = stored.lengths().into_iter().flat_map(|length| [length; 2]).collect();
        assert_eq!(follower.lengths(), at_both, "who follows the headers knows of other events");
        assert_eq!(follower.repeats(), repeats, "whose ids are the same are the same messages");
        say(&format!(
            "kill: {} rounds ({} with sends in the air), {} acked, {} stored, {} told that it cannot now, \
             told to 2 endpoints with {repeats} repeats, in {:.1} s",
            self.rounds,
            self.hit,
            acked.len(),
            stored.count(),
            self.traffic.errors(),
            self.since.elapsed().as_secs_f64()
        ));
        assert!(acked.len() > self.rounds as usize, "too little happened to mean anything");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_it_is_killed_hundreds_of_times() {
    let (rounds, longest_load) = match Store::of_the_environment() {
        Store::Postgres => (100, LONGEST_LOAD),
        _ => (300, LONGEST_OF_MANY),
    };
    let mut siege = Siege::begin(rounds, longest_load, Setup::new()).await;
    for round in 1..=siege.rounds {
        let load = siege.load(round).await;
        siege.kill_and_restart(load).await;
    }
    siege.end().await;
}

/// When PostgreSQL dies, the server goes on: it may say for a while that it cannot, and recovers without help.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_it_or_postgresql_is_killed_fifty_times() {
    if !Store::plays_postgres("the death of PostgreSQL under load") {
        return;
    }
    let mut postgres = Cluster::start().await;
    let database = postgres.create_database("ringback").await;
    let mut siege = Siege::begin(50, LONGEST_LOAD, Setup::new().on_postgres(database)).await;
    siege.server.expect_errors();
    siege.traffic.expect_errors();
    for round in 1..=siege.rounds {
        let load = siege.load(round).await;
        match siege.rng.random_range(0..3) {
            0 => siege.kill_and_restart(load).await,
            1 => {
                postgres.kill_a_backend().await;
                siege.recover(load).await;
            }
            _ => {
                postgres.kill().await;
                postgres.start_again().await;
                siege.recover(load).await;
            }
        }
    }
    siege.end().await;
}
