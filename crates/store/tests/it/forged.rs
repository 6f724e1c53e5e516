//! Files whose checksums are right and that say what is not so: nothing but a comparison tells.

use annals::{
    Background, Coordinate, Depth, Error, EventId, Kind, Lane, NewEvent, Options, Sequence, Store,
    disk::{SeededEntropy, SimulatedDirectory, verify_on},
};
use annals_wire::{
    Batch, Consumer, ConsumerMove, ConsumerName, Control, ControlStamp, Digest, Event, EventContent,
    EventStamp, Fork, Frame, FrameHeader, FrameType, KindName, NewFrame, Recorded, Revision,
    SEGMENT_HEADER_LEN, SegmentHeader, crc,
};

const SEGMENT: &str = "000001.seg";

fn options(seed: u64) -> Options {
    let options = Options::new().create(true).segment_bytes(1 << 20);
    options.background(Background::Manual).entropy(SeededEntropy::new(seed))
}

fn append(store: &Store, entity: &str) {
    let at = Coordinate::new(entity, "scope").unwrap();
    store.append(&NewEvent::new(&at, Kind::new(0x2001).unwrap(), b"x")).unwrap();
}

/// A store with two events and a name, just let go of.
fn left(seed: u64) -> SimulatedDirectory {
    let disk = SimulatedDirectory::new();
    let store = options(seed).open_on(disk.clone()).unwrap();
    append(&store, "a:1");
    store.name_kind(Kind::new(0x1001).unwrap(), "first").unwrap();
    append(&store, "a:1");
    drop(store);
    disk
}

fn refusal(disk: &SimulatedDirectory) -> String {
    match options(9).open_on(disk.clone()) {
        Err(Error::Corrupt { source }) => source.to_string(),
        other => panic!("not refused: {:?}", other.map(|store| store.report().clone())),
    }
}

/// A segment that is written on as its own store would.
struct Forger {
    header: SegmentHeader,
    bytes: Vec<u8>,
    /// Where the frames end, and where each begins.
    end: usize,
    places: Vec<usize>,
}

impl Forger {
    fn new(disk: &SimulatedDirectory) -> Self {
        let bytes = disk.file(SEGMENT).unwrap();
        let header = SegmentHeader::decode(&bytes).unwrap();
        let (mut end, mut places) = (SEGMENT_HEADER_LEN, Vec::new());
        while let Ok(frame) = FrameHeader::decode(&bytes[end..], header.seed(), end as u64) {
            places.push(end);
            end += usize::try_from(frame.frame_len()).unwrap();
        }
        Self { header, bytes, end, places }
    }

    fn frame(&self, number: usize) -> Frame<'_> {
        let place = self.places[number];
        Frame::decode(&self.bytes[place..], self.header.seed(), place as u64).unwrap()
    }

    /// The frame that comes next.
    fn next(&self, frame_type: FrameType, sequence: u64, stamp: &[u8], body: &[u8]) -> Vec<u8> {
        let frame = NewFrame {
            frame_type,
            skippable: false,
            sequence: Sequence(sequence),
            batch: Batch::SINGLE,
            synced_len: 0,
            stamp,
            body,
            body_crc: crc(body),
        };
        let mut bytes = Vec::new();
        frame.encode(self.header.seed(), self.end as u64, &mut bytes);
        bytes
    }

    fn write(mut self, disk: &SimulatedDirectory, frame: &[u8]) {
        self.add(frame);
        disk.write_file(SEGMENT, self.bytes);
    }

    /// Puts a frame behind the others; the next one comes behind it.
    fn add(&mut self, frame: &[u8]) {
        self.bytes.truncate(self.end);
        self.bytes.extend(frame);
        self.end = self.bytes.len();
    }

    /// Writes the name of a kind behind the control record with the hash `previous`.
    fn write_name(self, disk: &SimulatedDirectory, previous: Digest, kind: u16, name: &str) {
        let control = Control::KindName(KindName::new(Kind::new(kind).unwrap(), name).unwrap());
        let (frame, _) = self.control(previous, &control);
        self.write(disk, &frame);
    }

    /// The frame of `control` behind the control record with the hash `previous`, and its hash.
    fn control(&self, previous: Digest, control: &Control) -> (Vec<u8>, Digest) {
        let mut body = Vec::new();
        control.encode(&mut body);
        let stamp = ControlStamp::new(control, Recorded(u64::MAX >> 1), Batch::SINGLE, previous, &body);
        (self.next(FrameType::CONTROL, 0, &stamp.encode(), &body), stamp.hash)
    }

    /// Writes an event with `body` behind the two that are there. Its stamp continues theirs but for what `change`
    /// makes of it, and its hash follows from `previous`.
    fn write_event(
        self,
        disk: &SimulatedDirectory,
        previous: Option<Digest>,
        body: &[u8],
        change: impl Fn(&mut EventStamp),
    ) {
        let last = Event::decode(&self.frame(2)).unwrap().stamp;
        let mut stamp = EventStamp { revision: Revision(last.revision.0 + 1), ..last };
        change(&mut stamp);
        let unhashed = self.next(FrameType::EVENT, 3, &stamp.encode(), body);
        let frame = Frame::decode(&unhashed, self.header.seed(), self.end as u64).unwrap();
        stamp.hash = Event::decode(&frame).unwrap().expected_hash(previous.unwrap_or(last.hash));
        let frame = self.next(FrameType::EVENT, 3, &stamp.encode(), body);
        self.write(disk, &frame);
    }
}

