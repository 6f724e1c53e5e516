//! What others read of a lock that is held: its holder's name, or none, never an earlier one's.

use std::time::Duration;

use annals_segment::{SimulatedDirectory, WriterLock, live_epoch};

#[test]
fn the_name_of_an_earlier_holder_does_not_show_through() {
    let disk = SimulatedDirectory::new();
    disk.write_file("LOCK", [b'7'; 100]);
    let lock = WriterLock::acquire(&disk, Duration::ZERO, 0xe90c).unwrap();
    assert_eq!(live_epoch(&disk).unwrap(), Some(0xe90c));
    drop(lock);
    assert_eq!(live_epoch(&disk).unwrap(), None);
}

#[test]
fn on_a_full_disk_a_holder_has_no_name_and_is_there_all_the_same() {
    let disk = SimulatedDirectory::new();
    disk.write_file("LOCK", b"pid 1\nepoch 0000000000000007\n");
    disk.set_capacity(10);
    let lock = WriterLock::acquire(&disk, Duration::ZERO, 0xe90c).unwrap();
    assert_eq!(disk.file("LOCK").unwrap(), b"", "half a name is no name");
    assert_eq!(live_epoch(&disk).unwrap(), Some(0));
    drop(lock);
}
