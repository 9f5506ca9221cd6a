//! The function `authorize`, asked directly and by the local gateway in front of somebody else's server.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use local::ProtectedApi;
use serde_json::{Value, json};
use tests::proxy::Fault;
use tests::world::{LOG, Reply, Setup, World, authorizer_event, routes, test, test_with};
use tokio::net::TcpListener;

/// Somebody's server: it says what it was asked.
async fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(say));
            tokio::spawn(connection);
        }
    });
    address
}

async fn say(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let headers: Vec<_> = parts
        .headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    let said = json!({"method": parts.method.as_str(), "uri": parts.uri.to_string(), "headers": headers,
        "body": String::from_utf8_lossy(&body)});
    let response = Response::builder().status(if parts.uri.path().ends_with("/teapot") { 418 } else { 200 });
    let response = response.header("x-served", "yes").header("connection", "x-hop").header("x-hop", "1");
    Ok(response.body(Full::new(Bytes::from(said.to_string()))).unwrap())
}

/// A registry that protects such a server twice: at `/notes/{workspace_id}`, and at `/mcp`.
async fn protecting(body: impl AsyncFnOnce(&World)) {
    let address = server().await;
    let api = |prefix| ProtectedApi::parse(&format!("{prefix}=http://{address}")).unwrap();
    let protected_apis = vec![api("/notes/{workspace_id}"), api("/mcp")];
    test_with(Setup { protected_apis, ..Setup::default() }, body).await;
}

/// Asks for a workspace's notes.
async fn notes(w: &World, id: &str, bearer: Option<&str>) -> Reply {
    w.get(&format!("/notes/{id}/today?full=1"), bearer).await
}

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

fn header<'a>(served: &'a Reply, name: &str) -> Vec<&'a str> {
    let headers = served.json["headers"].as_array().unwrap().iter();
    headers.filter(|header| header[0] == name).map(|header| header[1].as_str().unwrap()).collect()
}

fn refused(reply: &Reply, status: u16, message: &str) {
    assert_eq!((reply.status, &reply.json), (status, &json!({"message": message})), "{}", reply.text);
    assert_eq!(reply.header("x-served"), None, "the server was not asked");
}

/// No route of the registry, no decision and no protected route knows the token.
async fn opens_nothing(w: &World, id: &str, token: &str) {
    refused(&notes(w, id, Some(token)).await, 403, "Forbidden");
    let (answer, _) = decision(w, authorizer_event(Some(&bearer(token)), json!({"id": id}), None)).await;
    assert_eq!(answer, no());
    let before = w.item(id).await;
    for route in routes(id) {
        let mut request = w.request(&route, Some(token));
        if let Some(body) = &route.body {
            request = request.json(body);
        }
        let reply = w.send(request).await;
        // A removed workspace is said to be removed.
        let is_gone = reply.code() == "workspace_removed";
        assert!(reply.code() == "invalid_token" || is_gone, "{route}: {}", reply.text);
    }
    assert_eq!(w.item(id).await, before);
}

