//! Checkpoints that are whole and say what is not so of their log.

use annals::{
    Background, Coordinate, Error, Kind, NewEvent, Options, Sequence, Store,
    disk::{SeededEntropy, SimulatedDirectory, verify_on},
};
use annals_wire::{CheckpointHead, CheckpointPrefix, Digest, SequenceRange};

fn options(seed: u64) -> Options {
    let options = Options::new().create(true).segment_bytes(1 << 20);
    options.background(Background::Manual).entropy(SeededEntropy::new(seed))
}

fn append(store: &Store, entity: &str) {
    let at = Coordinate::new(entity, "scope").unwrap();
    store.append(&NewEvent::new(&at, Kind::new(0x2001).unwrap(), b"x")).unwrap();
}

/// Replaces the checkpoint's head by what `change` makes of it, and its tables by `tables`.
fn forge_checkpoint(disk: &SimulatedDirectory, tables: Option<&[u8]>, change: impl Fn(&mut CheckpointHead)) {
    let bytes = disk.file("CHECKPOINT").unwrap();
    let mut head = CheckpointHead::decode(&bytes).unwrap();
    change(&mut head);
    disk.write_file("CHECKPOINT", head.encode(tables.unwrap_or(&tables_of(&bytes))));
}

fn tables_of(checkpoint: &[u8]) -> Vec<u8> {
    let prefix = CheckpointPrefix::decode(checkpoint).unwrap();
    checkpoint[usize::try_from(prefix.tables_offset()).unwrap()..].to_vec()
}

/// A store with a checkpoint behind its second event and one more event, and the tables of an earlier checkpoint.
fn checkpointed(seed: u64) -> (SimulatedDirectory, Vec<u8>) {
    let disk = SimulatedDirectory::new();
    let store = options(seed).open_on(disk.clone()).unwrap();
    append(&store, "a:1");
    store.name_kind(Kind::new(0x1001).unwrap(), "name").unwrap();
    store.checkpoint().unwrap();
    let earlier = tables_of(&disk.file("CHECKPOINT").unwrap());
    append(&store, "a:2");
    store.checkpoint().unwrap();
    append(&store, "a:3");
    store.close().unwrap();
    (disk, earlier)
}

/// Opens the store, which does without its checkpoint for a reason with `why` in it.
fn check_rejected(disk: &SimulatedDirectory, why: &str) {
    let store = options(9).open_on(disk.kill()).unwrap();
    let rejected = &store.report().rejected;
    assert!(rejected.iter().any(|rejected| rejected.why.contains(why)), "{:?}", store.report());
    assert_eq!((store.last_sequence(), store.report().events.checkpoint), (Sequence(3), 0));
}

#[test]
fn tables_of_another_place_are_not_used() {
    let (disk, earlier) = checkpointed(1);
    assert_eq!(options(9).open_on(disk.kill()).unwrap().report().events.checkpoint, 2);
    let why = "its tables are of another segment";
    let (other, _) = checkpointed(2);
    let others = tables_of(&other.file("CHECKPOINT").unwrap());
    for tables in [earlier, others] {
        let disk = disk.kill();
        forge_checkpoint(&disk, Some(&tables), |_| {});
        check_rejected(&disk, why);
    }
    let disk = disk.kill();
    forge_checkpoint(&disk, None, |head| head.watermark.sequence = Sequence(1));
    check_rejected(&disk, why);
}

/// Verification finds `what` damaged of the checkpoint, and that it is only derived.
fn check_told(disk: &SimulatedDirectory, what: &str) {
    let damage = verify_on(disk.kill(), &mut |_| {}).unwrap().damage;
    let told =
        |file: &str| damage.iter().any(|damage| damage.file.ends_with(file) && damage.what.contains(what));
    assert!(told("CHECKPOINT") && damage.iter().all(|damage| damage.is_derived), "{what}: {damage:?}");
}

#[test]
fn verification_compares_head_and_tables_with_the_frames() {
    let (disk, earlier) = checkpointed(1);
    let forged = |tables: Option<&[u8]>, change: &dyn Fn(&mut CheckpointHead)| {
        let disk = disk.kill();
        forge_checkpoint(&disk, tables, change);
        disk
    };
    assert!(verify_on(forged(None, &|_| {}), &mut |_| {}).unwrap().is_sound());
    check_told(&forged(Some(&earlier), &|_| {}), "the tables are not those that the frames give");
    check_told(&forged(None, &|head| head.control = Digest([7; 32])), "the head is not what the frames give");
    check_told(&forged(None, &|head| head.kind_names.clear()), "the head is not what the frames give");
    let hidden = SequenceRange::new(Sequence(1), Sequence(1)).unwrap();
    check_told(&forged(None, &|head| head.hidden.push(hidden)), "the head is not what the frames give");
}

/// The log contradicts its checkpoint in `what`: that is damage of the log, and told as such.
fn check_refused(disk: &SimulatedDirectory, what: &str) {
    let Err(Error::Corrupt { source }) = options(9).open_on(disk.kill()) else {
        panic!("not refused: {what}")
    };
    assert!(source.to_string().contains(what), "{source}");
    let damage = verify_on(disk.kill(), &mut |_| {}).unwrap().damage;
    assert!(
        damage.iter().any(|damage| !damage.is_derived || damage.file.ends_with("CHECKPOINT")),
        "{damage:?}"
    );
}

#[test]
fn a_checkpoint_that_contradicts_the_log_is_damage_of_the_log() {
    let (disk, _) = checkpointed(1);
    let forged = |change: &dyn Fn(&mut CheckpointHead)| {
        let disk = disk.kill();
        forge_checkpoint(&disk, None, change);
        disk
    };
    check_refused(&forged(&|head| head.watermark.offset = 1 << 30), "acknowledged data is lost");
    check_refused(
        &forged(&|head| head.watermark.mark = Digest([7; 32])),
        "the event that the checkpoint ends with",
    );
    check_refused(
        &forged(&|head| head.control = Digest([7; 32])),
        "the control record that the checkpoint saw last",
    );
}

#[test]
fn another_stores_checkpoint_proves_nothing() {
    let ((disk, _), (other, _)) = (checkpointed(1), checkpointed(2));
    forge_checkpoint(&other, None, |head| head.watermark.offset = 1 << 30);
    disk.write_file("CHECKPOINT", other.file("CHECKPOINT").unwrap());
    check_rejected(&disk, "another store's");
    assert!(verify_on(disk.kill(), &mut |_| {}).unwrap().is_sound());
}

#[test]
fn a_checkpoint_that_was_written_outlives_a_power_loss() {
    let disk = SimulatedDirectory::new();
    let store = options(1).open_on(disk.clone()).unwrap();
    append(&store, "a:1");
    store.checkpoint().unwrap();
    drop(store);
    let store = options(2).open_on(disk.crash_subset(|_| false)).unwrap();
    assert_eq!(store.report().events.checkpoint, 1, "{:?}", store.report());
}
