//! The table. It numbers every item and every write of a run. It asks the embedded DynamoDB engine what a write makes of an
//! item, with the expressions that the registry sends, and remembers the outcome.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, Mutex, RwLock};

use aws_sdk_dynamodb::types::AttributeValue;
use domain::time::Timestamp;
use domain::workspace::{self, OwnerHash, RegisteredBy, RevokeScope, Stored, Workspace};
use dynoxide::Database;
use dynoxide::actions::create_table::CreateTableRequest;
use dynoxide::actions::delete_item::DeleteItemRequest;
use dynoxide::actions::put_item::PutItemRequest;
use dynoxide::actions::update_item::UpdateItemRequest;
use dynoxide::errors::DynoxideError;
use dynoxide::types::AttributeValue as EngineValue;
use shared::table::item::{self, Item, attribute};
use shared::table::update::Update;

use crate::spec::{By, CommandKind, Door, LastCommand, Life, NamedBy, Scope, Spec, Successor};
use crate::symbols::{CommandName, Place, Time, Token, workspace_id};

/// The number of an item, or [`ABSENT`].
pub type ItemId = u32;
/// There is no item.
pub const ABSENT: ItemId = 0;
/// The number of a write.
pub type WriteId = u32;

/// The one table of the process. All scenarios and mutants share what it has learnt from the engine.
pub static TABLE: LazyLock<Table> = LazyLock::new(Table::new);

/// An item, and what it means.
#[derive(Debug)]
pub struct Entry {
    /// As the engine holds it; empty if there is none.
    pub item: Item,
    /// As the shipped code reads it. `None` if absent or malformed.
    pub stored: Option<Stored>,
    /// As the specification sees it. `None` if malformed.
    pub spec: Option<Spec>,
    /// The tokens that authenticate.
    pub live: u64,
}

/// One write as it is sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// UpdateItem.
    Update(Sent),
    /// PutItem of this item, with or without a condition.
    Put { item: ItemId, condition: Option<String> },
}

/// An UpdateItem: its expressions and what they refer to.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    pub expression: String,
    pub condition: String,
    pub names: BTreeMap<String, String>,
    pub values: Item,
}

impl Sent {
    /// Drops the names and values that no expression refers to. DynamoDB refuses them.
    fn prune(&mut self) {
        let used = format!("{} {}", self.expression, self.condition);
        let is_used = |name: &str| {
            used.match_indices(name).any(|(at, _)| {
                let next = used[at + name.len()..].chars().next();
                !next.is_some_and(|next| next.is_ascii_alphanumeric() || next == '_')
            })
        };
        self.names.retain(|name, _| is_used(name));
        self.values.retain(|name, _| is_used(name));
    }
}

#[derive(Default)]
struct Writes {
    by_text: HashMap<String, WriteId>,
    all: Vec<Arc<Write>>,
}

#[derive(Default)]
struct Items {
    by_text: HashMap<String, ItemId>,
    all: Vec<Arc<Entry>>,
}

pub struct Table {
    items: RwLock<Items>,
    writes: RwLock<Writes>,
    outcomes: RwLock<HashMap<(usize, ItemId, WriteId), Option<ItemId>>>,
    engine: Mutex<Database>,
}

const NAME: &str = "workspaces";

