//! The whole registry in one process: API Gateway's HTTP API and Lambda's Invoke API in front of the functions, and a
//! DynamoDB engine behind them.
//!
//! Routes, environment variables and the table come from `template.yaml`. The functions are the deployed ones, and get
//! the same events as on Lambda.
//!
//! | looking for | module |
//! | --- | --- |
//! | starting and stopping it all | `registry` |
//! | what is read from `template.yaml` | [`template`], [`route`] |
//! | setting up and invoking the functions | `functions` |
//! | API Gateway | `gateway`, `http_event` |
//! | other people's APIs behind it | `protected` |
//! | Lambda's Invoke API | `invoke_api` |
//! | connections, time limits, and the choice between the two APIs | `server`, `request_body` |
//! | DynamoDB | [`engine`], [`table`] |
//! | the admin token | `admin_token` |
//! | the command line | [`cli`], `demo` |

mod admin_token;
pub mod cli;
mod demo;
pub mod engine;
mod functions;
mod gateway;
mod http_event;
mod invoke_api;
mod protected;
mod registry;
mod request_body;
pub mod route;
mod server;
pub mod table;
pub mod template;

pub use admin_token::{AdminToken, InvalidAdminToken};
pub use engine::{EmbeddedEngine, Engine};
pub use protected::{InvalidProtectedApi, ProtectedApi};
pub use registry::{Options, Registry, StartError};
