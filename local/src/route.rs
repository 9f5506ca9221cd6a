//! One route of the HTTP API, such as `GET /workspaces/{id}`.

use http::Method;

/// A method and a path, and the function that they lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    method: Method,
    path: String,
    segments: Vec<Segment>,
    function: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Parameter(String),
}

/// The path's parameters by name, still percent-encoded.
pub(crate) type RawParameters<'a> = Vec<(&'a str, &'a str)>;

impl Route {
    /// A route as the template has it. `None` for what this gateway does not know: other methods, `ANY`, greedy
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
        let segments = path.strip_prefix('/')?.split('/').map(Segment::parse).collect::<Option<_>>()?;
        Some(Self { method, path: path.to_owned(), segments, function: function.to_owned() })
    }

    /// As API Gateway calls it: `GET /workspaces/{id}`.
    pub fn key(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The function's name.
    pub(crate) fn function(&self) -> &str {
        &self.function
    }

    /// The parameters, when this is the request's route. A parameter may be empty.
    fn parameters<'a>(&'a self, method: &Method, path: &'a str) -> Option<RawParameters<'a>> {
        let mut given = path.strip_prefix('/')?.split('/');
        let mut parameters = Vec::new();
        if *method != self.method {
            return None;
        }
        for segment in &self.segments {
            match (segment, given.next()?) {
                (Segment::Literal(literal), found) if literal == found => {}
                (Segment::Literal(_), _) => return None,
                (Segment::Parameter(name), found) => parameters.push((name.as_str(), found)),
            }
        }
        given.next().is_none().then_some(parameters)
    }
}

impl Segment {
    fn parse(text: &str) -> Option<Self> {
        let is_plain = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        match text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => is_plain(name).then(|| Self::Parameter(name.to_owned())),
            None => is_plain(text).then(|| Self::Literal(text.to_owned())),
        }
    }
}

/// The request's route: of two that fit, the one with fewer parameters.
pub(crate) fn find<'a>(
    routes: &'a [Route],
    method: &Method,
    path: &'a str,
) -> Option<(&'a Route, RawParameters<'a>)> {
    let fitting = routes.iter().filter_map(|route| Some((route, route.parameters(method, path)?)));
    fitting.min_by_key(|(_, parameters)| parameters.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes() -> Vec<Route> {
        [
            ("POST", "/workspaces", "create"),
            ("GET", "/workspaces/{id}", "get"),
            ("GET", "/workspaces/new", "form"),
            ("post", "/admin/workspaces/{id}/tokens", "mint"),
        ]
        .map(|(method, path, function)| Route::parse(method, path, function).expect(path))
        .to_vec()
    }

    fn found<'a>(routes: &'a [Route], method: Method, path: &'a str) -> Option<(&'a str, RawParameters<'a>)> {
        find(routes, &method, path).map(|(route, parameters)| (route.function(), parameters))
    }

    #[test]
    fn method_and_path_lead_to_a_function() {
        let routes = routes();
        assert_eq!(found(&routes, Method::POST, "/workspaces"), Some(("create", vec![])));
        assert_eq!(found(&routes, Method::GET, "/workspaces/a%2Fb"), Some(("get", vec![("id", "a%2Fb")])));
        assert_eq!(found(&routes, Method::GET, "/workspaces/new"), Some(("form", vec![])));
        assert_eq!(found(&routes, Method::GET, "/workspaces/"), Some(("get", vec![("id", "")])));
        let empty = found(&routes, Method::POST, "/admin/workspaces//tokens");
        assert_eq!(empty, Some(("mint", vec![("id", "")])));
    }

    #[test]
    fn nothing_else_does() {
        let routes = routes();
        for (method, path) in [
            (Method::GET, "/workspaces"),
            (Method::HEAD, "/workspaces/a"),
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
    fn a_route_that_this_gateway_does_not_know_is_refused() {
        for (method, path) in [
            ("ANY", "/a"),
            ("GET", "a"),
            ("GET", "/{a+}"),
            ("GET", "/a-{b}"),
            ("GET", "/a//b"),
            ("GET", "$default"),
        ] {
            assert_eq!(Route::parse(method, path, "f"), None, "{method} {path}");
        }
    }

    #[test]
    fn the_key_is_api_gateway_s() {
        assert_eq!(Route::parse("get", "/workspaces/{id}", "f").unwrap().key(), "GET /workspaces/{id}");
    }
}
