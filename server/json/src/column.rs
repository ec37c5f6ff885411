//! One tensor in the making: elements read from nested lists, and the shape that the lists turn out to have.

use jiter::Peek;
use salver_core_status::Status;
use salver_core_tensor::{DType, Shape, Tensor, bf16, f16};
use smallvec::SmallVec;

use crate::element::{Elements, StringElements};
use crate::reader::Reader;

/// One tensor in the making.
pub(crate) trait Column {
    /// Reads one value, a scalar or nested lists, of the same shape as those before it.
    fn read_nested(&mut self, reader: &mut Reader<'_>, peek: Peek) -> Result<(), Status>;

    /// Reads the scalars of a value, however they are nested; fails once there are more than `limit`.
    fn read_flat(&mut self, reader: &mut Reader<'_>, peek: Peek, limit: usize) -> Result<(), Status>;

    /// How many values were read by [`Column::read_nested`].
    fn values(&self) -> usize;

    /// The tensor of all values, its first dimension their number.
    fn into_rows(self: Box<Self>) -> Result<Tensor, Status>;

    /// The tensor of the single value.
    fn into_value(self: Box<Self>) -> Result<Tensor, Status>;

    /// The tensor of this shape; fails where it needs more elements or fewer.
    fn into_shape(self: Box<Self>, shape: Shape) -> Result<Tensor, Status>;
}

/// A column of elements of this type; `None` where the type has no JSON form.
pub(crate) fn column(dtype: DType) -> Option<Box<dyn Column>> {
    fn of<E: Elements + Default + 'static>() -> Option<Box<dyn Column>> {
        Some(Box::new(Nested { elements: E::default(), dims: SmallVec::new(), rank: None, values: 0 }))
    }
    match dtype {
        DType::Bool => of::<Vec<bool>>(),
        DType::U8 => of::<Vec<u8>>(),
        DType::U16 => of::<Vec<u16>>(),
        DType::U32 => of::<Vec<u32>>(),
        DType::U64 => of::<Vec<u64>>(),
        DType::I8 => of::<Vec<i8>>(),
        DType::I16 => of::<Vec<i16>>(),
        DType::I32 => of::<Vec<i32>>(),
        DType::I64 => of::<Vec<i64>>(),
        DType::F16 => of::<Vec<f16>>(),
        DType::F32 => of::<Vec<f32>>(),
        DType::F64 => of::<Vec<f64>>(),
        DType::BF16 => of::<Vec<bf16>>(),
        DType::String => of::<StringElements>(),
        DType::C64 | DType::C128 => None,
        DType::F8E4M3FN | DType::F8E4M3FNUZ | DType::F8E5M2 | DType::F8E5M2FNUZ => None,
        DType::QI8 | DType::QU8 | DType::QI16 | DType::QU16 | DType::QI32 => None,
    }
}

/// The failure to find a JSON form for elements of a type.
pub(crate) fn no_json_form(dtype: DType) -> Status {
    Status::unimplemented(format!("{dtype} elements have no JSON form"))
}

struct Nested<E> {
    elements: E,
    /// The length of the lists of each level, outermost first; `None` until the first one ends.
    dims: SmallVec<[Option<usize>; 4]>,
    /// How many levels of lists there are around a scalar; `None` until there is a scalar.
    rank: Option<usize>,
    values: usize,
}

impl<E: Elements> Column for Nested<E> {
    fn read_nested(&mut self, reader: &mut Reader<'_>, peek: Peek) -> Result<(), Status> {
        self.values += 1;
        self.read_level(reader, peek, 0)
    }

    fn read_flat(&mut self, reader: &mut Reader<'_>, peek: Peek, limit: usize) -> Result<(), Status> {
        // What a shape claims counts only as far as the text can hold it.
        self.elements.reserve(limit.min(reader.values_left()));
        self.read_scalars(reader, peek, limit)
    }

    fn values(&self) -> usize {
        self.values
    }

    fn into_rows(self: Box<Self>) -> Result<Tensor, Status> {
        let shape = self.shape(&[self.values])?;
        self.elements.into_tensor(shape)
    }

    fn into_value(self: Box<Self>) -> Result<Tensor, Status> {
        let shape = self.shape(&[])?;
        self.elements.into_tensor(shape)
    }

    fn into_shape(self: Box<Self>, shape: Shape) -> Result<Tensor, Status> {
        let (found, wanted) = (self.elements.count(), shape.element_count());
        if found != wanted {
            return Err(Status::invalid_argument(format!(
                "Shape does not match true shape of 'data' field: wanted {wanted} elements, found {found}"
            )));
        }
        self.elements.into_tensor(shape)
    }
}

impl<E: Elements> Nested<E> {
    fn read_level(&mut self, reader: &mut Reader<'_>, peek: Peek, level: usize) -> Result<(), Status> {
        if peek != Peek::Array {
            let rank = *self.rank.get_or_insert(self.dims.len());
            if rank != level {
                return Err(wrong_level(reader));
            }
            return self.elements.read(reader, peek);
        }
        if self.rank.is_some_and(|rank| level >= rank) {
            return Err(wrong_level(reader));
        }
        if self.dims.len() == level {
            self.dims.push(None);
        }
        let start = reader.position();
        let mut length = 0;
        let mut next = reader.enter_list(peek)?;
        while let Some(peek) = next {
            self.read_level(reader, peek, level + 1)?;
            length += 1;
            next = reader.next_item()?;
        }
        let wanted = self.dims.get_mut(level).map_or(length, |dim| *dim.get_or_insert(length));
        if length != wanted {
            return Err(Status::invalid_argument(format!(
                "Encountered list at unexpected size: {length} at byte {start} level {level}, expected {wanted}"
            )));
        }
        Ok(())
    }

