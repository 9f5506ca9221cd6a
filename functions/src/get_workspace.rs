//! `GET /workspaces/{id}`, also by direct invocation: what the table stores about a workspace and its presence, in one
//! consistent read. It shows what a migrator needs for the flip proof, and never a hash.
//!
//! `GET /workspaces/{id}/state`: what an agent asks after each heartbeat. Agents' loops end when it answers 404, so it does
//! for a removed workspace alone.

use domain::presence::{Presence, Report};
use domain::token::{Bearer, TokenId};
use domain::workspace::{ApiToken, Stored, TokenKind, Workspace};
use serde::Serialize;
use serde_json::value::RawValue;
use shared::api::call::NoBody;
use shared::prelude::*;
use shared::table::many::Read;

const STATE_ROUTE: &str = "GET /workspaces/{id}/state";

/// The function.
pub struct GetWorkspace {
    store: Store,
    admin: AdminAuth,
    offline_after_seconds: u32,
}

#[derive(Serialize)]
struct WorkspaceReply {
    id: String,
    name: String,
    status: &'static str,
    url: Option<String>,
    agent_card: Option<Box<RawValue>>,
    external: bool,
    role: Option<String>,
    tier: Option<u64>,
    runtime: Option<String>,
    parent_id: Option<String>,
    compute: Option<ComputeReply>,
    created_at: String,
    registered_at: Option<String>,
    revoked_at: Option<String>,
    registered_by: Option<&'static str>,
    epoch: u64,
    owner_epoch: Option<u64>,
    last_seen_at: Option<String>,
    heartbeat: Option<HeartbeatReply>,
    tokens: Vec<TokenReply>,
}

/// The present owner's last heartbeat.
#[derive(Serialize)]
struct HeartbeatReply {
    at: String,
    #[serde(flatten)]
    report: Report,
}

#[derive(Serialize)]
struct StateReply {
    workspace_id: String,
    status: &'static str,
    paused: bool,
    deleted: bool,
    epoch: u64,
}

#[derive(Serialize)]
struct ComputeReply {
    instance_type: Option<String>,
    volume_root_gb: Option<u64>,
}

#[derive(Serialize)]
struct TokenReply {
    kind: &'static str,
    token_id: String,
    prefix: Option<String>,
    name: Option<String>,
    minted_at: String,
    expires_at: Option<String>,
}

impl Function for GetWorkspace {
    const AUDIENCE: Audience = Audience::Agents;

    fn new(env: &Env<'_>, resources: Resources) -> Result<Self, ConfigError> {
        Ok(Self {
            store: Store::new(resources.dynamodb, env.table_name()?),
            admin: env.admin_auth()?,
            offline_after_seconds: env.offline_after_seconds()?,
        })
    }

    async fn answer(&self, event: Event) -> Answer {
        let direct = |call: AdminCall<NoBody>| async move { self.get(&call.workspace_id).await };
        event.answer(|request| self.route(request), direct).await
    }
}

impl GetWorkspace {
    async fn route(&self, request: HttpRequest) -> Result<Reply, Error> {
        let bearer = request.bearer()?.ok_or(Error::MissingToken)?;
        let is_admin = self.admin.accepts(&bearer);
        // To a stranger, an id that cannot exist looks like somebody else's.
        let id =
            request.workspace_id().map_err(|error| if is_admin { error } else { Error::InvalidToken })?;
        match (request.route_key() == STATE_ROUTE, is_admin) {
            (true, _) => self.state(&id, &bearer, is_admin).await,
            (false, true) => self.get(&id).await,
            (false, false) => self.get_by_token(&id, &bearer).await,
        }
    }

    async fn get(&self, id: &WorkspaceId) -> Result<Reply, Error> {
        match self.store.get_with_presence(id).await? {
            Read { stored: Some(Stored::Workspace(workspace)), presence } => self.reply(&workspace, presence),
            Read { stored: Some(Stored::Tombstone(_)), .. } => Err(Error::WorkspaceRemoved),
            Read { stored: None, .. } => Err(Error::WorkspaceNotFound),
        }
    }

