//! `GET /registry/discover/{id}` and `GET /registry/{id}/peers`: what agents learn about each other.

use aws_sdk_dynamodb::types::AttributeValue;
use domain::tree::Roots;
use serde_json::{Value, json};
use tests::proxy::Fault;
use tests::world::{Reply, Setup, World, test, test_with};

const URL: &str = "https://agent.example";

/// The ids of a list of peers.
fn ids(reply: &Reply) -> Vec<&str> {
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json.as_array().unwrap().iter().map(|peer| peer["id"].as_str().unwrap()).collect()
}

fn sorted<'a>(ids: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
    let mut ids: Vec<_> = ids.into_iter().map(String::as_str).collect();
    ids.sort_unstable();
    ids
}

/// A read of megabytes may time out on a busy machine.
async fn patient_get(w: &World, path: &str, bearer: &str) -> Reply {
    for _ in 0..4 {
        let reply = w.get(path, Some(bearer)).await;
        if reply.status != 503 {
            return reply;
        }
    }
    w.get(path, Some(bearer)).await
}

/// Follows the links from page to page.
async fn all_peers(w: &World, id: &str, bearer: &str) -> Vec<String> {
    let (mut found, mut path) = (Vec::new(), format!("/registry/{id}/peers"));
    loop {
        let page = patient_get(w, &path, bearer).await;
        found.extend(ids(&page).into_iter().map(str::to_owned));
        let Some(link) = page.header("link") else { return found };
        let url = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).unwrap();
        path = url.strip_prefix(w.registry.url()).unwrap().to_owned();
    }
}

/// The same once the index has so many: it is eventually consistent.
async fn all_peers_of(w: &World, id: &str, bearer: &str, count: usize) -> Vec<String> {
    for _ in 0..50 {
        let found = all_peers(w, id, bearer).await;
        if found.len() == count {
            return found;
        }
    }
    all_peers(w, id, bearer).await
}

#[tokio::test]
async fn an_agent_finds_another_one_s_address() {
    test(async |w| {
        let (root, root_token) = w.spawned().await;
        let (one, one_token) = w.child_of(&root).await;
        let body = json!({"id": w.new_id(), "name": "Two", "parent_id": root, "role": "writer", "tier": 2});
        let created = w.create(body).await;
        let (two, two_token) = (created.json["id"].as_str().unwrap().to_owned(), created.token());
        let before = w.discover(&two, &one, Some(&one_token)).await;
        assert_eq!((before.status, &before.json["status"]), (200, &json!("provisioning")));
        assert_eq!((&before.json["url"], &before.json["agent_card"]), (&Value::Null, &Value::Null));
        assert_eq!(before.json["last_seen_at"], Value::Null);
        let body = json!({"id": two, "url": URL, "agent_card": {"name": "Two", "skills": [1.50]}});
        assert_eq!(w.register(Some(&two_token), body).await.status, 200);
        let found = w.discover(&two, &one, Some(&one_token)).await;
        assert_eq!(found.status, 200, "{}", found.text);
        let expected = json!({"id": two, "name": "Two", "url": URL, "status": "online", "role": "writer",
            "tier": 2, "agent_card": {"name": "Two", "skills": [1.50]}, "epoch": 1,
            "last_seen_at": found.json["last_seen_at"]});
        assert_eq!(found.json, expected);
        assert!(found.json["last_seen_at"].is_string());
        let api = w.mint(&one, json!({})).await.token();
        for (caller, bearer) in
            [(&root, &root_token), (&two, &two_token), (&one, &api), (&w.new_id(), &w.admin().to_owned())]
        {
            let reply = w.discover(&two, caller, Some(bearer)).await;
            assert_eq!(reply.json, expected, "{caller}");
        }
        let unnamed = w.get(&format!("/registry/discover/{two}"), Some(w.admin())).await;
        assert_eq!(unnamed.json, expected, "the operator belongs to no workspace");
        let body = json!({"id": two, "url": "remote://no-inbound", "agent_card": {}});
        assert_eq!(w.register(Some(&two_token), body).await.status, 200);
        assert_eq!(w.discover(&two, &one, Some(&one_token)).await.json["url"], Value::Null);
    })
    .await;
}

