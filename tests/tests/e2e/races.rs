//! Joined requests. What has to hold is held by the store's one-item writes, so these say most on a real engine
//! (`DYNAMODB_ENDPOINT`).

use futures_util::future::join_all;
use serde_json::json;
use tests::proxy::Fault;
use tests::world::{World, test};

#[tokio::test]
async fn g2_of_64_concurrent_bootstraps_one_wins() {
    test(async |w| {
        // On a machine that is too busy for 64 at once the store is late for many, and too few meet to show anything:
        // then fewer try once more.
        for callers in [64, 32, 16, 8] {
            if one_of_these_bootstraps_wins(w, callers).await {
                return;
            }
        }
        panic!("not even 8 callers meet on this machine");
    })
    .await;
}

/// Whether so many met, and were answered, that it shows something.
async fn one_of_these_bootstraps_wins(w: &World, callers: usize) -> bool {
    let id = w.open().await;
    // Nobody writes before all have decided on the same open door, or as many as come in time.
    w.proxy.gather("UpdateItem", callers);
    let urls: Vec<_> = (0..callers).map(|n| format!("https://agent-{n}.example")).collect();
    let replies = join_all(urls.iter().map(|url| w.register_url(&id, None, url))).await;
    let met = w.proxy.gathered();
    let winners: Vec<_> = replies.iter().enumerate().filter(|(_, reply)| reply.status == 200).collect();
    let (refused, unanswered): (Vec<_>, Vec<_>) =
        replies.iter().filter(|reply| reply.status != 200).partition(|reply| reply.status == 401);
    assert!(refused.iter().all(|reply| reply.code() == "missing_token"));
    assert!(unanswered.iter().all(|reply| reply.code() == "store_unavailable"));
    assert!(refused.iter().chain(&unanswered).all(|reply| !reply.text.contains("auth_token")));
    let shown = w.show(&id).await;
    match winners[..] {
        [(position, winner)] => {
            assert_eq!((&shown["url"], &shown["epoch"]), (&json!(urls[position]), &json!(2)));
            let refresh = w.register_url(&id, Some(&winner.token()), "https://winner.example").await;
            assert_eq!(refresh.status, 200);
            met >= callers / 4 && unanswered.len() < callers / 2
        }
        // The one who got in is among those who were not told.
        [] => {
            assert!(!unanswered.is_empty() && shown["epoch"].as_u64() <= Some(2), "{shown}");
            false
        }
        _ => panic!("{} of {callers} won", winners.len()),
    }
}

#[tokio::test]
async fn g1_claims_and_revokes_leave_at_most_one_owner() {
    test(async |w| {
        let id = w.open().await;
        for _ in 0..8 {
            let claims = join_all((0..4).map(|_| w.register_url(&id, None, "https://a.example")));
            let revokes = join_all((0..2).map(|_| w.revoke(&id, json!({}))));
            let (claims, revokes) = futures_util::future::join(claims, revokes).await;
            for reply in &revokes {
                assert!(reply.status == 200 || reply.code() == "epoch_changed", "{}", reply.text);
            }
            let mut live = 0;
            for claim in claims.iter().filter(|claim| claim.status == 200) {
                let reply = w.get(&format!("/workspaces/{id}"), Some(&claim.token())).await;
                live += u32::from(reply.status == 200);
            }
            assert!(live <= 1, "{live} owners");
            let shown = w.show(&id).await;
            assert_eq!(live == 1, shown["owner_epoch"].is_u64());
        }
    })
    .await;
}

#[tokio::test]
async fn g3_register_racing_revoke_never_leaves_an_old_token_alive() {
    test(async |w| {
        for _ in 0..16 {
            let (id, token) = w.spawned().await;
            let refreshes =
                join_all((0..4).map(|_| w.register_url(&id, Some(&token), "https://source.example")));
            let (refreshes, revoke) = futures_util::future::join(refreshes, w.revoke(&id, json!({}))).await;
            assert_eq!(revoke.json["revoked"], 1);
            for reply in refreshes {
                assert!(reply.status == 200 || reply.status == 401, "{}", reply.text);
            }
            assert_eq!(w.register_url(&id, Some(&token), "https://source.example").await.status, 401);
        }
    })
    .await;
}

/// What a call presents.
enum Bearer {
    None,
    ApiToken,
    Admin,
}

