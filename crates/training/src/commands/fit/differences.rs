//! Where a run differs from the published settings of its preset.

use super::defaults::{Defaults, betas};
use crate::{
    objective::Objective,
    optimizer::{Rates, Schedule},
    run::{Difference, RunConfig, as_text, differences as members},
};

/// What differs, a sentence each, as `batch 4, published 32`.
pub(super) fn differences(config: &RunConfig, published: &Defaults) -> Vec<String> {
    let mut found = Vec::new();
    let optimization = &config.optimization;
    let mut compare = |members: Vec<Difference>| {
        let told = |Difference { name, one, other }| format!("{name} {one}, published {other}");
        found.extend(members.into_iter().map(told));
    };
    compare(members(&config.networks, &published.networks));
    // What a perceptual loss is missing for has a sentence of its own.
    let is_without = config.objective.perceptual == 0.0 && published.objective.perceptual > 0.0;
    let perceptual = if is_without { 0.0 } else { published.objective.perceptual };
    compare(members(&config.objective, &Objective { perceptual, ..published.objective }));
    compare(members(&optimization.rates, &Rates::new(published.lr, published.two_time_scales)));
    compare(members(&optimization.betas, &betas(published.two_time_scales)));
    if is_without {
        found.push("no perceptual loss, published with VGG19's; give its weights with --vgg FILE".to_owned());
    } else if config.perceptual.is_some() {
        found.push("the perceptual loss is of other features than VGG19's".to_owned());
    }
    let mut item = |name: &str, own: String, published: String| {
        if own != published {
            found.push(format!("{name} {own}, published {published}"));
        }
    };
    item("initialisation", as_text(&config.initialisation), as_text(&published.initialisation));
    item("batch", optimization.batch.to_string(), published.batch.to_string());
    let own = config.data.preprocess.unwrap_or(published.preprocess);
    item("preprocess", as_text(&own), as_text(&published.preprocess));
    item("flip", (!config.data.no_flip).to_string(), true.to_string());
    item(
        "epochs",
        epochs(&optimization.schedule),
        format!("{} + {}", published.niter, published.niter_decay),
    );
    if optimization.average_decay > 0.0 {
        found.push(format!(
            "a moving average of the weights ({}) is exported, published none; --ema 0 leaves it out",
            optimization.average_decay
        ));
    }
    if config.warm_start.is_some() {
        found.push("the run begins from a model, published from random weights".to_owned());
    }
    found
}

fn epochs(schedule: &Schedule) -> String {
    match schedule {
        Schedule::Epochs { niter, niter_decay, .. } => format!("{niter} + {niter_decay}"),
        Schedule::Steps { .. } => "replaced by a number of samples".to_owned(),
    }
}
