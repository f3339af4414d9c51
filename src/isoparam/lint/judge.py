"""From what was seen to what is reported: which rule, which names, and whether somebody else takes care of it."""

from isoparam.diagnosis import Finding
from isoparam.lint import words
from isoparam.lint.examine import Machine, Run
from isoparam.lint.index import near
from isoparam.lint.models import Kept, Looked, use_method
from isoparam.lint.project import ClassInfo
from isoparam.lint.state import Found, Use
from isoparam.lint.values import Box, Env, Obj, Param, Site

_ONCE = ("init", "import", "cache")


class Judge:
    """Findings of one examination, each mistake once."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.findings: dict[tuple[str, str, int], Finding] = {}
        self.places: dict[tuple[str, int], str] = {}

    def add(
        self, kind: str, attr: str, params: tuple[str, ...], site: Site, detail: str = "", column: int | None = None
    ) -> None:
        """One mistake; at one place the first word about it counts."""
        names = tuple(dict.fromkeys(name for name in params if name))
        if kind == "stale-attribute" and not names:  # what comes from arrays that nobody calls parameters
            return
        key = (kind, site.file, site.line)
        if self.places.get((site.file, site.line)) not in (None, kind):
            return
        if key in self.findings:
            names = tuple(dict.fromkeys([*self.findings[key].params, *names]))
            attr = self.findings[key].attr
        self.places[(site.file, site.line)] = kind
        message, fix, outcome = words.say(kind, attr, names, detail)
        self.findings[key] = Finding(
            kind, attr, names, site.file, site.line, message, fix, outcome, column=column or site.column
        )

    # Functions

    def of_run(self, run: Run) -> None:
        """A function, or a script."""
        masked = set()
        for use in run.uses:
            if use.retain and use.how == "backward":
                masked.add(use.site)
            self.of_use(use, None)
        for site in masked:
            stale = tuple(use.param.name for use in run.uses if use.site == site)
            held = next((use.dep.holder.name for use in run.uses if use.site == site and use.dep.holder), "")
            self.add("retain-graph-mask", held, stale, site)
        for found in run.found:
            self.of_found(found)
        for param, site in run.severed:
            if isinstance(param.owner, Obj) and param.owner.info and _method_at(param.owner.info, site) in ("train", "eval"):
                continue  # what a model keeps for one of its two modes
            self.add("severed-gradient", _label(param), (param.name,), site)
        for owner, name, param, site in run.replaced:
            label = f"{owner.info.name}.{name}" if owner.info else name
            self.add("stale-optimizer", label, (param.name,), site, "replaced")
        for site, names in run.foreign:
            self.add("stale-optimizer", "optimizer", names, site, "foreign")
        if not any(use.how == "backward" for use in run.uses):
            for _, name, params, site, _ in run.holes:
                self.add("graph-growth", name, params, site, "list")

    def of_found(self, found: Found) -> None:
        """A mistake that shows where it is written."""
        self.add(found.kind, found.attr or (found.params[0] if found.params else ""), found.params, found.site, found.detail)

    def of_use(self, use: Use, root: Obj | None) -> None:
        """A stale value, by what has held it."""
        holder, dep = use.dep.holder, use.dep
        params = (use.param.name,)
        if holder is None:
            self.add("stale-loop-invariant", "value", params, dep.site, "local")
            return
        label = holder.name
        if holder.sort == "global" and holder.site.phase == "import":
            self.add("stale-global", holder.name, params, dep.site)
        elif holder.sort == "closure":
            self.add("stale-closure", holder.name, params, dep.site)
        elif holder.sort == "cache" or holder.site.phase == "cache":
            self.add("stale-cache", label, params, holder.site, "decorator")
        elif holder.sort == "local":
            self.of_local(use, label, params)
        elif holder.site.phase in ("init", "import"):
            kind = "stale-buffer" if holder.sort == "buffer" else "stale-attribute"
            self.add(kind, label, params, dep.site)
        elif self.renewed(use):
            self.add("carried-state", label, params, self.latest(use) or holder.site)
        else:
            self.add("stale-cache", label, params, holder.site, "lazy" if holder.sort != "item" else "dict")

    def of_local(self, use: Use, label: str, params: tuple[str, ...]) -> None:
        """A local variable: made before the loop, or in the round before."""
        holder = use.dep.holder
        assert holder is not None
        if self.renewed(use):
            self.add("carried-state", holder.name, params, self.latest(use) or holder.site, "local")
        else:
            self.add("stale-loop-invariant", label, params, use.dep.site)

    def renewed(self, use: Use) -> bool:
        """Whether what held a value was written again in the call that used it."""
        latest = self.latest(use)
        holder = use.dep.holder
        return holder is not None and latest is not None and latest.time > holder.site.time

    def latest(self, use: Use) -> Site | None:
        """Where the holder was last written."""
        holder = use.dep.holder
        if holder is None:
            return None
        return holder.owner.sites.get(holder.key) if isinstance(holder.owner, (Obj, Box, Env)) else None

    # Classes

    def of_class(self, info: ClassInfo, looked: Looked) -> None:
        """A model class that was made and used."""
        root = looked.root
        if root is None:
            return
        for found in looked.run.found:
            if found.kind == "graph-growth" and found.detail.startswith("attribute"):
                attr = found.attr.rsplit(".", 1)[-1]
                if self.cared_for(info, attr, found.site):
                    continue
                found = found._replace(attr=f"{info.name}.{found.attr}")
            self.of_found(found)
        for use in looked.run.uses:
            if self.believed(info, looked, use):
                self.of_use(use, root)
        for kept in looked.kept:
            if kept.sites.get(kept.attr, kept.site).phase == "init" and not self.taken_care(info, kept):
                self.of_kept(info, kept)
        for param, site in looked.severed:
            self.add("severed-gradient", _label(param), (param.name,), site)

    def of_kept(self, info: ClassInfo, kept: Kept) -> None:
        """A value that the constructor computed and nothing renews."""
        names = tuple(param.name for param in kept.params)
        label = f"{info.name}.{kept.label}"
        view = getattr(kept.value, "view", None)
        if kept.closure:
            self.add("stale-closure", label, names, kept.site, kept.closure)
        elif kept.buffer:
            self.add("stale-buffer", label, names, kept.site)
        elif view is not None:
            self.add("fragile-view", label, names, kept.site)
        else:
            self.add("stale-attribute", label, names, kept.site)

    def taken_care(self, info: ClassInfo, kept: Kept) -> bool:
        """Whether the method that computed a value is also called from elsewhere, or the value is written from there."""
        name = _method_at(info, kept.site)
        return self.called_again(info, name) or bool(self.writers(info, kept.attr))

    def callers(self, info: ClassInfo, name: str) -> set[str]:
        """Functions that call a method of a class, as far as names tell."""
        return near(self.machine.names.calls.get(name, set()), name, info, self.machine.project)

    def writers(self, info: ClassInfo, name: str) -> set[str]:
        """Functions that write an attribute of a class from outside, as far as names tell."""
        return near(self.machine.names.stores.get(name, set()), name, info, self.machine.project)

    def called_again(self, info: ClassInfo, name: str) -> bool:
        """Whether a method is called by more than the constructor."""
        if name in ("", "__init__"):
            return False
        callers = self.callers(info, name)
        if callers - {"__init__", "__post_init__", name}:
            return True
        return name in ("forward", "train", "eval")

    def believed(self, info: ClassInfo, looked: Looked, use: Use) -> bool:
        """Whether a stale value that a call of the class alone shows can be one in its use."""
        holder = use.dep.holder
        if holder is None:
            return False
        attr = holder.name.split("[")[0].rsplit(".", 1)[-1]
        if holder.site.phase in _ONCE or holder.sort in ("global", "closure", "cache"):
            if holder.site.phase == "init" and holder.sort in ("attr", "buffer", "item"):
                name = _method_at(info, holder.site)
                return not (self.called_again(info, name) or self.writers(info, attr))
            return True
        if holder.sort == "local":
            return False
        method = use_method(looked, use)
        if method not in ("forward", "__call__") and _method_at(info, holder.site) not in (method, ""):
            found = info.find(method)
            if found is None or not found[1].lineno <= holder.site.line <= (found[1].end_lineno or 0):
                return False
        owner = holder.owner
        while isinstance(owner, Box):
            owner = owner.owner
        inner = owner.info if isinstance(owner, Obj) and owner.info is not None else info
        return id(info) not in self.machine.proven and not self.cared_for(inner, attr, holder.site)

    def cared_for(self, info: ClassInfo, attr: str, site: Site) -> bool:
        """Whether another method, or other code, resets an attribute."""
        names = self.machine.names
        writer = _method_at(info, site)
        if self.writers(info, attr):
            return True
        for each in info.mro:
            others = names.inner.get(id(each), {}).get(attr, set()) - {
                writer,
                "__init__",
                "forward",
                "__call__",
                "__post_init__",
            }
            for other in others:
                if self.callers(info, other) - {"__init__", writer} or not names.trains or other in ("train", "eval"):
                    return True
        return False


def _method_at(info: ClassInfo, site: Site) -> str:
    """The method of a class whose text has a place."""
    for each in info.mro:
        if each.module.path == site.file:
            for name, node in each.methods.items():
                if node.lineno <= site.line <= (node.end_lineno or node.lineno):
                    return name
    return ""


def _label(param: Param) -> str:
    owner = param.owner
    return f"{owner.info.name}.{param.attr}" if isinstance(owner, Obj) and owner.info is not None else param.name
