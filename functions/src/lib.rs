//! The registry's functions, and the one table that names them. A new function needs a module here with its executable in
//! `bin/`, a line in `for_each_function!`, and its entry in `template.yaml`.

mod admin_hand_over;
mod admin_list;
mod admin_mint_token;
mod admin_remove;
mod admin_revoke;
mod authorize;
mod create_workspace;
mod discover;
mod get_workspace;
mod heartbeat;
mod owner_tokens;
mod register;
mod tokens;

pub use admin_hand_over::AdminHandOver;
pub use admin_list::AdminList;
pub use admin_mint_token::AdminMintToken;
pub use admin_remove::AdminRemove;
pub use admin_revoke::AdminRevoke;
pub use authorize::Authorize;
pub use create_workspace::CreateWorkspace;
pub use discover::Discover;
pub use get_workspace::GetWorkspace;
pub use heartbeat::Heartbeat;
pub use owner_tokens::OwnerTokens;
pub use register::Register;

/// Expands to `$then! { ("create-workspace", CreateWorkspace), … }`: every function's name and type. The name is that of the
/// function's executable, and of its binary in `template.yaml`.
#[macro_export]
macro_rules! for_each_function {
    ($then:ident) => {
        $then! {
            ("create-workspace", $crate::CreateWorkspace),
            ("register", $crate::Register),
            ("heartbeat", $crate::Heartbeat),
            ("get-workspace", $crate::GetWorkspace),
            ("discover", $crate::Discover),
            ("authorize", $crate::Authorize),
            ("admin-list", $crate::AdminList),
            ("owner-tokens", $crate::OwnerTokens),
            ("admin-mint-token", $crate::AdminMintToken),
            ("admin-revoke", $crate::AdminRevoke),
            ("admin-hand-over", $crate::AdminHandOver),
            ("admin-remove", $crate::AdminRemove),
        }
    };
}

macro_rules! names {
    ($(($name:literal, $function:ty)),* $(,)?) => { &[$($name),*] };
}

/// The functions' names.
pub const NAMES: &[&str] = for_each_function!(names);
