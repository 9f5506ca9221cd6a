//! The rehearsal during init reaches the end of each function: what it leaves out, the first caller would wait for.

use serde_json::Value;
use shared::config::Env;
use shared::rehearsal::rehearse;
use shared::runtime::Function;
use tests::world::sha256;

async fn is_a_success<F: Function>() {
    let digest = sha256("somebody else's token");
    let env = Env::from_fn(|name| match name {
        "TABLE_NAME" => Some("workspaces".to_owned()),
        "ADMIN_TOKEN_SHA256" => Some(digest.clone()),
        "AWS_REGION" => Some("eu-central-1".to_owned()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("x".to_owned()),
        // Whoever asked here would be refused.
        "AWS_ENDPOINT_URL_DYNAMODB" => Some("http://127.0.0.1:1".to_owned()),
        _ => None,
    });
    let answers = rehearse::<F>(&env).await;
    assert_eq!(answers.len(), F::REHEARSAL.len());
    for answer in answers {
        let answer: Value = serde_json::from_str(answer.unwrap().get()).unwrap();
        assert!(matches!(answer["statusCode"].as_u64(), Some(200 | 201)), "{answer}");
    }
}

#[tokio::test]
async fn every_function_rehearses_what_it_does() {
    is_a_success::<create_workspace::CreateWorkspace>().await;
    is_a_success::<register::Register>().await;
    is_a_success::<admin_revoke::AdminRevoke>().await;
    is_a_success::<admin_hand_over::AdminHandOver>().await;
    is_a_success::<admin_mint_token::AdminMintToken>().await;
    is_a_success::<get_workspace::GetWorkspace>().await;
}
