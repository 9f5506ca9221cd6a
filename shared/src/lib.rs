//! What every function uses. Each folder may use the ones above it, never the ones below.
//!
//! | looking for | module |
//! | --- | --- |
//! | who may do what, and how writes stay right under races | the crate `domain` |
//! | attribute names, and items as values | [`table::item`] |
//! | conditions and update expressions | [`table::update`] |
//! | requests to DynamoDB, and what their answers mean | [`table::store`] |
//! | errors, and how callers see them | [`api::error`] |
//! | events, requests and replies | [`api::event`], [`api::call`], [`api::authorizer`] |
//! | the fields of a body | [`api::fields`], [`api::command`] |
//! | the admin token | [`api::admin`] |
//! | environment variables, the DynamoDB client, logs, start | [`lambda::config`], [`lambda::client`], [`lambda::logging`], [`lambda::start`] |

pub mod table;

pub mod api;

pub mod lambda;

pub mod prelude;
