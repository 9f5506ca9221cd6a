//! Other people's APIs behind this gateway, as an API with the Lambda authorizer `authorize` in front of it: a request whose path
//! has the prefix goes to a server on this machine once the function has said yes.
//!
//! The server gets to know the workspace and the token's id, never the token: what it does not have it cannot lose, log or use
//! elsewhere.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, request};
use http_body_util::Full;
use reqwest::redirect::Policy;
use serde::Deserialize;
use url::{Host, Url};

use crate::gateway::{GatewayError, MAX_BODY};
use crate::request_body;
use crate::route::{RawParameters, is_literal};

/// How long the server may take, as with API Gateway.
const TIMEOUT: Duration = Duration::from_secs(30);

const WORKSPACE_ID: HeaderName = HeaderName::from_static("x-workspace-id");
const TOKEN_ID: HeaderName = HeaderName::from_static("x-token-id");
/// For one connection only (RFC 9110, section 7.6.1), besides those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// A server whose API is protected, and the paths that lead to it: `/notes`, or `/notes/{workspace_id}` where the segment after
/// the prefix names the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectedApi {
    literals: Vec<String>,
    parameter: Option<String>,
    target: Url,
}

/// Why the text is not `PREFIX=URL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProtectedApi {
    /// The `=` is missing.
    #[error("it must be PREFIX=URL")]
    Form,
    /// The prefix is not a path of literal segments with at most one parameter at its end.
    #[error("the prefix must be like /notes or /notes/{{workspace_id}}")]
    Prefix,
    /// The URL is not that of a server on this machine.
    #[error(
        "the URL must be http://HOST:PORT without a path, where HOST is this machine: localhost or a loopback address"
    )]
    Url,
}

impl ProtectedApi {
    /// Reads `PREFIX=URL`.
    ///
    /// # Errors
    /// [`InvalidProtectedApi`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidProtectedApi> {
        let (prefix, url) = text.split_once('=').ok_or(InvalidProtectedApi::Form)?;
        let segments = prefix.strip_prefix('/').ok_or(InvalidProtectedApi::Prefix)?;
        let mut literals: Vec<_> = segments.split('/').map(str::to_owned).collect();
        let parameter = literals.pop_if(|last| ["{id}", "{workspace_id}"].contains(&last.as_str()));
        // Dots alone would be read as steps in the path.
        let is_fine = |segment: &String| is_literal(segment) && !segment.starts_with('.');
        if literals.is_empty() || !literals.iter().all(is_fine) {
            return Err(InvalidProtectedApi::Prefix);
        }
        let target = Url::parse(url).map_err(|_| InvalidProtectedApi::Url)?;
        let is_here = match target.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        let origin = format!("{}/", target.origin().ascii_serialization());
        if !is_here || target.scheme() != "http" || target.as_str() != origin {
            return Err(InvalidProtectedApi::Url);
        }
        let parameter = parameter.map(|name| name.trim_matches(['{', '}']).to_owned());
        Ok(Self { literals, parameter, target })
    }

    /// The prefix as it was given.
    pub(crate) fn prefix(&self) -> String {
        let parameter = self.parameter.iter().map(|name| format!("/{{{name}}}"));
        self.literals.iter().map(|literal| format!("/{literal}")).chain(parameter).collect()
    }

    /// The first segment, which no route of the registry's own may have.
    pub(crate) fn first_segment(&self) -> &str {
        self.literals.first().map(String::as_str).unwrap_or_default()
    }

    /// The server's address.
    pub(crate) fn target(&self) -> &str {
        self.target.as_str().trim_end_matches('/')
    }

    /// The path's parameters if it has this prefix. Segments are compared as they are: what is written in another way leads
    /// nowhere.
    fn parameters<'a>(&'a self, path: &'a str) -> Option<RawParameters<'a>> {
        let mut segments = path.strip_prefix('/')?.split('/');
        for literal in &self.literals {
            segments.next().filter(|segment| segment == literal)?;
        }
        match &self.parameter {
            Some(name) => Some(vec![(name, segments.next().filter(|segment| !segment.is_empty())?)]),
            None => Some(Vec::new()),
        }
    }
}

/// All protected APIs, and the client that forwards to them.
pub(crate) struct Protected {
    apis: Vec<ProtectedApi>,
    client: reqwest::Client,
}

/// What the function said.
#[derive(Deserialize)]
struct SimpleResponse {
    #[serde(rename = "isAuthorized")]
    is_authorized: bool,
    context: Option<Caller>,
}

/// Who calls, as the function said.
#[derive(Deserialize)]
pub(crate) struct Caller {
    workspace_id: String,
    token_id: String,
}

