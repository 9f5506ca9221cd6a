//! `POST /workspaces`: creates a workspace and shows its first token once, inline with the 201. Workspace and token
//! hash are one item, so they appear together or not at all.

use serde::Serialize;
use shared::admin::AdminAuth;
use shared::agent_url::AgentUrlPolicy;
use shared::config::{ConfigError, Env};
use shared::error::Error;
use shared::event::{Answer, Event, HttpRequest, Reply};
use shared::fields::Fields;
use shared::guard;
use shared::id::WorkspaceId;
use shared::logging;
use shared::random::Random;
use shared::rehearsal::Call;
use shared::runtime::{Function, Resources};
use shared::store::{Created, Store, WarmUp};
use shared::time::Now;
use shared::token::{NewToken, TokenHash};
use shared::workspace::{ApiToken, Compute, Owner, OwnerHash, Profile, Status, Workspace};

/// The function.
pub struct CreateWorkspace {
    store: Store,
    admin: AdminAuth,
    agent_urls: AgentUrlPolicy,
    platform_url: Option<String>,
    random: Random,
}

/// What a caller asks for.
struct Wish {
    id: Option<WorkspaceId>,
    profile: Profile,
    url: Option<String>,
    bootstrap: Option<Bootstrap>,
    chosen: Option<TokenHash>,
}

/// Whether a container without a token may claim the workspace.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bootstrap {
    Closed,
    Open,
}

/// What the first token is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum FirstTokenRole {
    /// It owns the workspace: the door is closed.
    Owner,
    /// It is an API token: the door is open.
    Api,
    /// There is none: the door is open.
    None,
}

/// Where the first token comes from.
enum FirstToken {
    /// The registry made it.
    Made(NewToken),
    /// The caller made it and sent its hash.
    Chosen(TokenHash),
    /// The random source failed: the door is sealed.
    Sealed,
    /// None was asked for.
    None,
}

impl FirstToken {
    fn hash(&self) -> Option<&TokenHash> {
        match self {
            Self::Made(token) => Some(token.hash()),
            Self::Chosen(hash) => Some(hash),
            Self::Sealed | Self::None => None,
        }
    }
}

#[derive(Serialize)]
struct Spawned {
    id: String,
    name: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<String>,
}

#[derive(Serialize)]
struct External {
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
    /// It may do nothing else.
    const WARM_UP: WarmUp = WarmUp::Create;
    const REHEARSAL: &[Call] = &[Call { bearer: true, body: r#"{"id": "rehearsal", "name": "rehearsal"}"# }];

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
        event.http_only()?.answer(|request| self.handle(request)).await
    }
}

impl CreateWorkspace {
    async fn handle(&self, request: HttpRequest) -> Result<Reply, Error> {
        request.require_admin(&self.admin)?;
        let wish = self.read_wish(&Fields::parse(request.body()?)?)?;
        let (status, role) = plan(wish.profile.external, wish.url.is_some(), wish.bootstrap)?;
        let id = match wish.id {
            Some(id) => id,
            None => WorkspaceId::generate(self.random)?,
        };
        logging::about(&id);
        let first_token = self.first_token(role, wish.chosen)?;
        let (created_at, created_op) = (Now::read().rfc3339(), request.request_id().to_owned());
        let mut workspace =
            Workspace { url: wish.url, ..Workspace::new(id, status, wish.profile, created_at, created_op) };
        admit(&mut workspace, role, &first_token);
        let workspace = match self.store.create(&workspace).await? {
            Created::Written => {
                tracing::info!(sealed = matches!(first_token, FirstToken::Sealed), "created");
                workspace
            }
            Created::Taken(found) if guard::created_before(&found, &workspace, first_token.hash()) => *found,
            Created::Taken(_) => return Err(Error::WorkspaceExists),
        };
        let platform_url = self.platform_url.clone().unwrap_or_else(|| request.platform_url());
        reply(workspace, first_token, &platform_url)
    }

    fn read_wish(&self, fields: &Fields<'_>) -> Result<Wish, Error> {
        let name =
            fields.parsed_text("name", "a string of 1 to 200 characters that is not blank", |name| {
                let fits = name.chars().count() <= 200 && !name.trim().is_empty();
                fits.then(|| name.to_owned())
            })?;
        let compute = fields.object("compute")?.map(|compute| read_compute(&compute)).transpose()?;
        let profile = Profile {
            name: name.ok_or_else(|| fields.missing("name"))?,
            role: fields.text("role", 0..=200)?,
            tier: fields.integer("tier", 0..=255)?,
            runtime: fields.text("runtime", 0..=200)?,
            parent_id: fields.text("parent_id", 0..=200)?,
            external: fields.flag("external")?,
            compute,
        };
        Ok(Wish {
            id: fields.workspace_id("id")?,
            profile,
            url: fields.agent_url(self.agent_urls)?,
            bootstrap: fields.parsed_text("bootstrap", "`closed` or `open`", |name| match name {
                "closed" => Some(Bootstrap::Closed),
                "open" => Some(Bootstrap::Open),
                _ => None,
            })?,
            chosen: fields.chosen_token()?,
        })
    }

