//! A write as the one UpdateItem that DynamoDB runs: its condition, its update expression, and what they refer to.
//!
//! The condition says what must be, never what must not: if an attribute is missing or mistyped, `<>` and `NOT` are true,
//! and the condition would fail open.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use domain::token::TokenHash;
use domain::workspace::{LastCommand, Owner, Registration, Status, Successor};
use domain::write::{Change, Write};

use crate::table::item::attribute::*;
use crate::table::item::{
    GONE_WHEN_REMOVED, Item, REMOVED, api_token_to_attribute, command_kind_to_text, number, text,
};

/// The condition of a create.
pub const IF_ABSENT: &str = "attribute_not_exists(workspace_id)";
/// The fence: the workspace exists and is at the epoch that the decision saw.
const IF_AT_SEEN_EPOCH: &str = "attribute_exists(#workspace_id) AND #epoch = :seen";

/// One UpdateItem. Every attribute goes by an alias (`#url` for `url`): many names are
/// [reserved words](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ReservedWords.html). It has no `Debug`:
/// it holds hashes.
#[derive(Clone)]
pub struct Update {
    set: Vec<String>,
    remove: Vec<String>,
    names: HashMap<String, String>,
    values: Item,
}

impl From<&Write> for Update {
    fn from(write: &Write) -> Self {
        let mut update =
            Self { set: Vec::new(), remove: Vec::new(), names: HashMap::new(), values: HashMap::new() };
        update.alias(WORKSPACE_ID);
        update.alias(EPOCH);
        update.value("seen", number(write.seen().0));
        if write.epoch() != write.seen() {
            update.set(EPOCH, number(write.epoch().0));
        }
        for change in write.changes() {
            update.change(change);
        }
        update
    }
}

impl Update {
    /// `SET …` and `REMOVE …`.
    pub fn expression(&self) -> String {
        let clause = |keyword: &str, actions: &[String]| match actions {
            [] => None,
            actions => Some(format!("{keyword} {}", actions.join(", "))),
        };
        let clauses = [clause("SET", &self.set), clause("REMOVE", &self.remove)];
        clauses.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// The condition under which DynamoDB makes the write.
    pub fn condition(&self) -> &'static str {
        IF_AT_SEEN_EPOCH
    }

    /// What the `#` aliases stand for.
    pub fn names(&self) -> &HashMap<String, String> {
        &self.names
    }

    /// What the `:` placeholders stand for.
    pub fn values(&self) -> &Item {
        &self.values
    }

    /// Aliases and placeholders, without a copy of the agent's card.
    pub(super) fn into_names_and_values(self) -> (HashMap<String, String>, Item) {
        (self.names, self.values)
    }

    fn change(&mut self, change: &Change) {
        match change {
            Change::Register { registration: Registration { url, agent_card }, by, at } => {
                self.set_or_remove(URL, url.as_ref().map(|url| text(url.as_str())));
                self.set(AGENT_CARD, text(agent_card.as_str()));
                self.set(STATUS, text(Status::Online.as_str()));
                self.set(REGISTERED_AT, text(at.rfc3339()));
                self.set(REGISTERED_BY, text(by.as_str()));
            }
            Change::SetOwner(Owner { hash, prefix, minted_at, epoch }) => {
                self.set(OWNER_HASH, text(hash.as_str()));
                self.set_or_remove(OWNER_PREFIX, prefix.as_ref().map(|prefix| text(prefix.as_str())));
                self.set(OWNER_MINTED_AT, text(minted_at.rfc3339()));
                self.set(OWNER_EPOCH, number(epoch.0));
            }
            Change::ClearOwner => self.remove(&[OWNER_HASH, OWNER_PREFIX, OWNER_MINTED_AT, OWNER_EPOCH]),
            Change::SetPreviousOwner(hash) => self.set(PREVIOUS_OWNER_HASH, text(hash.as_str())),
            Change::SetSuccessor(Successor { hash, prefix, named_by, expires }) => {
                self.set(SUCCESSOR_HASH, text(hash.as_str()));
                self.set_or_remove(SUCCESSOR_PREFIX, prefix.as_ref().map(|prefix| text(prefix.as_str())));
                self.set(SUCCESSOR_BY, text(named_by.as_str()));
                self.set(SUCCESSOR_EXPIRES, number(expires.epoch_seconds()));
            }
            Change::ClearSuccessor => {
                self.remove(&[SUCCESSOR_HASH, SUCCESSOR_PREFIX, SUCCESSOR_BY, SUCCESSOR_EXPIRES]);
            }
            Change::AddApiToken(hash, token) => {
                let path = self.api_token("#token", hash);
                self.set.push(format!("{path} = :token"));
                self.value("token", api_token_to_attribute(token));
            }
            Change::RemoveApiToken(hash) => {
                let path = self.api_token(&format!("#removed_{}", self.remove.len()), hash);
                self.remove.push(path);
            }
            Change::ClearApiTokens => self.set(API_TOKENS, AttributeValue::M(HashMap::new())),
            Change::SetRevokedAt(at) => self.set(REVOKED_AT, text(at.rfc3339())),
            Change::Remove => {
                self.set(STATUS, text(REMOVED));
                self.remove(GONE_WHEN_REMOVED);
            }
            Change::SetLastCommand(LastCommand { id, kind, epoch }) => {
                self.set(LAST_OP_ID, text(id.as_str()));
                self.set(LAST_OP_KIND, text(command_kind_to_text(kind)));
                self.set(LAST_OP_EPOCH, number(epoch.0));
            }
        }
    }

