//! The table, read.

use core::fmt;
use std::sync::LazyLock;

use ottla_core::wire::ErrorCode;

use super::schema::{Api, Field, Kind, Meaning, VersionSpan};

/// The project's own table.
const TABLE: &str = include_str!("table.txt");

static APIS: LazyLock<Vec<Api>> = LazyLock::new(|| read_table(TABLE).unwrap_or_default());

/// All APIs that the table has, by key.
#[must_use]
pub fn apis() -> &'static [Api] {
    &APIS
}

/// The API with a key.
#[must_use]
pub fn api_of(key: i16) -> Option<&'static Api> {
    apis().iter().find(|api| api.key == key)
}

/// The API with a name, in Kafka's spelling.
#[must_use]
pub fn api(name: &str) -> Option<&'static Api> {
    apis().iter().find(|api| api.name.eq_ignore_ascii_case(name))
}

/// A line that the table cannot have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableError {
    /// Its number, from 1 on.
    pub line: usize,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

impl core::error::Error for TableError {}

/// Reads a table; its head says what is in it.
///
/// # Errors
/// The first line that is none.
pub fn read_table(text: &'static str) -> Result<Vec<Api>, TableError> {
    let lines = text.lines().enumerate().map(|(at, text)| Line { number: at + 1, text });
    let mut lines: Lines =
        lines.filter(|line| !line.text.trim().is_empty() && !line.text.starts_with('#')).collect();
    lines.reverse();
    let mut apis: Vec<Api> = Vec::new();
    while let Some(line) = lines.pop() {
        let mut words = line.text.split_whitespace();
        match (words.next(), apis.last_mut()) {
            (Some("api"), _) => apis.push(head(line, words)?),
            (Some("errors"), Some(api)) => {
                for word in words {
                    let known = ErrorCode::KNOWN.iter().find(|code| code.name() == Some(word));
                    api.errors.push(*known.ok_or_else(|| line.wrong("no error", word))?);
                }
            }
            (Some("request"), Some(api)) => api.request = fields(&mut lines, 2)?,
            (Some("response"), Some(api)) => api.response = fields(&mut lines, 2)?,
            (word, _) => return Err(line.wrong("not expected", word.unwrap_or_default())),
        }
    }
    Ok(apis)
}

/// What is left to read, the next line last.
type Lines = Vec<Line>;

#[derive(Clone, Copy)]
struct Line {
    number: usize,
    text: &'static str,
}

impl Line {
    fn wrong(self, why: &str, word: &str) -> TableError {
        TableError { line: self.number, why: format!("{why}: {word:?}") }
    }

    fn depth(self) -> usize {
        self.text.len() - self.text.trim_start().len()
    }
}

fn head(line: Line, mut words: impl Iterator<Item = &'static str>) -> Result<Api, TableError> {
    let mut next = || words.next().ok_or_else(|| line.wrong("too short", line.text));
    let (key, name, of, flexible, first) = (next()?, next()?, next()?, next()?, next()?);
    let key = key.parse().map_err(|_| line.wrong("no key", key))?;
    let versions = versions(of).ok_or_else(|| line.wrong("no versions", of))?;
    let first = match first {
        "none" => None,
        first => Some(first.parse().map_err(|_| line.wrong("no version", first))?),
    };
    if flexible != "flexible" {
        return Err(line.wrong("not expected", flexible));
    }
    let (errors, request, response) = (Vec::new(), Vec::new(), Vec::new());
    Ok(Api { key, name, versions, flexible: first, errors, request, response })
}

/// The fields that are nested so deep.
fn fields(lines: &mut Lines, depth: usize) -> Result<Vec<Field>, TableError> {
    let mut fields = Vec::new();
    while let Some(line) = lines.pop() {
        if line.depth() != depth {
            lines.push(line);
            break;
        }
        fields.push(field(line, lines, depth)?);
    }
    Ok(fields)
}

