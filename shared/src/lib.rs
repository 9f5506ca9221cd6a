//! What every function of the workspace registry shares.
//!
//! | looking for | module |
//! | --- | --- |
//! | who may do what, and why not | [`guard`] |
//! | what a token looks like, and how it is kept secret | [`token`] |
//! | the operator's credential | [`admin`] |
//! | one workspace as a value | [`workspace`] |
//! | attribute names, conditions and update expressions | [`schema`] |
//! | requests to DynamoDB and what their answers mean, and the client's timeouts | [`store`], [`client`] |
//! | where an agent's URL may point | [`agent_url`] |
//! | errors, and how HTTP and direct callers see them | [`error`] |
//! | reading a request | [`event`], [`fields`], [`operation`], [`id`] |
//! | how a function starts and answers | [`runtime`], [`rehearsal`], [`config`], [`logging`] |
//! | where randomness and the time come from | [`random`], [`time`] |

pub mod admin;
pub mod agent_url;
pub mod client;
pub mod config;
pub mod error;
pub mod event;
pub mod fields;
pub mod guard;
pub mod id;
pub mod logging;
pub mod operation;
pub mod random;
pub mod rehearsal;
pub mod runtime;
pub mod schema;
pub mod store;
pub mod time;
pub mod token;
pub mod workspace;
