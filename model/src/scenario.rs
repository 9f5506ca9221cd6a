//! What is checked: who calls what, on which workspace, with how many tries and faults.

use aws_sdk_dynamodb::types::AttributeValue;
use shared::schema::{attribute, to_item};
use shared::workspace::{ApiToken, Epoch, Owner, OwnerHash, RegisteredBy, Status, Successor, Workspace};

use crate::flows::blank;
use crate::spec::{First, Op, Scope};
use crate::table::{ABSENT, ItemId, TABLE};
use crate::words::{Credential, Named, Place, Time, Token};

/// A scenario: its clients, each with its calls, and what may go wrong.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    /// What it is about.
    pub about: &'static str,
    pub items: Vec<ItemId>,
    pub clients: Vec<Client>,
    pub faults: u8,
    /// Whether early hand-overs expire at some moment.
    pub ticks: bool,
    /// The client that runs where the workspace is moved from.
    pub source: Option<usize>,
    /// The client that it is moved to.
    pub target: Option<usize>,
    /// Steps of clients that all succeed in some run.
    pub goal: Vec<(usize, u8)>,
}

#[derive(Clone, Debug)]
pub struct Client {
    pub name: &'static str,
    pub workspace: usize,
    /// The token that it has from the start.
    pub token: Option<Token>,
    /// The epoch that it was told before, from which the flip proof counts; 0: none.
    pub told: u64,
    pub steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub ask: Ask,
    /// How often it is tried before the client goes on.
    pub tries: u8,
}

#[derive(Clone, Copy, Debug)]
pub enum Ask {
    Register {
        who: Who,
        place: Place,
    },
    Op(Op),
    /// Read until the flip proof holds for this place, counted from the epoch that the client was told last.
    Prove(Place),
}

#[derive(Clone, Copy, Debug)]
pub enum Who {
    Nobody,
    Choosing(Token),
    Bearer(Credential),
    /// With the token that it was given, or none.
    WithWhatItHas,
}

fn client(name: &'static str, steps: Vec<Step>) -> Client {
    Client { name, workspace: 0, token: None, told: 0, steps }
}

fn register(who: Who, place: Place, tries: u8) -> Step {
    Step { ask: Ask::Register { who, place }, tries }
}

fn bearer(token: Token) -> Who {
    Who::Bearer(Credential::Token(token))
}

fn prove(place: Place) -> Step {
    Step { ask: Ask::Prove(place), tries: 1 }
}

fn op(op: Op, tries: u8) -> Step {
    Step { ask: Ask::Op(op), tries }
}

fn revoke(name: u16, scope: Scope, successor: Option<Token>, tries: u8) -> Step {
    op(Op::Revoke { scope, successor, name: Named(name), expected: None }, tries)
}

fn hand_over(name: u16, successor: Token, expected: Option<u64>, tries: u8) -> Step {
    op(Op::HandOver { successor, name: Named(name), expected }, tries)
}

fn cancel(name: u16, expected: Option<u64>, tries: u8) -> Step {
    op(Op::Cancel { name: Named(name), expected }, tries)
}

fn mint(chosen: Option<Token>, tries: u8) -> Step {
    op(Op::Mint { chosen }, tries)
}

/// A workspace with its door open, that has registered from the source's place.
fn open() -> Workspace {
    Workspace {
        status: Status::Online,
        url: Some(Place::SOURCE.url()),
        agent_card: Some(Place::SOURCE.card()),
        registered_at: Some("a time".to_owned()),
        registered_by: Some(RegisteredBy::Owner),
        ..blank(0)
    }
}

/// A workspace that this token owns.
fn owned_by(token: Token) -> Workspace {
    let hash = OwnerHash::Token(token.hash().clone());
    Workspace {
        owner: Some(Owner { hash, prefix: None, minted_at: "a time".to_owned(), epoch: Epoch::FIRST }),
        ..open()
    }
}

fn item(workspace: &Workspace) -> ItemId {
    TABLE.item(to_item(workspace))
}

