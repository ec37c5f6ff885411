//! Protobuf's text format, read without knowing the message: fields by name, whatever they are.
//!
//! For files of which one part is wanted, and which may have fields that nobody here has heard of.

use std::iter::Peekable;
use std::str::CharIndices;

use salver_core_status::{Quoted, Status};

/// A message: its fields in order, one that is repeated as often as it is there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tree(pub(crate) Vec<(String, Value)>);

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// A number or a word, as it is written.
    Word(String),
    /// A text. What is escaped in it stays so: nobody here asks for texts that have any of that.
    Text(String),
    /// A message.
    Tree(Tree),
}

/// Deeper than any message that means something, and than what a stack may hold.
const DEEPEST: usize = 64;

impl Tree {
    /// Reads a text.
    ///
    /// # Errors
    /// A sentence that says in which line, and what was wanted.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut reader = Reader { text, rest: text.char_indices().peekable() };
        reader.fields(None, 0).map_err(|wanted| {
            let line = reader.rest.peek().map_or(text, |(at, _)| text.get(..*at).unwrap_or(text));
            format!("line {}: {wanted}", line.matches('\n').count() + 1)
        })
    }

    /// Every value of a field.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value)
    }

    /// The value of a field that is there once; of several the last counts.
    pub(crate) fn last(&self, name: &str) -> Option<&Value> {
        self.0.iter().rev().find(|(field, _)| field == name).map(|(_, value)| value)
    }
}

/// A whole number, the value of the field `name`; one that is too large is the largest there is.
///
/// # Errors
/// INVALID_ARGUMENT that names the field and what was found.
pub(crate) fn whole(name: &str, value: &Value) -> Result<i64, Status> {
    let wanted = |found: &str| {
        Status::invalid_argument(format!("{name} is {}, a whole number was wanted", Quoted(found)))
    };
    let word = match value {
        Value::Word(word) => word,
        Value::Text(text) => return Err(wanted(text)),
        Value::Tree(_) => return Err(wanted("a message")),
    };
    let (sign, digits) = word.strip_prefix('-').map_or((1, word.as_str()), |digits| (-1, digits));
    let number = match (digits.strip_prefix("0x").or(digits.strip_prefix("0X")), digits.strip_prefix('0')) {
        (Some(digits), _) => i128::from_str_radix(digits, 16),
        (None, Some(digits)) if !digits.is_empty() => i128::from_str_radix(digits, 8),
        _ => digits.parse::<i128>(),
    };
    let number = number.ok().filter(|_| digits.starts_with(|first: char| first.is_ascii_digit()));
    let number = number.ok_or_else(|| wanted(word))?;
    Ok(i64::try_from(number.saturating_mul(sign)).unwrap_or(if sign < 0 { i64::MIN } else { i64::MAX }))
}

/// True or false, the value of the field `name`.
///
/// # Errors
/// INVALID_ARGUMENT that names the field.
pub(crate) fn truth(name: &str, value: &Value) -> Result<bool, Status> {
    match value {
        Value::Word(word) if matches!(word.as_str(), "true" | "True" | "t" | "1") => Ok(true),
        Value::Word(word) if matches!(word.as_str(), "false" | "False" | "f" | "0") => Ok(false),
        _ => Err(Status::invalid_argument(format!("{name} is not true or false"))),
    }
}

struct Reader<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
}

