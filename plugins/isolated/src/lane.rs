//! The server's end of a lane: one run at a time, by one of the worker's threads.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;
use salver_core_platform::RunRequest;
use salver_core_signature::Signature;
use salver_core_status::{Quoted, Status};
use salver_core_tensor::{DType, Shape, Tensor, TensorView};

use std::os::fd::AsFd as _;

use crate::channel::{Broken, Channel, Received};
use crate::message::{self, Placed, Ran, Run, values};
use crate::segment::{KEPT, Places, Segment};

/// How often a run that takes long is asked whether it is still wanted: nobody tells.
const LOOK: Duration = Duration::from_millis(10);

/// Why a run has no answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The model said so, or nothing was asked of it; the lane is as good as before.
    Failed(Status),
    /// The request cannot be sent; the worker has heard nothing of it, but the lane may have lost what went before it.
    Refused(Status),
    /// The worker is gone.
    Gone,
    /// The worker does not do what a worker does.
    Wrong(String),
}

impl From<Broken> for Trouble {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Closed => Trouble::Gone,
            other => Trouble::Wrong(other.to_string()),
        }
    }
}

/// Why nothing was sent.
fn unsent(broken: Broken) -> Trouble {
    match broken {
        Broken::TooLong(_) => Trouble::Refused(Status::resource_exhausted(format!(
            "the request is too much for a process of its own: {broken}"
        ))),
        other => other.into(),
    }
}

/// A socket to a thread of the worker's, and the memory that goes with it.
#[derive(Debug)]
pub(crate) struct Lane {
    channel: Channel,
    received: Received,
    inputs: Option<Segment>,
    outputs: HashMap<u32, Held>,
    /// Segments of outputs that nobody uses any more; the worker is told with the next run.
    released: Arc<Mutex<Vec<u32>>>,
}

/// A segment of outputs that is used again.
#[derive(Debug)]
struct Held {
    segment: Arc<Segment>,
    /// Whether somebody may still be reading it.
    is_lent: bool,
}

/// What keeps the outputs of one run, until the last of them is dropped.
#[derive(Debug)]
struct Lease {
    segment: Arc<Segment>,
    /// Where to say that it is over; nowhere for a segment that is used once.
    back: Option<(u32, Arc<Mutex<Vec<u32>>>)>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some((number, released)) = &self.back {
            released.lock().push(*number);
        }
    }
}

/// The elements of one output.
struct Elements {
    lease: Arc<Lease>,
    at: usize,
    size: usize,
}

impl AsRef<[u8]> for Elements {
    fn as_ref(&self) -> &[u8] {
        // That it is inside was seen when this was made.
        self.lease.segment.slice(self.at, self.size).unwrap_or_default()
    }
}

/// What goes into the segment.
enum Elementary<'a> {
    Borrowed(&'a [u8]),
    Written(Bytes),
}

impl Elementary<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Elementary::Borrowed(bytes) => bytes,
            Elementary::Written(bytes) => bytes,
        }
    }
}

impl Lane {
    pub(crate) fn new(channel: Channel) -> Result<Self, Broken> {
        channel.look_up_every(LOOK)?;
        Ok(Self {
            channel,
            received: Received::default(),
            inputs: None,
            outputs: HashMap::new(),
            released: Arc::default(),
        })
    }

