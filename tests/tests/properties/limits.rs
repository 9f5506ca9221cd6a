//! Every limit of the contract, at the limit and one past it, over HTTP. Past it the answer is a 4xx with its code and, for
//! a field, the field's name, and nothing is written.

use domain::tree::MAX_ANCESTORS;
use serde_json::{Value, json};
use tests::world::{Reply, World, routes, test};

fn is_fine(what: &str, reply: &Reply) {
    assert!(reply.status < 300, "{what}: {} {}", reply.status, reply.text);
}

fn is_refused(what: &str, reply: &Reply, status: u16, code: &str, field: Option<&str>) {
    assert_eq!((reply.status, reply.code()), (status, code), "{what}: {}", reply.text);
    assert_eq!(reply.json["field"].as_str(), field, "{what}");
}

/// Characters of one, two and four bytes in UTF-8: limits count characters.
fn texts(length: usize) -> [String; 3] {
    ["a", "é", "😀"].map(|character| character.repeat(length))
}

#[tokio::test]
async fn the_limits_of_create() {
    test(async |w| {
        let with = |field: &str, value: Value| {
            let mut body = json!({"name": "x"});
            match field.split_once('.') {
                Some((outer, inner)) => body[outer] = json!({inner: value}),
                None => body[field] = value,
            }
            body
        };
        let fine = async |field: &str, value: Value| is_fine(field, &w.create(with(field, value)).await);
        let refused = async |field: &str, value: Value| {
            let before = w.items().await.len();
            let reply = w.create(with(field, value)).await;
            is_refused(field, &reply, 400, "invalid_request", Some(field));
            assert!(reply.json["error"].as_str().unwrap().contains(field), "{}", reply.text);
            assert_eq!(w.items().await.len(), before, "{field}");
        };
        for (field, least, most) in
            [("name", 1, 200), ("role", 0, 200), ("runtime", 0, 200), ("compute.instance_type", 0, 64)]
        {
            for length in [least, most] {
                for text in texts(length) {
                    fine(field, json!(text)).await;
                }
            }
            for text in texts(most + 1) {
                refused(field, json!(text)).await;
            }
        }
        for blank in ["", " ", " \t\n", "\u{3000}"] {
            refused("name", json!(blank)).await;
        }
        for (field, least, most) in [("tier", 0_i64, 255_i64), ("compute.volume_root_gb", 1, 65_536)] {
            for number in [least, most] {
                fine(field, json!(number)).await;
            }
            for number in [json!(least - 1), json!(most + 1), json!(u64::MAX), json!(1.5), json!(1e300)] {
                refused(field, number).await;
            }
        }
        let unique = w.new_id();
        let longest = format!("{unique}{}", "-".repeat(64 - unique.len()));
        fine("id", json!(longest)).await;
        for id in [format!("{longest}x"), String::new(), "-a".to_owned(), "a/b".to_owned()] {
            refused("id", json!(id)).await;
        }
        let hash = w.chosen_token().1;
        for hash in [hash.get(1..).unwrap().to_owned(), format!("{hash}0"), hash.to_uppercase()] {
            refused("auth_token_sha256", json!(hash)).await;
        }
        let url = |length: usize| format!("https://a.example/{}", "x".repeat(length - 18));
        fine("url", json!(url(2_048))).await;
        refused("url", json!(url(2_049))).await;
    })
    .await;
}

async fn send_text(w: &World, path: &str, bearer: Option<&str>, text: String) -> Reply {
    let request =
        w.http.post(format!("{}{path}", w.registry.url())).header("content-type", "application/json");
    w.send(tests::world::authorized(request, bearer).body(text)).await
}

/// A body of this many bytes, filled up with an unknown field.
fn padded(body: &Value, bytes: usize) -> String {
    let mut body = body.clone();
    body["padding"] = json!("");
    body["padding"] = json!("x".repeat(bytes - body.to_string().len()));
    body.to_string()
}

