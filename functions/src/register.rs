//! `POST /registry/register`: sets an agent's URL and card under the ownership guard ([`domain::operations::register`]).

use domain::operations::register::{self, Registered, RegisteredAs};
use domain::workspace::Registration;
use serde::Serialize;
use shared::prelude::*;

/// The function.
pub struct Register {
    store: Store,
    agent_urls: AgentUrlPolicy,
    random: Random,
}

struct RegisterBody {
    id: WorkspaceId,
    registration: Registration,
    chosen: Option<TokenHash>,
}

#[derive(Serialize)]
struct RegisterReply {
    status: &'static str,
    epoch: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<String>,
}

impl Function for Register {
    const AUDIENCE: Audience = Audience::Agents;

    fn new(env: &Env<'_>, resources: Resources) -> Result<Self, ConfigError> {
        Ok(Self {
            store: Store::new(resources.dynamodb, env.table_name()?),
            agent_urls: env.agent_url_policy()?,
            random: resources.random,
        })
    }

    async fn answer(&self, event: Event) -> Answer {
        event.answer_http(|request| self.register(request)).await
    }
}

impl Register {
    async fn register(&self, request: HttpRequest) -> Result<Reply, Error> {
        let bearer = request.bearer()?.map(|bearer| bearer.hash());
        let RegisterBody { id, registration, chosen } =
            self.read_body(&request.fields()?, bearer.is_some())?;
        let (now, random) = (Timestamp::now(), self.random.clone());
        let operation = register::Register { bearer, chosen, registration, now, random };
        let Registered { epoch, kind, token } = self.store.run(&id, &operation).await?;
        match kind {
            RegisteredAs::Claim => tracing::info!(epoch = epoch.0, "claimed"),
            RegisteredAs::TakeOver => tracing::info!(epoch = epoch.0, "taken over"),
            RegisteredAs::Refresh | RegisteredAs::RefreshByApiToken | RegisteredAs::AlreadyClaimed => {}
        }
        let auth_token = token.map(NewToken::reveal);
        Reply::ok(&RegisterReply { status: "registered", epoch: epoch.0, auth_token })
    }

    fn read_body(&self, fields: &Fields<'_>, has_bearer: bool) -> Result<RegisterBody, Error> {
        let id = fields.required_workspace_id("id")?;
        log_workspace_id(&id);
        let agent_card = fields.agent_card()?;
        let url = fields.agent_url(self.agent_urls)?;
        // With a bearer, the field is ignored.
        let chosen = if has_bearer { None } else { fields.chosen_token()? };
        Ok(RegisterBody { id, registration: Registration { url, agent_card }, chosen })
    }
}
