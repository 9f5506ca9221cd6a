//! What the end-to-end tests stand on: a registry of its own for each test ([`world`]), a proxy before the store that
//! counts and spoils requests ([`proxy`]), and the search for secrets in everything that came out ([`secrets`]).
//!
//! By default each test has an embedded engine of its own. With `DYNAMODB_ENDPOINT` set, all of them run on the engine
//! there, each with a table of its own. The run prints which one it used.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking; the names say what there is"
)]

pub mod proxy;
pub mod secrets;
pub mod world;
