//! `POST /registry/register`: the ownership guard as agents meet it.

use aws_sdk_dynamodb::types::AttributeValue;
use domain::agent_url::AgentUrlPolicy;
use serde_json::json;
use tests::world::{Setup, routes, sha256, test, test_with};

#[tokio::test]
async fn the_first_caller_claims_an_open_door() {
    test(async |w| {
        let id = w.open().await;
        let claim = w.register_url(&id, None, "https://a.example").await;
        assert_eq!(claim.status, 200);
        let token = claim.token();
        assert_eq!(claim.json, json!({"status": "registered", "epoch": 2, "auth_token": token}));
        let refresh = w.register_url(&id, Some(&token), "https://b.example").await;
        assert_eq!((refresh.status, refresh.json), (200, json!({"status": "registered", "epoch": 2})));
        let shown = w.show(&id).await;
        assert_eq!(shown["owner_epoch"], 2);
        assert_eq!(shown["registered_by"], "owner");
        assert_eq!(shown["url"], "https://b.example");
    })
    .await;
}

#[tokio::test]
async fn a_registration_says_all_and_merges_nothing() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        let card = json!({"name": "agent", "skills": [{"id": 1}], "n": 1.5});
        let body = json!({"id": id, "url": "https://a.example/x", "agent_card": card, "unknown": [1]});
        assert_eq!(w.register(Some(&token), body).await.status, 200);
        let shown = w.show(&id).await;
        assert_eq!(shown["status"], "online");
        assert_eq!((&shown["url"], &shown["agent_card"]), (&json!("https://a.example/x"), &card));
        let registered_at = shown["registered_at"].as_str().unwrap();
        assert!(registered_at.len() == 24 && registered_at.ends_with('Z'), "{registered_at}");
        for no_url in [json!({}), json!({"url": null}), json!({"url": "remote://no-inbound"})] {
            w.register_url(&id, Some(&token), "https://a.example").await;
            let mut body = no_url;
            body["id"] = json!(id);
            body["agent_card"] = json!({"v": 2});
            assert_eq!(w.register(Some(&token), body).await.status, 200);
            let shown = w.show(&id).await;
            assert_eq!((&shown["url"], &shown["agent_card"]), (&json!(null), &json!({"v": 2})));
        }
    })
    .await;
}

#[tokio::test]
async fn a_card_is_kept_to_the_letter() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        let card = r#"{ "n": 123456789012345678901234567890.10,  "b":1, "a": "\u00e9é" }"#;
        let body = format!(r#"{{"id": "{id}", "agent_card": {card}}}"#);
        let request = w.http.post(format!("{}/registry/register", w.registry.url())).body(body);
        assert_eq!(w.send(request.bearer_auth(&token)).await.status, 200);
        assert_eq!(w.item(&id).await.unwrap()["agent_card"], AttributeValue::S(card.to_owned()));
        let shown = w.get(&format!("/workspaces/{id}"), Some(&token)).await;
        assert!(shown.text.contains(card), "{}", shown.text);
    })
    .await;
}

#[tokio::test]
async fn unknown_and_removed_workspaces_are_told_apart() {
    test(async |w| {
        let (_, hash) = w.chosen_token();
        let unknown = w.new_id();
        let live_elsewhere = w.spawned().await.1;
        for bearer in [None, Some(live_elsewhere.as_str())] {
            let reply = w.register_url(&unknown, bearer, "https://a.example").await;
            assert_eq!((reply.status, reply.code()), (404, "workspace_not_found"));
        }
        let reply =
            w.register(None, json!({"id": unknown, "agent_card": {}, "auth_token_sha256": hash})).await;
        assert_eq!(reply.status, 404);
        assert_eq!(w.item(&unknown).await, None, "nothing was created");
    })
    .await;
}

#[tokio::test]
async fn g10_a_removed_workspace_stays_removed() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        let removed = || AttributeValue::S("removed".to_owned());
        w.tamper(&id, |item| drop(item.insert("status".to_owned(), removed()))).await;
        // A tombstone need not hold more than its status.
        let bare = w.new_id();
        w.put(
            [("workspace_id".to_owned(), AttributeValue::S(bare.clone())), ("status".to_owned(), removed())]
                .into(),
        )
        .await;
        for id in [&id, &bare] {
            let before = w.item(id).await;
            for route in routes(id) {
                let Some(mut body) = route.body.clone() else { continue };
                let is_create = route.path == "/workspaces";
                // A repeat of the removal succeeds.
                if route.to_string() == format!("DELETE /workspaces/{id}") {
                    continue;
                }
                if is_create {
                    body["id"] = json!(id);
                }
                let expected = if is_create { (409, "workspace_exists") } else { (410, "workspace_removed") };
                let reply = w.send(w.request(&route, w.bearer_for(&route, &token)).json(&body)).await;
                assert_eq!((reply.status, reply.code()), expected, "{route}");
            }
            assert_eq!(w.register_url(id, None, "https://a.example").await.code(), "workspace_removed");
            assert_eq!(
                w.get(&format!("/workspaces/{id}"), Some(w.admin())).await.code(),
                "workspace_removed"
            );
            assert_eq!(w.get(&format!("/workspaces/{id}"), Some(&token)).await.code(), "invalid_token");
            for (function, mut payload) in [
                ("admin-revoke", json!({})),
                ("admin-hand-over", json!({"successor_token_sha256": sha256("a successor's token")})),
                ("admin-hand-over", json!({"action": "cancel"})),
                ("get-workspace", json!({})),
            ] {
                payload["workspace_id"] = json!(id);
                let error = w.invoke(function, payload).await.unwrap_err();
                assert_eq!(error["errorType"], "WorkspaceRemoved", "{function}");
            }
            assert_eq!(w.item(id).await, before);
        }
    })
    .await;
}

