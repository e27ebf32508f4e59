//! The format of version 1, byte for byte.

use std::path::{Path, PathBuf};

use super::kit;
use crate::fs::SimFs;
use crate::segment::{KeyId, Outcome, SegmentReader, check};

fn made() -> (PathBuf, Vec<u8>) {
    let (fs, root) = kit::volume();
    let closed = kit::closed(&fs, &root, &kit::info(true), &kit::stream(60, 25, 60, true));
    let bytes = fs.get(&closed.path).unwrap();
    (closed.path, bytes)
}

fn stored() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/segment-v1.mp4")
}

#[test]
fn version_1_is_written_byte_for_byte_as_ever() {
    let (path, bytes) = made();
    let name = path.file_name().unwrap().to_str().unwrap();
    assert_eq!(name, "1748736000000_1_2400_vak.mp4");
    let golden = std::fs::read(stored()).unwrap();
    assert_eq!(bytes.len(), golden.len());
    let first = bytes.iter().zip(&golden).position(|(a, b)| a != b);
    assert_eq!(first, None, "the first byte that differs");
}

#[test]
fn version_1_is_read_for_ever() {
    let fs = SimFs::new(1);
    let path = Path::new("/v1/1748736000000_1_2400_vak.mp4");
    fs.put(path, std::fs::read(stored()).unwrap());
    let found = check(&fs, path, true).unwrap();
    assert_eq!((found.outcome, found.closed, found.signed), (Outcome::Clean, true, true));
    assert_eq!(found.key_id, Some(KeyId(kit::signer().id().0)));
    let r = SegmentReader::open(&fs, path, None).unwrap();
    assert_eq!(r.head(), &kit::head(1, &kit::info(true)));
    let units: usize = (0..r.fragments().len() as u32).map(|i| r.samples(i).unwrap().len()).sum();
    assert_eq!(units, 120);
}

#[test]
#[ignore = "writes the golden file; for a new version of the format only"]
fn write_the_golden_file() {
    std::fs::write(stored(), made().1).unwrap();
}
