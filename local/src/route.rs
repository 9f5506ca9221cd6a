//! The routes of the HTTP API, such as `GET /workspaces/{id}`, and the choice among them.

use std::collections::HashMap;

use http::Method;
use matchit::{InsertError, Router};

/// A method and a path, and the function that they lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    method: Method,
    path: String,
    function: String,
}

/// All routes of the gateway.
#[derive(Debug, Default)]
pub(crate) struct Routes(HashMap<Method, Router<Route>>);

/// A path's parameters by name, still percent-encoded.
pub(crate) type RawParameters<'a> = Vec<(&'a str, &'a str)>;

/// Two routes match the same requests, and neither is more specific.
#[derive(Debug, thiserror::Error)]
#[error("template.yaml: the route `{key}` is ambiguous: {source}.")]
pub struct AmbiguousRoute {
    key: String,
    source: InsertError,
}

impl Route {
    /// A route as the template has it. `None` for what this gateway does not support: other methods, `ANY`, greedy
    /// parameters and parameters that are part of a segment.
    pub(crate) fn parse(method: &str, path: &str, function: &str) -> Option<Self> {
        let method = match method.to_ascii_uppercase().as_str() {
            "GET" => Method::GET,
            "POST" => Method::POST,
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            "DELETE" => Method::DELETE,
            _ => return None,
        };
        let is_supported = path.strip_prefix('/')?.split('/').all(is_literal_or_parameter);
        is_supported.then(|| Self { method, path: path.to_owned(), function: function.to_owned() })
    }

