//! What holds for every route: headers, errors, authentication first.

use domain::random::Random;
use local::template::Template;
use serde_json::{Value, json};
use shared::lambda::config::Env;
use shared::lambda::start::{Function, Resources};
use tests::world::{LOG, Reply, routes, test};

#[test]
fn the_tests_know_every_route_that_is_deployed() {
    let mut known = routes("{id}").map(|route| route.to_string());
    let deployed = Template::embedded().unwrap().functions.into_iter().flat_map(|function| function.routes);
    let mut deployed: Vec<_> = deployed.map(|route| route.key()).collect();
    known.sort();
    deployed.sort();
    assert_eq!(known.as_slice(), deployed);
}

#[tokio::test]
async fn every_response_is_json_that_nobody_stores() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        for route in routes(&id) {
            let bearer = w.bearer_for(&route, &token);
            let with_body = |bearer| match &route.body {
                Some(body) => w.request(&route, bearer).json(body),
                None => w.request(&route, bearer),
            };
            let mut asked = vec![(with_body(None), 401), (with_body(bearer), 200)];
            if route.body.is_some() {
                asked.push((w.request(&route, bearer).body("[]"), 400));
            }
            for (request, status) in asked {
                let reply = w.send(request).await;
                let is_fine = (200..=201).contains(&reply.status);
                assert!(reply.status == status || status == 200 && is_fine, "{route}: {}", reply.text);
                assert_eq!(reply.header("cache-control"), Some("no-store"), "{route}");
                assert_eq!(reply.header("content-type"), Some("application/json"), "{route}");
                is_said(&reply);
            }
        }
        // The id in the path is the other thing that every route of a workspace has in common.
        for route in routes("a%20b").iter().filter(|route| route.path.contains("a%20b")) {
            let reply = w.send(w.request(route, Some(w.admin()))).await;
            assert_eq!((reply.status, &reply.json["field"]), (400, &json!("id")), "{route}");
            is_said(&reply);
        }
    })
    .await;
}

/// An error has a sentence, a code, and a request id by which its log lines are found.
fn is_said(reply: &Reply) {
    if reply.status >= 400 {
        assert!(!reply.code().is_empty() && reply.json["error"].as_str().unwrap().ends_with('.'));
        let request_id = reply.json["request_id"].as_str().unwrap();
        assert!(LOG.text().contains(request_id), "the log can be searched for it");
        assert_eq!(reply.json.get("field").is_some(), reply.code() == "invalid_request");
    }
}

