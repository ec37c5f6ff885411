//! What a queue goes by: its options, and what has been measured since.

use std::ops::Range;
use std::time::{Duration, Instant};

use salver_batching_tune::{CostModel, LatencyTarget, Limits};
use salver_core_status::Status;

use crate::agenda::Standing;
use crate::groups::{Group, class_of, level_of};
use crate::line::{Line, Mark};
use crate::{BatchPadding, Level, PriorityMixing, QueueOptions, Task, Tuning};

/// What a queue goes by.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) options: QueueOptions,
    pub(crate) is_closed: bool,
    cost: CostModel,
    tuner: Option<LatencyTarget>,
    /// What the tuner says.
    limits: Option<Limits>,
}

impl Rules {
    pub(crate) fn new(options: QueueOptions) -> Result<Self, Status> {
        options.check()?;
        let tuner = match &options.tuning {
            Tuning::Fixed => None,
            Tuning::LatencyTarget(options) => Some(LatencyTarget::new(options.clone())?),
        };
        let limits = tuner.as_ref().map(LatencyTarget::limits);
        Ok(Self { options, is_closed: false, cost: CostModel::default(), tuner, limits })
    }

    /// What the tuner says; `None` where there is none.
    pub(crate) fn limits(&self) -> Option<Limits> {
        self.limits
    }

    /// The level that a task is of.
    pub(crate) fn level_of<T: Task>(&self, task: &T) -> usize {
        let lowest = self.options.levels.len().saturating_sub(1);
        task.level().unwrap_or(self.options.default_level).min(lowest)
    }

    pub(crate) fn level(&self, level: usize) -> Option<&Level> {
        self.options.levels.get(level)
    }

    /// The largest batch of a level, in rows.
    pub(crate) fn limit(&self, level: usize) -> usize {
        self.level(level).map_or(1, |level| level.max_execution_batch_size)
    }

    /// So many rows leave at once, and together.
    pub(crate) fn full(&self, level: usize) -> usize {
        let tuned = self.limits.map_or(usize::MAX, |limits| limits.batch_size);
        self.limit(level).min(tuned).max(1)
    }

    /// When a task that was pushed then has waited long enough for a batch that is not full.
    fn due(&self, level: usize, pushed: Instant) -> Instant {
        match (self.limits, self.level(level)) {
            (Some(limits), _) => limits.due(pushed),
            (None, Some(level)) => later(pushed, level.batch_timeout),
            (None, None) => pushed,
        }
    }

    /// Whether a task waits no longer for a batch that is not full.
    pub(crate) fn is_due(&self, mark: &Mark, now: Instant) -> bool {
        self.due(level_of(mark.class), mark.pushed) <= now
    }

    /// How many lanes a group has.
    pub(crate) fn lanes(&self) -> usize {
        if self.options.mixing == PriorityMixing::Merge { 1 } else { self.options.levels.len() }
    }

    /// The lane in which a level's tasks are.
    pub(crate) fn lane_of(&self, level: usize) -> usize {
        if self.options.mixing == PriorityMixing::Merge { 0 } else { level }
    }

    /// The lines of a lane.
    pub(crate) fn classes(&self, lane: usize) -> Range<usize> {
        if self.options.mixing == PriorityMixing::Merge {
            0..class_of(self.options.levels.len())
        } else {
            class_of(lane)..class_of(lane + 1)
        }
    }

    /// Up to how many rows a batch that leaves is filled with tasks of lower levels; `None` where it is not.
    pub(crate) fn filled(&self, level: usize, rows: usize) -> Option<usize> {
        match self.options.mixing {
            PriorityMixing::PadToMax => Some(self.full(level)),
            PriorityMixing::PadToNextAllowed => Some(self.padded(level, rows).min(self.limit(level))),
            PriorityMixing::Isolate | PriorityMixing::Merge => None,
        }
    }

    /// With how many rows a batch is run.
    pub(crate) fn padded(&self, level: usize, rows: usize) -> usize {
        let next = self.allowed(level).iter().copied().find(|size| *size >= rows);
        next.unwrap_or(rows)
    }

    /// The size to which a batch is better cut down than padded up.
    pub(crate) fn cut(&self, level: usize, rows: usize) -> Option<usize> {
        let up = self.padded(level, rows);
        let down = self.allowed(level).iter().copied().rfind(|size| *size < rows).filter(|_| up > rows)?;
        let each = |run: usize, used: usize| self.cost.cost(run).map(|cost| cost.as_secs_f64() / used as f64);
        let is_better = match self.options.padding {
            BatchPadding::PadUp | BatchPadding::Disabled => false,
            BatchPadding::BatchDown => true,
            BatchPadding::MinimizeCostPerRequest => each(down, down)? < each(up, rows)?,
        };
        is_better.then_some(down)
    }

