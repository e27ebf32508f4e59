//! The whole city: eighteen senders with fourteen hundred cameras, a backlog first and then changes as they happen, and
//! one operator who watches.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fengsui_config::clock::{Clock as _, SystemClock};
use fengsui_config::ids::NodeId;
use fengsui_relay::event::Priority;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::one::change;
use super::{AGE_P95_MS, CATCH_UP_MIN, CITY_RATE, Options, Stand, percentile};
use crate::figure::{Figure, Target};
use crate::harness::sse::{EventStream, Told};
use crate::harness::{Doing as _, HarnessError, Outcome};
use crate::procstat;
use crate::scenario::outpost::Outpost;

/// Share of a core that the centre may take, in percent.
const CENTRE_CPU_PERCENT: f64 = 10.0;
/// Of so many changes one is an alarm.
const ALARM_OF: u32 = 20;
/// Longest that anything may take.
const PATIENCE: Duration = Duration::from_secs(300);
const LOOK: Duration = Duration::from_millis(100);
/// Time between two wishes to make events.
const TICK: Duration = Duration::from_millis(5);

/// An outpost, and the cameras of which it tells.
struct Post {
    outpost: Arc<Outpost>,
    cameras: Vec<u16>,
}

/// The events that an operator was told of.
#[derive(Default)]
struct View {
    /// Microseconds from the making of each event to its first arrival; and how often its record arrived.
    seen: HashMap<String, (i64, u32)>,
    alarms: Vec<i64>,
}

impl View {
    fn take(&mut self, told: &Told, now_us: i64) {
        let text = |at: &str| told.data.pointer(at).and_then(Value::as_str);
        let made = told.data.pointer("/record/at_us").and_then(Value::as_i64);
        let (Some(id), Some(made), "event") = (text("/record/id"), made, told.name.as_str()) else { return };
        let ahead = told.data.pointer("/row/ahead").and_then(Value::as_bool).unwrap_or(false);
        if !self.seen.contains_key(id) && text("/record/priority") == Some("alarm") {
            self.alarms.push(now_us - made);
        }
        let entry = self.seen.entry(id.to_owned()).or_insert((now_us - made, 0));
        entry.1 += u32::from(!ahead);
    }
}

pub(super) async fn measure(options: &Options, program: &Path, show: &mut dyn FnMut(Figure)) -> Outcome<()> {
    let stand = Stand::start(program).await?;
    let posts = posts(&stand, options).await?;
    let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
    let waiting = u64::from(options.rate) * u64::from(options.backlog);
    for n in 0..u32::try_from(waiting).unwrap_or(u32::MAX) {
        tell(&posts, n, false);
    }
    for post in &posts {
        let (outpost, stop) = (post.outpost.clone(), stop.clone());
        tasks.spawn(async move { outpost.run(stop).await });
    }
    catch_up(&stand, waiting, show).await?;
    live(&stand, &posts, options, show).await?;
    stop.cancel();
    while let Some(ended) = tasks.join_next().await {
        ended.doing("wait for a sender")?.map_err(HarnessError)?;
    }
    stand.centre.stop().await.map(drop)
}

/// Enrols the nodes and connects a sender for each.
async fn posts(stand: &Stand, options: &Options) -> Outcome<Vec<Post>> {
    let mut posts = Vec::new();
    for number in 1..=options.nodes {
        let cameras: Vec<u16> =
            (1..=options.cameras).filter(|n| n % options.nodes == number % options.nodes).collect();
        // As many names as there are nodes, for as long as the program runs.
        let name: &'static str = Box::leak(format!("sub-{number}").into_boxed_str());
        let config = stand.city.admit_with(name, &cameras)?;
        let link = stand.city.link(name, &config).await?;
        let node: NodeId = name.parse().doing("name a node")?;
        posts.push(Post { outpost: Arc::new(Outpost::new(node, link, cameras.len())), cameras });
    }
    Ok(posts)
}

/// Change `n` of the city; gives the name by which the centre knows its record.
fn tell(posts: &[Post], n: u32, alarms: bool) -> Option<String> {
    let count = u32::try_from(posts.len()).ok()?;
    let post = posts.get(usize::try_from(n % count).ok()?)?;
    let turn = usize::try_from(n / count).ok()?;
    let (round, at) = (turn / post.cameras.len(), turn % post.cameras.len());
    let (camera, outpost) = (post.cameras.get(at)?, &post.outpost);
    let mut event = change(n, !round.is_multiple_of(2), *camera, &outpost.node, outpost.clock().utc());
    if alarms && n.is_multiple_of(ALARM_OF) {
        event.priority = Priority::Alarm;
    }
    let seq = outpost.note(event.body());
    Some(format!("{}.1.{seq}", outpost.node))
}

