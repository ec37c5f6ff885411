//! How far apart two answers to the same inputs may be.
//!
//! Frameworks add numbers up in an order that depends on how many threads they find idle, and floating-point sums depend on
//! their order. What is no floating-point number is the same, or wrong.

use salver_core_tensor::{DType, Element, Tensor, bf16, f16};

/// How far apart the elements of two answers may be, by their type: a share of the largest element of either.
#[derive(Clone, Debug, PartialEq)]
pub struct Tolerance(Vec<(DType, f64)>);

impl Tolerance {
    /// Every bit has to be the same.
    pub fn exact() -> Self {
        Self(Vec::new())
    }

    /// What sums of a few thousand numbers may differ by: some of the last bits of each type.
    pub fn usual() -> Self {
        Self::exact()
            .with(DType::BF16, 2e-2)
            .with(DType::F16, 2e-3)
            .with(DType::F32, 1e-5)
            .with(DType::F64, 1e-12)
    }

    /// The same, but for one type. Only FP16, BF16, FP32 and FP64 have any.
    #[must_use]
    pub fn with(mut self, dtype: DType, share: f64) -> Self {
        self.0.retain(|(known, _)| *known != dtype);
        self.0.push((dtype, share));
        self
    }

    /// Whether two answers are as good as the same.
    pub(crate) fn allows(&self, one: &[Tensor], other: &[Tensor]) -> bool {
        one.len() == other.len() && one.iter().zip(other).all(|(one, other)| self.allows_tensor(one, other))
    }

    fn allows_tensor(&self, one: &Tensor, other: &Tensor) -> bool {
        let share = self.0.iter().find(|(dtype, _)| *dtype == one.dtype()).map(|(_, share)| *share);
        match share {
            _ if one == other => true,
            Some(share) if one.dtype() == other.dtype() && one.shape() == other.shape() => {
                let (one, other) = (numbers(one), numbers(other));
                one.zip(other).is_some_and(|(one, other)| are_near(&one, &other, share))
            }
            _ => false,
        }
    }
}

fn numbers(tensor: &Tensor) -> Option<Vec<f64>> {
    fn of<T: Element + Copy>(tensor: &Tensor, to: impl Fn(T) -> f64) -> Option<Vec<f64>> {
        Some(tensor.view().as_slice::<T>().ok()?.iter().map(|element| to(*element)).collect())
    }
    match tensor.dtype() {
        DType::BF16 => of(tensor, bf16::to_f64),
        DType::F16 => of(tensor, f16::to_f64),
        DType::F32 => of(tensor, |element: f32| element.into()),
        DType::F64 => of(tensor, |element: f64| element),
        _ => None,
    }
}

/// What is no number is near what is none, and an infinity near itself.
fn are_near(one: &[f64], other: &[f64], share: f64) -> bool {
    let finite = one.iter().chain(other).map(|number| number.abs()).filter(|number| number.is_finite());
    let most = finite.fold(0.0, f64::max) * share;
    let is_near = |(one, other): (&f64, &f64)| {
        one == other || (one.is_nan() && other.is_nan()) || (one - other).abs() <= most
    };
    one.iter().zip(other).all(is_near)
}

#[cfg(test)]
mod tests {
    use super::*;
    use salver_core_tensor::Shape;

    fn tensor<T: Element>(elements: Vec<T>) -> [Tensor; 1] {
        [Tensor::from_vec(Shape::new(&[elements.len() as i64]).unwrap(), elements).unwrap()]
    }

    #[test]
    fn last_bits_of_floating_point_numbers_may_differ_and_nothing_else() {
        let usual = Tolerance::usual();
        let one = tensor(vec![1000.0_f32, 0.001, f32::NAN, f32::INFINITY]);
        let near = tensor(vec![1000.001_f32, 0.002, f32::NAN, f32::INFINITY]);
        assert!(usual.allows(&one, &near));
        assert!(!Tolerance::exact().allows(&one, &near));
        for far in [
            vec![1000.1_f32, 0.001, f32::NAN, f32::INFINITY],
            vec![1000.0, 0.001, 1.0, f32::INFINITY],
            vec![1000.0, 0.001, f32::NAN, f32::NEG_INFINITY],
        ] {
            assert!(!usual.allows(&one, &tensor(far.clone())), "{far:?}");
        }
        assert!(!usual.allows(&tensor(vec![1_000_000_i32]), &tensor(vec![1_000_001_i32])));
        assert!(!usual.allows(&one, &[]));
    }

    #[test]
    fn each_type_has_its_own() {
        let tolerance = Tolerance::exact().with(DType::F32, 0.5).with(DType::F32, 0.1);
        assert!(tolerance.allows(&tensor(vec![1.0_f32]), &tensor(vec![1.05_f32])));
        assert!(!tolerance.allows(&tensor(vec![1.0_f32]), &tensor(vec![1.2_f32])));
        assert!(!tolerance.allows(&tensor(vec![1.0_f64]), &tensor(vec![1.05_f64])));
        let half = |number| tensor(vec![f16::from_f64(number)]);
        assert!(Tolerance::usual().allows(&half(1.0), &half(1.001)));
    }
}
