"""Compiles `copy`: all attributes of an object under dotted names, by the rules of event version 1."""

from collections.abc import Callable
from typing import Any, TypeAlias

from connector.events.json_v1 import MAX_DEPTH, Nulls
from connector.mapping.convert import Unsuitable, text_of
from connector.mapping.model import Copy
from connector.mapping.walk import MISSING, Get, Record, Unfit

CopyInto: TypeAlias = Callable[[dict[str, str], Any, Record], None]
"""Adds the attributes of an item to those that are there; a later one wins. Raises `Unfit`."""


def copier(copy: Copy, get: Get, nulls: Nulls, ignored: str | None = None) -> CopyInto:
    """Return the function that copies; a text that is `ignored` counts as missing."""
    flatten = _Flatten(copy, nulls, ignored)

    def copy_into(attributes: dict[str, str], item: Any, record: Record) -> None:
        tree = get(item, record)
        if type(tree) is dict:
            flatten(attributes, tree)
        elif tree is not MISSING and tree is not None:
            raise Unfit(copy.path, "must be an object to be copied")

    return copy_into


class _Flatten:
    """One copy's rules. Names are relative to the object copied; the prefix is only in what is sent."""

    def __init__(self, copy: Copy, nulls: Nulls, ignored: str | None) -> None:
        self._copy = copy
        self._nulls = nulls
        self._ignored = ignored
        only = copy.only or frozenset()
        self._parents = frozenset(name for one in only for name in dotted_prefixes(one)) - only
        self._filtered = copy.only is not None or bool(copy.leave_out)

    def __call__(self, attributes: dict[str, str], tree: dict[str, Any]) -> None:
        """Most objects are flat: one loop, which is left for the other where something is rare."""
        if self._filtered or self._copy.prefix or self._ignored:
            self._add_all(attributes, tree)
            return
        found = dict(tree)
        for name, node in tree.items():
            kind = type(node)
            if kind is str:
                continue
            if kind is int:
                found[name] = str(node)
            elif kind is bool:
                found[name] = "true" if node else "false"
            else:
                self._add_all(attributes, tree)
                return
        if "" in found:
            raise self._empty_name()
        attributes.update(found)

    def _add_all(self, attributes: dict[str, str], tree: dict[str, Any]) -> None:
        self._add(attributes, tree, "", 1, filtered=self._filtered)

    def _add(
        self, attributes: dict[str, str], tree: dict[str, Any], before: str, depth: int, *, filtered: bool
    ) -> None:
        prefix = self._copy.prefix + before
        ignored = self._ignored
        for name, node in tree.items():
            path = before + name
            if filtered and not self._wanted(path):
                continue
            kind = type(node)
            if kind is str:
                if node != ignored:
                    attributes[prefix + name] = node
            elif kind is int:
                attributes[prefix + name] = str(node)
            elif kind is dict and name:
                self._add_object(attributes, node, path, depth)
            else:
                self._add_other(attributes, node, path)
        if "" in tree:
            raise self._empty_name(before)

    def _wanted(self, path: str) -> bool:
        copy = self._copy
        if copy.only is None:
            return path not in copy.leave_out
        return path in copy.only or path in self._parents

    def _add_object(self, attributes: dict[str, str], node: dict[str, Any], path: str, depth: int) -> None:
        if self._copy.only is None or path in self._copy.only:
            if depth == MAX_DEPTH:
                raise self._unfit(path, f"must not be an object: {MAX_DEPTH} levels of names are allowed")
            if not node:
                raise self._unfit(path, "must have at least one attribute, being an object")
            self._add(attributes, node, f"{path}.", depth + 1, filtered=self._copy.only is None and self._filtered)
        else:
            self._add(attributes, node, f"{path}.", depth + 1, filtered=True)

    def _add_other(self, attributes: dict[str, str], node: Any, path: str) -> None:
        if path in self._parents:
            return  # Only a part of it is wanted, and it has no parts.
        if node is not None:
            try:
                attributes[self._copy.prefix + path] = text_of(node)
            except Unsuitable as error:
                reason = (
                    str(error)
                    if not isinstance(node, list)
                    else "must not be an array: leave it out, or map it by itself"
                )
                raise self._unfit(path, reason) from error
        elif self._nulls is Nulls.EMPTY:
            attributes[self._copy.prefix + path] = ""
        elif self._nulls is Nulls.REJECT:
            raise self._unfit(path, "must not be null")

    def _empty_name(self, before: str = "") -> Unfit:
        return self._unfit(before.removesuffix("."), "must not have an empty attribute name")

    def _unfit(self, path: str, reason: str) -> Unfit:
        place = self._copy.path
        if not path:
            return Unfit(place, reason)
        return Unfit(f"{place}.{path}" if place.steps else path, reason)


def dotted_prefixes(name: str) -> list[str]:
    """Return `a`, `a.b` and `a.b.c` for `a.b.c`: the names that it can be under, or be."""
    parts = name.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]
