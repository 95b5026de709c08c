//! Keeps `docs/schemas` true: JSON Schemas of all callbacks, made of the types that are sent and read.
//!
//! For tests only: no part of the product depends on it. A dialect lists its callbacks with real bodies as examples
//! ([`Dialect`]), and two calls in a test do the rest: [`Dialect::check`] holds schemas and examples against each other,
//! and [`Dialect::keep`] fails if the files say something else.
//!
//! # How to add a callback
//! Derive `schemars::JsonSchema` for its body (`#[cfg_attr(test, derive(…))]`, so that the product does not grow), list
//! it in the dialect's `schema` module, and run that module's tests with `RINGBACK_UPDATE_SCHEMAS=1`.

mod asyncapi;
mod files;
mod shape;

pub use shape::Shape;

/// All callbacks of one dialect.
#[derive(Debug)]
pub struct Dialect {
    /// Its name in the configuration.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// How its calls are made, in a few sentences.
    pub description: &'static str,
    /// In the order of its documents.
    pub callbacks: Vec<Callback>,
}

/// One command: what is sent, and what may be answered.
#[derive(Debug)]
pub struct Callback {
    /// As it is subscribed to.
    pub command: &'static str,
    /// Whether the answer decides.
    pub moment: Moment,
    /// What it is for, in a sentence.
    pub summary: &'static str,
    /// The body that is sent.
    pub call: Shape,
    /// The body of the answer.
    pub answer: Shape,
}

/// When a callback is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before something happens: the answer decides.
    Asked,
    /// After it has happened.
    Told,
}

impl Dialect {
    /// Holds schemas and examples against each other. Panics with what is wrong.
    pub fn check(&self) {
        for callback in &self.callbacks {
            callback.call.check(&format!("{} {}", self.name, callback.command));
            callback.answer.check(&format!("{} {}, answer", self.name, callback.command));
        }
    }
}
