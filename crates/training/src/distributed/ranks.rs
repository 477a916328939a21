//! Who this process is, from the variables that launchers set.

/// This process among all of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankPlacement {
    /// Its number, from 0.
    pub rank: usize,
    /// How many there are.
    pub world: usize,
    /// Where rank 0 listens.
    pub master: String,
}

impl RankPlacement {
    /// A process that is alone.
    pub fn alone() -> Self {
        Self { rank: 0, world: 1, master: String::new() }
    }
}

/// Reads `RANK`, `WORLD_SIZE`, `MASTER_ADDR` and `MASTER_PORT`. Without `WORLD_SIZE` the process is alone.
///
/// # Errors
/// With a sentence for each variable that is missing or has no meaning.
pub fn place_from_environment(
    variable: impl Fn(&str) -> Option<String>,
) -> Result<RankPlacement, Vec<String>> {
    let Some(world) = variable("WORLD_SIZE") else { return Ok(RankPlacement::alone()) };
    let mut mistakes = Vec::new();
    let mut number = |name: &str, value: Option<String>| match value.as_deref().map(str::parse::<usize>) {
        Some(Ok(number)) => number,
        Some(Err(_)) => {
            mistakes.push(format!("{name} is `{}`, which is no number", value.unwrap_or_default()));
            0
        }
        None => {
            mistakes.push(format!("WORLD_SIZE is set and {name} is not; launchers set both"));
            0
        }
    };
    let world = number("WORLD_SIZE", Some(world));
    let rank = number("RANK", if world == 1 { Some("0".to_owned()) } else { variable("RANK") });
    let port = if world == 1 { 0 } else { number("MASTER_PORT", variable("MASTER_PORT")) };
    let host = variable("MASTER_ADDR").unwrap_or_default();
    if world > 1 && host.is_empty() {
        mistakes.push("WORLD_SIZE is set and MASTER_ADDR is not; launchers set both".to_owned());
    }
    if mistakes.is_empty() && rank >= world {
        mistakes.push(format!("RANK is {rank} and WORLD_SIZE {world}; ranks count from 0"));
    }
    if mistakes.is_empty() {
        Ok(RankPlacement { rank, world, master: format!("{host}:{port}") })
    } else {
        Err(mistakes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(variables: &[(&str, &str)]) -> Result<RankPlacement, Vec<String>> {
        let find =
            |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        place_from_environment(find)
    }

    #[test]
    fn without_a_launcher_a_process_is_alone() {
        assert_eq!(place(&[]), Ok(RankPlacement::alone()));
        assert_eq!(place(&[("WORLD_SIZE", "1")]).map(|place| (place.rank, place.world)), Ok((0, 1)));
    }

    #[test]
    fn a_launcher_s_variables_say_who_and_where() {
        let variables =
            [("WORLD_SIZE", "4"), ("RANK", "3"), ("MASTER_ADDR", "host-0"), ("MASTER_PORT", "29500")];
        let expected = RankPlacement { rank: 3, world: 4, master: "host-0:29500".to_owned() };
        assert_eq!(place(&variables), Ok(expected));
    }

    #[test]
    fn every_missing_variable_is_named_at_once() {
        let mistakes = place(&[("WORLD_SIZE", "2"), ("RANK", "one")]).unwrap_err();
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
        let past = [("WORLD_SIZE", "2"), ("RANK", "2"), ("MASTER_ADDR", "a"), ("MASTER_PORT", "1")];
        assert!(place(&past).unwrap_err()[0].contains("count from 0"));
    }
}
