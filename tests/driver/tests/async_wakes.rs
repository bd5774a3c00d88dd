//! A wake-up of the async API that storms do not need: see `tests/driver/mutants`.

use ottla_driver::AsyncStage;

#[test]
fn a_run_that_has_let_others_run_goes_on_by_itself() {
    let partitions = 40;
    let mut stage = AsyncStage::new(partitions);
    let before = stage.refused();
    // With one connection they are dialled one after the other.
    stage.send_to_all(partitions);
    stage.settle();
    assert_eq!(stage.refused() - before, u32::from(partitions), "all leaders are dialled at once");
}
