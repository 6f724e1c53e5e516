//! Groups whose own files were damaged, one byte at a time: what is not as it was written is told and named, and
//! nothing that was parked or done is forgotten in silence.

use annals::{
    Background, Coordinate, Error, Kind, NewEvent, Options, Query, Sequence, Store,
    consume::GroupOptions,
    disk::{MemoryDirectory, SeededEntropy},
};

fn open(directory: &MemoryDirectory) -> Store {
    let options = Options::new().create(true).background(Background::Manual).entropy(SeededEntropy::new(1));
    options.open_on(directory.clone()).unwrap()
}

/// A store with a group that was closed: one event done, one parked with a reason, one that waits behind it, one tried, one done
/// out of order.
fn closed() -> MemoryDirectory {
    let directory = MemoryDirectory::new();
    let store = open(&directory);
    for stream in [1, 2, 2, 3, 4] {
        let at = Coordinate::new(&format!("e:{stream}"), "s").unwrap();
        store.append(&NewEvent::new(&at, Kind::new(0x2001).unwrap(), b"work")).unwrap();
    }
    let group = store.group_with("g", Query::all(), &GroupOptions::new().attempts_max(2)).unwrap();
    let take = || group.try_next().unwrap().unwrap();
    take().done().unwrap();
    take().park("no such order").unwrap();
    let open = take();
    take().done().unwrap();
    drop(open);
    drop(group);
    store.close().unwrap();
    directory
}

/// All that is told of the group, and what it hands out next.
fn told(store: &Store) -> Result<String, Error> {
    let group = store.group_with("g", Query::all(), &GroupOptions::new().attempts_max(2))?;
    let next = group.try_next()?.map(|delivery| (delivery.event().sequence(), delivery.attempt()));
    let parked: Vec<_> =
        group.parked()?.into_iter().map(|it| (it.sequence, it.reason, it.is_aside)).collect();
    Ok(format!("{:?} {parked:?} {next:?}", group.position()))
}

#[test]
fn a_changed_byte_of_a_groups_files_is_found_or_means_nothing() {
    let sound = closed();
    let names: Vec<_> = sound.names().into_iter().filter(|name| name.starts_with("groups/g/")).collect();
    let files = || sound.names().into_iter().map(|name| (name.clone(), sound.file(&name).unwrap()));
    let expected = told(&open(&MemoryDirectory::from_files(files()))).unwrap();
    assert!(expected.contains("no such order") && expected.contains("Sequence(4), 2"), "{expected}");
    let mut refused_count = 0;
    for name in &names {
        let len = sound.file(name).unwrap().len();
        // The zeros behind what was written are a thing of their own.
        for place in (0..len.min(1_200)).step_by(3) {
            let directory = MemoryDirectory::from_files(files());
            let mut bytes = directory.file(name).unwrap();
            bytes[place] ^= 0x10;
            directory.write_file(name, bytes);
            let store = open(&directory);
            let context = format!("byte {place} of {name}");
            match told(&store) {
                Ok(found) => assert_eq!(found, expected, "{context}"),
                Err(refused) => {
                    refused_count += 1;
                    let words = refused.to_string();
                    assert!(words.contains("groups/g"), "{context}: {words}");
                    let info = store.find_group("g").unwrap().unwrap();
                    assert_eq!(info.refused, Some(words), "{context}");
                    assert!(store.delete_group("g").unwrap(), "{context}");
                    let group = store.group("g", Query::all()).unwrap();
                    assert_eq!(group.position(), Sequence(0), "{context}: it begins anew");
                }
            }
        }
    }
    assert!(refused_count > 100, "{names:?}: only {refused_count} were refused");
}
