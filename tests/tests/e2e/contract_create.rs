//! `POST /workspaces`.

use aws_sdk_dynamodb::types::AttributeValue;
use domain::agent_url::AgentUrlPolicy;
use domain::random::{Random, RandomUnavailable};
use domain::tree::MAX_ANCESTORS;
use serde_json::{Value, json};
use tests::world::{Setup, sha256, test, test_with};

#[tokio::test]
async fn a_spawned_workspace_gets_its_token_inline() {
    test(async |w| {
        let reply = w.create(json!({"name": "Ada"})).await;
        assert_eq!(reply.status, 201);
        let token = reply.token();
        let id = reply.json["id"].as_str().unwrap().to_owned();
        assert_eq!(uuid::Uuid::parse_str(&id).unwrap().get_version_num(), 4);
        assert_eq!(
            reply.json,
            json!({"id": id, "name": "Ada", "status": "provisioning", "auth_token": token})
        );
        assert_eq!(w.register_url(&id, None, "https://a.example").await.status, 401);
        assert_eq!(w.register_url(&id, Some(&token), "https://a.example").await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn every_field_is_kept() {
    test(async |w| {
        let (id, (parent, _)) = (w.new_id(), w.spawned().await);
        let body = json!({
            "id": id, "name": "é".repeat(200), "role": "r".repeat(200), "tier": 255, "runtime": "x".repeat(200),
            "parent_id": parent, "compute": {"instance_type": "i".repeat(64), "volume_root_gb": 65536},
            "ignored": {"by": "the registry"},
        });
        assert_eq!(w.create(body.clone()).await.status, 201);
        let shown = w.show(&id).await;
        for field in ["id", "name", "role", "tier", "runtime", "parent_id", "compute"] {
            assert_eq!(shown[field], body[field], "{field}");
        }
        assert_eq!(shown["external"], false);
        assert_eq!(shown["epoch"], 1);
        assert_eq!(shown["owner_epoch"], 1);
    })
    .await;
}

#[tokio::test]
async fn a_parent_exists_and_is_not_too_deep() {
    test(async |w| {
        let (root, _) = w.spawned().await;
        let (removed, _) = w.spawned().await;
        assert_eq!(w.remove(&removed, json!({})).await.status, 200);
        let refused = async |parent: Value| {
            let reply = w.create(json!({"name": "x", "parent_id": parent})).await;
            assert_eq!((reply.status, &reply.json["field"]), (400, &json!("parent_id")), "{parent}");
        };
        for parent in [json!(w.new_id()), json!(removed), json!("a b"), json!("-"), json!(7)] {
            refused(parent).await;
        }
        let id = w.new_id();
        refused(json!(id)).await;
        let own_child = w.create(json!({"id": id, "name": "x", "parent_id": id})).await;
        assert_eq!((own_child.status, &own_child.json["field"]), (400, &json!("parent_id")));
        let mut deepest = root;
        for _ in 0..MAX_ANCESTORS {
            deepest = w.child_of(&deepest).await.0;
        }
        refused(json!(deepest)).await;
        let ancestors = w.item(&deepest).await.unwrap()["ancestors"].as_l().unwrap().len();
        assert_eq!(ancestors, MAX_ANCESTORS);
        let parents = w.show(&deepest).await["parent_id"].clone();
        assert_eq!(w.remove(&deepest, json!({})).await.status, 200);
        let tombstone = w.item(&deepest).await.unwrap();
        assert_eq!(json!(tombstone["parent_id"].as_s().unwrap()), parents);
        assert_eq!(tombstone["ancestors"].as_l().unwrap().len(), MAX_ANCESTORS);
        assert!(!tombstone.contains_key("parent_key"), "it leaves the index");
    })
    .await;
}

#[tokio::test]
async fn the_table_of_doors() {
    test(async |w| {
        let url = "https://agent.example";
        // What is asked for, the status, whether the door is open, and where the token is.
        let table = [
            (json!({}), "provisioning", false, Some("/auth_token")),
            (json!({"bootstrap": "closed"}), "provisioning", false, Some("/auth_token")),
            (json!({"bootstrap": "open"}), "provisioning", true, Some("/auth_token")),
            (json!({"url": url}), "provisioning", false, Some("/auth_token")),
            (json!({"external": true}), "awaiting_agent", false, Some("/connection/auth_token")),
            (
                json!({"external": true, "bootstrap": "closed"}),
                "awaiting_agent",
                false,
                Some("/connection/auth_token"),
            ),
            (
                json!({"external": true, "url": "remote://no-inbound"}),
                "awaiting_agent",
                false,
                Some("/connection/auth_token"),
            ),
            (json!({"external": true, "url": url}), "online", true, None),
            (json!({"external": true, "url": url, "bootstrap": "open"}), "online", true, None),
            (
                json!({"external": true, "url": url, "bootstrap": "closed"}),
                "online",
                false,
                Some("/connection/auth_token"),
            ),
        ];
        for (mut body, status, open, place) in table {
            body["name"] = json!("a workspace");
            let reply = w.create(body.clone()).await;
            assert_eq!((reply.status, &reply.json["status"]), (201, &json!(status)), "{body}");
            let places: Vec<_> = ["/auth_token", "/connection/auth_token"]
                .into_iter()
                .filter(|place| reply.json.pointer(place).is_some_and(|token| !token.is_null()))
                .collect();
            assert_eq!(places, place.into_iter().collect::<Vec<_>>(), "{body}");
            let id = reply.json["id"].as_str().unwrap();
            let claim = w.register_url(id, None, "https://claim.example").await;
            assert_eq!(claim.status, if open { 200 } else { 401 }, "{body}");
            if place.is_some() {
                let by_token = w.register_url(id, Some(&reply.token()), "https://token.example").await;
                assert_eq!(by_token.status, 200, "{body}");
            }
        }
        let reply = w.create(json!({"name": "x", "external": true, "bootstrap": "open"})).await;
        assert_eq!((reply.status, &reply.json["field"]), (400, &json!("bootstrap")));
    })
    .await;
}

#[tokio::test]
async fn an_external_workspace_says_how_to_connect() {
    test(async |w| {
        let id = w.new_id();
        let reply = w.create(json!({"id": id, "name": "x", "external": true})).await;
        let token = reply.token();
        let base = w.registry.url();
        assert_eq!(reply.json["id"], json!(id));
        assert_eq!(reply.json["external"], true);
        assert_eq!(reply.json.as_object().unwrap().len(), 4, "id, external, status, connection");
        let connection = &reply.json["connection"];
        assert_eq!(connection["workspace_id"], json!(id));
        assert_eq!(connection["platform_url"], json!(base));
        assert_eq!(connection["registry_endpoint"], json!(format!("{base}/registry/register")));
        let template = connection["curl_register_template"].as_str().unwrap();
        assert!(template.contains("$WORKSPACE_AUTH_TOKEN") && template.contains(&id), "{template}");
        assert!(!template.contains(&token));
    })
    .await;
}

#[tokio::test]
async fn the_curl_template_works_in_a_shell() {
    let setup = Setup { agent_url_policy: AgentUrlPolicy::Any, ..Setup::default() };
    test_with(setup, async |w| {
        let reply = w.create(json!({"name": "x", "external": true})).await;
        let template = reply.json["connection"]["curl_register_template"].as_str().unwrap();
        let output = tokio::process::Command::new("sh")
            .args(["-c", &format!("{template} -s --noproxy '*'")])
            .env("WORKSPACE_AUTH_TOKEN", reply.token())
            .output()
            .await
            .unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["status"], "registered", "{answer}");
    })
    .await;
}

#[tokio::test]
async fn a_configured_platform_url_is_shown() {
    let platform_url = Some("https://registry.example.com/v1/".to_owned());
    test_with(Setup { platform_url, ..Setup::default() }, async |w| {
        let reply = w.create(json!({"name": "x", "external": true})).await;
        assert_eq!(reply.json["connection"]["platform_url"], "https://registry.example.com/v1");
    })
    .await;
}

#[tokio::test]
async fn a_caller_chosen_token_is_never_answered() {
    test(async |w| {
        for extra in [json!({}), json!({"external": true}), json!({"bootstrap": "open"})] {
            let (token, hash) = w.chosen_token();
            let mut body = extra.clone();
            body["name"] = json!("x");
            body["auth_token_sha256"] = json!(hash);
            let reply = w.create(body).await;
            assert_eq!(reply.status, 201);
            assert!(!reply.text.contains("auth_token\""), "{}", reply.text);
            let id = reply.json["id"].as_str().unwrap();
            assert_eq!(w.register_url(id, Some(&token), "https://a.example").await.status, 200);
        }
    })
    .await;
}

#[tokio::test]
async fn a_token_that_would_have_no_place_is_refused() {
    test(async |w| {
        let (_, hash) = w.chosen_token();
        let body =
            json!({"name": "x", "external": true, "url": "https://a.example", "auth_token_sha256": hash});
        let reply = w.create(body).await;
        assert_eq!((reply.status, &reply.json["field"]), (400, &json!("auth_token_sha256")));
    })
    .await;
}

#[tokio::test]
async fn g6_an_id_is_taken_once_and_a_repeat_with_the_same_hash_is_the_same_create() {
    test(async |w| {
        let (token, hash) = w.chosen_token();
        let id = w.new_id();
        let body = json!({"id": id, "name": "first", "auth_token_sha256": hash});
        let first = w.create(body.clone()).await;
        let before = w.item(&id).await;
        let repeat = w.create(body).await;
        assert_eq!((first.status, repeat.status), (201, 201));
        assert_eq!(repeat.text, first.text);
        assert_eq!(w.item(&id).await, before, "a repeat writes nothing");

        let (_, other) = w.chosen_token();
        for body in
            [json!({"id": id, "name": "x"}), json!({"id": id, "name": "x", "auth_token_sha256": other})]
        {
            let taken = w.create(body).await;
            assert_eq!((taken.status, taken.code()), (409, "workspace_exists"));
        }
        assert_eq!(w.register_url(&id, Some(&token), "https://a.example").await.status, 200);

        w.revoke(&id, json!({})).await;
        let ended = w.create(json!({"id": id, "name": "x", "auth_token_sha256": hash})).await;
        assert_eq!((ended.status, ended.code()), (409, "workspace_exists"), "the token is no longer live");
    })
    .await;
}

#[tokio::test]
async fn each_field_has_its_type_and_its_words() {
    test(async |w| {
        let cases = [
            ("name", json!(null)),
            ("name", json!(7)),
            ("id", json!(7)),
            ("role", json!([])),
            ("tier", json!("1")),
            ("external", json!("true")),
            ("external", json!(1)),
            ("url", json!("ftp://a.example")),
            ("url", json!("http://127.0.0.1")),
            ("url", json!(7)),
            ("bootstrap", json!("Open")),
            ("bootstrap", json!(true)),
            ("compute", json!([])),
            ("compute", json!("x")),
            ("auth_token_sha256", json!(1)),
        ];
        for (field, value) in cases {
            let mut body = json!({"name": "x"});
            body[field] = value.clone();
            let reply = w.create(body).await;
            assert_eq!((reply.status, reply.code()), (400, "invalid_request"), "{field}: {value}");
            assert_eq!(reply.json["field"], json!(field), "{value}");
            assert!(reply.json["error"].as_str().unwrap().contains(field), "{}", reply.text);
        }
        for (field, value) in [("instance_type", json!(1)), ("volume_root_gb", json!("1"))] {
            let reply = w.create(json!({"name": "x", "compute": {field: value}})).await;
            assert_eq!(reply.json["field"], json!(format!("compute.{field}")), "{value}");
        }
        assert_eq!(w.items().await, [], "nothing was created");
    })
    .await;
}

#[tokio::test]
async fn g9_no_token_no_open_door() {
    test_with(Setup { random: Random::UNAVAILABLE, ..Setup::default() }, async |w| {
        for extra in [json!({}), json!({"bootstrap": "open"}), json!({"external": true})] {
            let id = w.new_id();
            let mut body = extra;
            body["id"] = json!(id);
            body["name"] = json!("x");
            let reply = w.create(body.clone()).await;
            assert_eq!(reply.status, 201);
            assert!(
                !reply.text.contains("auth_token") && !reply.text.contains("connection"),
                "{}",
                reply.text
            );
            let item = w.item(&id).await.unwrap();
            assert_eq!(item["owner_hash"], AttributeValue::S("sealed".to_owned()));
            // Nobody gets in: not without a bearer, not with the word, not with its hash.
            for bearer in [None, Some("sealed"), Some(sha256("sealed").as_str())] {
                assert_eq!(w.register_url(&id, bearer, "https://thief.example").await.status, 401);
            }
            let named = json!({"id": id, "agent_card": {}, "auth_token_sha256": sha256("sealed")});
            assert_eq!(w.register(None, named).await.status, 401);
            assert_eq!(w.show(&id).await["tokens"], json!([]), "a seal is no token");
            // The operator can let somebody in, and can open the door.
            let (token, hash) = w.chosen_token();
            assert_eq!(w.mint(&id, json!({"auth_token_sha256": hash})).await.status, 201);
            assert_eq!(w.register_url(&id, Some(&token), "https://a.example").await.status, 200);
            let revoked = w.revoke(&id, json!({})).await;
            assert_eq!(revoked.json["revoked"], 1, "the API token; a seal counts 0");
            assert!(
                !w.item(&id).await.unwrap().contains_key("previous_owner_hash"),
                "a seal is not remembered"
            );
            let (_, hash) = w.chosen_token();
            let claim = json!({"id": id, "agent_card": {}, "auth_token_sha256": hash});
            assert_eq!(w.register(None, claim).await.status, 200);
        }
        assert!(tests::world::LOG.text().contains("the workspace is created sealed"));
        // Without an id nothing can be made at all.
        let reply = w.create(json!({"name": "x"})).await;
        assert_eq!((reply.status, reply.code()), (500, "internal_error"));
    })
    .await;
}

#[tokio::test]
async fn g9_a_seal_comes_of_the_token_s_bytes_alone() {
    // The id's 16 bytes can be had, the token's cannot.
    let random =
        Random::from_fn(
            |buffer| {
                if buffer.len() == 16 { Random::OS.fill(buffer) } else { Err(RandomUnavailable) }
            },
        );
    test_with(Setup { random, ..Setup::default() }, async |w| {
        let reply = w.create(json!({"name": "x"})).await;
        assert_eq!(reply.status, 201);
        let id = reply.json["id"].as_str().unwrap();
        assert_eq!(w.register_url(id, None, "https://a.example").await.status, 401);
        assert_eq!(w.mint(id, json!({})).await.code(), "internal_error");
    })
    .await;
}
