//! A pull parser that knows where it is, how deep it is, and how to say so.
//!
//! What a value means is not known here.

use jiter::{Jiter, JiterError, JiterErrorType, JsonErrorType, NumberInt, Peek};
use salver_core_status::Status;

/// How deep lists and objects may nest, Triton's limit.
const MAX_DEPTH: usize = 100;

/// A value that is found but not read yet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw<'j> {
    text: &'j [u8],
    /// Where in the request the text begins.
    at: usize,
    /// How many lists and objects it lies in.
    depth: usize,
}

/// Reads one JSON text from front to back.
pub(crate) struct Reader<'j> {
    text: &'j [u8],
    /// Where in the request `text` begins.
    at: usize,
    /// Where in `text` the parser begins: after the last `Inf`, which it does not know.
    skipped: usize,
    parser: Jiter<'j>,
    depth: usize,
}

impl<'j> Reader<'j> {
    /// Reads a request, after the byte order mark that some clients begin with.
    pub(crate) fn new(text: &'j [u8]) -> Self {
        const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
        match text.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) => Self::of(Raw { text: rest, at: BYTE_ORDER_MARK.len(), depth: 0 }),
            None => Self::of(Raw { text, at: 0, depth: 0 }),
        }
    }

    /// Reads a value found before.
    pub(crate) fn of(raw: Raw<'j>) -> Self {
        let parser = Jiter::new(raw.text).with_allow_inf_nan();
        Self { text: raw.text, at: raw.at, skipped: 0, parser, depth: raw.depth }
    }

    /// The first byte of the next value, which tells its kind.
    pub(crate) fn peek(&mut self) -> Result<Peek, Status> {
        self.parser.peek().map_err(|error| self.explain(&error))
    }

    /// Enters a list; the first byte of its first item, `None` where it is empty and thereby left again.
    pub(crate) fn enter_list(&mut self, peek: Peek) -> Result<Option<Peek>, Status> {
        if peek != Peek::Array {
            return Err(self.unexpected(peek, "a list"));
        }
        self.descend()?;
        let first = self.parser.known_array().map_err(|error| self.explain(&error))?;
        self.ascend_at_end(first)
    }

    /// The first byte of the list's next item; `None` at its end.
    pub(crate) fn next_item(&mut self) -> Result<Option<Peek>, Status> {
        let next = self.parser.array_step().map_err(|error| self.explain(&error))?;
        self.ascend_at_end(next)
    }

    /// Enters an object; what `read` makes of its first key, `None` where it is empty and thereby left again.
    pub(crate) fn enter_object<K>(
        &mut self,
        peek: Peek,
        read: impl FnOnce(&str) -> K,
    ) -> Result<Option<K>, Status> {
        if peek != Peek::Object {
            return Err(self.unexpected(peek, "an object"));
        }
        self.descend()?;
        let first = self.parser.known_object().map(|key| key.map(read));
        let first = first.map_err(|error| self.explain(&error))?;
        self.ascend_at_end(first)
    }

    /// What `read` makes of the object's next key; `None` at its end.
    pub(crate) fn next_key<K>(&mut self, read: impl FnOnce(&str) -> K) -> Result<Option<K>, Status> {
        let next = self.parser.next_key().map(|key| key.map(read));
        let next = next.map_err(|error| self.explain(&error))?;
        self.ascend_at_end(next)
    }

    /// A number of any form.
    pub(crate) fn float(&mut self, peek: Peek) -> Result<f64, Status> {
        match self.parser.known_float(peek) {
            Ok(number) => Ok(number),
            Err(_) if !peek.is_num() => Err(self.unexpected(peek, "a number")),
            Err(error) => self.short_infinity().ok_or_else(|| self.explain(&error)),
        }
    }

    /// A number without fraction and exponent. It fits `i128` where it fits any type there is.
    pub(crate) fn integer(&mut self, peek: Peek) -> Result<i128, Status> {
        match self.parser.known_int(peek) {
            Ok(NumberInt::Int(number)) => Ok(number.into()),
            Err(_) if !peek.is_num() => Err(self.unexpected(peek, "an integer")),
            Err(error) => self.long_integer(peek, &error),
        }
    }

    pub(crate) fn boolean(&mut self, peek: Peek) -> Result<bool, Status> {
        match peek {
            Peek::True | Peek::False => self.parser.known_bool(peek).map_err(|error| self.explain(&error)),
            _ => Err(self.unexpected(peek, "true or false")),
        }
    }

    /// What `read` makes of a string.
    pub(crate) fn string<T>(&mut self, peek: Peek, read: impl FnOnce(&str) -> T) -> Result<T, Status> {
        if peek != Peek::String {
            return Err(self.unexpected(peek, "a string"));
        }
        let value = self.parser.known_str().map(read);
        value.map_err(|error| self.explain(&error))
    }

    /// Passes over a value, checking its syntax.
    pub(crate) fn skip(&mut self, peek: Peek) -> Result<(), Status> {
        match peek {
            Peek::Array => {
                let mut next = self.enter_list(peek)?;
                while let Some(peek) = next {
                    self.skip(peek)?;
                    next = self.next_item()?;
                }
                Ok(())
            }
            Peek::Object => {
                let mut key = self.enter_object(peek, |_| ())?;
                while let Some(()) = key {
                    let peek = self.peek()?;
                    self.skip(peek)?;
                    key = self.next_key(|_| ())?;
                }
                Ok(())
            }
            _ => self.skip_scalar(peek),
        }
    }

    /// Passes over the next value, checking its syntax, and remembers where it is.
    pub(crate) fn raw(&mut self) -> Result<Raw<'j>, Status> {
        let peek = self.peek()?;
        let (start, at, depth) = (self.index(), self.position(), self.depth);
        self.skip(peek)?;
        let text = self.text.get(start..self.index()).unwrap_or_default();
        Ok(Raw { text, at, depth })
    }

    /// Whether the next value is an object of the key `b64` and a string, and nothing else.
    pub(crate) fn is_base64(&self) -> bool {
        let mut ahead = self.parser.clone();
        matches!(ahead.next_object(), Ok(Some(key)) if key == crate::element::BASE64_KEY)
            && matches!(ahead.peek(), Ok(Peek::String))
            && ahead.known_skip(Peek::String).is_ok()
            && matches!(ahead.next_key(), Ok(None))
    }

    /// Checks that nothing follows but white space.
    pub(crate) fn end(&mut self) -> Result<(), Status> {
        self.parser.finish().map_err(|error| self.explain(&error))
    }

    /// Which byte of the request is next.
    pub(crate) fn position(&self) -> usize {
        self.at + self.index()
    }

    /// How many values can follow at most: each takes a byte and a separator.
    pub(crate) fn values_left(&self) -> usize {
        (self.text.len() - self.index()) / 2 + 1
    }

    /// The failure to find `wanted`.
    pub(crate) fn unexpected(&self, peek: Peek, wanted: &str) -> Status {
        let at = self.position();
        match kind(peek) {
            Some(found) => Status::invalid_argument(format!("found {found} at byte {at}, wanted {wanted}")),
            None => self.invalid(at, format_args!("wanted {wanted}")),
        }
    }

    fn skip_scalar(&mut self, peek: Peek) -> Result<(), Status> {
        let outcome = match peek {
            Peek::String => self.parser.known_bytes().map(drop),
            Peek::Null => self.parser.known_null(),
            Peek::True | Peek::False => self.parser.known_bool(peek).map(drop),
            _ if peek.is_num() => return self.float(peek).map(drop),
            _ => return Err(self.unexpected(peek, "a value")),
        };
        outcome.map_err(|error| self.explain(&error))
    }

    /// `Inf` or `-Inf`, where the parser found no number.
    fn short_infinity(&mut self) -> Option<f64> {
        let rest = self.text.get(self.index()..)?;
        let (value, text) = match rest.strip_prefix(b"-") {
            Some(_) => (f64::NEG_INFINITY, &b"-Inf"[..]),
            None => (f64::INFINITY, &b"Inf"[..]),
        };
        let rest = rest.strip_prefix(text)?;
        self.skipped = self.text.len() - rest.len();
        self.parser = Jiter::new(rest).with_allow_inf_nan();
        Some(value)
    }

    /// An integer that `i64` does not hold.
    #[cold]
    fn long_integer(&mut self, peek: Peek, error: &JiterError) -> Result<i128, Status> {
        if error.error_type != JiterErrorType::JsonError(JsonErrorType::NumberOutOfRange) {
            return Err(match error.error_type {
                JiterErrorType::WrongType { .. } => {
                    let at = self.position();
                    Status::invalid_argument(format!(
                        "found a number with a fraction or an exponent at byte {at}, wanted an integer"
                    ))
                }
                JiterErrorType::JsonError(_) => self.explain(error),
            });
        }
        let at = self.position();
        // Looks ahead, so that a number that does not fit is not passed over: it may still be read as a float.
        let mut ahead = self.parser.clone();
        let digits = ahead.known_number_bytes(peek).ok();
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let Some(number) = digits.and_then(|digits| digits.parse().ok()) else {
            return Err(Status::invalid_argument(format!("the integer at byte {at} is out of range")));
        };
        self.parser = ahead;
        Ok(number)
    }

    fn descend(&mut self) -> Result<(), Status> {
        if self.depth == MAX_DEPTH {
            let message = format!("JSON nesting depth exceeds maximum allowed limit ({MAX_DEPTH})");
            return Err(Status::invalid_argument(message));
        }
        self.depth += 1;
        Ok(())
    }

    fn ascend_at_end<T>(&mut self, next: Option<T>) -> Result<Option<T>, Status> {
        if next.is_none() {
            self.depth -= 1;
        }
        Ok(next)
    }

    fn index(&self) -> usize {
        self.skipped + self.parser.current_index()
    }

    #[cold]
    fn explain(&self, error: &JiterError) -> Status {
        let at = self.at + self.skipped + error.index;
        let what = match &error.error_type {
            JiterErrorType::JsonError(error) => error.to_string(),
            JiterErrorType::WrongType { expected, actual } => format!("found {actual}, wanted {expected}"),
        };
        self.invalid(at, format_args!("{what}"))
    }

    /// A request that is not JSON, in words that clients of TensorFlow Serving know.
    fn invalid(&self, at: usize, what: std::fmt::Arguments<'_>) -> Status {
        let is_empty = self.at == 0 && self.text.trim_ascii().is_empty();
        Status::invalid_argument(match is_empty {
            true => "JSON Parse error: The document is empty".to_owned(),
            false => format!("JSON Parse error: Invalid value at byte {at}: {what}"),
        })
    }
}

