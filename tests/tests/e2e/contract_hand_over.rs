//! `POST` and `DELETE /admin/workspaces/{id}/hand-over`, the same by direct invocation, and revoke with a successor.

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use tests::proxy::Fault;
use tests::world::{World, test};

const SOURCE: &str = "https://source.example";
const TARGET: &str = "https://target.example";

/// Whether the workspace is the target's by the flip proof.
async fn is_flipped(w: &World, id: &str, epoch: u64) -> bool {
    let shown = w.show(id).await;
    shown["owner_epoch"].as_u64().is_some_and(|owner| owner > epoch)
        && shown["registered_by"] == "owner"
        && shown["url"] == TARGET
}

async fn expire(w: &World, id: &str) {
    let past = AttributeValue::N("1".to_owned());
    w.tamper(id, |item| drop(item.insert("successor_expires".to_owned(), past))).await;
}

#[tokio::test]
async fn g14_the_source_serves_until_the_very_write_of_the_take_over() {
    test(async |w| {
        let (id, source) = w.spawned().await;
        let (token, hash) = w.chosen_token();
        let reply = w.hand_over(&id, json!({"successor_token_sha256": hash, "expires_in_seconds": 60})).await;
        let expires_at = reply.json["expires_at"].as_str().unwrap().to_owned();
        assert_eq!(
            reply.json,
            json!({"status": "hand_over_pending", "workspace_id": id, "expires_at": expires_at, "epoch": 2})
        );
        assert!(expires_at.len() == 24 && expires_at.ends_with(".000Z"), "{expires_at}");
        assert_eq!(w.register_url(&id, Some(&source), SOURCE).await.status, 200);
        assert_eq!(w.register_url(&id, None, TARGET).await.code(), "missing_token");
        assert_eq!(
            w.get(&format!("/workspaces/{id}"), Some(&token)).await.status,
            401,
            "not a live bearer yet"
        );
        assert!(!is_flipped(w, &id, 2).await);
        let (taken, requests) = w.requests_of(w.register_url(&id, Some(&token), TARGET)).await;
        assert_eq!((taken.status, &taken.json), (200, &json!({"status": "registered", "epoch": 3})));
        assert_eq!(requests, ["GetItem", "UpdateItem"]);
        assert!(is_flipped(w, &id, 2).await);
        assert_eq!(w.register_url(&id, Some(&source), SOURCE).await.code(), "invalid_token");
        assert_eq!(w.register_url(&id, Some(&token), TARGET).await.status, 200);
        // The source's hash cannot be named again.
        let source_hash = tests::world::sha256(&source);
        let again = w.hand_over(&id, json!({"successor_token_sha256": source_hash})).await;
        assert_eq!((again.status, again.code()), (409, "hash_in_use"));
    })
    .await;
}

#[tokio::test]
async fn g14_joined_take_overs_are_one_write_which_ends_the_source() {
    test(async |w| {
        let (id, source) = w.spawned().await;
        let (successor, epoch) = w.handed_over(&id).await;
        assert_eq!(w.register_url(&id, Some(&source), SOURCE).await.status, 200);
        let take_overs = (0..8).map(|_| w.register_url(&id, Some(&successor), TARGET));
        for reply in join_all(take_overs).await {
            assert_eq!((reply.status, reply.epoch()), (200, epoch + 1), "{}", reply.text);
        }
        assert!(is_flipped(w, &id, epoch).await);
        assert_eq!(w.register_url(&id, Some(&source), SOURCE).await.code(), "invalid_token");
        let shown = w.show(&id).await;
        assert_eq!((&shown["owner_epoch"], &shown["epoch"]), (&json!(epoch + 1), &json!(epoch + 1)));
        assert!(!w.item(&id).await.unwrap().contains_key("successor_hash"));
    })
    .await;
}