fn scenario(
    name: &'static str,
    about: &'static str,
    workspace: &Workspace,
    clients: Vec<Client>,
) -> Scenario {
    Scenario {
        name,
        about,
        items: vec![item(workspace)],
        clients,
        faults: 2,
        ticks: false,
        source: None,
        target: None,
        goal: Vec::new(),
    }
}

/// All scenarios.
pub fn all() -> Vec<Scenario> {
    vec![
        revoke_and_bootstrap(),
        two_revokes(),
        chosen_tokens(),
        bootstrap(),
        hand_over_and_take_over(),
        cancelled(),
        handed_over_and_cancelled(),
        two_successors(),
        cut_off(),
        same_place(),
        created(),
        sealed(),
        removed(),
        somebody_elses_tokens(),
        full(),
    ]
}

pub fn named(name: &str) -> Scenario {
    all().into_iter().find(|scenario| scenario.name == name).expect("a scenario of that name")
}

impl Scenario {
    /// The same, with each call tried once more.
    pub fn with_more_tries(mut self) -> Self {
        for step in self.clients.iter_mut().flat_map(|client| &mut client.steps) {
            step.tries += u8::from(!matches!(step.ask, Ask::Prove(_)));
        }
        self
    }
}

/// The old way: the migrator revokes, the target bootstraps, the source keeps trying, and a second admin mints.
fn revoke_and_bootstrap() -> Scenario {
    let clients = vec![
        client(
            "source",
            vec![register(bearer(Token::SOURCE), Place::SOURCE, 1), register(Who::Nobody, Place::SOURCE, 1)],
        ),
        client("target", vec![register(Who::Nobody, Place::TARGET, 2)]),
        client("migrator", vec![revoke(0, Scope::All, None, 2), prove(Place::TARGET)]),
        client("admin", vec![mint(None, 1)]),
    ];
    Scenario {
        source: Some(0),
        target: Some(1),
        goal: vec![(1, 0), (2, 1)],
        ..scenario(
            "revoke",
            "a migrator revokes, the target bootstraps, the source keeps trying, another admin mints",
            &owned_by(Token::SOURCE),
            clients,
        )
    }
}

/// Two that revoke, one of them the owner alone, and an operator's token that lives through that.
fn two_revokes() -> Scenario {
    let token = ApiToken { prefix: None, minted_at: "a time".to_owned() };
    let shared =
        Workspace { api_tokens: [(Token::CALLER.hash().clone(), token)].into(), ..owned_by(Token::SOURCE) };
    let expecting = Op::Revoke { scope: Scope::Owner, successor: None, name: Named(0), expected: Some(1) };
    let clients = vec![
        client("target", vec![register(Who::Nobody, Place::TARGET, 2)]),
        client("caller", vec![register(bearer(Token::CALLER), Place::TARGET, 1)]),
        client("another", vec![register(Who::Nobody, Place::RIVAL, 1)]),
        client("migrator", vec![op(expecting, 2), prove(Place::TARGET)]),
        client("admin", vec![revoke(1, Scope::All, None, 1)]),
    ];
    Scenario {
        target: Some(0),
        goal: vec![(0, 0), (3, 1)],
        ..scenario(
            "two-revokes",
            "a migrator revokes the owner at the epoch it expects, an admin everything; an API token sends the awaited URL",
            &shared,
            clients,
        )
    }
}

/// Agents that choose their tokens themselves, so that they can repeat a claim; a source that tries its old hash.
fn chosen_tokens() -> Scenario {
    let clients = vec![
        client("source", vec![register(Who::Choosing(Token::SOURCE), Place::SOURCE, 1)]),
        client("target", vec![register(Who::Choosing(Token::TARGET), Place::TARGET, 2)]),
        client("another", vec![register(Who::Choosing(Token::TARGET), Place::RIVAL, 1)]),
        client("migrator", vec![revoke(0, Scope::All, None, 2), prove(Place::TARGET)]),
        client("admin", vec![revoke(1, Scope::Owner, None, 1), mint(Some(Token::SOURCE), 1)]),
    ];
    Scenario {
        source: Some(0),
        target: Some(1),
        goal: vec![(1, 0), (3, 1)],
        ..scenario(
            "chosen",
            "the same with tokens that the callers choose, and a source that comes back with its hash",
            &owned_by(Token::SOURCE),
            clients,
        )
    }
}

