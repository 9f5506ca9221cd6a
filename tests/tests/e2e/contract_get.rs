//! `GET /workspaces/{id}`, and the same by direct invocation.

use serde_json::json;
use tests::world::{sha256, test};

#[tokio::test]
async fn all_that_is_known_and_never_a_hash() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        let shown = w.show(&id).await;
        let fields: Vec<_> = shown.as_object().unwrap().keys().map(String::as_str).collect();
        let mut expected = vec![
            "id",
            "name",
            "status",
            "url",
            "agent_card",
            "external",
            "role",
            "tier",
            "runtime",
            "parent_id",
            "compute",
            "created_at",
            "registered_at",
            "revoked_at",
            "registered_by",
            "epoch",
            "owner_epoch",
            "last_seen_at",
            "heartbeat",
            "tokens",
        ];
        expected.sort_unstable();
        assert_eq!(fields, expected);
        assert!(!shown.to_string().contains(&sha256(&token)));
        let prefix = token.get(..12).unwrap();
        let created_at = shown["created_at"].as_str().unwrap();
        let owner = json!({"kind": "owner", "token_id": prefix, "prefix": prefix, "name": null,
            "minted_at": created_at, "expires_at": null});
        assert_eq!(shown["tokens"], json!([owner]));
        assert!(created_at.len() == 24 && created_at.ends_with('Z'), "{created_at}");
        assert_eq!(w.invoke("get-workspace", json!({"workspace_id": id})).await.unwrap(), shown);
    })
    .await;
}

#[tokio::test]
async fn who_may_look() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        let (other, other_token) = w.spawned().await;
        let api = w.mint(&id, json!({})).await.token();
        let path = format!("/workspaces/{id}");
        for bearer in [w.admin(), &token, &api] {
            assert_eq!(w.get(&path, Some(bearer)).await.status, 200);
        }
        let missing = w.get(&path, None).await;
        assert_eq!((missing.status, missing.code()), (401, "missing_token"));
        // To anybody else, a workspace that is not there looks like somebody else's.
        for path in [path, format!("/workspaces/{}", w.new_id()), "/workspaces/a%20b".to_owned()] {
            let reply = w.get(&path, Some(&other_token)).await;
            assert_eq!((reply.status, reply.code()), (401, "invalid_token"), "{path}");
        }
        let unknown = w.get(&format!("/workspaces/{}", w.new_id()), Some(w.admin())).await;
        assert_eq!((unknown.status, unknown.code()), (404, "workspace_not_found"));
        assert_eq!(w.get("/workspaces/a%20b", Some(w.admin())).await.status, 400);
        assert_eq!(w.get(&format!("/workspaces/{other}"), Some(&other_token)).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn direct_errors_have_a_stable_vocabulary() {
    test(async |w| {
        let unknown = w.invoke("get-workspace", json!({"workspace_id": w.new_id()})).await.unwrap_err();
        assert_eq!(unknown["errorType"], "WorkspaceNotFound");
        for payload in
            [json!({}), json!({"workspace_id": ""}), json!({"workspace_id": "w", "x": 1}), json!([])]
        {
            let error = w.invoke("get-workspace", payload.clone()).await.unwrap_err();
            assert_eq!(error["errorType"], "InvalidPayload", "{payload}");
        }
    })
    .await;
}
