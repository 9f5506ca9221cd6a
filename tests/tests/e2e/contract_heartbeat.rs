//! `POST /registry/heartbeat`, and what it makes others see.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use tests::proxy::Fault;
use tests::world::{Item, World, test};

const URL: &str = "https://agent.example";

async fn presence(w: &World, id: &str) -> Option<Item> {
    w.item(&format!("{id}#presence")).await
}

/// Moves both times at which the agent was seen into the past.
async fn forget(w: &World, id: &str) {
    let past = || AttributeValue::S("2026-01-01T00:00:00.000Z".to_owned());
    w.tamper(id, |item| drop(item.insert("registered_at".to_owned(), past()))).await;
    w.tamper(&format!("{id}#presence"), |item| drop(item.insert("beat_at".to_owned(), past()))).await;
}

async fn registered(w: &World) -> (String, String) {
    let (id, token) = w.spawned().await;
    assert_eq!(w.register_url(&id, Some(&token), URL).await.status, 200);
    (id, token)
}

#[tokio::test]
async fn a_heartbeat_shows_that_the_agent_is_alive() {
    test(async |w| {
        let (id, token) = registered(w).await;
        let before = w.show(&id).await;
        assert_eq!((&before["status"], &before["heartbeat"]), (&json!("online"), &Value::Null));
        assert_eq!(before["last_seen_at"], before["registered_at"]);
        let body = json!({
            "workspace_id": id, "current_task": "reading", "active_tasks": 3, "error_rate": 0.25,
            "sample_error": "", "uptime_seconds": 60, "mood": "fine"
        });
        let reply = w.post("/registry/heartbeat", Some(&token), body).await;
        assert_eq!((reply.status, reply.json), (200, json!({"status": "ok", "epoch": 1})));
        let shown = w.show(&id).await;
        let at = shown["last_seen_at"].clone();
        let report = json!({
            "at": at, "current_task": "reading", "active_tasks": 3, "error_rate": 0.25, "sample_error": "",
            "uptime_seconds": 60
        });
        assert_eq!(shown["heartbeat"], report);
        assert!(at.as_str() >= before["last_seen_at"].as_str());
        // Nobody is seen for long enough: offline, until the next heartbeat.
        forget(w, &id).await;
        assert_eq!(w.show(&id).await["status"], "offline");
        assert_eq!(w.state(&id, Some(&token)).await.json["status"], "offline");
        assert_eq!(w.beat(&id, Some(&token)).await.status, 200);
        assert_eq!(w.show(&id).await["status"], "online");
        let workspace = w.item(&id).await.unwrap();
        assert_eq!(workspace["status"], AttributeValue::S("online".to_owned()), "no clock writes a status");
    })
    .await;
}

#[tokio::test]
async fn only_the_live_owner_may_beat() {
    test(async |w| {
        let (id, token) = registered(w).await;
        let (other, foreign) = w.spawned().await;
        let api = w.mint(&id, json!({})).await.token();
        let (successor, _) = w.handed_over(&id).await;
        let (made_up, _) = w.chosen_token();
        let refused = w.beat(&id, Some(&api)).await;
        assert_eq!((refused.status, refused.code()), (403, "insufficient_scope"));
        assert_eq!(refused.header("www-authenticate"), Some("Bearer error=\"insufficient_scope\""));
        for bearer in [&foreign, &successor, &made_up, w.admin()] {
            let refused = w.beat(&id, Some(bearer)).await;
            assert_eq!((refused.status, refused.code()), (401, "invalid_token"));
        }
        assert_eq!(w.beat(&id, None).await.code(), "missing_token");
        assert_eq!(w.beat(&w.new_id(), Some(&token)).await.code(), "workspace_not_found");
        assert_eq!(presence(w, &id).await, None, "nothing was written");
        w.revoke(&id, json!({})).await;
        assert_eq!(w.beat(&id, Some(&token)).await.code(), "invalid_token");
        assert_eq!(w.remove(&other, json!({})).await.status, 200);
        let removed = w.beat(&other, Some(&foreign)).await;
        assert_eq!((removed.status, removed.code()), (410, "workspace_removed"));
    })
    .await;
}

/// Its small talk is cut, and the item stays within the 1 KiB that one write unit pays for.
#[tokio::test]
async fn a_heartbeat_costs_one_write_unit_whatever_it_says() {
    test(async |w| {
        let longest = w.new_id();
        let id = format!("{longest}{}", "-".repeat(64 - longest.len()));
        let token = w.create(json!({"id": id, "name": "x"})).await.token();
        for text in ["x", "\u{0}", "😀", "\""] {
            let text = text.repeat(5_000);
            let body = json!({"workspace_id": id, "current_task": text, "sample_error": text,
                "active_tasks": u64::MAX, "uptime_seconds": u64::MAX, "error_rate": 0.123_456_789_012_345_6});
            assert_eq!(w.post("/registry/heartbeat", Some(&token), body).await.status, 200);
            let item = presence(w, &id).await.unwrap();
            let size: usize = item
                .iter()
                .map(|(name, value)| {
                    name.len() + value.as_s().map_or_else(|_| value.as_n().unwrap().len(), String::len)
                })
                .sum();
            assert!(size <= 1_024, "{size}");
        }
        for (field, value) in [
            ("current_task", json!(1)),
            ("active_tasks", json!(-1)),
            ("error_rate", json!(1.5)),
            ("sample_error", json!([])),
            ("uptime_seconds", json!("1")),
            ("workspace_id", json!("a b")),
        ] {
            let mut body = json!({"workspace_id": id});
            body[field] = value;
            let refused = w.post("/registry/heartbeat", Some(&token), body).await;
            assert_eq!((refused.status, &refused.json["field"]), (400, &json!(field)));
        }
    })
    .await;
}

