use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::thread;

use super::*;

fn config(durability: Durability) -> EvidenceConfig<'static> {
    EvidenceConfig {
        state: Path::new(""),
        name: "test",
        durability,
        required: true,
        policy: carboy_engine::Digest([0; 32]),
        version: "0.0.0",
    }
}

fn record(id: &str) -> Record<'_> {
    Record {
        id: id.into(),
        ..Record::default()
    }
}

#[test]
fn lines_that_are_written_together_are_written_before_anyone_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .open(&path)
        .unwrap();
    let signer = Signer::new(&[7; 32]);
    let config = config(Durability::Written);
    let (log, _) = Log::open(file, &path, signer, &config, None).unwrap();
    thread::scope(|scope| {
        for writer in 0..8 {
            let (log, path) = (&log, &path);
            scope.spawn(move || {
                for turn in 0..40 {
                    let id = format!("c-{writer}-{turn}-");
                    log.append(record(&id)).unwrap();
                    let text = std::fs::read_to_string(path).unwrap();
                    assert!(text.contains(&id), "{id} was let go unwritten");
                }
            });
        }
    });
    log.close(now()).unwrap();
    let mut verifier = carboy_receipt::Verifier::new(carboy_receipt::Verify::default());
    verifier.push(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(verifier.finish().unwrap().crossings, 320);
}

#[test]
fn after_a_failed_write_nothing_is_written() {
    let (reader, writer) = std::io::pipe().unwrap();
    let file = File::from(OwnedFd::from(writer));
    let signer = Signer::new(&[7; 32]);
    let config = config(Durability::Written);
    let (log, _) = Log::open(file, Path::new("pipe"), signer, &config, None).unwrap();
    log.append(record("kept")).unwrap();
    drop(reader);
    let failed = log.append(record("lost")).unwrap_err();
    assert!(matches!(failed, EvidenceError::File { .. }), "{failed}");
    let refused = log.append(record("late")).unwrap_err();
    assert!(matches!(refused, EvidenceError::GivenUp(_)), "{refused}");
    assert!(log.close(now()).is_err());
}
