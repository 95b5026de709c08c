//! Moving everything from one database to another, seen through the ports before and after.

#[path = "../conformance/fixtures.rs"]
#[expect(dead_code, reason = "made for the conformance suite, of which this needs a part")]
mod fixtures;
mod fresh;
#[path = "../support/ledger.rs"]
mod ledger;
mod places;
#[path = "../support/plain.rs"]
mod plain;
mod refusing;
mod resuming;
mod sizes;
mod telling;
mod there_and_back;
