//! The table's schema: attribute names, the item's mapping in both directions, and every condition and update
//! expression that the registry sends. One item holds all of one workspace, so that DynamoDB itself serialises
//! the races: there is no index, no scan and no transaction.
//!
//! Conditions say what must be, never what must not: with an attribute missing or mistyped, `<>` and `NOT` are
//! true and would fail open.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;

use crate::guard::{CANCEL, Registration, RevokeRequest, hand_over_kind};
use crate::id::{OperationId, WorkspaceId};
use crate::time::Now;
use crate::token::TokenHash;
use crate::workspace::{
    ApiToken, Compute, Epoch, LastOperation, Owner, OwnerHash, Profile, RegisteredBy, Status, Successor,
    Workspace,
};

/// The table's attributes.
pub mod attribute {
    #![allow(missing_docs, reason = "each is documented at the field of `Workspace` that it holds")]
    pub const WORKSPACE_ID: &str = "workspace_id";
    pub const STATUS: &str = "status";
    pub const NAME: &str = "name";
    pub const ROLE: &str = "role";
    pub const TIER: &str = "tier";
    pub const RUNTIME: &str = "runtime";
    pub const EXTERNAL: &str = "external";
    pub const PARENT_ID: &str = "parent_id";
    pub const COMPUTE: &str = "compute";
    pub const INSTANCE_TYPE: &str = "instance_type";
    pub const VOLUME_ROOT_GB: &str = "volume_root_gb";
    pub const URL: &str = "url";
    pub const AGENT_CARD: &str = "agent_card";
    pub const CREATED_AT: &str = "created_at";
    pub const CREATED_OP: &str = "created_op";
    pub const REGISTERED_AT: &str = "registered_at";
    pub const REGISTERED_BY: &str = "registered_by";
    pub const REVOKED_AT: &str = "revoked_at";
    pub const EPOCH: &str = "epoch";
    pub const OWNER_HASH: &str = "owner_hash";
    pub const OWNER_PREFIX: &str = "owner_prefix";
    pub const OWNER_MINTED_AT: &str = "owner_minted_at";
    pub const OWNER_EPOCH: &str = "owner_epoch";
    pub const PREVIOUS_OWNER_HASH: &str = "previous_owner_hash";
    pub const API_TOKENS: &str = "api_tokens";
    pub const PREFIX: &str = "prefix";
    pub const MINTED_AT: &str = "minted_at";
    pub const SUCCESSOR_HASH: &str = "successor_hash";
    pub const SUCCESSOR_EXPIRES: &str = "successor_expires";
    pub const LAST_OP_ID: &str = "last_op_id";
    pub const LAST_OP_KIND: &str = "last_op_kind";
    pub const LAST_OP_EPOCH: &str = "last_op_epoch";
}
use attribute::*;

/// An item as the SDK carries it.
pub type Item = HashMap<String, AttributeValue>;

/// Attributes whose names are [reserved words](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ReservedWords.html):
/// in an expression they go by an alias (`#url`). The others stand for themselves, which keeps requests short.
const RESERVED: [&str; 2] = [STATUS, URL];

/// One UpdateItem: its expressions and what they refer to. It has no `Debug`: there are hashes in it.
#[derive(Clone)]
pub struct Update {
    set: Vec<String>,
    remove: Vec<String>,
    condition: String,
    names: HashMap<String, String>,
    values: Item,
    epoch: Option<Epoch>,
}

impl Update {
    /// The owner's registration, the common path, decided by the store itself: on the condition that the presented
    /// hash is the live owner's.
    pub fn refresh(presented: &TokenHash, registration: &Registration<'_>, now: Now) -> Self {
        let mut update =
            Self::new("attribute_exists(epoch) AND #status IN (:s0, :s1, :s2) AND owner_hash = :presented");
        for (position, status) in Status::LIVE.iter().enumerate() {
            update.value(&format!("s{position}"), text(status.as_str()));
        }
        update.value("presented", text(presented.as_str()));
        // It stays as it is; set, it is among the updated attributes that the store answers with.
        update.set.push("epoch = epoch".to_owned());
        update.registration(registration, RegisteredBy::Owner, now);
        update
    }

