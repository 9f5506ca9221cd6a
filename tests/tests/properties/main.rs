//! Properties that hold for any input: of tokens, of the agent-URL policy, of the limits, of the tree. Random inputs come from a
//! fixed seed, so that running a failed test again finds the failure again. Also properties of the code and its documents: what secret types do not
//! have, which folder imports which, and what the Lambda runtime logs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    reason = "a test fails by panicking"
)]

mod addresses;
mod api_docs;
mod limits;
mod registries;
mod rooms;
mod runtime_log;
mod secret_types;
mod tokens;
mod trees;
