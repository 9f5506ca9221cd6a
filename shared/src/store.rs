//! Requests to DynamoDB, and what their answers mean. A failed condition is an answer; anything else that is not a
//! success is [`StoreError`], never a "no".

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::RequestId;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};

use crate::id::WorkspaceId;
use crate::schema::attribute::WORKSPACE_ID;
use crate::schema::{self, Item, MalformedItem, Update};
use crate::workspace::{Epoch, Workspace};

/// The request with which a function opens its connection to the store before its first call comes. It is one that
/// the function's own policy allows, and it finds and changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmUp {
    /// For a function that may read: a read of a key that no workspace has. It costs half a read unit.
    Read,
    /// For a function that may only create: a write on a condition that contradicts itself. It costs one write unit.
    Create,
}

/// The registry's table.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    table: String,
}

/// What became of a create.
#[derive(Debug)]
pub enum Created {
    /// It was written.
    Written,
    /// The id is taken: the workspace that was found, which a retried request may have written itself.
    Taken(Box<Workspace>),
}

/// What became of a write with a condition.
#[derive(Debug)]
pub enum Updated {
    /// It was written: the workspace's epoch afterwards.
    Written(Epoch),
    /// Its condition did not hold: the workspace that was found, `None` when there is none. A request that the SDK
    /// retried after a lost reply may have met its own write here.
    ConditionFailed(Option<Box<Workspace>>),
}

/// The store could not say. Its `Display` is for the log and holds no item, no key and no text of the store's.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No answer, an answer that could not be read, or an error answer, after the SDK's own retries.
    #[error("DynamoDB {operation} failed: {cause}")]
    Unavailable {
        /// The API operation.
        operation: &'static str,
        /// The error's code, or the kind of failure.
        cause: String,
    },
    /// The item is not what the schema says.
    #[error(transparent)]
    Malformed(#[from] MalformedItem),
}

impl Store {
    /// The table of this name.
    pub fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Resolves the credentials, opens a connection and leaves it in the client's pool.
    ///
    /// # Errors
    /// [`StoreError`] when the store did not answer as it should.
    pub async fn warm_up(&self, request: WarmUp) -> Result<(), StoreError> {
        let no_workspace = AttributeValue::S(schema::NO_WORKSPACE.to_owned());
        match request {
            WarmUp::Read => {
                let read = self.client.get_item().table_name(&self.table).key(WORKSPACE_ID, no_workspace);
                read.send().await.map(drop).map_err(|error| unavailable("GetItem", &error))
            }
            WarmUp::Create => {
                let write = self.client.put_item().table_name(&self.table).item(WORKSPACE_ID, no_workspace);
                let Err(error) = write.condition_expression(schema::NEVER).send().await else {
                    return Ok(());
                };
                match error.as_service_error() {
                    Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(()),
                    _ => Err(unavailable("PutItem", &error)),
                }
            }
        }
    }

    /// One strongly consistent read.
    ///
    /// # Errors
    /// [`StoreError`] when there was no answer that could be used.
    pub async fn get(&self, id: &WorkspaceId) -> Result<Option<Workspace>, StoreError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(schema::key(id)))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| unavailable("GetItem", &error))?;
        Ok(answer.item.as_ref().map(schema::from_item).transpose()?)
    }

    /// Writes a new workspace, on the condition that its id is not taken.
    ///
    /// # Errors
    /// [`StoreError`] when there was no answer that could be used: it may or may not have been written.
    pub async fn create(&self, workspace: &Workspace) -> Result<Created, StoreError> {
        let result = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(schema::to_item(workspace)))
            .condition_expression(schema::NOT_THERE)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let error = match result {
            Ok(_) => return Ok(Created::Written),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(PutItemError::ConditionalCheckFailedException(failed)) => match found(failed.item())? {
                Some(workspace) => Ok(Created::Taken(workspace)),
                None => Err(no_item("PutItem")),
            },
            _ => Err(unavailable("PutItem", &error)),
        }
    }

    /// Makes one conditional write.
    ///
    /// # Errors
    /// [`StoreError`] when there was no answer that could be used: it may or may not have been written.
    pub async fn update(&self, id: &WorkspaceId, update: Update) -> Result<Updated, StoreError> {
        // The whole item in the answer, hashes included, would be carried and read for its epoch alone.
        let epoch = update.epoch();
        let wanted = epoch.map_or(ReturnValue::UpdatedNew, |_| ReturnValue::None);
        let (expression, condition) = (update.expression(), update.condition().to_owned());
        let (names, values) = update.into_names_and_values();
        let result = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(schema::key(id)))
            .update_expression(expression)
            .condition_expression(condition)
            .set_expression_attribute_names(Some(names).filter(|names| !names.is_empty()))
            .set_expression_attribute_values(Some(values))
            .return_values(wanted)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let error = match result {
            Ok(answer) => {
                let Some(epoch) = epoch else {
                    let item = answer.attributes().ok_or_else(|| no_item("UpdateItem"))?;
                    return Ok(Updated::Written(schema::epoch_of(item)?));
                };
                return Ok(Updated::Written(epoch));
            }
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                Ok(Updated::ConditionFailed(found(failed.item())?))
            }
            _ => Err(unavailable("UpdateItem", &error)),
        }
    }
}

fn found(item: Option<&Item>) -> Result<Option<Box<Workspace>>, MalformedItem> {
    item.filter(|item| !item.is_empty()).map(|item| schema::from_item(item).map(Box::new)).transpose()
}

fn no_item(operation: &'static str) -> StoreError {
    StoreError::Unavailable { operation, cause: "the answer holds no item".to_owned() }
}

/// Only the code and DynamoDB's request id, or the kind of a failure: an SDK error's own text may hold the response, and
/// so an item.
fn unavailable<E: ProvideErrorMetadata>(operation: &'static str, error: &SdkError<E>) -> StoreError {
    let cause = match error {
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or("an error without a code");
            match error.request_id() {
                Some(id) => format!("{code}, DynamoDB's request id {id}"),
                None => code.to_owned(),
            }
        }
        SdkError::TimeoutError(_) => "no answer in time".to_owned(),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => "no connection in time".to_owned(),
        SdkError::DispatchFailure(failure) if failure.is_io() => "no connection, or it broke".to_owned(),
        SdkError::DispatchFailure(_) => "the request could not be sent".to_owned(),
        SdkError::ResponseError(_) => "the answer could not be read".to_owned(),
        SdkError::ConstructionFailure(_) => "the request could not be made".to_owned(),
        _ => "a failure of an unknown kind".to_owned(),
    };
    StoreError::Unavailable { operation, cause }
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
    fn each_failure_has_its_name_and_nothing_of_the_store_s() {
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
            (SdkError::timeout_error(said), "no answer in time"),
            (SdkError::dispatch_failure(ConnectorError::io(said.into())), "no connection, or it broke"),
            (SdkError::dispatch_failure(ConnectorError::timeout(said.into())), "no connection in time"),
            (SdkError::dispatch_failure(ConnectorError::user(said.into())), "the request could not be sent"),
            (SdkError::response_error(said, response()), "the answer could not be read"),
            (SdkError::construction_failure(said), "the request could not be made"),
        ];
        for (failure, cause) in failures {
            assert_eq!(
                unavailable("GetItem", &failure).to_string(),
                format!("DynamoDB GetItem failed: {cause}")
            );
        }
    }
}
