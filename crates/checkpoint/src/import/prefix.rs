//! Where in a checkpoint the tensors of a network stand: trainers and wrappers put names before them.

use std::collections::{BTreeMap, BTreeSet};

/// Modules that wrap another and put their name before its tensors': `DataParallel`, `torch.compile`, FSDP, activation
/// checkpoints.
const WRAPPERS: [&str; 4] = ["module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];

/// The forms in which a weight is stored: plain, and spectral-normed.
const WEIGHT_FORMS: [&str; 3] = ["weight", "weight_orig", "parametrizations.weight.original"];

/// A network whose tensors are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NetworkKind {
    Generator,
    Encoder,
}

impl NetworkKind {
    /// Its name in a sentence.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Generator => "generator",
            Self::Encoder => "style encoder",
        }
    }

    /// What chooses among several.
    pub(super) fn flag(self) -> &'static str {
        match self {
            Self::Generator => "--prefix",
            Self::Encoder => "--encoder-prefix",
        }
    }

    /// Modules whose weights every network of the kind has, all of them; one such group for each architecture.
    fn landmarks(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::Generator => &[&["head_0.conv_0", "conv_img"]],
            Self::Encoder => &[&["layer1.0", "fc_mu"], &["layers.0", "fc_mu"]],
        }
    }

    /// What stands before the names of each network of this kind, as the file has it.
    pub(super) fn prefixes<'a>(self, names: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
        let mut prefixes = BTreeSet::new();
        for group in self.landmarks() {
            let found = group.iter().map(|module| {
                names.clone().filter_map(|name| prefix_of(name, module)).collect::<BTreeSet<_>>()
            });
            // Of a network that lacks only some landmarks the loss is reported by name later.
            let all = found.reduce(|a, b| if b.is_empty() { a } else { &a & &b });
            prefixes.extend(all.unwrap_or_default());
        }
        prefixes.into_iter().collect()
    }
}

/// What stands before `module` in the name of its weight.
fn prefix_of(name: &str, module: &str) -> Option<String> {
    let parts: Vec<&str> = name.split('.').collect();
    (0..parts.len())
        .find(|&start| {
            let rest = without_wrappers(&parts[start..]);
            let form = rest.strip_prefix(module).and_then(|rest| rest.strip_prefix('.'));
            // The wrappers before it belong to the prefix.
            !WRAPPERS.contains(&parts[start]) && form.is_some_and(|form| WEIGHT_FORMS.contains(&form))
        })
        .map(|start| parts[..start].iter().map(|part| format!("{part}.")).collect())
}

fn without_wrappers(parts: &[&str]) -> String {
    parts.iter().filter(|part| !WRAPPERS.contains(part)).copied().collect::<Vec<_>>().join(".")
}

/// The tensors under `prefix`, by their names in the file: the names of the network's own, wrappers away.
pub(super) fn names_under<'a>(
    names: impl Iterator<Item = &'a str>,
    prefix: &str,
) -> BTreeMap<String, String> {
    let own = |name: &'a str| {
        let rest = name.strip_prefix(prefix)?;
        Some((name.to_owned(), without_wrappers(&rest.split('.').collect::<Vec<_>>())))
    };
    names.filter_map(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generator(prefix: &str) -> Vec<String> {
        ["head_0.conv_0.weight_orig", "head_0.conv_0.weight_u", "conv_img.weight", "fc.weight"]
            .map(|name| format!("{prefix}{name}"))
            .into()
    }

    fn prefixes(names: &[String]) -> Vec<String> {
        NetworkKind::Generator.prefixes(names.iter().map(String::as_str))
    }

    #[test]
    fn the_prefix_of_every_trainer_is_found() {
        for prefix in [
            "",
            "module.",
            "state_dict.",
            "netG.",
            "_orig_mod.",
            "state_dict.netG.",
            "state_dict.model.netG._orig_mod.",
            "model_state_dict.generator.module.",
            "ema.",
            "0.",
        ] {
            assert_eq!(prefixes(&generator(prefix)), [prefix]);
        }
    }

    #[test]
    fn wrappers_within_the_network_are_passed_over() {
        let names =
            ["netG.head_0._orig_mod.conv_0.weight_orig".to_owned(), "netG.conv_img.weight".to_owned()];
        assert_eq!(prefixes(&names), ["netG."]);
        let own = names_under(names.iter().map(String::as_str), "netG.");
        assert_eq!(own[&names[0]], "head_0.conv_0.weight_orig");
    }

    #[test]
    fn two_generators_are_two_prefixes() {
        let names = [generator("ema."), generator("netG.")].concat();
        assert_eq!(prefixes(&names), ["ema.", "netG."]);
        assert!(prefixes(&["conv1.weight".to_owned()]).is_empty());
    }

    #[test]
    fn an_encoder_is_not_any_network_with_layers() {
        let names = ["netE.layer1.0.weight_orig", "netE.fc_mu.weight", "vgg.layer1.0.weight"];
        assert_eq!(NetworkKind::Encoder.prefixes(names.into_iter()), ["netE."]);
    }
}
