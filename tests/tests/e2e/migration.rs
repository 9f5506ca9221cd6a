//! The story that the registry exists for.

use serde_json::json;
use tests::world::test;

#[tokio::test]
async fn a_wedged_migration_is_repaired_and_proved() {
    test(async |w| {
        let (id, source) = w.spawned().await;
        assert_eq!(w.register_url(&id, Some(&source), "https://source.example").await.status, 200);
        // The target boots with an empty config and is refused for as long as the source's token lives.
        for _ in 0..3 {
            assert_eq!(w.register_url(&id, None, "https://target.example").await.code(), "missing_token");
        }
        let revoke = w
            .invoke("admin-revoke", json!({"workspace_id": id, "operation_id": "migration-1"}))
            .await
            .unwrap();
        let revoked_at = revoke["epoch"].as_u64().unwrap();
        let flipped = async || {
            let shown = w.invoke("get-workspace", json!({"workspace_id": id})).await.unwrap();
            shown["owner_epoch"].as_u64().is_some_and(|epoch| epoch > revoked_at)
                && shown["registered_by"] == "owner"
                && shown["url"] == "https://target.example"
        };
        assert!(!flipped().await, "the revoke alone is no proof");
        // The source keeps trying with its dead token, and cannot come back.
        assert_eq!(w.register_url(&id, Some(&source), "https://source.example").await.status, 401);
        assert!(!flipped().await);
        let target = w.register_url(&id, None, "https://target.example").await;
        assert_eq!(target.status, 200);
        assert!(flipped().await);
        assert_eq!(w.register_url(&id, Some(&source), "https://source.example").await.status, 401);
        assert_eq!(w.register_url(&id, None, "https://source.example").await.status, 401);
        assert!(flipped().await, "and it stays so");
        // The migrator's late repeat does not end the target.
        w.invoke("admin-revoke", json!({"workspace_id": id, "operation_id": "migration-1"})).await.unwrap();
        assert_eq!(w.register_url(&id, Some(&target.token()), "https://target.example").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn g4_an_ended_token_never_comes_back() {
    test(async |w| {
        let (id, first) = w.spawned().await;
        let mut ended = vec![first];
        for round in 0..4 {
            ended.push(w.mint(&id, json!({})).await.token());
            w.revoke(&id, json!({})).await;
            for token in &ended {
                let url = format!("https://round-{round}.example");
                assert_eq!(w.register_url(&id, Some(token), &url).await.status, 401);
                assert_eq!(w.get(&format!("/workspaces/{id}"), Some(token)).await.status, 401);
            }
            ended.push(w.register_url(&id, None, "https://a.example").await.token());
        }
    })
    .await;
}
