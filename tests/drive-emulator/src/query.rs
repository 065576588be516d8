//! `q`: the search language of `files.list`, as Google documents it at
//! developers.google.com/workspace/drive/api/guides/ref-search-terms.

use crate::clock;
use crate::refusal::Refusal;

/// How deep expressions may be nested.
const DEEPEST: usize = 64;

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Query {
    And(Vec<Query>),
    Or(Vec<Query>),
    Not(Box<Query>),
    Term(Term),
}

/// One comparison.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Term {
    /// `name = 'x'`
    Name(Match, String),
    /// `mimeType = 'x'`
    MimeType(Match, String),
    /// `fullText contains 'x'`
    FullText(String),
    /// `modifiedTime > '2026-01-01T00:00:00'`
    Modified(Order, i64),
    /// `createdTime > '2026-01-01T00:00:00'`
    Created(Order, i64),
    /// `trashed = false`
    Trashed(bool),
    /// `starred = true`
    Starred(bool),
    /// `sharedWithMe`, `sharedWithMe = true`
    SharedWithMe(bool),
    /// `'id' in parents`
    Parent(String),
    /// `'mail' in owners`
    Owner(String),
    /// `'mail' in writers`
    Writer(String),
    /// `'mail' in readers`
    Reader(String),
    /// `properties has { key='k' and value='v' }`
    Property(String, String),
    /// `appProperties has { key='k' and value='v' }`
    AppProperty(String, String),
    /// `shortcutDetails.targetId = 'id'`
    Target(String),
}

/// How texts are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Match {
    Is,
    IsNot,
    Contains,
}

/// How instants are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Order {
    Below,
    AtMost,
    Is,
    IsNot,
    AtLeast,
    Above,
}

impl Order {
    pub(crate) fn holds(self, left: i64, right: i64) -> bool {
        match self {
            Order::Below => left < right,
            Order::AtMost => left <= right,
            Order::Is => left == right,
            Order::IsNot => left != right,
            Order::AtLeast => left >= right,
            Order::Above => left > right,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Mark(&'static str),
}

impl Query {
    /// Reads an expression. `escapes`: a backslash makes the character after it a plain one.
    pub(crate) fn parse(text: &str, escapes: bool) -> Result<Query, Refusal> {
        let wrong = || Refusal::invalid("q", "Invalid Value");
        let tokens = tokens(text, escapes).ok_or_else(wrong)?;
        let mut rest = tokens.as_slice();
        let query = any(&mut rest, 0).ok_or_else(wrong)?;
        if rest.is_empty() { Ok(query) } else { Err(wrong()) }
    }

    /// Whether something fulfils the expression, given what tells whether it fulfils a term.
    pub(crate) fn holds(&self, term: &impl Fn(&Term) -> bool) -> bool {
        match self {
            Query::And(all) => all.iter().all(|query| query.holds(term)),
            Query::Or(any) => any.iter().any(|query| query.holds(term)),
            Query::Not(query) => !query.holds(term),
            Query::Term(one) => term(one),
        }
    }

    /// The folders in which everything lies that can fulfil this; `None` for anywhere.
    pub(crate) fn parents(&self) -> Option<Vec<&str>> {
        match self {
            Query::And(all) => all.iter().find_map(Query::parents),
            Query::Or(any) => {
                let parents: Option<Vec<_>> = any.iter().map(Query::parents).collect();
                Some(parents?.concat())
            }
            Query::Term(Term::Parent(id)) => Some(vec![id]),
            Query::Not(_) | Query::Term(_) => None,
        }
    }
}

fn tokens(text: &str, escapes: bool) -> Option<Vec<Token>> {
    const MARKS: [&str; 11] = ["<=", ">=", "!=", "=", "<", ">", "(", ")", "{", "}", ","];
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(mark) = MARKS.into_iter().find(|mark| rest.starts_with(mark)) {
            tokens.push(Token::Mark(mark));
            rest = &rest[mark.len()..];
        } else if rest.starts_with('\'') {
            let (content, after) = quoted(&rest[1..], escapes)?;
            tokens.push(Token::Text(content));
            rest = after;
        } else {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_');
            let (word, after) = rest.split_at(end.unwrap_or(rest.len()));
            if word.is_empty() {
                return None;
            }
            tokens.push(Token::Word(word.to_owned()));
            rest = after;
        }
        rest = rest.trim_start();
    }
    Some(tokens)
}

/// Splits `it\'s' and ...` into `it's` and ` and ...`.
fn quoted(text: &str, escapes: bool) -> Option<(String, &str)> {
    let mut content = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\'' => return Some((content, &text[at + 1..])),
            '\\' if escapes => match characters.next()?.1 {
                plain @ ('\'' | '\\') => content.push(plain),
                _ => return None,
            },
            plain => content.push(plain),
        }
    }
    None
}

