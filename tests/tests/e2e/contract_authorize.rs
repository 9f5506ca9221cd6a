//! The function `authorize`.

use serde_json::{Value, json};
use tests::proxy::Fault;
use tests::world::{LOG, World, authorizer_event, test};

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Whether the function says yes, and what it asked the store.
async fn decision(w: &World, event: Value) -> (Value, Vec<String>) {
    w.proxy.take_seen();
    let answer = w.invoke("authorize", event).await.unwrap();
    (answer, w.proxy.take_seen())
}

fn no() -> Value {
    json!({"isAuthorized": false})
}

#[tokio::test]
async fn g7_a_store_failure_is_neither_a_yes_nor_a_no() {
    test(async |w| {
        let (id, owner) = w.spawned().await;
        w.proxy.spoil_all("GetItem", Fault::Answer(500, "InternalServerError"));
        for token in [&owner, &w.chosen_token().0] {
            let event = authorizer_event(Some(&bearer(token)), json!({"id": id}), None);
            assert_eq!(w.invoke("authorize", event).await.unwrap_err()["errorType"], "StoreUnavailable");
        }
        w.proxy.heal();
        let event = authorizer_event(Some(&bearer(&owner)), json!({"id": id}), None);
        assert_eq!(decision(w, event.clone()).await.0["isAuthorized"], true);
        w.tamper(&id, |item| drop(item.remove("epoch"))).await;
        assert_eq!(w.invoke("authorize", event).await.unwrap_err()["errorType"], "InternalError");
    })
    .await;
}

#[tokio::test]
async fn a_yes_says_who_it_is() {
    test(async |w| {
        let (id, owner) = w.spawned().await;
        let minted = w.mint(&id, json!({})).await;
        let (prefix, api) = (minted.json["prefix"].clone(), minted.token());
        let (chosen, hash) = w.chosen_token();
        assert_eq!(w.mint(&id, json!({"auth_token_sha256": hash})).await.status, 201);
        let tokens = w.show(&id).await["tokens"].clone();
        for (token, kind, token_id) in [
            (&owner, "owner", tokens[0]["prefix"].clone()),
            (&api, "api", prefix),
            (&chosen, "api", json!(format!("sha256:{}", hash.split_at(16).0))),
        ] {
            let event = authorizer_event(Some(&bearer(token)), json!({"workspace_id": id}), None);
            let (answer, requests) = decision(w, event).await;
            let context = json!({"workspace_id": id, "token_kind": kind, "token_id": token_id, "epoch": 3});
            assert_eq!(answer, json!({"isAuthorized": true, "context": context}));
            assert_eq!(requests, ["GetItem"]);
            let logged = LOG.text();
            let mut lines =
                logged.lines().filter(|line| line.contains("\"authorized\"") && line.contains(&id));
            assert!(
                lines.any(|line| line.contains(token_id.as_str().unwrap())),
                "{token_id} is not in the log"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn g13_a_request_names_one_workspace_and_one_bearer_or_the_store_is_not_asked() {
    test(async |w| {
        let ((id, owner), (other, _)) = (w.spawned().await, w.spawned().await);
        let (removed, ended) = w.spawned().await;
        assert_eq!(w.remove(&removed, json!({})).await.status, 200);
        let owner = bearer(&owner);
        let all = json!({"id": id, "workspace_id": id, "note": "n"});
        for (parameters, header) in [
            (json!({"id": id}), None),
            (json!({"workspace_id": id}), None),
            (json!({}), Some(&id)),
            (json!(null), Some(&id)),
            (all, Some(&id)),
        ] {
            let (answer, requests) =
                decision(w, authorizer_event(Some(&owner), parameters, header.map(String::as_str))).await;
            assert_eq!((&answer["isAuthorized"], requests.len()), (&json!(true), 1));
        }
        let one = || json!({"id": id});
        let both = format!("{id},{id}");
        let none: &[&str] = &[];
        let (made_up, ended) = (bearer(&w.chosen_token().0), bearer(&ended));
        for (authorization, parameters, header, requests) in [
            // Nobody, or several.
            (Some(&owner), json!({}), None, none),
            (Some(&owner), json!({"note": id}), None, none),
            (Some(&owner), json!({"id": id, "workspace_id": other}), None, none),
            (Some(&owner), one(), Some(other.as_str()), none),
            (Some(&owner), json!({}), Some(both.as_str()), none),
            (Some(&owner), json!({"id": ""}), Some(id.as_str()), none),
            (Some(&owner), json!({"id": "a b"}), None, none),
            (Some(&owner), json!({"id": format!("{id}#presence")}), None, none),
            // No bearer, or not one.
            (None, one(), None, none),
            (Some(&"Basic eDp5".to_owned()), one(), None, none),
            (Some(&format!("{owner},{owner}")), one(), None, none),
            (Some(&"Bearer".to_owned()), one(), None, none),
            // Not live there.
            (Some(&made_up), one(), None, &["GetItem"]),
            (Some(&owner.to_uppercase()), one(), None, &["GetItem"]),
            (Some(&owner), json!({"id": other}), None, &["GetItem"]),
            (Some(&owner), json!({"id": w.new_id()}), None, &["GetItem"]),
            (Some(&ended), json!({"id": removed}), None, &["GetItem"]),
            (Some(&bearer(w.admin())), one(), None, &["GetItem"]),
        ] {
            let event = authorizer_event(authorization.map(String::as_str), parameters, header);
            let (answer, asked) = decision(w, event.clone()).await;
            assert_eq!(answer, no());
            assert_eq!(asked, requests, "{}", event["pathParameters"]);
        }
    })
    .await;
}

#[tokio::test]
async fn only_an_authorizer_s_event_is_answered_and_by_this_function_alone() {
    test(async |w| {
        let (id, owner) = w.spawned().await;
        let event = authorizer_event(Some(&bearer(&owner)), json!({"id": id}), None);
        let mut http = event.clone();
        for member in ["type", "routeArn", "identitySource"] {
            http.as_object_mut().unwrap().remove(member);
        }
        let (mut of_format_1, mut unreadable) = (event.clone(), event.clone());
        of_format_1["version"] = json!("1.0");
        unreadable["headers"] = json!(7);
        w.proxy.take_seen();
        for event in [json!({"workspace_id": id}), http, of_format_1, unreadable, json!([])] {
            let error = w.invoke("authorize", event).await.unwrap_err();
            assert_eq!(error["errorType"], "InvalidPayload", "{error}");
        }
        for function in ["get-workspace", "admin-revoke", "register", "discover"] {
            let error = w.invoke(function, event.clone()).await.unwrap_err();
            assert_eq!(error["errorType"], "InvalidPayload", "{error}");
        }
        assert_eq!(w.proxy.take_seen(), [""; 0]);
        // An API without an identity source sends none.
        let mut without_source = event;
        without_source["identitySource"] = Value::Null;
        assert_eq!(decision(w, without_source).await.0["isAuthorized"], true);
    })
    .await;
}
