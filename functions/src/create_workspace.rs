//! `POST /workspaces`: creates a workspace and shows its first token once, inline with the 201. The workspace and the token's
//! hash are one item, so they appear together or not at all.

use domain::agent_url::AgentUrl;
use domain::operations::create::{
    Bootstrap, FirstTokenRole, OpenWithoutUrl, already_created, install_first_token, plan,
};
use domain::token::IssuedToken;
use domain::tree::Ancestors;
use domain::workspace::{Compute, Profile, Stored, Workspace};
use serde::Serialize;
use shared::api::command::request_id;
use shared::prelude::*;
use shared::table::store::Created;

/// The function.
pub struct CreateWorkspace {
    store: Store,
    admin: AdminAuth,
    agent_urls: AgentUrlPolicy,
    platform_url: Option<String>,
    random: Random,
}

struct CreateBody {
    id: Option<WorkspaceId>,
    profile: Profile,
    parent: Option<WorkspaceId>,
    url: Option<AgentUrl>,
    bootstrap: Option<Bootstrap>,
    chosen: Option<TokenHash>,
}

/// For a workspace that the platform runs.
#[derive(Serialize)]
struct SpawnedReply {
    id: String,
    name: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<String>,
}

/// For an agent that runs elsewhere.
#[derive(Serialize)]
struct ExternalReply {
    id: String,
    external: bool,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<Connection>,
}

/// What an operator needs to connect an agent that runs elsewhere.
#[derive(Serialize)]
struct Connection {
    workspace_id: String,
    platform_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<String>,
    registry_endpoint: String,
    curl_register_template: String,
}

impl Function for CreateWorkspace {
    const AUDIENCE: Audience = Audience::Operators;

    fn new(env: &Env<'_>, resources: Resources) -> Result<Self, ConfigError> {
        Ok(Self {
            store: Store::new(resources.dynamodb, env.table_name()?),
            admin: env.admin_auth()?,
            agent_urls: env.agent_url_policy()?,
            platform_url: env.platform_url()?,
            random: resources.random,
        })
    }

    async fn answer(&self, event: Event) -> Answer {
        event.answer_http(|request| self.create(request)).await
    }
}

impl CreateWorkspace {
    async fn create(&self, request: HttpRequest) -> Result<Reply, Error> {
        request.require_admin(&self.admin)?;
        let CreateBody { id, profile, parent, url, bootstrap, chosen } =
            self.read_body(&request.fields()?)?;
        let (status, role) = plan(profile.external, url.is_some(), bootstrap).map_err(open_without_url)?;
        if role == FirstTokenRole::None && chosen.is_some() {
            let message = "An external workspace with a `url` has no token unless `bootstrap` is `closed`: send that, or no `auth_token_sha256`.";
            return Err(Error::invalid("auth_token_sha256", message));
        }
        let id = match id {
            Some(id) => id,
            None => WorkspaceId::generate(&self.random)?,
        };
        log_workspace_id(&id);
        let created_op = request_id(request.request_id())?;
        let ancestors = match parent {
            Some(parent) => self.ancestors_of_children(&parent).await?,
            None => Ancestors::default(),
        };
        let workspace = Workspace::new(id, status, profile, Timestamp::now(), created_op);
        let mut workspace = Workspace { url, ancestors, ..workspace };
        let token = install_first_token(&mut workspace, role, chosen.as_ref(), &self.random);
        let sealed_because = token.as_ref().err().copied();
        let token = token.unwrap_or_default();
        let workspace = match self.store.create(&workspace).await? {
            Created::Written => {
                if let Some(cause) = sealed_because {
                    tracing::error!(%cause, "no token could be made: the workspace is created sealed");
                }
                tracing::info!(sealed = sealed_because.is_some(), "created");
                workspace
            }
            Created::Taken(Stored::Workspace(found))
                if already_created(&found, &workspace, token.as_ref().map(IssuedToken::hash)) =>
            {
                *found
            }
            Created::Taken(Stored::Workspace(_) | Stored::Tombstone(_)) => {
                return Err(Error::WorkspaceExists);
            }
        };
        let platform_url = self.platform_url.as_deref().unwrap_or(request.platform_url());
        reply(workspace, token, platform_url)
    }

