//! Elements of fixed size as JSON: how one is read and written.

use jiter::Peek;
use salver_core_status::Status;
use salver_core_tensor::{DType, Element, bf16, f16};

use crate::reader::Reader;

/// An element type with a JSON form.
pub(crate) trait Number: Element {
    /// Reads one element.
    fn read(reader: &mut Reader<'_>, peek: Peek) -> Result<Self, Status>;

    /// Writes one element at the end of `out`.
    fn write(self, out: &mut Vec<u8>);
}

impl Number for bool {
    fn read(reader: &mut Reader<'_>, peek: Peek) -> Result<Self, Status> {
        reader.boolean(peek)
    }

    fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self { b"true" } else { b"false" });
    }
}

macro_rules! integers {
    ($($integer:ty)*) => {
        $(impl Number for $integer {
            fn read(reader: &mut Reader<'_>, peek: Peek) -> Result<Self, Status> {
                let at = reader.position();
                let number = reader.integer(peek)?;
                Self::try_from(number).map_err(|_| out_of_range(number, at, Self::DTYPE))
            }

            fn write(self, out: &mut Vec<u8>) {
                out.extend_from_slice(itoa::Buffer::new().format(self).as_bytes());
            }
        })*
    };
}

integers! { u8 u16 u32 u64 i8 i16 i32 i64 }

#[cold]
fn out_of_range(number: i128, at: usize, dtype: DType) -> Status {
    Status::invalid_argument(format!("{number} at byte {at} is out of the range of {dtype}"))
}

impl Number for f64 {
    fn read(reader: &mut Reader<'_>, peek: Peek) -> Result<Self, Status> {
        reader.float(peek)
    }

    fn write(self, out: &mut Vec<u8>) {
        write_float(self, self.is_finite(), self.is_nan(), self < 0.0, out);
    }
}

impl Number for f32 {
    /// A number too large becomes infinite, as in TensorFlow Serving.
    fn read(reader: &mut Reader<'_>, peek: Peek) -> Result<Self, Status> {
        Ok(reader.float(peek)? as f32)
    }

    fn write(self, out: &mut Vec<u8>) {
        write_float(self, self.is_finite(), self.is_nan(), self < 0.0, out);
    }
}

macro_rules! small_floats {
    ($($float:ty)*) => {
        $(impl Number for $float {
            fn read(reader: &mut Reader<'_>, peek: Peek) -> Result<Self, Status> {
                Ok(Self::from_f64(reader.float(peek)?))
            }

            fn write(self, out: &mut Vec<u8>) {
                self.to_f32().write(out);
            }
        })*
    };
}

small_floats! { f16 bf16 }

/// Writes the shortest decimal that reads back as the same number; whole numbers end in `.0`.
fn write_float<F: zmij::Float>(
    value: F,
    is_finite: bool,
    is_nan: bool,
    is_negative: bool,
    out: &mut Vec<u8>,
) {
    match (is_finite, is_nan, is_negative) {
        (true, ..) => out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes()),
        (_, true, _) => out.extend_from_slice(b"NaN"),
        (_, _, true) => out.extend_from_slice(b"-Infinity"),
        _ => out.extend_from_slice(b"Infinity"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written<T: Number>(value: T) -> String {
        let mut out = Vec::new();
        value.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn read<T: Number>(text: &str) -> Result<T, Status> {
        let mut reader = Reader::new(text.as_bytes());
        let peek = reader.peek()?;
        T::read(&mut reader, peek)
    }

    #[test]
    fn floats_are_written_as_short_as_they_can_be() {
        assert_eq!(written(3.0f32), "3.0");
        assert_eq!(written(0.1f32), "0.1");
        assert_eq!(written(-0.0f32), "-0.0");
        assert_eq!(written(9e6f32), "9000000.0");
        assert_eq!(written(f16::from_f32(0.1)), "0.099975586");
        assert_eq!(written(bf16::from_f32(1.5)), "1.5");
        assert_eq!(
            [f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(written),
            ["NaN", "Infinity", "-Infinity"]
        );
    }

    #[test]
    fn narrow_integers_are_checked_against_their_range() {
        assert_eq!(read::<u8>("255"), Ok(255));
        assert_eq!(read::<i8>("128").unwrap_err().message(), "128 at byte 0 is out of the range of INT8");
        assert_eq!(read::<u64>("-1").unwrap_err().message(), "-1 at byte 0 is out of the range of UINT64");
        assert_eq!(read::<i64>("9223372036854775808").unwrap_err().code().name(), "INVALID_ARGUMENT");
    }

    #[test]
    fn a_float_too_large_for_its_type_is_infinite() {
        assert_eq!(read::<f32>("1e39"), Ok(f32::INFINITY));
        assert_eq!(read::<f64>("-1e999999999999"), Ok(f64::NEG_INFINITY));
        assert_eq!(read::<f32>("1e-60"), Ok(0.0));
        assert_eq!(read::<f16>("65504"), Ok(f16::MAX));
    }

    proptest! {
        #[test]
        fn numbers_read_back_as_they_were(a in any::<f32>(), b in any::<f64>(), c in any::<u64>(), d in any::<i64>(), e in any::<u16>()) {
            prop_assert_eq!(read::<f32>(&written(a)).unwrap().to_bits(), a.to_bits());
            prop_assert_eq!(read::<f64>(&written(b)).unwrap().to_bits(), b.to_bits());
            prop_assert_eq!(read::<u64>(&written(c)).unwrap(), c);
            prop_assert_eq!(read::<i64>(&written(d)).unwrap(), d);
            let half = f16::from_bits(e);
            let back = read::<f16>(&written(half)).unwrap();
            prop_assert!(back == half || (back.is_nan() && half.is_nan()));
        }
    }
}