impl Reader<'_> {
    /// Fields up to `end`, or to the end of the text.
    fn fields(&mut self, end: Option<char>, depth: usize) -> Result<Tree, String> {
        if depth > DEEPEST {
            return Err(format!("messages are more than {DEEPEST} deep"));
        }
        let mut fields = Tree::default();
        loop {
            match self.next_token() {
                found if found == end => {
                    self.rest.next();
                    return Ok(fields);
                }
                None => return Err(format!("the text ends, {} was wanted", shown(end))),
                Some(',' | ';') => drop(self.rest.next()),
                Some(_) => {
                    let name = self.name()?;
                    self.values(&name, &mut fields, depth)?;
                }
            }
        }
    }

    /// What a field is called; an extension by all that is in its brackets.
    fn name(&mut self) -> Result<String, String> {
        if self.take('[') {
            let name = self.take_while(|letter| letter != ']' && letter != '\n');
            return if self.take(']') { Ok(name) } else { Err("`]` was wanted".to_owned()) };
        }
        let name = self.take_while(is_of_word);
        if name.is_empty() { Err("the name of a field was wanted".to_owned()) } else { Ok(name) }
    }

    /// One value of a field, or a list of them.
    fn values(&mut self, name: &str, fields: &mut Tree, depth: usize) -> Result<(), String> {
        let has_colon = self.take(':');
        if !self.take('[') {
            fields.0.push((name.to_owned(), self.value(has_colon, depth)?));
            return Ok(());
        }
        while !self.take(']') {
            fields.0.push((name.to_owned(), self.value(true, depth)?));
            if !self.take(',') && self.next_token() != Some(']') {
                return Err("`,` or `]` was wanted".to_owned());
            }
        }
        Ok(())
    }

    fn value(&mut self, has_colon: bool, depth: usize) -> Result<Value, String> {
        let next = self.next_token();
        if let Some(end) = match next {
            Some('{') => Some('}'),
            Some('<') => Some('>'),
            _ => None,
        } {
            self.rest.next();
            return Ok(Value::Tree(self.fields(Some(end), depth + 1)?));
        }
        if !has_colon {
            return Err("`:` or `{` was wanted".to_owned());
        }
        match next {
            Some('"' | '\'') => self.texts().map(Value::Text),
            _ => self.word().map(Value::Word),
        }
    }

    /// A number or a word. A minus may stand apart.
    fn word(&mut self) -> Result<String, String> {
        let minus = if self.take('-') { "-" } else { "" };
        self.next_token();
        let word = self.take_while(|letter| is_of_word(letter) || letter == '+');
        if word.is_empty() { Err("a value was wanted".to_owned()) } else { Ok(format!("{minus}{word}")) }
    }

    /// Texts that follow one another are one.
    fn texts(&mut self) -> Result<String, String> {
        let mut text = String::new();
        while let Some(quote @ ('"' | '\'')) = self.next_token() {
            self.rest.next();
            loop {
                match self.rest.next() {
                    Some((_, letter)) if letter == quote => break,
                    Some((_, '\\')) => {
                        text.push('\\');
                        text.extend(self.rest.next().map(|(_, letter)| letter));
                    }
                    Some((_, letter)) => text.push(letter),
                    None => return Err("a text does not end".to_owned()),
                }
            }
        }
        Ok(text)
    }

    /// The first letter of what comes next, past spaces and comments.
    fn next_token(&mut self) -> Option<char> {
        loop {
            match self.rest.peek()?.1 {
                '#' => drop(self.take_while(|letter| letter != '\n')),
                letter if letter.is_whitespace() => drop(self.rest.next()),
                letter => return Some(letter),
            }
        }
    }

    fn take(&mut self, letter: char) -> bool {
        let is_next = self.next_token() == Some(letter);
        if is_next {
            self.rest.next();
        }
        is_next
    }

    fn take_while(&mut self, is_wanted: impl Fn(char) -> bool) -> String {
        let start = self.rest.peek().map_or(self.text.len(), |(at, _)| *at);
        while self.rest.next_if(|(_, letter)| is_wanted(*letter)).is_some() {}
        let end = self.rest.peek().map_or(self.text.len(), |(at, _)| *at);
        self.text.get(start..end).unwrap_or_default().to_owned()
    }
}

fn is_of_word(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-')
}

fn shown(end: Option<char>) -> String {
    end.map_or_else(|| "a field".to_owned(), |end| format!("`{end}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(name: &str, word: &str) -> (String, Value) {
        (name.to_owned(), Value::Word(word.to_owned()))
    }

    fn tree<const N: usize>(fields: [(String, Value); N]) -> Tree {
        Tree(fields.into())
    }

    #[test]
    fn fields_are_read_in_every_way_they_are_written() {
        let inner = || ("m".to_owned(), Value::Tree(tree([word("x", "-1.5e+3")])));
        for text in [
            "m { x: -1.5e+3 }",
            "m: { x: - 1.5e+3; }",
            "m < x : -1.5e+3, > ;",
            "m:[{x:-1.5e+3}]",
            "#c\nm{#}\nx:-1.5e+3}#",
        ] {
            assert_eq!(Tree::read(text), Ok(tree([inner()])), "{text}");
        }
        assert_eq!(Tree::read("m [ {x: -1.5e+3}, <x: -1.5e+3> ]"), Ok(tree([inner(), inner()])));
        assert_eq!(
            Tree::read("a: 1 a: [ 2, 0x3 ] b: []"),
            Ok(tree([word("a", "1"), word("a", "2"), word("a", "0x3")]))
        );
        assert_eq!(Tree::read(" # nothing\n"), Ok(Tree::default()));
        let text = Value::Text("a\\\"}b{".to_owned());
        assert_eq!(
            Tree::read("t: \"a\\\"}\" 'b{' [x.y/z]: TRUE"),
            Ok(tree([("t".to_owned(), text), word("x.y/z", "TRUE")]))
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, message) in [
            ("a", "line 1: `:` or `{` was wanted"),
            ("\na:", "line 2: a value was wanted"),
            ("a {\n b: 1", "line 2: the text ends, `}` was wanted"),
            ("a: 1\n}", "line 2: the name of a field was wanted"),
            ("a: [1 2]", "line 1: `,` or `]` was wanted"),
            ("a: 'x\n", "line 2: a text does not end"),
            ("[a", "line 1: `]` was wanted"),
        ] {
            assert_eq!(Tree::read(text), Err(message.to_owned()), "{text}");
        }
        assert!(Tree::read(&"a{".repeat(100_000)).unwrap_err().contains("more than 64 deep"));
        assert!(Tree::read(&"a:[".repeat(100_000)).is_err());
    }
}