#[tokio::test]
async fn a_discovery_names_its_caller() {
    test(async |w| {
        let (root, token) = w.spawned().await;
        let path = format!("/registry/discover/{root}");
        let unnamed = w.get(&path, Some(&token)).await;
        assert_eq!((unnamed.status, &unnamed.json["field"]), (400, &json!("X-Workspace-ID")));
        let malformed = w.discover(&root, "a b", Some(&token)).await;
        assert_eq!((malformed.status, &malformed.json["field"]), (400, &json!("X-Workspace-ID")));
        let target = w.discover("a%20b", &root, Some(&token)).await;
        assert_eq!((target.status, &target.json["field"]), (400, &json!("id")));
        assert_eq!(w.get(&path, None).await.code(), "missing_token");
        assert_eq!(w.discover(&root, &root, Some(&token)).await.status, 200, "itself");
        let (other, _) = w.spawned().await;
        assert_eq!(w.discover(&root, &other, Some(&token)).await.code(), "invalid_token");
        assert_eq!(w.discover(&root, &w.new_id(), Some(&token)).await.code(), "invalid_token");
    })
    .await;
}

/// A workspace that does not exist, one that was removed and one that the caller may not see get the same answer.
#[tokio::test]
async fn g19_nothing_is_learned_about_strangers() {
    test(async |w| {
        let (caller, token) = w.spawned().await;
        let (stranger, stranger_token) = w.spawned().await;
        assert_eq!(w.register_url(&stranger, Some(&stranger_token), URL).await.status, 200);
        let (its_child, _) = w.child_of(&stranger).await;
        let (removed, _) = w.child_of(&caller).await;
        assert_eq!(w.remove(&removed, json!({})).await.status, 200);
        let without_request_id = |mut reply: Reply| {
            reply.json["request_id"] = Value::Null;
            (reply.status, reply.json)
        };
        let mut answers = Vec::new();
        for target in [&stranger, &its_child, &removed, &w.new_id()] {
            answers.push(without_request_id(w.discover(target, &caller, Some(&token)).await));
        }
        assert_eq!((answers[0].0, &answers[0].1["code"]), (404, &json!("workspace_not_found")));
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        assert!(ids(&w.peers(&caller, Some(&token)).await).is_empty());
        for ended in [w.revoke(&caller, json!({})).await.status, w.remove(&caller, json!({})).await.status] {
            assert_eq!(ended, 200);
            assert_eq!(w.discover(&caller, &caller, Some(&token)).await.code(), "invalid_token");
            assert_eq!(w.peers(&caller, Some(&token)).await.code(), "invalid_token");
        }
    })
    .await;
}

#[tokio::test]
async fn g19_roots_see_each_other_only_in_one_organisation() {
    test_with(Setup { roots: Roots::Peers, ..Setup::default() }, async |w| {
        let (one, token) = w.spawned().await;
        let (two, _) = w.spawned().await;
        let (child, child_token) = w.child_of(&two).await;
        assert_eq!(w.discover(&two, &one, Some(&token)).await.status, 200);
        assert_eq!(w.discover(&child, &one, Some(&token)).await.status, 404);
        assert_eq!(w.discover(&one, &child, Some(&child_token)).await.status, 404);
        assert_eq!(ids(&w.peers(&one, Some(&token)).await), [two.as_str()]);
    })
    .await;
}

