//! The table: what an item looks like, and every request that the registry makes to DynamoDB.

pub mod item;
pub mod many;
pub mod store;
pub mod update;
