//! Reads of many items: several workspaces with their presence in one consistent read, and the ids of a workspace's children.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use domain::id::WorkspaceId;
use domain::presence::Presence;
use domain::workspace::Stored;

use crate::table::item::attribute::{PARENT_KEY, WORKSPACE_ID};
use crate::table::item::{self, BY_PARENT, Item, MalformedItem};
use crate::table::store::{Store, StoreError, unavailable};

const BATCH_GET: &str = "BatchGetItem";
const QUERY: &str = "Query";
/// How often DynamoDB is asked for the keys that it leaves unprocessed.
pub const BATCH_ATTEMPTS: usize = 3;
/// How long to wait before that: DynamoDB leaves out keys whose partition is busy.
const UNPROCESSED_BACKOFF: Duration = Duration::from_millis(50);
/// How many keys one BatchGetItem may name.
const BATCH_KEYS: usize = 100;

/// A workspace and its presence, as they were read.
#[derive(Debug)]
pub struct Read {
    /// The workspace, if there is one.
    pub stored: Option<Stored>,
    /// Its last heartbeat, if there was one.
    pub presence: Option<Presence>,
}

impl Store {
    /// One strongly consistent read of a workspace and its presence.
    ///
    /// # Errors
    /// [`StoreError`] when there was no usable response, or when DynamoDB left out an item in every one of
    /// [`BATCH_ATTEMPTS`] responses.
    pub async fn get_with_presence(&self, id: &WorkspaceId) -> Result<Read, StoreError> {
        let mut items = self.batch_get(vec![item::key(id), item::presence_key(id)]).await?;
        Ok(items.take_with_presence(id)?)
    }

    /// One strongly consistent read of a workspace with its presence, and of another workspace without.
    ///
    /// # Errors
    /// Those of [`Self::get_with_presence`].
    pub async fn get_with_another(
        &self,
        id: &WorkspaceId,
        another: &WorkspaceId,
    ) -> Result<(Read, Option<Stored>), StoreError> {
        let keys = vec![item::key(id), item::presence_key(id), item::key(another)];
        let mut items = self.batch_get(keys).await?;
        let another = items.take(another)?;
        Ok((items.take_with_presence(id)?, another))
    }

    /// Strongly consistent reads of these workspaces with their presence, in this order. Each workspace is read together with
    /// its presence.
    ///
    /// # Errors
    /// Those of [`Self::get_with_presence`].
    pub async fn get_all(&self, ids: &[WorkspaceId]) -> Result<Vec<Read>, StoreError> {
        let mut read = Vec::with_capacity(ids.len());
        for ids in ids.chunks(BATCH_KEYS / 2) {
            let keys = ids.iter().flat_map(|id| [item::key(id), item::presence_key(id)]).collect();
            let mut items = self.batch_get(keys).await?;
            for id in ids {
                let item = items.take_with_presence(id).inspect_err(|_| {
                    // The line that reports the failure names the workspace that was asked about.
                    tracing::error!(malformed = id.as_str(), "an item of a list is malformed");
                })?;
                read.push(item);
            }
        }
        Ok(read)
    }

    /// The ids of a workspace's children, or of the roots, in their order: at most `limit`, all of them after `after`. They come
    /// from an index, which is eventually consistent: a child that was just created may be missing.
    ///
    /// # Errors
    /// [`StoreError`] when there was no usable response.
    pub async fn children(
        &self,
        parent: Option<&WorkspaceId>,
        after: Option<&WorkspaceId>,
        limit: usize,
    ) -> Result<Vec<WorkspaceId>, StoreError> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(BY_PARENT)
            .expression_attribute_names("#parent_key", PARENT_KEY)
            .expression_attribute_values(":parent", item::parent_key(parent));
        let query = match after {
            Some(after) => query
                .key_condition_expression("#parent_key = :parent AND #workspace_id > :after")
                .expression_attribute_names("#workspace_id", WORKSPACE_ID)
                .expression_attribute_values(":after", AttributeValue::S(after.as_str().to_owned())),
            None => query.key_condition_expression("#parent_key = :parent"),
        };
        let (mut ids, mut start) = (Vec::with_capacity(limit), None);
        loop {
            // A page has 1 MB. DynamoDB Local counts whole items, not only their keys.
            let wanted = i32::try_from(limit.saturating_sub(ids.len())).unwrap_or(i32::MAX);
            let page = query.clone().limit(wanted).set_exclusive_start_key(start).send().await;
            let page = page.map_err(|error| unavailable(QUERY, &error))?;
            for item in page.items() {
                ids.push(item::id_of(item)?);
            }
            start = page.last_evaluated_key;
            if start.is_none() || ids.len() >= limit {
                return Ok(ids);
            }
        }
    }

    /// One strongly consistent BatchGetItem. DynamoDB may leave keys unprocessed; it is asked for those again.
    async fn batch_get(&self, keys: Vec<Item>) -> Result<Items, StoreError> {
        let mut items = Items::default();
        let mut keys = keys;
        for attempt in 0..BATCH_ATTEMPTS {
            if keys.is_empty() {
                break;
            }
            if attempt > 0 {
                // To the SDK this is no error, so it does not wait.
                tokio::time::sleep(UNPROCESSED_BACKOFF).await;
            }
            let wanted = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true).build();
            let wanted = wanted.map_err(|_| failed("the request could not be built"))?;
            let response = self
                .client
                .batch_get_item()
                .request_items(&self.table, wanted)
                .send()
                .await
                .map_err(|error| unavailable(BATCH_GET, &error))?;
            // The table may go by its name or its ARN. The request names one table only.
            items.extend(response.responses.unwrap_or_default().into_values().flatten());
            keys = response
                .unprocessed_keys
                .unwrap_or_default()
                .into_values()
                .flat_map(|left| left.keys)
                .collect();
        }
        if keys.is_empty() { Ok(items) } else { Err(failed("keys stayed unprocessed")) }
    }
}

/// Items by their key.
#[derive(Default)]
struct Items(HashMap<String, Item>);

impl Items {
    fn extend(&mut self, items: impl Iterator<Item = Item>) {
        for item in items {
            if let Some(Ok(key)) = item.get(WORKSPACE_ID).map(AttributeValue::as_s) {
                self.0.insert(key.clone(), item);
            }
        }
    }

    fn take(&mut self, id: &WorkspaceId) -> Result<Option<Stored>, MalformedItem> {
        self.0.remove(id.as_str()).as_ref().map(item::from_item).transpose()
    }

    fn take_with_presence(&mut self, id: &WorkspaceId) -> Result<Read, MalformedItem> {
        let presence = self.0.remove(&item::presence_id(id));
        let presence = presence.as_ref().map(item::presence_from_item).transpose()?;
        Ok(Read { stored: self.take(id)?, presence })
    }
}

fn failed(cause: &str) -> StoreError {
    StoreError::Unavailable { request: BATCH_GET, cause: cause.to_owned() }
}
