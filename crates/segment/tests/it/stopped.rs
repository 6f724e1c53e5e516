//! A log that stopped says so first: what else would be refused was refused by a log that goes on.

use annals_segment::{Errno, Error, Fault, SimulatedDirectory, SpaceLimits, Span};

use crate::write_ahead::options;

#[test]
fn a_log_that_stopped_does_not_speak_of_space() {
    let disk = SimulatedDirectory::new();
    let limits = SpaceLimits { budget: Some(1 << 20), headroom: 0 };
    let mut log = options().space(limits).open_on(disk.clone()).unwrap();
    let too_much = vec![0; 2 << 20];
    assert!(matches!(log.append(&too_much), Err(Error::NoSpace { .. })));
    log.append(b"x").unwrap();
    disk.inject(disk.operation_count(), Fault::Fail(Errno::Io), Span::Once);
    log.sync().unwrap_err();
    let refused = log.append(&too_much).unwrap_err();
    assert!(matches!(refused, Error::Stopped { .. }), "{refused}");
}
