//! Payload format 2.0: turns an HTTP request into an event, and a function's answer into an HTTP response (see
//! [AWS's page](https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html)).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, SET_COOKIE, TRANSFER_ENCODING, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri, Version, request};
use http_body_util::Full;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;
use url::Url;
use url::form_urlencoded;
use uuid::Uuid;

use crate::functions::ACCOUNT_ID;
use crate::route::RawParameters;

/// `12/Mar/2020:19:03:58 +0000`.
const TIME: StaticFormatDescription =
    format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");

const API_ID: &str = "local";
const STAGE: &str = "$default";

/// A request, with what the gateway knows about it.
pub struct Received<'a> {
    /// The request without its body.
    pub parts: &'a request::Parts,
    /// The client's address.
    pub peer: SocketAddr,
    /// The registry's address.
    pub listening: SocketAddr,
    /// The key of the route that matched.
    pub route_key: &'a str,
    /// The path's parameters.
    pub parameters: RawParameters<'a>,
    /// The gateway's id of the request.
    pub request_id: &'a str,
}

/// The request is not well formed: no function gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRequest;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PayloadV2<'a> {
    #[serde(flatten)]
    request: Description<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    is_base64_encoded: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizerPayloadV2<'a> {
    r#type: &'static str,
    route_arn: String,
    identity_source: Vec<String>,
    #[serde(flatten)]
    request: Description<'a>,
}

/// What both payloads say about a request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Description<'a> {
    version: &'static str,
    route_key: &'a str,
    raw_path: String,
    raw_query_string: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    headers: BTreeMap<&'a str, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    query_string_parameters: BTreeMap<String, String>,
    request_context: RequestContext<'a>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    path_parameters: BTreeMap<&'a str, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RequestContext<'a> {
    account_id: &'static str,
    api_id: &'static str,
    domain_name: String,
    domain_prefix: String,
    http: HttpDescription<'a>,
    request_id: &'a str,
    route_key: &'a str,
    stage: &'static str,
    time: String,
    time_epoch: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HttpDescription<'a> {
    method: &'a str,
    path: String,
    protocol: &'static str,
    source_ip: String,
    user_agent: String,
}

/// The function's event, as JSON text.
///
/// # Errors
/// [`BadRequest`] if the host, the path or a parameter is not well formed.
pub fn event(received: &Received<'_>, body: &[u8]) -> Result<Vec<u8>, BadRequest> {
    let (body, is_base64_encoded) = encode_body(&received.parts.headers, body);
    let event = PayloadV2 { request: describe(received)?, body, is_base64_encoded };
    serde_json::to_vec(&event).map_err(|_| BadRequest)
}

/// The event with which API Gateway asks a Lambda authorizer about a request, as JSON text.
///
/// # Errors
/// Those of [`event`].
pub fn authorizer_event(received: &Received<'_>) -> Result<Vec<u8>, BadRequest> {
    let request = describe(received)?;
    let (method, path) = (received.parts.method.as_str(), received.parts.uri.path());
    let identity_source = request.headers.get(AUTHORIZATION.as_str()).cloned();
    let event = AuthorizerPayloadV2 {
        r#type: "REQUEST",
        route_arn: format!("arn:aws:execute-api:us-east-1:{ACCOUNT_ID}:{API_ID}/{STAGE}/{method}{path}"),
        identity_source: identity_source.into_iter().collect(),
        request,
    };
    serde_json::to_vec(&event).map_err(|_| BadRequest)
}