impl Protected {
    /// These APIs. Where several match, the longest prefix counts.
    pub(crate) fn new(mut apis: Vec<ProtectedApi>) -> Result<Self, reqwest::Error> {
        apis.sort_by_key(|api| std::cmp::Reverse((api.literals.len(), api.parameter.is_some())));
        let client = reqwest::Client::builder().no_proxy().redirect(Policy::none()).timeout(TIMEOUT);
        Ok(Self { apis, client: client.build()? })
    }

    /// The API that a path leads to, and the path's parameters.
    pub(crate) fn find<'a>(&'a self, path: &'a str) -> Option<(&'a ProtectedApi, RawParameters<'a>)> {
        self.apis.iter().find_map(|api| Some((api, api.parameters(path)?)))
    }

    /// Forwards a request that was authorized.
    ///
    /// # Errors
    /// [`GatewayError`] when the server cannot be reached, takes too long, or answers too much.
    pub(crate) async fn forward(
        &self,
        url: Url,
        parts: &request::Parts,
        caller: &Caller,
        body: Bytes,
    ) -> Result<Response<Full<Bytes>>, GatewayError> {
        let headers = request_headers(&parts.headers, caller).ok_or(GatewayError::FunctionFailed)?;
        let request = self.client.request(parts.method.clone(), url).headers(headers).body(body);
        let response = request.send().await.map_err(|error| {
            // The URL is the caller's, and may hold a secret.
            tracing::warn!(error = %error.without_url(), "the server behind the gateway does not answer");
            GatewayError::Unavailable
        })?;
        let (mut parts, body) = Response::from(response).into_parts();
        let body = request_body::read(body, MAX_BODY).await.map_err(|error| {
            tracing::warn!(?error, "the answer of the server behind the gateway cannot be read");
            GatewayError::Unavailable
        })?;
        remove_hop_by_hop(&mut parts.headers);
        parts.headers.remove(CONTENT_LENGTH);
        let mut answer = Response::new(Full::new(body));
        *answer.status_mut() = parts.status;
        *answer.headers_mut() = parts.headers;
        Ok(answer)
    }
}

/// The address at the server; `None` for a path that would be another one there, for example with `..` in it. The function has
/// decided on the path as it is.
pub(crate) fn url_at(api: &ProtectedApi, parts: &request::Parts) -> Option<Url> {
    let path = parts.uri.path();
    let mut url = api.target.clone();
    url.set_path(path);
    url.set_query(parts.uri.query());
    (url.path() == path).then_some(url)
}

/// Whether the request has what API Gateway is to ask the function about. Without it API Gateway does not ask.
pub(crate) fn has_identity_source(headers: &HeaderMap) -> bool {
    headers.get(AUTHORIZATION).is_some_and(|value| !value.is_empty())
}

/// Who calls, if the function said yes.
///
/// # Errors
/// [`GatewayError::Forbidden`] if it said no; [`GatewayError::FunctionFailed`] for anything else.
pub(crate) fn caller(answer: &[u8]) -> Result<Caller, GatewayError> {
    let answer: SimpleResponse = serde_json::from_slice(answer).map_err(|_| GatewayError::FunctionFailed)?;
    if !answer.is_authorized {
        return Err(GatewayError::Forbidden);
    }
    answer.context.ok_or(GatewayError::FunctionFailed)
}

