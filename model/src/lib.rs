//! Checks what the registry promises.
//!
//! First, exhaustively: a model of clients, functions, network and store. The functions' operations and write protocol are
//! the shipped ones, and a real DynamoDB engine evaluates the shipped conditions and updates. Within stated bounds, the model
//! tries every order of requests and faults. Second, on recorded histories of the running registry under faults.
//!
//! | looking for | module |
//! | --- | --- |
//! | what the registry promises, one call after the other | [`spec`] |
//! | tokens, places, commands and times as symbols | [`symbols`] |
//! | items, writes, and the engine that evaluates them | [`table`] |
//! | what a call does between two requests | [`flows`] |
//! | clients, network, faults: the model itself | [`world`] |
//! | the guarantees, and how they are checked | [`audit`] |
//! | which clients make which calls | [`scenario`] |
//! | mistakes that the model must find | [`mutant`] |
//! | recorded histories | [`histories`] |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    clippy::string_slice,
    clippy::wildcard_enum_match_arm,
    missing_docs,
    reason = "a check fails by panicking; names document the rest"
)]

pub mod audit;
pub mod flows;
pub mod histories;
pub mod mutant;
pub mod scenario;
pub mod spec;
pub mod symbols;
pub mod table;
pub mod world;
