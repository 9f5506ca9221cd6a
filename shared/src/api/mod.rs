//! The API: how a request is read, who may make it, and how an outcome is returned.

pub mod admin;
pub mod authorizer;
pub mod call;
pub mod command;
pub mod error;
pub mod event;
pub mod fields;
pub mod view;