/// An open door and three that come at once.
fn bootstrap() -> Scenario {
    let clients = vec![
        client("first", vec![register(Who::Nobody, Place::SOURCE, 2)]),
        client("second", vec![register(Who::Nobody, Place::TARGET, 1)]),
        client("third", vec![register(Who::Choosing(Token::RIVAL), Place::RIVAL, 1)]),
        client("admin", vec![mint(None, 1)]),
        client("another admin", vec![revoke(0, Scope::All, None, 1)]),
    ];
    Scenario {
        goal: vec![(0, 0), (3, 0)],
        ..scenario(
            "bootstrap",
            "three agents bootstrap at once, one admin mints, one revokes",
            &open(),
            clients,
        )
    }
}

/// The new way: the successor is named first.
fn hand_over_and_take_over() -> Scenario {
    let clients = vec![
        client("source", vec![register(bearer(Token::SOURCE), Place::SOURCE, 1)]),
        client("target", vec![register(bearer(Token::TARGET), Place::TARGET, 2)]),
        client("migrator", vec![hand_over(0, Token::TARGET, None, 2), prove(Place::TARGET)]),
        client("admin", vec![revoke(1, Scope::Owner, None, 1)]),
    ];
    Scenario {
        ticks: true,
        source: Some(0),
        target: Some(1),
        goal: vec![(0, 0), (1, 0), (2, 1)],
        ..scenario(
            "hand-over",
            "a migrator hands over, the target takes over, the source keeps refreshing; the hand-over may expire",
            &owned_by(Token::SOURCE),
            clients,
        )
    }
}

/// A hand-over whose time is up.
fn cancelled() -> Scenario {
    let pending = Workspace {
        successor: Some(Successor { hash: Token::TARGET.hash().clone(), expires: Time::Early.expiry() }),
        epoch: Epoch(2),
        ..owned_by(Token::SOURCE)
    };
    let clients = vec![
        client("source", vec![register(bearer(Token::SOURCE), Place::SOURCE, 1)]),
        client("target", vec![register(bearer(Token::TARGET), Place::TARGET, 2)]),
        Client { told: 2, ..client("migrator", vec![cancel(0, None, 2), prove(Place::TARGET)]) },
        client("admin", vec![hand_over(1, Token::TARGET, None, 1)]),
    ];
    Scenario {
        ticks: true,
        source: Some(0),
        target: Some(1),
        goal: vec![(0, 0), (2, 0)],
        ..scenario(
            "cancel",
            "a migrator cancels a hand-over while its successor takes over; it may expire, or be made anew",
            &pending,
            clients,
        )
    }
}

/// A migrator that hands over, loses patience, cancels, and looks once more: the target has moved in, or the source stays.
fn handed_over_and_cancelled() -> Scenario {
    let clients = vec![
        client("source", vec![register(bearer(Token::SOURCE), Place::SOURCE, 1)]),
        client("target", vec![register(bearer(Token::TARGET), Place::TARGET, 2)]),
        client(
            "migrator",
            vec![
                hand_over(0, Token::TARGET, None, 1),
                cancel(1, Some(2), 1),
                cancel(1, None, 1),
                prove(Place::TARGET),
            ],
        ),
        client("admin", vec![mint(None, 1)]),
    ];
    Scenario {
        source: Some(0),
        target: Some(1),
        goal: vec![(0, 0), (1, 0), (2, 2), (2, 3)],
        ..scenario(
            "hand-over-and-cancel",
            "a migrator hands over, loses patience and cancels at its own epoch, then at any, while the target takes over",
            &owned_by(Token::SOURCE),
            clients,
        )
    }
}

