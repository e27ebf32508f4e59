//! Server-sent events, as a browser would read them.

use std::time::Duration;

use serde_json::Value;

use super::{Api, Doing as _, HarnessError, Outcome};

/// Longest that a stream is read.
const STREAM_MAX: Duration = Duration::from_secs(24 * 3600);

/// An open stream of `GET /api/v1/events`.
pub struct EventStream {
    answer: reqwest::Response,
    /// What was received and not read yet.
    rest: Vec<u8>,
}

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Its name, for example `event`.
    pub name: String,
    /// Its id, by which a browser that comes back goes on.
    pub id: String,
    /// Its data.
    pub data: Value,
}

impl EventStream {
    /// Opens the stream, behind the event `last` or at the end.
    ///
    /// # Errors
    /// When the server does not give it.
    pub async fn open(api: &Api, last: Option<&str>) -> Outcome<Self> {
        let mut request = api.request(reqwest::Method::GET, "/events").timeout(STREAM_MAX);
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let answer = request.send().await.doing("open the stream of events")?;
        let answer = answer.error_for_status().doing("open the stream of events")?;
        Ok(Self { answer, rest: Vec::new() })
    }

    /// Waits for the next event.
    ///
    /// # Errors
    /// When the stream ends or is no such stream.
    pub async fn next(&mut self) -> Outcome<Told> {
        loop {
            while let Some(end) = self.rest.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.rest.drain(..end + 2).collect();
                if let Some(told) = read(&String::from_utf8_lossy(&block))? {
                    return Ok(told);
                }
            }
            match self.answer.chunk().await.doing("read the stream of events")? {
                Some(bytes) => self.rest.extend_from_slice(&bytes),
                None => return Err(HarnessError("the stream of events ended".to_owned())),
            }
        }
    }
}

/// One block of the stream; none when it is a comment.
fn read(block: &str) -> Outcome<Option<Told>> {
    let field = |name: &str| {
        let value = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(':')?.trim_start().to_owned());
        block.lines().filter_map(value).collect::<Vec<_>>().join("\n")
    };
    let data = field("data");
    if data.is_empty() {
        return Ok(None);
    }
    let data = serde_json::from_str(&data).doing("read the data of an event")?;
    Ok(Some(Told { name: field("event"), id: field("id"), data }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_event_is_read_and_a_comment_passed_over() {
        let told = read("id: 5-7\nevent: event\ndata: {\"a\":1}\n\n").unwrap().unwrap();
        assert_eq!((told.name.as_str(), told.id.as_str()), ("event", "5-7"));
        assert_eq!(told.data.pointer("/a").and_then(Value::as_u64), Some(1));
        assert_eq!(read(": still here\n\n").unwrap(), None);
        assert!(read("data: {\n\n").is_err());
    }
}
