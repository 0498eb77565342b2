//! Receipts as files.

use std::os::unix::fs::PermissionsExt;

use carboy_engine::Durability;

use crate::support::{OPEN, Setup, Stand, Upstreams, status};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_durability_keeps_every_receipt() {
    for durability in [
        Durability::Buffered,
        Durability::Written,
        Durability::Synced,
    ] {
        let up = Upstreams::echo().await;
        let stand = Stand::with(Setup {
            durability,
            ..Setup::default()
        })
        .await;
        for _ in 0..5 {
            assert_eq!(status(&stand.get(&up.url("/")).await), 200);
        }
        assert_eq!(stand.finish().await.receipts.len(), 10, "{durability:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_is_written_before_its_crossing_is_released() {
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let up = Upstreams::run(move |mut far| {
        let tell = tell.clone();
        async move {
            while let Some(request) = far.request().await {
                tell.send(()).unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                far.answer(&request).await;
            }
        }
    })
    .await;
    let stand = Stand::open(OPEN).await;
    let url = up.url("/first");
    let asking = stand.get(&url);
    let looking = async {
        told.recv().await.unwrap();
        std::fs::read_to_string(stand.log()).unwrap()
    };
    let (_, log) = tokio::join!(asking, looking);
    assert!(log.contains("\"/first\""), "{log}");
    stand.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_and_the_key_are_private() {
    let stand = Stand::open(OPEN).await;
    let log = stand.log();
    let state = log.parent().unwrap().parent().unwrap().to_owned();
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&log), 0o600);
    assert_eq!(mode(&state.join("receipts")), 0o700);
    assert_eq!(mode(&state.join("keys")), 0o700);
    let key = state.join("keys/receipt.key");
    assert_eq!(mode(&key), 0o600);
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    let refused = carboy_proxy::signing_key(&state).unwrap_err().to_string();
    assert!(refused.contains("chmod 600"), "{refused}");
    stand.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_crosses_without_its_receipt() {
    let up = Upstreams::echo().await;
    let stand = Stand::open(OPEN).await;
    assert_eq!(status(&stand.get(&up.url("/")).await), 200);
    let connections = up.connections();
    let seen = up.seen();
    stand.gate.evidence().close().unwrap();
    let response = stand.get(&up.url("/secret")).await;
    assert_eq!(status(&response), 503, "{response}");
    assert!(response.contains("carboy-reason: evidence"), "{response}");
    assert_eq!(up.seen(), seen, "{connections}");
}