    /// An API token's registration: it changes nothing about who may do what, so the epoch stays.
    pub fn refresh_by_api_token(
        seen: &Workspace,
        presented: &TokenHash,
        registration: &Registration<'_>,
        now: Now,
    ) -> Self {
        let mut update = Self::as_seen(seen, " AND attribute_exists(api_tokens.#presented)");
        update.alias("presented", presented.as_str());
        update.registration(registration, RegisteredBy::Api, now);
        update
    }

    /// A claim: the caller becomes the owner of a workspace that has none. A hand-over that has expired goes.
    pub fn claim(
        seen: &Workspace,
        hash: &TokenHash,
        prefix: Option<&str>,
        registration: &Registration<'_>,
        now: Now,
    ) -> Self {
        let mut update = Self::fenced(seen);
        update.new_owner(seen, hash, prefix, now).registration(registration, RegisteredBy::Owner, now);
        update
    }

    /// A take-over: the successor becomes the owner and the owner before it ends, in this one write.
    pub fn take_over(
        seen: &Workspace,
        successor: &TokenHash,
        registration: &Registration<'_>,
        now: Now,
    ) -> Self {
        let mut update = Self::fenced(seen);
        update.remember_owner(seen);
        update.new_owner(seen, successor, None, now).registration(registration, RegisteredBy::Owner, now);
        update
    }

    /// One more API token.
    pub fn mint(seen: &Workspace, hash: &TokenHash, prefix: Option<&str>, now: Now) -> Self {
        let mut update = Self::fenced(seen);
        update.alias("token", hash.as_str());
        let token = ApiToken { prefix: prefix.map(str::to_owned), minted_at: now.rfc3339() };
        update.value("token", api_token_to_attribute(&token));
        update.set.push("api_tokens.#token = :token".to_owned());
        update
    }

    /// The end of all tokens in scope, and of a hand-over unless the scope is the API tokens alone. With a successor,
    /// the claim is reserved for it in the same write.
    pub fn revoke(seen: &Workspace, request: &RevokeRequest, now: Now) -> Self {
        let mut update = Self::fenced(seen);
        if request.scope.ends_owner() {
            update.remember_owner(seen);
            for attribute in [OWNER_HASH, OWNER_PREFIX, OWNER_MINTED_AT, OWNER_EPOCH] {
                update.remove(attribute);
            }
            match &request.successor {
                Some(successor) => update.successor(successor),
                None => update.no_successor(),
            };
        }
        if request.scope.ends_api_tokens() {
            update.set(API_TOKENS, AttributeValue::M(HashMap::new()));
        }
        update.set(REVOKED_AT, text(now.rfc3339()));
        update.operation(seen, &request.operation.id, &request.kind());
        update
    }

    /// The naming of a successor. The owner keeps its token.
    pub fn hand_over(seen: &Workspace, successor: &Successor, id: &OperationId) -> Self {
        let mut update = Self::fenced(seen);
        update.successor(successor).operation(seen, id, &hand_over_kind(&successor.hash));
        update
    }

    /// The end of a hand-over. The owner stays the owner.
    pub fn cancel_hand_over(seen: &Workspace, id: &OperationId) -> Self {
        let mut update = Self::fenced(seen);
        update.no_successor().operation(seen, id, CANCEL);
        update
    }

    /// `SET …` and `REMOVE …`.
    pub fn expression(&self) -> String {
        let mut expression = format!("SET {}", self.set.join(", "));
        if !self.remove.is_empty() {
            expression.push_str(" REMOVE ");
            expression.push_str(&self.remove.join(", "));
        }
        expression
    }

    /// The condition on which the write is made.
    pub fn condition(&self) -> &str {
        &self.condition
    }

    /// What the `#` aliases stand for.
    pub fn names(&self) -> &HashMap<String, String> {
        &self.names
    }

    /// What the `:` placeholders stand for.
    pub fn values(&self) -> &Item {
        &self.values
    }

    /// What aliases and placeholders stand for, without a copy: an agent's card is among the values.
    pub(crate) fn into_names_and_values(self) -> (HashMap<String, String>, Item) {
        (self.names, self.values)
    }

    /// The workspace's epoch once this is written, when the write is decided on an epoch that was seen.
    pub fn epoch(&self) -> Option<Epoch> {
        self.epoch
    }

