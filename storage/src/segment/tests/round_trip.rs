//! What goes in comes out: by our own reader and by an independent parser.

use mp4_atom::{Any, DecodeMaybe, Header};
use proptest::prelude::*;

use super::kit;
use crate::frame::{AccessUnit, Track};
use crate::segment::mux::{self, Audience};
use crate::segment::{EndReason, SegmentReader, SegmentWriter};

fn same(a: &AccessUnit, b: &AccessUnit) -> bool {
    (a.track, a.key, a.pts, &a.data) == (b.track, b.key, b.pts, &b.data) && a.utc.since(b.utc).abs() < 100
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn every_unit_comes_back_as_it_was(
        n in 1u64..200, gop in 1u64..120, len in 1usize..900, audio: bool, fps in 1u64..60, number: u64,
    ) {
        let (fs, root) = kit::volume();
        let info = kit::info(audio);
        let mut units = Vec::new();
        for i in 0..n {
            units.push(kit::picture(i, fps, i % gop == 0, len + (i as usize * 37) % 500));
            if audio && i < 150 {
                units.push(kit::sound(i));
            }
        }
        let mut w = SegmentWriter::create(&fs, &root, kit::head(number, &info), 0, kit::signer()).unwrap();
        let mut buf = crate::fs::PageBuf::new();
        kit::feed(&mut w, &units, &mut buf);
        let made = w.close(&fs, EndReason::StreamEnd, &mut buf).unwrap();
        let r = SegmentReader::open(&fs, &made.path, None).unwrap();
        prop_assert_eq!(r.head(), &kit::head(number, &info));
        let got: Vec<_> = (0..r.fragments().len() as u32).flat_map(|i| r.samples(i).unwrap()).collect();
        for track in [Track::Video, Track::Audio] {
            let want: Vec<_> = units.iter().filter(|u| u.track == track).collect();
            let have: Vec<_> = got.iter().filter(|u| u.track == track).collect();
            prop_assert_eq!(want.len(), have.len());
            for (a, b) in want.iter().zip(&have) {
                prop_assert!(same(a, b), "{:?} {:?}", a, b);
            }
        }
        prop_assert_eq!(made.row.name().to_string(), made.path.file_name().unwrap().to_str().unwrap());
    }

    #[test]
    fn pictures_out_of_order_keep_their_times(groups in 1usize..12, depth in 1i64..4, len in 1usize..300) {
        // I P B.. P B..: decode order; each P is shown after the `depth` B that follow it.
        let (fs, root) = kit::volume();
        let info = kit::info(false);
        let mut order = vec![0i64];
        for g in 0..groups as i64 * 8 {
            let base = g * (depth + 1);
            order.push(base + depth + 1);
            order.extend((1..=depth).map(|b| base + b));
        }
        let units: Vec<_> = order.iter().enumerate().map(|(i, shown)| {
            let mut u = kit::picture(*shown as u64, 25, i == 0, len);
            u.arrived = kit::picture(i as u64, 25, false, 1).utc;
            u
        }).collect();
        let made = kit::closed(&fs, &root, &info, &units);
        let r = SegmentReader::open(&fs, &made.path, None).unwrap();
        let mut got = Vec::new();
        let mut decode = -1i64;
        for (i, f) in r.fragments().iter().enumerate() {
            prop_assert!(f.tfdt as i64 > decode, "decode times go on rising across fragments");
            decode = f.tfdt as i64;
            got.extend(r.samples(i as u32).unwrap());
        }
        prop_assert_eq!(units.len(), got.len());
        for (a, b) in units.iter().zip(&got) {
            prop_assert_eq!((a.pts, &a.data), (b.pts, &b.data));
        }
    }
}

/// All top-level boxes by an independent parser.
fn boxes(bytes: &[u8]) -> Vec<Any> {
    let mut rest = bytes;
    let mut out = Vec::new();
    while !rest.is_empty() {
        let header = Header::decode_maybe(&mut { rest }).unwrap().unwrap();
        let any = Any::decode_maybe(&mut rest).unwrap().unwrap_or_else(|| panic!("box {header:?}"));
        out.push(any);
    }
    out
}

