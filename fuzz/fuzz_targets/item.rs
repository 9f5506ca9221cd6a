//! The item mapping: whatever the table holds is a workspace or is named as malformed, and a workspace survives its way
//! through the table.

#![no_main]

use std::collections::HashMap;

use arbitrary::{Arbitrary, Result, Unstructured};
use aws_sdk_dynamodb::types::AttributeValue;
use domain::id::WorkspaceId;
use domain::workspace::Stored;
use libfuzzer_sys::fuzz_target;
use shared::table::item::{Item, from_item, presence_from_item, presence_to_item, to_item};

const NAMES: [&str; 40] = [
    "workspace_id",
    "status",
    "name",
    "role",
    "tier",
    "runtime",
    "external",
    "parent_id",
    "ancestors",
    "parent_key",
    "compute",
    "instance_type",
    "volume_root_gb",
    "url",
    "agent_card",
    "created_at",
    "created_op",
    "registered_at",
    "registered_by",
    "revoked_at",
    "epoch",
    "owner_hash",
    "owner_prefix",
    "owner_minted_at",
    "owner_epoch",
    "previous_owner_hash",
    "api_tokens",
    "prefix",
    "minted_at",
    "expires",
    "successor_hash",
    "successor_prefix",
    "successor_by",
    "successor_expires",
    "last_op_id",
    "last_op_kind",
    "last_op_epoch",
    "beat_at",
    "report",
    "else",
];
const WORDS: [&str; 19] = [
    "w-1",
    "online",
    "provisioning",
    "awaiting_agent",
    "removed",
    "owner",
    "api",
    "sealed",
    "",
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "BA",
    "{}",
    "2026-03-01T12:00:00.000Z",
    "wsr_00000000",
    "cancel_hand_over",
    "revoke:all",
    "end_token:wsr_00000000",
    "operator",
    "https://a.example",
];
const TIME: &str = "2026-03-01T12:00:00.000Z";
const NUMBERS: [&str; 9] = [
    "0",
    "1",
    "-1",
    "1.5",
    "1e3",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "",
];

fn value(u: &mut Unstructured<'_>, depth: u8) -> Result<AttributeValue> {
    Ok(match u.int_in_range(0..=if depth == 0 { 8 } else { 9 })? {
        0..=2 => AttributeValue::S((*u.choose(&WORDS)?).to_owned()),
        3 => AttributeValue::S(String::arbitrary(u)?),
        4 | 5 => AttributeValue::N((*u.choose(&NUMBERS)?).to_owned()),
        6 => AttributeValue::N(i64::arbitrary(u)?.to_string()),
        7 => AttributeValue::Bool(bool::arbitrary(u)?),
        8 => AttributeValue::Null(true),
        _ => AttributeValue::M(map(u, depth - 1)?),
    })
}

fn map(u: &mut Unstructured<'_>, depth: u8) -> Result<HashMap<String, AttributeValue>> {
    let mut map = HashMap::new();
    for _ in 0..u.int_in_range(0..=4)? {
        let name = if bool::arbitrary(u)? { *u.choose(&NAMES)? } else { *u.choose(&WORDS)? };
        map.insert(name.to_owned(), value(u, depth)?);
    }
    Ok(map)
}

/// An item that is whole, with some attributes changed, taken away or added.
fn item(u: &mut Unstructured<'_>) -> Result<Item> {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |number: &str| AttributeValue::N(number.to_owned());
    let hash = WORDS[9];
    let token = AttributeValue::M(HashMap::from([("minted_at".to_owned(), text(TIME))]));
    let mut item = HashMap::new();
    if bool::arbitrary(u)? {
        for (name, value) in [
            ("workspace_id", text("w-1")),
            ("status", text("online")),
            ("name", text("n")),
            ("external", AttributeValue::Bool(false)),
            ("created_at", text(TIME)),
            ("created_op", text("o")),
            ("epoch", number("7")),
            ("owner_hash", text(hash)),
            ("owner_minted_at", text(TIME)),
            ("owner_epoch", number("5")),
            ("api_tokens", AttributeValue::M(HashMap::from([(hash.to_owned(), token)]))),
            ("successor_hash", text(hash)),
            ("successor_expires", number("1")),
            ("last_op_id", text("o")),
            ("last_op_kind", text("cancel_hand_over")),
            ("last_op_epoch", number("6")),
        ] {
            item.insert(name.to_owned(), value);
        }
    }
    for _ in 0..u.int_in_range(0..=12)? {
        let name = *u.choose(&NAMES)?;
        if bool::arbitrary(u)? {
            item.insert(name.to_owned(), value(u, 2)?);
        } else {
            item.remove(name);
        }
    }
    Ok(item)
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(item) = item(&mut Unstructured::new(bytes)) else { return };
    match from_item(&item) {
        Ok(Stored::Workspace(workspace)) => {
            let through = from_item(&to_item(&workspace));
            assert_eq!(through.as_ref(), Ok(&Stored::Workspace(workspace.clone())));
            // An owner, a hand-over and a command are whole or absent: a part is never read as none.
            for (part, is_present) in [
                ("owner_", workspace.owner.is_some()),
                ("successor_", workspace.successor.is_some()),
                ("last_op_", workspace.last_command.is_some()),
            ] {
                assert_eq!(item.keys().any(|name| name.starts_with(part)), is_present, "{part}");
            }
        }
        Ok(Stored::Tombstone(tombstone)) => {
            assert_eq!(item["status"], AttributeValue::S("removed".to_owned()));
            assert_eq!(item["workspace_id"], AttributeValue::S(tombstone.id.as_str().to_owned()));
        }
        Err(malformed) => {
            assert!(NAMES.contains(&malformed.0));
            assert!(malformed.to_string().len() < 100, "the name, never the value");
        }
    }
    if let (Ok(presence), Some(id)) = (presence_from_item(&item), WorkspaceId::parse("w-1")) {
        assert_eq!(presence_from_item(&presence_to_item(&id, &presence)), Ok(presence));
    }
});
