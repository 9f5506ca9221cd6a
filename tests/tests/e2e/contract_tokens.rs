//! A token's life: its id, name and expiry; how single tokens end; what an owner does with its own.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use tests::proxy::Fault;
use tests::world::{World, sha256, test};

const URL: &str = "https://a.example";

/// What another API is told about this token.
async fn is_authorized(w: &World, id: &str, bearer: &str) -> bool {
    let event = json!({"version": "2.0", "type": "REQUEST", "routeArn": "arn:aws:execute-api:x:0:y/$default/GET/",
        "headers": {"authorization": format!("Bearer {bearer}"), "x-workspace-id": id}, "requestContext": {}});
    w.invoke("authorize", event).await.unwrap()["isAuthorized"] == true
}

async fn shown(w: &World, id: &str) -> Vec<Value> {
    w.show(id).await["tokens"].as_array().unwrap().clone()
}

#[tokio::test]
async fn every_token_has_an_id_and_may_have_a_name_and_an_end() {
    test(async |w| {
        let (id, owner) = w.spawned().await;
        let minted = w.mint(&id, json!({"name": "ci", "expires_in_seconds": 3_600})).await;
        assert_eq!((minted.status, &minted.json["token_id"]), (201, &minted.json["prefix"]));
        let (chosen, hash) = w.chosen_token();
        let named = w.mint(&id, json!({"auth_token_sha256": hash})).await;
        let chosen_id = format!("sha256:{}", hash.get(..16).unwrap());
        assert_eq!(named.json, json!({"workspace_id": id, "token_id": chosen_id}));
        let tokens = shown(w, &id).await;
        let [first, second, third] = tokens.as_slice() else { panic!("{tokens:?}") };
        assert_eq!((&first["kind"], &first["token_id"]), (&json!("owner"), &first["prefix"]));
        assert_eq!((&first["name"], &first["expires_at"]), (&Value::Null, &Value::Null));
        let api = [second, third];
        let by_id = |token_id: &Value| api.into_iter().find(|token| token["token_id"] == *token_id).unwrap();
        let ci = by_id(&minted.json["token_id"]);
        assert_eq!((&ci["name"], &ci["kind"]), (&json!("ci"), &json!("api")));
        assert!(ci["expires_at"].as_str().unwrap() > ci["minted_at"].as_str().unwrap());
        assert_eq!(by_id(&json!(chosen_id))["prefix"], Value::Null);
        for (field, value) in [
            ("name", json!("")),
            ("name", json!("x".repeat(65))),
            ("name", json!("a\nb")),
            ("expires_in_seconds", json!(59)),
            ("expires_in_seconds", json!(31_536_001)),
        ] {
            let mut body = json!({});
            body[field] = value;
            for refused in [
                w.mint(&id, body.clone()).await,
                w.post(&format!("/workspaces/{id}/tokens"), Some(&owner), body.clone()).await,
            ] {
                assert_eq!((refused.status, &refused.json["field"]), (400, &json!(field)), "{body}");
            }
        }
        assert_eq!(w.register_url(&id, Some(&chosen), URL).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn g20_an_expired_token_is_as_if_never_made() {
    test(async |w| {
        let (id, owner) = w.spawned().await;
        let mut last = String::new();
        for _ in 0..20 {
            last = w.mint(&id, json!({"expires_in_seconds": 60})).await.token();
        }
        let (chosen, hash) = w.chosen_token();
        assert_eq!(w.mint(&id, json!({"auth_token_sha256": hash})).await.code(), "token_limit_reached");
        assert_eq!(w.register_url(&id, Some(&last), URL).await.status, 200);
        assert!(is_authorized(w, &id, &last).await);
        w.expire_api_tokens(&id).await;
        assert!(!is_authorized(w, &id, &last).await);
        assert_eq!(w.register_url(&id, Some(&last), URL).await.code(), "invalid_token");
        assert_eq!(w.get(&format!("/workspaces/{id}"), Some(&last)).await.code(), "invalid_token");
        assert_eq!(w.state(&id, Some(&last)).await.code(), "invalid_token");
        assert_eq!(w.discover(&id, &id, Some(&last)).await.code(), "invalid_token");
        assert_eq!(w.peers(&id, Some(&last)).await.code(), "invalid_token");
        assert_eq!(w.beat(&id, Some(&last)).await.code(), "invalid_token");
        assert_eq!(w.rotate(&id, &last, json!({})).await.code(), "invalid_token");
        assert_eq!(shown(w, &id).await.len(), 1, "the owner's");
        let body = json!({"auth_token_sha256": hash, "expires_in_seconds": 60});
        assert_eq!(w.mint(&id, body.clone()).await.status, 201);
        let item = w.item(&id).await.unwrap();
        assert_eq!(item["api_tokens"].as_m().unwrap().len(), 1, "the expired ones are gone");
        w.expire_api_tokens(&id).await;
        assert_eq!(w.mint(&id, body).await.status, 201, "an expired hash can be minted again");
        assert_eq!(w.register_url(&id, Some(&chosen), URL).await.status, 200);
        w.expire_api_tokens(&id).await;
        assert_eq!(w.revoke(&id, json!({})).await.json["revoked"], 1, "an expired token is not counted");
        assert_eq!(w.register_url(&id, Some(&owner), URL).await.code(), "invalid_token");
    })
    .await;
}

#[tokio::test]
async fn an_operator_ends_one_token() {
    test(async |w| {
        let (id, owner) = w.spawned().await;
        let api = w.mint(&id, json!({})).await;
        let (other, api_id) = (w.mint(&id, json!({})).await.token(), api.json["token_id"].clone());
        let api_id = api_id.as_str().unwrap();
        let ended = w.end_token(&id, api_id, json!({"operation_id": "end-1", "expected_epoch": 3})).await;
        let expected =
            json!({"status": "revoked", "workspace_id": id, "token_id": api_id, "revoked": 1, "epoch": 4});
        assert_eq!((ended.status, &ended.json), (200, &expected));
        let repeated = w.end_token(&id, api_id, json!({"operation_id": "end-1", "expected_epoch": 3})).await;
        assert_eq!((repeated.epoch(), &repeated.json["revoked"]), (4, &json!(0)));
        assert_eq!(w.end_token(&id, api_id, json!({})).await.json["revoked"], 0);
        assert_eq!(w.register_url(&id, Some(&api.token()), URL).await.code(), "invalid_token");
        assert!(!is_authorized(w, &id, &api.token()).await);
        for token in [&other, &owner] {
            assert_eq!(w.register_url(&id, Some(token), URL).await.status, 200);
        }
        let reused = w.revoke(&id, json!({"operation_id": "end-1"})).await;
        assert_eq!(reused.status, 200, "another command came in between");
        let (id, owner) = w.spawned().await;
        let owner_id = shown(w, &id).await[0]["token_id"].clone();
        let ended = w.end_token(&id, owner_id.as_str().unwrap(), json!({"operation_id": "end-2"})).await;
        assert_eq!(ended.json["revoked"], 1);
        assert_eq!(w.revoke(&id, json!({"operation_id": "end-2"})).await.code(), "operation_id_reused");
        assert_eq!(w.register_url(&id, Some(&owner), URL).await.code(), "invalid_token");
        assert_eq!(w.register_url(&id, None, URL).await.status, 200, "the door is open");
        assert_eq!(w.end_token(&w.new_id(), "wsr_00000000", json!({})).await.status, 404);
        let stale = w.end_token(&id, "wsr_00000000", json!({"expected_epoch": 1})).await;
        assert_eq!(stale.code(), "epoch_changed");
        let malformed = w.end_token(&id, "wsr_0", json!({})).await;
        assert_eq!((malformed.status, &malformed.json["field"]), (400, &json!("token_id")));
    })
    .await;
}

#[tokio::test]
async fn g21_an_owner_mints_and_ends_api_tokens() {
    test(async |w| {
        let (id, owner) = w.spawned().await;
        let path = format!("/workspaces/{id}/tokens");
        let minted = w.post(&path, Some(&owner), json!({"name": "mine"})).await;
        assert_eq!(minted.status, 201, "{}", minted.text);
        let (api, api_id) = (minted.token(), minted.json["token_id"].as_str().unwrap().to_owned());
        assert_eq!(w.register_url(&id, Some(&api), URL).await.status, 200);
        let (stranger, stranger_token) = w.spawned().await;
        let owner_id = shown(w, &id).await[0]["token_id"].as_str().unwrap().to_owned();
        let before = w.items().await;
        for (bearer, status, code) in
            [(&api, 403, "insufficient_scope"), (&stranger_token, 401, "invalid_token")]
        {
            for reply in [
                w.post(&path, Some(bearer), json!({})).await,
                w.owner_ends(&id, bearer, &api_id).await,
                w.owner_ends(&id, bearer, &owner_id).await,
                w.rotate(&id, bearer, json!({})).await,
            ] {
                assert_eq!((reply.status, reply.code()), (status, code));
                assert!(reply.header("www-authenticate").is_some());
            }
        }
        assert_eq!(w.post(&path, None, json!({})).await.code(), "missing_token");
        assert_eq!(w.owner_ends(&id, &owner, &owner_id).await.code(), "insufficient_scope");
        assert_eq!(w.rotate(&stranger, &owner, json!({})).await.code(), "invalid_token");
        assert_eq!(w.rotate(&w.new_id(), &owner, json!({})).await.code(), "workspace_not_found");
        assert_eq!(w.items().await, before);
        let ended = w.owner_ends(&id, &owner, &api_id).await;
        assert_eq!((ended.status, &ended.json["revoked"]), (200, &json!(1)), "{}", ended.text);
        assert_eq!(w.owner_ends(&id, &owner, &api_id).await.json["revoked"], 0);
        assert_eq!(w.register_url(&id, Some(&api), URL).await.code(), "invalid_token");
    })
    .await;
}

/// An owner's calls leave the command that an operator may repeat.
#[tokio::test]
async fn g21_an_owner_s_calls_leave_an_operator_s_command() {
    test(async |w| {
        let (id, _) = w.spawned().await;
        let revoked = w.revoke(&id, json!({"operation_id": "op"})).await.epoch();
        let owner = w.register_url(&id, None, URL).await.token();
        let path = format!("/workspaces/{id}/tokens");
        let api_id = w.post(&path, Some(&owner), json!({})).await.json["token_id"].clone();
        assert_eq!(w.owner_ends(&id, &owner, api_id.as_str().unwrap()).await.status, 200);
        assert_eq!(w.rotate(&id, &owner, json!({})).await.status, 200);
        let repeated = w.revoke(&id, json!({"operation_id": "op"})).await;
        assert_eq!((repeated.epoch(), &repeated.json["revoked"]), (revoked, &json!(0)));
        assert_eq!(w.register_url(&id, Some(&owner), URL).await.status, 200);
    })
    .await;
}

/// The first use of the next token, in a registration or a heartbeat, ends the old one in the same write.
#[tokio::test]
async fn g22_an_owner_rotates_its_token() {
    test(async |w| {
        let (id, mut owner) = w.spawned().await;
        assert_eq!(w.register_url(&id, Some(&owner), URL).await.status, 200);
        for by_heartbeat in [false, true] {
            let rotating = w.rotate(&id, &owner, json!({})).await;
            assert_eq!((rotating.status, &rotating.json["status"]), (200, &json!("rotation_pending")));
            assert_eq!(rotating.json["token_id"], rotating.json["prefix"]);
            let next = rotating.token();
            assert_eq!(w.state(&id, Some(&next)).await.code(), "invalid_token", "it is not live yet");
            assert_eq!(w.beat(&id, Some(&owner)).await.status, 200, "the old one is");
            let (first_use, requests) = if by_heartbeat {
                w.requests_of(w.beat(&id, Some(&next))).await
            } else {
                w.requests_of(w.register_url(&id, Some(&next), URL)).await
            };
            assert_eq!(first_use.status, 200, "{}", first_use.text);
            let presence = by_heartbeat.then_some("PutItem");
            let expected = ["GetItem", "UpdateItem"].into_iter().chain(presence).collect::<Vec<_>>();
            assert_eq!(requests, expected);
            let shown = w.show(&id).await;
            assert_eq!((&shown["owner_epoch"], &shown["url"]), (&first_use.json["epoch"], &json!(URL)));
            assert_eq!(shown["tokens"][0]["token_id"], rotating.json["token_id"]);
            assert_eq!(w.beat(&id, Some(&owner)).await.code(), "invalid_token");
            assert!(is_authorized(w, &id, &next).await && !is_authorized(w, &id, &owner).await);
            owner = next;
        }
    })
    .await;
}

/// A next token that leaked can be ended before it takes over.
#[tokio::test]
async fn g20_a_pending_token_ends_alone_too() {
    test(async |w| {
        let (id, owner) = w.spawned().await;
        for by_operator in [false, true] {
            let rotating = w.rotate(&id, &owner, json!({})).await;
            let (next, token_id) = (rotating.token(), rotating.json["token_id"].as_str().unwrap().to_owned());
            let ended = if by_operator {
                w.end_token(&id, &token_id, json!({})).await
            } else {
                w.owner_ends(&id, &owner, &token_id).await
            };
            assert_eq!((ended.status, &ended.json["revoked"]), (200, &json!(1)), "{}", ended.text);
            assert_eq!(w.beat(&id, Some(&next)).await.code(), "invalid_token");
            assert_eq!(w.register_url(&id, Some(&next), URL).await.code(), "invalid_token");
        }
        let (successor, _) = w.handed_over(&id).await;
        let token_id = format!("sha256:{}", sha256(&successor).get(..16).unwrap());
        assert_eq!(w.owner_ends(&id, &owner, &token_id).await.json["revoked"], 0, "an operator named it");
        assert_eq!(w.register_url(&id, Some(&successor), URL).await.status, 200);
    })
    .await;
}

/// A mint of a live token changes nothing, and says when that token expires.
#[tokio::test]
async fn a_repeated_mint_says_when_the_token_expires() {
    test(async |w| {
        let (id, _) = w.spawned().await;
        let (_, hash) = w.chosen_token();
        let mint = |seconds| json!({"auth_token_sha256": hash, "expires_in_seconds": seconds});
        let first = w.mint(&id, mint(3_600)).await;
        assert!(first.json["expires_at"].is_string());
        assert_eq!(w.mint(&id, mint(60)).await.json, first.json);
        let for_ever = w.mint(&id, json!({})).await;
        assert_eq!(for_ever.json.get("expires_at"), None);
    })
    .await;
}

#[tokio::test]
async fn g22_the_newest_wish_counts_until_it_expires() {
    test(async |w| {
        let (id, owner) = w.spawned().await;
        let first = w.rotate(&id, &owner, json!({})).await.token();
        let (second, hash) = w.chosen_token();
        let rotating = w.rotate(&id, &owner, json!({"successor_token_sha256": hash})).await;
        assert_eq!((rotating.status, rotating.json.get("auth_token")), (200, None));
        assert_eq!(w.beat(&id, Some(&first)).await.code(), "invalid_token");
        w.tamper(&id, |item| {
            item.insert("successor_expires".to_owned(), AttributeValue::N("1".to_owned()));
        })
        .await;
        assert_eq!(w.beat(&id, Some(&second)).await.code(), "invalid_token");
        assert_eq!(w.beat(&id, Some(&owner)).await.status, 200, "the old one lives on");
        assert_eq!(w.rotate(&id, &owner, json!({"successor_token_sha256": hash})).await.status, 200);
        assert_eq!(w.beat(&id, Some(&second)).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn g22_an_owner_never_undoes_an_operator_s_hand_over() {
    test(async |w| {
        let (id, owner) = w.spawned().await;
        let mine = w.rotate(&id, &owner, json!({})).await.token();
        let (target, _) = w.handed_over(&id).await;
        assert_eq!(w.beat(&id, Some(&mine)).await.code(), "invalid_token", "the operator's call replaces it");
        let refused = w.rotate(&id, &owner, json!({})).await;
        assert_eq!((refused.status, refused.code()), (409, "hand_over_pending"));
        assert_eq!(
            w.rotate(&id, &owner, json!({"successor_token_sha256": sha256(&target)})).await.status,
            409
        );
        assert_eq!(w.beat(&id, Some(&target)).await.code(), "invalid_token", "it registers first");
        assert_eq!(w.register_url(&id, Some(&target), "https://b.example").await.status, 200);
        assert_eq!(w.rotate(&id, &owner, json!({})).await.code(), "invalid_token");
        assert_eq!(w.rotate(&id, &target, json!({})).await.status, 200);
        assert_eq!(w.cancel(&id, json!({})).await.status, 200, "an operator may end a rotation");
        for (body, field) in [
            (json!({"expires_in_seconds": 59}), "expires_in_seconds"),
            (json!({"expires_in_seconds": 86_401}), "expires_in_seconds"),
            (json!({"successor_token_sha256": "x"}), "successor_token_sha256"),
        ] {
            let refused = w.rotate(&id, &target, body).await;
            assert_eq!((refused.status, &refused.json["field"]), (400, &json!(field)));
        }
        let used = w.rotate(&id, &target, json!({"successor_token_sha256": sha256(&target)})).await;
        assert_eq!(used.code(), "hash_in_use");
    })
    .await;
}

/// Whatever is lost on the way, the owner still has a token that works.
#[tokio::test]
async fn g22_a_lost_reply_locks_nobody_out() {
    test(async |w| {
        let (id, owner) = w.spawned().await;
        w.proxy.spoil_next("UpdateItem", Fault::DropReply);
        let rotating = w.rotate(&id, &owner, json!({})).await;
        assert_eq!(rotating.status, 200, "{}", rotating.text);
        w.proxy.spoil_all("UpdateItem", Fault::DropReply);
        assert_eq!(w.rotate(&id, &owner, json!({})).await.status, 503);
        assert_eq!(w.beat(&id, Some(&owner)).await.status, 200);
        w.proxy.heal();
        let next = w.rotate(&id, &owner, json!({})).await.token();
        w.proxy.spoil_all("UpdateItem", Fault::DropReply);
        assert_eq!(w.beat(&id, Some(&next)).await.status, 503);
        w.proxy.heal();
        assert_eq!(w.beat(&id, Some(&next)).await.status, 200);
        let last = w.rotate(&id, &next, json!({})).await.token();
        w.proxy.spoil_all("PutItem", Fault::Reset);
        assert_eq!(
            w.beat(&id, Some(&last)).await.status,
            503,
            "it has taken over, but the presence is not written"
        );
        w.proxy.heal();
        assert_eq!(w.beat(&id, Some(&last)).await.status, 200);
        assert_eq!(w.beat(&id, Some(&next)).await.code(), "invalid_token");
    })
    .await;
}

/// Two holders of one token rotate at once: each is told the truth, and the token works until one of the next is used.
#[tokio::test]
async fn g22_two_rotators_at_once_are_told_the_truth() {
    test(async |w| {
        let (id, owner) = w.spawned().await;
        for _ in 0..5 {
            w.proxy.gather("UpdateItem", 2);
            let (one, two) = tokio::join!(w.rotate(&id, &owner, json!({})), w.rotate(&id, &owner, json!({})));
            let mut live = Vec::new();
            for reply in [one, two] {
                assert!(
                    matches!((reply.status, reply.code()), (200, "") | (503, "contended")),
                    "{}",
                    reply.text
                );
                live.extend((reply.status == 200).then(|| reply.token()));
            }
            assert!(!live.is_empty());
            assert_eq!(w.beat(&id, Some(&owner)).await.status, 200);
        }
        let (one, two) = tokio::join!(w.rotate(&id, &owner, json!({})), w.rotate(&id, &owner, json!({})));
        let mut won = 0;
        for reply in [one, two].into_iter().filter(|reply| reply.status == 200) {
            won += usize::from(w.beat(&id, Some(&reply.token())).await.status == 200);
        }
        assert_eq!(won, 1);
    })
    .await;
}
