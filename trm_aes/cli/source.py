"""Reads constants and the fields of dataclasses from Python source, without importing it.

`trm-aes train --help` lists the fields of dataclasses whose modules import torch and transformers, which takes seconds.
Their source takes a tenth of one. What cannot be told from the source (a default that a function computes) is
`COMPUTED`. tests/cli/test_source.py compares all of this with the imported classes.
"""

import ast
import importlib.util
import re
from dataclasses import MISSING, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any


class _Computed:
    def __repr__(self) -> str:
        return "COMPUTED"


# A value that is known only when the code runs.
COMPUTED = _Computed()


@dataclass(frozen=True)
class Field:
    """
    A field of a dataclass, as far as the source tells of it.

    Args:
        name: of the field.
        annotation: its type, as the source writes it: `int | None`.
        default: a value; `dataclasses.MISSING` where there is none, `COMPUTED` where it cannot be told.
        metadata: its metadata, `help` among them where the source gives it.
    """

    name: str
    annotation: str
    default: Any
    metadata: dict[str, Any] = field(default_factory=dict)


def constant(module: str, name: str) -> Any:
    """
    The value of a module's constant: a literal, or one that the module imports from a sibling.

    Args:
        module: dotted name, as in `trm_aes.scoring.scorer`.
        name: of the constant.

    Raises:
        LookupError: if the module defines no such name.
    """
    for statement in _tree(module).body:
        if isinstance(statement, ast.Assign) and any(_is_name(target, name) for target in statement.targets):
            return _value(statement.value, module)
        if isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if (alias.asname or alias.name) == name:
                    return constant(_imported_module(statement, module), alias.name)
    raise LookupError(f"{module} defines no constant {name!r}.")


def fields(module: str, class_name: str) -> list[Field]:
    """
    The fields that a dataclass defines itself, in its order; those that it inherits are its base's.

    Raises:
        LookupError: if the module defines no such class.
    """
    return [
        _field(statement, module)
        for statement in _class(module, class_name).body
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name)
    ]


def argument_docs(module: str, class_name: str) -> dict[str, str]:
    """What a class's docstring says of each argument, where it does so as Transformers does: name (type), then text."""
    docstring = ast.get_docstring(_class(module, class_name)) or ""
    entries = re.findall(r"^    (\w+) \(.*?\):\n((?: {8}.*\n?)+)", docstring, flags=re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(_path(module).read_text(encoding="utf-8"))


def _path(module: str) -> Path:
    """The file of a module. Only its top package is looked up: to look up more would import that."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        raise LookupError(f"There is no package {top!r}.")
    path = Path(spec.origin).parent.joinpath(*rest)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _class(module: str, name: str) -> ast.ClassDef:
    for statement in _tree(module).body:
        if isinstance(statement, ast.ClassDef) and statement.name == name:
            return statement
    raise LookupError(f"{module} defines no class {name!r}.")


def _imported_module(statement: ast.ImportFrom, module: str) -> str:
    """The full name of the module that a `from … import` in `module`, which is no package, takes names from."""
    parents = module.split(".")[: -statement.level] if statement.level else []
    return ".".join([*parents, *([statement.module] if statement.module else [])])


def _field(statement: ast.AnnAssign, module: str) -> Field:
    assert isinstance(statement.target, ast.Name)
    name, annotation, value = statement.target.id, ast.unparse(statement.annotation), statement.value
    if value is None:
        return Field(name, annotation, MISSING)
    if not (isinstance(value, ast.Call) and _is_name(value.func, "field")):
        return Field(name, annotation, _value(value, module))
    given = {keyword.arg: keyword.value for keyword in value.keywords}
    default: Any = MISSING
    if "default" in given:
        default = _value(given["default"], module)
    elif "default_factory" in given:
        default = COMPUTED
    metadata = _value(given["metadata"], module) if "metadata" in given else {}
    return Field(name, annotation, default, metadata if isinstance(metadata, dict) else {})


def _value(node: ast.expr, module: str) -> Any:
    """What an expression is, if it is a literal, a constant of the module, or a dictionary of such."""
    if isinstance(node, ast.Name):
        try:
            return constant(module, node.id)
        except (LookupError, OSError):
            return COMPUTED
    if isinstance(node, ast.Dict):
        keys = [None if key is None else _value(key, module) for key in node.keys]
        return dict(zip(keys, (_value(value, module) for value in node.values), strict=True))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _value(node.left, module), _value(node.right, module)
        return left + right if isinstance(left, str) and isinstance(right, str) else COMPUTED
    try:
        return ast.literal_eval(node)
    except ValueError:
        return COMPUTED


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
