//! Copies of blocks between row-major layouts, in the longest runs that lie together in both.
//!
//! An element is whatever is copied as one: a byte of a tensor of fixed size, whose `unit` is the bytes of its element,
//! or where a string lies.

use salver_core_status::Status;
use salver_core_tensor::Shape;
use smallvec::SmallVec;

/// The dimensions in which one layout differs from another, down to the innermost that does. What is within that lies
/// together in both.
pub(crate) struct Layouts {
    axes: SmallVec<[Axis; 4]>,
}

/// One dimension of both layouts.
struct Axis {
    /// The elements of one step along this dimension.
    from_stride: usize,
    to_stride: usize,
    /// The steps along it.
    to_steps: usize,
}

impl Layouts {
    /// Compares the sizes of two layouts of one rank, whose elements come in units of `unit`. The sizes must be those of a
    /// [`Shape`], whose products cannot overflow.
    pub(crate) fn new(from: &[usize], to: &[usize], unit: usize) -> Self {
        let (mut from_stride, mut to_stride) = (unit, unit);
        let mut axes = SmallVec::new();
        for (&from_steps, &to_steps) in from.iter().zip(to).rev() {
            if from_steps != to_steps || !axes.is_empty() {
                axes.push(Axis { from_stride, to_stride, to_steps });
            }
            (from_stride, to_stride) = (from_stride * from_steps, to_stride * to_steps);
        }
        axes.reverse();
        Self { axes }
    }

    /// Appends `source` to `out`, each dimension lengthened at its end with `fill`.
    pub(crate) fn pad<E: Copy>(&self, source: &[E], fill: &[E], out: &mut Vec<E>) {
        pad(&self.axes, source, fill, out);
    }

    /// Appends the beginning of each dimension of `source` to `out`.
    pub(crate) fn crop<E: Copy>(&self, source: &[E], out: &mut Vec<E>) {
        crop(&self.axes, source, out);
    }
}

fn pad<E: Copy>(axes: &[Axis], source: &[E], fill: &[E], out: &mut Vec<E>) {
    let Some((axis, inner)) = axes.split_first() else {
        out.extend_from_slice(source);
        return;
    };
    let start = out.len();
    if inner.is_empty() {
        out.extend_from_slice(source);
    } else if !source.is_empty() {
        for piece in source.chunks_exact(axis.from_stride) {
            pad(inner, piece, fill, out);
        }
    }
    let copied = out.len() - start;
    repeat(fill, (axis.to_steps * axis.to_stride).saturating_sub(copied), out);
}

fn crop<E: Copy>(axes: &[Axis], source: &[E], out: &mut Vec<E>) {
    match axes.split_first() {
        None => out.extend_from_slice(source),
        Some((axis, [])) => {
            out.extend_from_slice(source.get(..axis.to_steps * axis.to_stride).unwrap_or_default());
        }
        Some((axis, inner)) => {
            if !source.is_empty() {
                for piece in source.chunks_exact(axis.from_stride).take(axis.to_steps) {
                    crop(inner, piece, out);
                }
            }
        }
    }
}

/// Appends `pattern` to `out` again and again, until `length` elements have been added.
pub(crate) fn repeat<E: Copy>(pattern: &[E], length: usize, out: &mut Vec<E>) {
    let start = out.len();
    out.extend_from_slice(pattern.get(..length).unwrap_or(pattern));
    double(start, length, out);
}

/// The same with a pattern that is in `out` already: `pattern` elements from `at`.
pub(crate) fn repeat_within<E: Copy>(at: usize, pattern: usize, length: usize, out: &mut Vec<E>) {
    let start = out.len();
    let pattern = pattern.min(length).min(start.saturating_sub(at));
    out.extend_from_within(at.min(start)..at.min(start) + pattern);
    double(start, length, out);
}

/// Repeats what is in `out` from `start` on until it is `length` elements: each step copies all that the last one left.
fn double<E: Copy>(start: usize, length: usize, out: &mut Vec<E>) {
    loop {
        let done = out.len() - start;
        let next = done.min(length - done);
        if next == 0 {
            return;
        }
        out.extend_from_within(start..start + next);
    }
}

/// A vector with room for `length` elements of a tensor of `shape`.
///
/// # Errors
/// RESOURCE_EXHAUSTED where the allocator refuses.
pub(crate) fn with_room<E>(length: usize, shape: &Shape) -> Result<Vec<E>, Status> {
    let mut out = Vec::new();
    out.try_reserve_exact(length)
        .map_err(|_| Status::resource_exhausted(format!("no memory for a tensor of shape {shape}")))?;
    Ok(out)
}

/// The sizes of a shape's dimensions.
pub(crate) fn sizes(shape: &Shape) -> SmallVec<[usize; 4]> {
    // A `Shape` has no dimension that does not fit.
    shape.dims().iter().map(|dim| usize::try_from(*dim).unwrap_or_default()).collect()
}