    /// Runs the model. A lane that returned anything but outputs or [`Trouble::Failed`] is not used again.
    pub(crate) fn run(
        &mut self,
        signature: &Signature,
        request: &RunRequest<'_>,
    ) -> Result<Vec<Tensor>, Trouble> {
        let (inputs, file) = self.put(request).map_err(Trouble::Failed)?;
        let context = &request.context;
        let run = Run {
            signature: request.signature,
            inputs,
            outputs: request.outputs.to_vec(),
            time: context.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())),
            trace_id: context.trace.trace_id,
            span_id: context.trace.span_id,
            trace_flags: context.trace.flags,
            request_id: context.request_id,
            parameters: values(context.parameters),
            released: std::mem::take(&mut *self.released.lock()),
        };
        for number in &run.released {
            if let Some(held) = self.outputs.get_mut(number) {
                held.is_lent = false;
            }
        }
        self.channel.send_with(&run, file.as_ref().map(|file| file.as_fd())).map_err(unsent)?;
        let cancelled = self.inputs.as_ref().map(Segment::cancel_word);
        self.channel.receive(&mut self.received, || {
            if let Some(word) = cancelled.filter(|_| context.cancel.is_cancelled()) {
                word.store(1, Ordering::Release);
            }
            Ok(())
        })?;
        // A large one is not kept for the small ones that may follow.
        self.inputs.take_if(|segment| segment.size() > KEPT);
        let ran: Ran = self.received.message()?;
        for number in &ran.dropped {
            if self.outputs.remove(number).is_none_or(|held| held.is_lent) {
                return Err(Trouble::Wrong(format!("it dropped segment {number}, which is not its to drop")));
            }
        }
        match ran.outcome {
            Ok(placed) => {
                let lease = self.lend(ran.segment)?;
                outputs(lease, &placed, signature, request.outputs).map_err(Trouble::Wrong)
            }
            Err(failure) => Err(Trouble::Failed(failure.into())),
        }
    }

    /// Copies the inputs into the segment for them; returns where, and the file of the segment where the worker does not
    /// have it yet.
    fn put(
        &mut self,
        request: &RunRequest<'_>,
    ) -> Result<(Vec<Option<Placed>>, Option<std::os::fd::OwnedFd>), Status> {
        let too_large =
            || Status::resource_exhausted("the inputs are larger than can be shared with a process");
        let mut places = Places::default();
        let mut placed = Vec::with_capacity(request.inputs.len());
        let mut elements = Vec::with_capacity(request.inputs.len());
        for input in request.inputs {
            let Some(input) = input else {
                placed.push(None);
                continue;
            };
            let bytes = elementary(input)?;
            let place = places.next(bytes.bytes().len()).ok_or_else(too_large)?;
            let (dtype, dims) = (input.dtype() as u32, input.shape().dims().to_vec());
            placed.push(Some(Placed { dtype, dims, at: place.start, size: place.len() }));
            elements.push((place.start, bytes));
        }
        let mut file = None;
        if self.inputs.as_ref().is_none_or(|segment| segment.size() < places.end()) {
            // Unmapped before the new one is there.
            self.inputs = None;
            let (segment, new) = Segment::create(places.end()).map_err(|error| {
                let bytes = places.end();
                Status::resource_exhausted(format!(
                    "no memory to share {bytes} bytes with a process: {error}"
                ))
            })?;
            self.inputs = Some(segment);
            file = Some(new);
        }
        if let Some(segment) = &self.inputs {
            segment.cancel_word().store(0, Ordering::Release);
            for (at, bytes) in &elements {
                segment.write(*at, bytes.bytes()).ok_or_else(too_large)?;
            }
        }
        Ok((placed, file))
    }

    /// The segment that the outputs are in.
    fn lend(&mut self, number: u32) -> Result<Arc<Lease>, Trouble> {
        if let Some(file) = self.received.file.take() {
            let segment = Segment::open(&file);
            let segment =
                Arc::new(segment.map_err(|error| {
                    Trouble::Wrong(format!("segment {number} cannot be shared: {error}"))
                })?);
            if segment.size() > KEPT {
                return Ok(Arc::new(Lease { segment, back: None }));
            }
            if self.outputs.insert(number, Held { segment, is_lent: false }).is_some() {
                return Err(Trouble::Wrong(format!("there are two segments {number}")));
            }
        }
        match self.outputs.get_mut(&number) {
            Some(held) if !held.is_lent => {
                held.is_lent = true;
                let back = Some((number, Arc::clone(&self.released)));
                Ok(Arc::new(Lease { segment: Arc::clone(&held.segment), back }))
            }
            Some(_) => Err(Trouble::Wrong(format!("segment {number} is used twice at a time"))),
            None => Err(Trouble::Wrong(format!("there is no segment {number}"))),
        }
    }
}