/// The caller's headers as the server gets them, with the two that it may trust.
fn request_headers(received: &HeaderMap, caller: &Caller) -> Option<HeaderMap> {
    let mut headers = received.clone();
    remove_hop_by_hop(&mut headers);
    for name in [AUTHORIZATION, HOST, CONTENT_LENGTH, EXPECT] {
        headers.remove(name);
    }
    // Some servers take `_` and `-` in a header's name for the same.
    let is_ours = |name: &&HeaderName| {
        let name = name.as_str().replace('_', "-");
        [WORKSPACE_ID, TOKEN_ID].iter().any(|ours| ours.as_str() == name)
    };
    let forged: Vec<_> = headers.keys().filter(is_ours).cloned().collect();
    for name in forged {
        headers.remove(name);
    }
    headers.insert(WORKSPACE_ID, HeaderValue::from_str(&caller.workspace_id).ok()?);
    headers.insert(TOKEN_ID, HeaderValue::from_str(&caller.token_id).ok()?);
    Some(headers)
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<_> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse::<HeaderName>().ok())
        .collect();
    for name in named.into_iter().chain(HOP_BY_HOP) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn api(text: &str) -> ProtectedApi {
        ProtectedApi::parse(text).expect(text)
    }

    #[test]
    fn a_protected_api_is_a_prefix_and_a_server_on_this_machine() {
        for (text, prefix, target) in [
            ("/notes=http://127.0.0.1:8080", "/notes", "http://127.0.0.1:8080"),
            ("/notes/{workspace_id}=http://localhost:1/", "/notes/{workspace_id}", "http://localhost:1"),
            ("/a/b-c_d/{id}=http://[::1]:8080", "/a/b-c_d/{id}", "http://[::1]:8080"),
        ] {
            let api = api(text);
            assert_eq!((api.prefix().as_str(), api.target()), (prefix, target), "{text}");
        }
        let error = |text: &str| ProtectedApi::parse(text).err();
        assert_eq!(error("/notes"), Some(InvalidProtectedApi::Form));
        for prefix in [
            "",
            "/",
            "notes",
            "/notes/",
            "//notes",
            "/{id}",
            "/{id}/notes",
            "/notes/{other}",
            "/..",
            "/a/.",
            "/%6e",
        ] {
            let text = format!("{prefix}=http://127.0.0.1:8080");
            assert_eq!(error(&text), Some(InvalidProtectedApi::Prefix), "{prefix}");
        }
        for url in [
            "",
            "127.0.0.1:8080",
            "https://127.0.0.1:8080",
            "http://192.0.2.1:8080",
            "http://a.example",
            "http://127.0.0.1:8080/a",
            "http://127.0.0.1:8080?a",
            "http://u:p@127.0.0.1:8080",
        ] {
            assert_eq!(error(&format!("/notes={url}")), Some(InvalidProtectedApi::Url), "{url}");
        }
    }

    #[test]
    fn whole_segments_count_and_the_longest_prefix_wins() {
        let server = |port| format!("http://127.0.0.1:{port}");
        let apis = [("/a", 1), ("/a/{id}", 2), ("/a/b", 3)];
        let apis = apis.map(|(prefix, port)| api(&format!("{prefix}={}", server(port))));
        let protected = Protected::new(apis.into()).unwrap();
        let found = |path| {
            let (api, parameters) = protected.find(path)?;
            Some((api.target().to_owned(), parameters))
        };
        assert_eq!(found("/a"), Some((server(1), vec![])));
        assert_eq!(found("/a/"), Some((server(1), vec![])));
        assert_eq!(found("/a/c"), Some((server(2), vec![("id", "c")])));
        assert_eq!(found("/a/c%2F/d"), Some((server(2), vec![("id", "c%2F")])));
        assert_eq!(found("/a/b/c"), Some((server(3), vec![])));
        for path in ["/", "", "/ab", "/A", "/%61", "//a", "*"] {
            assert_eq!(found(path), None, "{path}");
        }
    }

    #[test]
    fn a_path_that_changes_on_the_way_is_refused() {
        let api = api("/a/{id}=http://127.0.0.1:1");
        let at = |uri: &str| {
            let (parts, ()) = Request::builder().uri(uri).body(()).unwrap().into_parts();
            url_at(&api, &parts).map(String::from)
        };
        assert_eq!(at("/a/w/x%20y//z?q=%2e#").as_deref(), Some("http://127.0.0.1:1/a/w/x%20y//z?q=%2e"));
        for uri in ["/a/w/../v", "/a/w/%2e%2E/v", "/a/w/.%2e/v", "/a/./w", "/a/w/%2e", "/a/w/.."] {
            assert_eq!(at(uri), None, "{uri}");
        }
    }

    #[test]
    fn the_server_gets_neither_the_bearer_nor_a_forged_name() {
        let mut received = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer secret"),
            ("host", "gateway"),
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("te", "trailers"),
            ("content-length", "9"),
            ("expect", "100-continue"),
            ("x-workspace-id", "forged"),
            ("x-workspace-id", "twice"),
            ("x_workspace_id", "forged"),
            ("x-token_id", "forged"),
            ("accept", "a/b"),
            ("cookie", "c=1"),
        ] {
            received.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        let caller = Caller { workspace_id: "w".to_owned(), token_id: "wsr_00000000".to_owned() };
        let headers = request_headers(&received, &caller).unwrap();
        let mut headers: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        headers.sort_unstable();
        let expected =
            [("accept", "a/b"), ("cookie", "c=1"), ("x-token-id", "wsr_00000000"), ("x-workspace-id", "w")];
        assert_eq!(headers, expected);
    }

    #[test]
    fn only_a_plain_yes_with_its_context_is_a_yes() {
        let yes = br#"{"isAuthorized":true,"context":{"workspace_id":"w","token_id":"t","epoch":1}}"#;
        assert_eq!(caller(yes).ok().map(|caller| caller.workspace_id).as_deref(), Some("w"));
        assert_eq!(caller(br#"{"isAuthorized":false}"#).err(), Some(GatewayError::Forbidden));
        for answer in [
            "",
            "null",
            "{}",
            r#"{"isAuthorized":"true"}"#,
            r#"{"isAuthorized":true}"#,
            r#"{"isAuthorized":true,"context":{"workspace_id":"w"}}"#,
        ] {
            assert_eq!(caller(answer.as_bytes()).err(), Some(GatewayError::FunctionFailed), "{answer}");
        }
    }
}
