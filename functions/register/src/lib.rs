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
use shared::guard::{self, RegisterDecision, RegisterRequest, Registration};
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

/// Whether the call may still try again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    First,
    Last,
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
        let id = fields.workspace_id("id")?.ok_or_else(|| fields.missing("id"))?;
        logging::about(&id);
        let agent_card = fields.json_object("agent_card")?.ok_or_else(|| fields.missing("agent_card"))?;
        if agent_card.len() > MAX_AGENT_CARD {
            return Err(Error::PayloadTooLarge("`agent_card` must be at most 32 KiB of JSON text."));
        }
        let url = fields.parsed_text("url", "a string", |url| Some(url.to_owned()))?;
        let url = self.agent_urls.check(url.as_deref()).map_err(|e| Error::invalid("url", e.to_string()))?;
        let chosen = if bearer.is_none() { fields.chosen_token()? } else { None };
        let request = RegisterRequest {
            bearer: bearer.as_ref(),
            chosen: chosen.as_ref(),
            registration: Registration { url, agent_card },
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
        item: Option<&Workspace>,
        request: &RegisterRequest<'_>,
        now: Now,
        turn: Turn,
    ) -> Result<Attempt, Error> {
        let decision = guard::register(item, request, now);
        let seen = item.ok_or(Error::WorkspaceNotFound)?;
        let registration = &request.registration;
        let no_bearer = || Error::Internal { cause: "decided on a bearer that is not there".to_owned() };
        let presented = || request.bearer.ok_or_else(no_bearer);
        match decision {
            RegisterDecision::Refused(refusal) => Err(refusal.into()),
            RegisterDecision::AlreadyDone { epoch } => Ok(Attempt::Done(Registered { epoch, token: None })),
            RegisterDecision::Refresh => {
                let presented = presented()?;
                self.refresh(id, Update::refresh(presented, registration, now)).await
            }
            RegisterDecision::RefreshByApiToken => {
                let presented = presented()?;
                self.refresh(id, Update::refresh_by_api_token(seen, presented, registration, now)).await
            }
            RegisterDecision::TakeOver => {
                let successor = presented()?;
                let update = Update::take_over(seen, successor, registration, now);
                let written = self.store.update(id, update).await?;
                if let Updated::Written(epoch) = written {
                    tracing::info!(epoch = epoch.0, "taken over");
                }
                Ok(mine(written, None, |found| {
                    found.is_owner(successor) && guard::is_registered(found, registration)
                }))
            }
            RegisterDecision::Claim => match request.chosen {
                // A second write of the same hash could not be told from a first one that is still on its way.
                Some(_) if turn == Turn::Last => {
                    Err(Error::undecided("the workspace changed during the claim"))
                }
                Some(chosen) => {
                    let written =
                        self.claim(id, Update::claim(seen, chosen, None, registration, now)).await?;
                    Ok(mine(written, None, |found| {
                        found.is_owner(chosen) && guard::is_registered(found, registration)
                    }))
                }
                None => {
                    let token = NewToken::generate(self.random)?;
                    let update = Update::claim(seen, token.hash(), Some(token.prefix()), registration, now);
                    let written = self.claim(id, update).await?;
                    // Nobody else knows this hash: where it is the owner's, this call's write made it so.
                    let hash = token.hash().clone();
                    Ok(mine(written, Some(token), |found| found.is_owner(&hash)))
                }
            },
        }
    }

    async fn refresh(&self, id: &WorkspaceId, update: Update) -> Result<Attempt, Error> {
        Ok(mine(self.store.update(id, update).await?, None, |_| false))
    }

    async fn claim(&self, id: &WorkspaceId, update: Update) -> Result<Updated, Error> {
        let written = self.store.update(id, update).await?;
        if let Updated::Written(epoch) = written {
            tracing::info!(epoch = epoch.0, "claimed");
        }
        Ok(written)
    }
}

/// A write whose condition failed may be one that landed before: its reply was lost and the SDK sent it again.
fn mine(written: Updated, token: Option<NewToken>, is_mine: impl FnOnce(&Workspace) -> bool) -> Attempt {
    match written {
        Updated::Written(epoch) => Attempt::Done(Registered { epoch, token }),
        Updated::ConditionFailed(Some(found)) if is_mine(&found) => {
            Attempt::Done(Registered { epoch: found.epoch, token })
        }
        Updated::ConditionFailed(found) => Attempt::Changed(found),
    }
}
