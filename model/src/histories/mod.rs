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

/// A generator of numbers that depend on nothing but its seed: SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// The numbers for one purpose.
    pub fn new(seed: u64, purpose: &[u64]) -> Self {
        let mut numbers = Self(seed);
        for part in purpose {
            numbers.0 ^= part.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            numbers.0 = numbers.any();
        }
        numbers
    }

    pub fn any(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.any() % limit
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let position = self.below(from.len() as u64) as usize;
        &from[position]
    }
}
