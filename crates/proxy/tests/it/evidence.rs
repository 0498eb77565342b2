//! Receipts as files.

use std::os::unix::fs::PermissionsExt;

use carboy_engine::{Durability, Policy};
use carboy_proxy::{Evidence, EvidenceConfig, LEDGER_FILE};
use carboy_receipt::{Verifier, Verify, read_ledger};

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

fn open(state: &std::path::Path, name: &str) -> Result<Evidence, carboy_proxy::EvidenceError> {
    Evidence::open(&EvidenceConfig {
        state,
        name,
        durability: Durability::Written,
        required: true,
        policy: Policy::balanced().digest(),
        version: "0.0.0",
    })
}

#[test]
fn gates_that_run_at_once_list_their_logs_in_turn() {
    const GATES: usize = 8;
    let state = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        for gate in 0..GATES {
            let state = state.path();
            scope.spawn(move || {
                for _ in 0..3 {
                    open(state, &format!("g{gate}")).unwrap().close().unwrap();
                }
            });
        }
    });
    let logs = state.path().join("receipts");
    let key = carboy_proxy::signing_key(state.path())
        .unwrap()
        .public_key();
    let ledger = std::fs::read(logs.join(LEDGER_FILE)).unwrap();
    let listed = read_ledger(&ledger, Some(key)).unwrap();
    assert_eq!(listed.len(), 3 * GATES);
    for own in listed {
        let mut verifier = Verifier::new(Verify {
            key: Some(key),
            allow_open: false,
        });
        verifier
            .push(&std::fs::read(logs.join(&own.log)).unwrap())
            .unwrap();
        own.check(&verifier.finish().unwrap()).unwrap();
        assert!(own.is_closed());
    }
}

#[test]
fn a_ledger_goes_on_after_a_torn_line_and_not_after_a_foreign_one() {
    let state = tempfile::tempdir().unwrap();
    open(state.path(), "first").unwrap().close().unwrap();
    let path = state.path().join("receipts").join(LEDGER_FILE);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, [&whole[..], b"{\"hash\":"].concat()).unwrap();
    open(state.path(), "second").unwrap().close().unwrap();
    let listed = read_ledger(&std::fs::read(&path).unwrap(), None).unwrap();
    assert_eq!(listed.len(), 2);

    for foreign in [&b"what is this\n"[..], &[b'x'; 20_000], b"\n"] {
        std::fs::write(&path, [&whole[..], foreign].concat()).unwrap();
        let refused = open(state.path(), "third").unwrap_err().to_string();
        assert!(refused.contains("ledger"), "{refused}");
        let logs = std::fs::read_dir(state.path().join("receipts")).unwrap();
        assert_eq!(logs.count(), 3, "two logs and the ledger");
    }
}
