//! Look-ups by key that are asked for at the same time, answered by one statement: while one is under way, the next ones
//! gather. A statement costs PostgreSQL tens of microseconds before it looks at the first key; a send has several look-ups.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use chat::Fault;
use tokio::sync::{mpsc, oneshot};

use super::reads::Reads;

/// How many look-ups one statement answers at most.
const MAX_GATHERED: usize = 256;

/// How many may wait. Whoever comes then waits to get in.
const QUEUE: usize = 4096;

/// Look-ups of one kind. Ends when dropped.
pub(super) struct Gather<K, V> {
    queue: mpsc::Sender<Asked<K, V>>,
}

struct Asked<K, V> {
    key: K,
    reply: oneshot::Sender<Result<Option<V>, Fault>>,
}

type Found<V> = Pin<Box<dyn Future<Output = Result<Vec<(usize, V)>, Fault>> + Send>>;

impl<K, V> Gather<K, V>
where
    K: Ord + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Starts answering. `find` is given different keys, and gives what is there, each with the place of its key.
    pub(super) fn start(reads: Arc<Reads>, find: fn(Arc<Reads>, Arc<[K]>) -> Found<V>) -> Self {
        let (queue, mut asked) = mpsc::channel::<Asked<K, V>>(QUEUE);
        tokio::spawn(async move {
            let mut together = Vec::new();
            while asked.recv_many(&mut together, MAX_GATHERED).await > 0 {
                let mut by_key: BTreeMap<K, Vec<_>> = BTreeMap::new();
                for Asked { key, reply } in together.drain(..) {
                    by_key.entry(key).or_default().push(reply);
                }
                let (keys, replies): (Vec<K>, Vec<_>) = by_key.into_iter().unzip();
                let results = match find(reads.clone(), keys.into()).await {
                    Ok(found) => {
                        let mut results: Vec<_> = replies.iter().map(|_| Ok(None)).collect();
                        found.into_iter().for_each(|(place, value)| results[place] = Ok(Some(value)));
                        results
                    }
                    Err(fault) => replies.iter().map(|_| Err(fault.clone())).collect(),
                };
                for (replies, result) in replies.into_iter().zip(results) {
                    // Whoever asked may have given up waiting; that is no concern of ours.
                    replies.into_iter().for_each(|reply| drop(reply.send(result.clone())));
                }
            }
        });
        Self { queue }
    }

    /// What is there by a key.
    pub(super) async fn one(&self, key: K) -> Result<Option<V>, Fault> {
        let answer = self.ask(key).await?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// What is there by each key, in the order asked for.
    pub(super) async fn each(&self, keys: &[&K]) -> Result<Vec<V>, Fault> {
        let mut answers = Vec::with_capacity(keys.len());
        for key in keys {
            answers.push(self.ask((*key).clone()).await?);
        }
        let mut found = Vec::with_capacity(answers.len());
        for answer in answers {
            found.extend(answer.await.unwrap_or_else(|_| Err(stopped()))?);
        }
        Ok(found)
    }

    async fn ask(&self, key: K) -> Result<oneshot::Receiver<Result<Option<V>, Fault>>, Fault> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(Asked { key, reply }).await.map_err(|_| stopped())?;
        Ok(answer)
    }
}

fn stopped() -> Fault {
    Fault::new("the store has stopped")
}

impl<K, V> fmt::Debug for Gather<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gather").finish_non_exhaustive()
    }
}
