//! `GET /workspaces/{id}`, also by direct invocation: what the registry holds about a workspace, in one consistent
//! read. A migrator finds the flip proof here: `owner_epoch`, `registered_by` and `url`. No hash is ever shown.

use serde::Serialize;
use serde_json::value::RawValue;
use shared::admin::AdminAuth;
use shared::config::{ConfigError, Env};
use shared::error::Error;
use shared::event::{Answer, DirectEvent, Event, HttpRequest, Reply, direct_answer};
use shared::id::WorkspaceId;
use shared::logging;
use shared::rehearsal::Call;
use shared::runtime::{Function, Resources};
use shared::store::Store;
use shared::workspace::{Status, Workspace};

/// The function.
pub struct GetWorkspace {
    store: Store,
    admin: AdminAuth,
}

#[derive(Serialize)]
struct Shown {
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
    compute: Option<ShownCompute>,
    created_at: String,
    registered_at: Option<String>,
    revoked_at: Option<String>,
    registered_by: Option<&'static str>,
    epoch: u64,
    owner_epoch: Option<u64>,
    tokens: Vec<ShownToken>,
}

#[derive(Serialize)]
struct ShownCompute {
    instance_type: Option<String>,
    volume_root_gb: Option<u64>,
}

#[derive(Serialize)]
struct ShownToken {
    kind: &'static str,
    prefix: Option<String>,
    minted_at: String,
}

impl Function for GetWorkspace {
    const REHEARSAL: &[Call] = &[Call { bearer: true, body: "" }];

    fn new(env: &Env<'_>, resources: Resources) -> Result<Self, ConfigError> {
        let store = Store::new(resources.dynamodb, env.table_name()?);
        Ok(Self { store, admin: env.admin_auth()? })
    }

    async fn answer(&self, event: Event) -> Answer {
        match event {
            Event::Http(event) => event.answer(|request| self.handle_http(request)).await,
            Event::Direct(event) => direct_answer(self.handle_direct(&event).await),
        }
    }
}

impl GetWorkspace {
    async fn handle_http(&self, request: HttpRequest) -> Result<Reply, Error> {
        let bearer = request.bearer()?.ok_or(Error::MissingToken)?;
        if self.admin.accepts(&bearer) {
            let id = request.workspace_id()?;
            logging::about(&id);
            return Reply::ok(&self.find(&id).await?);
        }
        // To anybody else, a workspace that is not there looks like one that is somebody else's.
        let id = request.workspace_id().map_err(|_| Error::InvalidToken)?;
        logging::about(&id);
        let workspace = self.store.get(&id).await?.filter(|workspace| workspace.is_live(&bearer.hash()));
        Reply::ok(&show(workspace.ok_or(Error::InvalidToken)?)?)
    }

    async fn handle_direct(&self, event: &DirectEvent) -> Result<Shown, Error> {
        let fields = event.fields(&["workspace_id"])?;
        let id = fields.workspace_id("workspace_id")?.ok_or_else(|| fields.missing("workspace_id"))?;
        logging::about(&id);
        self.find(&id).await
    }

    async fn find(&self, id: &WorkspaceId) -> Result<Shown, Error> {
        let workspace = self.store.get(id).await?.ok_or(Error::WorkspaceNotFound)?;
        match workspace.status {
            Status::Removed => Err(Error::WorkspaceRemoved),
            Status::Provisioning | Status::AwaitingAgent | Status::Online => show(workspace),
        }
    }
}

fn show(workspace: Workspace) -> Result<Shown, Error> {
    let tokens = tokens(&workspace);
    let agent_card = workspace.agent_card.map(RawValue::from_string).transpose();
    let agent_card =
        agent_card.map_err(|_| Error::Internal { cause: "the stored agent card is not JSON".to_owned() })?;
    Ok(Shown {
        id: workspace.id.as_str().to_owned(),
        name: workspace.profile.name,
        status: workspace.status.as_str(),
        url: workspace.url,
        agent_card,
        external: workspace.profile.external,
        role: workspace.profile.role,
        tier: workspace.profile.tier,
        runtime: workspace.profile.runtime,
        parent_id: workspace.profile.parent_id,
        compute: workspace.profile.compute.map(|compute| ShownCompute {
            instance_type: compute.instance_type,
            volume_root_gb: compute.volume_root_gb,
        }),
        created_at: workspace.created_at,
        registered_at: workspace.registered_at,
        revoked_at: workspace.revoked_at,
        registered_by: workspace.registered_by.map(|by| by.as_str()),
        epoch: workspace.epoch.0,
        owner_epoch: workspace.owner.map(|owner| owner.epoch.0),
        tokens,
    })
}

/// The live tokens, the owner's first, then the API tokens by age. A seal is no token.
fn tokens(workspace: &Workspace) -> Vec<ShownToken> {
    let owner = workspace.owner.as_ref().filter(|owner| owner.hash.token().is_some());
    let owner = owner.map(|owner| ShownToken {
        kind: "owner",
        prefix: owner.prefix.clone(),
        minted_at: owner.minted_at.clone(),
    });
    let mut api: Vec<_> = workspace
        .api_tokens
        .values()
        .map(|token| ShownToken {
            kind: "api",
            prefix: token.prefix.clone(),
            minted_at: token.minted_at.clone(),
        })
        .collect();
    api.sort_by(|a, b| (&a.minted_at, &a.prefix).cmp(&(&b.minted_at, &b.prefix)));
    owner.into_iter().chain(api).collect()
}