    async fn get_by_token(&self, id: &WorkspaceId, bearer: &Bearer) -> Result<Reply, Error> {
        match self.store.get_with_presence(id).await? {
            Read { stored: Some(Stored::Workspace(workspace)), presence }
                if workspace.is_live(&bearer.hash(), Timestamp::now()) =>
            {
                self.reply(&workspace, presence)
            }
            // To a stranger, a workspace that does not exist looks like somebody else's.
            Read { stored: Some(Stored::Workspace(_) | Stored::Tombstone(_)) | None, .. } => {
                Err(Error::InvalidToken)
            }
        }
    }

    async fn state(&self, id: &WorkspaceId, bearer: &Bearer, is_admin: bool) -> Result<Reply, Error> {
        let Read { stored, presence } = self.store.get_with_presence(id).await?;
        match stored {
            Some(Stored::Workspace(workspace))
                if is_admin || workspace.is_live(&bearer.hash(), Timestamp::now()) =>
            {
                let view = View::new(&workspace, presence.as_ref(), self.offline_after_seconds);
                Reply::ok(&StateReply {
                    workspace_id: view.id(),
                    status: view.status(),
                    paused: false,
                    deleted: false,
                    epoch: workspace.epoch.0,
                })
            }
            // Said to any well-formed bearer: the workspace's own tokens are gone.
            Some(Stored::Tombstone(_)) => Err(Error::StateOfRemoved),
            None if is_admin => Err(Error::WorkspaceNotFound),
            Some(Stored::Workspace(_)) | None => Err(Error::InvalidToken),
        }
    }

    fn reply(&self, workspace: &Workspace, presence: Option<Presence>) -> Result<Reply, Error> {
        let view = View::new(workspace, presence.as_ref(), self.offline_after_seconds);
        let heartbeat = view
            .heartbeat()
            .map(|beat| HeartbeatReply { at: beat.beat_at.rfc3339(), report: beat.report.clone() });
        let profile = workspace.profile.clone();
        Reply::ok(&WorkspaceReply {
            id: view.id(),
            name: profile.name,
            status: view.status(),
            url: view.url(),
            agent_card: view.agent_card()?,
            external: profile.external,
            role: profile.role,
            tier: profile.tier,
            runtime: profile.runtime,
            parent_id: view.parent_id(),
            compute: profile.compute.map(|compute| ComputeReply {
                instance_type: compute.instance_type,
                volume_root_gb: compute.volume_root_gb,
            }),
            created_at: workspace.created_at.rfc3339(),
            registered_at: workspace.registered_at.map(Timestamp::rfc3339),
            revoked_at: workspace.revoked_at.map(Timestamp::rfc3339),
            registered_by: workspace.registered_by.map(|by| by.as_str()),
            epoch: workspace.epoch.0,
            owner_epoch: workspace.owner.as_ref().map(|owner| owner.epoch.0),
            last_seen_at: view.last_seen_at(),
            heartbeat,
            tokens: tokens(workspace),
        })
    }
}

/// The live tokens: the owner's first, then the API tokens by age. A seal is no token.
fn tokens(workspace: &Workspace) -> Vec<TokenReply> {
    let token = |kind: TokenKind, hash: &TokenHash, token: &ApiToken| TokenReply {
        kind: kind.as_str(),
        token_id: TokenId::of(hash, token.prefix.as_ref()).as_str().to_owned(),
        prefix: token.prefix.as_ref().map(|prefix| prefix.as_str().to_owned()),
        name: token.name.as_ref().map(|name| name.as_str().to_owned()),
        minted_at: token.minted_at.rfc3339(),
        expires_at: token.expires.map(Timestamp::rfc3339),
    };
    let owner = workspace.owner.as_ref().and_then(|owner| {
        let (prefix, minted_at) = (owner.prefix.clone(), owner.minted_at);
        let shown = ApiToken { prefix, name: None, minted_at, expires: None };
        Some(token(TokenKind::Owner, owner.hash.token()?, &shown))
    });
    let mut api: Vec<_> = workspace.live_api_tokens(Timestamp::now()).collect();
    api.sort_by_key(|(hash, token)| (token.minted_at, *hash));
    owner.into_iter().chain(api.into_iter().map(|(hash, api)| token(TokenKind::Api, hash, api))).collect()
}
