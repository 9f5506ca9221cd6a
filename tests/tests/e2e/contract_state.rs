//! `GET /workspaces/{id}/state`.

use serde_json::json;
use tests::world::test;

#[tokio::test]
async fn a_live_bearer_and_the_admin_see_the_state() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        let api = w.mint(&id, json!({})).await.token();
        for bearer in [w.admin(), &token, &api] {
            let state = w.state(&id, Some(bearer)).await;
            let expected = json!({
                "workspace_id": id, "status": "provisioning", "paused": false, "deleted": false, "epoch": 2
            });
            assert_eq!((state.status, state.json), (200, expected));
        }
        assert_eq!(w.state(&id, None).await.code(), "missing_token");
    })
    .await;
}

/// Agents' loops end at a 404: nothing but a removal may answer it to them.
#[tokio::test]
async fn only_a_removed_workspace_is_a_404_to_an_agent() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        let (_, foreign) = w.spawned().await;
        let (made_up, _) = w.chosen_token();
        for (id, bearer) in
            [(&id, &foreign), (&id, &made_up), (&w.new_id(), &token), (&"a%20b".to_owned(), &token)]
        {
            let state = w.state(id, Some(bearer)).await;
            assert_eq!((state.status, state.code()), (401, "invalid_token"));
        }
        assert_eq!(w.remove(&id, json!({})).await.status, 200);
        for bearer in [&token, &foreign, &made_up, w.admin()] {
            let state = w.state(&id, Some(bearer)).await;
            assert_eq!((state.status, state.code()), (404, "workspace_removed"));
            assert_eq!(state.json["deleted"], true);
        }
        assert_eq!(w.state(&id, None).await.status, 401);
        assert_eq!(w.state(&id, Some("malformed")).await.status, 401);
        let unknown = w.state(&w.new_id(), Some(w.admin())).await;
        assert_eq!((unknown.status, unknown.json.get("deleted")), (404, None));
    })
    .await;
}
