//! The store unreachable, slow, throttled, talking nonsense, or answering into the void.

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::proxy::Fault;
use tests::world::{Reply, World, test};

/// The faults after which the store has surely not seen the request.
fn outages() -> Vec<Fault> {
    vec![
        Fault::Reset,
        Fault::Stall,
        Fault::Answer(500, "InternalServerError"),
        Fault::Answer(503, "ServiceUnavailable"),
        Fault::Answer(400, "ProvisionedThroughputExceededException"),
        Fault::Answer(400, "ThrottlingException"),
        Fault::Answer(400, "AccessDeniedException"),
        Fault::Answer(400, "ResourceNotFoundException"),
        Fault::Answer(400, "ValidationException"),
    ]
}

fn check(reply: &Reply, by_an_agent: bool, fault: &Fault) {
    assert_eq!(reply.code(), "store_unavailable", "{fault:?}: {}", reply.text);
    assert_eq!(reply.status, if by_an_agent { 503 } else { 500 });
    assert_eq!(reply.header("retry-after").is_some(), by_an_agent);
    assert!(
        !reply.text.contains("auth_token") && !reply.text.contains("of the store's own"),
        "{}",
        reply.text
    );
}

#[tokio::test]
async fn g7_a_store_that_cannot_say_never_refuses_and_never_mints() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        let open = w.open().await;
        let before = w.items().await;
        join_all(outages().into_iter().map(async |fault| {
            // A world of its own for each fault would need a table each; a proxy each is enough.
            one_outage(w, &fault, &id, &token, &open).await;
        }))
        .await;
        assert_eq!(w.items().await.len(), before.len());
        for item in before {
            let Some(AttributeValue::S(id)) = item.get("workspace_id") else { panic!("no id") };
            assert_eq!(w.item(id).await.as_ref(), Some(&item));
        }
        assert_eq!(
            w.register_url(&id, Some(&token), "https://a.example").await.status,
            200,
            "the next call is fine"
        );
        assert_eq!(w.register_url(&open, None, "https://a.example").await.status, 200);
    })
    .await;
}

async fn one_outage(w: &World, fault: &Fault, id: &str, token: &str, open: &str) {
    let (proxy, registry) = w.registry_behind_its_own_proxy().await;
    proxy.spoil_all("*", fault.clone());
    let register = |bearer: Option<&'static str>, id: &str| (bearer, json!({"id": id, "agent_card": {}}));
    let (_, owned) = register(None, id);
    let (_, claim) = register(None, open);
    let admin = Some(w.admin());
    let (mint, revoke) =
        (format!("/admin/workspaces/{id}/tokens"), format!("/admin/workspaces/{id}/revoke-auth-tokens"));
    let (chosen, _) = w.chosen_token();
    let calls: [(&str, Option<&str>, Value, bool); 7] = [
        ("/registry/register", Some(token), owned.clone(), true),
        ("/registry/register", Some(&chosen), owned.clone(), true),
        ("/registry/register", None, owned, true),
        ("/registry/register", None, claim, true),
        ("/workspaces", admin, json!({"name": "x"}), false),
        (&mint, admin, json!({}), false),
        (&revoke, admin, json!({}), false),
    ];
    let calls = join_all(calls.into_iter().map(async |(path, bearer, body, by_an_agent)| {
        check(&w.post_to(&registry, path, bearer, body).await, by_an_agent, fault);
    }));
    let gets = join_all([w.admin(), token, &chosen].map(async |bearer| {
        let request = w.http.get(format!("{}/workspaces/{id}", registry.url())).bearer_auth(bearer);
        check(&w.send(request).await, true, fault);
    }));
    let direct = join_all(["admin-revoke", "get-workspace"].map(async |function| {
        let error = w.invoke_on(&registry, function, json!({"workspace_id": id})).await.unwrap_err();
        assert_eq!(error["errorType"], "StoreUnavailable", "{fault:?}");
    }));
    futures_util::future::join3(calls, gets, direct).await;
    registry.stop().await;
}

