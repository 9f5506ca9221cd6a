//! The guarantees. Each is checked on what happened: the items before and after a write, and the answers. Besides,
//! [`Guarantee::Spec`] compares every write and every answer with the sequential specification.

use domain::workspace::Stored;

use crate::flows::{Kind, Request, Write, created_op};
use crate::spec::{Answer, Door, Life, NamedBy, Op, Scope, Spec, Why};
use crate::symbols::{Credential, Time, Token};
use crate::table::Entry;

/// What the registry promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarantee {
    G1,
    G2,
    G3,
    G4,
    G5,
    G6,
    G9,
    G10,
    G11,
    G14,
    G15,
    G16,
    G21,
    G22,
    Flip,
    Spec,
}

impl Guarantee {
    pub const ALL: [Self; 16] = [
        Self::G1,
        Self::G2,
        Self::G3,
        Self::G4,
        Self::G5,
        Self::G6,
        Self::G9,
        Self::G10,
        Self::G11,
        Self::G14,
        Self::G15,
        Self::G16,
        Self::G21,
        Self::G22,
        Self::Flip,
        Self::Spec,
    ];

    pub fn title(self) -> &'static str {
        match self {
            Self::G1 => "G1: at most one owner token, at any moment",
            Self::G2 => "G2: of concurrent claims exactly one wins and gets a token",
            Self::G3 => "G3: nothing outlives a revoke that was answered",
            Self::G4 => "G4: a token that ended never lives again",
            Self::G5 => "G5: revoking nothing ends nothing and creates nothing",
            Self::G6 => "G6: a repeat has one effect and a true answer",
            Self::G9 => "G9: a workspace appears with its token, or sealed",
            Self::G10 => "G10: a removed workspace stays removed",
            Self::G11 => "G11: only a workspace's own tokens authenticate, and no hash does",
            Self::G14 => "G14: the source works until the take-over is written, and never both do",
            Self::G15 => "G15: no hand-over and no take-over outlives a cancel that was answered",
            Self::G16 => "G16: while a hand-over is pending nobody else claims",
            Self::G21 => "G21: only the owner mints, ends and rotates in its own name",
            Self::G22 => "G22: an owner never undoes an operator's hand-over",
            Self::Flip => "flip proof: the target owns, the source's token is dead and stays dead",
            Self::Spec => "the specification allows every write and every answer",
        }
    }

    pub fn bit(self) -> u32 {
        1 << Self::ALL.iter().position(|known| *known == self).unwrap()
    }
}

/// What has happened to one workspace so far: as much as the guarantees need.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Past {
    /// The tokens that ended and were not chosen again.
    pub ended: u64,
    /// Those of them that a revoke ended.
    pub revoked: u64,
    /// Every token that was ever live or a successor here.
    pub issued: u64,
    /// The epoch at which the last successor was named.
    pub successor_named: u64,
    /// The highest epoch at which an answer said that no hand-over is pending.
    pub cancelled: u64,
    /// The epoch that each command made and how many tokens it ended, by the command's name.
    pub made: [(u64, usize); 6],
    /// The calls whose command took effect, one bit each.
    pub commanded: u32,
    /// The source's tokens when the flip proof held.
    pub retired: u64,
}

/// What took effect, or was answered as done, after a write was decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Overtaken {
    pub by_revoke: bool,
    pub by_cancel: bool,
}

/// A write that took effect.
#[derive(Clone, Copy, Debug)]
pub struct Effect<'a> {
    pub request: Request,
    pub write: Write,
    pub before: &'a Entry,
    pub after: &'a Entry,
    /// What took effect after it was decided.
    pub overtaken: Overtaken,
    /// Its token ended after it was decided.
    pub revived: bool,
    /// Its call had answered.
    pub settled: bool,
    pub clock: Time,
}