#[tokio::test]
async fn g12_admin_routes_take_the_admin_token_and_nothing_else() {
    test(async |w| {
        let (id, owner) = w.spawned().await;
        let api = w.mint(&id, json!({})).await.token();
        let (stranger, _) = w.chosen_token();
        let before = w.items().await;
        for route in routes(&id).iter().chain(&routes("a%20b")).filter(|route| route.is_admin) {
            // Authentication comes first: the body is not even an object.
            let request = w.send(w.request(route, None).json("x"));
            let (missing, requests) = w.requests_of(request).await;
            assert_eq!((missing.status, missing.code()), (401, "missing_token"), "{route}");
            assert_eq!(missing.header("www-authenticate"), Some("Bearer"), "{route}");
            assert!(requests.is_empty(), "{route}");
            for bearer in [owner.as_str(), &api, &stranger, "short"] {
                let request = w.send(w.request(route, Some(bearer)).json(&route.body));
                let (reply, requests) = w.requests_of(request).await;
                assert_eq!((reply.status, reply.code()), (401, "invalid_token"), "{route}");
                assert_eq!(reply.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
                assert!(requests.is_empty(), "an admin token is checked offline: {route}");
            }
        }
        assert_eq!(w.items().await, before);
    })
    .await;
}

#[tokio::test]
async fn what_is_no_json_object_is_said_so() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        for route in routes(&id).iter().filter(|route| route.body.is_some()) {
            let request = || w.request(route, w.bearer_for(route, &token));
            for body in [
                &b"{"[..],
                b"[]",
                b"null",
                b"7",
                b"\"x\"",
                b"{\"a\":1}}",
                b"\xff\xfe",
                b"{\"a\":\"\xff\"}",
                b"\x1f\x8b",
                b"\x0b",
                "\u{a0}".as_bytes(),
            ] {
                for content_type in ["application/json", "application/octet-stream"] {
                    let request = request().header("content-type", content_type);
                    let reply = w.send(request.body(body.to_vec())).await;
                    assert_eq!((reply.status, reply.code()), (400, "invalid_json"), "{route} {body:?}");
                }
            }
            let reply = w.send(request().body(vec![b' '; 64 * 1024 + 1])).await;
            assert_eq!((reply.status, reply.code()), (413, "payload_too_large"), "{route}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_body_needs_no_content_type() {
    test(async |w| {
        for content_type in [
            None,
            Some("text/plain"),
            Some("application/octet-stream"),
            Some("application/json; charset=utf-8"),
        ] {
            let mut request = w.http.post(format!("{}/workspaces", w.registry.url())).bearer_auth(w.admin());
            if let Some(content_type) = content_type {
                request = request.header("content-type", content_type);
            }
            let reply = w.send(request.body(r#"{"name": "é"}"#)).await;
            assert_eq!((reply.status, &reply.json["name"]), (201, &json!("é")), "{content_type:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn errors_repeat_nothing_that_was_sent() {
    test(async |w| {
        let marker = "hunter2-hunter2-hunter2-hunter2-hunter2";
        let (id, token) = w.spawned().await;
        let bodies = [
            json!({"name": [marker]}),
            json!({"name": "x", "id": marker.repeat(3)}),
            json!({marker: 1}),
            json!({"name": "x", "tier": marker}),
        ];
        let mut replies = Vec::new();
        for body in bodies {
            replies.push(w.create(body.clone()).await.text);
            let mut register = body;
            register["id"] = json!(id);
            register["url"] = json!(format!("ftp://{marker}"));
            register["agent_card"] = json!({});
            replies.push(w.register(Some(&token), register).await.text);
        }
        replies.push(w.register_url(&id, Some(marker), "https://a.example").await.text);
        replies.push(w.revoke(marker, json!({"scope": marker})).await.text);
        let error = w.invoke("admin-revoke", json!({"workspace_id": id, marker: marker})).await.unwrap_err();
        replies.push(error.to_string());
        for reply in replies {
            assert!(!reply.contains("hunter2"), "{reply}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_has_no_route_is_not_found() {
    test(async |w| {
        for (method, path) in [
            ("GET", "/"),
            ("PATCH", "/workspaces"),
            ("GET", "/registry/x"),
            ("GET", "/registry/x/y"),
            ("DELETE", "/workspaces"),
            ("POST", "/workspaces/x/state"),
            ("POST", "/registry"),
            ("GET", "/registry/register"),
            ("POST", "/workspaces/x/"),
            ("PUT", "/workspaces"),
            ("GET", "/admin/workspaces/x/hand-over"),
        ] {
            let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
            let reply = w.send(w.http.request(method, format!("{}{path}", w.registry.url()))).await;
            assert_eq!((reply.status, &reply.json), (404, &json!({"message": "Not Found"})), "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_platform_url_is_not_the_client_s_to_choose() {
    test(async |w| {
        let request = w.http.post(format!("{}/workspaces", w.registry.url())).bearer_auth(w.admin());
        let request =
            request.header("x-forwarded-proto", "javascript").header("x-forwarded-host", "thief.example");
        let reply = w.send(request.json(&json!({"name": "x", "external": true}))).await;
        assert_eq!(reply.json["connection"]["platform_url"], Value::from(w.registry.url()));
    })
    .await;
}

#[tokio::test]
async fn g12_without_a_valid_digest_a_function_with_an_admin_route_does_not_start() {
    test(async |w| {
        let starts = |digest: Option<&str>| {
            let env = Env::from_fn(|name| match name {
                "TABLE_NAME" => Some("workspaces".to_owned()),
                "ADMIN_TOKEN_SHA256" => digest.map(str::to_owned),
                _ => None,
            });
            let resources = || Resources { dynamodb: w.dynamodb.clone(), random: Random::OS };
            macro_rules! errors {
                ($(($name:literal, $function:ty)),* $(,)?) => {
                    vec![$(($name, <$function>::new(&env, resources()).err())),*]
                };
            }
            let mut errors = functions::for_each_function!(errors);
            // No operator calls these.
            errors.retain(|(name, _)| !["register", "heartbeat", "owner-tokens", "authorize"].contains(name));
            errors.into_iter().map(|(_, error)| error).collect::<Vec<_>>()
        };
        let digest = "0123456789abcdef".repeat(4);
        for wrong in [None, Some(""), Some("x"), Some(digest.get(1..).unwrap()), Some(w.admin())] {
            for error in starts(wrong) {
                let line = error.expect("it must not start").to_string();
                assert!(line.starts_with("ADMIN_TOKEN_SHA256 is not "), "{line}");
                assert!(!line.contains(w.admin()));
            }
        }
        assert!(starts(Some(&digest)).into_iter().all(|error| error.is_none()));
        let no_table = Env::from_fn(|_| None);
        let resources = Resources { dynamodb: w.dynamodb.clone(), random: Random::OS };
        let error = functions::Register::new(&no_table, resources).err().unwrap();
        assert!(error.to_string().starts_with("TABLE_NAME is not set"), "{error}");
    })
    .await;
}

/// Some shells write a byte order mark, which a parser may ignore (RFC 8259, section 8.1).
#[tokio::test]
async fn a_byte_order_mark_before_a_body_is_ignored() {
    test(async |w| {
        let request = w.http.post(format!("{}/workspaces", w.registry.url())).bearer_auth(w.admin());
        let reply = w.send(request.body("\u{feff}{\"name\": \"x\"}")).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
    })
    .await;
}

#[tokio::test]
async fn an_encoded_body_is_refused_by_name() {
    test(async |w| {
        let send = async |coding: &str| {
            let request = w.http.post(format!("{}/workspaces", w.registry.url())).bearer_auth(w.admin());
            w.send(request.header("content-encoding", coding).body(r#"{"name": "x"}"#)).await
        };
        let refused = send("gzip").await;
        assert_eq!((refused.status, refused.code()), (400, "invalid_request"));
        assert_eq!(refused.json["field"], "Content-Encoding");
        assert!(refused.json["error"].as_str().unwrap().contains("`Content-Encoding`"), "{}", refused.text);
        assert_eq!(send("identity").await.status, 201);
    })
    .await;
}