    /// The route key, as API Gateway writes it: `GET /workspaces/{id}`.
    pub fn key(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The path's first segment.
    pub(crate) fn first_segment(&self) -> &str {
        self.path.split('/').nth(1).unwrap_or_default()
    }

    /// The function's name.
    pub(crate) fn function(&self) -> &str {
        &self.function
    }
}

fn is_literal_or_parameter(segment: &str) -> bool {
    is_literal(segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(segment))
}

/// Whether a segment of a path stands for itself, in one way of writing it.
pub(crate) fn is_literal(segment: &str) -> bool {
    !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

impl Routes {
    /// Collects the routes. Their order does not matter.
    ///
    /// # Errors
    /// [`AmbiguousRoute`] when two routes match the same requests.
    pub(crate) fn new(routes: impl IntoIterator<Item = Route>) -> Result<Self, AmbiguousRoute> {
        let mut by_method: HashMap<Method, Router<Route>> = HashMap::new();
        for route in routes {
            let key = route.key();
            let router = by_method.entry(route.method.clone()).or_default();
            router.insert(route.path.clone(), route).map_err(|source| AmbiguousRoute { key, source })?;
        }
        Ok(Self(by_method))
    }

    /// The most specific route that matches: from left to right, a literal segment goes before a parameter.
    pub(crate) fn find<'a>(
        &'a self,
        method: &Method,
        path: &'a str,
    ) -> Option<(&'a Route, RawParameters<'a>)> {
        let found = self.0.get(method)?.at(path).ok()?;
        let parameters: RawParameters<'a> = found.params.iter().collect();
        // API Gateway's parameters have at least one character. matchit's may be empty except at the end of a path.
        let is_complete = parameters.iter().all(|(_, value)| !value.is_empty());
        is_complete.then_some((found.value, parameters))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(method: &str, path: &str, function: &str) -> Route {
        Route::parse(method, path, function).expect(path)
    }

    fn routes() -> Routes {
        let routes = [
            ("POST", "/workspaces", "create"),
            ("GET", "/workspaces/{id}", "get"),
            ("GET", "/workspaces/new", "form"),
            ("post", "/admin/workspaces/{id}/tokens", "mint"),
        ];
        Routes::new(routes.map(|(method, path, function)| route(method, path, function)))
            .expect("no conflict")
    }

    fn found<'a>(routes: &'a Routes, method: Method, path: &'a str) -> Option<(&'a str, RawParameters<'a>)> {
        routes.find(&method, path).map(|(route, parameters)| (route.function(), parameters))
    }

    #[test]
    fn method_and_path_lead_to_a_function() {
        let routes = routes();
        assert_eq!(found(&routes, Method::POST, "/workspaces"), Some(("create", vec![])));
        assert_eq!(found(&routes, Method::GET, "/workspaces/a%2Fb"), Some(("get", vec![("id", "a%2Fb")])));
        assert_eq!(found(&routes, Method::GET, "/workspaces/new"), Some(("form", vec![])));
        let minted = found(&routes, Method::POST, "/admin/workspaces/a/tokens");
        assert_eq!(minted, Some(("mint", vec![("id", "a")])));
    }

    #[test]
    fn a_literal_goes_before_a_parameter_from_left_to_right() {
        let discover = route("GET", "/registry/discover/{id}", "discover");
        let peers = route("GET", "/registry/{workspace}/peers", "peers");
        for routes in [[discover.clone(), peers.clone()], [peers, discover]] {
            let routes = Routes::new(routes).expect("no conflict");
            let find = |path| found(&routes, Method::GET, path);
            assert_eq!(find("/registry/discover/peers"), Some(("discover", vec![("id", "peers")])));
            assert_eq!(find("/registry/discover/a"), Some(("discover", vec![("id", "a")])));
            assert_eq!(find("/registry/a/peers"), Some(("peers", vec![("workspace", "a")])));
            assert_eq!(find("/registry/disc/peers"), Some(("peers", vec![("workspace", "disc")])));
            assert_eq!(find("/registry/discovery/peers"), Some(("peers", vec![("workspace", "discovery")])));
            assert_eq!(find("/registry/a/b"), None);
        }
    }

    #[test]
    fn routes_that_match_the_same_requests_are_refused() {
        let error = |one, two| Routes::new([route("GET", one, "a"), route("GET", two, "b")]).err().unwrap();
        assert!(
            error("/a/b", "/a/b")
                .to_string()
                .starts_with("template.yaml: the route `GET /a/b` is ambiguous: ")
        );
        assert!(error("/a/{b}", "/a/{c}").to_string().contains("`GET /a/{c}`"));
        assert!(Routes::new([route("GET", "/a/{b}", "a"), route("PUT", "/a/{c}", "b")]).is_ok());
    }

    #[test]
    fn nothing_else_does() {
        let routes = routes();
        for (method, path) in [
            (Method::GET, "/workspaces"),
            (Method::HEAD, "/workspaces/a"),
            (Method::GET, "/workspaces/"),
            (Method::POST, "/admin/workspaces//tokens"),
            (Method::GET, "/workspaces/a/"),
            (Method::GET, "/workspaces/a/b"),
            (Method::GET, "/"),
            (Method::GET, ""),
            (Method::OPTIONS, "*"),
            (Method::POST, "/Workspaces"),
            (Method::POST, "//workspaces"),
        ] {
            assert_eq!(found(&routes, method, path), None, "{path}");
        }
    }

    #[test]
    fn a_route_that_this_gateway_does_not_support_is_refused() {
        for (method, path) in [
            ("ANY", "/a"),
            ("GET", "a"),
            ("GET", "/{a+}"),
            ("GET", "/a-{b}"),
            ("GET", "/{a}{b}"),
            ("GET", "/{*a}"),
            ("GET", "/{{a}}"),
            ("GET", "/{}"),
            ("GET", "/a//b"),
            ("GET", "$default"),
        ] {
            assert_eq!(Route::parse(method, path, "f"), None, "{method} {path}");
        }
    }

    #[test]
    fn the_key_is_api_gateway_s() {
        assert_eq!(route("get", "/workspaces/{id}", "f").key(), "GET /workspaces/{id}");
    }
}
