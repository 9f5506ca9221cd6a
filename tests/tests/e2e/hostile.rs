//! Hostile input at every field: never a 5xx, never a hang, never a change.

use serde_json::{Value, json};
use tests::world::{Route, World, routes, test};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn nasty_values() -> Vec<Value> {
    let deep = |levels: usize| {
        let text = format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        serde_json::from_str(&text).unwrap_or(Value::Null)
    };
    vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1e308),
        json!(u64::MAX),
        json!(""),
        json!(" "),
        json!("\u{0}"),
        json!("\u{202e}\u{feff}"),
        json!("'; DROP TABLE workspaces; --"),
        json!("${jndi:ldap://a}"),
        json!("../../etc/passwd"),
        json!("<script>"),
        json!("a\r\nSet-Cookie: x"),
        json!("é".repeat(300)),
        json!("x".repeat(10_000)),
        json!([]),
        json!({}),
        json!([[]]),
        json!({"": {"": []}}),
        json!({"S": "x"}),
        deep(100),
        json!("http://127.0.0.1"),
        json!("http://[::1]"),
        json!("#owner_hash"),
        json!(":presented"),
        json!("sealed"),
    ]
}

async fn is_refused_or_fine(w: &World, route: &Route, bearer: Option<&str>, body: Value) {
    let reply = w.send(w.request(route, bearer).json(&body)).await;
    assert!(reply.status < 500, "{} for {route} {body}: {}", reply.status, reply.text);
    assert!(reply.status < 300 || !reply.code().is_empty(), "{}", reply.text);
}

const FIELDS_OF_CREATE: [&str; 11] = [
    "id",
    "name",
    "role",
    "tier",
    "runtime",
    "parent_id",
    "url",
    "external",
    "compute",
    "auth_token_sha256",
    "bootstrap",
];

const FIELDS_OF_REGISTER: [&str; 4] = ["id", "url", "agent_card", "auth_token_sha256"];

/// Of all routes to one workspace together, and of the payloads: what one does not know it ignores or refuses.
const FIELDS_OF_OPERATIONS: [&str; 8] = [
    "scope",
    "name",
    "operation_id",
    "expected_epoch",
    "auth_token_sha256",
    "successor_token_sha256",
    "expires_in_seconds",
    "action",
];

#[tokio::test]
async fn no_value_of_any_field_makes_a_5xx() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        for route in routes(&id) {
            let Some(body) = &route.body else { continue };
            let fields = match route.path.as_str() {
                "/workspaces" => FIELDS_OF_CREATE.as_slice(),
                "/registry/register" => &FIELDS_OF_REGISTER,
                _ => &FIELDS_OF_OPERATIONS,
            };
            for value in nasty_values() {
                for field in fields {
                    let mut body = body.clone();
                    if route.is_admin {
                        body[field] = value.clone();
                    } else {
                        body["agent_card"] = json!({"x": value});
                        body[field] = value.clone();
                        is_refused_or_fine(w, &route, None, body.clone()).await;
                    }
                    is_refused_or_fine(w, &route, w.bearer_for(&route, &token), body).await;
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn no_value_of_any_field_of_a_payload_makes_a_function_fail() {
    test(async |w| {
        let (id, _) = w.spawned().await;
        let (_, hash) = w.chosen_token();
        for (function, payload) in [
            ("admin-revoke", json!({})),
            ("admin-hand-over", json!({"successor_token_sha256": hash})),
            ("admin-hand-over", json!({"action": "cancel"})),
            ("get-workspace", json!({})),
        ] {
            for value in nasty_values() {
                for field in ["workspace_id"].iter().chain(&FIELDS_OF_OPERATIONS) {
                    let mut payload = payload.clone();
                    payload["workspace_id"] = json!(id);
                    payload[*field] = value.clone();
                    if let Err(error) = w.invoke(function, payload.clone()).await {
                        let kind = error["errorType"].as_str().unwrap();
                        let is_refused = matches!(kind, "InvalidPayload" | "WorkspaceNotFound");
                        assert!(is_refused, "{function} {payload}: {error}");
                    }
                }
            }
        }
    })
    .await;
}

/// Query parameters, headers and path parameters are refused as fields are.
#[tokio::test]
async fn no_value_outside_of_a_body_makes_a_5xx() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        let before = w.item(&id).await;
        for value in nasty_values() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let encoded: String = text.bytes().take(500).map(|byte| format!("%{byte:02X}")).collect();
            let url = |path: &str| format!("{}{path}", w.registry.url());
            let header = reqwest::header::HeaderValue::from_str(&text);
            let mut requests = vec![
                w.http.get(url(&format!("/workspaces?after={encoded}"))).bearer_auth(w.admin()),
                w.http.get(url(&format!("/workspaces?limit={encoded}"))).bearer_auth(w.admin()),
                w.http.get(url(&format!("/workspaces?parent_id={encoded}"))).bearer_auth(w.admin()),
                w.http.get(url(&format!("/registry/{id}/peers?after={encoded}"))).bearer_auth(&token),
                w.http.delete(url(&format!("/workspaces/{id}/tokens/{encoded}"))).bearer_auth(&token),
                w.http
                    .delete(url(&format!("/admin/workspaces/{id}/tokens/{encoded}")))
                    .bearer_auth(w.admin()),
                w.http.get(url(&format!("/registry/discover/{encoded}"))).bearer_auth(w.admin()),
            ];
            let discover = w.http.get(url(&format!("/registry/discover/{id}"))).bearer_auth(&token);
            requests.extend(header.map(|header| discover.header("x-workspace-id", header)).ok());
            for request in requests {
                let reply = w.send(request).await;
                assert!(reply.status < 500, "{} for {value}: {}", reply.status, reply.text);
            }
        }
        assert_eq!(w.item(&id).await, before);
    })
    .await;
}

