//! G13: how often the store is asked, counted on the wire.

use serde_json::{Value, json};
use shared::table::store::Store;
use tests::world::{Reply, World, test};

async fn count(w: &World, call: impl Future<Output = Reply>, status: u16, expected: &[&str]) {
    let (reply, requests) = w.requests_of(call).await;
    assert_eq!(reply.status, status, "{}", reply.text);
    assert_eq!(requests, expected, "{}", reply.text);
}

/// The same of a direct invocation: its function error, if it is to be one.
async fn count_direct(w: &World, function: &str, payload: Value, error: Option<&str>, expected: &[&str]) {
    w.proxy.take_seen();
    let answer = w.invoke(function, payload).await;
    let requests = w.proxy.take_seen();
    assert_eq!(answer.as_ref().err().map(|error| &error["errorType"]), error.map(Value::from).as_ref());
    assert_eq!(requests, expected, "{function}: {answer:?}");
}

#[tokio::test]
async fn g13_each_call_asks_the_store_as_often_as_it_says() {
    test(async |w| {
        count(w, w.create(json!({"name": "x"})), 201, &["PutItem"]).await;
        let (id, token) = w.spawned().await;
        count(w, w.create(json!({"id": id, "name": "x"})), 409, &["PutItem"]).await;
        count(w, w.register_url(&id, Some(&token), "https://a.example"), 200, &["GetItem", "UpdateItem"])
            .await;
        count(w, w.get(&format!("/workspaces/{id}"), Some(w.admin())), 200, &["BatchGetItem"]).await;
        count(w, w.get(&format!("/workspaces/{id}"), Some(&token)), 200, &["BatchGetItem"]).await;
        count(w, w.mint(&id, json!({})), 201, &["GetItem", "UpdateItem"]).await;
        let api = w.mint(&id, json!({})).await.token();
        count(w, w.register_url(&id, Some(&api), "https://a.example"), 200, &["GetItem", "UpdateItem"]).await;
        count(w, w.register_url(&id, None, "https://a.example"), 401, &["GetItem"]).await;
        count(w, w.beat(&id, Some(&token)), 200, &["GetItem", "PutItem"]).await;
        count(w, w.beat(&id, Some(&api)), 403, &["GetItem"]).await;
        count(w, w.state(&id, Some(&token)), 200, &["BatchGetItem"]).await;
        count(w, w.revoke(&id, json!({"operation_id": "o"})), 200, &["GetItem", "UpdateItem"]).await;
        count(w, w.revoke(&id, json!({"operation_id": "o"})), 200, &["GetItem"]).await;
        count(w, w.register_url(&id, Some(&token), "https://a.example"), 401, &["GetItem"]).await;
        count(w, w.register_url(&id, None, "https://a.example"), 200, &["GetItem", "UpdateItem"]).await;
        count(w, w.remove(&id, json!({})), 200, &["GetItem", "UpdateItem"]).await;
        count(w, w.remove(&id, json!({})), 200, &["GetItem"]).await;
        count(w, w.state(&id, Some(&token)), 404, &["BatchGetItem"]).await;
        let unknown = w.new_id();
        count(w, w.register_url(&unknown, Some(&token), "https://a.example"), 404, &["GetItem"]).await;
        let (id, token) = w.spawned().await;
        let twice = ["GetItem", "UpdateItem"];
        let tokens = format!("/workspaces/{id}/tokens");
        count(w, w.post(&tokens, Some(&token), json!({})), 201, &twice).await;
        count(w, w.owner_ends(&id, &token, "wsr_00000000"), 200, &twice).await;
        count(w, w.end_token(&id, "wsr_00000000", json!({"operation_id": "e"})), 200, &twice).await;
        count(w, w.end_token(&id, "wsr_00000000", json!({"operation_id": "e"})), 200, &["GetItem"]).await;
        count(w, w.rotate(&id, &token, json!({})), 200, &twice).await;
        let (root, token) = w.spawned().await;
        let child = json!({"name": "x", "parent_id": root});
        count(w, w.create(child), 201, &["GetItem", "PutItem"]).await;
        count(w, w.create(json!({"name": "x", "parent_id": unknown})), 400, &["GetItem"]).await;
        let (id, child_token) = w.child_of(&root).await;
        count(w, w.discover(&id, &root, Some(&token)), 200, &["BatchGetItem"]).await;
        count(w, w.discover(&id, &id, Some(&child_token)), 200, &["BatchGetItem"]).await;
        count(w, w.discover(&unknown, &root, Some(&token)), 404, &["BatchGetItem"]).await;
        count(w, w.discover(&id, &root, Some(&child_token)), 401, &["BatchGetItem"]).await;
        count(w, w.peers(&root, Some(&token)), 200, &["GetItem", "Query", "BatchGetItem"]).await;
        let both = ["GetItem", "Query", "Query", "BatchGetItem"];
        count(w, w.peers(&id, Some(&child_token)), 200, &both).await;
        count(w, w.peers(&id, Some(&token)), 401, &["GetItem"]).await;
        count(w, w.get("/workspaces", Some(w.admin())), 200, &["Query", "BatchGetItem"]).await;
        let childless = format!("/workspaces?parent_id={id}");
        count(w, w.get(&childless, Some(w.admin())), 200, &["Query"]).await;
    })
    .await;
}

