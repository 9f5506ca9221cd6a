//! G13: how often the store is asked, counted on the wire.

use serde_json::json;
use shared::store::{Store, WarmUp};
use tests::world::{Reply, World, test};

async fn count(w: &World, call: impl Future<Output = Reply>, status: u16, expected: &[&str]) {
    let (reply, requests) = w.requests_of(call).await;
    assert_eq!(reply.status, status, "{}", reply.text);
    assert_eq!(requests, expected, "{}", reply.text);
}

#[tokio::test]
async fn g13_each_call_asks_the_store_as_often_as_it_says() {
    test(async |w| {
        count(w, w.create(json!({"name": "x"})), 201, &["PutItem"]).await;
        let (id, token) = w.spawned().await;
        count(w, w.create(json!({"id": id, "name": "x"})), 409, &["PutItem"]).await;
        count(w, w.register_url(&id, Some(&token), "https://a.example"), 200, &["UpdateItem"]).await;
        count(w, w.get(&format!("/workspaces/{id}"), Some(w.admin())), 200, &["GetItem"]).await;
        count(w, w.get(&format!("/workspaces/{id}"), Some(&token)), 200, &["GetItem"]).await;
        count(w, w.mint(&id, json!({})), 201, &["GetItem", "UpdateItem"]).await;
        let api = w.mint(&id, json!({})).await.token();
        count(w, w.register_url(&id, Some(&api), "https://a.example"), 200, &["UpdateItem", "UpdateItem"])
            .await;
        count(w, w.register_url(&id, None, "https://a.example"), 401, &["GetItem"]).await;
        count(w, w.revoke(&id, json!({"operation_id": "o"})), 200, &["GetItem", "UpdateItem"]).await;
        count(w, w.revoke(&id, json!({"operation_id": "o"})), 200, &["GetItem"]).await;
        count(w, w.register_url(&id, Some(&token), "https://a.example"), 401, &["UpdateItem"]).await;
        count(w, w.register_url(&id, None, "https://a.example"), 200, &["GetItem", "UpdateItem"]).await;
        let unknown = w.new_id();
        count(w, w.register_url(&unknown, Some(&token), "https://a.example"), 404, &["UpdateItem"]).await;
    })
    .await;
}

#[tokio::test]
async fn g13_what_can_be_refused_offline_asks_nothing() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        let mistyped = token.replace("wsr_", "wsr_0").get(..62).unwrap().to_owned();
        w.keep_secret(&mistyped);
        count(w, w.register(None, json!("no object")), 400, &[]).await;
        count(w, w.register_url("a b", None, "https://a.example"), 400, &[]).await;
        count(w, w.register_url(&id, Some(&mistyped), "https://a.example"), 401, &[]).await;
        count(w, w.get(&format!("/workspaces/{id}"), Some(&mistyped)), 401, &[]).await;
        count(w, w.get("/workspaces/a%20b", Some(&token)), 401, &[]).await;
        count(w, w.post("/workspaces", Some(&token), json!({"name": "x"})), 401, &[]).await;
        count(w, w.create(json!({})), 400, &[]).await;
        count(w, w.revoke("a%20b", json!({})), 400, &[]).await;
        count(w, w.mint("a%20b", json!({})), 400, &[]).await;
    })
    .await;
}

#[tokio::test]
async fn opening_the_connection_makes_nothing_and_tells_a_failure() {
    test(async |w| {
        let store = |table: &str| Store::new(w.dynamodb.clone(), table.to_owned());
        for request in [WarmUp::Read, WarmUp::Create] {
            store(w.registry.table_name()).warm_up(request).await.unwrap();
            assert!(store("no-such-table").warm_up(request).await.is_err(), "{request:?}");
        }
        assert!(w.items().await.is_empty());
    })
    .await;
}
