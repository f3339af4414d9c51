"""Rates that rise and fall, with a momentum that falls and rises against them."""

from dataclasses import dataclass
from math import cos, floor, ldexp, pi

from isoparam.errors import SpecError
from isoparam.optimizers.base import above_zero, counts, flags, numbers
from isoparam.schedules.base import Course, Group, Numbered, Schedule
from isoparam.schedules.factors import shares


class _Cycling(Numbered):
    """A course that sets the momentum too, which is the first beta where the optimizer has betas."""

    def set_momentum(self, momentum: float) -> None:
        if "betas" in self.group:
            self.group["betas"] = (momentum, *self.group["betas"][1:])
        elif "momentum" in self.group:
            self.group["momentum"] = momentum
        else:
            raise SpecError(f"{self.spec}: the optimizer has no momentum to cycle; write cycle_momentum=False")

    def first(self) -> float:
        return self.next()

    def again(self) -> float:
        return self.next()


@dataclass(frozen=True)
class OneCycleLR(Schedule):
    """One rise and one long fall, as `torch.optim.lr_scheduler.OneCycleLR`.

    The rate goes from max_lr / div_factor to max_lr, then to max_lr / div_factor / final_div_factor; the momentum from
    max_momentum to base_momentum and back. The lr of the optimizer counts for nothing.

    Args:
        max_lr: the top.
        total_steps: updates of the cycle; or None, and epochs times steps_per_epoch.
        epochs: see total_steps.
        steps_per_epoch: see total_steps.
        pct_start: share of the cycle that rises, in [0, 1].
        anneal_strategy: "cos" or "linear".
        cycle_momentum: whether the momentum is cycled.
        base_momentum: the lowest.
        max_momentum: the highest.
        div_factor: top over start.
        final_div_factor: start over end.
        three_phase: fall first back to the start, as long as it rose.

    Raises:
        SpecError: for an argument outside its range; and past the last step, as torch does.

    Example:
        >>> import isoparam as iso
        >>> iso.OneCycleLR(1.0, total_steps=5, pct_start=0.4, anneal_strategy="linear").rates(0.1, 3).round(4).tolist()
        [0.04, 1.0, 0.6667]
    """

    max_lr: float
    total_steps: int | None = None
    epochs: int | None = None
    steps_per_epoch: int | None = None
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    cycle_momentum: bool = True
    base_momentum: float = 0.85
    max_momentum: float = 0.95
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    three_phase: bool = False

    def __post_init__(self) -> None:
        numbers(self, "max_lr", "base_momentum", "max_momentum")
        above_zero(self, "div_factor", "final_div_factor")
        shares(self, "pct_start")
        flags(self, "cycle_momentum", "three_phase")
        if self.total_steps is not None:
            counts(self, "total_steps")
        elif self.epochs is not None and self.steps_per_epoch is not None:
            counts(self, "epochs", "steps_per_epoch")
        else:
            raise SpecError("OneCycleLR needs its length: OneCycleLR(max_lr, total_steps=1000), or epochs and steps_per_epoch")
        if self.anneal_strategy not in ("cos", "linear"):
            raise SpecError(f"OneCycleLR: anneal_strategy={self.anneal_strategy!r} must be 'cos' or 'linear'")

    @property
    def length(self) -> int:
        """Updates of the whole cycle."""
        return (self.epochs or 0) * (self.steps_per_epoch or 0) if self.total_steps is None else self.total_steps

    @property
    def phases(self) -> tuple[tuple[float, str, str, str, str], ...]:
        """(last step, rate at its start, at its end, momentum at its start, at its end) of each, by their names in the group.

        The numbers lie in the group, as in torch: those of a second schedule of this kind hold for the first too.
        """
        start, top, low, base, most = "initial_lr", "max_lr", "min_lr", "base_momentum", "max_momentum"
        rise = (float(self.pct_start * self.length) - 1, start, top, most, base)
        last = self.length - 1
        if not self.three_phase:
            return rise, (last, top, low, base, most)
        back = (float(2 * self.pct_start * self.length) - 2, top, start, base, most)
        return rise, back, (last, start, low, most, most)

    @property
    def momenta(self) -> tuple[float, ...]:
        return (self.base_momentum, self.max_momentum) if self.cycle_momentum else ()

    @property
    def longest(self) -> int | None:
        return self.length + 1

    def course(self, group: Group) -> Course:
        start = self.max_lr / self.div_factor
        group |= {"initial_lr": start, "max_lr": self.max_lr, "min_lr": start / self.final_div_factor}
        if self.cycle_momentum:
            group |= {"base_momentum": self.base_momentum, "max_momentum": self.max_momentum}
        return _OneCycle(self, group)