/// A write, also one whose condition fails, costs write units. A read does not. So a stranger cannot use up the write capacity
/// of somebody else's workspace.
#[tokio::test]
async fn g13_a_refused_call_costs_no_write_unit() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        let (other, foreign) = w.spawned().await;
        let card = json!({"text": "x".repeat(30_000)});
        let body = json!({"id": id, "url": "https://a.example", "agent_card": card});
        assert_eq!(w.register(Some(&token), body).await.status, 200);
        let (_, used) = w.chosen_token();
        assert_eq!(w.mint(&id, json!({"auth_token_sha256": used})).await.status, 201);
        let (made_up, _) = w.chosen_token();
        let open = w.open().await;
        assert_eq!(w.mint(&open, json!({"auth_token_sha256": used})).await.status, 201);
        let unknown = w.new_id();
        let url = "https://b.example";
        let admin = w.admin();
        w.proxy.take_seen();
        let refused = [
            (401, w.register_url(&id, Some(&made_up), url).await),
            (401, w.register_url(&id, Some(&foreign), url).await),
            (401, w.register_url(&id, None, url).await),
            (401, w.register_url(&open, Some(&made_up), url).await),
            (409, w.register(None, json!({"id": open, "agent_card": {}, "auth_token_sha256": used})).await),
            (404, w.register_url(&unknown, Some(&token), url).await),
            (404, w.register_url(&unknown, None, url).await),
            (401, w.get(&format!("/workspaces/{id}"), Some(&made_up)).await),
            (404, w.get(&format!("/workspaces/{unknown}"), Some(admin)).await),
            (401, w.post("/workspaces", Some(&token), json!({"id": other, "name": "x"})).await),
            (409, w.mint(&id, json!({"auth_token_sha256": tests::world::sha256(&token)})).await),
            (404, w.mint(&unknown, json!({})).await),
            (409, w.hand_over(&id, json!({"successor_token_sha256": used})).await),
            (409, w.revoke(&id, json!({"expected_epoch": 99})).await),
            (409, w.cancel(&id, json!({"expected_epoch": 99})).await),
            (409, w.remove(&id, json!({"expected_epoch": 99})).await),
            (404, w.remove(&unknown, json!({})).await),
            (401, w.beat(&id, Some(&made_up)).await),
            (401, w.beat(&id, None).await),
            (404, w.beat(&unknown, Some(&token)).await),
            (401, w.state(&id, Some(&made_up)).await),
            (401, w.state(&unknown, Some(&token)).await),
            (401, w.discover(&id, &id, Some(&made_up)).await),
            (401, w.discover(&id, &other, Some(&made_up)).await),
            (404, w.discover(&id, &other, Some(&foreign)).await),
            (401, w.peers(&id, Some(&made_up)).await),
            (401, w.peers(&unknown, Some(&token)).await),
            (401, w.post(&format!("/workspaces/{id}/tokens"), Some(&made_up), json!({})).await),
            (401, w.owner_ends(&id, &made_up, "wsr_00000000").await),
            (401, w.rotate(&id, &made_up, json!({})).await),
            (404, w.rotate(&unknown, &token, json!({})).await),
            (404, w.end_token(&unknown, "wsr_00000000", json!({})).await),
            (400, w.create(json!({"name": "x", "parent_id": unknown})).await),
        ];
        let requests = w.proxy.take_seen();
        for (status, reply) in refused {
            assert_eq!(reply.status, status, "{}", reply.text);
        }
        assert!(
            requests.iter().all(|request| ["GetItem", "BatchGetItem"].contains(&request.as_str())),
            "{requests:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn g13_a_hand_over_and_its_end_ask_the_store_as_often_as_they_say() {
    test(async |w| {
        let (id, _) = w.spawned().await;
        let (token, hash) = w.chosen_token();
        let named = json!({"successor_token_sha256": hash, "operation_id": "o"});
        count(w, w.hand_over(&id, named.clone()), 200, &["GetItem", "UpdateItem"]).await;
        count(w, w.hand_over(&id, named), 200, &["GetItem"]).await;
        let cancel = json!({"operation_id": "c"});
        count(w, w.cancel(&id, cancel.clone()), 200, &["GetItem", "UpdateItem"]).await;
        count(w, w.cancel(&id, cancel), 200, &["GetItem"]).await;
        let named = json!({"successor_token_sha256": hash});
        count(w, w.revoke(&id, named.clone()), 200, &["GetItem", "UpdateItem"]).await;
        count(w, w.register_url(&id, None, "https://a.example"), 401, &["GetItem"]).await;
        let take_over = w.register_url(&id, Some(&token), "https://b.example");
        count(w, take_over, 200, &["GetItem", "UpdateItem"]).await;
        let unknown = w.new_id();
        count(w, w.hand_over(&unknown, named), 404, &["GetItem"]).await;
        count(w, w.cancel(&unknown, json!({})), 404, &["GetItem"]).await;
        count(w, w.revoke(&unknown, json!({})), 200, &["GetItem"]).await;
    })
    .await;
}