#[tokio::test]
async fn g7_a_reply_that_cannot_be_read_is_no_answer() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        w.proxy.spoil_all("BatchGetItem", Fault::CutBody);
        check(&w.get(&format!("/workspaces/{id}"), Some(&token)).await, true, &Fault::CutBody);
        w.proxy.spoil_all("GetItem", Fault::CutBody);
        check(&w.register_url(&id, None, "https://a.example").await, true, &Fault::CutBody);
        w.proxy.heal();
        assert_eq!(w.register_url(&id, Some(&token), "https://a.example").await.status, 200);
    })
    .await;
}

/// The reply of the first write is lost; the SDK sends it again and meets its own work.
#[tokio::test]
async fn g6_a_lost_reply_is_not_a_lost_token() {
    test(async |w| {
        let lost = |operation: &str| w.proxy.spoil_next(operation, Fault::DropReply);

        lost("PutItem");
        let id = w.new_id();
        let created = w.create(json!({"id": id, "name": "x"})).await;
        assert_eq!(created.status, 201, "{}", created.text);
        let token = created.token();
        lost("PutItem");
        let body = json!({"name": "x", "external": true, "url": "https://a.example"});
        assert_eq!(w.create(body).await.status, 201, "known again without a token, by the request's id");

        lost("UpdateItem");
        let refresh = w.register_url(&id, Some(&token), "https://a.example").await;
        assert_eq!((refresh.status, refresh.epoch()), (200, 1));

        lost("UpdateItem");
        let minted = w.mint(&id, json!({})).await;
        assert_eq!(minted.status, 201, "{}", minted.text);
        let api = minted.token();
        assert_eq!(w.show(&id).await["tokens"].as_array().unwrap().len(), 2);
        assert_eq!(w.register_url(&id, Some(&api), "https://a.example").await.epoch(), 2);

        lost("UpdateItem");
        let revoke = w.revoke(&id, json!({})).await;
        assert_eq!((revoke.status, &revoke.json["revoked"], revoke.epoch()), (200, &json!(2), 3));

        lost("UpdateItem");
        let claim = w.register_url(&id, None, "https://b.example").await;
        assert_eq!((claim.status, claim.epoch()), (200, 4), "{}", claim.text);
        assert_eq!(w.register_url(&id, Some(&claim.token()), "https://b.example").await.status, 200);

        w.revoke(&id, json!({})).await;
        lost("UpdateItem");
        let (_, hash) = w.chosen_token();
        let claim = json!({"id": id, "agent_card": {}, "auth_token_sha256": hash});
        let claim = w.register(None, claim).await;
        assert_eq!((claim.status, claim.epoch()), (200, 6), "{}", claim.text);
    })
    .await;
}

#[tokio::test]
async fn g6_a_write_that_arrives_twice_has_one_effect() {
    test(async |w| {
        let id = w.open().await;
        w.proxy.spoil_next("UpdateItem", Fault::Duplicate);
        let token = w.register_url(&id, None, "https://a.example").await.token();
        w.proxy.spoil_next("UpdateItem", Fault::Duplicate);
        assert_eq!(w.mint(&id, json!({})).await.status, 201);
        let shown = w.show(&id).await;
        assert_eq!((&shown["epoch"], shown["tokens"].as_array().unwrap().len()), (&json!(3), 2));
        w.proxy.spoil_next("UpdateItem", Fault::Duplicate);
        assert_eq!(w.revoke(&id, json!({})).await.epoch(), 4);
        assert_eq!(w.show(&id).await["epoch"], 4);
        assert_eq!(w.register_url(&id, Some(&token), "https://a.example").await.status, 401);
    })
    .await;
}

/// All replies of a claim are lost, so the caller gets no token. With a token of its own it simply asks again.
#[tokio::test]
async fn g6_a_claim_with_a_chosen_token_survives_any_loss() {
    test(async |w| {
        let id = w.open().await;
        let (token, hash) = w.chosen_token();
        let body = json!({"id": id, "agent_card": {}, "url": "https://a.example", "auth_token_sha256": hash});
        w.proxy.spoil_all("UpdateItem", Fault::DropReply);
        let lost = w.register(None, body.clone()).await;
        assert_eq!((lost.status, lost.code()), (503, "store_unavailable"));
        w.proxy.heal();
        let repeat = w.register(None, body).await;
        assert_eq!((repeat.status, repeat.epoch()), (200, 2));
        assert_eq!(w.register_url(&id, Some(&token), "https://a.example").await.status, 200);
    })
    .await;
}