class _OneCycle(_Cycling):
    def begin(self) -> None:
        self.phases = self.spec.phases
        super().begin()

    def next(self) -> float:
        spec = self.spec
        if self.t > spec.length:
            raise SpecError(f"{spec} ends after {spec.length} updates, and update {self.t + 1} was asked for; make it longer")
        passed = [phase for phase in self.phases[:-1] if self.t > phase[0]]
        begun = passed[-1][0] if passed else 0.0
        end, *names = self.phases[len(passed)]
        share = (self.t - begun) / (end - begun)
        if spec.cycle_momentum:
            self.set_momentum(self._between(self.group[names[2]], self.group[names[3]], share))
        return self._between(self.group[names[0]], self.group[names[1]], share)

    def _between(self, start: float, end: float, share: float) -> float:
        if self.spec.anneal_strategy == "cos":
            return end + (start - end) / 2.0 * (cos(pi * share) + 1)
        return (end - start) * share + start


@dataclass(frozen=True)
class CyclicLR(Schedule):
    """Rise and fall again and again, as `torch.optim.lr_scheduler.CyclicLR`. The lr of the optimizer counts for nothing.

    Args:
        base_lr: the bottom.
        max_lr: the top.
        step_size_up: updates of a rise, at least 1.
        step_size_down: updates of a fall; None: as many as of a rise.
        mode: "triangular"; "triangular2": every cycle half as high as the one before; "exp_range": gamma^k as high.
        gamma: see mode.
        cycle_momentum: whether the momentum is cycled.
        base_momentum: the lowest.
        max_momentum: the highest.

    Raises:
        SpecError: for an argument outside its range.

    Example:
        >>> import isoparam as iso
        >>> iso.CyclicLR(0.0, 1.0, step_size_up=2, cycle_momentum=False).rates(0.1, 6).tolist()
        [0.0, 0.5, 1.0, 0.5, 0.0, 0.5]
    """

    base_lr: float
    max_lr: float
    step_size_up: int = 2000
    step_size_down: int | None = None
    mode: str = "triangular"
    gamma: float = 1.0
    cycle_momentum: bool = True
    base_momentum: float = 0.8
    max_momentum: float = 0.9

    def __post_init__(self) -> None:
        numbers(self, "base_lr", "max_lr", "gamma", "base_momentum", "max_momentum")
        counts(self, "step_size_up", *(() if self.step_size_down is None else ("step_size_down",)))
        flags(self, "cycle_momentum")
        if self.mode not in ("triangular", "triangular2", "exp_range"):
            raise SpecError(f"CyclicLR: mode={self.mode!r} must be 'triangular', 'triangular2' or 'exp_range'")

    @property
    def momenta(self) -> tuple[float, ...]:
        return (self.base_momentum, self.max_momentum) if self.cycle_momentum else ()

    def course(self, group: Group) -> Course:
        group["lr"] = self.base_lr
        if self.cycle_momentum:
            group |= {"base_momentum": self.base_momentum, "max_momentum": self.max_momentum}
        return _Cyclic(self, group)


class _Cyclic(_Cycling):
    bottom: float | None = None

    def first(self) -> float:
        rate = self.next()
        self.bottom = self.spec.base_lr  # until torch has made the scheduler, what the group began with is the bottom
        return rate

    def next(self) -> float:
        spec, bottom = self.spec, self.base if self.bottom is None else self.bottom
        up = float(spec.step_size_up)
        total = up + (up if spec.step_size_down is None else float(spec.step_size_down))
        ratio = up / total
        cycle = floor(1 + self.t / total)
        x = 1.0 + self.t / total - cycle
        height = x / ratio if x <= ratio else (x - 1) / (ratio - 1)
        # torch's 1 / 2^n, which overflows in cycle 1025; 2^-n is the same number, and goes on
        scale = {"triangular": 1.0, "triangular2": ldexp(1.0, 1 - cycle)}.get(spec.mode)
        scale = spec.gamma**self.t if scale is None else scale
        if spec.cycle_momentum:
            self.set_momentum(spec.max_momentum - (spec.max_momentum - spec.base_momentum) * height * scale)
        return bottom + (spec.max_lr - bottom) * height * scale
