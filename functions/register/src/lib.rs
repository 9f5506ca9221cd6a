//! `POST /registry/register`: sets an agent's URL and card under the ownership guard ([`shared::guard`]).
//!
//! The common path, the owner's refresh, is one conditional write. Everything else is: read, decide, one fenced
//! write; when the workspace changed in between, decide once more on what was found and write once more. Never a loop.

use serde::Serialize;
use shared::agent_url::AgentUrlPolicy;
use shared::config::{ConfigError, Env};
use shared::error::Error;
use shared::event::{Answer, Event, HttpRequest, Reply};
use shared::fields::Fields;
use shared::guard::{self, RegisterDecision, RegisterRequest, Registration, Turn};
use shared::id::WorkspaceId;
use shared::logging;
use shared::random::Random;
use shared::rehearsal::Call;
use shared::runtime::{Function, Resources};
use shared::schema::Update;
use shared::store::{Store, Updated};
use shared::time::Now;
use shared::token::NewToken;
use shared::workspace::{Epoch, Workspace};

/// The largest agent card, in bytes of JSON text.
pub const MAX_AGENT_CARD: usize = 32 * 1024;

/// A registration as it is rehearsed.
const REGISTRATION: &str =
    r#"{"id": "rehearsal", "url": "https://agent.example.com", "agent_card": {"name": "rehearsal"}}"#;

/// The function.
pub struct Register {
    store: Store,
    agent_urls: AgentUrlPolicy,
    random: Random,
}

/// A registration that took effect, now or before.
struct Registered {
    epoch: Epoch,
    /// The token that this call minted.
    token: Option<NewToken>,
}

#[derive(Serialize)]
struct Body {
    status: &'static str,
    epoch: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<String>,
}

/// What one decision and its write came to.
enum Attempt {
    Done(Registered),
    /// The workspace was not as it had been seen; this is what was found.
    Changed(Option<Box<Workspace>>),
}

impl Function for Register {
    const REHEARSAL: &[Call] =
        &[Call { bearer: true, body: REGISTRATION }, Call { bearer: false, body: REGISTRATION }];

    fn new(env: &Env<'_>, resources: Resources) -> Result<Self, ConfigError> {
        Ok(Self {
            store: Store::new(resources.dynamodb, env.table_name()?),
            agent_urls: env.agent_url_policy()?,
            random: resources.random,
        })
    }

    async fn answer(&self, event: Event) -> Answer {
        event.http_only()?.answer(|request| self.handle(request)).await
    }
}

impl Register {
    async fn handle(&self, request: HttpRequest) -> Result<Reply, Error> {
        let bearer = request.bearer()?.map(|bearer| bearer.hash());
        let fields = Fields::parse(request.body()?)?;
        let id = fields.required_workspace_id("id")?;
        logging::about(&id);
        let agent_card = fields.json_object("agent_card")?.ok_or_else(|| fields.missing("agent_card"))?;
        if agent_card.len() > MAX_AGENT_CARD {
            return Err(Error::PayloadTooLarge("`agent_card` must be at most 32 KiB of JSON text."));
        }
        let url = fields.agent_url(self.agent_urls)?;
        let chosen = if bearer.is_none() { fields.chosen_token()? } else { None };
        let request = RegisterRequest {
            bearer: bearer.as_ref(),
            chosen: chosen.as_ref(),
            registration: Registration { url: url.as_deref(), agent_card },
        };
        let registered = self.register(&id, &request).await.map_err(Error::for_an_agent)?;
        Reply::ok(&Body {
            status: "registered",
            epoch: registered.epoch.0,
            auth_token: registered.token.map(NewToken::reveal),
        })
    }

    async fn register(&self, id: &WorkspaceId, request: &RegisterRequest<'_>) -> Result<Registered, Error> {
        let now = Now::read();
        let seen = match request.bearer {
            Some(presented) => {
                let refresh = Update::refresh(presented, &request.registration, now);
                match self.store.update(id, refresh).await? {
                    Updated::Written(epoch) => return Ok(Registered { epoch, token: None }),
                    Updated::ConditionFailed(found) => found,
                }
            }
            None => self.store.get(id).await?.map(Box::new),
        };
        let found = match self.attempt(id, seen.as_deref(), request, now, Turn::First).await? {
            Attempt::Done(registered) => return Ok(registered),
            Attempt::Changed(found) => found,
        };
        match self.attempt(id, found.as_deref(), request, now, Turn::Last).await? {
            Attempt::Done(registered) => Ok(registered),
            Attempt::Changed(_) => Err(Error::undecided("the workspace changed twice during the call")),
        }
    }

    /// Decides on what was seen, and writes what was decided.
    async fn attempt(
        &self,
        id: &WorkspaceId,
        seen: Option<&Workspace>,
        request: &RegisterRequest<'_>,
        now: Now,
        turn: Turn,
    ) -> Result<Attempt, Error> {
        let seen = seen.ok_or(Error::WorkspaceNotFound)?;
        let registration = &request.registration;
        let decision = guard::register(seen, request, now)?;
        let mut made = None;
        let (update, becomes) = match decision {
            RegisterDecision::AlreadyDone { epoch } => {
                return Ok(Attempt::Done(Registered { epoch, token: None }));
            }
            RegisterDecision::Refresh(owner) => (Update::refresh(owner, registration, now), None),
            RegisterDecision::RefreshByApiToken(token) => {
                (Update::refresh_by_api_token(seen, token, registration, now), None)
            }
            RegisterDecision::TakeOver(successor) => {
                (Update::take_over(seen, successor, registration, now), Some("taken over"))
            }
            RegisterDecision::Claim { chosen: Some(_) } if turn == Turn::Last => {
                return Err(Error::undecided("the workspace changed during the claim"));
            }
            RegisterDecision::Claim { chosen: Some(chosen) } => {
                (Update::claim(seen, chosen, None, registration, now), Some("claimed"))
            }
            RegisterDecision::Claim { chosen: None } => {
                let token = made.insert(NewToken::generate(self.random)?);
                let update = Update::claim(seen, token.hash(), Some(token.prefix()), registration, now);
                (update, Some("claimed"))
            }
        };
        match self.store.update(id, update).await? {
            Updated::Written(epoch) => {
                if let Some(what) = becomes {
                    tracing::info!(epoch = epoch.0, "{what}");
                }
                Ok(Attempt::Done(Registered { epoch, token: made }))
            }
            Updated::ConditionFailed(Some(found))
                if guard::registered_before(
                    &found,
                    &decision,
                    made.as_ref().map(NewToken::hash),
                    registration,
                ) =>
            {
                Ok(Attempt::Done(Registered { epoch: found.epoch, token: made }))
            }
            Updated::ConditionFailed(found) => Ok(Attempt::Changed(found)),
        }
    }
}
