"""Rule: the five verbs that a backend implements for one spec. Registry: spec type -> rule, by exact type."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from isoparam.errors import SpecError
from isoparam.specs.base import Spec

Array = TypeVar("Array")
RuleClass = TypeVar("RuleClass", bound=type)

VERBS = ("forward", "inverse", "log_abs_det", "project", "contains")


def absent(spec: Any, *args: Any, **kwargs: Any) -> Any:
    """In place of a verb that has no meaning for a spec: the reason stands in `spec.absent`, where the verb finds it first."""
    raise SpecError(f"{spec} has no such verb: {dict(spec.absent)}")


class Rule(ABC, Generic[Array]):
    """One spec in one framework: a namespace of pure static functions, never instantiated.

    Arrays arrive checked, as float32 or float64, with the axis of a vector spec moved to the end;
    the public verbs in `verbs.py` do that once for all rules. Where a verb has no meaning a rule says
    `log_abs_det = staticmethod(absent)`, and the reason stands in `spec.absent`.
    """

    @staticmethod
    @abstractmethod
    def forward(spec: Any, raw: Array) -> Array:
        """raw -> value."""

    @staticmethod
    @abstractmethod
    def inverse(spec: Any, value: Array) -> Array:
        """value -> raw; nan or inf where the value lies outside or on the border."""

    @staticmethod
    @abstractmethod
    def log_abs_det(spec: Any, raw: Array) -> Array:
        """log |det d value / d raw|: one number per entry (scalar), vector or matrix."""

    @staticmethod
    @abstractmethod
    def project(spec: Any, point: Array) -> Array:
        """Nearest point of the closed set."""

    @staticmethod
    @abstractmethod
    def contains(spec: Any, value: Array, eps: float) -> Array:
        """Whether `inverse` is finite here: boolean, one per entry (scalar), vector or matrix.

        `eps` is that of the dtype that came in, which may be narrower than that of `value`.
        """


class Registry(dict[type[Spec], type[Rule[Any]]]):
    """Spec type -> rule, for one backend. A rule serves its exact type, never a subclass."""

    def __init__(self, backend: str) -> None:
        super().__init__()
        self.backend = backend

    def implements(self, spec_type: type[Spec]) -> Callable[[RuleClass], RuleClass]:
        """Class decorator that registers a rule; a forgotten verb or a second rule fails here, at import."""

        def register(rule: RuleClass) -> RuleClass:
            missing = [verb for verb in VERBS if not isinstance(vars(rule).get(verb), staticmethod)]
            if missing:
                raise SpecError(f"{self.backend}: {rule.__name__} lacks {', '.join(missing)} as static functions")
            if spec_type in self:
                raise SpecError(f"{self.backend}: {spec_type.__name__} already has a rule, {self[spec_type].__name__}")
            self[spec_type] = rule
            return rule

        return register

    def __missing__(self, spec_type: type[Spec]) -> type[Rule[Any]]:
        if not (isinstance(spec_type, type) and issubclass(spec_type, Spec)):
            name = getattr(spec_type, "__name__", spec_type)
            raise SpecError(f"expected a spec such as isoparam.Interval(0, 1), got an object of type {name}")
        known = ", ".join(sorted(known.__name__ for known in self))
        raise SpecError(f"the {self.backend} backend has no rule for {spec_type.__name__}; it has: {known}")
