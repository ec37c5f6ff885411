//! String elements: one buffer, and where in it each element lies.

use bytes::{BufMut, Bytes};

use crate::Error;

/// Where an element lies in the buffer: start and length.
type Span = (usize, usize);

/// The elements of a string tensor, owned. They lie anywhere in one shared buffer.
#[derive(Clone, Debug, Default)]
pub struct Strings {
    buffer: Bytes,
    spans: Vec<Span>,
}

impl Strings {
    /// Reads `count` elements in the Open Inference Protocol's raw form: each a little-endian `u32` length and that
    /// many bytes. The elements stay where they are: nothing is copied.
    ///
    /// # Errors
    /// [`Error::StringLength`] when an element runs past the end; [`Error::ByteCount`] is the caller's to make when
    /// bytes are left, which this returns as the second value.
    pub fn from_length_prefixed(buffer: Bytes, count: usize) -> Result<(Self, usize), Error> {
        const PREFIX: usize = 4;
        // Each element takes at least its prefix: a count beyond that is refused before anything is allocated.
        if count > buffer.len() / PREFIX {
            return Err(Error::StringLength { index: buffer.len() / PREFIX });
        }
        let mut spans = Vec::with_capacity(count);
        let mut at: usize = 0;
        for index in 0..count {
            let error = Error::StringLength { index };
            let (prefix, rest) = buffer
                .get(at..)
                .and_then(|rest| rest.split_first_chunk::<PREFIX>())
                .ok_or_else(|| error.clone())?;
            let length = u32::from_le_bytes(*prefix) as usize;
            if length > rest.len() {
                return Err(error);
            }
            spans.push((at + PREFIX, length));
            at += PREFIX + length;
        }
        let left = buffer.len() - at;
        Ok((Self { buffer, spans }, left))
    }

    /// The single element `bytes`, not copied.
    pub fn one(bytes: Bytes) -> Self {
        let spans = vec![(0, bytes.len())];
        Self { buffer: bytes, spans }
    }

    /// Elements that lie in `buffer` at the given starts and lengths.
    ///
    /// # Errors
    /// [`Error::StringLength`] when a span is not inside the buffer.
    pub fn from_spans(buffer: Bytes, spans: Vec<(usize, usize)>) -> Result<Self, Error> {
        for (index, &(start, length)) in spans.iter().enumerate() {
            if start.checked_add(length).is_none_or(|end| end > buffer.len()) {
                return Err(Error::StringLength { index });
            }
        }
        Ok(Self { buffer, spans })
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The element at `index`, sharing the buffer.
    pub fn get(&self, index: usize) -> Option<Bytes> {
        let &(start, length) = self.spans.get(index)?;
        Some(self.buffer.slice(start..start + length))
    }

    /// The elements, sharing the buffer.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Bytes> + '_ {
        self.spans.iter().map(|&(start, length)| self.buffer.slice(start..start + length))
    }

    /// The buffer that the elements lie in, shared.
    pub fn buffer(&self) -> &Bytes {
        &self.buffer
    }

    /// Where in the [`buffer`](Self::buffer) each element lies: start and length. The inverse of
    /// [`from_spans`](Self::from_spans).
    pub fn spans(&self) -> &[(usize, usize)] {
        &self.spans
    }

    /// Borrows the elements.
    pub fn view(&self) -> StringsView<'_> {
        StringsView(Repr::Spans { buffer: &self.buffer, spans: &self.spans })
    }
}

/// Copies the elements into one buffer.
impl<S: AsRef<[u8]>> FromIterator<S> for Strings {
    fn from_iter<I: IntoIterator<Item = S>>(elements: I) -> Self {
        let elements = elements.into_iter();
        let mut buffer = Vec::new();
        let mut spans = Vec::with_capacity(elements.size_hint().0);
        for element in elements {
            let element = element.as_ref();
            spans.push((buffer.len(), element.len()));
            buffer.put_slice(element);
        }
        Self { buffer: buffer.into(), spans }
    }
}

