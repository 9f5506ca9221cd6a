//! The scenarios: who calls what, on which workspace, with how many tries and faults.

use aws_sdk_dynamodb::types::AttributeValue;
use domain::time::Timestamp;
use domain::workspace::{ApiToken, Epoch, Owner, OwnerHash, RegisteredBy, Registration, Status, Workspace};
use shared::table::item::{REMOVED, attribute, to_item};

use crate::flows::{blank, successor};
use crate::spec::{First, Op, Scope};
use crate::symbols::{CommandName, Credential, Place, Time, Token, workspace_id};
use crate::table::{ABSENT, ItemId, TABLE};

/// Clients, their calls, and the faults that may happen.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    /// One line about it.
    pub about: &'static str,
    pub items: Vec<ItemId>,
    pub clients: Vec<Client>,
    pub faults: u8,
    /// Whether early hand-overs may expire.
    pub ticks: bool,
    /// The client that the workspace moves away from.
    pub source: Option<usize>,
    /// The client that it moves to.
    pub target: Option<usize>,
    /// Steps of clients. In some run all of them succeed.
    pub goal: Vec<(usize, u8)>,
}

#[derive(Clone, Debug)]
pub struct Client {
    pub name: &'static str,
    pub workspace: usize,
    /// The token that it has from the start.
    pub token: Option<Token>,
    /// The epoch of an earlier answer, from which the flip proof counts; 0 if none.
    pub told: u64,
    pub steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub ask: Ask,
    /// How often the client tries before it goes on.
    pub tries: u8,
}

#[derive(Clone, Copy, Debug)]
pub enum Ask {
    Register {
        who: Who,
        place: Place,
    },
    Op(Op),
    /// Read until the flip proof holds for this place, counted from the epoch of the client's last answer.
    Prove(Place),
}

#[derive(Clone, Copy, Debug)]
pub enum Who {
    Nobody,
    Choosing(Token),
    Bearer(Credential),
    /// With the token from an earlier answer, or none.
    WithItsToken,
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
    op(Op::Revoke { scope, successor, name: CommandName(name), expected: None }, tries)
}

fn hand_over(name: u16, successor: Token, expected: Option<u64>, tries: u8) -> Step {
    op(Op::HandOver { successor, name: CommandName(name), expected }, tries)
}

fn cancel(name: u16, expected: Option<u64>, tries: u8) -> Step {
    op(Op::Cancel { name: CommandName(name), expected }, tries)
}

fn mint(chosen: Option<Token>, tries: u8) -> Step {
    op(Op::Mint { chosen, expires: false }, tries)
}

/// A workspace with an open door. It has registered from the source's place.
fn open() -> Workspace {
    let Registration { url, agent_card } = Place::SOURCE.registration();
    Workspace {
        status: Status::Online,
        url,
        agent_card: Some(agent_card),
        registered_at: Some(Timestamp::UNIX_EPOCH),
        registered_by: Some(RegisteredBy::Owner),
        ..blank(0)
    }
}

/// A workspace that this token owns.
fn owned_by(token: Token) -> Workspace {
    let hash = OwnerHash::Token(token.hash().clone());
    Workspace {
        owner: Some(Owner { hash, prefix: None, minted_at: Timestamp::UNIX_EPOCH, epoch: Epoch::FIRST }),
        ..open()
    }
}

fn api_token() -> ApiToken {
    ApiToken { prefix: None, name: None, minted_at: Timestamp::UNIX_EPOCH, expires: None }
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
        removal(),
        removed(),
        somebody_elses_tokens(),
        full(),
        rotation(),
        rotation_and_hand_over(),
        one_token(),
        expiry(),
    ]
}

pub fn named(name: &str) -> Scenario {
    all().into_iter().find(|scenario| scenario.name == name).expect("a scenario of that name")
}

impl Scenario {
    /// The same scenario, with one more try of each call.
    pub fn with_more_tries(mut self) -> Self {
        for step in self.clients.iter_mut().flat_map(|client| &mut client.steps) {
            step.tries += u8::from(!matches!(step.ask, Ask::Prove(_)));
        }
        self
    }
}

/// A migration by revoke.
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
            "a migrator revokes, the target claims, the source keeps trying, an admin mints",
            &owned_by(Token::SOURCE),
            clients,
        )
    }
}

/// One revoke ends the owner only, the other everything. An API token outlives the first.
fn two_revokes() -> Scenario {
    let token = api_token();
    let shared =
        Workspace { api_tokens: [(Token::CALLER.hash().clone(), token)].into(), ..owned_by(Token::SOURCE) };
    let expecting =
        Op::Revoke { scope: Scope::Owner, successor: None, name: CommandName(0), expected: Some(1) };
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
            "a migrator revokes the owner at an expected epoch, an admin revokes all; an API token sends the target's URL",
            &shared,
            clients,
        )
    }
}