impl Table {
    fn new() -> Self {
        let engine = Database::memory().unwrap();
        let definition = serde_json::json!({
            "TableName": NAME,
            "KeySchema": [{"AttributeName": attribute::WORKSPACE_ID, "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": attribute::WORKSPACE_ID, "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
        });
        let definition: CreateTableRequest = serde_json::from_value(definition).unwrap();
        engine.create_table(definition).unwrap();
        let table = Self {
            items: RwLock::default(),
            writes: RwLock::default(),
            outcomes: RwLock::default(),
            engine: Mutex::new(engine),
        };
        assert_eq!(table.item(Item::new()), ABSENT);
        table
    }

    /// The number of this item. Its times become equal: no decision depends on when something was written.
    pub fn item(&self, mut item: Item) -> ItemId {
        forget_times(&mut item);
        let text = item_text(&item);
        if let Some(id) = self.items.read().unwrap().by_text.get(&text) {
            return *id;
        }
        let mut items = self.items.write().unwrap();
        if let Some(id) = items.by_text.get(&text) {
            return *id;
        }
        let id = ItemId::try_from(items.all.len()).unwrap();
        items.all.push(Arc::new(Entry::new(item)));
        items.by_text.insert(text, id);
        id
    }

    pub fn entry(&self, id: ItemId) -> Arc<Entry> {
        Arc::clone(&self.items.read().unwrap().all[id as usize])
    }

    /// The number of this UpdateItem. A mutant may change it first.
    pub fn update(&self, update: &Update, change: Option<impl FnOnce(&mut Sent)>) -> WriteId {
        let mut sent = Sent {
            expression: update.expression(),
            condition: update.condition().to_owned(),
            names: update.names().clone().into_iter().collect(),
            values: update.values().clone(),
        };
        if let Some(change) = change {
            change(&mut sent);
            sent.prune();
        }
        self.write(Write::Update(sent))
    }

    /// The number of this PutItem.
    pub fn put(&self, item: Item, condition: Option<&str>) -> WriteId {
        let item = self.item(item);
        self.write(Write::Put { item, condition: condition.map(str::to_owned) })
    }

    fn write(&self, write: Write) -> WriteId {
        let text = match &write {
            Write::Update(Sent { expression, condition, names, values }) => {
                format!("{expression}; {condition}; {names:?}; {}", item_text(values))
            }
            Write::Put { item, condition } => format!("put {item} {condition:?}"),
        };
        if let Some(id) = self.writes.read().unwrap().by_text.get(&text) {
            return *id;
        }
        let mut writes = self.writes.write().unwrap();
        let id = WriteId::try_from(writes.all.len()).unwrap();
        let id = *writes.by_text.entry(text).or_insert(id);
        if id as usize == writes.all.len() {
            writes.all.push(Arc::new(write));
        }
        id
    }

    /// What this write makes of this item of this workspace: the new item, or `None` if the condition is false.
    pub fn apply(&self, workspace: usize, item: ItemId, write: WriteId) -> Option<ItemId> {
        let key = (workspace, item, write);
        if let Some(outcome) = self.outcomes.read().unwrap().get(&key) {
            return *outcome;
        }
        let outcome = self.ask_engine(workspace, item, write);
        self.outcomes.write().unwrap().insert(key, outcome);
        outcome
    }

    /// How many items, writes and evaluations there were so far.
    pub fn counts(&self) -> (usize, usize, usize) {
        let items = self.items.read().unwrap().all.len();
        (items, self.writes.read().unwrap().all.len(), self.outcomes.read().unwrap().len())
    }

    fn ask_engine(&self, workspace: usize, item: ItemId, write: WriteId) -> Option<ItemId> {
        let before = self.entry(item);
        let write = Arc::clone(&self.writes.read().unwrap().all[write as usize]);
        let key = to_engine(&item::key(&workspace_id(workspace)));
        let returned = {
            let engine = self.engine.lock().unwrap();
            if item == ABSENT {
                let request =
                    DeleteItemRequest { table_name: NAME.to_owned(), key: key.clone(), ..Default::default() };
                engine.delete_item(request).unwrap();
            } else {
                let item = to_engine(&before.item);
                engine
                    .put_item(PutItemRequest { table_name: NAME.to_owned(), item, ..Default::default() })
                    .unwrap();
            }
            match &*write {
                Write::Update(Sent { expression, condition, names, values }) => {
                    let request = UpdateItemRequest {
                        table_name: NAME.to_owned(),
                        key,
                        update_expression: Some(expression.clone()),
                        condition_expression: Some(condition.clone())
                            .filter(|condition| !condition.is_empty()),
                        expression_attribute_names: Some(names.clone().into_iter().collect())
                            .filter(|names: &HashMap<_, _>| !names.is_empty()),
                        expression_attribute_values: Some(to_engine(values))
                            .filter(|values| !values.is_empty()),
                        return_values: Some("ALL_NEW".to_owned()),
                        return_values_on_condition_check_failure: Some("ALL_OLD".to_owned()),
                        ..Default::default()
                    };
                    engine.update_item(request).map(|response| response.attributes.unwrap())
                }
                Write::Put { item, condition } => {
                    let item = to_engine(&self.entry(*item).item);
                    let request = PutItemRequest {
                        table_name: NAME.to_owned(),
                        item: item.clone(),
                        condition_expression: condition.clone(),
                        return_values_on_condition_check_failure: Some("ALL_OLD".to_owned()),
                        ..Default::default()
                    };
                    engine.put_item(request).map(|_| item)
                }
            }
        };
        match returned {
            Ok(new) => Some(self.item(from_engine(&new))),
            Err(DynoxideError::ConditionalCheckFailedException(_, found)) => {
                let found = found.map_or(ABSENT, |found| self.item(from_engine(&found)));
                assert_eq!(found, item, "a failed condition returns the item that it met");
                None
            }
            Err(error) => panic!("the engine refused {write:?}: {error}"),
        }
    }
}

impl Entry {
    fn new(item: Item) -> Self {
        let stored = if item.is_empty() { None } else { item::from_item(&item).ok() };
        let spec = if item.is_empty() { Some(Spec::absent()) } else { stored.as_ref().map(as_specified) };
        let live = spec.as_ref().map_or(0, |spec| {
            spec.api.iter().chain(spec.owner().iter()).fold(0, |live, token| live | token.bit())
        });
        Self { item, stored, spec, live }
    }

    /// What the specification sees. A malformed item is nothing that it knows.
    pub fn spec(&self) -> &Spec {
        static NOTHING: LazyLock<Spec> = LazyLock::new(Spec::absent);
        self.spec.as_ref().unwrap_or(&NOTHING)
    }
}

/// What is stored, in the specification's terms.
fn as_specified(stored: &Stored) -> Spec {
    match stored {
        Stored::Workspace(workspace) => workspace_as_specified(workspace),
        Stored::Tombstone(tombstone) => {
            Spec { life: Life::Removed, epoch: tombstone.epoch.0, ..Spec::absent() }
        }
    }
}

fn workspace_as_specified(workspace: &Workspace) -> Spec {
    let door = match workspace.owner.as_ref().map(|owner| (&owner.hash, owner.epoch.0)) {
        None => Door::Open,
        Some((OwnerHash::Sealed, _)) => Door::Sealed,
        Some((OwnerHash::Token(hash), since)) => Door::Owned(Token::of(hash), since),
    };
    let place = workspace.url.as_ref().map(|url| {
        let place = Place::of(url.as_str()).unwrap();
        let card = workspace.agent_card.as_ref();
        assert!(
            card.is_none_or(|card| card.as_str() == place.card()),
            "URL and card are of one registration"
        );
        place
    });
    Spec {
        life: Life::Live,
        epoch: workspace.epoch.0,
        door,
        previous: workspace.previous_owner.as_ref().map(Token::of),
        api: workspace.api_tokens.keys().map(Token::of).collect(),
        expiring: workspace
            .api_tokens
            .iter()
            .filter(|(_, token)| token.expires == Some(Time::Early.expiry()))
            .map(|(hash, _)| Token::of(hash))
            .collect(),
        successor: workspace.successor.as_ref().map(|successor| Successor {
            token: Token::of(&successor.hash),
            named: Time::of_expiry(successor.expires),
            by: match successor.named_by {
                workspace::NamedBy::Operator => NamedBy::Operator,
                workspace::NamedBy::Owner => NamedBy::Owner,
            },
        }),
        place,
        by: workspace.registered_by.map(|by| match by {
            RegisteredBy::Owner => By::Owner,
            RegisteredBy::Api => By::Api,
        }),
        last_command: workspace.last_command.as_ref().map(|last| LastCommand {
            name: CommandName::of(last.id.as_str()).unwrap(),
            kind: command_kind(&last.kind),
            epoch: last.epoch.0,
            ended: None,
        }),
    }
}

fn command_kind(kind: &workspace::CommandKind) -> CommandKind {
    match kind {
        workspace::CommandKind::CancelHandOver => CommandKind::Cancel,
        workspace::CommandKind::EndToken { id } => CommandKind::EndToken(Token::of_id(id)),
        workspace::CommandKind::HandOver { successor } => CommandKind::HandOver(Token::of(successor)),
        workspace::CommandKind::Revoke { scope, successor } => {
            let scope = match scope {
                RevokeScope::All => Scope::All,
                RevokeScope::Owner => Scope::Owner,
                RevokeScope::Api => Scope::Api,
            };
            CommandKind::Revoke(scope, successor.as_ref().map(Token::of))
        }
    }
}

fn forget_times(item: &mut Item) {
    let time = || AttributeValue::S(Timestamp::UNIX_EPOCH.rfc3339());
    for name in
        [attribute::CREATED_AT, attribute::REGISTERED_AT, attribute::REVOKED_AT, attribute::OWNER_MINTED_AT]
    {
        item.entry(name.to_owned()).and_modify(|value| *value = time());
    }
    if let Some(AttributeValue::M(tokens)) = item.get_mut(attribute::API_TOKENS) {
        for token in tokens.values_mut() {
            if let AttributeValue::M(token) = token {
                token.insert(attribute::MINTED_AT.to_owned(), time());
            }
        }
    }
}

fn item_text(item: &Item) -> String {
    let sorted: BTreeMap<_, _> = item.iter().map(|(name, value)| (name, value_text(value))).collect();
    format!("{sorted:?}")
}

fn value_text(value: &AttributeValue) -> String {
    match value {
        AttributeValue::M(map) => format!("M{}", item_text(map)),
        other => format!("{other:?}"),
    }
}

fn to_engine(item: &Item) -> HashMap<String, EngineValue> {
    item.iter().map(|(name, value)| (name.clone(), value_to_engine(value))).collect()
}

fn value_to_engine(value: &AttributeValue) -> EngineValue {
    match value {
        AttributeValue::S(text) => EngineValue::S(text.clone()),
        AttributeValue::N(number) => EngineValue::N(number.clone()),
        AttributeValue::Bool(flag) => EngineValue::BOOL(*flag),
        AttributeValue::M(map) => EngineValue::M(to_engine(map)),
        other => panic!("the schema has no {other:?}"),
    }
}

fn from_engine(item: &HashMap<String, EngineValue>) -> Item {
    item.iter().map(|(name, value)| (name.clone(), value_from_engine(value))).collect()
}

fn value_from_engine(value: &EngineValue) -> AttributeValue {
    match value {
        EngineValue::S(text) => AttributeValue::S(text.clone()),
        EngineValue::N(number) => AttributeValue::N(number.clone()),
        EngineValue::BOOL(flag) => AttributeValue::Bool(*flag),
        EngineValue::M(map) => AttributeValue::M(from_engine(map)),
        other => panic!("the schema has no {other:?}"),
    }
}
