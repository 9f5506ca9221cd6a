//! What a function's module imports: `use shared::prelude::*;`.

pub use domain::agent_url::AgentUrlPolicy;
pub use domain::id::WorkspaceId;
pub use domain::random::Random;
pub use domain::time::Timestamp;
pub use domain::token::{NewToken, TokenHash};

pub use crate::api::admin::AdminAuth;
pub use crate::api::call::{AdminCall, Body, CallContext};
pub use crate::api::error::{Audience, Error};
pub use crate::api::event::{Answer, Event, HttpRequest, Reply, log_workspace_id};
pub use crate::api::fields::Fields;
pub use crate::api::view::View;
pub use crate::lambda::config::{ConfigError, Env};
pub use crate::lambda::start::{Function, Resources};
pub use crate::table::store::Store;