    fn new(condition: &str) -> Self {
        Self {
            set: Vec::new(),
            remove: Vec::new(),
            condition: condition.to_owned(),
            names: HashMap::new(),
            values: HashMap::new(),
            epoch: None,
        }
    }

    /// On the condition that the workspace is still at the epoch that was seen.
    fn as_seen(seen: &Workspace, and: &str) -> Self {
        let mut update = Self::new(&format!("attribute_exists(workspace_id) AND epoch = :seen{and}"));
        update.value("seen", number(seen.epoch.0));
        update.epoch = Some(seen.epoch);
        update
    }

    /// The fence: on the condition above, and moving the epoch, so that whatever else was decided on the same state
    /// can never land, however late.
    fn fenced(seen: &Workspace) -> Self {
        let mut update = Self::as_seen(seen, "");
        update.value("one", number(1)).set.push("epoch = epoch + :one".to_owned());
        update.epoch = Some(seen.epoch.next());
        update
    }

    fn new_owner(&mut self, seen: &Workspace, hash: &TokenHash, prefix: Option<&str>, now: Now) -> &mut Self {
        self.set(OWNER_HASH, text(hash.as_str()));
        match prefix {
            Some(prefix) => self.set(OWNER_PREFIX, text(prefix)),
            None => self.remove(OWNER_PREFIX),
        };
        self.set(OWNER_MINTED_AT, text(now.rfc3339()));
        self.set(OWNER_EPOCH, number(seen.epoch.next().0));
        self.no_successor()
    }

    fn successor(&mut self, Successor { hash, expires }: &Successor) -> &mut Self {
        self.set(SUCCESSOR_HASH, text(hash.as_str())).set(SUCCESSOR_EXPIRES, number(expires))
    }

    fn no_successor(&mut self) -> &mut Self {
        self.remove(SUCCESSOR_HASH).remove(SUCCESSOR_EXPIRES)
    }

    /// Remembers the operation, so that repeating it has one effect.
    fn operation(&mut self, seen: &Workspace, id: &OperationId, kind: &str) -> &mut Self {
        self.set(LAST_OP_ID, text(id.as_str()));
        self.set(LAST_OP_KIND, text(kind));
        self.set(LAST_OP_EPOCH, number(seen.epoch.next().0))
    }

    /// Keeps the hash of the owner that ends, so that it cannot be named again. A seal is no token.
    fn remember_owner(&mut self, seen: &Workspace) {
        if let Some(hash) = seen.owner.as_ref().and_then(|owner| owner.hash.token()) {
            self.set(PREVIOUS_OWNER_HASH, text(hash.as_str()));
        }
    }

    fn registration(&mut self, registration: &Registration<'_>, by: RegisteredBy, now: Now) -> &mut Self {
        match registration.url {
            Some(url) => self.set(URL, text(url)),
            None => self.remove(URL),
        };
        self.set(AGENT_CARD, text(registration.agent_card));
        self.set(STATUS, text(Status::Online.as_str()));
        self.set(REGISTERED_AT, text(now.rfc3339()));
        self.set(REGISTERED_BY, text(by.as_str()))
    }

    fn set(&mut self, attribute: &str, value: AttributeValue) -> &mut Self {
        let path = self.path(attribute);
        self.set.push(format!("{path} = :{attribute}"));
        self.value(attribute, value)
    }

    fn remove(&mut self, attribute: &str) -> &mut Self {
        let path = self.path(attribute);
        self.remove.push(path);
        self
    }

    /// The attribute as it is written in an expression.
    fn path(&mut self, attribute: &str) -> String {
        if !RESERVED.contains(&attribute) {
            return attribute.to_owned();
        }
        self.alias(attribute, attribute);
        format!("#{attribute}")
    }

    fn alias(&mut self, alias: &str, name: &str) -> &mut Self {
        self.names.insert(format!("#{alias}"), name.to_owned());
        self
    }

    fn value(&mut self, placeholder: &str, value: AttributeValue) -> &mut Self {
        self.values.insert(format!(":{placeholder}"), value);
        self
    }
}

