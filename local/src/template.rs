//! What the local registry takes from `template.yaml`: the functions with their routes, time limits and environment
//! variables, and the table. It is built into the program, so what runs here and what is deployed cannot drift apart.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use yaml_serde::Value;

use crate::route::Route;

const TEMPLATE: &str = include_str!("../../template.yaml");

/// Lambda's own, for a function whose time limit is said nowhere.
const DEFAULT_TIMEOUT: u64 = 3;

/// The template, read.
#[derive(Debug)]
pub struct Template {
    /// The functions.
    pub functions: Vec<FunctionDefinition>,
    /// The table.
    pub table: TableDefinition,
    table_resource: String,
    parameter_defaults: BTreeMap<String, Option<String>>,
}

/// One `AWS::Serverless::Function`.
#[derive(Debug)]
pub struct FunctionDefinition {
    /// The name of its crate and executable.
    pub name: String,
    /// How long an invocation may take.
    pub timeout: Duration,
    /// The routes that lead to it.
    pub routes: Vec<Route>,
    variables: BTreeMap<String, Variable>,
}

/// What an environment variable is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Variable {
    Text(String),
    /// The value of a parameter, or the name of the table.
    Ref(String),
}

/// The `AWS::DynamoDB::Table`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct TableDefinition {
    /// The attributes that the keys are made of.
    pub attribute_definitions: Vec<AttributeDefinition>,
    /// The key.
    pub key_schema: Vec<KeyElement>,
    /// How its use is paid for.
    pub billing_mode: String,
    /// Other keys by which items are found.
    #[serde(default)]
    pub global_secondary_indexes: Vec<IndexDefinition>,
}

/// A global secondary index.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct IndexDefinition {
    /// Its name.
    pub index_name: String,
    /// Its key.
    pub key_schema: Vec<KeyElement>,
    /// What it holds besides the keys.
    pub projection: Projection,
}

/// What an index holds.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Projection {
    /// `KEYS_ONLY` or `ALL`.
    pub projection_type: String,
}

/// An attribute's name and type.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttributeDefinition {
    /// Its name.
    pub attribute_name: String,
    /// `S`, `N` or `B`.
    pub attribute_type: String,
}

/// An attribute's part in the key.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyElement {
    /// Its name.
    pub attribute_name: String,
    /// `HASH` or `RANGE`.
    pub key_type: String,
}

