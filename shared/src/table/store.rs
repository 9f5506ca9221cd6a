//! Requests to DynamoDB about one workspace, and what their answers mean. A failed condition is an answer. Anything else that is not a success
//! is a [`StoreError`], never a "no".

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::RequestId;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use domain::id::WorkspaceId;
use domain::presence::Presence;
use domain::protocol::{self, Operation, OperationError, Step};
use domain::workspace::{Stored, Workspace};
use domain::write::Write;

use crate::table::item::attribute::WORKSPACE_ID;
use crate::table::item::{self, Item, MalformedItem};
use crate::table::update::{IF_ABSENT, Update};

/// The condition of a heartbeat: neither the owner's epoch nor the time goes back.
const IF_NOT_LATER: &str =
    "attribute_not_exists(workspace_id) OR (owner_epoch <= :owner_epoch AND beat_at <= :beat_at)";
/// A key that no workspace has: an id starts with a letter or a digit.
const WARM_UP_KEY: &str = "-";
/// The registry's table.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) client: Client,
    pub(super) table: String,
}

/// The outcome of a create.
#[derive(Debug)]
pub enum Created {
    /// It was written.
    Written,
    /// The id is taken. This is the item that was found, which an earlier attempt of the same call may have written.
    Taken(Stored),
}

/// The outcome of a fenced write.
#[derive(Debug)]
pub enum Updated {
    /// It was written.
    Written,
    /// The condition was false. This is the item that was found, if any, which an earlier attempt of the same call may have
    /// written.
    ConditionFailed(Option<Stored>),
}

/// A request failed and its outcome is unknown. The message is for the log: it holds no item, no key and no text of
/// DynamoDB's.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No response, an unreadable one, or an error, after the SDK's own retries.
    #[error("DynamoDB {request} failed: {cause}")]
    Unavailable {
        /// The API call.
        request: &'static str,
        /// The error's code, or the kind of failure.
        cause: String,
    },
    /// The item does not follow the schema.
    #[error(transparent)]
    Malformed(#[from] MalformedItem),
}

/// Why an operation on the store gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The rules or the circumstances forbid it.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// A request failed. The operation may or may not have been applied.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// The table of this name.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Runs an operation: the driver of [`domain::protocol`]. At most one read and two writes.
    ///
    /// # Errors
    /// [`RunError`] when there is no answer.
    pub async fn run<O: Operation>(&self, id: &WorkspaceId, operation: &O) -> Result<O::Answer, RunError> {
        let read = self.get(id).await?;
        let mut step = protocol::start(operation, read.as_ref())?;
        loop {
            let attempt = match step {
                Step::Done(answer) => return Ok(answer),
                Step::Write(attempt) => attempt,
            };
            step = match self.update(id, attempt.write()).await? {
                Updated::Written => return Ok(attempt.succeeded()),
                Updated::ConditionFailed(found) => attempt.condition_failed(operation, found.as_ref())?,
            };
        }
    }

    /// One strongly consistent read.
    ///
    /// # Errors
    /// [`StoreError`] when there was no usable response.
    pub async fn get(&self, id: &WorkspaceId) -> Result<Option<Stored>, StoreError> {
        let response = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(item::key(id)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| unavailable("GetItem", &error))?;
        Ok(response.item.as_ref().map(item::from_item).transpose()?)
    }

    /// Writes a new workspace, on the condition that its id is free.
    ///
    /// # Errors
    /// [`StoreError`] when there was no usable response: it may or may not have been written.
    pub async fn create(&self, workspace: &Workspace) -> Result<Created, StoreError> {
        let result = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item::to_item(workspace)))
            .condition_expression(IF_ABSENT)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = result else { return Ok(Created::Written) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                let no_item = || StoreError::Unavailable {
                    request: "PutItem",
                    cause: "the response has no item".to_owned(),
                };
                found(failed.item())?.map(Created::Taken).ok_or_else(no_item)
            }
            _ => Err(unavailable("PutItem", &error)),
        }
    }

    /// Makes one fenced write.
    ///
    /// # Errors
    /// [`StoreError`] when there was no usable response: it may or may not have been written.
    async fn update(&self, id: &WorkspaceId, write: &Write) -> Result<Updated, StoreError> {
        let update = Update::from(write);
        let (expression, condition) = (update.expression(), update.condition());
        let (names, values) = update.into_names_and_values();
        let result = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(item::key(id)))
            .update_expression(expression)
            .condition_expression(condition)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(Some(values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let Err(error) = result else { return Ok(Updated::Written) };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                Ok(Updated::ConditionFailed(found(failed.item())?))
            }
            _ => Err(unavailable("UpdateItem", &error)),
        }
    }

    /// Writes a heartbeat, unless a later one is there.
    ///
    /// # Errors
    /// [`StoreError`] when there was no usable response: it may or may not have been written.
    pub async fn beat(&self, id: &WorkspaceId, presence: &Presence) -> Result<(), StoreError> {
        let result = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item::presence_to_item(id, presence)))
            .condition_expression(IF_NOT_LATER)
            .expression_attribute_values(":owner_epoch", item::number(presence.owner_epoch.0))
            .expression_attribute_values(":beat_at", item::text(presence.beat_at.rfc3339()))
            .send()
            .await;
        let Err(error) = result else { return Ok(()) };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(()),
            _ => Err(unavailable("PutItem", &error)),
        }
    }

    /// Resolves the credentials, opens a connection and leaves it in the client's pool: reads a key that no workspace has. It
    /// costs half a read unit.
    ///
    /// # Errors
    /// [`StoreError`] when there was no usable response.
    pub async fn warm_up(&self) -> Result<(), StoreError> {
        let key = AttributeValue::S(WARM_UP_KEY.to_owned());
        let read = self.client.get_item().table_name(&self.table).key(WORKSPACE_ID, key);
        read.send().await.map(drop).map_err(|error| unavailable("GetItem", &error))
    }
}