/// An attribute of an item is missing, or is not what the schema says. Holds the attribute's name, never its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the item's attribute `{0}` is missing or not of its type")]
pub struct MalformedItem(pub &'static str);

/// The condition of a create.
pub const NOT_THERE: &str = "attribute_not_exists(workspace_id)";
/// A condition that no item meets, there or not.
pub const NEVER: &str = "attribute_exists(workspace_id) AND attribute_not_exists(workspace_id)";
/// A key that no workspace has: an id starts with a letter or a digit.
pub const NO_WORKSPACE: &str = "-";

/// The table's key.
pub fn key(id: &WorkspaceId) -> Item {
    HashMap::from([(WORKSPACE_ID.to_owned(), text(id.as_str()))])
}

/// The item that holds this workspace.
pub fn to_item(workspace: &Workspace) -> Item {
    let Workspace {
        id,
        status,
        profile,
        url,
        agent_card,
        created_at,
        created_op,
        registered_at,
        registered_by,
        revoked_at,
        epoch,
        owner,
        previous_owner,
        api_tokens,
        successor,
        last_operation,
    } = workspace;
    let Profile { name, role, tier, runtime, parent_id, external, compute } = profile;
    let api_tokens = api_tokens
        .iter()
        .map(|(hash, token)| (hash.as_str().to_owned(), api_token_to_attribute(token)))
        .collect();

    let mut item = Attributes::default();
    item.put(WORKSPACE_ID, text(id.as_str()));
    item.put(STATUS, text(status.as_str()));
    item.put(NAME, text(name));
    item.put_some(ROLE, role.as_ref().map(text));
    item.put_some(TIER, tier.map(number));
    item.put_some(RUNTIME, runtime.as_ref().map(text));
    item.put_some(PARENT_ID, parent_id.as_ref().map(text));
    item.put(EXTERNAL, AttributeValue::Bool(*external));
    item.put_some(COMPUTE, compute.as_ref().map(compute_to_attribute));
    item.put_some(URL, url.as_ref().map(text));
    item.put_some(AGENT_CARD, agent_card.as_ref().map(text));
    item.put(CREATED_AT, text(created_at));
    item.put(CREATED_OP, text(created_op));
    item.put_some(REGISTERED_AT, registered_at.as_ref().map(text));
    item.put_some(REGISTERED_BY, registered_by.map(|by| text(by.as_str())));
    item.put_some(REVOKED_AT, revoked_at.as_ref().map(text));
    item.put(EPOCH, number(epoch.0));
    if let Some(Owner { hash, prefix, minted_at, epoch }) = owner {
        item.put(OWNER_HASH, text(hash.as_str()));
        item.put_some(OWNER_PREFIX, prefix.as_ref().map(text));
        item.put(OWNER_MINTED_AT, text(minted_at));
        item.put(OWNER_EPOCH, number(epoch.0));
    }
    item.put_some(PREVIOUS_OWNER_HASH, previous_owner.as_ref().map(|hash| text(hash.as_str())));
    item.put(API_TOKENS, AttributeValue::M(api_tokens));
    if let Some(Successor { hash, expires }) = successor {
        item.put(SUCCESSOR_HASH, text(hash.as_str()));
        item.put(SUCCESSOR_EXPIRES, number(expires));
    }
    if let Some(LastOperation { id, kind, epoch }) = last_operation {
        item.put(LAST_OP_ID, text(id));
        item.put(LAST_OP_KIND, text(kind));
        item.put(LAST_OP_EPOCH, number(epoch.0));
    }
    item.0
}

/// The workspace that this item holds. Attributes that the schema does not know are left alone; a removed workspace
/// need not hold more than its key and status.
///
/// # Errors
/// [`MalformedItem`] names the first attribute that is missing or not of its type. Nothing is decided on such an
/// item.
pub fn from_item(item: &Item) -> Result<Workspace, MalformedItem> {
    let status = required(STATUS, text_of(item, STATUS)?)?;
    let status = Status::ALL.into_iter().find(|known| known.as_str() == status);
    let status = required(STATUS, status)?;
    if status == Status::Removed {
        return removed(item);
    }
    Ok(Workspace {
        id: id_of(item)?,
        status,
        profile: Profile {
            name: required(NAME, text_of(item, NAME)?)?,
            role: text_of(item, ROLE)?,
            tier: number_of(item, TIER)?,
            runtime: text_of(item, RUNTIME)?,
            parent_id: text_of(item, PARENT_ID)?,
            external: required(EXTERNAL, bool_of(item, EXTERNAL)?)?,
            compute: compute_of(item)?,
        },
        url: text_of(item, URL)?,
        agent_card: text_of(item, AGENT_CARD)?,
        created_at: required(CREATED_AT, text_of(item, CREATED_AT)?)?,
        created_op: required(CREATED_OP, text_of(item, CREATED_OP)?)?,
        registered_at: text_of(item, REGISTERED_AT)?,
        registered_by: registered_by_of(item)?,
        revoked_at: text_of(item, REVOKED_AT)?,
        epoch: epoch_of(item)?,
        owner: owner_of(item)?,
        previous_owner: hash_of(item, PREVIOUS_OWNER_HASH)?,
        api_tokens: api_tokens_of(item)?,
        successor: successor_of(item)?,
        last_operation: last_operation_of(item)?,
    })
}

/// The epoch alone, for a write whose answer needs nothing else.
///
/// # Errors
/// [`MalformedItem`] when it is missing or no number.
pub fn epoch_of(item: &Item) -> Result<Epoch, MalformedItem> {
    Ok(Epoch(required(EPOCH, number_of(item, EPOCH)?)?))
}

fn removed(item: &Item) -> Result<Workspace, MalformedItem> {
    Ok(Workspace::new(id_of(item)?, Status::Removed, Profile::default(), String::new(), String::new()))
}

fn id_of(item: &Item) -> Result<WorkspaceId, MalformedItem> {
    let id = required(WORKSPACE_ID, text_of(item, WORKSPACE_ID)?)?;
    required(WORKSPACE_ID, WorkspaceId::parse(&id))
}

fn owner_of(item: &Item) -> Result<Option<Owner>, MalformedItem> {
    let Some(hash) = text_of(item, OWNER_HASH)? else {
        return none_of(item, OWNER_HASH, &[OWNER_PREFIX, OWNER_MINTED_AT, OWNER_EPOCH]);
    };
    let hash = if hash == OwnerHash::SEALED {
        OwnerHash::Sealed
    } else {
        OwnerHash::Token(required(OWNER_HASH, TokenHash::parse(&hash))?)
    };
    Ok(Some(Owner {
        hash,
        prefix: text_of(item, OWNER_PREFIX)?,
        minted_at: required(OWNER_MINTED_AT, text_of(item, OWNER_MINTED_AT)?)?,
        epoch: Epoch(required(OWNER_EPOCH, number_of(item, OWNER_EPOCH)?)?),
    }))
}

fn registered_by_of(item: &Item) -> Result<Option<RegisteredBy>, MalformedItem> {
    let Some(by) = text_of(item, REGISTERED_BY)? else { return Ok(None) };
    let known = [RegisteredBy::Owner, RegisteredBy::Api].into_iter().find(|known| known.as_str() == by);
    required(REGISTERED_BY, known).map(Some)
}

fn api_tokens_of(item: &Item) -> Result<BTreeMap<TokenHash, ApiToken>, MalformedItem> {
    let tokens = required(API_TOKENS, map_of(item, API_TOKENS)?)?;
    let mut api_tokens = BTreeMap::new();
    for (hash, token) in tokens {
        let hash = required(API_TOKENS, TokenHash::parse(hash))?;
        let token = token.as_m().map_err(|_| MalformedItem(API_TOKENS))?;
        let token = ApiToken {
            prefix: text_of(token, PREFIX)?,
            minted_at: required(MINTED_AT, text_of(token, MINTED_AT)?)?,
        };
        api_tokens.insert(hash, token);
    }
    Ok(api_tokens)
}

fn successor_of(item: &Item) -> Result<Option<Successor>, MalformedItem> {
    let Some(hash) = hash_of(item, SUCCESSOR_HASH)? else {
        return none_of(item, SUCCESSOR_HASH, &[SUCCESSOR_EXPIRES]);
    };
    let expires = required(SUCCESSOR_EXPIRES, number_of(item, SUCCESSOR_EXPIRES)?)?;
    Ok(Some(Successor { hash, expires }))
}

fn last_operation_of(item: &Item) -> Result<Option<LastOperation>, MalformedItem> {
    let Some(id) = text_of(item, LAST_OP_ID)? else {
        return none_of(item, LAST_OP_ID, &[LAST_OP_KIND, LAST_OP_EPOCH]);
    };
    Ok(Some(LastOperation {
        id,
        kind: required(LAST_OP_KIND, text_of(item, LAST_OP_KIND)?)?,
        epoch: Epoch(required(LAST_OP_EPOCH, number_of(item, LAST_OP_EPOCH)?)?),
    }))
}

fn compute_of(item: &Item) -> Result<Option<Compute>, MalformedItem> {
    let Some(compute) = map_of(item, COMPUTE)? else { return Ok(None) };
    Ok(Some(Compute {
        instance_type: text_of(compute, INSTANCE_TYPE)?,
        volume_root_gb: number_of(compute, VOLUME_ROOT_GB)?,
    }))
}

fn compute_to_attribute(compute: &Compute) -> AttributeValue {
    let mut map = Attributes::default();
    map.put_some(INSTANCE_TYPE, compute.instance_type.as_ref().map(text));
    map.put_some(VOLUME_ROOT_GB, compute.volume_root_gb.map(number));
    AttributeValue::M(map.0)
}

fn api_token_to_attribute(token: &ApiToken) -> AttributeValue {
    let mut map = Attributes::default();
    map.put_some(PREFIX, token.prefix.as_ref().map(text));
    map.put(MINTED_AT, text(&token.minted_at));
    AttributeValue::M(map.0)
}

#[derive(Default)]
struct Attributes(Item);

impl Attributes {
    fn put(&mut self, attribute: &str, value: AttributeValue) {
        self.0.insert(attribute.to_owned(), value);
    }

    fn put_some(&mut self, attribute: &str, value: Option<AttributeValue>) {
        if let Some(value) = value {
            self.put(attribute, value);
        }
    }
}

fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn required<T>(attribute: &'static str, value: Option<T>) -> Result<T, MalformedItem> {
    value.ok_or(MalformedItem(attribute))
}

/// Nothing, where none of what goes with a missing attribute is left. A part alone is no "no": an owner whose hash was
/// lost must not open the door.
fn none_of<T>(item: &Item, missing: &'static str, others: &[&str]) -> Result<Option<T>, MalformedItem> {
    let is_left = others.iter().any(|other| item.contains_key(*other));
    if is_left { Err(MalformedItem(missing)) } else { Ok(None) }
}

fn text_of(item: &Item, attribute: &'static str) -> Result<Option<String>, MalformedItem> {
    let Some(value) = item.get(attribute) else { return Ok(None) };
    value.as_s().map(|text| Some(text.clone())).map_err(|_| MalformedItem(attribute))
}

fn number_of<T: std::str::FromStr>(item: &Item, attribute: &'static str) -> Result<Option<T>, MalformedItem> {
    let Some(value) = item.get(attribute) else { return Ok(None) };
    let number = value.as_n().map_err(|_| MalformedItem(attribute))?;
    number.parse().map(Some).map_err(|_| MalformedItem(attribute))
}

fn bool_of(item: &Item, attribute: &'static str) -> Result<Option<bool>, MalformedItem> {
    let Some(value) = item.get(attribute) else { return Ok(None) };
    value.as_bool().map(|bool| Some(*bool)).map_err(|_| MalformedItem(attribute))
}

fn map_of<'a>(item: &'a Item, attribute: &'static str) -> Result<Option<&'a Item>, MalformedItem> {
    let Some(value) = item.get(attribute) else { return Ok(None) };
    value.as_m().map(Some).map_err(|_| MalformedItem(attribute))
}

fn hash_of(item: &Item, attribute: &'static str) -> Result<Option<TokenHash>, MalformedItem> {
    let Some(hash) = text_of(item, attribute)? else { return Ok(None) };
    required(attribute, TokenHash::parse(&hash)).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::{Operation, RevokeScope};

    fn full() -> Workspace {
        let hash = |word| TokenHash::of(word);
        Workspace {
            id: WorkspaceId::parse("w-1").unwrap(),
            status: Status::Online,
            profile: Profile {
                name: "name".to_owned(),
                role: Some("role".to_owned()),
                tier: Some(255),
                runtime: Some("runtime".to_owned()),
                parent_id: Some("parent".to_owned()),
                external: true,
                compute: Some(Compute {
                    instance_type: Some("t4g.small".to_owned()),
                    volume_root_gb: Some(65_536),
                }),
            },
            url: Some("https://a.example".to_owned()),
            agent_card: Some("{}".to_owned()),
            created_at: "2026-01-01T00:00:00.000Z".to_owned(),
            created_op: "request".to_owned(),
            registered_at: Some("2026-01-02T00:00:00.000Z".to_owned()),
            registered_by: Some(RegisteredBy::Api),
            revoked_at: Some("2026-01-03T00:00:00.000Z".to_owned()),
            epoch: Epoch(u64::MAX),
            owner: Some(Owner {
                hash: OwnerHash::Token(hash("owner")),
                prefix: Some("wsr_00000000".to_owned()),
                minted_at: "2026-01-04T00:00:00.000Z".to_owned(),
                epoch: Epoch(9),
            }),
            previous_owner: Some(hash("previous")),
            api_tokens: [
                (hash("a"), ApiToken { prefix: Some("wsr_00000001".to_owned()), minted_at: "t".to_owned() }),
                (hash("b"), ApiToken { prefix: None, minted_at: "t".to_owned() }),
            ]
            .into(),
            successor: Some(Successor { hash: hash("successor"), expires: 1_772_366_400 }),
            last_operation: Some(LastOperation {
                id: "op".to_owned(),
                kind: "revoke:all".to_owned(),
                epoch: Epoch(8),
            }),
        }
    }

    fn least() -> Workspace {
        let Workspace { id, profile, created_at, created_op, .. } = full();
        let profile = Profile { name: profile.name, ..Profile::default() };
        Workspace::new(id, Status::Provisioning, profile, created_at, created_op)
    }

    #[test]
    fn an_item_holds_all_of_a_workspace() {
        let sealed = Owner { hash: OwnerHash::Sealed, prefix: None, ..full().owner.unwrap() };
        let sealed = Workspace { owner: Some(sealed), ..full() };
        for workspace in [full(), least(), sealed] {
            assert_eq!(from_item(&to_item(&workspace)).unwrap(), workspace);
        }
        assert_eq!(least().api_tokens.len(), 0);
        assert!(to_item(&least()).contains_key(API_TOKENS), "never absent");
    }

    #[test]
    fn an_attribute_of_another_type_is_named() {
        let item = to_item(&full());
        for attribute in item.keys() {
            let mut mistyped = item.clone();
            mistyped.insert(attribute.clone(), AttributeValue::Ss(vec!["x".to_owned()]));
            let error = from_item(&mistyped).unwrap_err();
            assert_eq!(error.0, attribute);
        }
    }

    #[test]
    fn a_missing_attribute_that_must_be_there_is_named() {
        let item = to_item(&full());
        let required = [
            WORKSPACE_ID,
            STATUS,
            NAME,
            EXTERNAL,
            CREATED_AT,
            CREATED_OP,
            EPOCH,
            API_TOKENS,
            OWNER_HASH,
            OWNER_MINTED_AT,
            OWNER_EPOCH,
            SUCCESSOR_HASH,
            SUCCESSOR_EXPIRES,
            LAST_OP_ID,
            LAST_OP_KIND,
            LAST_OP_EPOCH,
        ];
        for attribute in item.keys() {
            let mut without = item.clone();
            without.remove(attribute);
            let named = from_item(&without).err().map(|error| error.0);
            assert_eq!(named, required.into_iter().find(|required| required == attribute));
        }
    }

    /// What is left of an owner, a hand-over or an operation is never read as none.
    #[test]
    fn g7_a_part_alone_is_malformed() {
        for (lost, parts) in [
            (OWNER_HASH, &[OWNER_PREFIX, OWNER_MINTED_AT, OWNER_EPOCH][..]),
            (SUCCESSOR_HASH, &[SUCCESSOR_EXPIRES]),
            (LAST_OP_ID, &[LAST_OP_KIND, LAST_OP_EPOCH]),
        ] {
            for part in parts {
                let mut item = to_item(&least());
                item.insert((*part).to_owned(), to_item(&full())[*part].clone());
                assert_eq!(from_item(&item).unwrap_err().0, lost, "{part}");
            }
        }
    }

    #[test]
    fn a_value_that_cannot_be_is_refused() {
        for (attribute, value) in [
            (STATUS, text("asleep")),
            (REGISTERED_BY, text("nobody")),
            (OWNER_HASH, text("SEALED")),
            (PREVIOUS_OWNER_HASH, text(OwnerHash::SEALED)),
            (SUCCESSOR_HASH, text("")),
            (EPOCH, number("-1")),
            (EPOCH, number("1.5")),
            (WORKSPACE_ID, text("a/b")),
            (API_TOKENS, AttributeValue::M([("x".to_owned(), text("y"))].into())),
        ] {
            let mut item = to_item(&full());
            item.insert(attribute.to_owned(), value.clone());
            assert_eq!(from_item(&item).unwrap_err().0, attribute, "{value:?}");
        }
    }

    #[test]
    fn g10_a_tombstone_is_removed_whatever_else_it_holds() {
        let tombstone: Item =
            [(WORKSPACE_ID.to_owned(), text("w-1")), (STATUS.to_owned(), text(Status::Removed.as_str()))]
                .into();
        assert_eq!(from_item(&tombstone).unwrap().status, Status::Removed);
        let with_tokens = from_item(&to_item(&Workspace { status: Status::Removed, ..full() })).unwrap();
        assert!(with_tokens.owner.is_none() && with_tokens.api_tokens.is_empty());
    }

    /// DynamoDB refuses an update that touches a path twice, or refers to what is not defined, or defines what is not
    /// referred to.
    #[test]
    fn every_update_is_well_formed() {
        let now = Now::from_epoch_seconds(0).unwrap();
        let (hash, operation) = (TokenHash::of("new"), OperationId::parse("op-2").unwrap());
        let successor = Successor { hash: hash.clone(), expires: 1 };
        let mut updates = Vec::new();
        for seen in [full(), least()] {
            for url in [None, Some("https://b.example")] {
                let registration = Registration { url, agent_card: "{}" };
                updates.push(Update::refresh(&hash, &registration, now));
                updates.push(Update::refresh_by_api_token(&seen, &hash, &registration, now));
                updates.push(Update::take_over(&seen, &hash, &registration, now));
                for prefix in [None, Some("wsr_00000002")] {
                    updates.push(Update::claim(&seen, &hash, prefix, &registration, now));
                    updates.push(Update::mint(&seen, &hash, prefix, now));
                }
            }
            for scope in RevokeScope::ALL {
                for successor in [None, Some(successor.clone())] {
                    let operation = Operation { id: operation.clone(), expected_epoch: None };
                    let request = RevokeRequest { scope, successor, operation };
                    updates.push(Update::revoke(&seen, &request, now));
                }
            }
            updates.push(Update::hand_over(&seen, &successor, &operation));
            updates.push(Update::cancel_hand_over(&seen, &operation));
        }
        for update in updates {
            let mut paths: Vec<_> = update.set.iter().filter_map(|set| set.split(" = ").next()).collect();
            paths.extend(update.remove.iter().map(String::as_str));
            let count = paths.len();
            paths.sort_unstable();
            paths.dedup();
            assert_eq!(paths.len(), count, "{}", update.expression());
            let whole = format!("{} {}", update.expression(), update.condition());
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '#' || c == ':';
            let words: Vec<_> = whole.split(|c| !is_part(c)).collect();
            let used = |mark: char| -> std::collections::BTreeSet<String> {
                words.iter().filter(|word| word.starts_with(mark)).map(|word| (*word).to_owned()).collect()
            };
            assert!(!words.iter().any(|word| RESERVED.contains(word)), "{whole}");
            assert_eq!(used('#'), update.names().keys().cloned().collect(), "{whole}");
            assert_eq!(used(':'), update.values().keys().cloned().collect(), "{whole}");
            assert!(update.condition().starts_with("attribute_exists("), "{whole}");
        }
    }
}
