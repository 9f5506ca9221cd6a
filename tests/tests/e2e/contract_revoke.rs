//! `POST /admin/workspaces/{id}/revoke-auth-tokens`, and the same by direct invocation.

use serde_json::json;
use tests::world::test;

#[tokio::test]
async fn revoke_ends_all_live_tokens_and_opens_the_door() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        let api = w.mint(&id, json!({})).await.token();
        let reply = w.revoke(&id, json!({})).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.json, json!({"status": "revoked", "workspace_id": id, "revoked": 2, "epoch": 3}));
        for bearer in [&token, &api] {
            assert_eq!(w.register_url(&id, Some(bearer), "https://a.example").await.status, 401);
            assert_eq!(w.get(&format!("/workspaces/{id}"), Some(bearer)).await.status, 401);
        }
        let shown = w.show(&id).await;
        assert_eq!((&shown["tokens"], &shown["owner_epoch"]), (&json!([]), &json!(null)));
        assert!(shown["revoked_at"].is_string());
        assert_eq!(w.register_url(&id, None, "https://b.example").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn each_scope_ends_its_own() {
    test(async |w| {
        for (scope, revoked, owner_lives, api_lives) in
            [("all", 2, false, false), ("owner", 1, false, true), ("api", 1, true, false)]
        {
            let (id, token) = w.spawned().await;
            let api = w.mint(&id, json!({})).await.token();
            let reply = w.revoke(&id, json!({"scope": scope})).await;
            assert_eq!(reply.json["revoked"], revoked, "{scope}");
            let status = |lives| if lives { 200 } else { 401 };
            let by_owner = w.register_url(&id, Some(&token), "https://a.example").await.status;
            assert_eq!(by_owner, status(owner_lives), "{scope}");
            let by_api = w.register_url(&id, Some(&api), "https://a.example").await.status;
            assert_eq!(by_api, status(api_lives), "{scope}");
            let door = w.register_url(&id, None, "https://a.example").await.status;
            assert_eq!(door, status(!owner_lives), "{scope}");
        }
    })
    .await;
}

#[tokio::test]
async fn g5_revoking_what_is_not_there_writes_nothing() {
    test(async |w| {
        w.spawned().await;
        let before = w.items().await;
        let id = w.new_id();
        let expected = json!({"status": "revoked", "workspace_id": id, "revoked": 0});
        let (reply, requests) = w.requests_of(w.revoke(&id, json!({"expected_epoch": 7}))).await;
        assert_eq!((reply.status, &reply.json), (200, &expected));
        assert_eq!(requests, ["GetItem"], "nothing was written");
        assert_eq!(w.invoke("admin-revoke", json!({"workspace_id": id})).await.unwrap(), expected);
        assert_eq!(w.items().await, before);
    })
    .await;
}

#[tokio::test]
async fn g5_revoking_an_open_door_ends_nothing_and_moves_the_epoch() {
    test(async |w| {
        let id = w.open().await;
        let reply = w.revoke(&id, json!({})).await;
        assert_eq!((&reply.json["revoked"], reply.epoch()), (&json!(0), 2));
        assert_eq!(w.items().await.len(), 1);
        assert_eq!(w.register_url(&id, None, "https://a.example").await.epoch(), 3);
    })
    .await;
}

#[tokio::test]
async fn g6_the_same_operation_has_one_effect() {
    test(async |w| {
        let (id, _) = w.spawned().await;
        let body = json!({"operation_id": "op-1"});
        assert_eq!(w.revoke(&id, body.clone()).await.json["revoked"], 1);
        let claim = w.register_url(&id, None, "https://target.example").await;
        let before = w.item(&id).await;
        // By any way of naming it: the target that has claimed since keeps its token.
        let repeats = [
            w.revoke(&id, body).await.json,
            w.invoke("admin-revoke", json!({"workspace_id": id, "operation_id": "op-1"})).await.unwrap(),
            {
                let path = format!("{}/admin/workspaces/{id}/revoke-auth-tokens", w.registry.url());
                let request = w.http.post(path).bearer_auth(w.admin()).header("idempotency-key", "op-1");
                w.send(request).await.json
            },
        ];
        for repeat in repeats {
            assert_eq!(repeat, json!({"status": "revoked", "workspace_id": id, "revoked": 0, "epoch": 2}));
        }
        // Another kind of operation of the same name is none of it.
        let reused = w.revoke(&id, json!({"operation_id": "op-1", "scope": "api"})).await;
        assert_eq!((reused.status, reused.code()), (409, "operation_id_reused"));
        let payload = json!({"workspace_id": id, "operation_id": "op-1", "scope": "owner"});
        assert_eq!(w.invoke("admin-revoke", payload).await.unwrap_err()["errorType"], "OperationIdReused");
        assert_eq!(w.item(&id).await, before);
        assert_eq!(w.register_url(&id, Some(&claim.token()), "https://target.example").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn g6_an_expected_epoch_makes_a_late_repeat_harmless() {
    test(async |w| {
        let (id, _) = w.spawned().await;
        let body = json!({"operation_id": "op-1", "expected_epoch": 1});
        assert_eq!(w.revoke(&id, body.clone()).await.status, 200);
        assert_eq!(w.revoke(&id, json!({"operation_id": "op-2"})).await.status, 200);
        let token = w.register_url(&id, None, "https://target.example").await.token();
        let late = w.revoke(&id, body).await;
        assert_eq!((late.status, late.code()), (409, "epoch_changed"), "op-1 is no longer remembered");
        let payload = json!({"workspace_id": id, "expected_epoch": 2});
        assert_eq!(w.invoke("admin-revoke", payload).await.unwrap_err()["errorType"], "EpochChanged");
        assert_eq!(w.register_url(&id, Some(&token), "https://target.example").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn the_operation_id_comes_from_one_place() {
    test(async |w| {
        let (id, _) = w.spawned().await;
        let send = async |header: &str, body: serde_json::Value| {
            let path = format!("{}/admin/workspaces/{id}/revoke-auth-tokens", w.registry.url());
            w.send(w.http.post(path).bearer_auth(w.admin()).header("idempotency-key", header).json(&body))
                .await
        };
        let differ = send("a", json!({"operation_id": "b"})).await;
        assert_eq!((differ.status, &differ.json["field"]), (400, &json!("operation_id")));
        let long = "x".repeat(129);
        for header in ["", "a b", "é", &long] {
            assert_eq!(send(header, json!({})).await.json["field"], "Idempotency-Key", "{header}");
        }
        assert_eq!(send("a", json!({"operation_id": "a"})).await.status, 200);
        assert_eq!(send(&"x".repeat(128), json!({})).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_direct_call_without_an_operation_id_is_an_operation_of_its_own() {
    test(async |w| {
        let (id, _) = w.spawned().await;
        for epoch in [2, 3] {
            let answer = w.invoke("admin-revoke", json!({"workspace_id": id})).await.unwrap();
            assert_eq!(answer["epoch"], epoch);
        }
    })
    .await;
}

#[tokio::test]
async fn what_does_not_fit_is_named() {
    test(async |w| {
        let (id, _) = w.spawned().await;
        let before = w.item(&id).await;
        for (field, value) in [
            ("scope", json!("everything")),
            ("scope", json!(1)),
            ("operation_id", json!(7)),
            ("expected_epoch", json!("1")),
        ] {
            let reply = w.revoke(&id, json!({field: value})).await;
            assert_eq!((reply.status, &reply.json["field"]), (400, &json!(field)), "{value}");
            let error =
                w.invoke("admin-revoke", json!({"workspace_id": id, field: value})).await.unwrap_err();
            assert_eq!(error["errorType"], "InvalidPayload");
        }
        for id in ["%20", "%2F", "-a", "a%00", "%C3%A9", &"x".repeat(65)] {
            let reply = w.revoke(id, json!({})).await;
            assert_eq!((reply.status, reply.code()), (400, "invalid_request"), "{id}");
        }
        // Without an id there is no route.
        assert_eq!(w.revoke("", json!({})).await.status, 404);
        for payload in [
            json!({}),
            json!({"workspace_id": ""}),
            json!({"workspace_id": " "}),
            json!({"workspace_id": "a/b"}),
            json!({"workspace_id": 7}),
            json!({"workspace_id": null}),
            json!({"workspace_id": id, "force": true}),
            json!({"id": id}),
            json!([]),
            json!(null),
            json!("x"),
            json!(7),
        ] {
            let error = w.invoke("admin-revoke", payload.clone()).await.unwrap_err();
            assert_eq!(error["errorType"], "InvalidPayload", "{payload}");
            assert!(error["errorMessage"].as_str().is_some_and(|message| !message.is_empty()));
        }
        assert_eq!(w.item(&id).await, before);
    })
    .await;
}

#[tokio::test]
async fn an_event_with_a_request_context_is_http_whatever_else_it_holds() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        for context in [json!(null), json!({}), json!({"http": {"method": "POST"}}), json!("x")] {
            let payload = json!({"workspace_id": id, "requestContext": context});
            match w.invoke("admin-revoke", payload).await {
                // As HTTP, and so without an admin token.
                Ok(answer) => assert_eq!(answer["statusCode"], 401, "{context}"),
                Err(error) => assert_eq!(error["errorType"], "InvalidPayload", "{context}"),
            }
        }
        assert_eq!(w.register_url(&id, Some(&token), "https://a.example").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn an_event_without_a_request_context_is_direct_whatever_else_it_holds() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        let event = json!({
            "version": "2.0", "rawPath": "/", "pathParameters": {"id": id}, "isBase64Encoded": false,
            "headers": {"authorization": format!("Bearer {}", w.admin())}
        });
        let error = w.invoke("admin-revoke", event).await.unwrap_err();
        assert_eq!(error["errorType"], "InvalidPayload", "it holds fields that a direct payload has not");
        assert_eq!(w.register_url(&id, Some(&token), "https://a.example").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn a_function_is_found_by_its_arn_too() {
    test(async |w| {
        let (id, _) = w.spawned().await;
        let arn = "arn%3Aaws%3Alambda%3Aus-east-1%3A000000000000%3Afunction%3Aadmin-revoke";
        for name in [arn, "arn:aws:lambda:us-east-1:000000000000:function:admin-revoke", "admin-revoke"] {
            let answer = w.invoke(name, json!({"workspace_id": id})).await.unwrap();
            assert_eq!(answer["status"], "revoked", "{name}");
        }
        let url = format!("{}/2015-03-31/functions/nobody/invocations", w.registry.url());
        assert_eq!(w.send(w.http.post(url).body("{}")).await.status, 404);
    })
    .await;
}

#[tokio::test]
async fn the_other_functions_take_no_direct_payload() {
    test(async |w| {
        for function in ["create-workspace", "register", "admin-mint-token"] {
            let error = w.invoke(function, json!({"workspace_id": "w", "name": "x"})).await.unwrap_err();
            assert_eq!(error["errorType"], "InvalidPayload", "{function}");
        }
        assert_eq!(w.items().await, []);
    })
    .await;
}
