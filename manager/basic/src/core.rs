//! A registry and whoever directs it, and how they take turns. Pure.

use crate::command::{Command, Moment, Outcome, Rules};
use crate::registry::Registry;
use salver_core_servable::ServableId;
use salver_core_status::Status;

/// Decides which versions are loaded and unloaded, as they move.
///
/// Called under a lock, by the manager's thread or by whoever asks the manager for something: must return at once, and
/// neither call the manager nor panic. `()` decides nothing, and leaves it to requests.
pub trait Director<D>: Send + 'static {
    /// A version has moved; perhaps several times since it was told last, and perhaps out of the registry.
    fn moved(&mut self, id: &ServableId, registry: &mut Registry<D>) {
        let _ = (id, registry);
    }

    /// There may be more room than before.
    fn released(&mut self, registry: &mut Registry<D>) {
        let _ = registry;
    }

    /// The registry is about to close: nothing is wanted any more.
    fn close(&mut self, registry: &mut Registry<D>) {
        let _ = registry;
    }
}

impl<D> Director<D> for () {}

/// A registry and its director.
#[derive(Debug)]
pub struct Core<D, X> {
    registry: Registry<D>,
    director: X,
}

impl<D, X: Director<D>> Core<D, X> {
    /// Nothing managed yet.
    ///
    /// # Errors
    /// INVALID_ARGUMENT: the total resources do not say of which device.
    pub fn new(rules: Rules, director: X, moment: Moment) -> Result<Self, Status> {
        Ok(Self { registry: Registry::new(rules, moment)?, director })
    }

    /// Does something with both, and all that follows from it.
    pub fn act<R>(&mut self, moment: Moment, act: impl FnOnce(&mut X, &mut Registry<D>) -> R) -> R {
        self.registry.at(moment);
        let result = act(&mut self.director, &mut self.registry);
        self.follow_up();
        result
    }

    /// Takes in what came of a command, and does all that follows from it.
    pub fn take(&mut self, moment: Moment, outcome: Outcome<D>) {
        self.act(moment, |_, registry| registry.take(outcome));
    }

    /// Unloads everything, and takes in no more.
    pub fn close(&mut self, moment: Moment) {
        self.act(moment, |director, registry| {
            director.close(registry);
            registry.close();
        });
    }

    /// What is to be done now.
    pub fn take_commands(&mut self) -> Vec<Command<D>> {
        self.registry.take_commands()
    }

    /// The registry, to look at.
    pub fn registry(&self) -> &Registry<D> {
        &self.registry
    }

    /// The director, to look at.
    pub fn director(&self) -> &X {
        &self.director
    }

    /// Lets the director answer to what moved, and gives out threads and room, until nothing moves any more.
    fn follow_up(&mut self) {
        loop {
            while let Some(id) = self.registry.next_moved() {
                self.director.moved(&id, &mut self.registry);
            }
            if self.registry.take_released() {
                self.director.released(&mut self.registry);
                continue;
            }
            if !self.registry.dispatch() {
                break;
            }
        }
    }
}
