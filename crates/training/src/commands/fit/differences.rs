//! Where a run differs from the published settings of its preset.

use serde_json::Value;

use super::defaults::{Defaults, betas};
use crate::{
    optimizer::{Rates, Schedule},
    run::RunConfig,
};

/// What differs, a sentence each, as `batch 4, published 32`.
pub(super) fn differences(config: &RunConfig, published: &Defaults) -> Vec<String> {
    let mut found = Vec::new();
    let optimization = &config.optimization;
    members(&mut found, &config.networks, &published.networks);
    members(&mut found, &config.objective, &published.objective);
    if config.objective.perceptual == 0.0 && published.objective.perceptual > 0.0 {
        found.retain(|item| !item.starts_with("perceptual "));
        found.push("no perceptual loss, published with VGG19's; give its weights with --vgg FILE".to_owned());
    } else if config.perceptual.is_some() {
        found.push("the perceptual loss is of other features than VGG19's".to_owned());
    }
    members(&mut found, &optimization.rates, &Rates::new(published.lr, published.two_time_scales));
    members(&mut found, &optimization.betas, &betas(published.two_time_scales));
    let mut item = |name: &str, own: String, published: String| {
        if own != published {
            found.push(format!("{name} {own}, published {published}"));
        }
    };
    item("initialisation", text(&config.initialisation), text(&published.initialisation));
    item("batch", optimization.batch.to_string(), published.batch.to_string());
    let own = config.data.preprocess.unwrap_or(published.preprocess);
    item("preprocess", text(&own), text(&published.preprocess));
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

fn text(value: &impl serde::Serialize) -> String {
    shown(&serde_json::to_value(value).unwrap_or_default())
}

/// A value as a person reads it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The members of two values of a kind that are not equal, at any depth, by the names that `config.json` has for them.
fn members<T: serde::Serialize>(found: &mut Vec<String>, own: &T, published: &T) {
    let [own, published] = [own, published].map(|value| serde_json::to_value(value).unwrap_or_default());
    walk(found, "", &own, &published);
}

fn walk(found: &mut Vec<String>, name: &str, own: &Value, published: &Value) {
    match (own, published) {
        (Value::Object(own), Value::Object(published)) => {
            let names: std::collections::BTreeSet<_> = own.keys().chain(published.keys()).collect();
            for member in names {
                let of =
                    |object: &serde_json::Map<String, Value>| object.get(member).cloned().unwrap_or_default();
                walk(found, member, &of(own), &of(published));
            }
        }
        _ if own != published => {
            found.push(format!("{name} {}, published {}", shown(own), shown(published)));
        }
        _ => {}
    }
}