    /// The parent may be removed before the child is written. A child of a removed parent lives on all the same.
    async fn ancestors_of_children(&self, parent: &WorkspaceId) -> Result<Ancestors, Error> {
        let refused = |message| Err(Error::invalid("parent_id", message));
        match self.store.get(parent).await? {
            Some(Stored::Workspace(parent)) => Ancestors::of_children(&parent)
                .map_or_else(|| refused("`parent_id` must name a workspace with at most 15 ancestors."), Ok),
            Some(Stored::Tombstone(_)) | None => {
                refused("`parent_id` must name a workspace that exists and was not removed.")
            }
        }
    }

    fn read_body(&self, fields: &Fields<'_>) -> Result<CreateBody, Error> {
        let name =
            fields.parsed_text("name", "a string of 1 to 200 characters that is not blank", |name| {
                let fits = name.chars().count() <= 200 && !name.trim().is_empty();
                fits.then(|| name.to_owned())
            })?;
        let profile = Profile {
            name: name.ok_or_else(|| fields.missing("name"))?,
            role: fields.text("role", 0..=200)?,
            tier: fields.integer("tier", 0..=255)?,
            runtime: fields.text("runtime", 0..=200)?,
            external: fields.flag("external")?,
            compute: fields.object("compute")?.map(|compute| read_compute(&compute)).transpose()?,
        };
        let bootstrap = fields.parsed_text("bootstrap", "`closed` or `open`", |name| {
            Bootstrap::ALL.into_iter().find(|bootstrap| bootstrap.as_str() == name)
        })?;
        Ok(CreateBody {
            id: fields.workspace_id("id")?,
            profile,
            parent: fields.workspace_id("parent_id")?,
            url: fields.agent_url(self.agent_urls)?,
            bootstrap,
            chosen: fields.chosen_token()?,
        })
    }
}

fn open_without_url(_: OpenWithoutUrl) -> Error {
    let message = "`bootstrap` must be `closed` for an external workspace without a `url`: otherwise anybody could claim it.";
    Error::invalid("bootstrap", message)
}

fn read_compute(compute: &Fields<'_>) -> Result<Compute, Error> {
    Ok(Compute {
        instance_type: compute.text("instance_type", 0..=64)?,
        volume_root_gb: compute.integer("volume_root_gb", 1..=65_536)?,
    })
}

fn reply(workspace: Workspace, token: Option<IssuedToken>, platform_url: &str) -> Result<Reply, Error> {
    let has_token = token.is_some();
    let auth_token = token.and_then(IssuedToken::generated).map(NewToken::reveal);
    let (id, status) = (workspace.id.as_str().to_owned(), workspace.status.as_str());
    if !workspace.profile.external {
        return Reply::created(&SpawnedReply { id, name: workspace.profile.name, status, auth_token });
    }
    let connection = has_token.then(|| connection(&id, platform_url, auth_token));
    Reply::created(&ExternalReply { id, external: true, status, connection })
}

fn connection(id: &str, platform_url: &str, auth_token: Option<String>) -> Connection {
    let registry_endpoint = format!("{platform_url}/registry/register");
    // Neither the id nor the address contains a character that a shell would interpret.
    let curl_register_template = format!(
        concat!(
            r#"curl -X POST "{endpoint}" -H "Authorization: Bearer $WORKSPACE_AUTH_TOKEN" "#,
            r#"-H "Content-Type: application/json" "#,
            r#"-d '{{"id": "{id}", "url": "https://your-agent.example.com", "agent_card": {{"name": "your agent"}}}}'"#,
        ),
        endpoint = registry_endpoint,
        id = id,
    );
    Connection {
        workspace_id: id.to_owned(),
        platform_url: platform_url.to_owned(),
        auth_token,
        registry_endpoint,
        curl_register_template,
    }
}
