//! Who is asked, in which order: the configured endpoints first, then those that came while the server runs.
//!
//! Every message reads the list, and it changes when a person connects a laptop: so a change replaces the whole list, and
//! nobody who reads it waits.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};

use crate::endpoint::Endpoint;

/// See the module.
#[derive(Debug)]
pub struct Roster {
    endpoints: ArcSwap<Vec<Arc<Endpoint>>>,
    /// Held while the list is replaced, so that two changes do not undo each other.
    changing: Mutex<()>,
}

impl Roster {
    /// Begins with the configured ones, in their order.
    pub fn new(configured: Vec<Arc<Endpoint>>) -> Self {
        Self { endpoints: ArcSwap::from_pointee(configured), changing: Mutex::new(()) }
    }

    /// The list as it is now, for a look that waits for nothing.
    pub(crate) fn now(&self) -> Guard<Arc<Vec<Arc<Endpoint>>>> {
        self.endpoints.load()
    }

    /// The list as it is now, to be kept while somebody is asked.
    pub(crate) fn snapshot(&self) -> Arc<Vec<Arc<Endpoint>>> {
        self.endpoints.load_full()
    }

    /// Asks this one, too, from the next question on: last.
    pub fn add(&self, endpoint: Arc<Endpoint>) {
        self.change(|endpoints| endpoints.push(endpoint));
    }

    /// Asks this one no more. Questions that are under way are not called back.
    pub fn remove(&self, endpoint: &Arc<Endpoint>) {
        self.change(|endpoints| endpoints.retain(|other| !Arc::ptr_eq(other, endpoint)));
    }

    fn change(&self, change: impl FnOnce(&mut Vec<Arc<Endpoint>>)) {
        // A panic while it was held has replaced nothing.
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut endpoints = self.endpoints.load().to_vec();
        change(&mut endpoints);
        self.endpoints.store(Arc::new(endpoints));
    }
}
