//! The table's attributes, and the mapping between an item and a workspace. One item holds everything about one workspace,
//! so that DynamoDB itself serialises the writes: there is no scan and no transaction.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use domain::agent_card::AgentCard;
use domain::agent_url::AgentUrl;
use domain::id::{CommandId, WorkspaceId};
use domain::presence::{Presence, Report};
use domain::time::Timestamp;
use domain::token::{TokenHash, TokenId, TokenPrefix};
use domain::tree::Ancestors;
use domain::workspace::{
    ApiToken, CommandKind, Compute, Epoch, LastCommand, NamedBy, Owner, OwnerHash, Profile, RegisteredBy,
    RevokeScope, Status, Stored, Successor, TokenName, Tombstone, Workspace,
};

/// The table's attributes.
pub mod attribute {
    #![allow(missing_docs, reason = "the fields of `Workspace` say what each holds")]
    pub const WORKSPACE_ID: &str = "workspace_id";
    pub const STATUS: &str = "status";
    pub const NAME: &str = "name";
    pub const ROLE: &str = "role";
    pub const TIER: &str = "tier";
    pub const RUNTIME: &str = "runtime";
    pub const EXTERNAL: &str = "external";
    pub const PARENT_ID: &str = "parent_id";
    pub const ANCESTORS: &str = "ancestors";
    pub const PARENT_KEY: &str = "parent_key";
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
    pub const EXPIRES: &str = "expires";
    pub const SUCCESSOR_HASH: &str = "successor_hash";
    pub const SUCCESSOR_PREFIX: &str = "successor_prefix";
    pub const SUCCESSOR_BY: &str = "successor_by";
    pub const SUCCESSOR_EXPIRES: &str = "successor_expires";
    pub const LAST_OP_ID: &str = "last_op_id";
    pub const LAST_OP_KIND: &str = "last_op_kind";
    pub const LAST_OP_EPOCH: &str = "last_op_epoch";
    pub const BEAT_AT: &str = "beat_at";
    pub const REPORT: &str = "report";
}
use attribute::*;

/// The index by which a workspace's children are found: `parent_key` and `workspace_id`, keys only. No write but a create and a
/// removal changes it.
pub const BY_PARENT: &str = "by-parent";
/// The `parent_key` of roots. No workspace has this id: an id starts with a letter or a digit.
const NO_PARENT: &str = "-";
/// The status of a tombstone.
pub const REMOVED: &str = "removed";
/// What a removal takes away: every token, hand-over, URL and card, what the creator said about the agent, and the place in the
/// index. The id, name, parent, ancestors and times stay.
pub const GONE_WHEN_REMOVED: &[&str] = &[
    ROLE,
    TIER,
    RUNTIME,
    EXTERNAL,
    PARENT_KEY,
    COMPUTE,
    URL,
    AGENT_CARD,
    CREATED_OP,
    REGISTERED_BY,
    OWNER_HASH,
    OWNER_PREFIX,
    OWNER_MINTED_AT,
    OWNER_EPOCH,
    PREVIOUS_OWNER_HASH,
    API_TOKENS,
    SUCCESSOR_HASH,
    SUCCESSOR_PREFIX,
    SUCCESSOR_BY,
    SUCCESSOR_EXPIRES,
    LAST_OP_ID,
    LAST_OP_KIND,
    LAST_OP_EPOCH,
];

/// An item as the SDK represents it.
pub type Item = HashMap<String, AttributeValue>;