/// Two migrators, two successors.
fn two_successors() -> Scenario {
    let clients = vec![
        client("source", vec![register(bearer(Token::SOURCE), Place::SOURCE, 1)]),
        client("target", vec![register(bearer(Token::TARGET), Place::TARGET, 2)]),
        client("rival", vec![register(bearer(Token::RIVAL), Place::RIVAL, 2)]),
        client("migrator", vec![hand_over(0, Token::TARGET, Some(1), 2), prove(Place::TARGET)]),
        client("another migrator", vec![hand_over(1, Token::RIVAL, None, 2)]),
    ];
    Scenario {
        source: Some(0),
        target: Some(1),
        goal: vec![(1, 0), (2, 0), (3, 1)],
        ..scenario(
            "two-successors",
            "two migrators name two successors, one at the epoch it expects",
            &owned_by(Token::SOURCE),
            clients,
        )
    }
}

/// A source that must be cut off at once.
fn cut_off() -> Scenario {
    let clients = vec![
        client(
            "source",
            vec![
                register(bearer(Token::SOURCE), Place::SOURCE, 1),
                register(Who::Nobody, Place::SOURCE, 1),
                register(Who::Choosing(Token::SOURCE), Place::SOURCE, 1),
            ],
        ),
        client("target", vec![register(bearer(Token::TARGET), Place::TARGET, 2)]),
        client("migrator", vec![revoke(0, Scope::All, Some(Token::TARGET), 2), prove(Place::TARGET)]),
        client("admin", vec![hand_over(1, Token::SOURCE, None, 1)]),
    ];
    Scenario {
        ticks: true,
        source: Some(0),
        target: Some(1),
        goal: vec![(1, 0), (2, 1)],
        ..scenario(
            "cut-off",
            "a migrator revokes and names the successor in one write; the source and an admin that would give it back",
            &owned_by(Token::SOURCE),
            clients,
        )
    }
}

/// A container that is replaced behind the same URL: the proof has nothing but the epoch to go by.
fn same_place() -> Scenario {
    let moved = Workspace {
        url: Some(Place::TARGET.url()),
        agent_card: Some(Place::TARGET.card()),
        ..owned_by(Token::SOURCE)
    };
    let clients = vec![
        client("source", vec![register(bearer(Token::SOURCE), Place::TARGET, 2)]),
        client("target", vec![register(bearer(Token::TARGET), Place::TARGET, 2)]),
        client("migrator", vec![hand_over(0, Token::TARGET, None, 2), prove(Place::TARGET)]),
        client("admin", vec![mint(None, 2)]),
    ];
    Scenario {
        source: Some(0),
        target: Some(1),
        goal: vec![(0, 0), (1, 0), (2, 1)],
        ..scenario(
            "same-place",
            "a hand-over to a container that is behind the source's own URL",
            &moved,
            clients,
        )
    }
}

/// A workspace comes into being.
fn created() -> Scenario {
    let clients = vec![
        client(
            "creator",
            vec![op(Op::Create(First::Made), 2), register(Who::WithWhatItHas, Place::SOURCE, 1)],
        ),
        client(
            "another creator",
            vec![
                op(Op::Create(First::Chosen(Token::TARGET)), 2),
                register(bearer(Token::TARGET), Place::TARGET, 1),
            ],
        ),
        client("a third", vec![op(Op::Create(First::None), 1)]),
        client("agent", vec![register(Who::Nobody, Place::RIVAL, 1)]),
        client("admin", vec![revoke(0, Scope::All, None, 2)]),
    ];
    Scenario {
        items: vec![ABSENT],
        goal: vec![(0, 0), (0, 1)],
        ..scenario(
            "create",
            "three creates of one id, a revoke of what may not be there yet",
            &open(),
            clients,
        )
    }
}

