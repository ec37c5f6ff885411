//! The 8-bit floats nearest to a number.

use salver_core_tensor::DType;

/// The byte that is nearest to `value` in an 8-bit float type: ties to even, numbers past the largest to the largest (or
/// to infinity, for infinity, where the type has it), NaN to NaN. `None` for other types.
pub(crate) fn nearest(dtype: DType, value: f64) -> Option<u8> {
    let format = Format::of(dtype)?;
    if value.is_nan() {
        return Some(format.nan);
    }
    let sign = if value.is_sign_negative() && value != 0.0 { 0x80 } else { 0 };
    let value = value.abs();
    if value.is_infinite() && format.has_infinity {
        return Some(sign | INFINITY_E5M2);
    }
    // The codes ascend with what they mean: 128 of them are soon looked through, once for each join that pads.
    let mut nearest = 0;
    for code in 1..=format.largest {
        let (below, here) = (format.decode(nearest), format.decode(code));
        let (to_below, to_here) = (value - below, (here - value).abs());
        if to_here < to_below || (to_here == to_below && code % 2 == 0) || value >= here {
            nearest = code;
        }
    }
    // Without a negative zero, its code is NaN.
    Some(if nearest == 0 { 0 } else { sign | nearest })
}

const INFINITY_E5M2: u8 = 0x7c;

struct Format {
    mantissa_bits: u32,
    bias: i32,
    /// The code of the largest finite number.
    largest: u8,
    nan: u8,
    has_infinity: bool,
}

impl Format {
    fn of(dtype: DType) -> Option<Self> {
        let (mantissa_bits, bias, largest, nan) = match dtype {
            DType::F8E4M3FN => (3, 7, 0x7e, 0x7f),
            DType::F8E4M3FNUZ => (3, 8, 0x7f, 0x80),
            DType::F8E5M2 => (2, 15, 0x7b, 0x7e),
            DType::F8E5M2FNUZ => (2, 16, 0x7f, 0x80),
            _ => return None,
        };
        Some(Self { mantissa_bits, bias, largest, nan, has_infinity: dtype == DType::F8E5M2 })
    }

    /// What a code without sign means.
    fn decode(&self, code: u8) -> f64 {
        let scale = f64::from(1u32 << self.mantissa_bits);
        let exponent = i32::from(code >> self.mantissa_bits);
        let fraction = f64::from(code % (1 << self.mantissa_bits)) / scale;
        if exponent == 0 {
            fraction * 2f64.powi(1 - self.bias)
        } else {
            (1.0 + fraction) * 2f64.powi(exponent - self.bias)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPES: [DType; 4] = [DType::F8E4M3FN, DType::F8E4M3FNUZ, DType::F8E5M2, DType::F8E5M2FNUZ];

    #[test]
    fn every_number_that_a_type_has_is_nearest_to_itself() {
        for dtype in TYPES {
            let format = Format::of(dtype).unwrap();
            for code in 0..=format.largest {
                assert_eq!(nearest(dtype, format.decode(code)), Some(code), "{dtype}");
                if code > 0 {
                    assert_eq!(nearest(dtype, -format.decode(code)), Some(code | 0x80), "{dtype}");
                }
            }
        }
    }

    #[test]
    fn the_largest_numbers_are_those_of_the_formats() {
        let largest = TYPES.map(|dtype| {
            let format = Format::of(dtype).unwrap();
            format.decode(format.largest)
        });
        assert_eq!(largest, [448.0, 240.0, 57344.0, 57344.0]);
        assert_eq!(nearest(DType::F8E4M3FN, 1e9), Some(0x7e));
        assert_eq!(nearest(DType::F8E5M2, f64::NEG_INFINITY), Some(0xfc));
        assert_eq!(nearest(DType::F8E4M3FNUZ, f64::INFINITY), Some(0x7f));
    }

    #[test]
    fn a_number_between_two_goes_to_the_nearer_and_to_the_even_one_from_the_middle() {
        // 1 is 0x38 and 1.125 is 0x39 in E4M3.
        for (value, code) in [(1.05, 0x38), (1.07, 0x39), (1.0625, 0x38), (1.1875, 0x3a), (-1.07, 0xb9)] {
            assert_eq!(nearest(DType::F8E4M3FN, value), Some(code), "{value}");
        }
    }

    #[test]
    fn there_is_no_negative_zero_and_nan_stays_nan() {
        assert_eq!(nearest(DType::F8E4M3FNUZ, -0.0), Some(0));
        assert_eq!(nearest(DType::F8E4M3FNUZ, -1e-9), Some(0));
        assert_eq!(nearest(DType::F8E5M2FNUZ, f64::NAN), Some(0x80));
        assert_eq!(nearest(DType::F32, 1.0), None);
    }
}
