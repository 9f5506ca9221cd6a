//! `GET /workspaces`: an operator lists roots, or the children of one workspace.

use serde_json::{Value, json};
use tests::world::{World, test};

async fn list(w: &World, query: &str) -> (Vec<String>, Value) {
    let reply = w.get(&format!("/workspaces{query}"), Some(w.admin())).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let ids = reply.json["workspaces"].as_array().unwrap().iter();
    (ids.map(|workspace| workspace["id"].as_str().unwrap().to_owned()).collect(), reply.json["next"].clone())
}

#[tokio::test]
async fn roots_and_children_are_listed() {
    test(async |w| {
        assert_eq!(list(w, "").await, (vec![], Value::Null));
        let (root, token) = w.spawned().await;
        let (child, _) = w.child_of(&root).await;
        let (removed, _) = w.child_of(&root).await;
        let (left, _) = w.child_of(&removed).await;
        assert_eq!(w.remove(&removed, json!({})).await.status, 200);
        assert_eq!(w.register_url(&root, Some(&token), "https://a.example").await.status, 200);
        let reply = w.get("/workspaces", Some(w.admin())).await;
        let [listed] = reply.json["workspaces"].as_array().unwrap().as_slice() else {
            panic!("{}", reply.text)
        };
        let expected = json!({"id": root, "name": "spawned", "status": "online", "url": "https://a.example",
            "role": null, "parent_id": null, "epoch": 1, "owner_epoch": 1, "registered_by": "owner",
            "last_seen_at": listed["last_seen_at"]});
        assert_eq!((listed, &reply.json["next"]), (&expected, &Value::Null));
        assert_eq!(list(w, &format!("?parent_id={root}")).await, (vec![child], Value::Null));
        let children = list(w, &format!("?parent_id={removed}")).await;
        assert_eq!(children, (vec![left], Value::Null), "the children of a removed workspace live on");
        assert_eq!(list(w, &format!("?parent_id={}", w.new_id())).await, (vec![], Value::Null));
    })
    .await;
}

#[tokio::test]
async fn a_list_comes_in_pages() {
    test(async |w| {
        let mut expected = Vec::new();
        for _ in 0..5 {
            expected.push(w.spawned().await.0);
        }
        expected.sort_unstable();
        let (mut found, mut after) = (Vec::new(), String::new());
        for count in [2, 2, 1] {
            let (ids, next) = list(w, &format!("?limit=2{after}")).await;
            assert_eq!(ids.len(), count);
            assert_eq!(next.as_str(), ids.last().filter(|_| count == 2).map(String::as_str));
            after = format!("&after={}", ids.last().unwrap());
            found.extend(ids);
        }
        assert_eq!(found, expected);
        assert_eq!(list(w, "?limit=5").await, (expected, Value::Null));
        for (query, field) in [
            ("?limit=0", "limit"),
            ("?limit=101", "limit"),
            ("?limit=x", "limit"),
            ("?limit=1&limit=2", "limit"),
            ("?after=a%20b", "after"),
            ("?parent_id=-", "parent_id"),
        ] {
            let refused = w.get(&format!("/workspaces{query}"), Some(w.admin())).await;
            assert_eq!((refused.status, &refused.json["field"]), (400, &json!(field)), "{query}");
        }
        let (_, token) = w.spawned().await;
        assert_eq!(w.get("/workspaces", Some(&token)).await.code(), "invalid_token");
        assert_eq!(w.get("/workspaces", None).await.code(), "missing_token");
    })
    .await;
}