fn field(line: Line, lines: &mut Lines, depth: usize) -> Result<Field, TableError> {
    let mut words = line.text.split_whitespace().peekable();
    let mut next = || words.next();
    let name = next().unwrap_or_default();
    let kind = next().unwrap_or_default();
    let kind = match kind {
        "{}" => Kind::Struct(fields(lines, depth + 2)?),
        "[]" => Kind::Array(Box::new(Kind::Struct(fields(lines, depth + 2)?))),
        kind => plain(kind).ok_or_else(|| line.wrong("no type", kind))?,
    };
    let mut field = Field {
        name,
        kind,
        versions: VersionSpan::ALL,
        nullable: VersionSpan::NONE,
        tag: None,
        default: 0,
        default_null: false,
        meaning: Meaning::Nothing,
    };
    while let Some(word) = next() {
        let mut argument = || next().ok_or_else(|| line.wrong("nothing follows", word));
        match word {
            "?" => field.nullable = VersionSpan::ALL,
            "tag" => {
                let tag = argument()?;
                field.tag = Some(tag.parse().map_err(|_| line.wrong("no tag", tag))?);
            }
            "=" => match argument()? {
                "null" => field.default_null = true,
                number => {
                    field.default = number.parse().map_err(|_| line.wrong("no number", number))?;
                }
            },
            "as" => {
                let word = argument()?;
                field.meaning = Meaning::of(word).ok_or_else(|| line.wrong("no meaning", word))?;
            }
            word => match word.strip_prefix('?') {
                Some(span) => {
                    field.nullable =
                        versions(span).ok_or_else(|| line.wrong("no versions", span))?;
                }
                None => {
                    field.versions =
                        versions(word).ok_or_else(|| line.wrong("no versions", word))?;
                }
            },
        }
    }
    Ok(field)
}

fn plain(word: &str) -> Option<Kind> {
    if let Some(element) = word.strip_prefix("[]") {
        return plain(element).map(|kind| Kind::Array(Box::new(kind)));
    }
    Some(match word {
        "bool" => Kind::Bool,
        "int8" => Kind::Int(1),
        "int16" => Kind::Int(2),
        "int32" => Kind::Int(4),
        "int64" => Kind::Int(8),
        "uuid" => Kind::Uuid,
        "string" => Kind::String,
        "bytes" => Kind::Bytes,
        "records" => Kind::Records,
        _ => return None,
    })
}

/// `3-12`, `3+`, `-2`, or `0` alone.
fn versions(word: &str) -> Option<VersionSpan> {
    if let Some(min) = word.strip_suffix('+') {
        return Some(VersionSpan { min: min.parse().ok()?, max: i16::MAX });
    }
    match word.split_once('-') {
        Some(("", max)) => Some(VersionSpan { min: 0, max: max.parse().ok()? }),
        Some((min, max)) => Some(VersionSpan { min: min.parse().ok()?, max: max.parse().ok()? }),
        None => word.parse().ok().map(|version| VersionSpan { min: version, max: version }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_read() {
        let apis = read_table(TABLE).unwrap();
        let keys: Vec<_> = apis.iter().map(|api| api.key).collect();
        assert_eq!(keys, [0, 1, 2, 3, 10, 17, 18, 19, 20, 22, 36, 61]);
        for api in &apis {
            assert!(!api.response.is_empty(), "{} has no answer", api.name);
            assert!(api.errors.contains(&ErrorCode::NONE), "{} never succeeds", api.name);
        }
    }

    #[test]
    fn what_the_core_speaks_is_in_the_table_and_laid_out_alike() {
        for key in ottla_core::wire::ApiKey::SPOKEN {
            let (api, core) = (api_of(key.0).unwrap(), key.versions().unwrap());
            assert!(api.versions.contains(core.min) && api.versions.contains(core.max), "{key}");
            assert_eq!(api.flexible, key.flexible_from(), "{key}");
        }
    }

    #[test]
    fn a_line_that_is_none_is_told() {
        let wrong = |text| read_table(text).unwrap_err().to_string();
        assert_eq!(wrong("request\n"), "line 1: not expected: \"request\"");
        assert_eq!(
            wrong("api 0 A 0 flexible none\nrequest\n  a int9\n"),
            "line 3: no type: \"int9\""
        );
        assert_eq!(wrong("\napi 0 A 0 flexible none\nerrors FOO\n"), "line 3: no error: \"FOO\"");
        assert_eq!(
            wrong("api 0 A 0 flexible none\nrequest\n  a bool as x\n"),
            "line 3: no meaning: \"x\""
        );
    }
}