#[test]
fn an_independent_parser_reads_the_whole_file() {
    let (fs, root) = kit::volume();
    let units = kit::stream(120, 25, 200, true);
    let made = kit::closed(&fs, &root, &kit::info(true), &units);
    let all = boxes(&fs.get(&made.path).unwrap());
    let Any::Moov(moov) = &all[1] else { panic!("{:?}", all[1]) };
    assert_eq!(moov.trak.len(), 2);
    assert_eq!(moov.mvex.as_ref().unwrap().trex.len(), 2);
    let mut pictures = 0;
    let mut next = 0;
    for any in &all {
        if let Any::Moof(moof) = any {
            assert!(moof.traf.iter().all(|t| t.tfhd.default_base_is_moof));
            let video = &moof.traf[0];
            assert_eq!(video.tfdt.as_ref().unwrap().base_media_decode_time, next);
            for s in video.trun[0].samples.iter() {
                next += u64::from(s.duration.unwrap());
                pictures += 1;
            }
        }
    }
    assert_eq!(pictures, 120);
    assert_eq!(next, 120 * 3600, "durations are exact over groups and fragments");
    assert!(matches!(all.last().unwrap(), Any::Mfra(_)), "{:?}", all.last());
}

#[test]
fn browser_copies_have_absolute_times_and_no_sound() {
    let (fs, root) = kit::volume();
    let units = kit::stream(60, 25, 200, true);
    let made = kit::closed(&fs, &root, &kit::info(true), &units);
    let r = SegmentReader::open(&fs, &made.path, None).unwrap();
    let init = boxes(&mux::init_segment(r.info(), Audience::Browser).unwrap());
    let Any::Moov(moov) = &init[1] else { panic!() };
    assert_eq!(moov.trak.len(), 1);
    let f = r.fragments()[1];
    let copy = mux::browser_fragment(&r.read_fragment(1).unwrap(), f.utc, 9).unwrap();
    let parts = boxes(&copy);
    let (Any::Moof(moof), Any::Mdat(mdat)) = (&parts[0], &parts[1]) else { panic!() };
    assert_eq!(moof.traf.len(), 1);
    assert_eq!(
        moof.traf[0].tfdt.as_ref().unwrap().base_media_decode_time,
        u64::try_from(f.utc.0 * 9 / 100).unwrap()
    );
    let pictures: Vec<u8> = r
        .samples(1)
        .unwrap()
        .iter()
        .filter(|u| u.track == Track::Video)
        .flat_map(|u| u.data.to_vec())
        .collect();
    assert_eq!(mdat.data, pictures);
}

#[test]
fn a_live_fragment_is_one_picture_at_its_utc() {
    let unit = kit::picture(3, 25, true, 500);
    let mut last = i64::MIN;
    let at = mux::next_decode_time(&mut last, &unit);
    let bytes = mux::live_fragment(&unit, 4, at, 3600);
    let parts = boxes(&bytes);
    let (Any::Moof(moof), Any::Mdat(mdat)) = (&parts[0], &parts[1]) else { panic!() };
    assert_eq!(mdat.data, unit.data);
    assert_eq!(moof.traf[0].trun[0].data_offset, Some(112));
    assert_eq!(moof.traf[0].tfdt.as_ref().unwrap().base_media_decode_time as i64, unit.utc.0 * 9 / 100);
    let sample = moof.traf[0].trun[0].samples.iter().next().unwrap();
    assert_eq!((sample.duration, sample.size), (Some(3600), Some(500)));
    // A picture shown before the one decoded last goes on in decode order, with a negative offset.
    let earlier = kit::picture(1, 25, false, 10);
    let second = mux::next_decode_time(&mut last, &earlier);
    assert_eq!(second, at + 1);
    let Any::Moof(moof) = boxes(&mux::live_fragment(&earlier, 5, second, 3600)).swap_remove(0) else {
        panic!()
    };
    let cts = moof.traf[0].trun[0].samples.iter().next().unwrap().cts.unwrap();
    assert_eq!(second + cts, earlier.utc.0 * 9 / 100);
}
