//! Recorded histories: many clients call the real registry over HTTP, on a real engine and under network faults. The
//! sequential specification judges what they saw.
//!
//! Each episode has its own workspace and at least eight clients. One proxy is between the clients and the gateway, another
//! between the SDK and the store. The first records the history: every request that reached the registry, its times and its
//! answer, even if the client never received it. The second records writes. A write is *unconfirmed* if its function may not
//! know that it took effect: the reply was lost, the SDK sent it again, a copy arrived late, or the function answered that
//! the outcome is unknown. An unconfirmed write may take effect once, on the epoch that its decision saw, at any later time,
//! or never. A call without an answer did what its writes did, and nothing else. At the end, faults stop, and the
//! administrator and each token holder read the state.
//!
//! A history is right if it is linearizable: some order of its calls, one after the other, agrees with their times and with
//! the specification's answers. No time passes: a hand-over never expires.
//!
//! | looking for | module |
//! | --- | --- |
//! | what a client asks for, and what an answer means | [`calls`] |
//! | what is recorded, and the judgement | [`record`] |
//! | the two proxies and their faults | [`proxy`] |
//! | clients, episodes, and the run as a whole | [`run`] |

pub mod calls;
pub mod proxy;
pub mod record;
pub mod run;

/// Random numbers that depend only on a seed and a purpose.
#[derive(Clone, Debug)]
pub struct Numbers(fastrand::Rng);

impl Numbers {
    /// The numbers for one purpose.
    pub fn new(seed: u64, purpose: &[u64]) -> Self {
        let mix = |seed: u64, part: &u64| fastrand::Rng::with_seed(seed ^ part).u64(..);
        Self(fastrand::Rng::with_seed(purpose.iter().fold(seed, mix)))
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0.u64(..limit)
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        self.0.choice(from).expect("not empty")
    }
}