/// The template says something that the local registry does not understand.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// It is not YAML, or a part that is needed is missing or has another form.
    #[error("template.yaml: {place}: {source}.")]
    Form {
        /// The resource, or the whole.
        place: String,
        /// What is wrong there.
        source: yaml_serde::Error,
    },
    /// There is no table, or more than one.
    #[error("template.yaml must have one AWS::DynamoDB::Table, and has {0}.")]
    Tables(usize),
    /// A route that the gateway does not know how to serve.
    #[error("template.yaml: {function}: the gateway does not know the route `{method} {path}`.")]
    Route {
        /// The function.
        function: String,
        /// As written.
        method: String,
        /// As written.
        path: String,
    },
    /// Another payload format than the one that the gateway speaks.
    #[error("template.yaml: {function}: the gateway knows PayloadFormatVersion \"2.0\" only.")]
    PayloadFormat {
        /// The function.
        function: String,
    },
    /// A variable that is neither a string nor a `!Ref`.
    #[error(
        "template.yaml: {function}: {variable} must be a string, or a !Ref of a parameter or of the table."
    )]
    Variable {
        /// The function.
        function: String,
        /// The variable.
        variable: String,
    },
    /// A `!Ref` of something that is neither a parameter nor the table.
    #[error("template.yaml: {function}: {variable} refers to `{target}`, neither a parameter nor the table.")]
    UnknownRef {
        /// The function.
        function: String,
        /// The variable.
        variable: String,
        /// What it refers to.
        target: String,
    },
    /// A parameter without default was given no value.
    #[error("template.yaml: the parameter `{0}` has no default and was given no value.")]
    NoValue(String),
    /// A function that there is no crate for.
    #[error("template.yaml: the local registry knows no function `{0}`.")]
    UnknownFunction(String),
    /// A crate that is not deployed.
    #[error("template.yaml: the function `{0}` is missing.")]
    MissingFunction(&'static str),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    #[serde(default)]
    parameters: BTreeMap<String, Parameter>,
    #[serde(default)]
    globals: Globals,
    resources: BTreeMap<String, Resource>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    default: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Globals {
    #[serde(default)]
    function: FunctionProperties,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Resource {
    r#type: String,
    #[serde(default)]
    metadata: Value,
    #[serde(default)]
    properties: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    build_properties: BuildProperties,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BuildProperties {
    binary: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct FunctionProperties {
    timeout: Option<u64>,
    environment: Environment,
    events: BTreeMap<String, EventSource>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Environment {
    variables: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EventSource {
    r#type: String,
    #[serde(default)]
    properties: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HttpApiEvent {
    method: String,
    path: String,
    payload_format_version: Option<String>,
}

impl Template {
    /// The template that this program was built with.
    ///
    /// # Errors
    /// [`TemplateError`] when it holds what is not understood here.
    pub fn embedded() -> Result<Self, TemplateError> {
        Self::parse(TEMPLATE)
    }

    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError`] when it holds what is not understood here.
    fn parse(text: &str) -> Result<Self, TemplateError> {
        let document: Document = yaml_serde::from_str(text)
            .map_err(|source| TemplateError::Form { place: "the document".to_owned(), source })?;
        let globals = document.globals.function;
        let (mut functions, mut tables) = (Vec::new(), Vec::new());
        for (id, resource) in document.resources {
            match resource.r#type.as_str() {
                "AWS::Serverless::Function" => functions.push(read_function(&id, resource, &globals)?),
                "AWS::DynamoDB::Table" => {
                    let table: TableDefinition = read(&id, resource.properties)?;
                    tables.push((id, table));
                }
                _ => {}
            }
        }
        let found = tables.len();
        let table = tables.pop().filter(|_| found == 1);
        let (table_resource, table) = table.ok_or(TemplateError::Tables(found))?;
        let default = |parameter: Parameter| parameter.default.as_ref().and_then(plain_text);
        let parameter_defaults =
            document.parameters.into_iter().map(|(name, parameter)| (name, default(parameter))).collect();
        Ok(Self { functions, table, table_resource, parameter_defaults })
    }

    /// A function's environment variables, with the parameters' values as given here, else their defaults.
    ///
    /// # Errors
    /// [`TemplateError`] when a variable refers to what has no value.
    pub fn environment(
        &self,
        function: &FunctionDefinition,
        parameters: &BTreeMap<&str, String>,
        table_name: &str,
    ) -> Result<BTreeMap<String, String>, TemplateError> {
        let resolve = |(name, variable): (&String, &Variable)| {
            let value = match variable {
                Variable::Text(text) => text.clone(),
                Variable::Ref(target) if *target == self.table_resource => table_name.to_owned(),
                Variable::Ref(target) => {
                    let default =
                        self.parameter_defaults.get(target).ok_or_else(|| TemplateError::UnknownRef {
                            function: function.name.clone(),
                            variable: name.clone(),
                            target: target.clone(),
                        })?;
                    let value = parameters.get(target.as_str()).or(default.as_ref());
                    value.ok_or_else(|| TemplateError::NoValue(target.clone()))?.clone()
                }
            };
            Ok((name.clone(), value))
        };
        function.variables.iter().map(resolve).collect()
    }
}

fn read_function(
    id: &str,
    resource: Resource,
    globals: &FunctionProperties,
) -> Result<FunctionDefinition, TemplateError> {
    let name = read::<Metadata>(id, resource.metadata)?.build_properties.binary;
    let properties: FunctionProperties = read(id, resource.properties)?;
    let mut variables = BTreeMap::new();
    for (variable, value) in globals.environment.variables.iter().chain(&properties.environment.variables) {
        let value = read_variable(value)
            .ok_or_else(|| TemplateError::Variable { function: name.clone(), variable: variable.clone() })?;
        variables.insert(variable.clone(), value);
    }
    let mut routes = Vec::new();
    for event in properties.events.into_values().filter(|event| event.r#type == "HttpApi") {
        routes.push(read_route(id, &name, event)?);
    }
    let timeout = properties.timeout.or(globals.timeout).unwrap_or(DEFAULT_TIMEOUT);
    Ok(FunctionDefinition { name, timeout: Duration::from_secs(timeout), routes, variables })
}

fn read_route(id: &str, function: &str, event: EventSource) -> Result<Route, TemplateError> {
    let HttpApiEvent { method, path, payload_format_version } = read(id, event.properties)?;
    // SAM's own default is 2.0 too.
    if payload_format_version.is_some_and(|version| version != "2.0") {
        return Err(TemplateError::PayloadFormat { function: function.to_owned() });
    }
    Route::parse(&method, &path, function).ok_or_else(|| TemplateError::Route {
        function: function.to_owned(),
        method,
        path,
    })
}

fn read_variable(value: &Value) -> Option<Variable> {
    if let Value::Tagged(tagged) = value {
        let target = tagged.value.as_str().filter(|_| tagged.tag == "Ref")?;
        return Some(Variable::Ref(target.to_owned()));
    }
    value.as_str().map(|text| Variable::Text(text.to_owned()))
}

/// A parameter's default, which CloudFormation takes as text whatever its type.
fn plain_text(value: &Value) -> Option<String> {
    let number = || value.as_i64().map(|number| number.to_string());
    value.as_str().map(str::to_owned).or_else(number)
}

fn read<T: DeserializeOwned>(place: &str, value: Value) -> Result<T, TemplateError> {
    yaml_serde::from_value(value).map_err(|source| TemplateError::Form { place: place.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use shared::table::item::BY_PARENT;

    use super::*;

    const SMALL: &str = r#"
Parameters:
  Secret: {Type: String}
  Size: {Type: Number, Default: 7}
Globals:
  Function:
    Timeout: 9
    Environment: {Variables: {SHARED: everywhere, OWN: overridden}}
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      BillingMode: PAY_PER_REQUEST
  Ignored: {Type: AWS::Logs::LogGroup, Properties: {Name: !Sub "a-${B}"}}
  One:
    Type: AWS::Serverless::Function
    Metadata: {BuildProperties: {Binary: one}}
    Properties:
      Role: !GetAtt Role.Arn
      Environment: {Variables: {OWN: "mine", TABLE: !Ref Table, SECRET: !Ref Secret, SIZE: !Ref Size}}
      Events:
        Http: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: GET, Path: "/one/{id}"}}
        Other: {Type: Schedule, Properties: {Schedule: rate(1 day)}}
"#;

    fn error(from: &str, to: &str) -> String {
        assert!(SMALL.contains(from), "{from}");
        let parsed = Template::parse(&SMALL.replace(from, to));
        let resolved = parsed.and_then(|template| {
            template.environment(&template.functions[0], &BTreeMap::from([("Secret", "s".to_owned())]), "t")
        });
        resolved.expect_err(to).to_string()
    }

    #[test]
    fn a_function_s_routes_time_and_environment_are_read() {
        let template = Template::parse(SMALL).unwrap();
        let [one] = template.functions.as_slice() else { panic!("{:?}", template.functions) };
        assert_eq!(one.name, "one");
        assert_eq!(one.timeout, Duration::from_secs(9));
        assert_eq!(one.routes, [Route::parse("GET", "/one/{id}", "one").unwrap()]);
        let given = BTreeMap::from([("Secret", "hidden".to_owned())]);
        let environment = template.environment(one, &given, "the-table").unwrap();
        let expected = [
            ("OWN", "mine"),
            ("SECRET", "hidden"),
            ("SHARED", "everywhere"),
            ("SIZE", "7"),
            ("TABLE", "the-table"),
        ];
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(environment, expected);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        assert!(error("!Ref Secret", "!Sub '${Secret}'").contains("one: SECRET must be a string, or a !Ref"));
        assert!(error("!Ref Secret", "[a]").contains("one: SECRET must be a string, or a !Ref"));
        assert!(error("!Ref Secret", "!Ref Role").contains("SECRET refers to `Role`"));
        assert!(error("Default: 7", "Description: none").contains("`Size` has no default"));
        assert!(error("Method: GET", "Method: ANY").contains("`ANY /one/{id}`"));
        assert!(error("Method: GET", "PayloadFormatVersion: '1.0', Method: GET").contains("2.0"));
        assert!(error("{BuildProperties: {Binary: one}}", "{}").contains("One: missing field"));
        assert!(error("AWS::DynamoDB::Table", "AWS::DynamoDB::GlobalTable").contains("and has 0"));
    }

    #[test]
    fn the_project_s_template_is_understood() {
        let template = Template::embedded().unwrap();
        let routes: Vec<_> =
            template.functions.iter().flat_map(|function| &function.routes).map(Route::key).collect();
        for route in [
            "POST /workspaces",
            "POST /registry/register",
            "POST /admin/workspaces/{id}/revoke-auth-tokens",
            "POST /admin/workspaces/{id}/tokens",
            "GET /workspaces/{id}",
        ] {
            assert!(routes.iter().any(|found| found == route), "{route} is not among {routes:?}");
        }
        assert_eq!(template.table.key_schema.len(), 1);
        assert_eq!(template.table.key_schema[0].attribute_name, "workspace_id");
        assert_eq!(template.table.billing_mode, "PAY_PER_REQUEST");
        let indexes = template.table.global_secondary_indexes.iter();
        assert_eq!(indexes.map(|index| index.index_name.as_str()).collect::<Vec<_>>(), [BY_PARENT]);
    }
}
