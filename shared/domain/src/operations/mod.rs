//! Who may do what: one file per operation, each a pure function of the workspace as it was read, the request and the
//! time. [`crate::protocol`] runs them.

pub mod caller;
pub mod cancel_hand_over;
pub mod command;
pub mod create;
pub mod end_token;
pub mod hand_over;
pub mod heartbeat;
pub mod mint_token;
pub mod register;
pub mod remove;
pub mod revoke;
pub mod rotate;
