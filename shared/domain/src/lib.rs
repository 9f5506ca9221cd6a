//! What a workspace is and who may do what. Everything here is a value or a pure function: no I/O, no AWS crate.
//!
//! | looking for | module |
//! | --- | --- |
//! | how every write is made, and why it is right under races | [`protocol`] |
//! | who may do what: one file per operation | [`operations`] |
//! | one workspace as a value | [`workspace`] |
//! | the tree of workspaces, and who may see whom | [`tree`] |
//! | whether a token opens somebody else's route | [`authorization`] |
//! | heartbeats, and whether an agent is alive | [`presence`] |
//! | what a write changes | [`mod@write`] |
//! | what a token looks like, and how it is kept secret | [`token`] |
//! | what an agent says about itself | [`agent_url`], [`agent_card`] |
//! | ids, times, randomness | [`id`], [`time`], [`random`] |

pub mod agent_card;
pub mod agent_url;
pub mod authorization;
#[cfg(test)]
mod fixtures;
pub mod id;
pub mod operations;
pub mod presence;
pub mod protocol;
pub mod random;
pub mod time;
pub mod token;
pub mod tree;
pub mod workspace;
pub mod write;
