//! A workspace as answers show it: what is derived from it, its presence and the time.

use domain::presence::{self, Presence};
use domain::time::Timestamp;
use domain::workspace::Workspace;
use serde_json::value::RawValue;

use crate::api::error::Error;

/// A workspace as it was read, with the time of the answer.
pub struct View<'a> {
    workspace: &'a Workspace,
    presence: Option<&'a Presence>,
    now: Timestamp,
    offline_after_seconds: u32,
}

impl<'a> View<'a> {
    /// How this workspace looks now. After `offline_after_seconds` without a sign of life it is offline.
    pub fn new(workspace: &'a Workspace, presence: Option<&'a Presence>, offline_after_seconds: u32) -> Self {
        Self { workspace, presence, now: Timestamp::now(), offline_after_seconds }
    }

    /// The `status`.
    pub fn status(&self) -> &'static str {
        presence::liveness(self.workspace, self.presence, self.now, self.offline_after_seconds).as_str()
    }

    /// The `last_seen_at`.
    pub fn last_seen_at(&self) -> Option<String> {
        presence::last_seen(self.workspace, self.presence).map(Timestamp::rfc3339)
    }

    /// The present owner's last heartbeat.
    pub fn heartbeat(&self) -> Option<&'a Presence> {
        presence::current(self.workspace, self.presence)
    }

    /// The `id`.
    pub fn id(&self) -> String {
        self.workspace.id.as_str().to_owned()
    }

    /// The `parent_id`.
    pub fn parent_id(&self) -> Option<String> {
        self.workspace.ancestors.parent().map(|parent| parent.as_str().to_owned())
    }

    /// The `url`.
    pub fn url(&self) -> Option<String> {
        self.workspace.url.as_ref().map(|url| url.as_str().to_owned())
    }

    /// The `agent_card`, as the agent sent it.
    ///
    /// # Errors
    /// [`Error::Internal`] when what is stored is not JSON.
    pub fn agent_card(&self) -> Result<Option<Box<RawValue>>, Error> {
        let card =
            self.workspace.agent_card.as_ref().map(|card| RawValue::from_string(card.as_str().to_owned()));
        card.transpose()
            .map_err(|_| Error::Internal { cause: "the stored agent card is not JSON".to_owned() })
    }
}
