//! `GET /workspaces`: the roots, or the children of one workspace. An index says which they are; everything else comes from
//! consistent reads.

use domain::presence::Presence;
use domain::workspace::{Stored, Workspace};
use serde::Serialize;
use shared::lambda::client::within_call_timeout;
use shared::prelude::*;
use shared::table::many::Read;

/// How many workspaces one answer has at most.
const MAX_PAGE: usize = 100;

/// The function.
pub struct AdminList {
    store: Store,
    admin: AdminAuth,
    offline_after_seconds: u32,
}

#[derive(Serialize)]
struct ListReply {
    workspaces: Vec<ListedReply>,
    next: Option<String>,
}

#[derive(Serialize)]
struct ListedReply {
    id: String,
    name: String,
    status: &'static str,
    url: Option<String>,
    role: Option<String>,
    parent_id: Option<String>,
    epoch: u64,
    owner_epoch: Option<u64>,
    registered_by: Option<&'static str>,
    last_seen_at: Option<String>,
}

impl Function for AdminList {
    const AUDIENCE: Audience = Audience::Operators;

    fn new(env: &Env<'_>, resources: Resources) -> Result<Self, ConfigError> {
        Ok(Self {
            store: Store::new(resources.dynamodb, env.table_name()?),
            admin: env.admin_auth()?,
            offline_after_seconds: env.offline_after_seconds()?,
        })
    }

    async fn answer(&self, event: Event) -> Answer {
        event.answer_http(|request| within_call_timeout(self.list(request))).await
    }
}

impl AdminList {
    async fn list(&self, request: HttpRequest) -> Result<Reply, Error> {
        request.require_admin(&self.admin)?;
        let parent = request.query("parent_id", WorkspaceId::GRAMMAR, WorkspaceId::parse)?;
        let after = request.query("after", WorkspaceId::GRAMMAR, WorkspaceId::parse)?;
        let limit = request.query("limit", "an integer from 1 to 100", |text| {
            text.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit))
        })?;
        let limit = limit.unwrap_or(MAX_PAGE);
        let found = self.store.children(parent.as_ref(), after.as_ref(), limit.saturating_add(1)).await?;
        let ids: Vec<_> = found.iter().take(limit).cloned().collect();
        let next = ids.last().filter(|_| found.len() > limit).map(|id| id.as_str().to_owned());
        let mut workspaces = Vec::with_capacity(ids.len());
        for Read { stored, presence } in self.store.get_all(&ids).await? {
            // A removal takes a workspace out of the index, a moment later.
            if let Some(Stored::Workspace(workspace)) = stored {
                workspaces.push(self.listed(&workspace, presence.as_ref()));
            }
        }
        Reply::ok(&ListReply { workspaces, next })
    }

    fn listed(&self, workspace: &Workspace, presence: Option<&Presence>) -> ListedReply {
        let view = View::new(workspace, presence, self.offline_after_seconds);
        ListedReply {
            id: view.id(),
            name: workspace.profile.name.clone(),
            status: view.status(),
            url: view.url(),
            role: workspace.profile.role.clone(),
            parent_id: view.parent_id(),
            epoch: workspace.epoch.0,
            owner_epoch: workspace.owner.as_ref().map(|owner| owner.epoch.0),
            registered_by: workspace.registered_by.map(|by| by.as_str()),
            last_seen_at: view.last_seen_at(),
        }
    }
}
