//! `GET /registry/discover/{id}`: where another agent is. One consistent read of the caller, the target and its presence decides
//! and answers, so the address is never older than the last registration that was answered.
//!
//! `GET /registry/{id}/peers`: the parent, the siblings and the children. An index says who they are; everything else comes from
//! consistent reads.

use std::collections::BTreeSet;

use domain::presence::Presence;
use domain::protocol::Refusal;
use domain::tree::{Roots, discover};
use domain::workspace::{Stored, Workspace};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use shared::lambda::client::within_call_timeout;
use shared::prelude::*;
use shared::table::many::Read;

const PEERS_ROUTE: &str = "GET /registry/{id}/peers";
const CALLER_HEADER: &str = "X-Workspace-ID";
/// How many peers one answer has at most.
const PAGE: usize = 100;
/// The most bytes of peers in one answer. Lambda's limit is 6 MB, and its JSON string may double every byte.
const PAGE_BYTES: usize = 3_000_000;

/// The function.
pub struct Discover {
    store: Store,
    admin: AdminAuth,
    roots: Roots,
    offline_after_seconds: u32,
    platform_url: Option<String>,
}

#[derive(Serialize)]
struct AgentReply {
    id: String,
    name: String,
    url: Option<String>,
    status: &'static str,
    role: Option<String>,
    tier: Option<u64>,
    agent_card: Option<Box<RawValue>>,
    epoch: u64,
    last_seen_at: Option<String>,
}

#[derive(Serialize)]
struct PeerReply {
    #[serde(flatten)]
    agent: AgentReply,
    parent_id: Option<String>,
}

impl Function for Discover {
    const AUDIENCE: Audience = Audience::Agents;

    fn new(env: &Env<'_>, resources: Resources) -> Result<Self, ConfigError> {
        Ok(Self {
            store: Store::new(resources.dynamodb, env.table_name()?),
            admin: env.admin_auth()?,
            roots: env.roots()?,
            offline_after_seconds: env.offline_after_seconds()?,
            platform_url: env.platform_url()?,
        })
    }

    async fn answer(&self, event: Event) -> Answer {
        event.answer_http(|request| within_call_timeout(self.route(request))).await
    }
}

impl Discover {
    async fn route(&self, request: HttpRequest) -> Result<Reply, Error> {
        let bearer = request.bearer()?.ok_or(Error::MissingToken)?;
        let is_admin = self.admin.accepts(&bearer);
        match (request.route_key() == PEERS_ROUTE, is_admin) {
            (true, _) => self.peers(&request, &bearer.hash(), is_admin).await,
            (false, true) => self.discover_as_admin(&request.workspace_id()?).await,
            (false, false) => self.discover(&request, &bearer.hash()).await,
        }
    }

    async fn discover(&self, request: &HttpRequest, bearer: &TokenHash) -> Result<Reply, Error> {
        let caller_id = request.header_id(CALLER_HEADER)?.ok_or_else(|| {
            let message = format!("The `{CALLER_HEADER}` header is required: the caller's own workspace id.");
            Error::invalid(CALLER_HEADER, message)
        })?;
        let id = request.workspace_id()?;
        // One BatchGetItem may not name a key twice.
        let (Read { stored, presence }, other) = if caller_id == id {
            (self.store.get_with_presence(&id).await?, None)
        } else {
            self.store.get_with_another(&id, &caller_id).await?
        };
        let caller = if caller_id == id { stored.as_ref() } else { other.as_ref() };
        let target = discover(caller, bearer, stored.as_ref(), self.roots, Timestamp::now())?;
        Reply::ok(&self.agent(target, presence.as_ref())?)
    }

    async fn discover_as_admin(&self, id: &WorkspaceId) -> Result<Reply, Error> {
        match self.store.get_with_presence(id).await? {
            Read { stored: Some(Stored::Workspace(target)), presence } => {
                Reply::ok(&self.agent(&target, presence.as_ref())?)
            }
            Read { stored: Some(Stored::Tombstone(_)) | None, .. } => Err(Refusal::NotFound.into()),
        }
    }