/// The guarantees that a write breaks, as bits. Records the write.
pub fn effect(past: &mut Past, effect: &Effect<'_>) -> u32 {
    let Effect { request, write, before: was, after: is, .. } = *effect;
    let (before, after) = (was.spec(), is.spec());
    let (new, gone) = (is.live & !was.live, was.live & !is.live);
    let mut broken = 0;
    let mut breaks = |guarantee: Guarantee, broke: bool| {
        if broke {
            broken |= guarantee.bit();
        }
    };
    let kind = write.kind;
    let pending = before.pending(effect.clock);

    breaks(Guarantee::G2, kind == Kind::Claim && before.owner().is_some());
    let makes_token = matches!(kind, Kind::Claim | Kind::TakeOver | Kind::Mint);
    breaks(Guarantee::G3, makes_token && effect.overtaken.by_revoke);
    // An expired token counts for nothing.
    let count = |spec: &Spec| usize::from(spec.owner().is_some()) + spec.api_tokens(request.now);
    let ended = count(before) - count(after).min(count(before));
    if let (Kind::Revoke, Op::Revoke { scope, successor, .. }) = (kind, request.op) {
        let owner_ends = scope != Scope::Api;
        breaks(Guarantee::G3, owner_ends && after.door != Door::Open);
        breaks(Guarantee::G3, owner_ends && after.successor.map(|named| named.token) != successor);
        breaks(Guarantee::G3, scope != Scope::Owner && !after.api.is_empty());
        breaks(Guarantee::G5, new != 0 || write.ends() != ended);
    }
    if let Op::Register { bearer: Some(bearer), .. } = request.op {
        let (token, is_token) = match bearer {
            Credential::Token(token) => (token, true),
            Credential::HashOf(token) => (token, false),
        };
        let has_role = is_token
            && (before.is_live(token, request.now) || before.successor.is_some_and(|s| s.token == token));
        let was_issued = is_token && past.issued & token.bit() != 0;
        let was_revoked = past.revoked & token.bit() != 0;
        breaks(Guarantee::G11, !has_role && !was_issued);
        breaks(Guarantee::G3, !has_role && was_issued && was_revoked);
        breaks(Guarantee::G14, !has_role && was_issued && !was_revoked);
        breaks(Guarantee::Flip, past.retired & token.bit() != 0);
    }
    if let Op::Rotate { bearer, .. } | Op::OwnerEnds { bearer, .. } = request.op {
        let is_owner = matches!(bearer, Credential::Token(token) if before.owner() == Some(token));
        breaks(Guarantee::G21, !is_owner);
        breaks(Guarantee::G21, after.owner() != before.owner());
        breaks(Guarantee::G22, kind == Kind::Rotate && pending.is_some() && is_operators(before));
    }
    if let Op::Beat { bearer } = request.op {
        // By the clock of the decision, as for a registration.
        let pending = before.pending(request.now);
        let is_next = matches!(bearer, Credential::Token(token) if pending == Some(token));
        breaks(Guarantee::G21, !is_next || is_operators(before));
    }
    // A caller may choose the same token again, unless it was the previous owner. It then counts as a new one.
    let generated =
        Token::held().filter(|token| token.is_generated()).fold(0, |all, token| all | token.bit());
    let revived = write.token.filter(|_| effect.revived).map_or(0, Token::bit);
    let returning = new & (past.ended & generated | before.previous.map_or(0, Token::bit) | revived);
    breaks(Guarantee::G4, returning != 0);
    breaks(Guarantee::Flip, returning & past.retired != 0);
    breaks(Guarantee::G5, before.life == Life::Absent && kind != Kind::Create);
    breaks(Guarantee::G6, effect.settled && !kind.is_refresh());
    let own = generated_for(request.call);
    breaks(Guarantee::G6, is.live & own == own);
    let is_command = request.op.command().is_some();
    breaks(Guarantee::G6, is_command && past.commanded >> request.call & 1 != 0);
    breaks(Guarantee::G9, kind == Kind::Create && (before.life != Life::Absent || after.door == Door::Open));
    breaks(Guarantee::G9, kind == Kind::Claim && before.door == Door::Sealed);
    breaks(Guarantee::G10, before.life == Life::Removed);
    if let Some(owner) = before.owner().filter(|_| pending.is_some() || kind == Kind::HandOver) {
        let ends_owner = match request.op {
            Op::Revoke { .. } => kind == Kind::Revoke,
            Op::Remove { .. } => kind == Kind::Remove,
            Op::EndToken { token, .. } => token == owner,
            _ => kind == Kind::TakeOver,
        };
        breaks(Guarantee::G14, !ends_owner && after.owner() != Some(owner));
        breaks(Guarantee::G14, kind == Kind::TakeOver && after.is_live(owner, request.now));
    }
    let hands_over = matches!(kind, Kind::TakeOver | Kind::HandOver);
    breaks(Guarantee::G15, hands_over && effect.overtaken.by_cancel);
    breaks(Guarantee::G15, kind == Kind::TakeOver && past.successor_named <= past.cancelled);
    breaks(Guarantee::G16, kind == Kind::Claim && pending.is_some());

    let mut specified = before.clone();
    let answer = specified.perform(&request.op, request.now, write.token.unwrap_or(Token::filler(0)));
    breaks(
        Guarantee::Spec,
        specified.as_stored() != *after || is.spec.is_none() || after.epoch < before.epoch,
    );
    breaks(Guarantee::Spec, !answer.is_success());

    past.ended = (past.ended | gone) & !new;
    past.retired &= !new;
    let ends = matches!(kind, Kind::Revoke | Kind::EndToken);
    past.revoked = (past.revoked | if ends { gone } else { 0 }) & !new;
    past.issued |= issued(after);
    if after.successor.is_some() && matches!(kind, Kind::HandOver | Kind::Revoke | Kind::Rotate) {
        past.successor_named = after.epoch;
    }
    past.commanded |= u32::from(is_command) << request.call;
    if let Some(made) = after.last_command.filter(|_| is_command) {
        // The last command is never made again. A command that expects an epoch is made at that epoch only.
        let again = before.last_command.is_some_and(|before| before.name == made.name);
        let known = &mut past.made[usize::from(made.name.0)];
        if again || request.op.expected().is_some() && known.0 != 0 {
            broken |= Guarantee::G6.bit();
        }
        *known = (made.epoch, ended);
    }
    broken
}