fn describe<'a>(received: &Received<'a>) -> Result<Description<'a>, BadRequest> {
    let Received { parts, peer, listening, route_key, request_id, .. } = *received;
    let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
    // API Gateway decodes the path for the function.
    let decoded_path = percent_decode_str(path).decode_utf8_lossy().into_owned();
    let domain = domain(&parts.headers, listening)?;
    if !is_readable(&domain, &decoded_path, query) {
        return Err(BadRequest);
    }
    let headers = headers(&parts.headers, &domain, peer, listening);
    let now = OffsetDateTime::now_utc();
    Ok(Description {
        version: "2.0",
        route_key,
        raw_path: decoded_path.clone(),
        raw_query_string: query,
        cookies: cookies(&parts.headers),
        query_string_parameters: query_parameters(query),
        request_context: RequestContext {
            account_id: ACCOUNT_ID,
            api_id: API_ID,
            domain_prefix: domain.split('.').next().unwrap_or_default().to_owned(),
            domain_name: domain,
            http: HttpDescription {
                method: parts.method.as_str(),
                path: decoded_path,
                protocol: protocol(parts.version),
                source_ip: peer.ip().to_canonical().to_string(),
                user_agent: headers.get(USER_AGENT.as_str()).cloned().unwrap_or_default(),
            },
            request_id,
            route_key,
            stage: STAGE,
            time: now.format(&TIME).unwrap_or_default(),
            time_epoch: i64::try_from(now.unix_timestamp_nanos() / 1_000_000).unwrap_or_default(),
        },
        path_parameters: path_parameters(&received.parameters)?,
        headers,
    })
}

/// The request's host. Stricter than HTTP, because a function may show it in a shell command.
fn domain(headers: &HeaderMap, listening: SocketAddr) -> Result<String, BadRequest> {
    let mut hosts = headers.get_all(HOST).iter();
    let Some(host) = hosts.next() else { return Ok(listening.to_string()) };
    let host = host.to_str().ok().filter(|_| hosts.next().is_none()).ok_or(BadRequest)?;
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    let is_address = name
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok());
    let is_name = (1..=253).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let has_good_port = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port != 0));
    if (is_address || is_name) && has_good_port { Ok(host.to_owned()) } else { Err(BadRequest) }
}

/// Whether `lambda_http` can make a request of the event. It does the same two operations, and panics where they fail.
fn is_readable(domain: &str, decoded_path: &str, query: &str) -> bool {
    let Ok(url) = Url::parse(&format!("http://{domain}{decoded_path}")) else { return false };
    let query = if query.is_empty() { String::new() } else { format!("?{query}") };
    Uri::try_from(format!("{url}{query}")).is_ok()
}

/// The headers, with lower-case names and repeated values joined. The gateway's own headers replace the client's.
fn headers<'a>(
    received: &'a HeaderMap,
    domain: &str,
    peer: SocketAddr,
    listening: SocketAddr,
) -> BTreeMap<&'a str, String> {
    let mut headers = BTreeMap::new();
    for name in received.keys().filter(|name| **name != COOKIE) {
        let values: Vec<_> = received.get_all(name).iter().map(text).collect();
        headers.insert(name.as_str(), values.join(","));
    }
    let trace = Uuid::new_v4().simple().to_string();
    let (random, _) = trace.split_at(24);
    headers.insert("host", domain.to_owned());
    headers.insert(
        "x-amzn-trace-id",
        format!("Root=1-{:08x}-{random}", OffsetDateTime::now_utc().unix_timestamp()),
    );
    headers.insert("x-forwarded-for", peer.ip().to_canonical().to_string());
    headers.insert("x-forwarded-port", listening.port().to_string());
    headers.insert("x-forwarded-proto", "http".to_owned());
    headers
}

/// A header's value as UTF-8, or else as ISO-8859-1, which can read any bytes.
fn text(value: &HeaderValue) -> String {
    let bytes = value.as_bytes();
    std::str::from_utf8(bytes)
        .map_or_else(|_| bytes.iter().map(|byte| char::from(*byte)).collect(), str::to_owned)
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let lines: Vec<_> = headers.get_all(COOKIE).iter().map(text).collect();
    let cookies = lines.iter().flat_map(|line| line.split(';')).map(str::trim);
    cookies.filter(|cookie| !cookie.is_empty()).map(str::to_owned).collect()
}

fn query_parameters(query: &str) -> BTreeMap<String, String> {
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let joined = parameters.entry(name.into_owned());
        joined.and_modify(|all| *all = format!("{all},{value}")).or_insert_with(|| value.into_owned());
    }
    parameters
}

fn path_parameters<'a>(raw: &RawParameters<'a>) -> Result<BTreeMap<&'a str, String>, BadRequest> {
    let decode = |(name, value): &(&'a str, &'a str)| {
        let value = percent_decode_str(value).decode_utf8().map_err(|_| BadRequest)?;
        Ok((*name, value.into_owned()))
    };
    raw.iter().map(decode).collect()
}