/// What a value is that begins with this byte; `None` where no value does.
fn kind(peek: Peek) -> Option<&'static str> {
    Some(match peek {
        Peek::Null => "null",
        Peek::True | Peek::False => "a boolean",
        Peek::String => "a string",
        Peek::Array => "a list",
        Peek::Object => "an object",
        peek if peek.is_num() => "a number",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn skip(text: &str) -> Result<(), String> {
        let mut reader = Reader::new(text.as_bytes());
        let outcome = reader.peek().and_then(|peek| reader.skip(peek)).and_then(|()| reader.end());
        outcome.map_err(|status| status.message().to_owned())
    }

    #[track_caller]
    fn integer(text: &str, expected: Result<i128, &str>) {
        let mut reader = Reader::new(text.as_bytes());
        let found = reader.peek().and_then(|peek| reader.integer(peek));
        assert_eq!(found.as_ref().map_err(Status::message).copied(), expected);
    }

    #[test]
    fn infinity_may_be_short_or_long() {
        for text in ["[Inf, -Inf,Infinity , -Infinity, NaN]", "-Inf", "{\"a\":Inf}", "[Inf,[Inf],Inf]"] {
            assert_eq!(skip(text), Ok(()), "{text}");
        }
        assert_eq!(
            skip("[1, Infinit]"),
            Err("JSON Parse error: Invalid value at byte 7: expected `,` or `]`".into())
        );
        assert_eq!(skip("[Inf, ?]"), Err("JSON Parse error: Invalid value at byte 6: wanted a value".into()));
    }

    #[test]
    fn a_value_found_after_an_infinity_is_read_from_where_it_is() {
        let mut reader = Reader::new(b"[Inf, [7, x]]");
        let peek = reader.peek().unwrap();
        let peek = reader.enter_list(peek).unwrap().unwrap();
        assert_eq!(reader.float(peek), Ok(f64::INFINITY));
        reader.next_item().unwrap();
        let error = reader.raw().unwrap_err();
        assert_eq!(error.message(), "JSON Parse error: Invalid value at byte 10: wanted a value");
    }

    #[test]
    fn an_integer_has_neither_fraction_nor_exponent_and_is_not_endless() {
        integer("18446744073709551615", Ok(u64::MAX.into()));
        integer("-9223372036854775809", Ok(i128::from(i64::MIN) - 1));
        integer("1.0", Err("found a number with a fraction or an exponent at byte 0, wanted an integer"));
        integer("1e3", Err("found a number with a fraction or an exponent at byte 0, wanted an integer"));
        integer("true", Err("found a boolean at byte 0, wanted an integer"));
        integer(&"9".repeat(1000), Err("the integer at byte 0 is out of range"));
        integer(&"9".repeat(1_000_000), Err("the integer at byte 0 is out of range"));
    }

    #[test]
    fn nesting_stops_at_the_limit() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(skip(&nested(100)), Ok(()));
        let error = Err("JSON nesting depth exceeds maximum allowed limit (100)".to_owned());
        assert_eq!(skip(&nested(101)), error);
        assert_eq!(skip(&"[".repeat(1_000_000)), error);
        assert_eq!(skip(&"{\"a\":".repeat(1_000_000)), error);
    }

    proptest! {
        #[test]
        fn no_text_panics_the_reader(text in r#"[\[\]{},:"0-9eE+.\-InfinityNa \\ut]{0,40}"#) {
            let _ = skip(&text);
        }

        #[test]
        fn no_number_panics_the_reader(text in r"[-+]?[0-9]{0,25}[.]?[0-9]{0,25}[eE]?[-+]?[0-9]{0,25}.?") {
            let mut reader = Reader::new(text.as_bytes());
            if let Ok(peek) = reader.peek()
                && reader.integer(peek).is_err()
            {
                let _ = reader.float(peek);
            }
        }
    }
}