#[tokio::test]
async fn g13_a_direct_invocation_asks_the_store_as_often_as_the_same_over_http() {
    test(async |w| {
        let (id, _) = w.spawned().await;
        let (_, hash) = w.chosen_token();
        let twice = ["GetItem", "UpdateItem"];
        let revoke = json!({"workspace_id": id, "operation_id": "r"});
        count_direct(w, "admin-revoke", revoke.clone(), None, &twice).await;
        count_direct(w, "admin-revoke", revoke, None, &["GetItem"]).await;
        let hand_over = json!({"workspace_id": id, "successor_token_sha256": hash, "operation_id": "o"});
        count_direct(w, "admin-hand-over", hand_over.clone(), None, &twice).await;
        count_direct(w, "admin-hand-over", hand_over, None, &["GetItem"]).await;
        let cancel = json!({"workspace_id": id, "action": "cancel", "operation_id": "c"});
        count_direct(w, "admin-hand-over", cancel.clone(), None, &twice).await;
        count_direct(w, "admin-hand-over", cancel, None, &["GetItem"]).await;
        count_direct(w, "get-workspace", json!({"workspace_id": id}), None, &["BatchGetItem"]).await;
        for (function, payload) in [
            ("admin-revoke", json!({"workspace_id": "a b"})),
            ("admin-revoke", json!({"workspace_id": id, "expires_in_seconds": 59})),
            ("admin-hand-over", json!({"workspace_id": id})),
            ("admin-hand-over", json!({"workspace_id": id, "action": "cancel", "expires_in_seconds": 60})),
            ("get-workspace", json!({"workspace_id": id, "action": "cancel"})),
        ] {
            count_direct(w, function, payload, Some("InvalidPayload"), &[]).await;
        }
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
        count(w, w.discover(&id, "a b", Some(&token)), 400, &[]).await;
        count(w, w.discover("a%20b", &id, Some(&token)), 400, &[]).await;
        count(w, w.discover(&id, &id, Some(&mistyped)), 401, &[]).await;
        count(w, w.peers("a%20b", Some(&token)), 401, &[]).await;
        count(w, w.rotate("a%20b", &token, json!({})), 400, &[]).await;
        count(w, w.owner_ends(&id, &token, "x"), 400, &[]).await;
        count(w, w.end_token(&id, "x", json!({})), 400, &[]).await;
        count(w, w.get(&format!("/registry/{id}/peers?after="), Some(&token)), 400, &[]).await;
        count(w, w.get("/workspaces", Some(&token)), 401, &[]).await;
        count(w, w.get("/workspaces?limit=0", Some(w.admin())), 400, &[]).await;
        count(w, w.revoke("a%20b", json!({})), 400, &[]).await;
        count(w, w.mint("a%20b", json!({})), 400, &[]).await;
        count(w, w.hand_over("a%20b", json!({})), 400, &[]).await;
        count(w, w.hand_over(&id, json!({})), 400, &[]).await;
        count(w, w.cancel("a%20b", json!({})), 400, &[]).await;
        count(w, w.cancel(&id, json!({"expected_epoch": 0})), 400, &[]).await;
    })
    .await;
}

#[tokio::test]
async fn opening_the_connection_makes_nothing_and_tells_a_failure() {
    test(async |w| {
        let store = |table: &str| Store::new(w.dynamodb.clone(), table.to_owned());
        store(w.registry.table_name()).warm_up().await.unwrap();
        assert!(store("no-such-table").warm_up().await.is_err());
        assert!(w.items().await.is_empty());
    })
    .await;
}
