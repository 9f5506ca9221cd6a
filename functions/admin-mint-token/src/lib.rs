//! `POST /admin/workspaces/{id}/tokens`: mints an API token, a bearer that may read and refresh the workspace and
//! never becomes its owner.

use serde::Serialize;
use shared::admin::AdminAuth;
use shared::config::{ConfigError, Env};
use shared::error::Error;
use shared::event::{Answer, Event, HttpRequest, Reply};
use shared::fields::Fields;
use shared::guard::{self, MintDecision, Turn};
use shared::id::WorkspaceId;
use shared::logging;
use shared::random::Random;
use shared::rehearsal::Call;
use shared::runtime::{Function, Resources};
use shared::schema::Update;
use shared::store::{Store, Updated};
use shared::time::Now;
use shared::token::{NewToken, TokenHash};
use shared::workspace::Workspace;

/// The function.
pub struct AdminMintToken {
    store: Store,
    admin: AdminAuth,
    random: Random,
}

#[derive(Serialize)]
struct Minted {
    workspace_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    auth_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
}

/// What one decision and its write came to.
enum Attempt {
    /// There is one more token, or there was; the text is of the one that this call made.
    Done(Option<NewToken>),
    /// The workspace was not as it had been seen; this is what was found.
    Changed(Option<Box<Workspace>>),
}

impl Function for AdminMintToken {
    const REHEARSAL: &[Call] = &[Call { bearer: true, body: "" }];

    fn new(env: &Env<'_>, resources: Resources) -> Result<Self, ConfigError> {
        Ok(Self {
            store: Store::new(resources.dynamodb, env.table_name()?),
            admin: env.admin_auth()?,
            random: resources.random,
        })
    }

    async fn answer(&self, event: Event) -> Answer {
        event.http_only()?.answer(|request| self.handle(request)).await
    }
}

impl AdminMintToken {
    async fn handle(&self, request: HttpRequest) -> Result<Reply, Error> {
        request.require_admin(&self.admin)?;
        let id = request.workspace_id()?;
        logging::about(&id);
        let chosen = Fields::parse_optional(request.body()?)?.chosen_token()?;
        let token = self.mint(&id, chosen.as_ref()).await?;
        Reply::created(&Minted {
            workspace_id: id.as_str().to_owned(),
            prefix: token.as_ref().map(|token| token.prefix().to_owned()),
            auth_token: token.map(NewToken::reveal),
        })
    }

    async fn mint(&self, id: &WorkspaceId, chosen: Option<&TokenHash>) -> Result<Option<NewToken>, Error> {
        let now = Now::read();
        let seen = self.store.get(id).await?;
        let found = match self.attempt(id, seen.as_ref(), chosen, now, Turn::First).await? {
            Attempt::Done(token) => return Ok(token),
            Attempt::Changed(found) => found,
        };
        match self.attempt(id, found.as_deref(), chosen, now, Turn::Last).await? {
            Attempt::Done(token) => Ok(token),
            Attempt::Changed(_) => Err(Error::undecided("the workspace changed twice during the call")),
        }
    }

    /// Decides on what was seen, and writes what was decided: on the last turn with a freshly made token.
    async fn attempt(
        &self,
        id: &WorkspaceId,
        seen: Option<&Workspace>,
        chosen: Option<&TokenHash>,
        now: Now,
        turn: Turn,
    ) -> Result<Attempt, Error> {
        let seen = seen.ok_or(Error::WorkspaceNotFound)?;
        match guard::mint(seen, chosen, now)? {
            MintDecision::AlreadyDone => return Ok(Attempt::Done(None)),
            MintDecision::Mint => {}
        }
        let mut made = None;
        let (hash, prefix) = match chosen {
            Some(_) if turn == Turn::Last => {
                return Err(Error::undecided("the workspace changed during the mint"));
            }
            Some(chosen) => (chosen.clone(), None),
            None => {
                let token = made.insert(NewToken::generate(self.random)?);
                (token.hash().clone(), Some(token.prefix()))
            }
        };
        match self.store.update(id, Update::mint(seen, &hash, prefix, now)).await? {
            Updated::Written(epoch) => {
                tracing::info!(epoch = epoch.0, prefix, "API token minted");
                Ok(Attempt::Done(made))
            }
            Updated::ConditionFailed(Some(found)) if guard::minted_before(&found, &hash) => {
                Ok(Attempt::Done(made))
            }
            Updated::ConditionFailed(found) => Ok(Attempt::Changed(found)),
        }
    }
}
