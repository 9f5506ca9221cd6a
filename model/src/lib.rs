//! The registry's promises, checked.
//!
//! First, exhaustively: a model of clients, functions, network and store, in which every decision is the shipped
//! function's and every condition and update is the shipped text, evaluated by a real DynamoDB engine. Within stated
//! bounds, every order of requests and faults is tried. Second, on recorded histories of the real thing under faults.
//!
//! | looking for | module |
//! | --- | --- |
//! | what the registry promises, one call after the other | [`spec`] |
//! | the symbols that tokens, places and times are | [`words`] |
//! | items, writes, and the engine that evaluates them | [`table`] |
//! | the functions, request by request | [`flows`] |
//! | clients, network, faults: the model itself | [`world`] |
//! | the guarantees as they are judged | [`audit`] |
//! | what is checked | [`scenario`] |
//! | mistakes that must be found | [`mutant`] |
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
    reason = "a check fails by panicking; the names say what there is"
)]

pub mod audit;
pub mod flows;
pub mod histories;
pub mod mutant;
pub mod scenario;
pub mod spec;
pub mod table;
pub mod words;
pub mod world;
