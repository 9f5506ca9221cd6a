//! The base of the end-to-end tests: a registry for each test ([`world`]), a proxy that counts the requests to the store
//! and injects faults ([`proxy`]), and a search for secrets in all output ([`secrets`]).
//!
//! By default each test has its own embedded engine. If `DYNAMODB_ENDPOINT` is set, all tests use the engine there, each
//! with its own table. The run prints which engine it used.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    missing_docs,
    reason = "a test fails by panicking; the names are the documentation"
)]

pub mod proxy;
pub mod secrets;
pub mod world;