/// A heartbeat that was decided before a take-over and is written after it is stamped with its own owner's epoch.
#[tokio::test]
async fn g17_a_late_heartbeat_of_a_former_owner_counts_for_nothing() {
    test(async |w| {
        let (id, source) = registered(w).await;
        w.proxy.spoil_all("PutItem", Fault::Capture);
        assert_eq!(w.beat(&id, Some(&source)).await.status, 503);
        w.proxy.heal();
        let (target, _) = w.handed_over(&id).await;
        assert_eq!(w.register_url(&id, Some(&target), "https://target.example").await.status, 200);
        let before = (w.item(&id).await, w.show(&id).await);
        w.proxy.deliver_captured(2).await;
        assert!(presence(w, &id).await.is_some(), "it was written");
        let after = (w.item(&id).await, w.show(&id).await);
        assert_eq!(after, before, "and changed neither owner, URL nor status");
        assert_eq!(w.beat(&id, Some(&source)).await.code(), "invalid_token");
        assert_eq!(w.beat(&id, Some(&target)).await.status, 200);
        assert_ne!(w.show(&id).await["heartbeat"], Value::Null);
    })
    .await;
}

/// Of two heartbeats, the earlier one never replaces the later one; nor does it bring a removed workspace back.
#[tokio::test]
async fn g17_presence_never_goes_back() {
    test(async |w| {
        let (id, token) = registered(w).await;
        w.proxy.spoil_all("PutItem", Fault::Capture);
        assert_eq!(w.beat(&id, Some(&token)).await.status, 503);
        w.proxy.heal();
        let body = json!({"workspace_id": id, "current_task": "later"});
        assert_eq!(w.post("/registry/heartbeat", Some(&token), body).await.status, 200);
        let later = presence(w, &id).await;
        w.proxy.deliver_captured(2).await;
        assert_eq!(presence(w, &id).await, later);
        w.proxy.spoil_all("PutItem", Fault::Capture);
        assert_eq!(w.beat(&id, Some(&token)).await.status, 503);
        w.proxy.heal();
        assert_eq!(w.remove(&id, json!({})).await.status, 200);
        let tombstone = w.item(&id).await;
        w.proxy.deliver_captured(2).await;
        assert_eq!(w.item(&id).await, tombstone);
        assert_eq!(w.state(&id, Some(&token)).await.json["deleted"], true);
    })
    .await;
}

/// The loop of an agent's client: register, then heartbeat and state again and again. It ends only with the removal.
#[tokio::test]
async fn g17_an_agent_s_loop_ends_only_when_its_workspace_is_removed() {
    test(async |w| {
        let id = w.open().await;
        let source = w.register_url(&id, None, URL).await.token();
        let turn = async |token: &str| {
            let beat = w.beat(&id, Some(token)).await;
            let state = w.state(&id, Some(token)).await;
            assert_ne!((beat.status, state.status), (404, 404), "the loop ends");
            (beat.status, state.status)
        };
        assert_eq!(turn(&source).await, (200, 200));
        let (target, _) = w.handed_over(&id).await;
        assert_eq!(turn(&source).await, (200, 200), "while the hand-over is pending");
        assert_eq!(w.register_url(&id, Some(&target), "https://target.example").await.status, 200);
        assert_eq!(turn(&source).await, (401, 401), "superseded, not removed");
        assert_eq!(turn(&target).await, (200, 200));
        w.revoke(&id, json!({})).await;
        assert_eq!(turn(&target).await, (401, 401));
        let again = w.register_url(&id, None, URL).await.token();
        assert_eq!(turn(&again).await, (200, 200));
        w.proxy.spoil_all("BatchGetItem", Fault::Reset);
        let unavailable = w.state(&id, Some(&again)).await;
        assert_eq!((unavailable.status, unavailable.header("retry-after")), (503, Some("1")));
        w.proxy.heal();
        assert_eq!(w.remove(&id, json!({})).await.status, 200);
        assert_eq!(w.beat(&id, Some(&again)).await.status, 410);
        let state = w.state(&id, Some(&again)).await;
        assert_eq!(
            (state.status, state.code(), &state.json["deleted"]),
            (404, "workspace_removed", &json!(true))
        );
    })
    .await;
}
