//! A run leads to every segment that has what is asked for, whichever way its bytes come.

use std::{collections::BTreeSet, sync::Arc};

use annals_index::{ActiveIndex, Direction, Error, Index, RunIndex, RunInput, RunMerge, RunSource};
use annals_wire::{
    Chain, Generation, RUN_ENTRIES_PER_PAGE, RUN_PAGE_LEN, RunEntry, RunHeader, RunPage, RunSegment,
    SegmentId, StoreId,
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
    for (number, page) in (0..).zip(entries.chunks(RUN_ENTRIES_PER_PAGE)) {
        RunPage::encode(page, seed, number, &mut bytes);
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
        let entries = |run: Result<RunIndex, Error>| run?.entries().collect::<Result<Vec<_>, _>>();
        prop_assert!(entries(whole(&flipped)).is_err() && entries(read(&flipped)).is_err());
        prop_assert!(whole(&bytes[..bytes.len() - RUN_PAGE_LEN]).is_err());
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
