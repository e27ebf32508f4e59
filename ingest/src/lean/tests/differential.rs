//! `FENGSUI_SEED` begins with that seed, `FENGSUI_SEEDS` sets how many there are.

use fengsui_config::env::{Env as _, ProcessEnv};
use fengsui_storage::board::FailureClass;
use rand::prelude::*;
use rand::rngs::StdRng;

use super::device::Maker;
use super::{Device, Heard, Trouble, retina_hears, wire_hears};

fn number(name: &str) -> Option<u64> {
    ProcessEnv.get(name)?.parse().ok()
}

fn seeds(usual: u64) -> std::ops::Range<u64> {
    let first = number("FENGSUI_SEED").unwrap_or(1);
    let count = number("FENGSUI_SEEDS").unwrap_or(if number("FENGSUI_SEED").is_some() { 1 } else { usual });
    first..first + count
}

/// How far the two can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compared {
    /// To the end.
    Whole,
    /// Until the other client gave a session up that we go on with.
    Part,
    /// Until we left a session to the other client.
    Left,
}

fn head(ours: &[String], theirs: &[String]) -> Result<(), String> {
    for (n, (a, b)) in ours.iter().zip(theirs).enumerate() {
        if a != b {
            return Err(format!("item {n} is\n{a:.300}\nand not\n{b:.300}"));
        }
    }
    Ok(())
}

/// A broken packet that ends a unit: the other client keeps that unit, and panics at the next video packet, if one comes.
fn keeps_a_unit(theirs: &[String], ours: &[String]) -> Option<usize> {
    let n = theirs.iter().zip(ours).position(|(a, b)| a != b)?;
    let video = |item: &&String| item.starts_with("Unit") && item.contains("track: Video");
    let mut behind = ours[n..].iter().skip_while(|item| item.starts_with("Tracks"));
    let fits = theirs[n] == "BadPacket"
        && behind.next().as_ref().is_some_and(video)
        && behind.next().is_some_and(|item| item == "BadPacket");
    (fits && !theirs[n..].iter().any(|item| video(&item))).then_some(n)
}

fn compare(mut theirs: Heard, ours: &Heard, trouble: Option<&Trouble>) -> Result<Compared, String> {
    let end = ours.end.as_ref().unwrap();
    let kept = keeps_a_unit(&theirs.items, &ours.items);
    theirs.items.truncate(kept.unwrap_or(usize::MAX));
    let Some(failure) = theirs.end.as_ref().filter(|_| kept.is_none()) else {
        head(&ours.items, &theirs.items)?;
        let enough = ours.items.len() >= theirs.items.len();
        return if enough { Ok(Compared::Part) } else { Err("less".to_owned()) };
    };
    head(&ours.items, &theirs.items)?;
    let gave_up =
        failure.class == FailureClass::BadData && theirs.items.last().is_some_and(|i| i == "BadPacket");
    if gave_up && ours.items.len() > theirs.items.len() {
        return Ok(Compared::Part);
    }
    if let Some(Trouble::Unknown(_)) = trouble
        && ours.items.len() <= theirs.items.len()
    {
        return Ok(Compared::Left);
    }
    if ours.items.len() != theirs.items.len() {
        return Err(format!("{} items, and not {}", ours.items.len(), theirs.items.len()));
    }
    if end.class != failure.class {
        return Err(format!("it ends with {end:?}, and not with {failure:?}"));
    }
    Ok(Compared::Whole)
}

fn against_retina(device: &Device, rng: &mut StdRng) -> Result<Compared, String> {
    let most = [1, 30, 3000, 100_000][rng.random_range(0..4)];
    let (ours, trouble) = wire_hears(device, &mut || rng.random_range(1..=most));
    compare(retina_hears(device), &ours, trouble.as_ref())
}

#[test]
#[allow(clippy::print_stdout, reason = "the figures of a campaign")]
fn every_item_is_the_one_that_retina_delivers() {
    let (mut whole, mut all) = (0, 0);
    for seed in seeds(250) {
        let device = Maker::device(seed);
        match against_retina(&device, &mut StdRng::seed_from_u64(!seed)) {
            Ok(how) => whole += u64::from(how == Compared::Whole),
            Err(what) => panic!("{what}\nreplay with FENGSUI_SEED={seed}"),
        }
        all += 1;
    }
    println!("FIGURE wire.sessions_like_retinas {all} sessions target none ok");
    println!("FIGURE wire.compared_to_their_end {whole} sessions target none ok");
    assert!(all < 50 || whole * 10 >= all * 8, "only {whole} of {all} sessions were compared to their end");
}

#[test]
fn it_does_not_matter_where_the_bytes_are_split() {
    for seed in seeds(200) {
        let device = Maker::device(seed);
        let mut rng = StdRng::seed_from_u64(seed);
        let (one, _) = wire_hears(&device, &mut || usize::MAX);
        for most in [1, 20, 2000] {
            let (other, _) = wire_hears(&device, &mut || rng.random_range(1..=most));
            assert!(one.items == other.items && one.end == other.end, "replay with FENGSUI_SEED={seed}");
        }
    }
}