fn elementary<'a>(input: &TensorView<'a>) -> Result<Elementary<'a>, Status> {
    match (input.bytes(), input.strings()) {
        (Some(bytes), _) => Ok(Elementary::Borrowed(bytes)),
        (None, Some(strings)) => Ok(Elementary::Written(strings.to_length_prefixed()?)),
        (None, None) => Err(Status::internal("a tensor that has no elements of any kind")),
    }
}

/// The outputs as tensors; what is wrong with them where they are none, or others than were asked for.
fn outputs(
    lease: Arc<Lease>,
    placed: &[Placed],
    signature: &Signature,
    wanted: &[usize],
) -> Result<Vec<Tensor>, String> {
    if placed.len() != wanted.len() {
        return Err(format!("it returned {} outputs, {} were wanted", placed.len(), wanted.len()));
    }
    let pairs = placed.iter().zip(wanted);
    let tensors = pairs.map(|(placed, &position)| {
        let spec = signature.outputs.get(position).ok_or_else(|| format!("there is no output {position}"))?;
        let tensor = output(&lease, placed).map_err(|status| status.message().to_owned());
        let tensor = tensor.and_then(|tensor| match spec.check(&tensor) {
            Ok(()) => Ok(tensor),
            Err(error) => Err(error.to_string()),
        });
        tensor.map_err(|what| format!("output {}: {what}", Quoted(&spec.name)))
    });
    tensors.collect()
}