#[tokio::test]
async fn g3_a_write_decided_before_a_revoke_has_no_effect_after_it() {
    test(async |w| {
        let id = w.open().await;
        let (_, chosen) = w.chosen_token();
        let calls = [
            (
                Bearer::None,
                "/registry/register".to_owned(),
                json!({"id": id, "agent_card": {}, "url": "https://late.example"}),
            ),
            (
                Bearer::None,
                "/registry/register".to_owned(),
                json!({"id": id, "agent_card": {}, "auth_token_sha256": chosen}),
            ),
            (
                Bearer::ApiToken,
                "/registry/register".to_owned(),
                json!({"id": id, "agent_card": {}, "url": "https://late.example"}),
            ),
            (Bearer::Admin, format!("/admin/workspaces/{id}/tokens"), json!({})),
        ];
        for (bearer, path, body) in calls {
            let api = w.mint(&id, json!({})).await.token();
            let bearer = match bearer {
                Bearer::None => None,
                Bearer::ApiToken => Some(api.as_str()),
                Bearer::Admin => Some(w.admin()),
            };
            // All attempts of the call are held back; it fails without a token.
            w.proxy.spoil_all("UpdateItem", Fault::Capture);
            let reply = w.post(&path, bearer, body).await;
            assert!(matches!(reply.status, 500 | 503), "{}", reply.text);
            assert_eq!(reply.code(), "store_unavailable");
            w.proxy.heal();
            let second = w.second_registry().await;
            let revoke = format!("/admin/workspaces/{id}/revoke-auth-tokens");
            let revoke = w.post_to(&second, &revoke, Some(w.admin()), json!({"scope": "api"})).await;
            assert_eq!(revoke.status, 200, "{}", revoke.text);
            second.stop().await;
            let before = w.item(&id).await;
            let statuses = w.proxy.deliver_captured(2).await;
            assert!(!statuses.is_empty() && statuses.iter().all(|status| *status == 400), "{statuses:?}");
            assert_eq!(w.item(&id).await, before, "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn g3_a_refresh_by_an_ended_owner_that_comes_late_has_no_effect() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        w.proxy.spoil_all("UpdateItem", Fault::Capture);
        assert_eq!(w.register_url(&id, Some(&token), "https://late.example").await.status, 503);
        w.proxy.heal();
        w.revoke(&id, json!({})).await;
        w.register_url(&id, None, "https://target.example").await;
        let before = w.item(&id).await;
        assert!(w.proxy.deliver_captured(2).await.iter().all(|status| *status == 400));
        assert_eq!(w.item(&id).await, before);
    })
    .await;
}

#[tokio::test]
async fn g6_twin_revokes_of_one_operation_have_one_effect() {
    test(async |w| {
        let (id, _) = w.spawned().await;
        let body = json!({"operation_id": "op"});
        let replies = join_all((0..8).map(|_| w.revoke(&id, body.clone()))).await;
        for reply in &replies {
            assert_eq!((reply.status, reply.epoch()), (200, 2), "{}", reply.text);
        }
        assert!(replies.iter().any(|reply| reply.json["revoked"] == 1));
        assert_eq!(w.show(&id).await["epoch"], 2);
    })
    .await;
}

#[tokio::test]
async fn g6_twin_creates_and_claims_with_one_hash_have_one_effect() {
    test(async |w| {
        let (_, hash) = w.chosen_token();
        let id = w.new_id();
        let body = json!({"id": id, "name": "x", "external": true, "auth_token_sha256": hash});
        for reply in join_all((0..8).map(|_| w.create(body.clone()))).await {
            assert_eq!(reply.status, 201, "{}", reply.text);
        }
        w.revoke(&id, json!({})).await;
        let (token, hash) = w.chosen_token();
        let claim =
            json!({"id": id, "agent_card": {}, "url": "https://a.example", "auth_token_sha256": hash});
        for reply in join_all((0..8).map(|_| w.register(None, claim.clone()))).await {
            assert_eq!((reply.status, reply.epoch()), (200, 3), "{}", reply.text);
        }
        assert_eq!(w.register_url(&id, Some(&token), "https://a.example").await.epoch(), 3);
    })
    .await;
}

#[tokio::test]
async fn the_limit_of_api_tokens_holds_under_concurrent_mints() {
    test(async |w| {
        let (id, _) = w.spawned().await;
        let (mut minted, mut refused) = (0, 0);
        // At least one mint of each round lands, or all are refused.
        for _ in 0..=20 {
            for reply in join_all((0..8).map(|_| w.mint(&id, json!({})))).await {
                match reply.status {
                    201 => minted += 1,
                    409 => refused += 1,
                    503 => {
                        assert_eq!(reply.code(), "contended");
                        assert_eq!(reply.header("retry-after"), Some("1"));
                    }
                    status => panic!("{status}: {}", reply.text),
                }
            }
        }
        assert!(refused >= 8, "the last round was refused whole");
        let tokens = w.show(&id).await["tokens"].as_array().unwrap().len();
        assert_eq!((minted, tokens), (20, 21), "as many tokens as were answered, and the owner's");
    })
    .await;
}