/// The guarantees that an answer breaks, as bits. Records the answer. `seen` is what the call saw last. `met` is what its
/// write was made on, if it was made.
pub fn answer(
    past: &mut Past,
    request: Request,
    write: Option<Write>,
    seen: &Entry,
    met: Option<&Entry>,
    said: Answer,
) -> u32 {
    let spec = seen.spec();
    let mut broken = 0;
    let mut breaks = |guarantee: Guarantee, broke: bool| {
        if broke {
            broken |= guarantee.bit();
        }
    };
    let is_allowed = match met {
        Some(met) => {
            let fresh = write.and_then(|write| write.token).unwrap_or(Token::filler(0));
            met.spec().clone().perform(&request.op, request.now, fresh).allows(said)
        }
        None => is_allowed(seen, request, write, said),
    };
    breaks(Guarantee::Spec, !is_allowed);
    match said {
        Answer::Registered { token: Some(token), .. } => {
            breaks(Guarantee::G2, spec.owner() != Some(token));
        }
        Answer::Registered { epoch, token: None } => {
            breaks(Guarantee::G6, epoch != spec.epoch);
            if let Op::Register { bearer: Some(Credential::HashOf(_)), .. } = request.op {
                breaks(Guarantee::G11, true);
            }
        }
        Answer::Minted { token: Some(token) } => breaks(Guarantee::G6, !spec.api.contains(&token)),
        Answer::Created { token: Some(token) } => {
            breaks(Guarantee::G9, spec.life != Life::Live || past.issued & token.bit() == 0);
        }
        Answer::Revoked { epoch: Some(epoch), ended } => {
            breaks(Guarantee::G6, !was_made(past, request.op, epoch));
            let at_first = made(past, request.op).map_or(0, |(_, ended)| ended);
            breaks(Guarantee::G6, ended != 0 && ended != at_first);
        }
        Answer::Ended { epoch, was_live } if request.op.command().is_some() => {
            breaks(Guarantee::G6, !was_made(past, request.op, epoch));
            let at_first = made(past, request.op).map_or(0, |(_, ended)| ended);
            breaks(Guarantee::G6, was_live && at_first == 0);
        }
        Answer::Revoked { epoch: None, .. } => breaks(Guarantee::G5, spec.life != Life::Absent),
        Answer::Cancelled { epoch } => {
            breaks(Guarantee::G15, !was_made(past, request.op, epoch));
            past.cancelled = past.cancelled.max(epoch);
        }
        Answer::Refused(Why::MissingToken) => {
            // This very call has claimed the workspace, and nobody holds the token.
            breaks(Guarantee::G6, seen.live & generated_for(request.call) != 0);
            breaks(Guarantee::G2, spec.door == Door::Open && spec.pending(request.now).is_none());
            if let Op::Register { chosen: Some(chosen), place, .. } = request.op {
                breaks(Guarantee::G6, spec.owner() == Some(chosen) && spec.place == Some(place));
            }
        }
        Answer::Refused(Why::InvalidToken) => {
            if let Op::Register { bearer: Some(Credential::Token(token)), .. } = request.op {
                breaks(Guarantee::G14, spec.is_live(token, request.now));
            }
        }
        // Refused because of its own effect, or that of a call that it repeats.
        Answer::Refused(Why::EpochChanged) => breaks(Guarantee::G6, spec.has_made(&request.op)),
        Answer::Refused(Why::Removed) => {
            breaks(Guarantee::G6, matches!(request.op, Op::Remove { .. }));
            breaks(Guarantee::G10, spec.life != Life::Removed);
        }
        Answer::Removed { .. } => breaks(Guarantee::G10, spec.life != Life::Removed),
        Answer::Refused(Why::Exists) => breaks(Guarantee::G6, is_created_in(seen, request.call)),
        _ => {}
    }
    broken
}