fn found(item: Option<&Item>) -> Result<Option<Stored>, MalformedItem> {
    item.filter(|item| !item.is_empty()).map(item::from_item).transpose()
}

/// Only the code and DynamoDB's request id, or the kind of failure: an SDK error's own text may hold the response, and so
/// an item.
pub(super) fn unavailable<E: ProvideErrorMetadata>(request: &'static str, error: &SdkError<E>) -> StoreError {
    let cause = match error {
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or("an error without a code");
            match error.request_id() {
                Some(id) => format!("{code}, DynamoDB's request id {id}"),
                None => code.to_owned(),
            }
        }
        SdkError::TimeoutError(_) => "no response in time".to_owned(),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => "no connection in time".to_owned(),
        SdkError::DispatchFailure(failure) if failure.is_io() => "no connection, or it broke".to_owned(),
        SdkError::DispatchFailure(_) => "the request could not be sent".to_owned(),
        SdkError::ResponseError(_) => "the response could not be read".to_owned(),
        SdkError::ConstructionFailure(_) => "the request could not be built".to_owned(),
        _ => "a failure of an unknown kind".to_owned(),
    };
    StoreError::Unavailable { request, cause }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_dynamodb::error::ErrorMetadata;
    use aws_sdk_dynamodb::operation::get_item::GetItemError;
    use aws_sdk_dynamodb::types::error::InternalServerError;
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_runtime_api::http::{Response, StatusCode};

    #[test]
    fn each_failure_has_its_name_and_no_text_of_the_response() {
        let said = "what the store said";
        let response = || Response::new(StatusCode::try_from(400).unwrap(), said.into());
        let error = GetItemError::InternalServerError(InternalServerError::builder().message(said).build());
        let coded = || {
            let metadata = ErrorMetadata::builder().code("ThrottlingException").message(said);
            GetItemError::generic(metadata.build())
        };
        let mut numbered = response();
        numbered.headers_mut().insert("x-amzn-requestid", "R-1");
        let failures = [
            (SdkError::service_error(error, response()), "an error without a code"),
            (SdkError::service_error(coded(), response()), "ThrottlingException"),
            (SdkError::service_error(coded(), numbered), "ThrottlingException, DynamoDB's request id R-1"),
            (SdkError::timeout_error(said), "no response in time"),
            (SdkError::dispatch_failure(ConnectorError::io(said.into())), "no connection, or it broke"),
            (SdkError::dispatch_failure(ConnectorError::timeout(said.into())), "no connection in time"),
            (SdkError::dispatch_failure(ConnectorError::user(said.into())), "the request could not be sent"),
            (SdkError::response_error(said, response()), "the response could not be read"),
            (SdkError::construction_failure(said), "the request could not be built"),
        ];
        for (failure, cause) in failures {
            assert_eq!(
                unavailable("GetItem", &failure).to_string(),
                format!("DynamoDB GetItem failed: {cause}")
            );
        }
    }
}
