//! Shapes, and the only place where dimensions are multiplied.

use std::fmt;

use smallvec::SmallVec;

use crate::{DType, Error};

/// The sizes of a tensor's dimensions, outermost first. Every dimension is known and not negative.
///
/// The product of the dimensions that are not zero fits, in elements of any type, in `isize`: strides computed from a
/// `Shape` cannot overflow, whichever dimensions are zero.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Shape {
    dims: SmallVec<[i64; 4]>,
    element_count: usize,
}

impl Shape {
    /// The most dimensions a tensor can have, TensorFlow's limit.
    pub const MAX_RANK: usize = 254;

    /// The shape of a single element: no dimensions.
    pub fn scalar() -> Self {
        Self { dims: SmallVec::new(), element_count: 1 }
    }

    /// A shape of the given dimensions.
    ///
    /// # Errors
    /// [`Error::Rank`], [`Error::NegativeDimension`], [`Error::TooLarge`]: all INVALID_ARGUMENT.
    pub fn new(dims: &[i64]) -> Result<Self, Error> {
        if dims.len() > Self::MAX_RANK {
            return Err(Error::Rank { rank: dims.len() });
        }
        let mut product: usize = 1;
        let mut is_empty = false;
        for (axis, &dim) in dims.iter().enumerate() {
            let size = usize::try_from(dim).map_err(|_| match dim {
                ..0 => Error::NegativeDimension { axis, size: dim },
                _ => Error::TooLarge,
            })?;
            if size == 0 {
                is_empty = true;
            } else {
                product = product.checked_mul(size).ok_or(Error::TooLarge)?;
            }
        }
        // The largest element is 16 bytes: with room for it, a byte count of any type fits in `isize`.
        const LARGEST_ELEMENT: usize = 16;
        if product > isize::MAX as usize / LARGEST_ELEMENT {
            return Err(Error::TooLarge);
        }
        let element_count = if is_empty { 0 } else { product };
        Ok(Self { dims: SmallVec::from_slice(dims), element_count })
    }

    /// The dimensions, outermost first; none is negative.
    pub fn dims(&self) -> &[i64] {
        &self.dims
    }

    /// How many dimensions there are.
    pub fn rank(&self) -> usize {
        self.dims.len()
    }

    /// How many elements a tensor of this shape has.
    pub fn element_count(&self) -> usize {
        self.element_count
    }

    /// How many bytes a tensor of this shape has; `None` for strings.
    pub fn byte_count(&self, dtype: DType) -> Option<usize> {
        // Cannot overflow: `new` left room for the largest element.
        dtype.size().map(|size| self.element_count * size)
    }
}

/// Shows as `[2, 3]`; only the first dimensions of a long shape are shown.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 16;
        f.write_str("[")?;
        for (axis, dim) in self.dims.iter().take(SHOWN).enumerate() {
            if axis > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{dim}")?;
        }
        if self.rank() > SHOWN {
            write!(f, ", ... {} dimensions", self.rank())?;
        }
        f.write_str("]")
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scalar_has_one_element_and_a_zero_dimension_leaves_none() {
        assert_eq!(Shape::scalar().element_count(), 1);
        assert_eq!(Shape::new(&[]), Ok(Shape::scalar()));
        assert_eq!(Shape::new(&[3, 0, 7]).unwrap().element_count(), 0);
        assert_eq!(Shape::new(&[2, 3]).unwrap().byte_count(DType::F32), Some(24));
        assert_eq!(Shape::new(&[2, 3]).unwrap().byte_count(DType::String), None);
    }

    #[test]
    fn a_shape_that_cannot_be_addressed_is_refused_even_when_it_is_empty() {
        for dims in [&[i64::MAX][..], &[1 << 32, 1 << 32], &[i64::MAX, 0], &[1 << 40, 1 << 40, 0], &[1 << 62]]
        {
            assert_eq!(Shape::new(dims), Err(Error::TooLarge), "{dims:?}");
        }
    }

    #[test]
    fn a_negative_dimension_is_named() {
        assert_eq!(Shape::new(&[2, -1]), Err(Error::NegativeDimension { axis: 1, size: -1 }));
        assert_eq!(Shape::new(&[i64::MIN]), Err(Error::NegativeDimension { axis: 0, size: i64::MIN }));
    }

    #[test]
    fn rank_is_bounded() {
        assert!(Shape::new(&[1; Shape::MAX_RANK]).is_ok());
        assert_eq!(Shape::new(&[1; 255]), Err(Error::Rank { rank: 255 }));
    }

    proptest::proptest! {
        #[test]
        fn no_dimensions_overflow(dims in proptest::collection::vec(proptest::num::i64::ANY, 0..6)) {
            if let Ok(shape) = Shape::new(&dims) {
                let exact: i128 = dims.iter().map(|dim| i128::from(*dim)).product();
                proptest::prop_assert_eq!(shape.element_count() as i128, exact);
            }
        }
    }
}
