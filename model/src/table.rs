//! The table: every item and every write of a run, each once, by number; and what comes of a write on an item, asked of
//! the embedded DynamoDB engine with the very expressions that the registry sends, and remembered.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock, Mutex, RwLock};

use aws_sdk_dynamodb::types::AttributeValue;
use dynoxide::Database;
use dynoxide::actions::create_table::CreateTableRequest;
use dynoxide::actions::delete_item::DeleteItemRequest;
use dynoxide::actions::put_item::PutItemRequest;
use dynoxide::actions::update_item::UpdateItemRequest;
use dynoxide::errors::DynoxideError;
use dynoxide::types::AttributeValue as EngineValue;
use shared::schema::{self, Item, Update, attribute};
use shared::token::TokenHash;
use shared::workspace::{OwnerHash, RegisteredBy, Status, Workspace};

use crate::spec::{By, Deed, Door, Life, Remembered, Scope, Spec, Successor};
use crate::words::{Named, Place, Time, Token, workspace_id};

/// The number of an item; [`ABSENT`] where there is none.
pub type ItemId = u32;
/// There is no item.
pub const ABSENT: ItemId = 0;
/// The number of a write.
pub type WriteId = u32;

/// The one table of the process. What was asked once is not asked again, whichever scenario or mutant asks.
pub static TABLE: LazyLock<Table> = LazyLock::new(Table::new);

/// An item in the forms in which it is needed.
#[derive(Debug)]
pub struct Entry {
    /// As the engine holds it; empty when there is none.
    pub item: Item,
    /// As the shipped code reads it. `None`: absent, or not what the schema says.
    pub workspace: Option<Workspace>,
    /// As the specification sees it. `None`: not what the schema says.
    pub spec: Option<Spec>,
    /// The tokens that authenticate.
    pub live: u64,
    /// The item with no more than what decides who is accepted as the owner, so that this is asked once for many items.
    pub bare: ItemId,
}

/// One write as it is sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// UpdateItem.
    Update(Sent),
    /// PutItem of this item, with a condition or without.
    Put { item: ItemId, condition: Option<String> },
}

/// An UpdateItem's texts and what they refer to.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    pub expression: String,
    pub condition: String,
    pub names: BTreeMap<String, String>,
    pub values: Item,
}

impl Sent {
    /// Leaves out the names and values that nothing refers to any more: DynamoDB refuses those.
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

    /// The number of this item. No decision reads the time of day, so the items' are made equal.
    pub fn item(&self, mut item: Item) -> ItemId {
        forget_times(&mut item);
        let text = item_text(&item);
        if let Some(id) = self.items.read().unwrap().by_text.get(&text) {
            return *id;
        }
        let bare = bare(&item);
        let bare = if bare == item { None } else { Some(self.item(bare)) };
        let mut items = self.items.write().unwrap();
        if let Some(id) = items.by_text.get(&text) {
            return *id;
        }
        let id = ItemId::try_from(items.all.len()).unwrap();
        items.all.push(Arc::new(Entry::new(item, bare.unwrap_or(id))));
        items.by_text.insert(text, id);
        id
    }

    pub fn entry(&self, id: ItemId) -> Arc<Entry> {
        Arc::clone(&self.items.read().unwrap().all[id as usize])
    }

    /// The number of this UpdateItem, after a mutant's change. What ships is sent as it is.
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

    /// What comes of this write on this item of this workspace: the new item, or `None` when the condition does not hold.
    pub fn apply(&self, workspace: usize, item: ItemId, write: WriteId) -> Option<ItemId> {
        let key = (workspace, item, write);
        if let Some(outcome) = self.outcomes.read().unwrap().get(&key) {
            return *outcome;
        }
        let outcome = self.ask_engine(workspace, item, write);
        self.outcomes.write().unwrap().insert(key, outcome);
        outcome
    }

    /// Items, writes and questions so far.
    pub fn counts(&self) -> (usize, usize, usize) {
        let items = self.items.read().unwrap().all.len();
        (items, self.writes.read().unwrap().all.len(), self.outcomes.read().unwrap().len())
    }