/// Equal elements, wherever they lie.
impl PartialEq for Strings {
    fn eq(&self, other: &Self) -> bool {
        self.view() == other.view()
    }
}

/// The elements of a string tensor, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct StringsView<'a>(Repr<'a>);

#[derive(Clone, Copy, Debug)]
enum Repr<'a> {
    Spans { buffer: &'a [u8], spans: &'a [Span] },
    Slices(&'a [&'a [u8]]),
}

impl<'a> StringsView<'a> {
    /// Borrows elements that lie anywhere.
    pub fn from_slices(elements: &'a [&'a [u8]]) -> Self {
        Self(Repr::Slices(elements))
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        match self.0 {
            Repr::Spans { spans, .. } => spans.len(),
            Repr::Slices(slices) => slices.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The element at `index`.
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        match self.0 {
            Repr::Spans { buffer, spans } => {
                let &(start, length) = spans.get(index)?;
                buffer.get(start..start + length)
            }
            Repr::Slices(slices) => slices.get(index).copied(),
        }
    }

    /// The elements in row-major order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let view = *self;
        // Every index below `len` has an element.
        (0..view.len()).map(move |index| view.get(index).unwrap_or_default())
    }

    /// How many bytes all elements have together.
    pub fn total_bytes(&self) -> usize {
        self.iter().map(<[u8]>::len).sum()
    }

    /// Writes the elements in the Open Inference Protocol's raw form: a little-endian `u32` length, then the bytes.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when an element is longer than a `u32` can say.
    pub fn to_length_prefixed(&self) -> Result<Bytes, Error> {
        let mut buffer = Vec::with_capacity(self.total_bytes() + 4 * self.len());
        for element in self.iter() {
            let length = u32::try_from(element.len()).map_err(|_| Error::TooLarge)?;
            buffer.put_u32_le(length);
            buffer.put_slice(element);
        }
        Ok(buffer.into())
    }
}

impl PartialEq for StringsView<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn elements_may_hold_nul_and_bytes_that_are_not_utf8() {
        let strings: Strings = [&b"a\0b"[..], b"\xff\xfe", b""].into_iter().collect();
        assert_eq!(strings.get(0).unwrap(), &b"a\0b"[..]);
        assert_eq!(strings.view().get(1).unwrap(), b"\xff\xfe");
        assert_eq!(strings.view().total_bytes(), 5);
        assert_eq!(strings.get(3), None);
    }

    #[test]
    fn a_length_past_the_end_names_its_element() {
        let cut = Bytes::from_static(b"\x01\0\0\0a\xff\xff\xff\xffbc");
        assert_eq!(Strings::from_length_prefixed(cut, 2).unwrap_err(), Error::StringLength { index: 1 });
    }

    #[test]
    fn a_count_that_the_bytes_cannot_hold_allocates_nothing() {
        let few = Bytes::from_static(b"\0\0\0\0");
        assert_eq!(
            Strings::from_length_prefixed(few, usize::MAX / 32).unwrap_err(),
            Error::StringLength { index: 1 }
        );
    }

    #[test]
    fn bytes_left_over_are_counted() {
        let (strings, left) =
            Strings::from_length_prefixed(Bytes::from_static(b"\x01\0\0\0axyz"), 1).unwrap();
        assert_eq!((strings.len(), left), (1, 3));
    }

    proptest! {
        #[test]
        fn decoding_is_the_inverse_of_encoding(elements in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..20)) {
            let strings: Strings = elements.iter().collect();
            let wire = strings.view().to_length_prefixed().unwrap();
            let (decoded, left) = Strings::from_length_prefixed(wire, elements.len()).unwrap();
            prop_assert_eq!(decoded, strings);
            prop_assert_eq!(left, 0);
        }

        #[test]
        fn no_bytes_panic_the_decoder(bytes in prop::collection::vec(any::<u8>(), 0..64), count in 0usize..40) {
            let _ = Strings::from_length_prefixed(bytes.into(), count);
        }
    }
}
