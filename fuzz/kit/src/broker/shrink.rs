//! Making a plan as small as it gets while it still shows the same.

use anyhow::Result;

use super::plan::{Plan, Step};

/// Takes steps out, many at first and then single ones, and makes batches plainer, while `shows` says that it still
/// shows. Asks at most `runs` times. Returns the smallest plan, and how often it was asked.
///
/// # Errors
/// What `shows` says.
pub fn shrink(
    plan: &Plan,
    runs: usize,
    mut shows: impl FnMut(&Plan) -> Result<bool>,
) -> Result<(Plan, usize)> {
    let (mut best, mut asked) = (plan.clone(), 0);
    let mut try_it = |plan: Plan, best: &mut Plan| -> Result<bool> {
        if asked >= runs || plan.steps.is_empty() {
            return Ok(false);
        }
        asked += 1;
        let shown = shows(&plan)?;
        if shown {
            *best = plan;
        }
        Ok(shown)
    };
    let mut len = best.steps.len().div_ceil(2);
    while len > 0 {
        let mut end = best.steps.len();
        while end > 0 {
            let from = end.saturating_sub(len);
            let mut fewer = best.clone();
            fewer.steps.drain(from..end);
            try_it(fewer, &mut best)?;
            end = from;
        }
        // Single steps again, as long as one of them goes.
        len = if len == 1 { 0 } else { len.div_ceil(2).min(len - 1) };
    }
    for at in 0..best.steps.len() {
        let simpler: [fn(&mut Step); 3] = [
            |step| {
                if let Step::Produce(made) = step {
                    (made.connection, made.acks) = (0, -1);
                }
            },
            |step| {
                if let Step::Produce(made) = step {
                    made.version = 255;
                }
            },
            |step| {
                if let Step::Produce(made) = step {
                    made.producer = made.producer.map(|_| 0);
                }
            },
        ];
        for simplify in simpler {
            let mut plan = best.clone();
            if let Some(step) = plan.steps.get_mut(at) {
                simplify(step);
            }
            if plan != best {
                try_it(plan, &mut best)?;
            }
        }
    }
    Ok((best, asked))
}

#[cfg(test)]
mod tests {
    use super::{super::plan::Kinds, *};

    #[test]
    fn what_matters_is_left() {
        let kinds = Kinds { chains: false, valid: true, spoilt: false };
        let plan = Plan::new(3, 40, 2, kinds, &[3, 18]);
        let wanted = [plan.steps[5].clone(), plan.steps[30].clone()];
        let shows = |plan: &Plan| Ok(wanted.iter().all(|step| plan.steps.contains(step)));
        let (small, asked) = shrink(&plan, 1_000, shows).unwrap();
        assert_eq!(small.steps, wanted);
        assert!(asked < 150, "{asked}");
    }

    #[test]
    fn it_ends_where_it_is_told_to() {
        let kinds = Kinds { chains: true, valid: false, spoilt: false };
        let plan = Plan::new(3, 40, 2, kinds, &[0]);
        let (_, asked) = shrink(&plan, 7, |_| Ok(false)).unwrap();
        assert_eq!(asked, 7);
    }
}
