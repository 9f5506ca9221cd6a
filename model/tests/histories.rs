//! Short runs of the recorded histories on the embedded engine: they hold, and a missing fence is noticed. The longer
//! ones, on DynamoDB Local, are made by the command `histories`.

use std::time::Duration;

use model::histories::run::{Outcome, Plan, run};

async fn on_the_embedded_engine(seed: u64, seconds: u64, sabotage: u64) -> Outcome {
    let time = Duration::from_secs(seconds);
    run(&Plan { seed, time, clients: 8, side_by_side: 8, percent: 15, sabotage, endpoint: None }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_under_faults_are_linearizable() {
    let outcome = on_the_embedded_engine(4, 5, 0).await;
    assert!(outcome.calls > 0 && outcome.strays > 0, "{outcome:?}");
    assert_eq!((outcome.violations.as_slice(), outcome.undecided), (&[][..], 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_fence_is_noticed() {
    let outcome = on_the_embedded_engine(5, 5, 2).await;
    assert!(!outcome.violations.is_empty(), "{outcome:?}");
}
