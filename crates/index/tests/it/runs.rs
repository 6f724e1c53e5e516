//! A run leads to every segment that has what is asked for, whichever way its bytes come.

use std::{collections::BTreeSet, sync::Arc};

use annals_index::{ActiveIndex, Direction, Error, Index, RunIndex, RunInput, RunMerge, RunSource};
use annals_wire::{
    Chain, Generation, RUN_ENTRIES_PER_PAGE, RUN_LINES_PER_PAGE, RUN_PAGE_LEN, RunEntry, RunHeader, RunPage,
    RunSegment, SIEVE_LINE_LEN, SegmentId, SieveBuilder, StoreId,
};
use proptest::{collection::vec, prelude::*};

use crate::history::{histories, queries, seal};

const STORE: StoreId = StoreId([9; 16]);

/// The run over segments with these keys.
fn encode(segments: &[Vec<u32>]) -> Vec<u8> {
    let inputs: Vec<_> =
        (0..).zip(segments).map(|(place, keys)| (RunInput::Keys(keys.clone()), place)).collect();
    encode_merged(segments.len(), &inputs)
}

fn encode_merged(segment_count: usize, inputs: &[(RunInput<'_>, u16)]) -> Vec<u8> {
    let segment = RunSegment { generation: Generation(0), chain: Chain(7) };
    let header = RunHeader {
        store: STORE,
        first: SegmentId(1),
        segments: vec![segment; segment_count],
        entry_count: inputs.iter().map(|(input, _)| input.entry_count()).sum(),
    };
    let mut merge = RunMerge::new(inputs, None).unwrap();
    let entries: Vec<RunEntry> = std::iter::from_fn(|| merge.next_entry().unwrap()).collect();
    let (mut bytes, seed) = header.encode();
    let (mut sieve, mut lines) = (SieveBuilder::new(header.entry_count), Vec::new());
    for (number, page) in (0..).zip(entries.chunks(RUN_ENTRIES_PER_PAGE)) {
        RunPage::encode(page, seed, number, &mut bytes);
        page.iter().for_each(|entry| sieve.push(entry.hash, &mut lines));
    }
    sieve.finish(&mut lines);
    for (number, lines) in (header.page_count()..).zip(lines.chunks(RUN_LINES_PER_PAGE * SIEVE_LINE_LEN)) {
        RunPage::encode_lines(lines, seed, number, &mut bytes);
    }
    bytes
}

fn whole(bytes: &[u8]) -> Result<RunIndex, Error> {
    RunIndex::new(bytes, RunSource::Whole(Arc::new(bytes.to_vec())), bytes.len() as u64)
}

fn read(bytes: &[u8]) -> Result<RunIndex, Error> {
    let copy = bytes.to_vec();
    let read = move |buffer: &mut [u8], offset: u64| {
        let offset = usize::try_from(offset).unwrap();
        buffer.copy_from_slice(&copy[offset..offset + buffer.len()]);
        Ok(())
    };
    RunIndex::new(bytes, RunSource::Read(Box::new(read)), bytes.len() as u64)
}

/// Few keys, so that segments share some, and some at the ends of what a hash can be.
fn segments() -> impl Strategy<Value = Vec<Vec<u32>>> {
    let key = prop_oneof![6 => 0..40_u32, 4 => any::<u32>(), 1 => Just(u32::MAX), 1 => Just(0)];
    let keys = prop_oneof![9 => vec(key.clone(), 0..60), 1 => vec(key, 900..1_500)];
    vec(keys.prop_map(|keys| BTreeSet::from_iter(keys).into_iter().collect()), 1..20)
}

proptest! {
    #[test]
    fn the_next_segment_with_a_key_is_found(segments in segments(), others in vec(any::<u32>(), 5)) {
        let bytes = encode(&segments);
        let keys: BTreeSet<u32> = segments.iter().flatten().copied().chain(others).collect();
        for run in [whole(&bytes).unwrap(), read(&bytes).unwrap()] {
            for key in keys.iter().step_by(1 + keys.len() / 50) {
                let having: Vec<usize> = (0..segments.len()).filter(|at| segments[*at].contains(key)).collect();
                for from in 0..segments.len() {
                    let place = u16::try_from(from).unwrap();
                    let forward = run.next(*key, place, Direction::Forward).unwrap();
                    prop_assert_eq!(forward.map(usize::from), having.iter().copied().find(|at| *at >= from));
                    let backward = run.next(*key, place, Direction::Backward).unwrap();
                    prop_assert_eq!(backward.map(usize::from), having.iter().copied().rfind(|at| *at <= from));
                }
                prop_assert_eq!(run.next(*key, u16::MAX, Direction::Backward).unwrap().is_some(), !having.is_empty());
            }
        }
    }

    #[test]
    fn merging_runs_gives_what_merging_their_segments_gives(segments in segments(), at in any::<prop::sample::Index>()) {
        let (left, right) = segments.split_at(at.index(segments.len()));
        let bytes = [left, right].map(encode_or_nothing);
        let runs: Vec<_> = bytes.iter().flatten().map(|bytes| read(bytes).unwrap()).collect();
        let places: &[usize] = if left.is_empty() { &[0] } else { &[0, left.len()] };
        let inputs: Vec<_> =
            runs.iter().zip(places).map(|(run, place)| (RunInput::Run(run), u16::try_from(*place).unwrap())).collect();
        prop_assert!(encode_merged(segments.len(), &inputs) == encode(&segments));
    }

    #[test]
    fn a_flipped_bit_is_an_error_or_touches_nothing(segments in segments(), at in any::<prop::sample::Index>()) {
        let bytes = encode(&segments);
        let mut flipped = bytes.clone();
        flipped[at.index(bytes.len())] ^= 1;
        let check = |run: Result<RunIndex, Error>| run?.check_all();
        prop_assert!(check(whole(&bytes)).is_ok() && check(read(&bytes)).is_ok());
        prop_assert!(check(whole(&flipped)).is_err() && check(read(&flipped)).is_err());
        prop_assert!(whole(&bytes[..bytes.len() - RUN_PAGE_LEN]).is_err());
    }

    #[test]
    fn a_sieve_of_other_entries_is_told(segments in segments(), others in segments()) {
        let (bytes, others) = (encode(&segments), encode(&others));
        let header = whole(&bytes).unwrap().header().clone();
        let (_, seed) = header.encode();
        let start = usize::try_from(header.page_offset(header.page_count())).unwrap();
        let other = whole(&others).unwrap().header().clone();
        let other_start = usize::try_from(other.page_offset(other.page_count())).unwrap();
        let mut forged = bytes[..start].to_vec();
        for (number, page) in (header.page_count()..).zip(others[other_start..].chunks(RUN_PAGE_LEN)) {
            RunPage::encode_lines(&page[..RUN_LINES_PER_PAGE * SIEVE_LINE_LEN], seed, number, &mut forged);
        }
        prop_assert_eq!(whole(&forged).and_then(|run| run.check_all()).is_ok(), forged == bytes);
    }

    #[test]
    fn both_forms_of_an_index_have_the_same_keys_and_queries_need_no_others(
        history in histories(),
        queries in vec(queries(), 1..8),
    ) {
        let active: ActiveIndex = history.scan();
        let sealed = seal(&active.encode(&history.trailer())).unwrap();
        let store = history.trailer().store;
        let keys = active.key_hashes(store).unwrap();
        prop_assert!(keys.is_sorted_by(|one, next| one < next));
        prop_assert_eq!(&sealed.key_hashes(store).unwrap(), &keys);
        for query in queries {
            let has_any = history.events().iter().any(|event| query.matches(event));
            let sets = query.key_sets(store);
            let may_have = sets.iter().any(|set| set.iter().all(|key| keys.binary_search(key).is_ok()));
            prop_assert!(may_have || !has_any, "{query:?}");
        }
    }
}

fn encode_or_nothing(segments: &[Vec<u32>]) -> Option<Vec<u8>> {
    if segments.is_empty() { None } else { Some(encode(segments)) }
}