#[tokio::test]
async fn peers_are_the_parent_the_siblings_and_the_children() {
    test(async |w| {
        let (grandparent, _) = w.spawned().await;
        let (parent, _) = w.child_of(&grandparent).await;
        let (_uncle, _) = w.child_of(&grandparent).await;
        let (caller, token) = w.child_of(&parent).await;
        let (sibling, sibling_token) = w.child_of(&parent).await;
        let (_nephew, _) = w.child_of(&sibling).await;
        let (child, _) = w.child_of(&caller).await;
        let (_grandchild, _) = w.child_of(&child).await;
        let (removed, _) = w.child_of(&caller).await;
        assert_eq!(w.remove(&removed, json!({})).await.status, 200);
        assert_eq!(w.register_url(&sibling, Some(&sibling_token), URL).await.status, 200);
        let peers = w.peers(&caller, Some(&token)).await;
        assert_eq!(ids(&peers), sorted([&parent, &sibling, &child]));
        assert_eq!(peers.header("link"), None);
        let found = peers.json.as_array().unwrap().iter().find(|peer| peer["id"] == *sibling).unwrap();
        let expected = json!({"id": sibling, "name": "child", "url": URL, "role": null, "tier": null,
            "status": "online", "agent_card": {"name": "agent"}, "parent_id": parent, "epoch": 1,
            "last_seen_at": found["last_seen_at"]});
        assert_eq!(*found, expected);
        assert_eq!(w.peers(&caller, Some(w.admin())).await.json, peers.json);
        let (made_up, _) = w.chosen_token();
        for (id, bearer, status, code) in [
            (&caller, Some(&made_up), 401, "invalid_token"),
            (&caller, Some(&sibling_token), 401, "invalid_token"),
            (&caller, None, 401, "missing_token"),
            (&removed, Some(&token), 401, "invalid_token"),
            (&w.new_id(), Some(&token), 401, "invalid_token"),
            (&removed, Some(&w.admin().to_owned()), 410, "workspace_removed"),
            (&w.new_id(), Some(&w.admin().to_owned()), 404, "workspace_not_found"),
        ] {
            let refused = w.peers(id, bearer.map(String::as_str)).await;
            assert_eq!((refused.status, refused.code()), (status, code));
        }
        let after = w.get(&format!("/registry/{caller}/peers?after=a%20b"), Some(&token)).await;
        assert_eq!((after.status, &after.json["field"]), (400, &json!("after")));
        let twice = w.get(&format!("/registry/{caller}/peers?after=a&after=b"), Some(&token)).await;
        assert_eq!((twice.status, &twice.json["field"]), (400, &json!("after")));
    })
    .await;
}

/// 230 peers come in three pages, each once, whatever their relation.
#[tokio::test]
async fn peers_come_in_pages() {
    test(async |w| {
        let (parent, _) = w.spawned().await;
        let (caller, token) = w.child_of(&parent).await;
        let mut expected = vec![parent.clone()];
        let template = w.item(&caller).await.unwrap();
        for number in 0..230 {
            let id = w.new_id();
            // Made by hand: 230 calls of create would take their time.
            let mut item = template.clone();
            let text = |text: &str| AttributeValue::S(text.to_owned());
            item.insert("workspace_id".to_owned(), text(&id));
            if number % 2 == 0 {
                let ancestors = [&parent, &caller].map(|id| text(id)).to_vec();
                item.insert("ancestors".to_owned(), AttributeValue::L(ancestors));
                item.insert("parent_id".to_owned(), text(&caller));
                item.insert("parent_key".to_owned(), text(&caller));
            }
            w.put(item).await;
            expected.push(id);
        }
        assert_eq!(all_peers_of(w, &caller, &token, expected.len()).await, sorted(&expected));
        let first = w.peers(&caller, Some(&token)).await;
        assert_eq!(ids(&first).len(), 100);
        assert!(first.header("link").is_some());
    })
    .await;
}

