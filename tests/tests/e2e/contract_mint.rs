//! `POST /admin/workspaces/{id}/tokens`.

use serde_json::json;
use tests::world::test;

#[tokio::test]
async fn an_api_token_is_shown_once_with_its_prefix() {
    test(async |w| {
        let (id, _) = w.spawned().await;
        let path = format!("{}/admin/workspaces/{id}/tokens", w.registry.url());
        for request in
            [w.http.post(&path), w.http.post(&path).body(" "), w.http.post(&path).json(&json!({"x": 1}))]
        {
            let reply = w.send(request.bearer_auth(w.admin())).await;
            assert_eq!(reply.status, 201, "{}", reply.text);
            let token = reply.token();
            let prefix = token.get(..12).unwrap();
            let expected =
                json!({"workspace_id": id, "token_id": prefix, "auth_token": token, "prefix": prefix});
            assert_eq!(reply.json, expected);
            let tokens = w.show(&id).await["tokens"].as_array().unwrap().clone();
            assert!(
                tokens
                    .iter()
                    .any(|t| t["kind"] == "api" && t["prefix"] == prefix && t["minted_at"].is_string())
            );
        }
    })
    .await;
}

#[tokio::test]
async fn g6_a_caller_chosen_token_can_be_minted_again_also_at_the_limit() {
    test(async |w| {
        let (id, _) = w.spawned().await;
        let (token, hash) = w.chosen_token();
        let body = json!({"auth_token_sha256": hash});
        let first = w.mint(&id, body.clone()).await;
        let token_id = format!("sha256:{}", hash.get(..16).unwrap());
        assert_eq!((first.status, &first.json), (201, &json!({"workspace_id": id, "token_id": token_id})));
        for _ in 1..20 {
            assert_eq!(w.mint(&id, json!({})).await.status, 201);
        }
        let before = w.item(&id).await;
        let full = w.mint(&id, json!({})).await;
        assert_eq!((full.status, full.code()), (409, "token_limit_reached"));
        let (_, another) = w.chosen_token();
        assert_eq!(w.mint(&id, json!({"auth_token_sha256": another})).await.status, 409);
        let repeat = w.mint(&id, body).await;
        assert_eq!((repeat.status, repeat.text), (201, first.text));
        assert_eq!(w.item(&id).await, before);
        assert_eq!(w.register_url(&id, Some(&token), "https://a.example").await.status, 200);
        assert_eq!(w.show(&id).await["tokens"].as_array().unwrap().len(), 21, "20 and the owner");
        assert_eq!(w.revoke(&id, json!({"scope": "api"})).await.json["revoked"], 20);
    })
    .await;
}

#[tokio::test]
async fn minting_moves_the_epoch() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        w.mint(&id, json!({})).await;
        assert_eq!(w.register_url(&id, Some(&token), "https://a.example").await.epoch(), 2);
        let shown = w.show(&id).await;
        assert_eq!((&shown["epoch"], &shown["owner_epoch"]), (&json!(2), &json!(1)));
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_minted_for() {
    test(async |w| {
        let unknown = w.mint(&w.new_id(), json!({})).await;
        assert_eq!((unknown.status, unknown.code()), (404, "workspace_not_found"));
        let (id, _) = w.spawned().await;
        for hash in [json!("x"), json!(7), json!("A".repeat(64))] {
            let reply = w.mint(&id, json!({"auth_token_sha256": hash})).await;
            assert_eq!((reply.status, &reply.json["field"]), (400, &json!("auth_token_sha256")));
        }
        assert_eq!(w.mint("a%20b", json!({})).await.status, 400);
        assert_eq!(w.mint(&id, json!([])).await.code(), "invalid_json");
    })
    .await;
}
