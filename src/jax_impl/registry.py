"""The JAX rules, by spec type: `@RULES.implements(MySpec)` adds one."""

from isoparam.rules import Registry

RULES = Registry("jax")