    fn first_token(&self, role: FirstTokenRole, chosen: Option<TokenHash>) -> Result<FirstToken, Error> {
        match (role, chosen) {
            (FirstTokenRole::None, None) => Ok(FirstToken::None),
            (FirstTokenRole::None, Some(_)) => Err(Error::invalid(
                "auth_token_sha256",
                "An external workspace with a `url` has no token unless `bootstrap` is `closed`: send that, or no `auth_token_sha256`.",
            )),
            (FirstTokenRole::Owner | FirstTokenRole::Api, Some(hash)) => Ok(FirstToken::Chosen(hash)),
            (FirstTokenRole::Owner | FirstTokenRole::Api, None) => {
                Ok(NewToken::generate(self.random).map_or_else(
                    |error| {
                        tracing::error!(cause = %error, "no token could be made: the workspace is created sealed");
                        FirstToken::Sealed
                    },
                    FirstToken::Made,
                ))
            }
        }
    }
}

fn read_compute(compute: &Fields<'_>) -> Result<Compute, Error> {
    Ok(Compute {
        instance_type: compute.text("instance_type", 0..=64)?,
        volume_root_gb: compute.integer("volume_root_gb", 1..=65_536)?,
    })
}

/// The contract's table: what a new workspace is, and what its first token is for.
fn plan(
    external: bool,
    has_url: bool,
    bootstrap: Option<Bootstrap>,
) -> Result<(Status, FirstTokenRole), Error> {
    match (external, has_url, bootstrap) {
        (false, _, None | Some(Bootstrap::Closed)) => Ok((Status::Provisioning, FirstTokenRole::Owner)),
        (false, _, Some(Bootstrap::Open)) => Ok((Status::Provisioning, FirstTokenRole::Api)),
        (true, false, None | Some(Bootstrap::Closed)) => Ok((Status::AwaitingAgent, FirstTokenRole::Owner)),
        (true, false, Some(Bootstrap::Open)) => Err(Error::invalid(
            "bootstrap",
            "`bootstrap` must be `closed` for an external workspace without a `url`: anybody could claim it.",
        )),
        (true, true, None | Some(Bootstrap::Open)) => Ok((Status::Online, FirstTokenRole::None)),
        (true, true, Some(Bootstrap::Closed)) => Ok((Status::Online, FirstTokenRole::Owner)),
    }
}

/// Gives the first token its place in the new workspace. Where none could be made the door is sealed, not open.
fn admit(workspace: &mut Workspace, role: FirstTokenRole, token: &FirstToken) {
    let (hash, prefix) = match token {
        FirstToken::Made(token) => (OwnerHash::Token(token.hash().clone()), Some(token.prefix().to_owned())),
        FirstToken::Chosen(hash) => (OwnerHash::Token(hash.clone()), None),
        FirstToken::Sealed => (OwnerHash::Sealed, None),
        FirstToken::None => return,
    };
    let minted_at = workspace.created_at.clone();
    match (role, hash) {
        (FirstTokenRole::Api, OwnerHash::Token(hash)) => {
            workspace.api_tokens.insert(hash, ApiToken { prefix, minted_at });
        }
        (_, hash) => workspace.owner = Some(Owner { hash, prefix, minted_at, epoch: workspace.epoch }),
    }
}

fn reply(workspace: Workspace, token: FirstToken, platform_url: &str) -> Result<Reply, Error> {
    let has_token = matches!(token, FirstToken::Made(_) | FirstToken::Chosen(_));
    let auth_token = if let FirstToken::Made(token) = token { Some(token.reveal()) } else { None };
    let (id, status) = (workspace.id.as_str().to_owned(), workspace.status.as_str());
    if !workspace.profile.external {
        return Reply::created(&Spawned { id, name: workspace.profile.name, status, auth_token });
    }
    let connection = has_token.then(|| connect(&id, platform_url, auth_token));
    Reply::created(&External { id, external: true, status, connection })
}

fn connect(id: &str, platform_url: &str, auth_token: Option<String>) -> Connection {
    let registry_endpoint = format!("{platform_url}/registry/register");
    // The id and the address hold no character that a shell would read.
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