fn output(lease: &Arc<Lease>, placed: &Placed) -> Result<Tensor, Status> {
    let &Placed { at, size, .. } = placed;
    let dtype = message::dtype(placed.dtype)?;
    let shape = Shape::new(&placed.dims)?;
    let bytes = lease.segment.slice(at, size).ok_or_else(|| {
        let whole = lease.segment.size();
        Status::internal(format!("it lies at {at} and takes {size} bytes, in a segment of {whole}"))
    })?;
    // Strings have structure, and `Tensor` sees to it that a BOOL is 0 or 1: what is checked must not change afterwards.
    let bytes = if matches!(dtype, DType::String | DType::Bool) {
        Bytes::copy_from_slice(bytes)
    } else {
        Bytes::from_owner(Elements { lease: Arc::clone(lease), at, size })
    };
    message::tensor(dtype, shape, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use salver_core_platform::RunContext;
    use salver_core_signature::{ShapeSpec, TensorSpec};

    /// A run on a lane whose other end answers with this, and sends a segment along where one is given.
    fn run(ran: &Ran, segment: Option<&std::os::fd::OwnedFd>) -> Result<Vec<Tensor>, Trouble> {
        answered(|there| there.send_with(ran, segment.map(|file| file.as_fd())).unwrap())
    }

    fn answered(answer: impl FnOnce(&Channel) + Send) -> Result<Vec<Tensor>, Trouble> {
        let (here, there) = Channel::pair().unwrap();
        let signature =
            Signature::predict(Vec::new(), vec![TensorSpec::new("y", DType::U8, ShapeSpec::of(&[-1]))]);
        let request = RunRequest { signature: 0, inputs: &[], outputs: &[0], context: RunContext::default() };
        std::thread::scope(|scope| {
            scope.spawn(move || {
                there.receive(&mut Received::default(), || Ok(())).unwrap();
                answer(&there);
            });
            Lane::new(here).unwrap().run(&signature, &request)
        })
    }

    fn placed(dtype: DType, dims: &[i64], at: usize, size: usize) -> Placed {
        Placed { dtype: dtype as u32, dims: dims.to_vec(), at, size }
    }

    fn ran(outputs: Vec<Placed>) -> Ran {
        Ran { outcome: Ok(outputs), segment: 1, dropped: Vec::new() }
    }

    #[test]
    fn an_answer_is_taken_as_it_lies() {
        let (segment, file) = Segment::create(100).unwrap();
        segment.write(128, &[1, 2, 3]).unwrap();
        let outputs = run(&ran(vec![placed(DType::U8, &[3], 128, 3)]), Some(&file)).unwrap();
        let wanted = Tensor::from_vec(Shape::new(&[3]).unwrap(), vec![1u8, 2, 3]).unwrap();
        assert_eq!(outputs, [wanted]);
    }

    #[test]
    fn a_worker_that_says_what_cannot_be_is_found_out() {
        let (_segment, file) = Segment::create(100).unwrap();
        let size = Segment::open(&file).unwrap().size();
        let good = || vec![placed(DType::U8, &[3], 64, 3)];
        let dropped = Ran { dropped: vec![7], ..ran(good()) };
        for (ran, file, part) in [
            (ran(good()), None, "there is no segment 1"),
            (dropped, Some(&file), "not its to drop"),
            (ran(Vec::new()), Some(&file), "0 outputs, 1 were wanted"),
            (ran(vec![placed(DType::U8, &[3], size - 1, 3)]), Some(&file), "in a segment of"),
            (ran(vec![placed(DType::U8, &[3], usize::MAX, 3)]), Some(&file), "in a segment of"),
            (ran(vec![placed(DType::U8, &[4], 64, 3)]), Some(&file), "output `y`"),
            (ran(vec![placed(DType::U8, &[-1], 64, 3)]), Some(&file), "output `y`"),
            (ran(vec![placed(DType::I8, &[3], 64, 3)]), Some(&file), "output `y`"),
            (ran(vec![placed(DType::U8, &[1, 3], 64, 3)]), Some(&file), "output `y`"),
            (ran(vec![Placed { dtype: 99, ..placed(DType::U8, &[3], 64, 3) }]), Some(&file), "99"),
        ] {
            let shown = format!("{ran:?}");
            let Err(Trouble::Wrong(what)) = run(&ran, file) else { panic!("{shown} was taken") };
            assert!(what.contains(part), "{shown}: {what}");
        }
    }

    #[test]
    fn memory_that_could_shrink_is_not_read() {
        let flags = rustix::fs::MemfdFlags::CLOEXEC | rustix::fs::MemfdFlags::ALLOW_SEALING;
        let file = rustix::fs::memfd_create(c"t", flags).unwrap();
        rustix::fs::ftruncate(&file, 1 << 16).unwrap();
        let Err(Trouble::Wrong(what)) = run(&ran(vec![placed(DType::U8, &[3], 64, 3)]), Some(&file)) else {
            panic!("it was taken")
        };
        assert!(what.contains("cannot be shared"), "{what}");
    }

    #[test]
    fn a_request_that_says_too_much_is_refused_and_nobody_is_ended_for_it() {
        let (here, there) = Channel::pair().unwrap();
        let signature = Signature::predict(Vec::new(), Vec::new());
        let long = "x".repeat(65 << 20);
        let context = RunContext { request_id: &long, ..RunContext::default() };
        let request = RunRequest { signature: 0, inputs: &[], outputs: &[], context };
        let Err(Trouble::Refused(status)) = Lane::new(here).unwrap().run(&signature, &request) else {
            panic!("it was sent")
        };
        assert_eq!(status.code(), salver_core_status::Code::ResourceExhausted);
        assert!(matches!(there.receive(&mut Received::default(), || Ok(())), Err(Broken::Closed)));
    }

    #[test]
    fn a_worker_that_ends_is_gone() {
        assert!(matches!(answered(|_| {}), Err(Trouble::Gone)));
    }

    proptest! {
        #[test]
        fn no_bytes_that_a_worker_sends_are_taken_for_an_answer_or_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let got = answered(|there| {
                let length = u32::try_from(bytes.len()).unwrap();
                rustix::io::write(there, &[&length.to_le_bytes()[..], &bytes].concat()).unwrap();
            });
            prop_assert!(got.is_err());
        }
    }
}