fn word(rest: &mut &[Token], wanted: &str) -> bool {
    let found =
        matches!(rest.first(), Some(Token::Word(word)) if word.eq_ignore_ascii_case(wanted));
    if found {
        *rest = &rest[1..];
    }
    found
}

fn mark(rest: &mut &[Token], wanted: &str) -> Option<()> {
    let found = matches!(rest.first(), Some(Token::Mark(mark)) if *mark == wanted);
    found.then(|| *rest = &rest[1..])
}

fn quote(rest: &mut &[Token]) -> Option<String> {
    let (Token::Text(text), after) = rest.split_first()? else { return None };
    *rest = after;
    Some(text.clone())
}

fn any(rest: &mut &[Token], depth: usize) -> Option<Query> {
    let mut queries = vec![all(rest, depth)?];
    while word(rest, "or") {
        queries.push(all(rest, depth)?);
    }
    Some(if queries.len() == 1 { queries.remove(0) } else { Query::Or(queries) })
}

fn all(rest: &mut &[Token], depth: usize) -> Option<Query> {
    let mut queries = vec![one(rest, depth)?];
    while word(rest, "and") {
        queries.push(one(rest, depth)?);
    }
    Some(if queries.len() == 1 { queries.remove(0) } else { Query::And(queries) })
}

fn one(rest: &mut &[Token], depth: usize) -> Option<Query> {
    if depth > DEEPEST {
        return None;
    }
    if word(rest, "not") {
        return Some(Query::Not(Box::new(one(rest, depth + 1)?)));
    }
    if mark(rest, "(").is_some() {
        let query = any(rest, depth + 1)?;
        mark(rest, ")")?;
        return Some(query);
    }
    if let Some(value) = quote(rest) {
        let (Token::Word(within), Token::Word(collection)) = (rest.first()?, rest.get(1)?) else {
            return None;
        };
        if !within.eq_ignore_ascii_case("in") {
            return None;
        }
        let term = match collection.as_str() {
            "parents" => Term::Parent(value),
            "owners" => Term::Owner(value),
            "writers" => Term::Writer(value),
            "readers" => Term::Reader(value),
            _ => return None,
        };
        *rest = &rest[2..];
        return Some(Query::Term(term));
    }
    let (Token::Word(field), after) = rest.split_first()? else { return None };
    *rest = after;
    term(field, rest).map(Query::Term)
}

fn term(field: &str, rest: &mut &[Token]) -> Option<Term> {
    match field {
        "name" => matching(rest).map(|(how, value)| Term::Name(how, value)),
        "mimeType" => matching(rest).map(|(how, value)| Term::MimeType(how, value)),
        "fullText" => match matching(rest)? {
            (Match::Contains, value) => Some(Term::FullText(value)),
            _ => None,
        },
        "shortcutDetails.targetId" => match matching(rest)? {
            (Match::Is, value) => Some(Term::Target(value)),
            _ => None,
        },
        "modifiedTime" => ordered(rest).map(|(how, value)| Term::Modified(how, value)),
        "createdTime" => ordered(rest).map(|(how, value)| Term::Created(how, value)),
        "trashed" => truth(rest).map(Term::Trashed),
        "starred" => truth(rest).map(Term::Starred),
        "sharedWithMe" => {
            let compared = matches!(rest.first(), Some(Token::Mark("=" | "!=")));
            Some(Term::SharedWithMe(if compared { truth(rest)? } else { true }))
        }
        "properties" => pair(rest).map(|(key, value)| Term::Property(key, value)),
        "appProperties" => pair(rest).map(|(key, value)| Term::AppProperty(key, value)),
        _ => None,
    }
}

