//! `POST /registry/heartbeat`: an agent says that it is alive. One read of the workspace, one write of its presence, which is
//! an item of its own, so that a heartbeat costs one write unit however large the agent's card is. The first heartbeat with a
//! token that the owner rotates to also writes the workspace.

use domain::operations::{self, heartbeat::Beat};
use domain::presence::{Presence, Report};
use serde::Serialize;
use shared::prelude::*;

/// The function.
pub struct Heartbeat {
    store: Store,
}

struct HeartbeatBody {
    workspace_id: WorkspaceId,
    report: Report,
}

#[derive(Serialize)]
struct HeartbeatReply {
    status: &'static str,
    epoch: u64,
}

impl Function for Heartbeat {
    const AUDIENCE: Audience = Audience::Agents;

    fn new(env: &Env<'_>, resources: Resources) -> Result<Self, ConfigError> {
        Ok(Self { store: Store::new(resources.dynamodb, env.table_name()?) })
    }

    async fn answer(&self, event: Event) -> Answer {
        event.answer_http(|request| self.beat(request)).await
    }
}

impl Heartbeat {
    async fn beat(&self, request: HttpRequest) -> Result<Reply, Error> {
        let bearer = request.bearer()?.ok_or(Error::MissingToken)?.hash();
        let HeartbeatBody { workspace_id, report } = read_body(&request.fields()?)?;
        let now = Timestamp::now();
        let operation = operations::heartbeat::Heartbeat { bearer, now };
        let Beat { owner_epoch, epoch, took_over } = self.store.run(&workspace_id, &operation).await?;
        if took_over {
            tracing::info!(epoch = epoch.0, "taken over");
        }
        self.store.beat(&workspace_id, &Presence { owner_epoch, beat_at: now, report }).await?;
        Reply::ok(&HeartbeatReply { status: "ok", epoch: epoch.0 })
    }
}

fn read_body(fields: &Fields<'_>) -> Result<HeartbeatBody, Error> {
    let workspace_id = fields.required_workspace_id("workspace_id")?;
    log_workspace_id(&workspace_id);
    let text = |field| fields.parsed_text(field, "a string", |text| Some(text.to_owned()));
    let report = Report {
        current_task: text("current_task")?,
        active_tasks: fields.integer("active_tasks", 0..=u64::MAX)?,
        error_rate: fields.fraction("error_rate")?,
        sample_error: text("sample_error")?,
        uptime_seconds: fields.integer("uptime_seconds", 0..=u64::MAX)?,
    };
    Ok(HeartbeatBody { workspace_id, report: report.fit() })
}
