//! `docs/api.md` says what the code does: its table of routes is the template's, its table of errors the code's.

use std::collections::BTreeSet;

use lambda_runtime::Diagnostic;
use local::template::Template;
use shared::api::error::{Audience, Error};

const PAGE: &str = include_str!("../../../docs/api.md");

/// The cells of the table with these columns.
fn table(columns: &str) -> Vec<Vec<String>> {
    let start = PAGE.find(columns).unwrap_or_else(|| panic!("no table {columns}"));
    let rows = PAGE.get(start..).unwrap().lines().skip(2).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    rows.map(cells).collect()
}

/// The code in a cell, for example of a link.
fn code(cell: &str) -> String {
    cell.split('`').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn the_page_names_every_route_and_its_function() {
    let documented: BTreeSet<_> = table("| route | function | caller | direct |")
        .iter()
        .map(|row| (code(&row[0]), code(&row[1])))
        .filter(|(route, _)| route.contains(' '))
        .collect();
    let functions = Template::embedded().unwrap().functions;
    let deployed: BTreeSet<_> = functions
        .iter()
        .flat_map(|function| function.routes.iter().map(|route| (route.key(), function.name.clone())))
        .collect();
    assert_eq!(documented, deployed);
}

/// One of each. The compiler does not ask for a new variant here, but every one has a code, and the page lists the codes that
/// the end-to-end tests see.
fn errors() -> Vec<Error> {
    let cause = String::new;
    vec![
        Error::InvalidJson(""),
        Error::invalid("field", "message"),
        Error::MissingToken,
        Error::InvalidToken,
        Error::InsufficientScope,
        Error::OperatorOnly,
        Error::WorkspaceNotFound,
        Error::WorkspaceExists,
        Error::HashInUse,
        Error::TokenLimitReached,
        Error::EpochChanged,
        Error::OperationIdReused,
        Error::HandOverPending,
        Error::WorkspaceRemoved,
        Error::StateOfRemoved,
        Error::PayloadTooLarge(""),
        Error::Contended,
        Error::StoreUnavailable { cause: cause() },
        Error::Internal { cause: cause() },
    ]
}

#[test]
fn the_page_lists_every_error_with_its_status() {
    let documented: BTreeSet<_> = table("| code | status | routes | `errorType` | meaning |")
        .iter()
        .map(|row| (code(&row[0]), row[1].parse::<u16>().unwrap()))
        .collect();
    let mut known = BTreeSet::new();
    for error in errors() {
        for audience in [Audience::Agents, Audience::Operators] {
            let http = error.http(audience);
            known.insert((http.code.to_owned(), http.status.as_u16()));
        }
    }
    assert_eq!(documented, known);
}

#[test]
fn the_page_lists_the_error_types_of_direct_invocations() {
    let known: BTreeSet<_> = errors()
        .into_iter()
        .map(|error| (error.http(Audience::Operators).code, Diagnostic::from(error).error_type))
        .collect();
    for row in table("| code | status | routes | `errorType` | meaning |") {
        let (name, error_type) = (code(&row[0]), code(&row[3]));
        // Empty where no direct call can get the error.
        assert!(
            error_type.is_empty() || known.iter().any(|(code, of)| *code == name && *of == error_type),
            "{name}: {error_type}"
        );
    }
}
