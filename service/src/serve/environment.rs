//! Settings in the environment that no flag reads: a misspelt one would go unnoticed.

use clap::{Args as _, Command};

use super::ServeArgs;

const PREFIX: &str = "SPADEWORK_";
/// Variables of our prefix that other commands read.
const OTHERS: [&str; 1] = ["SPADEWORK_HEALTH_URL"];

/// Logs a line for each variable that looks like a setting and is none.
pub fn warn_of_unknown() {
    let present = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in unknown(present) {
        tracing::warn!(name, "this variable is no setting; `spadework serve --help` lists them");
    }
}

fn unknown(present: impl Iterator<Item = String>) -> Vec<String> {
    let command = ServeArgs::augment_args(Command::new("serve"));
    let known: Vec<_> = command.get_arguments().filter_map(|argument| argument.get_env()?.to_str()).collect();
    let setting = |name: &str| known.contains(&name) || OTHERS.contains(&name);
    present.filter(|name| name.starts_with(PREFIX) && !setting(name) && !is_service_link(name)).collect()
}

/// Whether Kubernetes sets the variable in every pod beside a Service called `spadework`.
fn is_service_link(name: &str) -> bool {
    name.contains("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.contains("_PORT_")
        || name.ends_with("_PORT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_setting_is_noticed_and_kubernetes_own_variables_are_not() {
        let present = [
            "SPADEWORK_DEADLINE",
            "SPADEWORK_DEADLIN",
            "SPADEWORK_MODELS",
            "SPADEWORK_HEALTH_URL",
            "SPADEWORK_SERVICE_HOST",
            "SPADEWORK_PORT_80_TCP_ADDR",
            "SPADEWORK_PORT",
            "HOME",
        ];
        assert_eq!(unknown(present.into_iter().map(str::to_owned)), ["SPADEWORK_DEADLIN"]);
    }
}
