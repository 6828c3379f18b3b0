"""What the documents say about files: links lead somewhere, named code exists, quoted messages are the program's own."""

import ast
import re

import pytest
from helpers import DOCUMENTS, ROOT

from trm_aes.attacks.registry import ATTACK_NAMES

NAMED_FILE = re.compile(r"`((?:trm_aes|scripts|tests|docs)/[\w./*-]+)`")
MESSAGE = re.compile(r"^- \*\*`(.+?)`\*\*(?:, \*\*`(.+?)`\*\*)?", re.M)


def prose(document):
    """A document without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.M | re.S)


def anchors(document):
    titles = re.findall(r"^#+ (.+)$", prose(document), flags=re.M)
    return {re.sub(r"[^\w\s-]", "", title).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_files_exist(document):
    if document.name == "model_card.md":
        pytest.skip("a template: its links are those of the folder that it is written into")
    text = prose(document)
    links = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'<img src="([^"]+)"', text)
    for link in links:
        target, _, anchor = link.partition("#")
        if re.match(r"https?:|mailto:", target):
            continue
        path = (document.parent / target).resolve() if target else document
        assert path.is_file(), f"{link} leads nowhere"
        # Names of the generated reference are checked by `make docs`.
        if anchor and "reference" not in target:
            assert anchor in anchors(path), f"{link}: no such heading"
    for name in NAMED_FILE.findall(text):
        assert list(ROOT.glob(name)), f"{name} does not exist"


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150


def test_everything_asked_for_in_where_is_exists():
    [table] = re.findall(r"## Where is …\?\n\n(.+)", (ROOT / "docs" / "architecture.md").read_text(), flags=re.S)
    rows = re.findall(r"^\| (.+?) \| `(\S+)` \| `(\S+)` \|$", table, flags=re.M)
    assert len(rows) >= 20 and len(rows) == len(table.strip().splitlines()) - 2
    questions = [question for question, _, _ in rows]
    assert len(set(questions)) == len(questions)
    for question, file, name in rows:
        assert name in defined_in(ROOT / file), f"where is {question}: no {name} in {file}"


def defined_in(path):
    """Names of a module's classes, functions, constants, and of its classes' methods."""
    names = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}.{member.name}" for member in node.body if isinstance(member, ast.FunctionDef)}
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def strings_of(path):
    """A module's strings, but not its docstrings, which no program prints."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    docstrings = {node.value for node in nodes if isinstance(node, ast.Expr)}
    return [
        node.value
        for node in nodes
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in docstrings
    ]


def test_the_messages_of_troubleshooting_are_those_of_the_code():
    literals = "\n".join(text for path in (ROOT / "trm_aes").rglob("*.py") for text in strings_of(path))
    quoted = [
        message for found in MESSAGE.findall((ROOT / "docs" / "troubleshooting.md").read_text()) for message in found
    ]
    quoted = [message for message in quoted if message]
    assert len(quoted) > 25
    assert not [message for message in quoted if message not in literals]


def test_the_guide_of_the_report_names_every_attack():
    guide = (ROOT / "docs/guides/report.md").read_text(encoding="utf-8")
    [listed] = re.findall(r"\| an honest score should \|.*?\n\n", guide, flags=re.S)
    kinds, places = (
        ("song", "speech", "encyclopedia", "truths", "falsehoods"),
        ("at the start", "in the middle", "at the end"),
    )
    inserted = {f"{kind} {place}" for kind in kinds for place in places}
    assert inserted <= set(ATTACK_NAMES) and all(part in listed for part in (*kinds, *places))
    assert [name for name in ATTACK_NAMES if name not in inserted and name not in listed] == []