#[tokio::test]
async fn the_limits_of_a_body() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        for route in routes(&id) {
            let Some(body) = &route.body else { continue };
            let send = async |bytes| {
                let request = w.request(&route, w.bearer_for(&route, &token));
                w.send(request.body(padded(body, bytes))).await
            };
            assert_eq!(padded(body, 65_536).len(), 65_536);
            is_fine(&route.to_string(), &send(65_536).await);
            let before = w.items().await;
            for bytes in [65_537, 1_000_000] {
                is_refused(&route.to_string(), &send(bytes).await, 413, "payload_too_large", None);
            }
            assert_eq!(w.items().await, before, "{route}");
        }
    })
    .await;
}

/// The deepest nesting of brackets. No string in the text contains one.
fn depth(json: &str) -> i32 {
    let mut levels = json.chars().scan(0, |level, character| {
        *level += match character {
            '{' | '[' => 1,
            '}' | ']' => -1,
            _ => 0,
        };
        Some(*level)
    });
    levels.by_ref().max().unwrap()
}

#[tokio::test]
async fn the_limits_of_register() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        let card = |bytes: usize| json!({"x": "x".repeat(bytes - r#"{"x":""}"#.len())});
        let register = async |body: Value| w.register(Some(&token), body).await;
        is_fine("card", &register(json!({"id": id, "agent_card": card(32_768)})).await);
        let past = register(json!({"id": id, "agent_card": card(32_769)})).await;
        is_refused("card", &past, 413, "payload_too_large", None);
        let deep = |levels: usize| {
            let card = format!(r#"{{"x":{}{}}}"#, "[".repeat(levels - 1), "]".repeat(levels - 1));
            send_text(
                w,
                "/registry/register",
                Some(&token),
                format!(r#"{{"id":"{id}","agent_card":{card}}}"#),
            )
        };
        is_fine("depth", &deep(60).await);
        // The answer nests the card, and common parsers stop at 64 levels.
        let shown = w.get(&format!("/workspaces/{id}"), Some(&token)).await;
        assert!((60..=64).contains(&depth(&shown.text)), "{}", shown.text);
        for levels in [61, 127, 128, 10_000] {
            is_refused("depth", &deep(levels).await, 400, "invalid_request", Some("agent_card"));
        }
        let url = |length: usize| format!("https://a.example/{}", "x".repeat(length - 18));
        is_fine("url", &w.register_url(&id, Some(&token), &url(2_048)).await);
        let past = w.register_url(&id, Some(&token), &url(2_049)).await;
        is_refused("url", &past, 400, "invalid_request", Some("url"));
    })
    .await;
}

#[tokio::test]
async fn the_limits_of_a_bearer() {
    test(async |w| {
        let (id, _) = w.spawned().await;
        for (length, requests) in [(31, 0), (32, 1), (256, 1), (257, 0), (4_000, 0)] {
            let bearer = "b".repeat(length);
            let (reply, seen) = w.requests_of(w.register_url(&id, Some(&bearer), "https://a.example")).await;
            is_refused("bearer", &reply, 401, "invalid_token", None);
            assert_eq!(seen.len(), requests, "{length}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_limits_of_an_operation() {
    test(async |w| {
        let (id, _) = w.spawned().await;
        for length in [1, 128] {
            is_fine("operation", &w.revoke(&id, json!({"operation_id": "o".repeat(length)})).await);
        }
        // Over HTTP and directly.
        let refused = async |field: &str, value: Value| {
            let before = w.item(&id).await;
            let reply = w.revoke(&id, json!({field: value})).await;
            is_refused(field, &reply, 400, "invalid_request", Some(field));
            let payload = json!({"workspace_id": id, field: value});
            let error = w.invoke("admin-revoke", payload).await.unwrap_err();
            assert_eq!(error["errorType"], "InvalidPayload", "{field}: {value}");
            assert_eq!(w.item(&id).await, before, "{field}: {value}");
        };
        for value in [json!(""), json!("o".repeat(129)), json!("o o"), json!("é")] {
            refused("operation_id", value).await;
        }
        let with_key = async |key: String| {
            let url = format!("{}/admin/workspaces/{id}/revoke-auth-tokens", w.registry.url());
            w.send(w.http.post(url).bearer_auth(w.admin()).header("idempotency-key", key)).await
        };
        is_fine("key", &with_key("k".repeat(128)).await);
        for key in ["k".repeat(129), String::new()] {
            is_refused("key", &with_key(key).await, 400, "invalid_request", Some("Idempotency-Key"));
        }
        for epoch in [1, (1_u64 << 53) - 1] {
            let reply = w.revoke(&id, json!({"operation_id": "e", "expected_epoch": epoch})).await;
            is_refused("epoch", &reply, 409, "epoch_changed", None);
        }
        for epoch in [json!(0), json!(1_u64 << 53), json!(u64::MAX), json!(-1), json!(1.5)] {
            refused("expected_epoch", epoch).await;
        }
        let hash = w.chosen_token().1;
        for seconds in [60, 86_400] {
            let body = json!({"successor_token_sha256": hash, "expires_in_seconds": seconds});
            is_fine("expiry", &w.hand_over(&id, body.clone()).await);
            is_fine("expiry", &w.revoke(&id, body).await);
        }
        for seconds in [json!(59), json!(86_401), json!(u64::MAX), json!(60.5)] {
            let body = json!({"successor_token_sha256": hash, "expires_in_seconds": seconds});
            for reply in [w.hand_over(&id, body.clone()).await, w.revoke(&id, body.clone()).await] {
                is_refused("expiry", &reply, 400, "invalid_request", Some("expires_in_seconds"));
            }
        }
    })
    .await;
}

/// The largest workspace that the contract allows is far from DynamoDB's 400 KB an item.
#[tokio::test]
async fn the_largest_workspace_works() {
    test(async |w| {
        let long_id = || {
            let unique = w.new_id();
            format!("{unique}{}", "-".repeat(64 - unique.len()))
        };
        let (id, mut parent) = (long_id(), None);
        for _ in 0..MAX_ANCESTORS {
            let id = long_id();
            is_fine("parent", &w.create(json!({"id": id, "name": "x", "parent_id": parent})).await);
            parent = Some(id);
        }
        let text = "😀".repeat(200);
        let url = format!("https://a.example/{}", "x".repeat(2_030));
        let created = w
            .create(
                json!({"id": id, "name": text, "role": text, "tier": 255, "runtime": text, "parent_id": parent,
                "url": url, "compute": {"instance_type": "😀".repeat(64), "volume_root_gb": 65_536}}),
            )
            .await;
        is_fine("create", &created);
        for _ in 0..20 {
            is_fine("mint", &w.mint(&id, json!({})).await);
        }
        is_refused("mint", &w.mint(&id, json!({})).await, 409, "token_limit_reached", None);
        let chosen = json!({"auth_token_sha256": w.chosen_token().1});
        is_refused("mint", &w.mint(&id, chosen).await, 409, "token_limit_reached", None);
        let token = created.token();
        let card = json!({"x": "x".repeat(32_768 - r#"{"x":""}"#.len())});
        let body = json!({"id": id, "url": url, "agent_card": card});
        is_fine("register", &w.register(Some(&token), body.clone()).await);
        let (successor, _) = w.handed_over(&id).await;
        is_fine("take over", &w.register(Some(&successor), body.clone()).await);
        let named = json!({"successor_token_sha256": w.chosen_token().1, "operation_id": "o".repeat(128)});
        is_fine("hand over", &w.hand_over(&id, named).await);
        assert_eq!(w.show(&id).await["tokens"].as_array().unwrap().len(), 21);
        let revoked = w.revoke(&id, json!({"operation_id": "~".repeat(128)})).await;
        assert_eq!((revoked.status, &revoked.json["revoked"]), (200, &json!(21)));
        is_fine("claim", &w.register(None, body).await);
    })
    .await;
}