#[test]
fn a_control_record_follows_from_the_one_before_it() {
    let disk = left(1);
    let forger = Forger::new(&disk);
    let last = Control::decode(&forger.frame(1)).unwrap().0.hash;
    forger.write_name(&disk, last, 0x1002, "second");
    let store = options(2).open_on(disk.kill()).unwrap();
    assert_eq!(store.kind_names().len(), 2, "what follows is taken in");
    let disk = left(1);
    Forger::new(&disk).write_name(&disk, Digest([7; 32]), 0x1002, "second");
    assert!(refusal(&disk).contains("the hash of a control record"), "{}", refusal(&disk));
}

#[test]
fn a_kind_has_one_name_for_ever() {
    let disk = left(1);
    let forger = Forger::new(&disk);
    let last = Control::decode(&forger.frame(1)).unwrap().0.hash;
    forger.write_name(&disk, last, 0x1001, "another");
    assert!(refusal(&disk).contains("the name of a kind"), "{}", refusal(&disk));
}

#[test]
fn a_consumers_moves_are_numbered_upwards() {
    for (second, is_refused) in [(2, false), (1, true)] {
        let disk = left(1);
        let mut forger = Forger::new(&disk);
        let mut previous = Control::decode(&forger.frame(1)).unwrap().0.hash;
        for number in [1, second] {
            let moved = Control::ConsumerMove(ConsumerMove {
                consumer: Consumer::Cursor,
                name: ConsumerName::new("a").unwrap(),
                number,
                sequence: Sequence(0),
                hash: Digest::NONE,
                done: Vec::new(),
                is_deleted: false,
            });
            let (frame, hash) = forger.control(previous, &moved);
            forger.add(&frame);
            previous = hash;
        }
        disk.write_file(SEGMENT, forger.bytes);
        if is_refused {
            assert!(refusal(&disk).contains("the number of a consumer's move"), "{}", refusal(&disk));
        } else {
            let store = options(2).open_on(disk.kill()).unwrap();
            assert_eq!(store.find_cursor("a").unwrap().unwrap().move_count, 2);
        }
    }
}

#[test]
fn an_id_is_given_once() {
    let disk = left(1);
    let forger = Forger::new(&disk);
    let (stamp, body) = (forger.frame(0).stamp.to_vec(), forger.frame(0).body.to_vec());
    let frame = forger.next(FrameType::EVENT, 3, &stamp, &body);
    forger.write(&disk, &frame);
    assert!(refusal(&disk).contains("its id was given before"), "{}", refusal(&disk));
}

/// The body of an event of another store.
fn another_body() -> Vec<u8> {
    Forger::new(&left(2)).frame(2).body.to_vec()
}

/// What verification finds damaged.
fn damage(disk: &SimulatedDirectory) -> Vec<String> {
    let report = verify_on(disk.kill(), &mut |_| {}).unwrap();
    report.damage.into_iter().map(|damage| damage.what).collect()
}