    fn set(&mut self, attribute: &str, value: AttributeValue) {
        let alias = self.alias(attribute);
        self.set.push(format!("{alias} = :{attribute}"));
        self.value(attribute, value);
    }

    fn remove(&mut self, attributes: &[&str]) {
        for attribute in attributes {
            let alias = self.alias(attribute);
            self.remove.push(alias);
        }
    }

    fn set_or_remove(&mut self, attribute: &str, value: Option<AttributeValue>) {
        match value {
            Some(value) => self.set(attribute, value),
            None => self.remove(&[attribute]),
        }
    }

    /// The path of an API token, by this alias.
    fn api_token(&mut self, alias: &str, hash: &TokenHash) -> String {
        self.names.insert(alias.to_owned(), hash.as_str().to_owned());
        format!("{}.{alias}", self.alias(API_TOKENS))
    }

    fn alias(&mut self, attribute: &str) -> String {
        let alias = format!("#{attribute}");
        self.names.insert(alias.clone(), attribute.to_owned());
        alias
    }

    fn value(&mut self, placeholder: &str, value: AttributeValue) {
        self.values.insert(format!(":{placeholder}"), value);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use domain::agent_card::AgentCard;
    use domain::id::CommandId;
    use domain::operations::caller::Caller;
    use domain::operations::cancel_hand_over::CancelHandOver;
    use domain::operations::command::Command;
    use domain::operations::end_token::{EndToken, EndTokenCaller};
    use domain::operations::hand_over::HandOver;
    use domain::operations::heartbeat::Heartbeat;
    use domain::operations::mint_token::MintToken;
    use domain::operations::register::Register;
    use domain::operations::remove::Remove;
    use domain::operations::revoke::Revoke;
    use domain::operations::rotate::Rotate;
    use domain::protocol::{Decision, Operation};
    use domain::random::Random;
    use domain::time::Timestamp;
    use domain::token::TokenHash;
    use domain::workspace::{
        Epoch, LiveToken, NamedBy, OwnerHash, RevokeScope, Stored, Tombstone, Workspace,
    };

    use super::*;
    use crate::table::item::tests::{full, least, url};
    use crate::table::item::{from_item, to_item};

    fn registration(has_url: bool) -> Registration {
        let url = has_url.then(|| url("https://b.example"));
        Registration { url, agent_card: AgentCard::parse("{}").unwrap() }
    }

    /// Adds the write that the operation decides on this workspace, if it makes one.
    fn add<O: Operation>(writes: &mut Vec<(Workspace, Write)>, operation: &O, workspace: &Workspace) {
        if let Ok(Decision::Write(write, _)) = operation.decide(workspace) {
            writes.push((workspace.clone(), write));
        }
    }

    /// Every kind of write that an operation can make, with the workspace that it was decided on.
    fn every_write() -> Vec<(Workspace, Write)> {
        let now = Timestamp::UNIX_EPOCH;
        let (new, random) = (TokenHash::of("new"), Random::OS);
        let (hash, named_by, expires) = (new.clone(), NamedBy::Operator, now.plus_seconds(1));
        let successor = Successor { hash, prefix: None, named_by, expires };
        let command = || Command { id: CommandId::parse("op-2").unwrap(), expected_epoch: None };
        let owned = Workspace { epoch: Epoch(10), ..full() };
        let open = Workspace { owner: None, successor: None, ..owned.clone() };
        let sealed =
            owned.owner.clone().map(|owner| Owner { hash: OwnerHash::Sealed, prefix: None, ..owner });
        let sealed = Workspace { owner: sealed, ..owned.clone() };
        let mut writes = Vec::new();
        for workspace in [owned, open, sealed, least()] {
            for has_url in [false, true] {
                for bearer in [None, Some("owner"), Some("a"), Some("successor")] {
                    for chosen in [None, Some(new.clone())] {
                        let (registration, random) = (registration(has_url), random.clone());
                        let bearer = bearer.map(TokenHash::of);
                        let register = Register { bearer, chosen, registration, now, random };
                        add(&mut writes, &register, &workspace);
                    }
                }
            }
            for chosen in [None, Some(new.clone())] {
                // A token of the workspace has expired by then.
                for now in [now, Timestamp::now()] {
                    let (caller, chosen, random) = (Caller::Operator, chosen.clone(), random.clone());
                    let mint = MintToken { caller, name: None, expires: None, chosen, now, random };
                    add(&mut writes, &mint, &workspace);
                }
                let (bearer, random) = (TokenHash::of("owner"), random.clone());
                add(&mut writes, &Rotate { bearer, chosen, expires, now, random }, &workspace);
            }
            for word in ["owner", "a", "b"] {
                let live = workspace.live_token(&TokenHash::of(word), now);
                let Some(LiveToken { id, .. }) = live else { continue };
                let caller = EndTokenCaller::Operator(command());
                add(&mut writes, &EndToken { caller, id: id.clone(), now }, &workspace);
                let caller = EndTokenCaller::Bearer(TokenHash::of("owner"));
                add(&mut writes, &EndToken { caller, id, now }, &workspace);
            }
            add(&mut writes, &Heartbeat { bearer: TokenHash::of("successor"), now }, &workspace);
            for scope in RevokeScope::ALL {
                for successor in [None, Some(successor.clone())] {
                    add(&mut writes, &Revoke { command: command(), scope, successor, now }, &workspace);
                }
            }
            let successor = successor.clone();
            add(&mut writes, &HandOver { command: command(), successor, now }, &workspace);
            add(&mut writes, &CancelHandOver { command: command() }, &workspace);
            add(&mut writes, &Remove { expected_epoch: None }, &workspace);
        }
        let changes = || writes.iter().flat_map(|(_, write)| write.changes());
        let is_made = |wanted: fn(&Change) -> bool| changes().any(wanted);
        assert!(
            is_made(|change| matches!(change, Change::Register { .. }))
                && is_made(|change| matches!(change, Change::SetOwner(_)))
                && is_made(|change| matches!(change, Change::ClearOwner))
                && is_made(|change| matches!(change, Change::SetPreviousOwner(_)))
                && is_made(|change| matches!(change, Change::SetSuccessor(_)))
                && is_made(|change| matches!(change, Change::ClearSuccessor))
                && is_made(|change| matches!(change, Change::AddApiToken(..)))
                && is_made(|change| matches!(change, Change::RemoveApiToken(_)))
                && is_made(|change| matches!(change, Change::ClearApiTokens))
                && is_made(|change| matches!(change, Change::SetRevokedAt(_)))
                && is_made(|change| matches!(change, Change::SetLastCommand(_)))
                && is_made(|change| matches!(change, Change::Remove)),
            "every kind of change"
        );
        writes
    }

    /// DynamoDB refuses an update that touches a path twice, refers to what is not defined, or defines what is not referred
    /// to. It reads every name that is not an alias as an attribute, or refuses it as a reserved word.
    #[test]
    fn every_update_is_well_formed() {
        for (_, write) in every_write() {
            let update = Update::from(&write);
            let targets = update.set.iter().filter_map(|set| set.split(" = ").next());
            let targets: Vec<_> = targets.chain(update.remove.iter().map(String::as_str)).collect();
            let different: BTreeSet<_> = targets.iter().collect();
            assert_eq!(different.len(), targets.len(), "{}", update.expression());

            let whole = format!("{} {}", update.expression(), update.condition());
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '#' || c == ':';
            let words: Vec<_> = whole.split(|c| !is_part(c)).filter(|word| !word.is_empty()).collect();
            let used = |mark: char| -> BTreeSet<String> {
                words.iter().filter(|word| word.starts_with(mark)).map(|word| (*word).to_owned()).collect()
            };
            assert_eq!(used('#'), update.names().keys().cloned().collect(), "{whole}");
            assert_eq!(used(':'), update.values().keys().cloned().collect(), "{whole}");
            let bare: BTreeSet<_> = words.into_iter().filter(|word| !word.starts_with(['#', ':'])).collect();
            let keywords = BTreeSet::from(["SET", "REMOVE", "AND", "attribute_exists"]);
            assert!(bare.is_subset(&keywords), "{whole}");
        }
    }

    #[test]
    fn every_update_is_fenced() {
        for (_, write) in every_write() {
            let update = Update::from(&write);
            assert_eq!(update.condition(), "attribute_exists(#workspace_id) AND #epoch = :seen");
            assert_eq!(update.names()["#workspace_id"], WORKSPACE_ID);
            assert_eq!(update.names()["#epoch"], EPOCH);
            assert_eq!(update.values()[":seen"], number(write.seen().0));
        }
    }

    #[test]
    fn an_update_sets_the_epoch_only_when_it_advances() {
        let (mut advancing, mut keeping) = (0, 0);
        for (_, write) in every_write() {
            let update = Update::from(&write);
            let sets_epoch = update.expression().contains("#epoch = :epoch");
            assert_eq!(sets_epoch, write.epoch() != write.seen(), "{}", update.expression());
            let expected = sets_epoch.then(|| number(write.seen().0 + 1));
            assert_eq!(update.values().get(":epoch"), expected.as_ref());
            if sets_epoch { advancing += 1 } else { keeping += 1 }
        }
        assert!(advancing > 0 && keeping > 0);
    }

    /// What DynamoDB makes of the item.
    fn apply(update: &Update, item: &mut Item) {
        for set in &update.set {
            let (path, value) = set.split_once(" = ").unwrap();
            let value = update.values[value].clone();
            match path.split_once('.') {
                None => item.insert(update.names[path].clone(), value),
                Some((map, key)) => {
                    let Some(AttributeValue::M(map)) = item.get_mut(&update.names[map]) else {
                        panic!("no map for {set}")
                    };
                    map.insert(update.names[key].clone(), value)
                }
            };
        }
        for removed in &update.remove {
            match removed.split_once('.') {
                None => item.remove(&update.names[removed]),
                Some((map, key)) => {
                    let Some(AttributeValue::M(map)) = item.get_mut(&update.names[map]) else {
                        panic!("no map for {removed}")
                    };
                    map.remove(&update.names[key])
                }
            };
        }
    }

    /// What is stored after the write.
    fn written(mut workspace: Workspace, write: &Write) -> Stored {
        workspace.epoch = write.epoch();
        for change in write.changes().iter().cloned() {
            match change {
                Change::Register { registration: Registration { url, agent_card }, by, at } => {
                    (workspace.url, workspace.agent_card) = (url, Some(agent_card));
                    (workspace.registered_by, workspace.registered_at) = (Some(by), Some(at));
                    workspace.status = Status::Online;
                }
                Change::SetOwner(owner) => workspace.owner = Some(owner),
                Change::ClearOwner => workspace.owner = None,
                Change::SetPreviousOwner(hash) => workspace.previous_owner = Some(hash),
                Change::SetSuccessor(successor) => workspace.successor = Some(successor),
                Change::ClearSuccessor => workspace.successor = None,
                Change::AddApiToken(hash, token) => drop(workspace.api_tokens.insert(hash, token)),
                Change::RemoveApiToken(hash) => drop(workspace.api_tokens.remove(&hash)),
                Change::ClearApiTokens => workspace.api_tokens.clear(),
                Change::SetRevokedAt(at) => workspace.revoked_at = Some(at),
                Change::SetLastCommand(last) => workspace.last_command = Some(last),
                Change::Remove => {
                    return Stored::Tombstone(Tombstone { id: workspace.id, epoch: workspace.epoch });
                }
            }
        }
        Stored::Workspace(Box::new(workspace))
    }

    #[test]
    fn an_update_changes_the_item_as_the_write_says() {
        for (workspace, write) in every_write() {
            let update = Update::from(&write);
            let mut item = to_item(&workspace);
            apply(&update, &mut item);
            assert_eq!(from_item(&item), Ok(written(workspace, &write)), "{}", update.expression());
        }
    }

    #[test]
    fn g10_a_tombstone_keeps_no_token_and_nothing_of_the_agent() {
        let workspace = Workspace { epoch: Epoch(10), ..full() };
        let Ok(Decision::Write(write, _)) = (Remove { expected_epoch: None }).decide(&workspace) else {
            panic!("a removal is a write")
        };
        let mut item = to_item(&workspace);
        apply(&Update::from(&write), &mut item);
        let mut left: Vec<_> = item.keys().map(String::as_str).collect();
        left.sort_unstable();
        let stays =
            [ANCESTORS, CREATED_AT, EPOCH, NAME, PARENT_ID, REGISTERED_AT, REVOKED_AT, STATUS, WORKSPACE_ID];
        assert_eq!(left, stays);
    }
}
