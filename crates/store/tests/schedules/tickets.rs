//! Tickets under concurrent appends: places in order, no durable said before it is, and nobody waits for ever.

use annals::{Condition, Coordinate, Durability, Kind, NewEvent, Query, QueryItem, Sequence};

use crate::{
    disk::Disk,
    explore::Model,
    scene::{LONG, Promises, append, check_reads, check_sound, choice, id, options, spawn},
};

pub(crate) const MODELS: &[Model] = &[
    Model::new("a_ticket_is_durable_when_it_says_so", a_ticket_is_durable_when_it_says_so),
    Model::new("a_condition_has_one_winner", a_condition_has_one_winner),
];

fn a_ticket_is_durable_when_it_says_so() {
    let disk = Disk::new();
    let store = options().queue_bytes_max(4096).open_on(disk.clone()).unwrap();
    let promises = Promises::on(&disk);
    let threads: Vec<_> = [[0, 1, 2], [3, 4, 5]]
        .into_iter()
        .map(|numbers| {
            let (store, promises) = (store.clone(), promises.clone());
            spawn(move || {
                let (at, kind) = (Coordinate::new("order:1", "shop").unwrap(), Kind::new(0x2001).unwrap());
                let tickets = numbers.map(|number| {
                    let event = NewEvent::new(&at, kind, &[7; LONG]).id(id(number));
                    store.submit(&[event], &Condition::new()).unwrap()
                });
                let places = tickets.each_ref().map(|ticket| ticket.receipts()[0].sequence);
                assert!(places.is_sorted(), "{places:?}");
                for ticket in tickets {
                    if ticket.is_durable().unwrap() || choice(2) == 0 {
                        let receipts = ticket.wait().unwrap();
                        receipts.into_iter().for_each(|receipt| promises.note(receipt, Durability::Durable));
                    }
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    promises.check();
    store.sync().unwrap();
    assert_eq!(check_reads(&store), 6);
    store.close().unwrap();
    check_sound(&disk.simulated);
}

fn a_condition_has_one_winner() {
    let disk = Disk::new();
    let store = options().open_on(disk).unwrap();
    let threads: Vec<_> = (0..3)
        .map(|number| {
            let store = store.clone();
            spawn(move || {
                let at = Coordinate::new(&format!("order:{number}"), "shop").unwrap();
                let kind = Kind::new(0x2001).unwrap();
                let event = [NewEvent::new(&at, kind, &[7; LONG]).id(id(number))];
                let first = Condition::new().no_event(Query::of(QueryItem::new().kind(kind)), Sequence(0));
                let level = if choice(2) == 0 { Durability::Durable } else { Durability::Queued };
                match store.append_if_with(&event, &first, level) {
                    Ok(_) => 1,
                    Err(error) => {
                        assert!(error.is_conflict(), "{error}");
                        0
                    }
                }
            })
        })
        .collect();
    let winners: u32 = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(winners, 1);
    append(&store, 10, LONG, Durability::Durable).unwrap();
    assert_eq!(check_reads(&store), 2);
}