#[tokio::test]
async fn a_bearer_is_never_ignored() {
    test(async |w| {
        let id = w.open().await;
        let (unknown, _) = w.chosen_token();
        let claim = w.register_url(&id, None, "https://a.example").await;
        w.revoke(&id, json!({})).await;
        let ended = claim.token();
        let mistyped = format!("{}x", ended.get(..61).unwrap());
        for bearer in [unknown.as_str(), &ended, &mistyped, "short", &"x".repeat(257)] {
            let reply = w.register_url(&id, Some(bearer), "https://thief.example").await;
            assert_eq!((reply.status, reply.code()), (401, "invalid_token"), "{bearer}");
            assert_eq!(reply.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
        }
        for header in
            ["", "Bearer", "Bearer ", "Basic dTpw", "Token abc", "bearer", &format!("Bearer {ended} {ended}")]
        {
            let request = w.http.post(format!("{}/registry/register", w.registry.url()));
            let request = request.header("authorization", header).json(&json!({"id": id, "agent_card": {}}));
            assert_eq!(w.send(request).await.status, 401, "{header}");
        }
        assert_eq!(w.show(&id).await["url"], "https://a.example", "the door was open all the while");
        assert_eq!(w.register_url(&id, None, "https://b.example").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn the_scheme_is_case_insensitive() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        for scheme in ["bearer", "BEARER", "Bearer "] {
            let request = w.http.post(format!("{}/registry/register", w.registry.url()));
            let request = request.header("authorization", format!("{scheme} {token}"));
            let reply = w.send(request.json(&json!({"id": id, "agent_card": {}}))).await;
            assert_eq!(reply.status, 200, "{scheme}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_closed_door_asks_for_a_token() {
    test(async |w| {
        let (id, _) = w.spawned().await;
        let reply = w.register_url(&id, None, "https://thief.example").await;
        assert_eq!((reply.status, reply.code()), (401, "missing_token"));
        assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
    })
    .await;
}

#[tokio::test]
async fn an_api_token_refreshes_and_never_owns() {
    test(async |w| {
        let id = w.open().await;
        let api = w.mint(&id, json!({})).await.token();
        let refresh = w.register_url(&id, Some(&api), "https://api.example").await;
        assert_eq!((refresh.status, refresh.json), (200, json!({"status": "registered", "epoch": 2})));
        let shown = w.show(&id).await;
        assert_eq!(shown["registered_by"], "api");
        assert_eq!(shown["url"], "https://api.example");
        assert_eq!(shown["owner_epoch"], json!(null), "the door is still open");
        assert_eq!(w.register_url(&id, None, "https://owner.example").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn g6_a_claim_with_a_caller_chosen_token_can_be_repeated() {
    test(async |w| {
        let id = w.open().await;
        let (token, hash) = w.chosen_token();
        let body =
            json!({"id": id, "url": "https://a.example", "agent_card": {"v": 1}, "auth_token_sha256": hash});
        let first = w.register(None, body.clone()).await;
        assert_eq!((first.status, &first.json), (200, &json!({"status": "registered", "epoch": 2})));
        let before = w.item(&id).await;
        assert_eq!(w.register(None, body.clone()).await.json, first.json);
        assert_eq!(w.item(&id).await, before, "a repeat writes nothing");
        // A hash alone changes nothing.
        for (field, value) in
            [("url", json!("https://b.example")), ("url", json!(null)), ("agent_card", json!({"v": 2}))]
        {
            let mut other = body.clone();
            other[field] = value;
            assert_eq!(w.register(None, other).await.code(), "missing_token");
        }
        assert_eq!(w.item(&id).await, before);
        assert_eq!(w.register_url(&id, Some(&token), "https://b.example").await.status, 200);
        // Beside a bearer it is ignored, even malformed.
        let beside = json!({"id": id, "agent_card": {}, "auth_token_sha256": 7});
        assert_eq!(w.register(Some(&token), beside).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn g4_a_hash_plays_one_role() {
    test(async |w| {
        let id = w.open().await;
        let (api_token, api) = w.chosen_token();
        let (owner_token, owner) = w.chosen_token();
        let claim = |hash: &str| json!({"id": id, "agent_card": {}, "auth_token_sha256": hash});
        assert_eq!(w.mint(&id, json!({"auth_token_sha256": api})).await.status, 201);
        let refused = w.register(None, claim(&api)).await;
        assert_eq!((refused.status, refused.code()), (409, "hash_in_use"));
        assert_eq!(w.register(None, claim(&owner)).await.status, 200);
        let mint = w.mint(&id, json!({"auth_token_sha256": owner})).await;
        assert_eq!((mint.status, mint.code()), (409, "hash_in_use"));
        // The previous owner's cannot be named again, by nobody.
        assert_eq!(w.revoke(&id, json!({"scope": "owner"})).await.json["revoked"], 1);
        assert_eq!(w.register(None, claim(&owner)).await.code(), "hash_in_use");
        assert_eq!(w.mint(&id, json!({"auth_token_sha256": owner})).await.code(), "hash_in_use");
        assert_eq!(w.register_url(&id, Some(&owner_token), "https://a.example").await.status, 401);
        assert_eq!(w.register_url(&id, Some(&api_token), "https://a.example").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn g11_a_hash_never_authenticates() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        let api = w.mint(&id, json!({})).await.token();
        for secret in [token.as_str(), &api, w.admin()] {
            let hash = sha256(secret);
            assert_eq!(w.register_url(&id, Some(&hash), "https://a.example").await.status, 401);
            assert_eq!(w.get(&format!("/workspaces/{id}"), Some(&hash)).await.status, 401);
            let claim = json!({"id": id, "agent_card": {}, "auth_token_sha256": hash});
            assert_eq!(w.register(None, claim).await.status, 401);
            let as_admin = w.post("/workspaces", Some(&hash), json!({"name": "x"})).await;
            assert_eq!(as_admin.status, 401);
        }
    })
    .await;
}

#[tokio::test]
async fn g11_a_token_of_one_workspace_is_none_of_another() {
    test(async |w| {
        let (first, token) = w.spawned().await;
        let (second, _) = w.spawned().await;
        let api = w.mint(&first, json!({})).await.token();
        let before = w.item(&second).await;
        for bearer in [&token, &api] {
            assert_eq!(w.register_url(&second, Some(bearer), "https://a.example").await.status, 401);
            assert_eq!(w.get(&format!("/workspaces/{second}"), Some(bearer)).await.status, 401);
            assert_eq!(w.get(&format!("/workspaces/{first}"), Some(bearer)).await.status, 200);
        }
        // Nor is the admin token a workspace's.
        assert_eq!(w.register_url(&second, Some(w.admin()), "https://a.example").await.status, 401);
        assert_eq!(w.item(&second).await, before);
    })
    .await;
}

#[tokio::test]
async fn what_is_sent_is_checked_before_the_store_is_asked() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        let cases = [
            ("id", json!({"agent_card": {}})),
            ("id", json!({"id": "", "agent_card": {}})),
            ("id", json!({"id": "a b", "agent_card": {}})),
            ("id", json!({"id": 7, "agent_card": {}})),
            ("agent_card", json!({"id": id})),
            ("agent_card", json!({"id": id, "agent_card": null})),
            ("agent_card", json!({"id": id, "agent_card": "{}"})),
            ("agent_card", json!({"id": id, "agent_card": []})),
            ("url", json!({"id": id, "agent_card": {}, "url": ""})),
            ("url", json!({"id": id, "agent_card": {}, "url": 1})),
            ("url", json!({"id": id, "agent_card": {}, "url": "http://u:p@a.example"})),
            ("url", json!({"id": id, "agent_card": {}, "url": "http://169.254.169.254/latest"})),
            ("url", json!({"id": id, "agent_card": {}, "url": "http://[::ffff:127.0.0.1]/"})),
            ("url", json!({"id": id, "agent_card": {}, "url": "http://localhost:8080"})),
            ("url", json!({"id": id, "agent_card": {}, "url": format!("https://a.example/{}", "x".repeat(2_048))})),
        ];
        for (field, body) in cases {
            let (reply, requests) = w.requests_of(w.register(Some(&token), body.clone())).await;
            assert_eq!((reply.status, reply.code()), (400, "invalid_request"), "{body}");
            assert_eq!(reply.json["field"], json!(field), "{body}");
            assert!(requests.is_empty(), "{requests:?}");
        }
        let hash = json!({"id": id, "agent_card": {}, "auth_token_sha256": "nonsense"});
        assert_eq!(w.register(None, hash).await.json["field"], "auth_token_sha256");
    })
    .await;
}

#[tokio::test]
async fn the_private_policy_allows_a_vpc_and_no_more() {
    let setup = Setup { agent_url_policy: AgentUrlPolicy::Private, ..Setup::default() };
    test_with(setup, async |w| {
        let (id, token) = w.spawned().await;
        for (url, status) in [
            ("http://10.0.0.7:8080", 200),
            ("http://[fd00::7]", 200),
            ("http://agent.internal", 200),
            ("http://127.0.0.1", 400),
            ("http://169.254.169.254", 400),
            ("http://a.localhost", 400),
        ] {
            assert_eq!(w.register_url(&id, Some(&token), url).await.status, status, "{url}");
        }
    })
    .await;
}
