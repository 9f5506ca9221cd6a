//! The registry from the outside: every line of the contract, every guarantee (its number in the test's name), races,
//! faults and hostile input. See the crate's documentation for how a test gets a world of its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::as_conversions,
    reason = "a test fails by panicking"
)]

mod contract_authorize;
mod contract_create;
mod contract_discover;
mod contract_get;
mod contract_hand_over;
mod contract_heartbeat;
mod contract_http;
mod contract_list;
mod contract_mint;
mod contract_register;
mod contract_remove;
mod contract_revoke;
mod contract_state;
mod contract_tokens;
mod fault_matrix;
mod faults;
mod hostile;
mod migration;
mod races;
mod requests;