#[tokio::test]
async fn g6_the_same_hand_over_again_changes_nothing() {
    test(async |w| {
        let (id, source) = w.spawned().await;
        let (token, hash) = w.chosen_token();
        let body = json!({"successor_token_sha256": hash, "operation_id": "op-1", "expected_epoch": 1});
        let first = w.hand_over(&id, body.clone()).await;
        let before = w.item(&id).await;
        let by_hash = json!({"successor_token_sha256": hash, "expires_in_seconds": 86_400});
        let direct = json!({"workspace_id": id, "successor_token_sha256": hash, "operation_id": "op-1"});
        for repeat in [
            w.hand_over(&id, body.clone()).await.json,
            w.hand_over(&id, by_hash.clone()).await.json,
            w.invoke("admin-hand-over", direct).await.unwrap(),
        ] {
            assert_eq!(repeat, first.json);
        }
        assert_eq!(w.item(&id).await, before);
        let reused = w.revoke(&id, json!({"operation_id": "op-1"})).await;
        assert_eq!(reused.code(), "operation_id_reused");
        let (_, another) = w.chosen_token();
        let reused =
            w.hand_over(&id, json!({"successor_token_sha256": another, "operation_id": "op-1"})).await;
        assert_eq!((reused.status, reused.code()), (409, "operation_id_reused"));
        assert_eq!(w.item(&id).await, before);

        w.register_url(&id, Some(&token), TARGET).await;
        let before = w.item(&id).await;
        for body in [body, by_hash] {
            let repeat = w.hand_over(&id, body).await;
            assert_eq!(repeat.json, json!({"status": "handed_over", "workspace_id": id, "epoch": 2}));
            assert!(is_flipped(w, &id, repeat.epoch()).await, "the proof counts from the answer's epoch");
        }
        assert_eq!(w.item(&id).await, before);
        assert_eq!(w.register_url(&id, Some(&source), SOURCE).await.status, 401);
    })
    .await;
}

#[tokio::test]
async fn another_hash_replaces_the_one_that_is_pending() {
    test(async |w| {
        let (id, _) = w.spawned().await;
        let (first, _) = w.handed_over(&id).await;
        let (second, epoch) = w.handed_over(&id).await;
        assert_eq!(w.register_url(&id, Some(&first), TARGET).await.code(), "invalid_token");
        assert_eq!(w.register_url(&id, Some(&second), TARGET).await.status, 200);
        assert!(is_flipped(w, &id, epoch).await);
    })
    .await;
}

#[tokio::test]
async fn an_expired_hand_over_is_as_if_never_made() {
    test(async |w| {
        let (id, source) = w.spawned().await;
        let (token, hash) = w.chosen_token();
        let body = json!({"successor_token_sha256": hash, "operation_id": "op-1"});
        assert_eq!(w.hand_over(&id, body.clone()).await.status, 200);
        expire(w, &id).await;
        assert_eq!(w.register_url(&id, Some(&token), TARGET).await.code(), "invalid_token");
        assert_eq!(w.register_url(&id, Some(&source), SOURCE).await.status, 200);
        let before = w.item(&id).await;
        let repeat = w.hand_over(&id, body).await;
        let expected = json!({"status": "hand_over_expired", "workspace_id": id, "expires_at": "1970-01-01T00:00:01.000Z", "epoch": 2});
        assert_eq!((repeat.status, repeat.json), (200, expected));
        assert_eq!(w.item(&id).await, before, "an operation has one effect");
        // A new operation names the same token anew.
        assert_eq!(w.hand_over(&id, json!({"successor_token_sha256": hash})).await.epoch(), 3);
        assert_eq!(w.register_url(&id, Some(&token), TARGET).await.status, 200);
        // Once expired, an open door is open again, and a claim clears what is left of the hand-over.
        w.revoke(&id, json!({})).await;
        w.handed_over(&id).await;
        assert_eq!(w.register_url(&id, None, SOURCE).await.code(), "missing_token");
        expire(w, &id).await;
        assert_eq!(w.register_url(&id, None, SOURCE).await.status, 200);
        assert!(!w.item(&id).await.unwrap().contains_key("successor_hash"));
    })
    .await;
}

#[tokio::test]
async fn g15_after_a_cancel_the_source_is_the_owner_and_stays_so() {
    test(async |w| {
        let (id, source) = w.spawned().await;
        let (token, _) = w.handed_over(&id).await;
        // The take-over is decided, and held back.
        w.proxy.spoil_all("UpdateItem", Fault::Capture);
        assert_eq!(w.register_url(&id, Some(&token), TARGET).await.status, 503);
        w.proxy.heal();

        let cancel = w.cancel(&id, json!({"operation_id": "c-1"})).await;
        assert_eq!(cancel.json, json!({"status": "cancelled", "workspace_id": id, "epoch": 3}));
        let before = w.item(&id).await;
        let late = w.proxy.deliver_captured(2).await;
        assert!(!late.is_empty() && late.iter().all(|status| *status == 400), "{late:?}");
        assert_eq!(w.item(&id).await, before);
        assert_eq!(w.register_url(&id, Some(&token), TARGET).await.status, 401);
        assert_eq!(w.register_url(&id, Some(&source), SOURCE).await.status, 200);

        let before = w.item(&id).await;
        assert_eq!(w.cancel(&id, json!({"operation_id": "c-1"})).await.json, cancel.json);
        assert_eq!(w.item(&id).await, before);
        let direct =
            w.invoke("admin-hand-over", json!({"workspace_id": id, "action": "cancel"})).await.unwrap();
        assert_eq!(direct, json!({"status": "cancelled", "workspace_id": id, "epoch": 4}));
    })
    .await;
}

