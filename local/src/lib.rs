//! The whole registry on one address, with nothing else installed: API Gateway's HTTP API in front of the
//! functions, Lambda's Invoke API for direct invocations, and a DynamoDB engine inside the process.
//!
//! Routes, environments and the table come from `template.yaml`, the functions are the deployed ones, and they are
//! given nothing but the bytes of an event: what works here is what is deployed.
//!
//! | looking for | module |
//! | --- | --- |
//! | how it is put together, started and stopped | `registry` |
//! | what is read from `template.yaml` | [`template`], [`route`] |
//! | the functions and how they are invoked | `functions` |
//! | API Gateway | `gateway`, `http_event` |
//! | Lambda's Invoke API | `invoke_api` |
//! | connections, and which of the two a request is for | `server`, `request_body` |
//! | DynamoDB | [`engine`], [`table`] |
//! | the operator's credential | `admin_token` |
//! | the command line | [`cli`], `demo` |

mod admin_token;
pub mod cli;
mod demo;
pub mod engine;
mod functions;
mod gateway;
mod http_event;
mod invoke_api;
mod registry;
mod request_body;
pub mod route;
mod server;
pub mod table;
pub mod template;

pub use admin_token::{AdminToken, InvalidAdminToken};
pub use engine::{EmbeddedEngine, Engine};
pub use registry::{Options, Registry, StartError};