fn rotate(bearer: Token, chosen: Option<Token>, tries: u8) -> Step {
    op(Op::Rotate { bearer: Credential::Token(bearer), chosen }, tries)
}

fn beat(bearer: Token) -> Step {
    op(Op::Beat { bearer: Credential::Token(bearer) }, 1)
}

/// Two rotators with the same token, and an API token that may not rotate.
fn rotation() -> Scenario {
    let shared = Workspace {
        api_tokens: [(Token::CALLER.hash().clone(), api_token())].into(),
        ..owned_by(Token::SOURCE)
    };
    let clients = vec![
        client("owner", vec![rotate(Token::SOURCE, None, 2), register(Who::WithItsToken, Place::SOURCE, 1)]),
        client("twin", vec![rotate(Token::SOURCE, Some(Token::TARGET), 1), beat(Token::TARGET)]),
        client("caller", vec![rotate(Token::CALLER, Some(Token::RIVAL), 1)]),
        client("admin", vec![revoke(0, Scope::Owner, None, 1)]),
    ];
    Scenario {
        goal: vec![(0, 0), (0, 1), (3, 0)],
        ..scenario(
            "rotation",
            "two holders of the owner's token rotate at once, an API token tries to, an admin revokes",
            &shared,
            clients,
        )
    }
}

/// An owner rotates while an operator hands over and cancels.
fn rotation_and_hand_over() -> Scenario {
    let clients = vec![
        client("source", vec![rotate(Token::SOURCE, Some(Token::CALLER), 2), beat(Token::CALLER)]),
        client("target", vec![beat(Token::TARGET), register(bearer(Token::TARGET), Place::TARGET, 1)]),
        client("migrator", vec![hand_over(0, Token::TARGET, None, 1), prove(Place::TARGET)]),
        client("admin", vec![cancel(1, None, 1)]),
    ];
    Scenario {
        ticks: true,
        source: Some(0),
        target: Some(1),
        goal: vec![(0, 0), (1, 1), (2, 1)],
        ..scenario(
            "rotation-and-hand-over",
            "an owner rotates while a migrator hands over; the target sends a heartbeat before it registers; both may expire",
            &owned_by(Token::SOURCE),
            clients,
        )
    }
}

/// Single tokens end: the owner's by an operator, an API token by the owner.
fn one_token() -> Scenario {
    let shared = Workspace {
        api_tokens: [(Token::CALLER.hash().clone(), api_token())].into(),
        ..owned_by(Token::SOURCE)
    };
    let end = |name, token| Op::EndToken { token, name: CommandName(name), expected: None };
    let owner_ends = |bearer, token| Op::OwnerEnds { bearer: Credential::Token(bearer), token };
    let clients = vec![
        client("owner", vec![op(owner_ends(Token::SOURCE, Token::CALLER), 2)]),
        client(
            "caller",
            vec![
                op(owner_ends(Token::CALLER, Token::SOURCE), 1),
                register(bearer(Token::CALLER), Place::CALLER, 1),
            ],
        ),
        client("admin", vec![op(end(0, Token::SOURCE), 2)]),
        client("another admin", vec![mint(Some(Token::CALLER), 1), op(end(1, Token::CALLER), 1)]),
        client("target", vec![register(Who::Nobody, Place::TARGET, 1)]),
    ];
    Scenario {
        goal: vec![(0, 0), (2, 0), (4, 0)],
        ..scenario(
            "one-token",
            "the owner ends an API token, an admin ends the owner's, another mints and ends an API token; a target claims",
            &shared,
            clients,
        )
    }
}

/// An API token expires while it is used, minted again and ended.
fn expiry() -> Scenario {
    let expiring = ApiToken { expires: Some(Time::Early.expiry()), ..api_token() };
    let shared = Workspace {
        api_tokens: [(Token::CALLER.hash().clone(), expiring)].into(),
        ..owned_by(Token::SOURCE)
    };
    let mint = |chosen| op(Op::Mint { chosen, expires: true }, 1);
    let owner = Credential::Token(Token::SOURCE);
    let clients = vec![
        client("caller", vec![register(bearer(Token::CALLER), Place::CALLER, 1)]),
        client("owner", vec![op(Op::OwnerEnds { bearer: owner, token: Token::CALLER }, 1)]),
        client("admin", vec![mint(Some(Token::CALLER)), mint(None)]),
        client("another admin", vec![revoke(0, Scope::Api, None, 1)]),
    ];
    Scenario {
        ticks: true,
        goal: vec![(0, 0), (1, 0), (2, 1)],
        ..scenario(
            "expiry",
            "an API token expires while its holder refreshes, an admin mints it again, the owner and another admin end it",
            &shared,
            clients,
        )
    }
}

