//! Recorded histories: many clients over HTTP against the real registry on a real engine, with everything that can go
//! wrong on the wire, judged by the sequential specification.
//!
//! Each episode has a workspace of its own and at least eight clients. One proxy stands between the clients and the
//! gateway, another between the SDK and the store. What the first one passes on and gets back is the history: every
//! request that reached the registry, when it did, when the answer came, and what it was, whether or not a client ever
//! heard it. The second one adds each write that may have been made without its function knowing (its reply was lost, the
//! SDK made it again, a copy was delivered late, or the function could not say): it may land once, on the epoch that it
//! was decided on, at any later time, or never. What a call did that nobody heard of is that and no more. In the end, when
//! nothing is spoilt any more, the administrator and the holder of each token look at what is there. A history is right
//! when it is linearizable: some order of its calls, one after the other, agrees with their real times and with the
//! specification's answers.
//!
//! No time passes here: a hand-over never expires.
//!
//! | looking for | module |
//! | --- | --- |
//! | what a client asks for, and what an answer means | [`calls`] |
//! | what is written down, and the judgement | [`record`] |
//! | the two proxies and their faults | [`proxy`] |
//! | clients, episodes, and the run as a whole | [`run`] |

pub mod calls;
pub mod proxy;
pub mod record;
pub mod run;

/// Numbers that depend on nothing but a seed and what they are for.
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
        self.0.choice(from).expect("something to pick from")
    }
}
