"""What the doctor looks for: one row per rule, shared by the lint, the runs in PyTorch and those in JAX."""

from dataclasses import dataclass
from typing import Literal

from isoparam.errors import SpecError

Seen = Literal["lint", "torch", "jax"]


@dataclass(frozen=True)
class Rule:
    """One mistake with a name.

    Attributes:
        code: "SG" and three digits; the first tells the family.
        kind: the same as one word.
        title: what is wrong, in one sentence.
        outcome: what will happen if nothing is done.
        seen: where it can be found: in the text ("lint"), in a running program ("torch", "jax").
        default: whether the lint looks for it without being asked.
    """

    code: str
    kind: str
    title: str
    outcome: str
    seen: tuple[Seen, ...]
    default: bool = True


RULES: tuple[Rule, ...] = (
    Rule(
        "SG100",
        "stale-value",
        "a value derived from a parameter before its last update is used again",
        "raises at the second backward, or trains against the old value in silence",
        ("torch",),
    ),
    Rule(
        "SG101",
        "stale-attribute",
        "an attribute is derived from a parameter once and reused",
        "raises at the second backward, or stays frozen in silence",
        ("lint", "torch"),
    ),
    Rule(
        "SG102",
        "stale-cache",
        "a cache (lazy attribute, dict, cached_property, lru_cache, parametrize.cached, autocast) outlives an update",
        "raises at the second backward, or stays frozen in silence",
        ("lint", "torch"),
    ),
    Rule(
        "SG103",
        "stale-buffer",
        "a buffer holds a value derived from a parameter",
        "raises at the second backward, and the old value is saved in the state_dict",
        ("lint", "torch"),
    ),
    Rule(
        "SG104",
        "stale-closure",
        "a function keeps a value that was derived from a parameter when it was made",
        "raises at the second backward, or stays frozen in silence",
        ("lint", "torch"),
    ),
    Rule(
        "SG105",
        "stale-global",
        "a variable of the module is derived from a parameter at import",
        "raises at the second backward, or stays frozen in silence",
        ("lint", "torch"),
    ),
    Rule(
        "SG106",
        "stale-loop-invariant",
        "a value derived from a parameter before the training loop is used inside of it",
        "raises at the second backward, or stays frozen in silence",
        ("lint", "torch"),
    ),
    Rule(
        "SG107",
        "tied-by-value",
        "two parameters that are meant to be one are made equal once",
        "they part at the first update, in silence",
        ("lint",),
        default=False,
    ),
    Rule(
        "SG108",
        "fragile-view",
        "an attribute is a view of a parameter",
        "follows the parameter until .to(), .double() or a copy parts them in silence",
        ("lint", "torch"),
    ),
    Rule(
        "SG109",
        "retain-graph-mask",
        "retain_graph=True hides a value that is derived once",
        "the error goes, the value stays frozen",
        ("lint", "torch"),
    ),
    Rule(
        "SG201",
        "carried-state",
        "a state is carried from one step to the next with its graph",
        "raises at the second backward, or backward reaches further with each step",
        ("lint", "torch"),
    ),
    Rule(
        "SG202",
        "graph-growth",
        "a tensor that is kept grows its graph with each step",
        "memory and time of a step grow until the program ends",
        ("lint", "torch"),
    ),
    Rule(
        "SG301",
        "severed-gradient",
        "the way from a parameter to the loss is cut (.data, .item(), torch.tensor, numpy, no_grad)",
        "the parameter never moves, in silence",
        ("lint", "torch"),
    ),
    Rule(
        "SG302",
        "unregistered-parameter",
        "a trainable tensor belongs to no module",
        "parameters() does not list it, so nothing trains, moves or saves it",
        ("lint", "torch"),
    ),
    Rule(
        "SG303",
        "inplace-on-leaf",
        "a parameter is changed in place with gradients recorded",
        "raises at once: a leaf that requires grad is used in an in-place operation",
        ("lint", "torch"),
    ),
    Rule(
        "SG401",
        "stale-optimizer",
        "the optimizer holds tensors that are no longer, or never were, the parameters of the model",
        "the parameters of the model never move, in silence",
        ("lint", "torch"),
    ),
    Rule(
        "SG501",
        "jit-captured-param",
        "a compiled function holds a parameter, or what was derived from it, as a constant",
        "updates do not reach it, in silence",
        ("lint", "jax"),
    ),
    Rule(
        "SG502",
        "decoupled-derived-leaf",
        "a value derived from a parameter is itself a leaf of the pytree",
        "it trains as a free parameter, or stays frozen, and the parameter behind it never moves, in silence",
        ("lint", "jax"),
    ),
    Rule(
        "SG503",
        "zero-gradient-leaf",
        "a leaf of the parameters never reaches the loss, or its gradient is structurally zero",
        "it never moves, in silence",
        ("lint", "jax"),
    ),
    Rule(
        "SG504",
        "static-field",
        "a value derived from a parameter is a static field of the pytree",
        "it stays what it was when the pytree was made, in silence",
        ("lint", "jax"),
    ),
    Rule(
        "SG505",
        "leaked-tracer",
        "a traced value is kept after the transformation that made it has ended",
        "raises UnexpectedTracerError where it is used next",
        ("lint", "jax"),
    ),
    Rule(
        "SG506",
        "dropped-update",
        "the result of a pure update is thrown away",
        "nothing trains, in silence",
        ("lint", "jax"),
    ),
    Rule(
        "SG507",
        "dead-entries",
        "entries of a leaf lie where a clamp is flat",
        "these entries never move, in silence",
        ("jax",),
    ),
    Rule(
        "SG508",
        "overridden-get-value",
        "an nnx variable reads as something else than it holds",
        "nnx.Optimizer adds the update to what is read, so it trains wrongly, in silence",
        ("jax",),
    ),
    Rule(
        "SG509",
        "concretized-tracer",
        "a traced value is used where Python needs a number",
        "raises ConcretizationTypeError when the function is traced",
        ("jax",),
    ),
)

BY_CODE = {rule.code: rule for rule in RULES}
BY_KIND = {rule.kind: rule for rule in RULES}


def rule_of(kind: str) -> Rule:
    """The rule of a kind, or SpecError."""
    if kind not in BY_KIND:
        raise SpecError(f"kind={kind!r} is no rule of the doctor; one of {', '.join(sorted(BY_KIND))}")
    return BY_KIND[kind]
