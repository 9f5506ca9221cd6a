//! Properties that hold for any input: of tokens, of the agent-URL policy, of the limits, of the tree; and what secret types
//! do not have. Random inputs come from a fixed seed, so that a failure is found again by running the test again.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    reason = "a test fails by panicking"
)]

mod addresses;
mod limits;
mod registries;
mod secret_types;
mod tokens;
mod trees;
