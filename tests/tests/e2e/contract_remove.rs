//! `DELETE /workspaces/{id}`, also by direct invocation.

use serde_json::json;
use tests::proxy::Fault;
use tests::world::test;

#[tokio::test]
async fn g10_a_removal_leaves_a_tombstone_and_is_final() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        assert_eq!(w.register_url(&id, Some(&token), "https://a.example").await.status, 200);
        let api = w.mint(&id, json!({})).await.token();
        let (successor, _) = w.handed_over(&id).await;
        let removed = w.remove(&id, json!({"expected_epoch": 3})).await;
        let expected = json!({"status": "removed", "workspace_id": id, "epoch": 4});
        assert_eq!((removed.status, &removed.json), (200, &expected));
        let tombstone = w.item(&id).await.unwrap();
        let mut left: Vec<_> = tombstone.keys().map(String::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["created_at", "epoch", "name", "registered_at", "status", "workspace_id"]);
        // Repeated, also with an epoch that is long gone, and by direct invocation.
        for body in [json!({}), json!({"expected_epoch": 3})] {
            assert_eq!(w.remove(&id, body).await.json, expected);
        }
        assert_eq!(w.invoke("admin-remove", json!({"workspace_id": id})).await.unwrap(), expected);
        for bearer in [&token, &api, &successor] {
            assert_eq!(w.register_url(&id, Some(bearer), "https://a.example").await.status, 410);
            assert_eq!(w.get(&format!("/workspaces/{id}"), Some(bearer)).await.status, 401);
        }
        assert_eq!(w.register_url(&id, None, "https://a.example").await.status, 410);
        assert_eq!(w.create(json!({"id": id, "name": "x"})).await.code(), "workspace_exists");
        assert_eq!(w.revoke(&id, json!({})).await.status, 410);
        assert_eq!(w.item(&id).await.unwrap(), tombstone);
    })
    .await;
}

#[tokio::test]
async fn a_removal_that_does_not_fit_is_refused() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        let before = w.item(&id).await;
        let moved = w.remove(&id, json!({"expected_epoch": 2})).await;
        assert_eq!((moved.status, moved.code()), (409, "epoch_changed"));
        assert_eq!(w.remove(&w.new_id(), json!({})).await.code(), "workspace_not_found");
        let url = format!("{}/workspaces/{id}", w.registry.url());
        let by_owner = w.send(w.http.delete(url).bearer_auth(&token)).await;
        assert_eq!((by_owner.status, by_owner.code()), (401, "invalid_token"));
        let unknown_field = json!({"workspace_id": id, "force": true});
        let error = w.invoke("admin-remove", unknown_field).await.unwrap_err();
        assert_eq!(error["errorType"], "InvalidPayload");
        assert_eq!(w.item(&id).await, before);
    })
    .await;
}

/// Whatever was decided before a removal can never land after it.
#[tokio::test]
async fn g10_no_late_write_brings_a_removed_workspace_back() {
    test(async |w| {
        for held in ["register", "mint", "hand over"] {
            let (id, token) = w.spawned().await;
            let (_, hash) = w.chosen_token();
            w.proxy.spoil_all("UpdateItem", Fault::Capture);
            let reply = match held {
                "register" => w.register_url(&id, Some(&token), "https://late.example").await,
                "mint" => w.mint(&id, json!({})).await,
                _ => w.hand_over(&id, json!({"successor_token_sha256": hash})).await,
            };
            assert_eq!(reply.code(), "store_unavailable", "{held}");
            w.proxy.heal();
            assert_eq!(w.remove(&id, json!({})).await.status, 200);
            let tombstone = w.item(&id).await;
            let late = w.proxy.deliver_captured(2).await;
            assert!(!late.is_empty() && late.iter().all(|status| *status == 400), "{held}: {late:?}");
            assert_eq!(w.item(&id).await, tombstone, "{held}");
        }
    })
    .await;
}

#[tokio::test]
async fn g6_a_removal_survives_a_lost_reply_and_joined_repeats() {
    test(async |w| {
        let (id, _) = w.spawned().await;
        w.proxy.spoil_next("UpdateItem", Fault::DropReply);
        let removed = w.remove(&id, json!({})).await;
        assert_eq!((removed.status, removed.epoch()), (200, 2), "{}", removed.text);
        let (id, _) = w.spawned().await;
        let replies = futures_util::future::join_all((0..8).map(|_| w.remove(&id, json!({})))).await;
        for reply in replies {
            assert_eq!((reply.status, reply.epoch()), (200, 2), "{}", reply.text);
        }
    })
    .await;
}