    fn ask_engine(&self, workspace: usize, item: ItemId, write: WriteId) -> Option<ItemId> {
        let before = self.entry(item);
        let write = Arc::clone(&self.writes.read().unwrap().all[write as usize]);
        let key = to_engine(&schema::key(&workspace_id(workspace)));
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
                assert_eq!(found, item, "a failed condition gives back what is there");
                None
            }
            Err(error) => panic!("the engine refuses {write:?}: {error}"),
        }
    }
}

impl Entry {
    fn new(item: Item, bare: ItemId) -> Self {
        let workspace = if item.is_empty() { None } else { schema::from_item(&item).ok() };
        let spec = if item.is_empty() { Some(Spec::absent()) } else { workspace.as_ref().map(as_specified) };
        let live = spec.as_ref().map_or(0, |spec| {
            spec.api.iter().chain(spec.owner().iter()).fold(0, |live, token| live | token.bit())
        });
        Self { item, workspace, spec, live, bare }
    }

    /// What the specification sees; a row that is not what the schema says is nothing that it knows.
    pub fn spec(&self) -> &Spec {
        static NOTHING: LazyLock<Spec> = LazyLock::new(Spec::absent);
        self.spec.as_ref().unwrap_or(&NOTHING)
    }
}

/// The workspace in the specification's words.
pub fn as_specified(workspace: &Workspace) -> Spec {
    let door = match workspace.owner.as_ref().map(|owner| (&owner.hash, owner.epoch.0)) {
        None => Door::Open,
        Some((OwnerHash::Sealed, _)) => Door::Sealed,
        Some((OwnerHash::Token(hash), since)) => Door::Owned(Token::of(hash), since),
    };
    let place = workspace.url.as_deref().map(|url| {
        let place = Place::of(url).unwrap();
        let card = workspace.agent_card.as_deref();
        assert!(card.is_none_or(|card| card == place.card()), "URL and card are of one registration");
        place
    });
    Spec {
        life: if workspace.status == Status::Removed { Life::Removed } else { Life::Live },
        epoch: workspace.epoch.0,
        door,
        previous: workspace.previous_owner.as_ref().map(Token::of),
        api: workspace.api_tokens.keys().map(Token::of).collect(),
        successor: workspace.successor.as_ref().map(|successor| Successor {
            token: Token::of(&successor.hash),
            named: Time::of_expiry(successor.expires),
        }),
        place,
        by: workspace.registered_by.map(|by| match by {
            RegisteredBy::Owner => By::Owner,
            RegisteredBy::Api => By::Api,
        }),
        remembered: workspace.last_operation.as_ref().map(|last| Remembered {
            name: Named::of(&last.id).unwrap(),
            what: deed(&last.kind),
            epoch: last.epoch.0,
            ended: None,
        }),
    }
}

/// `revoke:all`, `revoke:all:<hash>`, `hand_over:<hash>`, `cancel_hand_over`.
fn deed(kind: &str) -> Deed {
    let token = |hash: &str| Token::of(&TokenHash::parse(hash).unwrap());
    match kind.split(':').collect::<Vec<_>>()[..] {
        ["cancel_hand_over"] => Deed::Cancel,
        ["hand_over", hash] => Deed::HandOver(token(hash)),
        ["revoke", "all", hash] => Deed::Revoke(Scope::All, Some(token(hash))),
        ["revoke", "all"] => Deed::Revoke(Scope::All, None),
        ["revoke", "owner"] => Deed::Revoke(Scope::Owner, None),
        ["revoke", "api"] => Deed::Revoke(Scope::Api, None),
        _ => panic!("an operation of an unknown kind: {kind}"),
    }
}

fn forget_times(item: &mut Item) {
    let time = || AttributeValue::S("a time".to_owned());
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

fn bare(item: &Item) -> Item {
    let decisive = [attribute::WORKSPACE_ID, attribute::STATUS, attribute::OWNER_HASH, attribute::EPOCH];
    let mut bare = item.clone();
    bare.retain(|name, _| decisive.contains(&name.as_str()));
    if let Some(epoch) = bare.get_mut(attribute::EPOCH) {
        // It is asked whether there is one, not which.
        *epoch = AttributeValue::N("1".to_owned());
    }
    bare
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