    fn read_scalars(&mut self, reader: &mut Reader<'_>, peek: Peek, limit: usize) -> Result<(), Status> {
        if peek != Peek::Array {
            if self.elements.count() == limit {
                let at = reader.position();
                return Err(Status::invalid_argument(format!(
                    "Shape does not match true shape of 'data' field: wanted {limit} elements, more at byte {at}"
                )));
            }
            return self.elements.read(reader, peek);
        }
        let mut next = reader.enter_list(peek)?;
        while let Some(peek) = next {
            self.read_scalars(reader, peek, limit)?;
            next = reader.next_item()?;
        }
        Ok(())
    }

    fn shape(&self, leading: &[usize]) -> Result<Shape, Status> {
        let inner = self.dims.iter().map(|dim| dim.unwrap_or_default());
        let dims: SmallVec<[i64; 4]> = leading
            .iter()
            .copied()
            .chain(inner)
            // A length that was counted fits.
            .map(|dim| i64::try_from(dim).unwrap_or(i64::MAX))
            .collect();
        Ok(Shape::new(&dims)?)
    }
}

#[cold]
fn wrong_level(reader: &Reader<'_>) -> Status {
    let at = reader.position();
    Status::invalid_argument(format!("value at byte {at} found at incorrect level: lists nest unevenly"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(dtype: DType, text: &str) -> Result<Tensor, Status> {
        let mut reader = Reader::new(text.as_bytes());
        let mut column = column(dtype).unwrap();
        let peek = reader.peek()?;
        column.read_nested(&mut reader, peek)?;
        reader.end()?;
        column.into_value()
    }

    #[track_caller]
    fn shape(text: &str, dims: &[i64]) {
        assert_eq!(nested(DType::F32, text).unwrap().shape().dims(), dims);
    }

    #[track_caller]
    fn refused(text: &str, message: &str) {
        assert_eq!(nested(DType::F32, text).unwrap_err().message(), message);
    }

    #[test]
    fn the_shape_is_that_of_the_lists() {
        shape("1", &[]);
        shape("[]", &[0]);
        shape("[[1, 2, 3], [4, 5, 6]]", &[2, 3]);
        shape("[[], []]", &[2, 0]);
        shape("[[[1]], [[2]]]", &[2, 1, 1]);
    }

    #[test]
    fn lists_of_different_lengths_are_refused() {
        refused("[[1, 2], [3]]", "Encountered list at unexpected size: 1 at byte 9 level 1, expected 2");
        refused("[[], [1]]", "Encountered list at unexpected size: 1 at byte 5 level 1, expected 0");
    }

    #[test]
    fn scalars_at_different_levels_are_refused() {
        refused("[1, [2]]", "value at byte 4 found at incorrect level: lists nest unevenly");
        refused("[[1], 2]", "value at byte 6 found at incorrect level: lists nest unevenly");
        refused("[[], 2]", "value at byte 5 found at incorrect level: lists nest unevenly");
        refused("[[1], [[2]]]", "value at byte 7 found at incorrect level: lists nest unevenly");
    }

    #[test]
    fn an_element_of_another_kind_is_named() {
        refused("[1, \"2\"]", "found a string at byte 4, wanted a number");
        refused("[null]", "found null at byte 1, wanted a number");
        let error = nested(DType::String, "[1]").unwrap_err();
        assert_eq!(error.message(), "found a number at byte 1, wanted a string");
    }

    #[test]
    fn a_string_may_be_base64_with_or_without_padding() {
        let tensor = nested(DType::String, r#"["aé", {"b64": "/w=="}, {"b64":"/w"}, {"b64":""}]"#).unwrap();
        let strings: Vec<_> = tensor.strings().unwrap().iter().collect();
        assert_eq!(strings, ["aé".as_bytes(), b"\xff", b"\xff", b""]);
        let tensor = nested(DType::String, r#"[{"b64": "//8A\nYWJj\r\nZA=="}, {"b64": "YR=="}]"#).unwrap();
        let strings: Vec<_> = tensor.strings().unwrap().iter().collect();
        assert_eq!(strings, [&b"\xff\xff\0abcd"[..], b"a"], "lines of MIME, and bits past the last byte");
        for text in [
            r#"{"b64": "*"}"#,
            r#"{"b64": "* *"}"#,
            r#"{"b64": 1}"#,
            r#"{"c": ""}"#,
            "{}",
            r#"{"b64": "", "c": 1}"#,
        ] {
            nested(DType::String, text).unwrap_err();
        }
    }
}