#[tokio::test]
async fn g20_an_ended_token_opens_nothing_from_the_answer_on() {
    protecting(async |w| {
        let opens = async |id: &str, token: &str| {
            let reply = notes(w, id, Some(token)).await;
            assert_eq!((reply.status, header(&reply, "x-workspace-id")), (200, vec![id]), "{}", reply.text);
        };
        // A revoke ends the owner's token and the API tokens.
        let (id, owner) = w.spawned().await;
        let api = w.mint(&id, json!({})).await.token();
        opens(&id, &owner).await;
        opens(&id, &api).await;
        assert_eq!(w.revoke(&id, json!({"scope": "api"})).await.status, 200);
        opens_nothing(w, &id, &api).await;
        opens(&id, &owner).await;
        assert_eq!(w.revoke(&id, json!({})).await.status, 200);
        opens_nothing(w, &id, &owner).await;
        // Whoever claims opens it anew.
        let owner = w.register_url(&id, None, "https://a.example").await.token();
        opens(&id, &owner).await;
        // A take-over ends the source's token; the successor's opens nothing before.
        let (successor, _) = w.handed_over(&id).await;
        refused(&notes(w, &id, Some(&successor)).await, 403, "Forbidden");
        opens(&id, &owner).await;
        assert_eq!(w.register_url(&id, Some(&successor), "https://b.example").await.status, 200);
        opens_nothing(w, &id, &owner).await;
        opens(&id, &successor).await;
        // An API token expires, or ends alone.
        for ended_alone in [false, true] {
            let minted = w.mint(&id, json!({"expires_in_seconds": 60})).await;
            let (api, token_id) = (minted.token(), minted.json["token_id"].as_str().unwrap().to_owned());
            opens(&id, &api).await;
            if ended_alone {
                assert_eq!(w.owner_ends(&id, &successor, &token_id).await.json["revoked"], 1);
            } else {
                w.expire_api_tokens(&id).await;
            }
            opens_nothing(w, &id, &api).await;
        }
        // A rotation ends the old token when the next one is first used.
        let next = w.rotate(&id, &successor, json!({})).await.token();
        refused(&notes(w, &id, Some(&next)).await, 403, "Forbidden");
        assert_eq!(w.beat(&id, Some(&next)).await.status, 200);
        opens_nothing(w, &id, &successor).await;
        opens(&id, &next).await;
        // A removal ends all.
        let api = w.mint(&id, json!({})).await.token();
        assert_eq!(w.remove(&id, json!({})).await.status, 200);
        for token in [&owner, &api, &successor, &next] {
            opens_nothing(w, &id, token).await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_server_learns_who_calls_from_the_gateway_alone() {
    protecting(async |w| {
        let (id, owner) = w.spawned().await;
        let (other, _) = w.spawned().await;
        let api = w.mint(&id, json!({})).await;
        let (prefix, api) = (api.json["prefix"].as_str().unwrap().to_owned(), api.token());
        let url = format!("{}/mcp/call?x=%20y", w.registry.url());
        let request = w.http.put(url).bearer_auth(&api).header("x-workspace-id", &id).body("the body");
        let request = request
            .header("x-token-id", "forged")
            .header("x_workspace_id", &other)
            .header("connection", "x-hop")
            .header("x-hop", "1")
            .header("x-kept", "yes");
        let served = w.send(request).await;
        assert_eq!((served.status, &served.json["method"]), (200, &json!("PUT")), "{}", served.text);
        assert_eq!(served.json["uri"], "/mcp/call?x=%20y", "the path stays as it is");
        assert_eq!(served.json["body"], "the body");
        assert_eq!(header(&served, "x-workspace-id"), [id.as_str()]);
        assert_eq!(header(&served, "x-token-id"), [prefix.as_str()]);
        assert_eq!(header(&served, "x-kept"), ["yes"]);
        for dropped in ["authorization", "x_workspace_id", "connection", "x-hop"] {
            assert!(header(&served, dropped).is_empty(), "{dropped}");
        }
        assert_eq!((served.header("x-served"), served.header("x-hop")), (Some("yes"), None));
        assert!(served.header("apigw-requestid").is_some());
        // The path and the header must agree, and the path is not needed where the prefix has no parameter.
        let as_other = w.http.get(format!("{}/notes/{id}", w.registry.url())).bearer_auth(&owner);
        refused(&w.send(as_other.header("x-workspace-id", &other)).await, 403, "Forbidden");
        refused(&w.get(&format!("/mcp/{id}"), Some(&owner)).await, 403, "Forbidden");
        // What the server answers is passed on.
        let teapot = w.get(&format!("/notes/{id}/teapot"), Some(&owner)).await;
        assert_eq!((teapot.status, teapot.header("x-served")), (418, Some("yes")));
        let (_, foreign) = w.spawned().await;
        refused(&notes(w, &id, Some(&foreign)).await, 403, "Forbidden");
    })
    .await;
}

#[tokio::test]
async fn the_gateway_refuses_as_api_gateway_does() {
    protecting(async |w| {
        let (id, owner) = w.spawned().await;
        let path = format!("{}/notes/{id}", w.registry.url());
        let asked = async |request: reqwest::RequestBuilder| {
            w.proxy.take_seen();
            let reply = w.send(request).await;
            (reply, w.proxy.take_seen().len())
        };
        for request in [w.http.get(&path), w.http.get(&path).header("authorization", "")] {
            let (reply, requests) = asked(request).await;
            refused(&reply, 401, "Unauthorized");
            assert_eq!(requests, 0);
        }
        for malformed in ["x", "Bearer", "Basic eDp5", "Bearer wsr_mistyped", "Bearer a b"] {
            let (reply, requests) = asked(w.http.get(&path).header("authorization", malformed)).await;
            refused(&reply, 403, "Forbidden");
            assert_eq!(requests, 0, "{malformed}");
        }
        for (path, status, message) in [
            ("/notes", 404, "Not Found"),
            ("/notesx/a", 404, "Not Found"),
            ("/notes/%ff", 400, "Bad Request"),
            ("/notes/a%20b", 403, "Forbidden"),
        ] {
            refused(&w.get(path, Some(&owner)).await, status, message);
        }
        let large = w.http.post(&path).bearer_auth(&owner).body(vec![b'x'; 10 * 1024 * 1024 + 1]);
        refused(&w.send(large).await, 413, "Request Entity Too Large");
        let largest = w.http.post(&path).bearer_auth(&owner).body(vec![b'x'; 4 * 1024 * 1024]);
        assert_eq!(w.send(largest).await.status, 200);
    })
    .await;
    let unreachable = vec![ProtectedApi::parse("/notes/{id}=http://127.0.0.1:9").unwrap()];
    test_with(Setup { protected_apis: unreachable, ..Setup::default() }, async |w| {
        let (id, owner) = w.spawned().await;
        refused(&notes(w, &id, Some(&owner)).await, 503, "Service Unavailable");
    })
    .await;
}

#[tokio::test]
async fn g7_a_store_failure_is_neither_a_yes_nor_a_no() {
    protecting(async |w| {
        let (id, owner) = w.spawned().await;
        w.proxy.spoil_all("GetItem", Fault::Answer(500, "InternalServerError"));
        for token in [&owner, &w.chosen_token().0] {
            refused(&notes(w, &id, Some(token)).await, 500, "Internal Server Error");
            let event = authorizer_event(Some(&bearer(token)), json!({"id": id}), None);
            assert_eq!(w.invoke("authorize", event).await.unwrap_err()["errorType"], "StoreUnavailable");
        }
        w.proxy.heal();
        assert_eq!(notes(w, &id, Some(&owner)).await.status, 200);
        w.tamper(&id, |item| drop(item.remove("epoch"))).await;
        refused(&notes(w, &id, Some(&owner)).await, 500, "Internal Server Error");
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