fn matching(rest: &mut &[Token]) -> Option<(Match, String)> {
    let how = if mark(rest, "=").is_some() {
        Match::Is
    } else if mark(rest, "!=").is_some() {
        Match::IsNot
    } else if word(rest, "contains") {
        Match::Contains
    } else {
        return None;
    };
    Some((how, quote(rest)?))
}

fn ordered(rest: &mut &[Token]) -> Option<(Order, i64)> {
    let (Token::Mark(mark), after) = rest.split_first()? else { return None };
    let order = match *mark {
        "<" => Order::Below,
        "<=" => Order::AtMost,
        "=" => Order::Is,
        "!=" => Order::IsNot,
        ">=" => Order::AtLeast,
        ">" => Order::Above,
        _ => return None,
    };
    *rest = after;
    Some((order, clock::parse(&quote(rest)?)?))
}

fn truth(rest: &mut &[Token]) -> Option<bool> {
    let equal = mark(rest, "=").is_some();
    if !equal {
        mark(rest, "!=")?;
    }
    let value = word(rest, "true");
    (value || word(rest, "false")).then_some(value == equal)
}

fn pair(rest: &mut &[Token]) -> Option<(String, String)> {
    if !word(rest, "has") {
        return None;
    }
    mark(rest, "{")?;
    let key = word(rest, "key").then(|| mark(rest, "=").and_then(|()| quote(rest)))??;
    let value = (word(rest, "and") && word(rest, "value"))
        .then(|| mark(rest, "=").and_then(|()| quote(rest)))??;
    mark(rest, "}")?;
    Some((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_bind_as_documented() {
        let parent = |id: &str| Query::Term(Term::Parent(id.to_owned()));
        let present = Query::Term(Term::Trashed(false));
        for (text, query) in [
            ("'a' in parents", parent("a")),
            ("trashed=false", present.clone()),
            ("trashed != true", present.clone()),
            (
                "'a' in parents and trashed = false or 'b' in parents",
                Query::Or(vec![Query::And(vec![parent("a"), present.clone()]), parent("b")]),
            ),
            (
                "('a' in parents or 'b' in parents) AND not trashed = true",
                Query::And(vec![
                    Query::Or(vec![parent("a"), parent("b")]),
                    Query::Not(Box::new(Query::Term(Term::Trashed(true)))),
                ]),
            ),
            ("sharedWithMe", Query::Term(Term::SharedWithMe(true))),
            ("mimeType='a/b'", Query::Term(Term::MimeType(Match::Is, "a/b".to_owned()))),
            (
                r"name = 'it\'s a \\ here'",
                Query::Term(Term::Name(Match::Is, r"it's a \ here".to_owned())),
            ),
            (
                "appProperties has { key='k' and value='v' }",
                Query::Term(Term::AppProperty("k".to_owned(), "v".to_owned())),
            ),
            (
                "modifiedTime > '1970-01-01T00:00:01'",
                Query::Term(Term::Modified(Order::Above, 1000)),
            ),
        ] {
            assert_eq!(Query::parse(text, true).ok(), Some(query), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "nonsense",
            "name",
            "name = x",
            "name = 'it's'",
            "name = 'open",
            r"name = 'a\'",
            r"name = 'a\n'",
            "title = 'v2'",
            "'a' in folders",
            "(trashed = false",
            "trashed = false)",
            "trashed = maybe",
            "trashed = false and",
            "and trashed = false",
            "trashed = false trashed = false",
            "modifiedTime > 'yesterday'",
            "name < 'a'",
        ] {
            assert!(Query::parse(text, true).is_err(), "{text}");
        }
    }

    #[test]
    fn folders_bound_a_search_only_if_all_ways_name_some() {
        let parents = |text| {
            Query::parse(text, true).ok().and_then(|q| {
                q.parents().map(|all| all.into_iter().map(str::to_owned).collect::<Vec<_>>())
            })
        };
        assert_eq!(
            parents("trashed = false and ('a' in parents or 'b' in parents)").unwrap(),
            ["a", "b"]
        );
        assert_eq!(parents("'a' in parents or trashed = false"), None);
        assert_eq!(parents("not 'a' in parents"), None);
    }
}