    async fn peers(&self, request: &HttpRequest, bearer: &TokenHash, is_admin: bool) -> Result<Reply, Error> {
        // To a stranger, an id that cannot exist looks like somebody else's.
        let id =
            request.workspace_id().map_err(|error| if is_admin { error } else { Error::InvalidToken })?;
        let after = request.query("after", WorkspaceId::GRAMMAR, WorkspaceId::parse)?;
        let caller = match self.store.get(&id).await? {
            Some(Stored::Workspace(caller)) if is_admin || caller.is_live(bearer, Timestamp::now()) => caller,
            Some(Stored::Tombstone(_)) if is_admin => return Err(Error::WorkspaceRemoved),
            None if is_admin => return Err(Error::WorkspaceNotFound),
            Some(Stored::Workspace(_) | Stored::Tombstone(_)) | None => return Err(Error::InvalidToken),
        };
        let mut ids = self.peer_ids(&caller, after.as_ref()).await?;
        let mut has_more = ids.len() > PAGE;
        ids.truncate(PAGE);
        let (mut peers, mut bytes, mut last) = (Vec::new(), 0_usize, None);
        for (id, read) in ids.iter().zip(self.store.get_all(&ids).await?) {
            if let Read { stored: Some(Stored::Workspace(peer)), presence } = read {
                let peer = self.peer(&peer, presence.as_ref())?;
                bytes = bytes.saturating_add(peer.get().len());
                if bytes > PAGE_BYTES {
                    has_more = true;
                    break;
                }
                peers.push(peer);
            }
            last = Some(id);
        }
        let reply = Reply::ok(&peers)?;
        match last.filter(|_| has_more) {
            Some(last) => {
                let platform_url = self.platform_url.as_deref().unwrap_or(request.platform_url());
                reply.with_next(&format!("{platform_url}/registry/{id}/peers?after={last}"))
            }
            None => Ok(reply),
        }
    }

    /// The ids of the parent, the siblings and the children, in order: those after `after`, and one more than a page if there are
    /// so many.
    async fn peer_ids(
        &self,
        caller: &Workspace,
        after: Option<&WorkspaceId>,
    ) -> Result<Vec<WorkspaceId>, Error> {
        let parent = caller.ancestors.parent();
        let children = self.store.children(Some(&caller.id), after, PAGE.saturating_add(1)).await?;
        let siblings = if parent.is_some() || self.roots == Roots::Peers {
            // The caller may be among them.
            self.store.children(parent, after, PAGE.saturating_add(2)).await?
        } else {
            Vec::new()
        };
        let parent = parent.filter(|parent| after.is_none_or(|after| *parent > after)).cloned();
        let mut ids: BTreeSet<_> = children.into_iter().chain(siblings).chain(parent).collect();
        ids.remove(&caller.id);
        Ok(ids.into_iter().take(PAGE.saturating_add(1)).collect())
    }

    fn peer(&self, workspace: &Workspace, presence: Option<&Presence>) -> Result<Box<RawValue>, Error> {
        let agent = self.agent(workspace, presence)?;
        let parent_id = workspace.ancestors.parent().map(|parent| parent.as_str().to_owned());
        to_raw_value(&PeerReply { agent, parent_id })
            .map_err(|error| Error::Internal { cause: format!("a peer cannot be serialised: {error}") })
    }

    fn agent(&self, workspace: &Workspace, presence: Option<&Presence>) -> Result<AgentReply, Error> {
        let view = View::new(workspace, presence, self.offline_after_seconds);
        Ok(AgentReply {
            id: view.id(),
            name: workspace.profile.name.clone(),
            url: view.url(),
            status: view.status(),
            role: workspace.profile.role.clone(),
            tier: workspace.profile.tier,
            agent_card: view.agent_card()?,
            epoch: workspace.epoch.0,
            last_seen_at: view.last_seen_at(),
        })
    }
}
