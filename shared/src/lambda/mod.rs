//! Running on Lambda: configuration, logs, start.

pub mod client;
pub mod config;
pub mod logging;
pub mod start;
mod tls;