/// Agents choose their own tokens, so that they can repeat a claim. The source tries its old one.
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
            "a migration by revoke with caller-chosen tokens; the source tries to claim with its old one",
            &owned_by(Token::SOURCE),
            clients,
        )
    }
}

/// An open door, and three claims at once.
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
            "three agents claim at once, an admin mints, another revokes",
            &open(),
            clients,
        )
    }
}

/// A migration by hand-over.
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

/// A pending hand-over that may expire.
fn cancelled() -> Scenario {
    let pending = Workspace {
        successor: Some(successor(Token::TARGET, Time::Early)),
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
            "a migrator cancels a hand-over while its successor takes over; it may expire, or an admin repeats it",
            &pending,
            clients,
        )
    }
}

/// A migrator hands over, cancels, and reads: either the target owns the workspace, or the source still does.
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
            "a migrator hands over, then cancels, first at its own epoch and then at any, while the target takes over",
            &owned_by(Token::SOURCE),
            clients,
        )
    }
}

/// Two migrators name two successors.
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
            "two migrators name two successors, one at an expected epoch",
            &owned_by(Token::SOURCE),
            clients,
        )
    }
}

/// A migration that ends the source at once.
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
            "a migrator revokes and names the successor in one write; the source keeps trying, an admin hands back to it",
            &owned_by(Token::SOURCE),
            clients,
        )
    }
}

/// A container is replaced behind the same URL, so the flip proof rests on the epoch alone.
fn same_place() -> Scenario {
    let Registration { url, agent_card } = Place::TARGET.registration();
    let moved = Workspace { url, agent_card: Some(agent_card), ..owned_by(Token::SOURCE) };
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
            "a migrator hands over to a container behind the source's own URL",
            &moved,
            clients,
        )
    }
}

/// A workspace is created.
fn created() -> Scenario {
    let clients = vec![
        client(
            "creator",
            vec![op(Op::Create(First::Generated), 2), register(Who::WithItsToken, Place::SOURCE, 1)],
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
            "three creates of one id, and a revoke that may come before them",
            &open(),
            clients,
        )
    }
}

/// No token could be generated.
fn sealed() -> Scenario {
    let owner = Owner {
        hash: OwnerHash::Sealed,
        prefix: None,
        minted_at: Timestamp::UNIX_EPOCH,
        epoch: Epoch::FIRST,
    };
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
        ..scenario(
            "sealed",
            "a sealed door: a minted token may refresh, a revoke opens the door",
            &sealed,
            clients,
        )
    }
}

/// A workspace is removed while everybody uses it.
fn removal() -> Scenario {
    let clients = vec![
        client("source", vec![register(bearer(Token::SOURCE), Place::SOURCE, 1)]),
        client("target", vec![register(bearer(Token::TARGET), Place::TARGET, 2)]),
        client("migrator", vec![hand_over(0, Token::TARGET, None, 1)]),
        client("admin", vec![op(Op::Remove { expected: None }, 2), mint(None, 1)]),
        client(
            "another admin",
            vec![op(Op::Remove { expected: Some(2) }, 1), op(Op::Create(First::Chosen(Token::RIVAL)), 1)],
        ),
    ];
    Scenario {
        goal: vec![(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)],
        ..scenario(
            "removal",
            "two admins remove a workspace, one at an expected epoch, while the target takes over",
            &owned_by(Token::SOURCE),
            clients,
        )
    }
}

/// A removed workspace whose item still has an owner's hash.
fn removed() -> Scenario {
    let mut tombstone = to_item(&owned_by(Token::SOURCE));
    tombstone.insert(attribute::STATUS.to_owned(), AttributeValue::S(REMOVED.to_owned()));
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

/// Two workspaces. The owner of one calls the other, and hashes are presented as bearers.
fn somebody_elses_tokens() -> Scenario {
    let other = Workspace { id: workspace_id(1), ..owned_by(Token::FOREIGN) };
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
            "the owner of one workspace calls another, and hashes read in the table are presented as bearers",
            &owned_by(Token::SOURCE),
            clients,
        )
    };
    scenario.items.push(item(&other));
    scenario
}

/// A workspace with room for one more API token.
fn full() -> Scenario {
    let fillers = (1..20).map(|number| {
        let token = api_token();
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
            "two mints with room for one token, and a revoke of the API tokens",
            &full,
            clients,
        )
    }
}
