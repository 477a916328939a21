"""Which series a PromQL expression reads: names and label matchers, without evaluating anything."""

import re
from dataclasses import dataclass, field

TOKEN = re.compile(
    r"""
    (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
  | (?P<range>\[[^\]]*\])
  | (?P<variable>\$\{?\w+(?::\w+)?\}?)
  | (?P<number>\d[\w.]*)
  | (?P<name>[A-Za-z_:][\w:]*)
  | (?P<matcher>=~|!~|!=|=(?!=))
  | (?P<sign>[^\s])
    """,
    re.VERBOSE,
)
OPERATORS = {"and", "or", "unless", "bool", "offset", "inf", "nan", "atan2"}
GROUPINGS = {"by", "without", "on", "ignoring", "group_left", "group_right"}


@dataclass
class Reads:
    """What an expression reads."""

    series: list[tuple[str, list[tuple[str, str, str]]]] = field(default_factory=list)
    groupings: set[str] = field(default_factory=set)


def reads(expression: str) -> Reads:
    """Every selector with its matchers, and every label that something is grouped by."""
    tokens = [(m.lastgroup, m.group()) for m in TOKEN.finditer(re.sub(r"#.*", "", expression))]
    found, at = Reads(), 0
    while at < len(tokens):
        kind, text = tokens[at]
        following = tokens[at + 1][1] if at + 1 < len(tokens) else ""
        at += 1
        if kind != "name" or text.lower() in OPERATORS:
            continue
        if text in GROUPINGS:
            labels, at = _until(tokens, at, ")") if following == "(" else ([], at)
            found.groupings |= {label for kind, label in labels if kind == "name"}
        elif following == "{":
            inside, at = _until(tokens, at, "}")
            found.series.append((text, _matchers(inside)))
        elif following != "(" and not _groups(tokens, at):
            found.series.append((text, []))
    return found


def _groups(tokens, at):
    """`sum by (...) (...)`: an aggregation's name is no series."""
    return at < len(tokens) and tokens[at][1] in {"by", "without"}


def _until(tokens, at, end):
    """The tokens after the opening one up to `end`, and the place behind it."""
    stop = next(i for i in range(at, len(tokens)) if tokens[i][1] == end)
    return tokens[at + 1 : stop], stop + 1


def _matchers(tokens):
    """`label="value"` as (label, operator, value)."""
    at = [i for i, (kind, _) in enumerate(tokens) if kind == "matcher"]
    return [(tokens[i - 1][1], tokens[i][1], tokens[i + 1][1][1:-1]) for i in at]