/// All that waited at the nodes when their links came up.
async fn catch_up(stand: &Stand, waiting: u64, show: &mut dyn FnMut(Figure)) -> Outcome<()> {
    let begun = Instant::now();
    let mut first = None;
    loop {
        let applied = stand.applied().await?;
        if applied >= waiting {
            break;
        }
        if applied > 0 {
            first.get_or_insert((Instant::now(), applied, stand.cpu()?));
        }
        if begun.elapsed() > PATIENCE {
            return Err(HarnessError(format!("only {applied} of {waiting} frames came")));
        }
        tokio::time::sleep(LOOK).await;
    }
    let Some((at, had, cpu)) = first else { return Ok(()) };
    let (frames, after) = ((waiting - had) as f64, stand.cpu()?);
    let rate = frames / at.elapsed().as_secs_f64();
    show(Figure::new("relay_city_throughput", rate, "events/s", Target::Shown));
    show(Figure::new("relay_city_catch_up", rate / CITY_RATE, "x", Target::AtLeast(CATCH_UP_MIN)));
    for (name, used) in [("centre", after.centre - cpu.centre), ("nats", after.nats - cpu.nats)] {
        let cost = used / frames * 1000.0;
        show(Figure::new(
            format!("relay_city_catch_up_cpu_{name}"),
            cost,
            "cpu-s/1000-events",
            Target::Shown,
        ));
    }
    Ok(())
}

/// Changes as they happen, and an operator who watches.
async fn live(stand: &Stand, posts: &[Post], options: &Options, show: &mut dyn FnMut(Figure)) -> Outcome<()> {
    let view = Arc::new(Mutex::new(View::default()));
    let mut stream = EventStream::open(&stand.above, None).await?;
    let (seen, clock) = (view.clone(), SystemClock::new());
    let mut reading = JoinSet::new();
    reading.spawn(async move {
        while let Ok(told) = stream.next().await {
            let now = clock.utc().0;
            seen.lock().take(&told, now);
        }
    });
    let (before, own, begun) = (stand.cpu()?, own_cpu()?, Instant::now());
    let (mut made, all) = (Vec::new(), options.rate * options.seconds);
    while u32::try_from(made.len()).unwrap_or(u32::MAX) < all {
        let due = (begun.elapsed().as_secs_f64() * f64::from(options.rate)) as usize;
        while made.len() < due.min(all as usize) {
            made.extend(tell(posts, u32::try_from(made.len()).unwrap_or(0), true));
        }
        tokio::time::sleep(TICK).await;
    }
    let (after, used, seconds) = (stand.cpu()?, own_cpu()? - own, begun.elapsed().as_secs_f64());
    let waiting = Instant::now();
    let missing = || {
        let view = view.lock();
        made.iter().filter(|id| view.seen.get(*id).is_none_or(|(_, times)| *times == 0)).count()
    };
    while missing() > 0 && waiting.elapsed() < Duration::from_secs(15) {
        tokio::time::sleep(LOOK).await;
    }
    let lost = missing();
    reading.shutdown().await;
    let mut view = view.lock();
    let doubled = view.seen.values().filter(|(_, times)| *times > 1).count();
    let mut ages: Vec<i64> = made.iter().filter_map(|id| Some(view.seen.get(id)?.0)).collect();
    let of_core = |cpu: f64| cpu / seconds * 100.0;
    let city = f64::from(options.rate) >= CITY_RATE;
    let target = |most: f64| if city { Target::AtMost(most) } else { Target::Shown };
    let centre = of_core(after.centre - before.centre);
    let figures = [
        Figure::new("relay_city_rate", made.len() as f64 / seconds, "events/s", Target::Shown),
        Figure::new("relay_city_centre_cpu", centre, "%-of-core", target(CENTRE_CPU_PERCENT)),
        Figure::new("relay_city_nats_cpu", of_core(after.nats - before.nats), "%-of-core", Target::Shown),
        Figure::new("relay_city_senders_cpu", of_core(used), "%-of-core", Target::Shown),
        Figure::new("relay_city_view_age_p50", percentile(&mut ages, 50), "ms", Target::Shown),
        Figure::new("relay_city_view_age_p95", percentile(&mut ages, 95), "ms", target(AGE_P95_MS)),
        Figure::new("relay_city_view_age_p99", percentile(&mut ages, 99), "ms", Target::Shown),
        Figure::new("relay_city_alarm_p95", percentile(&mut view.alarms, 95), "ms", target(AGE_P95_MS)),
        Figure::new("relay_city_lost", lost as f64, "events", Target::Exactly(0.0)),
        Figure::new("relay_city_doubled", doubled as f64, "events", Target::Exactly(0.0)),
    ];
    figures.into_iter().for_each(show);
    Ok(())
}

fn own_cpu() -> Outcome<f64> {
    procstat::own_cpu_seconds().doing("read the own use")
}
