//! One layer over another.

use proptest::prelude::*;

use super::arbitrary::parameters as any_parameters;
use super::{parameters, resolved};
use crate::{Mode, Parameters};

fn over(texts: &[&str]) -> Parameters {
    texts.iter().fold(Parameters::default(), |before, text| before.over(&parameters(text)))
}

proptest! {
    #[test]
    fn it_does_not_matter_which_layers_are_laid_over_one_another_first(
        one in any_parameters(), two in any_parameters(), three in any_parameters()
    ) {
        prop_assert_eq!(one.over(&two).over(&three), one.over(&two.over(&three)));
    }

    #[test]
    fn who_says_nothing_changes_nothing(said in any_parameters()) {
        prop_assert_eq!(&said.over(&Parameters::default()), &said);
        prop_assert_eq!(&Parameters::default().over(&said), &said);
    }

    #[test]
    fn what_is_said_last_counts(said in any_parameters(), before in any_parameters()) {
        prop_assert_eq!(before.over(&said).over(&said), before.over(&said));
        let after = before.over(&said);
        prop_assert_eq!(after.max_batch_size, said.max_batch_size.or(before.max_batch_size));
        prop_assert_eq!(after.mode, said.mode.or(before.mode));
    }
}

#[test]
fn levels_and_outputs_are_laid_over_one_another_by_themselves() {
    let server = "levels.2.max_batch_size = 4; levels.2.batch_timeout = 1ms; default_queue_policy.max_queue_size = 9; \
                  pad_variable_length_inputs = true; unpad_outputs.y = x; unpad_outputs.z = x";
    let model = "levels.2.batch_timeout = 3ms; levels.1.max_batch_size = 8; default_queue_policy.default_timeout = 1s; \
                 unpad_outputs.z = w";
    let wanted = "levels.1.max_batch_size = 8; levels.2.max_batch_size = 4; levels.2.batch_timeout = 3ms; \
                  default_queue_policy.max_queue_size = 9; default_queue_policy.default_timeout = 1s; \
                  pad_variable_length_inputs = true; unpad_outputs.y = x; unpad_outputs.z = w";
    assert_eq!(over(&[server, model]), parameters(wanted));
}

#[test]
fn a_model_leaves_the_mode_that_the_server_chose() {
    let both = over(&["latency_target = 20ms; max_batch_size = 8", "mode = fixed"]);
    assert_eq!(both.resolve(), Ok(Some(resolved("max_batch_size = 8"))));
    let both = over(&["mode = adaptive; batches_to_average_over = 10", "latency_target = 20ms"]);
    assert_eq!((both.mode, both.batches_to_average_over), (Some(Mode::LatencyTarget), None));
}

#[test]
fn a_model_leaves_the_levels_that_the_server_chose() {
    let server = "priority_levels = 3; default_priority_level = 2; levels.3.batch_timeout = 1ms; \
                  priority_queue_policy.3.max_queue_size = 1";
    let both = over(&[server, "priority_levels = 1"]);
    assert_eq!(both.resolve(), Ok(Some(resolved(""))));
}

#[test]
fn a_model_turns_off_what_the_server_said_more_of() {
    let server = "pad_variable_length_inputs = true; padding_value = 0; enable_large_batch_splitting = true; \
                  max_execution_batch_size = 4";
    let both = over(&[server, "pad_variable_length_inputs = false; enable_large_batch_splitting = false"]);
    assert_eq!(both.resolve(), Ok(Some(resolved(""))));
}