/// No token could be made.
fn sealed() -> Scenario {
    let owner =
        Owner { hash: OwnerHash::Sealed, prefix: None, minted_at: "a time".to_owned(), epoch: Epoch::FIRST };
    let sealed = Workspace { owner: Some(owner), ..blank(0) };
    let clients = vec![
        client("source", vec![register(Who::Nobody, Place::SOURCE, 2)]),
        client("target", vec![register(Who::Choosing(Token::TARGET), Place::TARGET, 1)]),
        client("caller", vec![register(bearer(Token::CALLER), Place::CALLER, 1)]),
        client("admin", vec![mint(Some(Token::CALLER), 2)]),
        client("another admin", vec![revoke(0, Scope::All, None, 1)]),
    ];
    Scenario {
        goal: vec![(2, 0), (0, 0)],
        ..scenario("sealed", "a sealed door: a minted token may refresh, a revoke opens it", &sealed, clients)
    }
}

/// Gone for good, with an owner's hash left behind in the item.
fn removed() -> Scenario {
    let mut tombstone = to_item(&owned_by(Token::SOURCE));
    tombstone.insert(attribute::STATUS.to_owned(), AttributeValue::S(Status::Removed.as_str().to_owned()));
    let clients = vec![
        client("source", vec![register(bearer(Token::SOURCE), Place::SOURCE, 2)]),
        client("target", vec![register(Who::Nobody, Place::TARGET, 1)]),
        client("creator", vec![op(Op::Create(First::Chosen(Token::TARGET)), 2)]),
        client("migrator", vec![hand_over(0, Token::TARGET, None, 1), cancel(1, None, 1)]),
        client("admin", vec![mint(None, 1), revoke(2, Scope::All, None, 1)]),
    ];
    Scenario {
        items: vec![TABLE.item(tombstone)],
        ..scenario(
            "removed",
            "every call on a removed workspace whose item still holds its owner",
            &open(),
            clients,
        )
    }
}

/// Two workspaces; the bearer of one at the other, and a hash for a bearer.
fn somebody_elses_tokens() -> Scenario {
    let other = Workspace { id: crate::words::workspace_id(1), ..owned_by(Token::FOREIGN) };
    let hash = Who::Bearer(Credential::HashOf(Token::SOURCE));
    let foreign_hash = Who::Bearer(Credential::HashOf(Token::FOREIGN));
    let clients = vec![
        client("foreigner", vec![register(bearer(Token::FOREIGN), Place::RIVAL, 2)]),
        client("reader", vec![register(hash, Place::TARGET, 1), register(foreign_hash, Place::TARGET, 1)]),
        Client {
            workspace: 1,
            ..client("the other's owner", vec![register(bearer(Token::FOREIGN), Place::CALLER, 2)])
        },
        client("migrator", vec![revoke(0, Scope::All, None, 1)]),
        Client { workspace: 1, ..client("admin", vec![mint(Some(Token::SOURCE), 1)]) },
    ];
    let mut scenario = Scenario {
        goal: vec![(2, 0), (3, 0)],
        ..scenario(
            "two-workspaces",
            "the owner of one workspace at the other, and hashes that somebody read as bearers",
            &owned_by(Token::SOURCE),
            clients,
        )
    };
    scenario.items.push(item(&other));
    scenario
}

/// A workspace with room for one API token more.
fn full() -> Scenario {
    let fillers = (1..20).map(|number| {
        let token = ApiToken { prefix: None, minted_at: "a time".to_owned() };
        (Token::filler(number).hash().clone(), token)
    });
    let full = Workspace { api_tokens: fillers.collect(), ..owned_by(Token::SOURCE) };
    let clients = vec![
        client("admin", vec![mint(None, 2)]),
        client("another admin", vec![mint(Some(Token::CALLER), 2)]),
        client("source", vec![register(bearer(Token::SOURCE), Place::SOURCE, 1)]),
        client("caller", vec![register(bearer(Token::CALLER), Place::CALLER, 1)]),
        client("migrator", vec![revoke(0, Scope::Api, None, 1), mint(Some(Token::SOURCE), 1)]),
    ];
    Scenario {
        goal: vec![(0, 0), (1, 0), (4, 0)],
        ..scenario(
            "limit",
            "two mints where there is room for one token, and a revoke of the API tokens",
            &full,
            clients,
        )
    }
}
