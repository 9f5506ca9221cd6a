//! G8, at compile time: the types that hold a secret have no trait that would show or copy it. Adding such a trait breaks
//! the build of this test.

use std::borrow::Borrow;
use std::fmt::{Debug, Display};
use std::ops::Deref;

use domain::token::{Bearer, NewToken, TokenHash};
use local::AdminToken;
use serde::Serialize;
use shared::api::event::{Event, HttpRequest, Reply};
use static_assertions::assert_not_impl_any;

/// Checks that no type has a trait that gives its text away: by formatting, as JSON, or as a string.
macro_rules! assert_shows_nothing {
    ($($type:ty),+) => {$(
        assert_not_impl_any!(
            $type: Debug, Display, Serialize, ToString, Deref, AsRef<str>, AsRef<[u8]>, AsRef<String>, Borrow<str>,
            Into<String>, Into<Box<str>>, Into<Vec<u8>>, IntoIterator, std::error::Error, std::hash::Hash
        );
    )+};
}

assert_shows_nothing!(NewToken, Bearer, AdminToken);
// What a request or a response holds is a secret too: bearers on the way in, the token on the way out.
assert_shows_nothing!(Event, HttpRequest, Reply);

// A copy would outlive the original: a token is revealed once, a bearer is looked at where it was presented.
assert_not_impl_any!(NewToken: Clone, Copy, Default);
assert_not_impl_any!(Bearer: Clone, Copy, Default);
// Only digests are compared: `==` on texts would take a time that tells how much of them is the same.
assert_not_impl_any!(NewToken: PartialEq, PartialOrd);
assert_not_impl_any!(Bearer: PartialEq, PartialOrd);
assert_not_impl_any!(AdminToken: Copy, Default, PartialEq, PartialOrd);

// A hash authenticates nobody, but is not to be shown either. It has a `Debug`, which says `TokenHash` and no more.
assert_not_impl_any!(
    TokenHash: Display, Serialize, ToString, Deref, AsRef<str>, AsRef<[u8]>, Borrow<str>, Into<String>
);

#[test]
fn g8_secret_types_show_nothing() {
    assert_eq!(format!("{:?}", TokenHash::of("a token")), "TokenHash");
}