fn check_told(disk: &SimulatedDirectory, what: &str) {
    let damage = damage(disk);
    assert!(damage.iter().any(|told| told.contains(what)), "{what}: {damage:?}");
}

#[test]
fn verification_follows_every_event_from_the_one_before_it() {
    let written = |previous: Option<Digest>, change: &dyn Fn(&mut EventStamp)| {
        let disk = left(1);
        Forger::new(&disk).write_event(&disk, previous, &another_body(), change);
        disk
    };
    let next = written(None, &|_| {});
    assert_eq!(damage(&next), [""; 0], "what follows is sound");
    assert_eq!(options(3).open_on(next).unwrap().last_sequence(), Sequence(3));
    check_told(&written(Some(Digest([7; 32])), &|_| {}), "a hash that does not follow");
    check_told(&written(None, &|stamp| stamp.recorded = Recorded(1)), "was recorded at");
    let skipped = written(None, &|stamp| stamp.revision = Revision(9));
    check_told(&skipped, "has revision 9 behind 2");
    check_told(&skipped, "a revision that does not follow");
}

#[test]
fn verification_tells_frames_that_are_whole_and_no_events() {
    let disk = left(1);
    let forger = Forger::new(&disk);
    let frame = forger.next(FrameType::EVENT, 3, forger.frame(2).stamp, &[0; 16]);
    forger.write(&disk, &frame);
    assert_eq!(damage(&disk).len(), 1, "{:?}", damage(&disk));
    let disk = left(1);
    Forger::new(&disk).write_name(&disk, Digest([7; 32]), 0x1002, "second");
    check_told(&disk, "the hash of a control record");
}

/// Writes an event on lane 1 that forks from the event `number` of the two that are there.
fn write_lane(disk: &SimulatedDirectory, number: usize, depth: u64, previous: Option<Digest>) -> EventId {
    let forger = Forger::new(disk);
    let origin = Event::decode(&forger.frame(number)).unwrap();
    let (id, previous) = (EventId([0x77; 16]), previous.unwrap_or(origin.stamp.hash));
    let content = EventContent {
        id,
        correlation: None,
        causation: None,
        occurred: None,
        coordinate: &Coordinate::new("a:1", "scope").unwrap(),
        lane: Some((Lane(1), Fork { depth: Depth(depth), event: Some(origin.id) })),
        tags: &[],
        extensions: &[],
        payload: b"lane",
    };
    let mut body = Vec::new();
    let (flags, _) = content.encode(&mut body).unwrap();
    forger.write_event(disk, Some(previous), &body, |stamp| {
        (stamp.revision, stamp.flags) = (Revision(1), flags);
    });
    id
}

#[test]
fn a_lane_goes_back_to_the_event_that_it_forks_from() {
    let open = |number, depth, previous| {
        let disk = left(1);
        let id = write_lane(&disk, number, depth, previous);
        let whole = verify_on(disk.kill(), &mut |_| {}).unwrap();
        assert_eq!(whole.damage.len(), usize::from(previous.is_some()), "{:?}", whole.damage);
        assert!(whole.damage.iter().all(|damage| damage.sequence == Some(Sequence(3))), "{:?}", whole.damage);
        (options(3).open_on(disk.kill()).unwrap(), id)
    };
    for (number, depth, expected) in [(0, 0, vec![1]), (2, 1, vec![2, 1])] {
        let (store, id) = open(number, depth, None);
        let before: Vec<_> = store.ancestors(id).map(|event| event.unwrap().sequence().0).collect();
        assert_eq!(before, expected);
        assert!(store.verify_event(id).unwrap().is_sound(), "its hash follows from the event it forks from");
        let (store, id) = open(number, depth, Some(Digest([7; 32])));
        assert_eq!(store.verify_event(id).unwrap().damage.len(), 1, "and from no other");
    }
    let (store, id) = open(2, 0, None);
    let mut before = store.ancestors(id);
    let error = before.next().unwrap().unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }) && error.to_string().contains("the depth"), "{error}");
    assert!(before.next().is_none());
}
