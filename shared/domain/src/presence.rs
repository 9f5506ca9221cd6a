//! Presence: what an agent's last heartbeat said, and whether the agent is alive. No decision about ownership depends on it.
//!
//! Whether an agent is alive is derived when somebody looks, from the workspace, its presence and the time. Nothing writes a
//! status because time has passed. So a wrong clock can make a live agent look offline, and can never change who owns what.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;
use crate::workspace::{Epoch, Status, Workspace};

/// The longest string of a report, in characters. Longer ones are cut.
pub const MAX_TEXT: usize = 500;
/// The largest report, in bytes of JSON text: with its key and its other attributes, the item stays within the 1 KiB that one
/// write unit pays for.
pub const MAX_REPORT_BYTES: usize = 832;

/// The last heartbeat of a workspace.
#[derive(Clone, Debug, PartialEq)]
pub struct Presence {
    /// The epoch that made the owner who sent it. A heartbeat of a former owner counts for nothing.
    pub owner_epoch: Epoch,
    /// When the registry received it.
    pub beat_at: Timestamp,
    /// What the agent reported.
    pub report: Report,
}

/// What an agent reports about its work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What it is working on.
    pub current_task: Option<String>,
    /// How many tasks it is working on.
    pub active_tasks: Option<u64>,
    /// The share of its tasks that fail, 0 to 1.
    pub error_rate: Option<f64>,
    /// One of its errors.
    pub sample_error: Option<String>,
    /// For how long it has been running.
    pub uptime_seconds: Option<u64>,
}

impl Report {
    /// Cuts the strings until the report fits. A heartbeat must not fail because of what it says.
    pub fn fit(mut self) -> Self {
        let mut most = MAX_TEXT;
        loop {
            for text in [&mut self.current_task, &mut self.sample_error].into_iter().flatten() {
                if let Some((end, _)) = text.char_indices().nth(most) {
                    text.truncate(end);
                }
            }
            if most == 0 || self.to_json().len() <= MAX_REPORT_BYTES {
                return self;
            }
            most = most.saturating_mul(3) / 4;
        }
    }

    /// As stored.
    pub fn to_json(&self) -> String {
        // Serialising strings and finite numbers cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// A report as the table stores it; `None` when it is not one.
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// Whether a workspace's agent is alive, as answers show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// Created for a container that the platform runs; has not registered yet.
    Provisioning,
    /// Created for an agent that runs elsewhere; has not registered yet.
    AwaitingAgent,
    /// Was seen recently.
    Online,
    /// Was not seen recently.
    Offline,
}

impl Liveness {
    /// As shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provisioning => "provisioning",
            Self::AwaitingAgent => "awaiting_agent",
            Self::Online => "online",
            Self::Offline => "offline",
        }
    }
}

/// The last heartbeat, if the present owner sent it.
pub fn current<'a>(workspace: &Workspace, presence: Option<&'a Presence>) -> Option<&'a Presence> {
    let owner = workspace.owner.as_ref()?;
    presence.filter(|presence| presence.owner_epoch == owner.epoch)
}

/// When the agent was last seen: the present owner's last heartbeat or the last registration, whichever is later. A creation
/// with the agent's URL is its first registration.
pub fn last_seen(workspace: &Workspace, presence: Option<&Presence>) -> Option<Timestamp> {
    let registered = workspace.registered_at.or(workspace.url.as_ref().map(|_| workspace.created_at));
    registered.max(current(workspace, presence).map(|presence| presence.beat_at))
}

/// Whether the agent is alive: online if it was last seen at most `offline_after` seconds ago.
pub fn liveness(
    workspace: &Workspace,
    presence: Option<&Presence>,
    now: Timestamp,
    offline_after: u32,
) -> Liveness {
    match workspace.status {
        Status::Provisioning => Liveness::Provisioning,
        Status::AwaitingAgent => Liveness::AwaitingAgent,
        Status::Online => match last_seen(workspace, presence) {
            Some(seen) if now <= seen.later_by(offline_after) => Liveness::Online,
            Some(_) | None => Liveness::Offline,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{open, owned};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_epoch_seconds(seconds).unwrap()
    }

    fn beat(owner_epoch: u64, seconds: i64) -> Presence {
        Presence { owner_epoch: Epoch(owner_epoch), beat_at: at(seconds), report: Report::default() }
    }

    #[test]
    fn a_heartbeat_of_a_former_owner_counts_for_nothing() {
        let workspace = Workspace { registered_at: Some(at(100)), ..owned() };
        let epoch = workspace.owner.as_ref().unwrap().epoch.0;
        assert_eq!(last_seen(&workspace, Some(&beat(epoch, 200))), Some(at(200)));
        assert_eq!(last_seen(&workspace, Some(&beat(epoch - 1, 200))), Some(at(100)));
        assert_eq!(last_seen(&workspace, Some(&beat(epoch, 50))), Some(at(100)), "the later of the two");
        let ownerless = Workspace { registered_at: Some(at(100)), ..open() };
        assert_eq!(last_seen(&ownerless, Some(&beat(epoch, 200))), Some(at(100)));
    }

    #[test]
    fn the_status_is_derived_from_when_the_agent_was_last_seen() {
        let workspace = Workspace { status: Status::Online, registered_at: Some(at(100)), ..owned() };
        let epoch = workspace.owner.as_ref().unwrap().epoch.0;
        let status = |presence: Option<&Presence>, now| liveness(&workspace, presence, at(now), 90);
        for (now, expected) in [(0, Liveness::Online), (190, Liveness::Online), (191, Liveness::Offline)] {
            assert_eq!(status(None, now), expected, "{now}");
        }
        assert_eq!(status(Some(&beat(epoch, 110)), 200), Liveness::Online);
        assert_eq!(status(Some(&beat(epoch, 110)), 201), Liveness::Offline);
        for (stored, expected) in
            [(Status::Provisioning, Liveness::Provisioning), (Status::AwaitingAgent, Liveness::AwaitingAgent)]
        {
            let workspace = Workspace { status: stored, ..workspace.clone() };
            assert_eq!(liveness(&workspace, Some(&beat(epoch, 110)), at(120), 90), expected);
        }
    }

    #[test]
    fn a_creation_with_a_url_is_a_registration() {
        let created = Workspace { registered_at: None, created_at: at(100), ..open() };
        assert!(created.url.is_some());
        assert_eq!(last_seen(&created, None), Some(at(100)));
        assert_eq!(last_seen(&Workspace { url: None, ..created }, None), None);
    }

    #[test]
    fn long_strings_are_cut_until_the_report_fits() {
        for text in ["x", "é", "\u{0}", "😀", "\""] {
            let long = Some(text.repeat(2_000));
            let report = Report { current_task: long.clone(), sample_error: long, ..Report::default() }.fit();
            let length = report.to_json().len();
            assert!(length <= MAX_REPORT_BYTES && length > MAX_REPORT_BYTES / 3, "{text:?}: {length}");
            assert_eq!(Report::from_json(&report.to_json()), Some(report));
        }
        let short = Report { current_task: Some("x".repeat(MAX_TEXT)), ..Report::default() };
        assert_eq!(short.clone().fit(), short);
    }
}