/// Whether this command has made this epoch.
pub fn was_made(past: &Past, op: Op, epoch: u64) -> bool {
    made(past, op).is_some_and(|(made, _)| made == epoch)
}

/// The epoch that a command made, and how many tokens it ended.
fn made(past: &Past, op: Op) -> Option<(u64, usize)> {
    op.command().map(|(name, _)| past.made[usize::from(name.0)])
}

/// The tokens that the registry generates for a call.
fn generated_for(call: u8) -> u64 {
    Token::generated(call, false).bit() | Token::generated(call, true).bit()
}

fn is_created_in(seen: &Entry, call: u8) -> bool {
    matches!(&seen.stored, Some(Stored::Workspace(workspace)) if workspace.created_op == created_op(call))
}

/// Whether the specification allows this answer of a call that wrote nothing after what it saw last.
fn is_allowed(seen: &Entry, request: Request, write: Option<Write>, said: Answer) -> bool {
    let spec = seen.spec();
    // A call may give up if its write met a later epoch. A command then tells its caller to look again, and so does a
    // removal that expects an epoch.
    let is_command = request.op.command().is_some() || request.op.expected().is_some();
    let is_overtaken = write.is_some_and(|write| write.seen < spec.epoch);
    match said {
        Answer::Contended if is_overtaken && !is_command => return true,
        Answer::Refused(Why::EpochChanged) if is_overtaken && is_command => return true,
        _ => {}
    }
    let mut after = spec.clone();
    let answer = after.perform(&request.op, request.now, Token::filler(0));
    if after == *spec && answer.allows(said) {
        return true;
    }
    // A write of this call landed before, and its reply was lost.
    match (said, request.op) {
        (Answer::Registered { epoch, token: Some(token) }, _) => {
            spec.owner() == Some(token) && spec.epoch == epoch
        }
        (Answer::Minted { token: Some(token) }, _) => spec.api.contains(&token),
        (Answer::Rotating { epoch, token }, Op::Rotate { chosen, .. }) => {
            spec.successor.map(|next| next.token) == token.or(chosen) && spec.epoch == epoch
        }
        (Answer::Ended { was_live: true, epoch }, Op::OwnerEnds { token, .. }) => {
            !spec.is_live(token, request.now)
                && spec.pending(request.now) != Some(token)
                && spec.epoch == epoch
        }
        // Its token may have ended since.
        (Answer::Created { .. }, _) => is_created_in(seen, request.call),
        _ => false,
    }
}

/// The tokens that are live, the successor's and the previous owner's.
pub fn issued(spec: &Spec) -> u64 {
    let tokens = spec.api.iter().copied().chain(spec.owner()).chain(spec.successor.map(|named| named.token));
    tokens.chain(spec.previous).fold(0, |all, token| all | token.bit())
}

fn is_operators(spec: &Spec) -> bool {
    spec.successor.is_some_and(|next| next.by == NamedBy::Operator)
}