/// Sends bytes as they are and reads the answer, bounded in time.
async fn raw(w: &World, bytes: &[u8]) -> String {
    let address = w.registry.url().trim_start_matches("http://").to_owned();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    // The other side may have hung up already: that is an answer too.
    let _refused = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read =
        tokio::time::timeout(std::time::Duration::from_secs(30), stream.read_to_end(&mut answer)).await;
    let _reset_is_an_answer_too = read.expect("the connection hangs");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn no_request_head_brings_the_gateway_down() {
    test(async |w| {
        let register = |head: &str| {
            let body = r#"{"id":"w","agent_card":{}}"#;
            format!("POST /registry/register HTTP/1.1\r\n{head}connection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        };
        let heads = [
            "", "host: \r\n", "host: a b\r\n", "host: [::1\r\n", "host: %00\r\n", "host: a:99999\r\n", "host: a/b\r\n",
            "host: a@b\r\n", "host: a?b\r\n", "host: a#b\r\n", "host: \u{e9}\r\n", "host: a\r\nhost: b\r\n",
            "host: a\r\nx: \u{e9}\u{1f600}\r\n", "host: a\r\nx-forwarded-proto: a b\r\n", "host: a\r\nauthorization: \u{e9}\r\n",
            "host: a\r\nauthorization: Bearer a\r\nauthorization: Bearer b\r\n", "host: a\r\ncookie: a=b\r\ncookie: c\r\n",
            "host: a\r\nx-amzn-trace-id: \u{7f}\r\n", "host: a\r\ncontent-type: \u{e9}\r\n", "host: a\r\nidempotency-key: \t\r\n",
        ];
        for head in heads {
            let answer = raw(w, register(head).as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 4"), "{head:?}: {answer}");
        }
        let latin = [b"POST /registry/register HTTP/1.1\r\nhost: a\r\nx: \xff\xfe\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}".as_slice()].concat();
        assert!(raw(w, &latin).await.starts_with("HTTP/1.1 4"));
        for target in ["/workspaces/%", "/workspaces/%zz", "/workspaces/%ff", "/workspaces/a?x=%ff&y[]={}|^", "/workspaces/%00",
            "//workspaces/a", "/workspaces/..%2f..", "/workspaces/a/../b", "*", "/workspaces/a#b", "http://x/workspaces/a"]
        {
            let answer = raw(w, format!("GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 4"), "{target}: {answer}");
        }
        for garbage in ["\u{0}\u{1}\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n"] {
            let answer = raw(w, garbage.as_bytes()).await;
            assert!(answer.starts_with("HTTP/1.1 400"), "{garbage:?}: {answer}");
        }
        let (id, token) = w.spawned().await;
        assert_eq!(w.register_url(&id, Some(&token), "https://a.example").await.status, 200, "still there");
    })
    .await;
}

/// Who may invoke a function can send what API Gateway never makes.
#[tokio::test]
async fn no_forged_event_makes_a_function_panic() {
    test(async |w| {
        let (id, _) = w.spawned().await;
        let event = json!({
            "version": "2.0", "routeKey": "GET /workspaces/{id}", "rawPath": "/", "rawQueryString": "",
            "headers": {"host": "a.example", "authorization": format!("Bearer {}", w.admin()), "x-forwarded-proto": "https"},
            "requestContext": {
                "http": {"method": "GET", "path": "/"}, "stage": "$default", "domainName": "a.example"
            },
            "pathParameters": {"id": id}, "body": "", "isBase64Encoded": false
        });
        // Longer than any URI may be.
        let long = "x".repeat(70_000);
        let odd = [long.as_str(), "", " ", "a b", "a=<", "[::1", "a:99999", ":", "//", "%zz", "?", "#", "http,https", "\u{e9}", "\u{0}"];
        for place in ["/rawPath", "/rawQueryString", "/headers/host", "/headers/x-forwarded-proto",
            "/requestContext/domainName", "/requestContext/stage", "/requestContext/http/path", "/body"]
        {
            for text in odd {
                // No header has a control character in it.
                if place.starts_with("/headers") && text == "\u{0}" {
                    continue;
                }
                let mut event = event.clone();
                *event.pointer_mut(place).unwrap() = text.into();
                let answer = w.invoke("get-workspace", event).await;
                assert_eq!(answer.unwrap()["statusCode"], 200, "{place}: {text:?}");
            }
        }
        for (member, value) in [("isBase64Encoded", json!(true)), ("requestContext", json!(null)), ("headers", json!(1))] {
            let mut event = event.clone();
            event["body"] = "no base64".into();
            event[member] = value;
            assert_eq!(w.invoke("get-workspace", event).await.unwrap_err()["errorType"], "InvalidPayload", "{member}");
        }
    })
    .await;
}

#[tokio::test]
async fn duplicate_keys_and_odd_json_are_no_way_around_a_check() {
    test(async |w| {
        let (id, token) = w.spawned().await;
        let (other, _) = w.spawned().await;
        let before = w.item(&other).await;
        for body in [
            format!(r#"{{"id":"{id}","id":"{other}","agent_card":{{}}}}"#),
            format!(r#"{{"id":"{other}","id":"{id}","agent_card":{{}},"i\u0064":"{other}"}}"#),
            format!(
                r#"{{"id":"{id}","agent_card":{{}},"url":"https://a.example","url":"http://127.0.0.1"}}"#
            ),
        ] {
            let request = w.http.post(format!("{}/registry/register", w.registry.url())).bearer_auth(&token);
            let reply = w.send(request.body(body)).await;
            assert!((400..500).contains(&reply.status), "{}", reply.text);
        }
        assert_eq!(w.item(&other).await, before);
    })
    .await;
}