/// An attribute of an item is missing or mistyped. Nothing may be decided on such an item. Holds the attribute's name, never
/// its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the item's attribute `{0}` is missing or not of its type")]
pub struct MalformedItem(pub &'static str);

/// A workspace's key.
pub fn key(id: &WorkspaceId) -> Item {
    HashMap::from([(WORKSPACE_ID.to_owned(), text(id.as_str()))])
}

/// The item that stores this workspace.
pub fn to_item(workspace: &Workspace) -> Item {
    let Workspace {
        id,
        status,
        profile,
        ancestors,
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
        last_command,
    } = workspace;
    let Profile { name, role, tier, runtime, external, compute } = profile;
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
    item.put_some(PARENT_ID, ancestors.parent().map(|parent| text(parent.as_str())));
    item.put_some(ANCESTORS, ancestors.parent().map(|_| ids_to_attribute(ancestors.as_slice())));
    item.put(PARENT_KEY, parent_key(ancestors.parent()));
    item.put(EXTERNAL, AttributeValue::Bool(*external));
    item.put_some(COMPUTE, compute.as_ref().map(compute_to_attribute));
    item.put_some(URL, url.as_ref().map(|url| text(url.as_str())));
    item.put_some(AGENT_CARD, agent_card.as_ref().map(|card| text(card.as_str())));
    item.put(CREATED_AT, text(created_at.rfc3339()));
    item.put(CREATED_OP, text(created_op.as_str()));
    item.put_some(REGISTERED_AT, registered_at.map(|at| text(at.rfc3339())));
    item.put_some(REGISTERED_BY, registered_by.map(|by| text(by.as_str())));
    item.put_some(REVOKED_AT, revoked_at.map(|at| text(at.rfc3339())));
    item.put(EPOCH, number(epoch.0));
    if let Some(Owner { hash, prefix, minted_at, epoch }) = owner {
        item.put(OWNER_HASH, text(hash.as_str()));
        item.put_some(OWNER_PREFIX, prefix.as_ref().map(|prefix| text(prefix.as_str())));
        item.put(OWNER_MINTED_AT, text(minted_at.rfc3339()));
        item.put(OWNER_EPOCH, number(epoch.0));
    }
    item.put_some(PREVIOUS_OWNER_HASH, previous_owner.as_ref().map(|hash| text(hash.as_str())));
    item.put(API_TOKENS, AttributeValue::M(api_tokens));
    if let Some(Successor { hash, prefix, named_by, expires }) = successor {
        item.put(SUCCESSOR_HASH, text(hash.as_str()));
        item.put_some(SUCCESSOR_PREFIX, prefix.as_ref().map(|prefix| text(prefix.as_str())));
        item.put(SUCCESSOR_BY, text(named_by.as_str()));
        item.put(SUCCESSOR_EXPIRES, number(expires.epoch_seconds()));
    }
    if let Some(LastCommand { id, kind, epoch }) = last_command {
        item.put(LAST_OP_ID, text(id.as_str()));
        item.put(LAST_OP_KIND, text(command_kind_to_text(kind)));
        item.put(LAST_OP_EPOCH, number(epoch.0));
    }
    item.0
}

/// What a workspace's children have as `parent_key`, by which the index finds them; without a workspace, what the roots have.
pub fn parent_key(parent: Option<&WorkspaceId>) -> AttributeValue {
    text(parent.map_or(NO_PARENT, WorkspaceId::as_str))
}

/// The key of a workspace's presence. No workspace id contains `#`.
pub fn presence_key(id: &WorkspaceId) -> Item {
    HashMap::from([(WORKSPACE_ID.to_owned(), text(presence_id(id)))])
}

pub(super) fn presence_id(id: &WorkspaceId) -> String {
    format!("{id}#presence")
}

/// The item that stores a workspace's presence.
pub fn presence_to_item(id: &WorkspaceId, presence: &Presence) -> Item {
    let Presence { owner_epoch, beat_at, report } = presence;
    HashMap::from([
        (WORKSPACE_ID.to_owned(), text(presence_id(id))),
        (OWNER_EPOCH.to_owned(), number(owner_epoch.0)),
        (BEAT_AT.to_owned(), text(beat_at.rfc3339())),
        (REPORT.to_owned(), text(report.to_json())),
    ])
}

/// The presence that this item stores.
///
/// # Errors
/// [`MalformedItem`] names the first attribute that is missing or mistyped.
pub fn presence_from_item(item: &Item) -> Result<Presence, MalformedItem> {
    Ok(Presence {
        owner_epoch: Epoch(required(OWNER_EPOCH, number_of(item, OWNER_EPOCH)?)?),
        beat_at: required(BEAT_AT, time_of(item, BEAT_AT)?)?,
        report: required(REPORT, parsed(item, REPORT, Report::from_json)?)?,
    })
}

/// What this item stores. Ignores attributes that are not in the schema.
///
/// # Errors
/// [`MalformedItem`] names the first attribute that is missing or mistyped.
pub fn from_item(item: &Item) -> Result<Stored, MalformedItem> {
    let status = required(STATUS, text_of(item, STATUS)?)?;
    if status == REMOVED {
        return tombstone_of(item).map(Stored::Tombstone);
    }
    let status = Status::ALL.into_iter().find(|known| known.as_str() == status);
    let workspace = Workspace {
        id: id_of(item)?,
        status: required(STATUS, status)?,
        profile: Profile {
            name: required(NAME, text_of(item, NAME)?)?,
            role: text_of(item, ROLE)?,
            tier: number_of(item, TIER)?,
            runtime: text_of(item, RUNTIME)?,
            external: required(EXTERNAL, bool_of(item, EXTERNAL)?)?,
            compute: compute_of(item)?,
        },
        ancestors: ancestors_of(item)?,
        url: parsed(item, URL, |url| AgentUrl::from_stored(url.to_owned()))?,
        agent_card: text_of(item, AGENT_CARD)?.map(AgentCard::from_stored),
        created_at: required(CREATED_AT, time_of(item, CREATED_AT)?)?,
        created_op: required(CREATED_OP, parsed(item, CREATED_OP, CommandId::parse)?)?,
        registered_at: time_of(item, REGISTERED_AT)?,
        registered_by: parsed(item, REGISTERED_BY, |by| {
            RegisteredBy::ALL.into_iter().find(|known| known.as_str() == by)
        })?,
        revoked_at: time_of(item, REVOKED_AT)?,
        epoch: Epoch(required(EPOCH, number_of(item, EPOCH)?)?),
        owner: owner_of(item)?,
        previous_owner: parsed(item, PREVIOUS_OWNER_HASH, TokenHash::parse)?,
        api_tokens: api_tokens_of(item)?,
        successor: successor_of(item)?,
        last_command: last_command_of(item)?,
    };
    Ok(Stored::Workspace(Box::new(workspace)))
}

/// A tombstone need not hold more than its key and status.
fn tombstone_of(item: &Item) -> Result<Tombstone, MalformedItem> {
    let epoch = number_of(item, EPOCH)?.map_or(Epoch::FIRST, Epoch);
    Ok(Tombstone { id: id_of(item)?, epoch })
}

pub(super) fn id_of(item: &Item) -> Result<WorkspaceId, MalformedItem> {
    required(WORKSPACE_ID, parsed(item, WORKSPACE_ID, WorkspaceId::parse)?)
}

/// `parent_id` and `ancestors` are both there or neither, and the last ancestor is the parent.
fn ancestors_of(item: &Item) -> Result<Ancestors, MalformedItem> {
    let parent = parsed(item, PARENT_ID, WorkspaceId::parse)?;
    let Some(ids) = item.get(ANCESTORS) else {
        return if parent.is_none() { Ok(Ancestors::default()) } else { Err(MalformedItem(ANCESTORS)) };
    };
    let id = |value: &AttributeValue| WorkspaceId::parse(value.as_s().ok()?);
    let ids = ids.as_l().ok().and_then(|ids| ids.iter().map(id).collect::<Option<Vec<_>>>());
    let ancestors = required(ANCESTORS, ids.and_then(Ancestors::new))?;
    if parent.is_some() && ancestors.parent() == parent.as_ref() {
        Ok(ancestors)
    } else {
        Err(MalformedItem(PARENT_ID))
    }
}

fn ids_to_attribute(ids: &[WorkspaceId]) -> AttributeValue {
    AttributeValue::L(ids.iter().map(|id| text(id.as_str())).collect())
}

fn owner_of(item: &Item) -> Result<Option<Owner>, MalformedItem> {
    let hash = parsed(item, OWNER_HASH, |hash| {
        if hash == OwnerHash::SEALED {
            Some(OwnerHash::Sealed)
        } else {
            TokenHash::parse(hash).map(OwnerHash::Token)
        }
    })?;
    let Some(hash) = hash else {
        return absent_group(item, OWNER_HASH, &[OWNER_PREFIX, OWNER_MINTED_AT, OWNER_EPOCH]);
    };
    Ok(Some(Owner {
        hash,
        prefix: parsed(item, OWNER_PREFIX, TokenPrefix::parse)?,
        minted_at: required(OWNER_MINTED_AT, time_of(item, OWNER_MINTED_AT)?)?,
        epoch: Epoch(required(OWNER_EPOCH, number_of(item, OWNER_EPOCH)?)?),
    }))
}

fn api_tokens_of(item: &Item) -> Result<BTreeMap<TokenHash, ApiToken>, MalformedItem> {
    let tokens = required(API_TOKENS, map_of(item, API_TOKENS)?)?;
    let mut api_tokens = BTreeMap::new();
    for (hash, token) in tokens {
        let hash = required(API_TOKENS, TokenHash::parse(hash))?;
        let token = token.as_m().map_err(|_| MalformedItem(API_TOKENS))?;
        let token = ApiToken {
            prefix: parsed(token, PREFIX, TokenPrefix::parse)?,
            name: parsed(token, NAME, TokenName::parse)?,
            minted_at: required(MINTED_AT, time_of(token, MINTED_AT)?)?,
            expires: seconds_of(token, EXPIRES)?,
        };
        api_tokens.insert(hash, token);
    }
    Ok(api_tokens)
}

fn successor_of(item: &Item) -> Result<Option<Successor>, MalformedItem> {
    let Some(hash) = parsed(item, SUCCESSOR_HASH, TokenHash::parse)? else {
        return absent_group(item, SUCCESSOR_HASH, &[SUCCESSOR_PREFIX, SUCCESSOR_BY, SUCCESSOR_EXPIRES]);
    };
    let named_by = |by: &str| NamedBy::ALL.into_iter().find(|known| known.as_str() == by);
    Ok(Some(Successor {
        hash,
        prefix: parsed(item, SUCCESSOR_PREFIX, TokenPrefix::parse)?,
        named_by: required(SUCCESSOR_BY, parsed(item, SUCCESSOR_BY, named_by)?)?,
        expires: required(SUCCESSOR_EXPIRES, seconds_of(item, SUCCESSOR_EXPIRES)?)?,
    }))
}

fn last_command_of(item: &Item) -> Result<Option<LastCommand>, MalformedItem> {
    let Some(id) = parsed(item, LAST_OP_ID, CommandId::parse)? else {
        return absent_group(item, LAST_OP_ID, &[LAST_OP_KIND, LAST_OP_EPOCH]);
    };
    Ok(Some(LastCommand {
        id,
        kind: required(LAST_OP_KIND, parsed(item, LAST_OP_KIND, command_kind_from_text)?)?,
        epoch: Epoch(required(LAST_OP_EPOCH, number_of(item, LAST_OP_EPOCH)?)?),
    }))
}

/// For example `revoke:all`, or `hand_over:` and the successor's hash.
pub(super) fn command_kind_to_text(kind: &CommandKind) -> String {
    match kind {
        CommandKind::Revoke { scope, successor: None } => format!("revoke:{}", scope.as_str()),
        CommandKind::Revoke { scope, successor: Some(hash) } => {
            format!("revoke:{}:{}", scope.as_str(), hash.as_str())
        }
        CommandKind::HandOver { successor } => format!("hand_over:{}", successor.as_str()),
        CommandKind::CancelHandOver => "cancel_hand_over".to_owned(),
        CommandKind::EndToken { id } => format!("{END_TOKEN}{}", id.as_str()),
    }
}

const END_TOKEN: &str = "end_token:";

fn command_kind_from_text(text: &str) -> Option<CommandKind> {
    // An id may contain a colon.
    if let Some(id) = text.strip_prefix(END_TOKEN) {
        return TokenId::parse(id).map(|id| CommandKind::EndToken { id });
    }
    let mut parts = text.split(':');
    let kind = match parts.next()? {
        "revoke" => {
            let scope = parts.next()?;
            let scope = RevokeScope::ALL.into_iter().find(|known| known.as_str() == scope)?;
            let successor = match parts.next() {
                Some(hash) => Some(TokenHash::parse(hash)?),
                None => None,
            };
            CommandKind::Revoke { scope, successor }
        }
        "hand_over" => CommandKind::HandOver { successor: TokenHash::parse(parts.next()?)? },
        "cancel_hand_over" => CommandKind::CancelHandOver,
        _ => return None,
    };
    parts.next().is_none().then_some(kind)
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

pub(super) fn api_token_to_attribute(token: &ApiToken) -> AttributeValue {
    let mut map = Attributes::default();
    map.put_some(PREFIX, token.prefix.as_ref().map(|prefix| text(prefix.as_str())));
    map.put_some(NAME, token.name.as_ref().map(|name| text(name.as_str())));
    map.put(MINTED_AT, text(token.minted_at.rfc3339()));
    map.put_some(EXPIRES, token.expires.map(|expires| number(expires.epoch_seconds())));
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

pub(super) fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

pub(super) fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

fn required<T>(attribute: &'static str, value: Option<T>) -> Result<T, MalformedItem> {
    value.ok_or(MalformedItem(attribute))
}

/// `None` only if the whole group of attributes is absent. A partial group is malformed: an owner whose hash was lost must
/// not open the door.
fn absent_group<T>(item: &Item, missing: &'static str, others: &[&str]) -> Result<Option<T>, MalformedItem> {
    let is_partial = others.iter().any(|other| item.contains_key(*other));
    if is_partial { Err(MalformedItem(missing)) } else { Ok(None) }
}

fn parsed<T>(
    item: &Item,
    attribute: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, MalformedItem> {
    let Some(value) = item.get(attribute) else { return Ok(None) };
    let value = value.as_s().map_err(|_| MalformedItem(attribute))?;
    parse(value).map(Some).ok_or(MalformedItem(attribute))
}

fn text_of(item: &Item, attribute: &'static str) -> Result<Option<String>, MalformedItem> {
    parsed(item, attribute, |text| Some(text.to_owned()))
}

fn time_of(item: &Item, attribute: &'static str) -> Result<Option<Timestamp>, MalformedItem> {
    parsed(item, attribute, Timestamp::parse)
}

fn number_of<T: std::str::FromStr>(item: &Item, attribute: &'static str) -> Result<Option<T>, MalformedItem> {
    let Some(value) = item.get(attribute) else { return Ok(None) };
    let number = value.as_n().map_err(|_| MalformedItem(attribute))?;
    number.parse().map(Some).map_err(|_| MalformedItem(attribute))
}

/// A moment in seconds since the Unix epoch.
fn seconds_of(item: &Item, attribute: &'static str) -> Result<Option<Timestamp>, MalformedItem> {
    let Some(seconds) = number_of(item, attribute)? else { return Ok(None) };
    Timestamp::from_epoch_seconds(seconds).map(Some).ok_or(MalformedItem(attribute))
}

fn bool_of(item: &Item, attribute: &'static str) -> Result<Option<bool>, MalformedItem> {
    let Some(value) = item.get(attribute) else { return Ok(None) };
    value.as_bool().map(|bool| Some(*bool)).map_err(|_| MalformedItem(attribute))
}

fn map_of<'a>(item: &'a Item, attribute: &'static str) -> Result<Option<&'a Item>, MalformedItem> {
    let Some(value) = item.get(attribute) else { return Ok(None) };
    value.as_m().map(Some).map_err(|_| MalformedItem(attribute))
}

#[cfg(test)]
pub(super) mod tests {
    use domain::agent_url::AgentUrlPolicy;

    use super::*;

    fn time(day: u32) -> Timestamp {
        Timestamp::parse(&format!("2026-01-{day:02}T00:00:00.001Z")).unwrap()
    }

    pub(in crate::table) fn url(text: &str) -> AgentUrl {
        AgentUrlPolicy::Public.check(Some(text)).unwrap().unwrap()
    }

    /// A workspace that has everything.
    pub(in crate::table) fn full() -> Workspace {
        let prefix = |text| TokenPrefix::parse(text);
        Workspace {
            id: WorkspaceId::parse("w-1").unwrap(),
            status: Status::Online,
            profile: Profile {
                name: "name".to_owned(),
                role: Some("role".to_owned()),
                tier: Some(255),
                runtime: Some("runtime".to_owned()),
                external: true,
                compute: Some(Compute {
                    instance_type: Some("t4g.small".to_owned()),
                    volume_root_gb: Some(65_536),
                }),
            },
            ancestors: Ancestors::new(["root", "parent"].map(|id| WorkspaceId::parse(id).unwrap()).into())
                .unwrap(),
            url: Some(url("https://a.example")),
            agent_card: Some(AgentCard::parse("{}").unwrap()),
            created_at: time(1),
            created_op: CommandId::parse("request").unwrap(),
            registered_at: Some(time(2)),
            registered_by: Some(RegisteredBy::Api),
            revoked_at: Some(time(3)),
            epoch: Epoch(u64::MAX),
            owner: Some(Owner {
                hash: OwnerHash::Token(TokenHash::of("owner")),
                prefix: prefix("wsr_00000000"),
                minted_at: time(4),
                epoch: Epoch(9),
            }),
            previous_owner: Some(TokenHash::of("previous")),
            api_tokens: [
                (
                    TokenHash::of("a"),
                    ApiToken {
                        prefix: prefix("wsr_00000001"),
                        name: TokenName::parse("ci"),
                        minted_at: time(5),
                        expires: Timestamp::from_epoch_seconds(1_772_366_400),
                    },
                ),
                (
                    TokenHash::of("b"),
                    ApiToken { prefix: None, name: None, minted_at: time(6), expires: None },
                ),
            ]
            .into(),
            successor: Some(Successor {
                hash: TokenHash::of("successor"),
                prefix: prefix("wsr_00000002"),
                named_by: NamedBy::Owner,
                expires: Timestamp::from_epoch_seconds(1_772_366_400).unwrap(),
            }),
            last_command: Some(LastCommand {
                id: CommandId::parse("op").unwrap(),
                kind: CommandKind::CancelHandOver,
                epoch: Epoch(8),
            }),
        }
    }

    /// A workspace that has nothing but what it must have.
    pub(in crate::table) fn least() -> Workspace {
        let Workspace { id, profile, created_at, created_op, .. } = full();
        let profile = Profile { name: profile.name, ..Profile::default() };
        Workspace::new(id, Status::Provisioning, profile, created_at, created_op)
    }

    fn sealed() -> Workspace {
        let owner = Owner { hash: OwnerHash::Sealed, prefix: None, ..full().owner.unwrap() };
        Workspace { owner: Some(owner), ..full() }
    }

    #[test]
    fn an_item_holds_all_of_a_workspace() {
        for workspace in [full(), least(), sealed()] {
            let stored = from_item(&to_item(&workspace)).unwrap();
            assert_eq!(stored, Stored::Workspace(Box::new(workspace)));
        }
        assert!(to_item(&least()).contains_key(API_TOKENS), "never absent: a mint sets a path inside it");
        assert_eq!(key(&full().id), [(WORKSPACE_ID.to_owned(), text("w-1"))].into());
    }

    #[test]
    fn every_word_is_stored_and_read() {
        let round_trip = |workspace: Workspace| {
            assert_eq!(from_item(&to_item(&workspace)), Ok(Stored::Workspace(Box::new(workspace))));
        };
        for status in Status::ALL {
            round_trip(Workspace { status, ..full() });
        }
        for by in RegisteredBy::ALL {
            round_trip(Workspace { registered_by: Some(by), ..full() });
        }
        let successor = TokenHash::of("successor");
        let mut kinds =
            vec![CommandKind::CancelHandOver, CommandKind::HandOver { successor: successor.clone() }];
        for scope in RevokeScope::ALL {
            kinds.push(CommandKind::Revoke { scope, successor: None });
            kinds.push(CommandKind::Revoke { scope, successor: Some(successor.clone()) });
        }
        for hash in ["a", "b"].map(TokenHash::of) {
            let prefix = full().api_tokens[&hash].prefix.clone();
            kinds.push(CommandKind::EndToken { id: TokenId::of(&hash, prefix.as_ref()) });
        }
        for kind in kinds {
            let last = LastCommand { id: CommandId::parse("op").unwrap(), kind, epoch: Epoch(8) };
            round_trip(Workspace { last_command: Some(last), ..full() });
        }
    }

    /// Items in use hold these texts.
    #[test]
    fn the_kinds_of_commands_are_pinned() {
        let hash = TokenHash::of("x");
        let stored = |kind: &CommandKind| command_kind_to_text(kind).replace(hash.as_str(), "HASH");
        let revoke = |scope, successor| CommandKind::Revoke { scope, successor };
        assert_eq!(stored(&revoke(RevokeScope::All, None)), "revoke:all");
        assert_eq!(stored(&revoke(RevokeScope::Owner, None)), "revoke:owner");
        assert_eq!(stored(&revoke(RevokeScope::Api, None)), "revoke:api");
        assert_eq!(stored(&revoke(RevokeScope::All, Some(hash.clone()))), "revoke:all:HASH");
        assert_eq!(stored(&CommandKind::HandOver { successor: hash.clone() }), "hand_over:HASH");
        assert_eq!(stored(&CommandKind::CancelHandOver), "cancel_hand_over");
        let id = TokenId::of(&hash, None);
        assert_eq!(stored(&CommandKind::EndToken { id }), "end_token:sha256:2d711642b726b044");
    }

    #[test]
    fn a_mistyped_attribute_is_named() {
        let item = to_item(&full());
        // No decision reads the index's key.
        for attribute in item.keys().filter(|attribute| *attribute != PARENT_KEY) {
            let mut mistyped = item.clone();
            mistyped.insert(attribute.clone(), AttributeValue::Ss(vec!["x".to_owned()]));
            assert_eq!(from_item(&mistyped).unwrap_err().0, attribute);
        }
    }

    #[test]
    fn a_missing_attribute_is_named_if_it_is_required() {
        let item = to_item(&full());
        let required = [
            WORKSPACE_ID,
            STATUS,
            NAME,
            EXTERNAL,
            PARENT_ID,
            ANCESTORS,
            CREATED_AT,
            CREATED_OP,
            EPOCH,
            API_TOKENS,
            OWNER_HASH,
            OWNER_MINTED_AT,
            OWNER_EPOCH,
            SUCCESSOR_HASH,
            SUCCESSOR_BY,
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

    /// An owner, a hand-over or a command that is only partly there is never read as none.
    #[test]
    fn g7_a_partial_group_is_malformed() {
        for (lost, parts) in [
            (OWNER_HASH, &[OWNER_PREFIX, OWNER_MINTED_AT, OWNER_EPOCH][..]),
            (SUCCESSOR_HASH, &[SUCCESSOR_PREFIX, SUCCESSOR_BY, SUCCESSOR_EXPIRES]),
            (LAST_OP_ID, &[LAST_OP_KIND, LAST_OP_EPOCH]),
            (ANCESTORS, &[PARENT_ID]),
            (PARENT_ID, &[ANCESTORS]),
        ] {
            for part in parts {
                let mut item = to_item(&least());
                item.insert((*part).to_owned(), to_item(&full())[*part].clone());
                assert_eq!(from_item(&item).unwrap_err().0, lost, "{part}");
            }
        }
    }

    #[test]
    fn an_impossible_value_is_refused() {
        let hash = TokenHash::of("x");
        let kind = |kind: &str| (LAST_OP_KIND, text(kind.replace("HASH", hash.as_str())));
        for (attribute, value) in [
            (WORKSPACE_ID, text("a/b")),
            (STATUS, text("asleep")),
            (TIER, number("-1")),
            (PARENT_ID, text("root")),
            (PARENT_ID, text("")),
            (ANCESTORS, AttributeValue::L(vec![text("parent"), text("parent")])),
            (ANCESTORS, AttributeValue::L(vec![text("a b"), text("parent")])),
            (ANCESTORS, text("parent")),
            (URL, text("agent.example.com")),
            (URL, text("http://u:p@a.example")),
            (CREATED_AT, text("yesterday")),
            (CREATED_OP, text("")),
            (REGISTERED_AT, text("2026-01-01")),
            (REGISTERED_BY, text("nobody")),
            (REVOKED_AT, text("")),
            (EPOCH, number("-1")),
            (EPOCH, number("1.5")),
            (OWNER_HASH, text("SEALED")),
            (OWNER_PREFIX, text("wsr_0")),
            (PREVIOUS_OWNER_HASH, text(OwnerHash::SEALED)),
            (API_TOKENS, AttributeValue::M([("x".to_owned(), text("y"))].into())),
            (API_TOKENS, AttributeValue::M([(hash.as_str().to_owned(), text("y"))].into())),
            (SUCCESSOR_HASH, text("")),
            (SUCCESSOR_PREFIX, text("wsr_0")),
            (SUCCESSOR_BY, text("somebody")),
            (SUCCESSOR_EXPIRES, number("9999999999999")),
            (LAST_OP_ID, text("a b")),
            kind("revoke"),
            kind("revoke:none"),
            kind("revoke:all:sealed"),
            kind("revoke:all:HASH:HASH"),
            kind("hand_over"),
            kind("hand_over:HASH:"),
            kind("cancel_hand_over:HASH"),
            kind("Cancel_hand_over"),
            kind("end_token"),
            kind("end_token:"),
            kind("end_token:HASH"),
        ] {
            let mut item = to_item(&full());
            item.insert(attribute.to_owned(), value.clone());
            assert_eq!(from_item(&item).unwrap_err().0, attribute, "{value:?}");
        }
    }

    #[test]
    fn a_malformed_part_of_a_map_is_named() {
        let with = |attribute: &str, map: &[(&str, AttributeValue)]| {
            let map = map.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            let mut item = to_item(&full());
            item.insert(attribute.to_owned(), AttributeValue::M(map));
            from_item(&item).unwrap_err().0
        };
        let token = |parts: &[(&str, AttributeValue)]| {
            let parts = parts.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
            with(API_TOKENS, &[(TokenHash::of("x").as_str(), AttributeValue::M(parts))])
        };
        assert_eq!(token(&[]), MINTED_AT);
        assert_eq!(token(&[(MINTED_AT, text("yesterday"))]), MINTED_AT);
        assert_eq!(token(&[(PREFIX, text("x"))]), PREFIX);
        assert_eq!(token(&[(NAME, text(""))]), NAME);
        let minted_at = (MINTED_AT, text("2026-01-01T00:00:00.001Z"));
        assert_eq!(token(&[minted_at.clone(), (EXPIRES, text("1"))]), EXPIRES);
        assert_eq!(token(&[minted_at, (EXPIRES, number("9999999999999"))]), EXPIRES);
        assert_eq!(with(COMPUTE, &[(INSTANCE_TYPE, number(1))]), INSTANCE_TYPE);
        assert_eq!(with(COMPUTE, &[(VOLUME_ROOT_GB, number(-1))]), VOLUME_ROOT_GB);
    }

    #[test]
    fn g10_a_tombstone_is_removed_whatever_else_it_holds() {
        let id = full().id;
        let least: Item = [(WORKSPACE_ID, "w-1"), (STATUS, REMOVED)]
            .map(|(attribute, value)| (attribute.to_owned(), text(value)))
            .into();
        let tombstone = Tombstone { id: id.clone(), epoch: Epoch::FIRST };
        assert_eq!(from_item(&least), Ok(Stored::Tombstone(tombstone)));
        let mut with_all = to_item(&full());
        with_all.insert(STATUS.to_owned(), text(REMOVED));
        with_all.insert(OWNER_HASH.to_owned(), text("malformed"));
        assert_eq!(from_item(&with_all), Ok(Stored::Tombstone(Tombstone { id, epoch: full().epoch })));
    }
}
