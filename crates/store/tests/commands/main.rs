//! The commands of `chat` over a real store, with backends and a clock that do as they are told.
//!
//! They stand here because `chat` knows no store. What a store must do for any command is in the conformance suite.

mod asking;
mod conflicts;
mod members;
mod reading;
mod repeating;
mod sending;
mod stage;
mod updating;
