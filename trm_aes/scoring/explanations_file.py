"""Explains the scores of a table of essays: rows in, one JSON object an essay out, in order."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from tqdm import tqdm

from ..data.formats import AS_FOUND, TableReading, check_is_json_lines
from ..data.rejection import RowCheck
from ..data.tables import write_rows
from ..errors import InputError
from ..files import check_is_file_to_be, check_is_outside, new_file, owned
from ..naming import listing
from .explaining import Explanation
from .input_rows import USUAL_COLUMNS, CheckedRow, InputColumns, check_rows
from .scorer import EssayScorer
from .source_file import SourceFile
from .unknown_prompts import PromptRule

ESSAY_ID = "essay_id"


def explain_file(
    scorer: EssayScorer,
    source: str,
    output: str,
    columns: InputColumns = USUAL_COLUMNS,
    prompt_id: str | None = None,
    reading: TableReading = AS_FOUND,
    essay_id_column: str | None = None,
    overwrite: bool = False,
) -> int:
    """
    Explains every score of a table; see [`explanation_record`] for what is written. All rows are checked before the first is
    explained.

    Args:
        scorer, source, columns, prompt_id, reading, overwrite: as of [`score_file`]; the source is a file.
        output: `.jsonl`, compressed or not. It appears when it is whole.
        essay_id_column: column with the essays' ids; `essay_id` if not given, and where there is no such column an essay is
            called by the number of its row, from 1.

    Returns:
        The number of essays.

    Raises:
        InputError: if a row cannot be scored, a column that is named is absent, the input changes meanwhile, the output exists,
            or another run is writing it.
    """
    check_is_json_lines(output)
    check_is_file_to_be(output, overwrite)
    check_is_outside(source, output, "source")
    if prompt_id is not None:
        scorer.prompt_of(prompt_id, None, "`prompt_id`")
    rule = PromptRule(scorer, is_choice=False)

    def checked_rows() -> Iterator[CheckedRow]:
        return check_rows(source, reading, columns, prompt_id, rule, RowCheck(), added=())

    with owned(output):
        file = SourceFile(source)
        num_essays = 0
        for row, _ in checked_rows():
            if essay_id_column is not None and essay_id_column not in row:
                raise InputError(
                    f"{source}: no column {essay_id_column!r}; there are {listing(row, essay_id_column)} Name it with "
                    "`essay_id_column`."
                )
            num_essays += 1
        if not num_essays:
            raise InputError(f"{source} holds no essays that can be scored.")

        def records() -> Iterator[dict[str, Any]]:
            bar = tqdm(checked_rows(), total=num_essays, desc="Explaining", unit="essay", disable=None)
            for number, (row, prompt_id) in enumerate(bar, start=1):
                explanation = scorer.explain(row[columns.usual("essay")], prompt_id)
                file.check_state()
                essay_id = row.get(essay_id_column or ESSAY_ID)
                yield explanation_record(explanation, number if essay_id is None else essay_id)
            file.check_content()

        with new_file(output, overwrite) as temporary:
            write_rows(records(), temporary, output)
    return num_essays


def explanation_record(explanation: Explanation, essay_id: Any) -> dict[str, Any]:
    """
    An explanation as a record of JSON, numbers to six decimals. Sentences and word pieces are told by their places in the
    essay; none of its text is in it, so that what is shown of a score does not spread the essay.

    Args:
        explanation: of an essay's score.
        essay_id: what the essay is called.
    """
    content = asdict(explanation)
    result = content.pop("result")
    for part in content["sentences"]:
        del part["text"]
    for part in content["words"]:
        del part["token"]
    # What is said of the score goes first, what the explanation is goes last.
    record = {"id": essay_id, "prompt_id": content.pop("prompt_id"), **result, **content}
    return _rounded(record)


def _rounded(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _rounded(value) for name, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_rounded(value) for value in content]
    return round(content, 6) if isinstance(content, float) else content