/// The reply of the hand-over is lost, and so is the knowledge whether it was made. A cancel settles it.
#[tokio::test]
async fn g15_a_hand_over_that_comes_after_a_cancel_has_no_effect() {
    test(async |w| {
        let (id, source) = w.spawned().await;
        let (token, hash) = w.chosen_token();
        w.proxy.spoil_all("UpdateItem", Fault::Capture);
        let lost = w.hand_over(&id, json!({"successor_token_sha256": hash})).await;
        assert_eq!((lost.status, lost.code()), (500, "store_unavailable"));
        w.proxy.heal();
        assert_eq!(w.cancel(&id, json!({})).await.epoch(), 2);
        let before = w.item(&id).await;
        let late = w.proxy.deliver_captured(2).await;
        assert!(!late.is_empty() && late.iter().all(|status| *status == 400), "{late:?}");
        assert_eq!(w.item(&id).await, before);
        assert_eq!(w.register_url(&id, Some(&token), TARGET).await.status, 401);
        assert_eq!(w.register_url(&id, Some(&source), SOURCE).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn g15_cancel_and_take_over_race_to_one_end() {
    test(async |w| {
        for _ in 0..12 {
            let (id, source) = w.spawned().await;
            let (token, epoch) = w.handed_over(&id).await;
            let (cancel, takes) = join(
                w.cancel(&id, json!({})),
                join_all((0..3).map(|_| w.register_url(&id, Some(&token), TARGET))),
            )
            .await;
            let flipped = is_flipped(w, &id, epoch).await;
            match cancel.json["status"].as_str() {
                Some("cancelled") => {}
                _ => assert_eq!((cancel.code(), flipped), ("epoch_changed", true), "{}", cancel.text),
            }
            for take in takes {
                assert_eq!(take.status, if flipped { 200 } else { 401 }, "{}", take.text);
            }
            let by_source = w.register_url(&id, Some(&source), SOURCE).await.status;
            assert_eq!(by_source, if flipped { 401 } else { 200 });
        }
    })
    .await;
}

#[tokio::test]
async fn g1_two_successors_and_the_source_leave_one_owner() {
    test(async |w| {
        for _ in 0..12 {
            let (id, source) = w.spawned().await;
            let (first, _) = w.handed_over(&id).await;
            let (second, hash) = w.chosen_token();
            let replace = w.hand_over(&id, json!({"successor_token_sha256": hash}));
            let registrations =
                [&source, &first, &second].map(|bearer| w.register_url(&id, Some(bearer), TARGET));
            join(replace, join_all(registrations)).await;
            let mut owners = 0;
            for bearer in [&source, &first, &second] {
                owners += u32::from(w.get(&format!("/workspaces/{id}"), Some(bearer)).await.status == 200);
            }
            assert_eq!(owners, 1);
        }
    })
    .await;
}

#[tokio::test]
async fn g3_revoke_ends_a_hand_over_too() {
    test(async |w| {
        for (scope, lives) in [("all", false), ("owner", false), ("api", true)] {
            let (id, _) = w.spawned().await;
            let (token, _) = w.handed_over(&id).await;
            assert_eq!(w.revoke(&id, json!({"scope": scope})).await.status, 200);
            let take_over = w.register_url(&id, Some(&token), TARGET).await.status;
            assert_eq!(take_over, if lives { 200 } else { 401 }, "{scope}");
        }
    })
    .await;
}

#[tokio::test]
async fn g16_a_revoke_with_a_successor_reserves_the_claim() {
    test(async |w| {
        for direct in [false, true] {
            let (id, source) = w.spawned().await;
            let api = w.mint(&id, json!({})).await.token();
            let (token, hash) = w.chosen_token();
            let mut body = json!({"successor_token_sha256": hash, "operation_id": "r-1", "expires_in_seconds": 60});
            let revoke = async |mut body: Value| {
                if direct {
                    body["workspace_id"] = json!(id);
                    w.invoke("admin-revoke", body).await.unwrap()
                } else {
                    w.revoke(&id, body).await.json
                }
            };
            let revoked = revoke(body.clone()).await;
            let expires_at = revoked["expires_at"].clone();
            assert!(expires_at.is_string());
            let mut expected =
                json!({"status": "revoked", "workspace_id": id, "revoked": 2, "epoch": 3, "expires_at": expires_at});
            assert_eq!(revoked, expected);
            for bearer in [None, Some(source.as_str()), Some(&api)] {
                assert_eq!(w.register_url(&id, bearer, SOURCE).await.status, 401);
            }
            let (_, thief) = w.chosen_token();
            let claim = json!({"id": id, "agent_card": {}, "auth_token_sha256": thief});
            assert_eq!(w.register(None, claim).await.code(), "missing_token");
            // The same again changes nothing.
            let before = w.item(&id).await;
            expected["revoked"] = json!(0);
            assert_eq!(revoke(body.clone()).await, expected);
            assert_eq!(w.item(&id).await, before);
            assert_eq!(w.register_url(&id, Some(&token), TARGET).await.epoch(), 4);
            assert!(is_flipped(w, &id, 3).await);
            expected.as_object_mut().unwrap().remove("expires_at");
            assert_eq!(revoke(body.clone()).await, expected, "nor when it has taken over");
            assert_eq!(w.register_url(&id, Some(&token), TARGET).await.status, 200);
            // Another successor under the same name is another operation.
            body["successor_token_sha256"] = json!(thief);
            assert_eq!(w.revoke(&id, body).await.code(), "operation_id_reused");
        }
        // Also when nothing was live.
        let id = w.open().await;
        let (token, hash) = w.chosen_token();
        let revoked = w.revoke(&id, json!({"successor_token_sha256": hash})).await;
        assert_eq!((&revoked.json["revoked"], revoked.epoch()), (&json!(0), 2));
        assert_eq!(w.register_url(&id, None, SOURCE).await.status, 401);
        assert_eq!(w.register_url(&id, Some(&token), TARGET).await.status, 200);
    })
    .await;
}

/// Of two calls of one operation the second to write finds the first one's work, and tells that one's time.
#[tokio::test]
async fn g6_twin_revokes_answer_the_expiry_that_is_stored() {
    test(async |w| {
        let (id, _) = w.spawned().await;
        let (token, hash) = w.chosen_token();
        let second = w.second_registry().await;
        let body = |seconds: u32| json!({"successor_token_sha256": hash, "operation_id": "r-1", "expires_in_seconds": seconds});
        w.proxy.spoil_all("UpdateItem", Fault::HoldBack);
        let twin = async {
            w.proxy.until_held().await;
            let path = format!("/admin/workspaces/{id}/revoke-auth-tokens");
            let made = w.post_to(&second, &path, Some(w.admin()), body(60)).await;
            w.proxy.heal();
            made
        };
        let (late, made) = join(w.revoke(&id, body(86_400)), twin).await;
        assert_eq!((made.status, made.epoch()), (200, 2), "{}", made.text);
        assert_eq!((late.status, late.epoch()), (200, 2), "{}", late.text);
        let stored = w.revoke(&id, body(3_600)).await.json["expires_at"].clone();
        assert!(stored.is_string());
        assert_eq!(made.json["expires_at"], stored);
        assert_eq!(late.json["expires_at"], stored, "not the one that it asked for");
        assert_eq!(w.register_url(&id, Some(&token), TARGET).await.epoch(), 3);
        second.stop().await;
    })
    .await;
}

/// The reply to the write is lost. When the SDK sends it again, the successor has taken over.
#[tokio::test]
async fn g6_a_revoke_answers_no_expiry_once_the_successor_has_taken_over() {
    test(async |w| {
        let (id, _) = w.spawned().await;
        let (token, hash) = w.chosen_token();
        let second = w.second_registry().await;
        w.proxy.spoil_next("UpdateItem", Fault::DropReply);
        w.proxy.spoil_all("UpdateItem", Fault::HoldBack);
        let take_over = async {
            w.proxy.until_held().await;
            let body = json!({"id": id, "url": TARGET, "agent_card": {}});
            let taken = w.post_to(&second, "/registry/register", Some(&token), body).await;
            w.proxy.heal();
            taken
        };
        let revoke = w.revoke(&id, json!({"successor_token_sha256": hash}));
        let (revoked, taken) = join(revoke, take_over).await;
        assert_eq!((taken.status, taken.epoch()), (200, 3), "{}", taken.text);
        let expected = json!({"status": "revoked", "workspace_id": id, "revoked": 1, "epoch": 2});
        assert_eq!((revoked.status, revoked.json), (200, expected));
        assert!(is_flipped(w, &id, 2).await);
        second.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_does_not_fit_is_named() {
    test(async |w| {
        let (id, source) = w.spawned().await;
        let api = w.mint(&id, json!({})).await.token();
        let (_, hash) = w.chosen_token();
        let before = w.item(&id).await;
        let with = |field: &str, value: Value| {
            let mut body = json!({"successor_token_sha256": hash});
            body[field] = value;
            body
        };
        let live = [&source, &api].map(|token| tests::world::sha256(token));
        let cases = [
            ("successor_token_sha256", json!({})),
            ("successor_token_sha256", with("successor_token_sha256", json!("x"))),
            ("successor_token_sha256", with("successor_token_sha256", json!(7))),
            ("expires_in_seconds", with("expires_in_seconds", json!(59))),
            ("expires_in_seconds", with("expires_in_seconds", json!(86_401))),
            ("expires_in_seconds", with("expires_in_seconds", json!("60"))),
            ("operation_id", with("operation_id", json!(""))),
            ("expected_epoch", with("expected_epoch", json!(0))),
        ];
        for (field, body) in cases {
            let reply = w.hand_over(&id, body.clone()).await;
            assert_eq!((reply.status, &reply.json["field"]), (400, &json!(field)), "{body}");
            let mut payload = body;
            payload["workspace_id"] = json!(id);
            let error = w.invoke("admin-hand-over", payload).await.unwrap_err();
            assert_eq!(error["errorType"], "InvalidPayload");
        }
        let used = with("successor_token_sha256", json!(live[1]));
        let in_use = w.hand_over(&id, used.clone()).await;
        assert_eq!((in_use.status, in_use.code()), (409, "hash_in_use"));
        let mut payload = used;
        payload["workspace_id"] = json!(id);
        assert_eq!(w.invoke("admin-hand-over", payload).await.unwrap_err()["errorType"], "HashInUse");
        // The owner's own token owns the workspace already.
        let to_itself = w.hand_over(&id, json!({"successor_token_sha256": live[0]})).await;
        assert_eq!(to_itself.json["status"], "handed_over");
        let scoped = w.revoke(&id, json!({"successor_token_sha256": hash, "scope": "owner"})).await;
        assert_eq!((scoped.status, &scoped.json["field"]), (400, &json!("scope")));
        let moved = w.hand_over(&id, with("expected_epoch", json!(1))).await;
        assert_eq!((moved.status, moved.code()), (409, "epoch_changed"));
        assert_eq!(w.cancel(&id, json!({"expected_epoch": 1})).await.code(), "epoch_changed");
        for payload in [
            json!({"workspace_id": id, "action": "destroy"}),
            json!({"workspace_id": id, "action": "cancel", "successor_token_sha256": hash}),
            json!({"workspace_id": id, "successor_token_sha256": hash, "force": true}),
        ] {
            let error = w.invoke("admin-hand-over", payload.clone()).await.unwrap_err();
            assert_eq!(error["errorType"], "InvalidPayload", "{payload}");
        }
        let unknown = w.new_id();
        assert_eq!(w.hand_over(&unknown, with("x", json!(1))).await.code(), "workspace_not_found");
        assert_eq!(w.cancel(&unknown, json!({})).await.code(), "workspace_not_found");
        assert_eq!(w.item(&unknown).await, None);
        assert_eq!(w.post(&format!("/admin/workspaces/{id}/hand-over"), None, json!({})).await.status, 401);
        assert_eq!(w.item(&id).await, before);
    })
    .await;
}

#[tokio::test]
async fn g6_a_lost_reply_of_a_hand_over_or_a_cancel_is_no_failure() {
    test(async |w| {
        let (id, _) = w.spawned().await;
        w.proxy.spoil_next("UpdateItem", Fault::DropReply);
        let (token, epoch) = w.handed_over(&id).await;
        assert_eq!(epoch, 2);
        w.proxy.spoil_next("UpdateItem", Fault::DropReply);
        assert_eq!(w.cancel(&id, json!({})).await.json["status"], "cancelled");
        assert_eq!(w.register_url(&id, Some(&token), TARGET).await.status, 401);
        let (token, _) = w.handed_over(&id).await;
        // The refresh that asks first is answered; the take-over's own reply is lost.
        w.proxy.pass_then_spoil_once("UpdateItem", 1, Fault::DropReply);
        let taken = w.register_url(&id, Some(&token), TARGET).await;
        assert_eq!((taken.status, taken.epoch()), (200, 5), "{}", taken.text);
    })
    .await;
}
