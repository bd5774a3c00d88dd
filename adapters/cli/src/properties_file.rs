//! Files of properties as Java writes and reads them (`java.util.Properties`), but in UTF-8.

use core::fmt;

/// A property, and the line on which it begins.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) line: usize,
    pub(crate) name: String,
    pub(crate) value: String,
}

/// Without the value, which may be a secret.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {:?}", self.line, self.name)
    }
}

const WHITE: [char; 3] = [' ', '\t', '\u{c}'];

/// All properties of a file, in its order.
///
/// # Errors
///
/// The first line that is none, and why. Nothing of the line is repeated.
pub(crate) fn parse(text: &str) -> Result<Vec<Entry>, (usize, &'static str)> {
    let mut entries = Vec::new();
    let (mut logical, mut first) = (String::new(), 0);
    for (number, line) in (1..).zip(natural_lines(text)) {
        let line = line.trim_start_matches(WHITE);
        if logical.is_empty() {
            first = number;
            if line.starts_with(['#', '!']) {
                continue;
            }
        }
        let backslashes = line.bytes().rev().take_while(|byte| *byte == b'\\').count();
        let goes_on = backslashes % 2 == 1;
        logical.push_str(if goes_on { line.strip_suffix('\\').unwrap_or(line) } else { line });
        if !goes_on && !logical.is_empty() {
            entries.push(entry(first, &logical)?);
            logical.clear();
        }
    }
    // The last line may end with a backslash.
    if !logical.is_empty() {
        entries.push(entry(first, &logical)?);
    }
    Ok(entries)
}

/// Lines that end with `\n`, `\r\n` or `\r`.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// What a logical line says.
fn entry(line: usize, logical: &str) -> Result<Entry, (usize, &'static str)> {
    let mut escaped = false;
    let ends = |char: char| {
        let ends = !escaped && (matches!(char, '=' | ':') || WHITE.contains(&char));
        escaped = !escaped && char == '\\';
        ends
    };
    let (name, rest) = logical.split_at(logical.find(ends).unwrap_or(logical.len()));
    let rest = rest.trim_start_matches(WHITE);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(WHITE);
    let text = |escaped| unescape(escaped).map_err(|why| (line, why));
    Ok(Entry { line, name: text(name)?, value: text(value)? })
}

fn unescape(escaped: &str) -> Result<String, &'static str> {
    // As UTF-16, since an escape is one unit of that, and a pair of them may be one character.
    let mut units = Vec::new();
    let mut chars = escaped.chars();
    while let Some(char) = chars.next() {
        let char = match char {
            '\\' => match chars.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some('u') => {
                    units.push(
                        unit(&mut chars).ok_or("expected four hexadecimal digits after \\u")?,
                    );
                    continue;
                }
                Some(other) => other,
                None => break,
            },
            other => other,
        };
        units.extend_from_slice(char.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).map_err(|_| "the characters that \\u names are half of a pair")
}

fn unit(chars: &mut impl Iterator<Item = char>) -> Option<u16> {
    (0..4).try_fold(0, |unit, _| {
        let digit = chars.next()?.to_digit(16)?;
        Some(unit << 4 | u16::try_from(digit).ok()?)
    })
}

/// Whether somebody may have meant that as a property's name.
pub(crate) fn may_be_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !name.is_empty() && name.bytes().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each expectation is what `Properties.load` of OpenJDK 17 makes of the same text.
    #[test]
    fn it_reads_what_java_reads() {
        for (text, expected) in [
            (
                "a=b\nc:d\ne f\ng\n\t h = \\ i \n!no\n  # no\n#no\\\nj=1\r\nk=2\rl=3",
                &[
                    ("a", "b"),
                    ("c", "d"),
                    ("e", "f"),
                    ("g", ""),
                    ("h", " i "),
                    ("j", "1"),
                    ("k", "2"),
                    ("l", "3"),
                ][..],
            ),
            (
                "a=b\\\n   c\\\n\\\n   d\ne=f\\\\\ng=h\\\\\\\n i\nk\\\n ey=v\nl=m\\",
                &[("a", "bcd"), ("e", "f\\"), ("g", "h\\i"), ("key", "v"), ("l", "m")],
            ),
            (
                "\\u0041\\t\\n\\r\\f\\q\\\\=\\u00e9\\:\\=\\ \\#\na\\ b\\=c\\:d = e = f : g\nj==x\nk:=y\nl = = z\n\
                 m :: w\nn\u{c}=\u{c}o",
                &[
                    ("A\t\n\r\u{c}q\\", "é:= #"),
                    ("a b=c:d", "e = f : g"),
                    ("j", "=x"),
                    ("k", "=y"),
                    ("l", "= z"),
                    ("m", ": w"),
                    ("n", "o"),
                ],
            ),
            (
                "\\\n# c\na=1\n\\\n\n\\\r\nb=2\nx=\\\n#y\nz=\\\n\nw=1\n",
                &[("a", "1"), ("b", "2"), ("x", "#y"), ("z", ""), ("w", "1")],
            ),
            (
                "a=\\ud83d\\ude00\nb=é\u{a0} \n\u{a0}c=1\n\u{85}=2\u{2028}3",
                &[("a", "😀"), ("b", "é\u{a0} "), ("\u{a0}c", "1"), ("\u{85}", "2\u{2028}3")],
            ),
            ("password = s3=;c ret  \nx=\\U0041", &[("password", "s3=;c ret  "), ("x", "U0041")]),
            ("", &[]),
            ("\n \n\r\n", &[]),
        ] {
            let entries = parse(text).unwrap();
            let read: Vec<_> = entries.iter().map(|entry| (&*entry.name, &*entry.value)).collect();
            assert_eq!(read, expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_broken_is_told_by_its_line_alone() {
        for (text, line, why) in [
            ("a=1\nb=\\u12", 2, "four hexadecimal digits"),
            ("a=\\u12g4", 1, "four hexadecimal digits"),
            ("a=\\u+041", 1, "four hexadecimal digits"),
            ("# c\n\na=1\\\n 2\\\n \\ud83d", 3, "half of a pair"),
        ] {
            let (at, told) = parse(text).unwrap_err();
            assert!(at == line && told.contains(why), "{text:?}: {at}: {told}");
        }
    }

    #[test]
    fn lines_are_counted_as_editors_do() {
        let lines: Vec<_> = parse("a=1\r\n\r\nb=\\\r\n  2\r\n! no\rc=3\n")
            .unwrap()
            .iter()
            .map(|entry| (entry.line, entry.name.clone()))
            .collect();
        assert_eq!(lines, [(1, "a".into()), (3, "b".into()), (6, "c".into())]);
    }
}
