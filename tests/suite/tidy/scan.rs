//! Reads Rust just well enough to count: comments, strings and character literals blanked out, braces matched.

/// The text with comments, strings and character literals replaced by blanks; line breaks stay.
pub(super) fn bare(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = match chars[at] {
            '/' if next(&chars, at) == Some('/') => line_end(&chars, at),
            '/' if next(&chars, at) == Some('*') => comment_end(&chars, at),
            '"' => string_end(&chars, at + 1),
            'r' if !word_before(&chars, at) => raw_string_end(&chars, at).unwrap_or(at),
            '\'' => char_end(&chars, at).unwrap_or(at),
            _ => at,
        };
        if end == at {
            out.push(chars[at]);
            at += 1;
            continue;
        }
        out.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    out
}

fn next(chars: &[char], at: usize) -> Option<char> {
    chars.get(at + 1).copied()
}

fn word_before(chars: &[char], at: usize) -> bool {
    at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_') && chars[at - 1] != 'b'
}

fn line_end(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|c| *c == '\n').map_or(chars.len(), |length| at + length)
}

fn comment_end(chars: &[char], at: usize) -> usize {
    let (mut depth, mut at) = (0_usize, at);
    while at < chars.len() {
        match (chars[at], next(chars, at)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    chars.len()
}

fn string_end(chars: &[char], mut at: usize) -> usize {
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    chars.len()
}

fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    let start = at + 1 + hashes;
    if chars.get(start) != Some(&'"') {
        return None;
    }
    let mut end = start + 1;
    while end < chars.len() {
        if chars[end] == '"' && chars[end + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
        {
            return Some(end + 1 + hashes);
        }
        end += 1;
    }
    Some(chars.len())
}

/// The end of a character literal; `None` for a lifetime.
fn char_end(chars: &[char], at: usize) -> Option<usize> {
    if next(chars, at)? == '\\' {
        return chars[at + 3..].iter().position(|c| *c == '\'').map(|length| at + 4 + length);
    }
    (chars.get(at + 2) == Some(&'\'')).then_some(at + 3)
}

/// Every function with a body: its name and its lines from `fn` to the closing brace.
pub(super) fn functions(text: &str) -> Vec<(String, usize)> {
    let code = bare(text);
    let mut found = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        let name: String = code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if before.is_alphanumeric() || before == '_' || name.is_empty() {
            continue;
        }
        if let Some(lines) = body_lines(&code[at..]) {
            found.push((name, lines));
        }
    }
    found
}

/// Lines up to the brace that closes the first one; `None` when a `;` ends the declaration before.
fn body_lines(code: &str) -> Option<usize> {
    let (mut braces, mut brackets) = (0_usize, 0_usize);
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets = brackets.saturating_sub(1),
            ';' if braces == 0 && brackets == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces = braces.saturating_sub(1);
                if braces == 0 {
                    return Some(code[..at].matches('\n').count() + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// Names of the functions that a test runner runs.
pub(super) fn test_names(text: &str) -> Vec<String> {
    let code = bare(text);
    let mut names = Vec::new();
    let mut marked = code.contains("proptest!");
    let all = marked;
    for line in code.lines() {
        let line = line.trim();
        marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let declaration = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        if let Some(rest) = declaration
            && marked
        {
            names.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
            marked = all;
        }
    }
    names
}

#[test]
fn the_scanner_reads_strings_comments_and_lifetimes() {
    let text = "fn a<'x>(b: &'x str) -> char { let c = \"}\\\"}\"; /* } /* } */ } */ let r = r#\"}\"}\"#; '}' } // }\nfn b();";
    assert_eq!(functions(text), vec![("a".to_owned(), 1)]);
    assert_eq!(functions("fn a() -> [u8; 3] {\n\n}\n"), vec![("a".to_owned(), 3)]);
    assert_eq!(bare("let a = b\"x\\\\\"; b"), "let a = b     ; b");
    assert_eq!(
        test_names("#[test]\nfn one() {}\nfn two() {}\n#[tokio::test]\nasync fn three() {}"),
        ["one", "three"]
    );
}
