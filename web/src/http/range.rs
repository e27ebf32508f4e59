//! `Range` of one part (RFC 9110 section 14), pure.

/// What a `Range` header asks of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// The whole file: no header, another unit, several parts, or nonsense, all of which may be ignored.
    Whole,
    /// Bytes `from` to `to`, both included.
    Part {
        /// First byte.
        from: u64,
        /// Last byte.
        to: u64,
    },
    /// No byte of the file is in the range.
    Outside,
}

/// Reads a `Range` header against a file of `length` bytes.
#[must_use]
pub fn parse(header: Option<&str>, length: u64) -> Asked {
    let Some(spec) = header.and_then(|h| h.trim().strip_prefix("bytes=")) else { return Asked::Whole };
    let Some((first, last)) = spec.split_once('-') else { return Asked::Whole };
    let (first, last) = (first.trim(), last.trim());
    if first.is_empty() {
        return match last.parse::<u64>() {
            Ok(0) => Asked::Outside,
            Ok(_) if length == 0 => Asked::Outside,
            Ok(n) => Asked::Part { from: length.saturating_sub(n), to: length - 1 },
            Err(_) => Asked::Whole,
        };
    }
    let Ok(from) = first.parse::<u64>() else { return Asked::Whole };
    let to = match last {
        "" => u64::MAX,
        text => match text.parse::<u64>() {
            Ok(to) if to >= from => to,
            _ => return Asked::Whole,
        },
    };
    if from >= length {
        return Asked::Outside;
    }
    Asked::Part { from, to: to.min(length - 1) }
}

#[cfg(test)]
mod tests {
    use super::{Asked, parse};

    #[test]
    fn parts_are_read_and_clamped() {
        assert_eq!(parse(Some("bytes=0-99"), 1000), Asked::Part { from: 0, to: 99 });
        assert_eq!(parse(Some("bytes=900-"), 1000), Asked::Part { from: 900, to: 999 });
        assert_eq!(parse(Some("bytes=900-5000"), 1000), Asked::Part { from: 900, to: 999 });
        assert_eq!(parse(Some("bytes=-100"), 1000), Asked::Part { from: 900, to: 999 });
        assert_eq!(parse(Some("bytes=-5000"), 1000), Asked::Part { from: 0, to: 999 });
    }

    #[test]
    fn nonsense_and_several_parts_mean_the_whole_file() {
        for text in ["bytes=0-1,5-6", "lines=1-2", "bytes=x-", "bytes=9-3", "bytes", "bytes=-x"] {
            assert_eq!(parse(Some(text), 1000), Asked::Whole, "{text}");
        }
        assert_eq!(parse(None, 1000), Asked::Whole);
    }

    #[test]
    fn a_range_behind_the_end_is_outside() {
        assert_eq!(parse(Some("bytes=1000-"), 1000), Asked::Outside);
        assert_eq!(parse(Some("bytes=-0"), 1000), Asked::Outside);
        assert_eq!(parse(Some("bytes=-1"), 0), Asked::Outside);
        assert_eq!(parse(Some("bytes=0-"), 0), Asked::Outside);
    }
}
