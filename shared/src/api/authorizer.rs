//! What API Gateway asks a Lambda authorizer of an HTTP API (payload format 2.0).

use std::collections::BTreeMap;

use domain::authorization::{Denied, named_workspace};
use domain::id::WorkspaceId;
use domain::token::Bearer;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use crate::api::error::Error;
use crate::api::event::{bearer_of, log_workspace_id};

/// The path parameters that name a workspace.
const ID_PARAMETERS: [&str; 2] = ["id", "workspace_id"];
/// The header that names a workspace.
const ID_HEADER: HeaderName = HeaderName::from_static("x-workspace-id");

const NOT_AN_AUTHORIZER_REQUEST: Error =
    Error::InvalidJson("A payload with `routeArn` must be an authorizer request, payload format 2.0.");

/// API Gateway's payload: the part that an answer depends on. The library's type would fail on others, and so every caller would
/// get a 500 for what decides nothing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    version: String,
    headers: Option<BTreeMap<String, String>>,
    path_parameters: Option<BTreeMap<String, String>>,
}

/// A request to somebody's API, about which API Gateway asks.
pub struct AuthorizerRequest {
    /// Those that say who calls, and for which workspace.
    headers: HeaderMap,
    ids: Vec<String>,
}

impl AuthorizerRequest {
    /// Reads API Gateway's payload.
    ///
    /// # Errors
    /// [`Error::InvalidJson`] when it is of another format.
    pub(crate) fn parse(payload: &str) -> Result<Self, Error> {
        let Payload { version, headers, path_parameters } =
            serde_json::from_str(payload).map_err(|error| {
                // The error's own text may contain a value.
                let (line, column) = (error.line(), error.column());
                tracing::error!(line, column, "an authorizer request cannot be read");
                NOT_AN_AUTHORIZER_REQUEST
            })?;
        if version != "2.0" {
            return Err(NOT_AN_AUTHORIZER_REQUEST);
        }
        let mut of_interest = HeaderMap::new();
        for (name, value) in headers.unwrap_or_default() {
            let name = [AUTHORIZATION, ID_HEADER]
                .into_iter()
                .find(|known| name.eq_ignore_ascii_case(known.as_str()));
            if let Some(name) = name {
                // What no header can hold is neither a bearer nor an id, but it is not absent either.
                let value = HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static(""));
                of_interest.append(name, value);
            }
        }
        let mut parameters = path_parameters.unwrap_or_default();
        let ids = ID_PARAMETERS.iter().filter_map(|name| parameters.remove(*name)).collect();
        Ok(Self { headers: of_interest, ids })
    }

    /// The bearer token that the API's caller presented.
    ///
    /// # Errors
    /// [`Denied`] when there is none, or anything else in the `Authorization` header.
    pub fn bearer(&self) -> Result<Bearer, Denied> {
        bearer_of(&self.headers).map_err(|_| Denied::MalformedBearer)?.ok_or(Denied::NoBearer)
    }

    /// The workspace that the request is for.
    ///
    /// # Errors
    /// [`Denied`] unless the path's parameters and the header `X-Workspace-ID`, as far as they are there, all name the same one.
    pub fn workspace_id(&self) -> Result<WorkspaceId, Denied> {
        // A value that is no text is no id either.
        let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
        let in_headers: Vec<_> = self.headers.get_all(&ID_HEADER).iter().map(text).collect();
        let id = named_workspace(self.ids.iter().chain(&in_headers).map(String::as_str))?;
        log_workspace_id(&id);
        Ok(id)
    }
}
