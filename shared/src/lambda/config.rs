//! Configuration: environment variables, read once at start. Each function reads only the ones it needs.

use domain::agent_url::AgentUrlPolicy;
use domain::tree::Roots;
use url::Url;

use crate::api::admin::AdminAuth;

/// Names the table.
pub const TABLE_NAME: &str = "TABLE_NAME";
/// The SHA-256 of the admin token, or of two, separated by a comma.
pub const ADMIN_TOKEN_SHA256: &str = "ADMIN_TOKEN_SHA256";
/// Where an agent's URL may point.
pub const AGENT_URL_POLICY: &str = "AGENT_URL_POLICY";
/// The registry's own address in answers, when it has a custom domain.
pub const PLATFORM_URL: &str = "PLATFORM_URL";
/// How long after it was last seen an agent is offline, in seconds.
pub const OFFLINE_AFTER_SECONDS: &str = "OFFLINE_AFTER_SECONDS";
/// Whether roots see each other: `true` or `false`.
pub const ROOTS_ARE_PEERS: &str = "ROOTS_ARE_PEERS";

/// A source of variables: the process's environment, or a map.
pub struct Env<'a>(Box<LookUp<'a>>);

type LookUp<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// A variable is missing or has a wrong value. The message is one line that names the variable and says what it must be,
/// without the value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} is {found}: {expected}")]
pub struct ConfigError {
    variable: &'static str,
    found: &'static str,
    expected: &'static str,
}

impl<'a> Env<'a> {
    /// The process's environment.
    pub fn of_the_process() -> Self {
        #[allow(clippy::disallowed_methods, reason = "this is the one place")]
        Self(Box::new(|name| std::env::var(name).ok()))
    }

    /// Variables from another source.
    pub fn from_fn(look_up: impl Fn(&str) -> Option<String> + 'a) -> Self {
        Self(Box::new(look_up))
    }