    /// Whether a batch of these rows leaves without waiting for more.
    pub(crate) fn is_preferred(&self, level: usize, rows: usize) -> bool {
        self.level(level).is_some_and(|level| level.preferred_batch_sizes.binary_search(&rows).is_ok())
    }

    /// When a task that is pushed now has waited too long.
    pub(crate) fn expires<T: Task>(&self, level: usize, task: &T, now: Instant) -> Option<Instant> {
        let policy = &self.level(level)?.policy;
        let own = if policy.allow_timeout_override { task.timeout() } else { None };
        let timeout = match (own, policy.default_timeout) {
            (Some(own), Some(default)) => own.min(default),
            (own, default) => own.or(default)?,
        };
        Some(later(now, timeout))
    }

    /// How a lane of a group stands; `None` where nothing waits in it.
    pub(crate) fn standing<T: Task>(&self, group: &Group<T>, lane: usize) -> Option<Standing> {
        let lines = group.lines.get(self.classes(lane))?;
        let fronts = || lines.iter().filter_map(|line| line.front().map(|front| &front.mark));
        let class = fronts().next()?.class;
        let level = level_of(class);
        let opened = fronts().map(|mark| mark.pushed).min()?;
        let due = fronts().map(|mark| self.due(level_of(mark.class), mark.pushed)).min()?;
        let rows: usize = lines.iter().map(|line| line.counts().rows).sum();
        let is_ready = self.is_closed || rows >= self.full(level) || self.has_preferred(level, lines);
        Some(Standing { class, opened, due: if is_ready { None } else { Some(due) } })
    }

    /// The same, where `before` tells how it stood before a task was added behind all others, on a line of `class`.
    pub(crate) fn standing_after<T: Task>(
        &self,
        before: Standing,
        group: &Group<T>,
        lane: usize,
        class: usize,
    ) -> Option<Standing> {
        let lines = group.lines.get(self.classes(lane))?;
        let (Some(before_due), Some(front)) = (before.due, group.lines.get(class)?.front()) else {
            return Some(before);
        };
        let due = before_due.min(self.due(level_of(class), front.mark.pushed));
        let level = level_of(before.class);
        let rows: usize = lines.iter().map(|line| line.counts().rows).sum();
        let is_ready = rows >= self.full(level) || self.is_preferred(level, rows);
        Some(Standing { due: if is_ready { None } else { Some(due) }, ..before })
    }

    /// Whether the first tasks of some lines make up a preferred size.
    fn has_preferred<T: Task>(&self, level: usize, lines: &[Line<T>]) -> bool {
        if self.level(level).is_none_or(|level| level.preferred_batch_sizes.is_empty()) {
            return false;
        }
        let mut rows = 0;
        lines.iter().flat_map(Line::entries).any(|entry| {
            rows += entry.mark.rows;
            self.is_preferred(level, rows)
        })
    }

    /// Takes in that a task arrived.
    pub(crate) fn arrived(&mut self, rows: usize, now: Instant) {
        if let Some(tuner) = &mut self.tuner {
            tuner.arrived(rows, now);
        }
    }

    /// Takes in a run; `left` rows wait. True where batches are to be formed otherwise from now on.
    pub(crate) fn ran(
        &mut self,
        rows: usize,
        took: Duration,
        waited: Duration,
        left: usize,
        now: Instant,
    ) -> bool {
        if self.options.padding == BatchPadding::MinimizeCostPerRequest {
            self.cost.note(rows, took);
        }
        if let Some(tuner) = &mut self.tuner {
            tuner.ran(rows, took, waited, left, now);
        }
        let limits = self.tuner.as_ref().map(LatencyTarget::limits);
        std::mem::replace(&mut self.limits, limits) != limits
    }

    fn allowed(&self, level: usize) -> &[usize] {
        match self.level(level) {
            Some(level) if self.options.padding != BatchPadding::Disabled => &level.allowed_batch_sizes,
            _ => &[],
        }
    }
}

/// A time after another; a hundred years on where that is too far to say.
fn later(time: Instant, wait: Duration) -> Instant {
    const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
    time.checked_add(wait).or_else(|| time.checked_add(CENTURY)).unwrap_or(time)
}