/// Lambda refuses an answer of more than 6 MB, in which the body is a JSON string: quotes take two bytes.
#[tokio::test]
async fn an_answer_stays_within_lambda_s_limit() {
    test(async |w| {
        let (parent, token) = w.spawned().await;
        let (child, child_token) = w.child_of(&parent).await;
        let quotes = format!("[{}]", vec!["\"\""; 10_900].join(","));
        let card: Value = serde_json::from_str(&format!("{{\"x\":{quotes}}}")).unwrap();
        let body = json!({"id": child, "url": URL, "agent_card": card});
        assert_eq!(w.register(Some(&child_token), body).await.status, 200);
        let template = w.item(&child).await.unwrap();
        let mut expected = vec![child];
        for _ in 0..120 {
            let id = w.new_id();
            let mut item = template.clone();
            item.insert("workspace_id".to_owned(), AttributeValue::S(id.clone()));
            w.put(item).await;
            expected.push(id);
        }
        assert_eq!(all_peers_of(w, &parent, &token, expected.len()).await, sorted(&expected));
        let first = patient_get(w, &format!("/registry/{parent}/peers"), &token).await;
        let escaped = serde_json::to_string(&first.text).unwrap().len();
        assert!((4_000_000..6_200_000).contains(&escaped), "{escaped}");
    })
    .await;
}

/// DynamoDB may leave keys unprocessed. They are asked for again; a list is never shorter for it.
#[tokio::test]
async fn unprocessed_keys_are_asked_for_again() {
    test(async |w| {
        let (parent, token) = w.spawned().await;
        let (child, _) = w.child_of(&parent).await;
        let paths = [format!("/registry/{parent}/peers"), format!("/workspaces/{parent}")];
        for path in &paths {
            w.proxy.spoil_next("BatchGetItem", Fault::Unprocessed);
            let (reply, requests) = w.requests_of(w.get(path, Some(&token))).await;
            assert_eq!(reply.status, 200, "{}", reply.text);
            assert_eq!(requests.iter().filter(|request| *request == "BatchGetItem").count(), 2);
            assert!(reply.text.contains(&child) || path == &paths[1]);
            w.proxy.spoil_all("BatchGetItem", Fault::Unprocessed);
            let failed = w.get(path, Some(&token)).await;
            assert_eq!((failed.status, failed.code()), (503, "store_unavailable"));
            assert_eq!(failed.header("retry-after"), Some("1"));
            w.proxy.heal();
        }
        w.proxy.spoil_all("BatchGetItem", Fault::Unprocessed);
        assert_eq!(w.get("/workspaces", Some(w.admin())).await.status, 500);
        w.proxy.heal();
        w.proxy.spoil_all("Query", Fault::Reset);
        assert_eq!(w.peers(&parent, Some(&token)).await.status, 503);
    })
    .await;
}

/// Once a registration has answered, nobody who asks gets the address before it.
#[tokio::test]
async fn g18_no_discovery_shows_an_address_before_the_last_one() {
    test(async |w| {
        let (parent, parent_token) = w.spawned().await;
        let (id, mut owner) = w.child_of(&parent).await;
        let (sibling, sibling_token) = w.child_of(&parent).await;
        for turn in 0..20 {
            let url = format!("https://agent-{turn}.example");
            let (next, _) = w.handed_over(&id).await;
            let stale = w.discover(&id, &sibling, Some(&sibling_token));
            let (took_over, _) = tokio::join!(w.register_url(&id, Some(&next), &url), stale);
            assert_eq!(took_over.status, 200);
            let late = w.register_url(&id, Some(&owner), "https://former.example").await;
            assert_eq!(late.code(), "invalid_token");
            let found = tokio::join!(
                w.discover(&id, &sibling, Some(&sibling_token)),
                w.discover(&id, &parent, Some(&parent_token)),
                w.peers(&sibling, Some(&sibling_token)),
            );
            let in_peers = found.2.json.as_array().unwrap().iter().find(|peer| peer["id"] == *id).unwrap();
            assert_eq!([&found.0.json["url"], &found.1.json["url"], &in_peers["url"]], [url.as_str(); 3]);
            owner = next;
        }
    })
    .await;
}