    /// A variable's value; `None` if it is not set or empty.
    pub fn get(&self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    /// [`TABLE_NAME`]: a name or an ARN. Checks only the alphabet and the length; DynamoDB checks the rest.
    ///
    /// # Errors
    /// [`ConfigError`] when it is missing or cannot be a table's name.
    pub fn table_name(&self) -> Result<String, ConfigError> {
        let expected = "it must name the DynamoDB table";
        let fits = |name: &str| {
            (3..=1_024).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-:/".contains(&byte))
        };
        self.required(TABLE_NAME, expected, |name| fits(name).then(|| name.to_owned()))
    }

    /// [`ADMIN_TOKEN_SHA256`].
    ///
    /// # Errors
    /// [`ConfigError`] when it is missing or anything but one or two SHA-256 digests: without it, the function could not
    /// recognise the operator.
    pub fn admin_auth(&self) -> Result<AdminAuth, ConfigError> {
        let expected =
            "it must be the SHA-256 of the admin token as 64 hex digits, or two of them separated by a comma";
        self.required(ADMIN_TOKEN_SHA256, expected, AdminAuth::parse)
    }

    /// [`AGENT_URL_POLICY`], by default `public`.
    ///
    /// # Errors
    /// [`ConfigError`] when it is none of the policies.
    pub fn agent_url_policy(&self) -> Result<AgentUrlPolicy, ConfigError> {
        let expected = "it must be `public`, `private` or `any`";
        let policy = self.optional(AGENT_URL_POLICY, expected, AgentUrlPolicy::parse)?;
        Ok(policy.unwrap_or(AgentUrlPolicy::Public))
    }

    /// [`PLATFORM_URL`] without a trailing slash; `None` if it is not set.
    ///
    /// # Errors
    /// [`ConfigError`] when it is not an absolute http(s) URL of a host and a path.
    pub fn platform_url(&self) -> Result<Option<String>, ConfigError> {
        let expected = "it must be an absolute http(s) URL without credentials, query or fragment";
        self.optional(PLATFORM_URL, expected, |text| {
            // Answers show it inside a shell command, in double quotes.
            let is_plain =
                text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/[]%".contains(&byte));
            let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
            (is_plain && url.has_host()).then(|| text.trim_end_matches('/').to_owned())
        })
    }

    /// [`OFFLINE_AFTER_SECONDS`], by default 90.
    ///
    /// # Errors
    /// [`ConfigError`] when it is not a positive number of seconds.
    pub fn offline_after_seconds(&self) -> Result<u32, ConfigError> {
        let expected = "it must be a number of seconds, at least 1";
        let seconds = self.optional(OFFLINE_AFTER_SECONDS, expected, |text| {
            text.parse().ok().filter(|seconds| *seconds > 0)
        })?;
        Ok(seconds.unwrap_or(90))
    }

    /// [`ROOTS_ARE_PEERS`], by default `false`.
    ///
    /// # Errors
    /// [`ConfigError`] when it is neither `true` nor `false`.
    pub fn roots(&self) -> Result<Roots, ConfigError> {
        let roots = self.optional(ROOTS_ARE_PEERS, "it must be `true` or `false`", |text| match text {
            "true" => Some(Roots::Peers),
            "false" => Some(Roots::Strangers),
            _ => None,
        })?;
        Ok(roots.unwrap_or(Roots::Strangers))
    }

    /// A variable that Lambda itself sets.
    ///
    /// # Errors
    /// [`ConfigError`] when it is missing.
    pub(crate) fn aws(&self, variable: &'static str) -> Result<String, ConfigError> {
        self.required(variable, "Lambda sets it, elsewhere it must be set", |value| Some(value.to_owned()))
    }

    fn required<T>(
        &self,
        variable: &'static str,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        let value = self.optional(variable, expected, parse)?;
        value.ok_or(ConfigError { variable, found: "not set", expected })
    }

    fn optional<T>(
        &self,
        variable: &'static str,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.get(variable) else { return Ok(None) };
        parse(&value).map(Some).ok_or(ConfigError { variable, found: "not valid", expected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(value: &'static str) -> Env<'static> {
        Env::from_fn(move |_| Some(value.to_owned()))
    }

    #[test]
    fn each_error_names_its_variable_and_not_its_value() {
        let errors = [
            (TABLE_NAME, with("a table").table_name().err()),
            (ADMIN_TOKEN_SHA256, with("hunter2").admin_auth().err()),
            (AGENT_URL_POLICY, with("Public").agent_url_policy().err()),
            (PLATFORM_URL, with("https://a\"; rm -rf /").platform_url().err()),
            (OFFLINE_AFTER_SECONDS, with("0").offline_after_seconds().err()),
            (ROOTS_ARE_PEERS, with("yes").roots().err()),
        ];
        for (variable, error) in errors {
            let line = error.expect(variable).to_string();
            assert!(line.starts_with(&format!("{variable} is not valid: it must ")), "{line}");
            assert_eq!(line.lines().count(), 1);
            assert!(!line.contains("hunter2") && !line.contains("rm -rf"), "{line}");
        }
    }

    #[test]
    fn what_is_missing_has_a_default_or_is_named() {
        for env in [Env::from_fn(|_| None), with("")] {
            assert!(env.table_name().unwrap_err().to_string().starts_with("TABLE_NAME is not set: "));
            assert!(env.admin_auth().unwrap_err().to_string().starts_with("ADMIN_TOKEN_SHA256 is not set: "));
            assert_eq!(env.agent_url_policy(), Ok(AgentUrlPolicy::Public));
            assert_eq!(env.platform_url(), Ok(None));
            assert_eq!(env.offline_after_seconds(), Ok(90));
            assert_eq!(env.roots(), Ok(Roots::Strangers));
        }
    }

    #[test]
    fn a_platform_url_is_plain() {
        let parsed = |text| with(text).platform_url();
        assert_eq!(
            parsed("https://registry.example.com/"),
            Ok(Some("https://registry.example.com".to_owned()))
        );
        assert_eq!(parsed("http://[::1]:9000/v1"), Ok(Some("http://[::1]:9000/v1".to_owned())));
        for text in
            ["registry.example.com", "ftp://a", "https://u:p@a", "https://a?b", "https://a#b", "https://"]
        {
            assert!(parsed(text).is_err(), "{text}");
        }
    }
}