/// The event's body: text as it is, anything else in base64.
fn encode_body(headers: &HeaderMap, body: &[u8]) -> (Option<String>, bool) {
    if body.is_empty() {
        return (None, false);
    }
    let content_type = headers.get(CONTENT_TYPE).map(text);
    let text = std::str::from_utf8(body).ok().filter(|_| content_type.as_deref().is_none_or(is_text));
    text.map_or_else(|| (Some(BASE64.encode(body)), true), |text| (Some(text.to_owned()), false))
}

fn is_text(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type.starts_with("text/")
        || ["application/json", "application/xml", "application/javascript"].contains(&media_type.as_str())
        || ["+json", "+xml"].iter().any(|suffix| media_type.ends_with(suffix))
}

fn protocol(version: Version) -> &'static str {
    if version == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" }
}

/// A function's answer in payload format 2.0.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FunctionResponse {
    status_code: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    cookies: Vec<String>,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

/// The response for the client. `None` if the function's answer is not in payload format 2.0.
pub fn response(answer: &[u8]) -> Option<Response<Full<Bytes>>> {
    let answer: FunctionResponse = serde_json::from_slice(answer).ok()?;
    let status = StatusCode::from_u16(answer.status_code).ok().filter(|status| status.as_u16() >= 200)?;
    let body = answer.body.unwrap_or_default();
    let body = if answer.is_base64_encoded { BASE64.decode(body).ok()? } else { body.into_bytes() };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain;charset=utf-8"));
    for (name, value) in answer.headers {
        headers.insert(HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?);
    }
    for cookie in answer.cookies {
        headers.append(SET_COOKIE, HeaderValue::try_from(cookie).ok()?);
    }
    // The server sets these itself.
    headers.remove(CONTENT_LENGTH);
    headers.remove(TRANSFER_ENCODING);
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Route;
    use http::Request;
    use lambda_http::request::LambdaRequest;
    use lambda_http::{Body, RequestExt};
    use serde_json::{Value, json};

    fn event_of(request: request::Builder, body: &[u8]) -> Result<Vec<u8>, BadRequest> {
        let route = Route::parse("POST", "/things/{id}", "f").unwrap();
        let (parts, ()) = request.method("POST").body(()).unwrap().into_parts();
        let routes = crate::route::Routes::new([route.clone()]).unwrap();
        let (_, parameters) = routes.find(&parts.method, parts.uri.path()).unwrap();
        let received = Received {
            parts: &parts,
            peer: "192.0.2.7:4711".parse().unwrap(),
            listening: "127.0.0.1:9000".parse().unwrap(),
            route_key: &route.key(),
            parameters,
            request_id: "JKJaXmPLvHcESHA=",
        };
        event(&received, body)
    }

    fn json_of(request: request::Builder, body: &[u8]) -> Value {
        serde_json::from_slice(&event_of(request, body).expect("an event")).unwrap()
    }

    fn request_of(event: &[u8]) -> lambda_http::Request {
        serde_json::from_slice::<LambdaRequest>(event).expect("a LambdaRequest").into()
    }

    #[test]
    fn an_event_has_api_gateway_s_shape() {
        let request = Request::builder()
            .uri("/things/a%20b?x=1&y=%C3%A4+b&x=2")
            .header("Host", "registry.example.com:9000")
            .header("User-Agent", "curl/8")
            .header("Accept", "a/b")
            .header("Accept", "c/d")
            .header("Cookie", "k=1; l=2")
            .header("Content-Type", "application/json");
        let mut event = json_of(request, br#"{"a":1}"#);
        let context = event["requestContext"].as_object_mut().unwrap();
        assert!(context.remove("time").unwrap().as_str().unwrap().ends_with(" +0000"));
        assert!(context.remove("timeEpoch").unwrap().as_i64().unwrap() > 1_700_000_000_000);
        let trace = event["headers"].as_object_mut().unwrap().remove("x-amzn-trace-id").unwrap();
        assert_eq!(trace.as_str().unwrap().len(), "Root=1-5e6722a7-cc56xmpl46db7ae02d4da47e".len());
        let expected = json!({
            "version": "2.0",
            "routeKey": "POST /things/{id}",
            "rawPath": "/things/a b",
            "rawQueryString": "x=1&y=%C3%A4+b&x=2",
            "cookies": ["k=1", "l=2"],
            "headers": {
                "accept": "a/b,c/d",
                "content-type": "application/json",
                "host": "registry.example.com:9000",
                "user-agent": "curl/8",
                "x-forwarded-for": "192.0.2.7",
                "x-forwarded-port": "9000",
                "x-forwarded-proto": "http",
            },
            "queryStringParameters": {"x": "1,2", "y": "ä b"},
            "requestContext": {
                "accountId": "000000000000",
                "apiId": "local",
                "domainName": "registry.example.com:9000",
                "domainPrefix": "registry",
                "http": {
                    "method": "POST",
                    "path": "/things/a b",
                    "protocol": "HTTP/1.1",
                    "sourceIp": "192.0.2.7",
                    "userAgent": "curl/8",
                },
                "requestId": "JKJaXmPLvHcESHA=",
                "routeKey": "POST /things/{id}",
                "stage": "$default",
            },
            "pathParameters": {"id": "a b"},
            "body": "{\"a\":1}",
            "isBase64Encoded": false,
        });
        assert_eq!(event, expected);
    }

    /// As [AWS's page](https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html) has it.
    #[test]
    fn an_authorizer_s_event_has_api_gateway_s_shape() {
        let request =
            Request::builder().method("PUT").uri("/things/a%20b/c?x=1").header("Authorization", "Bearer t");
        let (parts, ()) = request.header("Cookie", "k=1").body(()).unwrap().into_parts();
        let event = authorizer_event(&Received {
            parts: &parts,
            peer: "192.0.2.7:4711".parse().unwrap(),
            listening: "127.0.0.1:9000".parse().unwrap(),
            route_key: "ANY /things/{id}/{proxy+}",
            parameters: vec![("id", "a%20b")],
            request_id: "JKJaXmPLvHcESHA=",
        });
        let mut event: Value = serde_json::from_slice(&event.expect("an event")).unwrap();
        assert_eq!(event["requestContext"].take()["http"]["method"], "PUT");
        assert_eq!(event["headers"].take()["authorization"], "Bearer t");
        let expected = json!({
            "version": "2.0",
            "type": "REQUEST",
            "routeArn": "arn:aws:execute-api:us-east-1:000000000000:local/$default/PUT/things/a%20b/c",
            "identitySource": ["Bearer t"],
            "routeKey": "ANY /things/{id}/{proxy+}",
            "rawPath": "/things/a b/c",
            "rawQueryString": "x=1",
            "cookies": ["k=1"],
            "headers": null,
            "queryStringParameters": {"x": "1"},
            "requestContext": null,
            "pathParameters": {"id": "a b"},
        });
        assert_eq!(event, expected);
    }

    #[test]
    fn lambda_http_reads_the_event() {
        let request = Request::builder()
            .uri("/things/a%2Fb?x=%22")
            .header("Cookie", "k=1")
            .header("X-Forwarded-Proto", "ftp://")
            .header("X-Latin", HeaderValue::from_bytes(b"caf\xe9").unwrap())
            .header("X-Utf8", HeaderValue::from_bytes("caf\u{e9}".as_bytes()).unwrap());
        let request = request_of(&event_of(request, b"hello").unwrap());
        assert_eq!(request.uri(), "http://127.0.0.1:9000/things/a/b?x=%22");
        assert_eq!(request.path_parameters().first("id"), Some("a/b"));
        assert_eq!(request.headers()["host"], "127.0.0.1:9000");
        assert_eq!(request.headers()["cookie"], "k=1");
        assert_eq!(request.headers()["x-forwarded-proto"], "http");
        assert_eq!(request.headers()["x-latin"], request.headers()["x-utf8"]);
        assert!(matches!(request.body(), Body::Text(text) if text == "hello"));
    }

    #[test]
    fn a_host_that_lambda_http_would_panic_on_is_refused() {
        let hosts = [
            "",
            "a b",
            "a/b",
            "a@b",
            "a:b",
            "a:0",
            "a:99999",
            "[::1",
            "[g]",
            "::1",
            "1.2.3.4.5",
            "$(x)",
            "a\"b",
            "a,b",
        ];
        for host in hosts {
            let request = Request::builder().uri("/things/a").header("Host", host);
            assert_eq!(event_of(request, b"").err(), Some(BadRequest), "{host}");
        }
        let two = Request::builder().uri("/things/a").header("Host", "a").header("Host", "b");
        assert_eq!(event_of(two, b"").err(), Some(BadRequest));
        for host in ["a", "a:1", "127.0.0.1:9000", "[::1]:9000", "[::1]", "a_b.example"] {
            let request = Request::builder().uri("/things/a").header("Host", host);
            let event = event_of(request, b"").expect(host);
            assert_eq!(request_of(&event).headers()["host"], host);
        }
    }

    #[test]
    fn lambda_http_reads_every_decoded_path() {
        for byte in 0..=u8::MAX {
            let (one, two) =
                (format!("/things/%{byte:02X}"), format!("/things/a%{byte:02X}b%C3%A4?x=%{byte:02X}"));
            for uri in [one, two] {
                if let Ok(event) = event_of(Request::builder().uri(&uri), b"") {
                    assert!(request_of(&event).path_parameters().first("id").is_some(), "{uri}");
                } else {
                    assert!(!byte.is_ascii(), "{uri}");
                }
            }
        }
        // What decodes to a replacement character grows, here beyond what a URI may be.
        assert!(!is_readable("a", &format!("/{}", "\u{fffd}".repeat(8_000)), ""));
        assert!(is_readable("a", &format!("/{}", "\u{fffd}".repeat(7_000)), ""));
    }

    #[test]
    fn a_parameter_that_is_not_utf_8_is_refused() {
        assert_eq!(event_of(Request::builder().uri("/things/%FF"), b"").err(), Some(BadRequest));
        assert_eq!(json_of(Request::builder().uri("/things/%00%25"), b"")["pathParameters"]["id"], "\0%");
    }

    #[test]
    fn a_body_is_text_if_its_type_says_so_and_it_is_utf_8() {
        let of = |content_type: Option<&str>, body: &[u8]| {
            let mut request = Request::builder().uri("/things/a");
            if let Some(content_type) = content_type {
                request = request.header("Content-Type", content_type);
            }
            let event = json_of(request, body);
            (event["body"].clone(), event["isBase64Encoded"].clone())
        };
        let (text, base64) = (|text| (json!(text), json!(false)), |text| (json!(text), json!(true)));
        assert_eq!(of(None, b""), (Value::Null, json!(false)));
        assert_eq!(of(None, b"a"), text("a"));
        assert_eq!(of(Some("Application/JSON; charset=utf-8"), b"a"), text("a"));
        assert_eq!(of(Some("application/problem+json"), b"a"), text("a"));
        assert_eq!(of(Some("text/plain"), b"\xff"), base64("/w=="));
        assert_eq!(of(Some("application/octet-stream"), b"a"), base64("YQ=="));
        assert_eq!(of(Some("application/x-www-form-urlencoded"), b"a"), base64("YQ=="));
    }

    #[test]
    fn an_answer_becomes_a_response() {
        let answer = json!({"statusCode": 201, "headers": {"x-a": "b", "content-length": "7"}, "cookies": ["c=1", "d=2"],
            "multiValueHeaders": {}, "isBase64Encoded": true, "body": "YQ=="});
        let response = response(answer.to_string().as_bytes()).unwrap();
        assert_eq!(response.status(), 201);
        assert_eq!(response.headers()["x-a"], "b");
        assert_eq!(response.headers().get_all(SET_COOKIE).iter().count(), 2);
        assert!(response.headers().get(CONTENT_LENGTH).is_none());
    }

    #[test]
    fn an_answer_in_another_format_is_no_response() {
        for answer in [
            "",
            "null",
            "{}",
            "[]",
            r#"{"statusCode":"200"}"#,
            r#"{"statusCode":99}"#,
            r#"{"statusCode":70000}"#,
            r#"{"statusCode":200,"headers":{"a b":"c"}}"#,
            r#"{"statusCode":200,"headers":{"a":"b\n"}}"#,
            r#"{"statusCode":200,"isBase64Encoded":true,"body":"*"}"#,
        ] {
            assert!(response(answer.as_bytes()).is_none(), "{answer}");
        }
    }
}
